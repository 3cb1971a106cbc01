"""The documents that are sent hold only what the server knows and the client itself asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import FunctionType

import pytest
from graphql import parse, validate

from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.wandb_api import queries
from goemo_report.sources.wandb_api.credentials import client_version
from tests.sources.clients import Uses, client_documents
from tests.sources.online import md5, open_api, point_at, put, some_runs
from tests.wandb_server import WandbServer
from tests.wandb_server.api import schema

MADE = {
    "artifacts_of": queries.artifacts_of(["a", "b"]),
    "histories_of": queries.histories_of([("a", 0, 9), ("b", 5, 6)], 5),
    "exported_histories_of": queries.exported_histories_of(["a", "b"]),
    "manifests_of": queries.manifests_of(["a", "b"]),
    "artifacts_by_id": queries.artifacts_by_id(["a", "b"]),
    "artifact_file_urls": queries.artifact_file_urls([("c", "v0", ["p"])]),
    "artifact_file_urls_by_id": queries.artifact_file_urls_by_id([("a", ["p"])]),
    "run_file_urls": queries.run_file_urls([("r", ["p"])]),
}
DOCUMENTS: Mapping[str, str] = {name: document for name, (document, _) in MADE.items()} | {
    name: value
    for name, value in vars(queries).items()
    if isinstance(value, str) and value.startswith("query ")
}
NOT_ASKED = {
    # The newest client needs servers from 0.70 on, and asks for files by membership only.
    "newest": {"Artifact.files", "Artifact.files(first: Int)", "Artifact.files(names: [String!])"},
    # Clients before 0.19 asked for the size, and those after it do again. Files by name are asked
    # of an artifact that is found by its type. Without exported histories there are the live ones.
    "oldest": {
        "Artifact.size",
        "Artifact.files(names: [String!])",
        "Run.parquetHistory",
        "Run.parquetHistory(liveKeys: [String!])",
        "ParquetHistory.parquetUrls",
        "ParquetHistory.liveData",
    },
}
"""What the newest or the oldest client never sends."""


def test_no_document_is_left_out() -> None:
    functions = {
        name
        for name, value in vars(queries).items()
        if isinstance(value, FunctionType) and not name.startswith("_")
    }
    assert functions - set(MADE) == {"run_filters"}
    assert len(DOCUMENTS) - len(MADE) >= 6


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_server_knows_it(name: str) -> None:
    assert validate(schema(), parse(DOCUMENTS[name])) == []


def test_the_installed_client_asks_for_the_same() -> None:
    """Fields, arguments and the types of variables; what it passes as variable is no literal."""
    theirs, ours = Uses(), Uses()
    for document in client_documents():
        theirs.add(document)
    for text in DOCUMENTS.values():
        ours.add(parse(text))
    assert len(theirs.names()) > 400
    lacking = ours.names() - theirs.names()
    lacking = {name for name in lacking if not name.endswith(".__typename")}  # part of GraphQL
    if (0, 20) <= client_version() < (0, 31):  # by hand; it has learned some of it
        assert lacking <= NOT_ASKED["oldest"] | NOT_ASKED["newest"]
    else:
        assert lacking == NOT_ASKED["oldest" if client_version() < (0, 20) else "newest"]
    assert not ours.literals


def test_a_server_before_0_70_is_asked_as_clients_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WandbServer() as server:
        point_at(monkeypatch, server, tmp_path)
        put(server, some_runs(30))
        server.grow_old()
        source = open_api()
        runs = source.list_runs(RunQuery()).runs
        references = [one for logged in source.artifacts(runs).values() for one in logged]
        files = source.manifests(references)
        wanted = [(one, file) for one, held in zip(references, files, strict=True) for file in held]
        fetched = source.fetch(wanted)
        for (_, file), local in zip(wanted, fetched, strict=True):
            assert isinstance(local, Path)
            assert md5(local.read_bytes()) == file.digest
        assert len(fetched) == 30
        assert server.count("ArtifactFileUrlsByID") == 2
        assert not server.problems
