"""What an artifact refers to instead of holding it, as the real client logs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from goemo_report.cli import goemo_report
from goemo_report.sources.model import ArtifactFile, LocalFile, SkippedFile
from goemo_report.sources.offline_logs.source import LogSource
from goemo_report.sources.store import Cache
from goemo_report.sources.wandb_api.transfer import fetch_external
from goemo_report.sources.wandb_api.transport import Transport
from tests.offline_runs import private_directory, wandb_environment
from tests.sources.online import md5, open_api, point_at, put
from tests.sources.scripted_server import ScriptedServer, scripted_server, status
from tests.wandb_server import WandbServer, run_client
from tests.wandb_server.fixtures import wandb_server

__all__ = ["wandb_server"]

CSV = "text,true_labels,pred_labels\n" + "a,joy,joy\n" * 9
LOG = '''
import os, pathlib
def write(name, text):
    pathlib.Path(name).write_text(text)
    return "file://" + os.path.abspath(name)
def artifact(name, *files, **references):
    made = wandb.Artifact(name, "dataset")
    for file in files:
        made.add_file(file)
    for path, reference in references.items():
        made.add_reference(reference, name=path.replace("_", "."))
    return made
def bucket(made, path, reference):
    """As the client does where the cloud's library is installed."""
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry
    entry = ArtifactManifestEntry(path=path, digest="etag", ref=reference, size=9)
    made.manifest.add_entry(entry)
'''


@pytest.fixture
def server(
    wandb_server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> WandbServer:
    point_at(monkeypatch, wandb_server, tmp_path)
    return wandb_server


def invoke(*arguments: str | Path) -> Any:
    return CliRunner().invoke(goemo_report, list(map(str, arguments)))


def files_of(source: Any, run_id: str, name: str = "") -> dict[str, tuple[ArtifactFile, LocalFile]]:
    """Files of a run's artifacts, with what fetching gave, by path."""
    references = source.artifacts([source.find_run(run_id)])[run_id]
    chosen = [reference for reference in references if name in reference.name]
    found: dict[str, tuple[ArtifactFile, LocalFile]] = {}
    for reference, files in zip(chosen, source.manifests(chosen), strict=True):
        fetched = source.fetch([(reference, file) for file in files])
        found |= {file.path: (file, at) for file, at in zip(files, fetched, strict=True)}
    return found


def text(found: tuple[ArtifactFile, LocalFile]) -> str:
    assert isinstance(found[1], Path), found[1]
    return found[1].read_text()


def reason(found: tuple[ArtifactFile, LocalFile]) -> str:
    assert isinstance(found[1], SkippedFile), found[1]
    return found[1].reason


# --- A file of another artifact -------------------------------------------------------


def log_again(server: WandbServer, home: Path) -> None:
    """Run a logs predictions, run b the same file by reference, run c b's."""
    put(server, [])
    code = f"""
    {LOG.replace(chr(10), chr(10) + "    ")}
    write("test_predictions.csv", {CSV!r})
    for this, before in (("a", None), ("b", "a"), ("c", "b")):
        with wandb.init(id=this) as run:
            made = artifact("bert-test-predictions-" + this)
            if before:
                source = run.use_artifact(f"bert-test-predictions-{{before}}:latest")
                made.add_reference(source.get_entry("test_predictions.csv"))
            else:
                made.add_file("test_predictions.csv")
            run.log_artifact(made).wait()
    """
    project = "goemotions-emotion-classification"
    run_client(server, code, home / "client", WANDB_PROJECT=project)


def test_a_run_whose_file_another_run_refers_to_stays_whole_or_is_named(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All artifacts have the same digest: it does not cover what an entry refers to."""
    log_again(server, tmp_path)
    digests = {server.artifact(f"bert-test-predictions-{run}").digest for run in "abc"}
    assert len(digests) == 1
    for run in ("c", "b", "a", "b", "a"):
        shown = invoke("show", run, "--format", "json")
        [artifact] = json.loads(shown.stdout)["artifacts"]
        [file] = artifact["files"]
        assert (file["size"], file["digest"]) == (len(CSV), md5(CSV.encode()))
        assert ("reference" in file) == (run != "a")
        done = invoke("download", run, "--root", tmp_path / run)
        assert done.exit_code == 0, done.stderr
        path = tmp_path / run / f"bert-test-predictions-{run}" / "test_predictions.csv"
        assert path.read_text() == CSV

    monkeypatch.setenv("GOEMO_CACHE_DIR", str(tmp_path / "another"))
    server.store.artifacts.pop(server.artifact("bert-test-predictions-a").id)
    done = invoke("download", "b", "--root", tmp_path / "out")
    assert done.exit_code == 1
    assert "by reference to wandb-artifact://" in done.stderr
    assert "not on W&B any more" in done.stderr


# --- Elsewhere ------------------------------------------------------------------------


def log_references(web: ScriptedServer, name: str) -> str:
    """Code that logs a checkpoint and a table, some of them by reference."""
    return f"""
{LOG}
weights, other = write("weights.bin", "w" * 50), write("changed.bin", "before")
kept = artifact("bert-checkpoint-{name}", weights_bin=weights, changed_bin=other,
    gone_bin=write("gone.bin", "soon gone"), page_txt="{web.url}/page",
    hdfs_bin="hdfs://host/place")
kept.add_reference(weights, name="unchecked.bin", checksum=False)
bucket(kept, "s3.bin", "s3://bucket/key.bin")
write("config.json", "{{}}")
kept.add_file("config.json")
table = wandb.Table(columns=["n"], data=[[1], [2]])
first, second = artifact("first-{name}"), artifact("second-{name}")
first.add(table, "table")
second.add(table, "again")
with wandb.init(id="{name}", project="p") as run:
    for made in (first, kept, second):
        run.log_artifact(made)
        if run.settings.mode == "online":
            made.wait()
write("changed.bin", "behind")
os.unlink("gone.bin")
"""


@pytest.fixture
def web() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        running.otherwise = status(200, b"a page", ETag='"tag"')
        yield running


def online_source(server: WandbServer, web: ScriptedServer, home: Path) -> Any:
    run_client(server, "import wandb\n" + log_references(web, "r"), home / "client")
    return open_api(project="p")


def offline_source(server: WandbServer, web: ScriptedServer, home: Path) -> Any:
    (home / "here").mkdir()
    with private_directory() as private:
        subprocess.run(
            [sys.executable, "-c", "import wandb\n" + log_references(web, "r")],
            env=wandb_environment(home / "here", private) | {"NO_PROXY": "127.0.0.1"},
            cwd=home / "here",
            capture_output=True,
            check=True,
        )
    return LogSource(home / "here")


@pytest.mark.parametrize("make", [online_source, offline_source])
def test_references_are_followed_or_named(
    server: WandbServer,
    web: ScriptedServer,
    tmp_path: Path,
    make: Callable[[WandbServer, ScriptedServer, Path], Any],
) -> None:
    source = make(server, web, tmp_path)
    web.headers.clear()
    found = files_of(source, "r", "checkpoint")
    assert {path for path, (file, _) in found.items() if not file.reference} == {"config.json"}
    assert text(found["config.json"]) == "{}"
    assert text(found["weights.bin"]) == "w" * 50
    assert text(found["page.txt"]) == "a page"
    assert all("Authorization" not in headers for headers in web.headers)
    for path, why in {
        "changed.bin": "not the one that was logged",
        "unchecked.bin": "without a checksum",
        "gone.bin": "No such file",
        "hdfs.bin": "cannot follow",
        "s3.bin": "pip install boto3",
    }.items():
        assert "by reference to " in reason(found[path])
        assert why in reason(found[path])
    held = {path: (file, text((file, at))) for path, (file, at) in files_of(source, "r").items()
            if path.endswith(".table.json")}  # fmt: skip
    assert held["table.table.json"][1] == held["again.table.json"][1]
    assert held["again.table.json"][0].size == len(held["again.table.json"][1])
    if make is online_source:
        download_names_what_it_cannot_follow(tmp_path)


def download_names_what_it_cannot_follow(tmp_path: Path) -> None:
    done = invoke(
        "download", "r", "--project", "p", "--only", "checkpoint", "--root", tmp_path / "out"
    )
    assert done.exit_code == 1
    there = {path.name for path in (tmp_path / "out" / "bert-checkpoint-r").iterdir()}
    assert there == {"config.json", "weights.bin", "page.txt", "goemo-artifact.json"}
    for name in ("changed", "unchecked", "gone", "hdfs", "s3"):
        assert f"{name}.bin" in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 4  # one a cause
    for line in lines:
        assert line.startswith("error: bert-checkpoint-r:v0/")
        assert ": by reference" in line


def test_audit_says_by_reference(server: WandbServer, tmp_path: Path) -> None:
    code = f"""
    {LOG.replace(chr(10), chr(10) + "    ")}
    with wandb.init(id="r", project="p") as run:
        made = wandb.Artifact("bert-checkpoint-r", "model")
        bucket(made, "checkpoint", "s3://bucket/checkpoint/")
        run.log_artifact(made).wait()
        test = artifact("bert-test-predictions-r")
        bucket(test, "predictions", "gs://bucket/predictions")
        run.log_artifact(test).wait()
    """
    run_client(server, code, tmp_path / "client")
    done = invoke("audit", "r", "--project", "p")
    assert done.exit_code == 3
    assert "bert-checkpoint-r:v0 is by reference (s3://bucket/checkpoint/)" in done.stdout
    assert "bert-test-predictions-r:v0 is by reference (gs://bucket/predictions)" in done.stdout
    assert "holds no config.json" not in done.stdout
    assert "holds no CSV" not in done.stdout


# --- One kind at a time ---------------------------------------------------------------


def fetch(file: ArtifactFile, tmp_path: Path) -> LocalFile:
    def connect() -> Transport:
        return open_api(timeout=1).transport

    return fetch_external([file], connect, Cache(tmp_path / "cache"), lambda *_: None)[0]


@pytest.mark.parametrize("size", [0, 7])
def test_a_path_that_never_ends_is_not_read(tmp_path: Path, size: int) -> None:
    """Artifacts come from anybody: neither a device nor a pipe holds the reader up."""
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe", tmp_path, "/proc/self/mem"):
        found = fetch(ArtifactFile("a", size, md5(b""), f"file://{path}"), tmp_path)
        assert isinstance(found, SkippedFile), path


def test_a_file_of_other_content_is_not_given_away(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password")
    for digest in (md5(b"guess"), "", "nonsense"):
        found = fetch(ArtifactFile("a", 8, digest, f"file://{tmp_path}/secret"), tmp_path)
        assert isinstance(found, SkippedFile)


@pytest.mark.parametrize("address", ["http://[", "file://\0", "nowhere", "s3:", "gs://", "file:"])
def test_an_address_that_is_none_is_a_reason(
    server: WandbServer, tmp_path: Path, address: str
) -> None:
    assert isinstance(fetch(ArtifactFile("a", 1, md5(b"a"), address), tmp_path), SkippedFile)


def test_a_page_with_another_tag_is_not_what_was_logged(
    server: WandbServer, web: ScriptedServer, tmp_path: Path
) -> None:
    found = fetch(ArtifactFile("a", 6, "tag", f"{web.url}/page"), tmp_path)
    assert isinstance(found, Path)
    asked = len(web.paths)
    assert fetch(ArtifactFile("a", 6, "tag", f"{web.url}/page"), tmp_path) == found
    assert len(web.paths) == asked  # a tag names one content
    other = fetch(ArtifactFile("a", 6, "older", f"{web.url}/page"), tmp_path)
    assert isinstance(other, SkippedFile)
    assert other.changed
    web.otherwise = status(404)
    gone = fetch(ArtifactFile("a", 6, "tag", f"{web.url}/gone"), tmp_path)
    assert isinstance(gone, SkippedFile)
    assert gone.reason == f"by reference to {web.url}/gone: its server answers 404"
    for answer in (b"now", b"then"):  # without a checksum: whatever is there now
        web.otherwise = status(200, answer)
        now = fetch(ArtifactFile("a", 6, f"{web.url}/page", f"{web.url}/page"), tmp_path)
        assert isinstance(now, Path)
        assert now.read_bytes() == answer


def test_a_bucket_is_read_with_the_clients_own_reader(
    server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cloud's library is not installed here; what the client asks of it is all it needs."""

    class Object:
        e_tag = '"tag"'

        def __init__(self, bucket: str, key: str) -> None:
            self.content = f"{bucket} {key}".encode()

        def download_fileobj(self, file: Any, ExtraArgs: Any) -> None:  # noqa: N803 - boto3's
            file.write(self.content)

    session = types.SimpleNamespace(resource=lambda *_, **__: types.SimpleNamespace(Object=Object))
    boto3, botocore = types.ModuleType("boto3"), types.ModuleType("botocore")
    vars(boto3).update(session=types.SimpleNamespace(Session=lambda: session))
    client = types.ModuleType("botocore.client")
    vars(client).update(Config=dict)
    error = types.SimpleNamespace(ClientError=KeyError)
    vars(botocore).update(client=client, exceptions=error)
    for name, module in (("boto3", boto3), ("botocore", botocore), ("botocore.client", client)):
        monkeypatch.setitem(sys.modules, name, module)
    found = fetch(ArtifactFile("a", 10, "tag", "s3://bucket/key"), tmp_path)
    assert isinstance(found, Path)
    assert found.read_text() == "bucket key"
