from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_report.errors import NotFoundError
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.downloads import DESCRIPTION, download, refuse_path
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    Listing,
    LocalFile,
    RunRecord,
    SkippedFile,
)

RUN = RunRecord(
    id="r1",
    name="bert-20241210-143022",
    entity=None,
    project="p",
    url=None,
    state="finished",
    tags=(),
    created_at=None,
    config={},
    summary={},
    origin="here",
)


def digest(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


class Shelf(RunSource):
    """A source whose artifacts are made by hand: manifests may lie and files may be missing."""

    description = "a shelf"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refs: list[ArtifactRef] = []
        self.files: dict[str, dict[str, ArtifactFile]] = {}
        self.content: dict[tuple[str, str], bytes | None] = {}
        self.fetched: list[str] = []

    def add(
        self,
        name: str,
        files: Mapping[str, bytes | None],
        version: str = "v0",
        type_: str = "dataset",
    ) -> None:
        """Add a version of an artifact; None is a file that its manifest promises in vain."""
        key = f"{name}:{version}"
        self.refs.append(ArtifactRef(key, name, type_, version, "d", 1, None, RUN.id))
        self.files[key] = {
            path: ArtifactFile(path, len(data or b""), digest(data or b""))
            for path, data in files.items()
        }
        self.content |= {(key, path): data for path, data in files.items()}

    def list_runs(self, query: RunQuery) -> Listing:
        return Listing((RUN,))

    def find_run(self, reference: str) -> RunRecord:
        return RUN

    def histories(self, runs: Sequence[RunRecord]) -> Mapping[str, History]:
        return {}

    def faults(self, runs: Sequence[RunRecord]) -> Mapping[str, str]:
        return {}

    def artifacts(self, runs: Sequence[RunRecord]) -> Mapping[str, tuple[ArtifactRef, ...]]:
        return {RUN.id: tuple(self.refs)}

    def manifests(self, artifacts: Sequence[ArtifactRef]) -> list[tuple[ArtifactFile, ...]]:
        return [tuple(self.files[ref.id].values()) for ref in artifacts]

    def fetch(
        self, wanted: Sequence[tuple[ArtifactRef, ArtifactFile]], progress: Progress = silent
    ) -> list[LocalFile]:
        local: list[LocalFile] = []
        for ref, file in wanted:
            self.fetched.append(file.path)
            data = self.content[ref.id, file.path]
            if data is None:
                local.append(SkippedFile(file.path, "gone"))
                continue
            path = self.folder / str(len(self.fetched))
            path.write_bytes(data)
            local.append(path)
        return local


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    folder = tmp_path / "shelf"
    folder.mkdir()
    return Shelf(folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != DESCRIPTION
    }


def test_each_artifact_gets_a_directory_of_its_name(shelf: Shelf, root: Path) -> None:
    shelf.add("bert-checkpoint-r1", {"config.json": b"{}", "sub/weights.bin": b"\0" * 10})
    shelf.add("bert-test-predictions-r1", {"test_predictions.csv": b"text"})
    done = download(shelf, RUN, root=root)
    assert done.complete
    assert [item.directory.name for item in done.artifacts] == [
        "bert-checkpoint-r1",
        "bert-test-predictions-r1",
    ]
    assert files_below(root) == {
        "bert-checkpoint-r1/config.json": b"{}",
        "bert-checkpoint-r1/sub/weights.bin": b"\0" * 10,
        "bert-test-predictions-r1/test_predictions.csv": b"text",
    }


def test_roles_choose_and_nothing_else_is_fetched(shelf: Shelf, root: Path) -> None:
    shelf.add("bert-checkpoint-r1", {"pytorch_model.bin": b"big"})
    shelf.add("bert-val-predictions-r1", {"val.csv": b"v"})
    shelf.add("bert-test-predictions-r1", {"test.csv": b"t"})
    done = download(shelf, RUN, ["test-predictions", "val-predictions"], root)
    assert done.complete
    assert sorted(shelf.fetched) == ["test.csv", "val.csv"]
    assert not (root / "bert-checkpoint-r1").exists()


def test_the_newest_version_is_taken_and_wandbs_own_artifacts_are_not(
    shelf: Shelf, root: Path
) -> None:
    shelf.add("data", {"a": b"old"}, "v0")
    shelf.add("data", {"a": b"new"}, "v1")
    shelf.add("job-x", {"code.py": b"c"}, type_="job")
    download(shelf, RUN, root=root)
    assert files_below(root) == {"data/a": b"new"}


def test_the_directory_says_what_it_is(shelf: Shelf, root: Path) -> None:
    shelf.add("bert-checkpoint-r1", {"a": b"1", "b": None}, type_="model")
    download(shelf, RUN, root=root)
    described = json.loads((root / "bert-checkpoint-r1" / DESCRIPTION).read_text())
    assert described["run"]["id"] == "r1"
    assert (described["artifact"], described["version"]) == ("bert-checkpoint-r1", "v0")
    assert described["files"] == [{"path": "a", "size": 1, "digest": digest(b"1")}]
    assert described["missing"] == [{"path": "b", "reason": "gone"}]
    assert described["complete"] is False


def test_right_files_are_kept_and_wrong_ones_replaced(shelf: Shelf, root: Path) -> None:
    shelf.add("data", {"a": b"aaaa", "b": b"bbbb", "c": b"cccc"})
    download(shelf, RUN, root=root)
    (root / "data" / "b").write_bytes(b"BBBB")  # same size, other bytes
    (root / "data" / "c").write_bytes(b"c")
    shelf.fetched.clear()
    done = download(shelf, RUN, root=root)
    assert sorted(shelf.fetched) == ["b", "c"]
    assert [file.path for file in done.artifacts[0].kept] == ["a"]
    assert files_below(root / "data") == {"a": b"aaaa", "b": b"bbbb", "c": b"cccc"}


def test_a_missing_file_does_not_hold_up_the_others(shelf: Shelf, root: Path) -> None:
    shelf.add("data", {"a": b"1", "b": None})
    shelf.add("more", {"c": b"3"})
    done = download(shelf, RUN, root=root)
    assert not done.complete
    assert done.artifacts[0].skipped == [SkippedFile("b", "gone")]
    assert files_below(root) == {"data/a": b"1", "more/c": b"3"}


def test_wrong_bytes_never_get_the_files_name(shelf: Shelf, root: Path) -> None:
    shelf.add("data", {"a": b"good"})
    shelf.content["data:v0", "a"] = b"evil"
    done = download(shelf, RUN, root=root)
    assert "digest" in done.artifacts[0].skipped[0].reason
    assert files_below(root) == {}  # and no .part either


@pytest.mark.parametrize(
    "path",
    [
        "../evil",
        "a/../../evil",
        "/etc/evil",
        "\\evil",
        "a\\..\\evil",
        "C:evil",
        "c:/evil",
        "a/C:/evil",
        "",
        "a//b",
        "./a",
        "a/",
        "evil\x1b[31m",
        "evil\0",
        DESCRIPTION.upper(),
    ],
)
def test_a_path_that_leaves_the_directory_is_refused(shelf: Shelf, root: Path, path: str) -> None:
    shelf.add("data", {path: b"evil", "good": b"good"})
    done = download(shelf, RUN, root=root)
    assert [item.path for item in done.artifacts[0].skipped] == [path]
    assert files_below(root.parent / "artifacts") == {"data/good": b"good"}
    assert not list(root.parent.glob("*evil*"))


@given(st.text(alphabet="ab./\\:C\0é", max_size=12))
def test_an_accepted_path_stays_below_its_directory(path: str) -> None:
    if not refuse_path(path):
        base = Path("/base/directory")
        joined = os.path.normpath(base / path)
        assert Path(joined).is_relative_to(base)
        assert Path(joined) != base


@pytest.mark.parametrize("name", ["../evil", "/evil", "..", "a\\b", "x\x07"])
def test_an_artifact_name_that_leaves_the_root_is_refused(
    shelf: Shelf, root: Path, name: str
) -> None:
    shelf.add(name, {"a": b"1"})
    done = download(shelf, RUN, root=root)
    assert not done.complete
    assert not root.exists()
    assert sorted(path.name for path in root.parent.iterdir()) == ["shelf"]


def test_symlinks_in_the_target_are_not_followed(shelf: Shelf, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"mine")
    (root / "data").mkdir(parents=True)
    (root / "data" / "sub").symlink_to(outside)
    (root / "data" / "link").symlink_to(outside / "file")
    shelf.add("data", {"sub/file": b"evil", "link": b"fresh"})
    done = download(shelf, RUN, root=root)
    assert "symlink" in done.artifacts[0].skipped[0].reason
    assert (outside / "file").read_bytes() == b"mine"
    assert (root / "data" / "link").read_bytes() == b"fresh"
    assert not (root / "data" / "link").is_symlink()


def test_what_an_earlier_version_left_is_removed_but_nothing_else(shelf: Shelf, root: Path) -> None:
    shelf.add("data", {"old.bin": b"old", "edited": b"as downloaded", "same": b"s"}, "v0")
    download(shelf, RUN, root=root)
    (root / "data" / "edited").write_bytes(b"by hand")
    (root / "data" / "notes.txt").write_bytes(b"mine")
    shelf.add("data", {"new.bin": b"new", "same": b"s"}, "v1")
    download(shelf, RUN, root=root)
    assert files_below(root / "data") == {
        "edited": b"by hand",
        "new.bin": b"new",
        "notes.txt": b"mine",
        "same": b"s",
    }


def test_a_forged_description_removes_nothing_outside(
    shelf: Shelf, root: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"keep me")
    (root / "data").mkdir(parents=True)
    forged = [{"path": "../../victim", "size": 7, "digest": digest(b"keep me")}]
    (root / "data" / DESCRIPTION).write_text(json.dumps({"files": forged}))
    shelf.add("data", {"a": b"1"})
    download(shelf, RUN, root=root)
    assert victim.exists()


def test_a_directory_in_the_way_is_said_and_left(shelf: Shelf, root: Path) -> None:
    (root / "data" / "a").mkdir(parents=True)
    shelf.add("data", {"a": b"1", "b": b"2"})
    done = download(shelf, RUN, root=root)
    assert "cannot be written" in done.artifacts[0].skipped[0].reason
    assert files_below(root) == {"data/b": b"2"}


def test_a_root_that_cannot_be_made_ends_before_anything_is_fetched(
    shelf: Shelf, root: Path
) -> None:
    root.write_text("a file")
    shelf.add("data", {"a": b"1", "b": b"2"})
    with pytest.raises(OSError, match="File exists"):
        download(shelf, RUN, root=root)
    assert shelf.fetched == []


def test_a_role_that_was_never_logged(shelf: Shelf, root: Path) -> None:
    shelf.add("bert-val-predictions-r1", {"val.csv": b"v"})
    done = download(shelf, RUN, ["val-predictions", "checkpoint"], root)
    assert done.missing == ("checkpoint",)
    assert not done.complete
    with pytest.raises(NotFoundError) as caught:
        download(shelf, RUN, ["checkpoint"], root)
    assert "bert-val-predictions-r1" in caught.value.remedy


def test_a_digest_of_an_unknown_kind_is_a_skip(shelf: Shelf, root: Path) -> None:
    shelf.add("data", {"a": b"1"})
    shelf.files["data:v0"]["a"] = ArtifactFile("a", 1, "SHA9:abc")
    done = download(shelf, RUN, root=root)
    assert "SHA9" in done.artifacts[0].skipped[0].reason
