"""Which checkpoint counts: the audit and `verify` have to judge the same one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from goemo_report.audit import audit
from goemo_report.audit.evidence import Evidence, collect
from goemo_report.checkpoints import checkpoint_files
from goemo_report.errors import DataError
from goemo_report.sources.model import ArtifactFile, ArtifactRef, RunRecord
from goemo_report.sources.newest import checkpoint_folder, newest
from tests.checkpoints.conftest import artifact
from tests.memory_source import MemorySource
from tests.train.conftest import RUN_ID, Finished


def judged(source: MemorySource, run: RunRecord) -> tuple[Evidence, str, object]:
    """What the audit read, and the name and config of what `verify` would load."""
    (evidence,) = collect(source, [run])
    with checkpoint_files.fetched(source, run) as files:
        return evidence, files.label, files.json("config.json")


def moved(finished: Finished, folder: str) -> dict[str, Path | None]:
    return {f"{folder}{p.name}": p for p in (finished.directory / "checkpoint").iterdir()}


@pytest.mark.parametrize("folder", ["", "best/", "runs/best/"])
def test_a_checkpoint_in_a_folder_is_judged_by_both(
    trained: RunRecord, finished: Finished, folder: str
) -> None:
    source = MemorySource()
    files = moved(finished, folder)
    files["last/old/deeper/config.json"] = files[f"{folder}config.json"]
    source.add(trained, (artifact("checkpoint", "model"), files))
    evidence, _, config = judged(source, trained)
    assert evidence.checkpoint_config == config
    found = {f.rule.id: f for f in audit(evidence).findings}
    assert not [name for name in found if name.startswith("checkpoint-")]
    assert bool(folder) == ("dialect-checkpoint" in found)
    if folder:
        assert found["dialect-checkpoint"].detail.startswith(f"it lies in {folder} of ")
        assert found["dialect-checkpoint"].rule.severity == "note"


def test_of_several_checkpoints_the_newest_artifact_counts(
    trained: RunRecord, finished: Finished, tmp_path: Path
) -> None:
    described = json.loads((finished.directory / "checkpoint/config.json").read_text("utf-8"))
    described["goemo"] = "the newer one"
    (tmp_path / "config.json").write_text(json.dumps(described), "utf-8")
    newer = {**moved(finished, ""), "config.json": tmp_path / "config.json"}
    first = artifact("checkpoint", "model")
    second = dataclasses.replace(first, id="second", name=f"other-checkpoint-{RUN_ID}")
    kept = dataclasses.replace(first, id="kept", name="checkpoint.bin", kind="run-files")
    source = MemorySource()
    source.add(trained, (first, moved(finished, "")), (second, newer), (kept, {}))
    evidence, label, config = judged(source, trained)
    assert label == f"{second.name}:v0"
    assert evidence.artifacts["checkpoint"].reference == second
    assert evidence.checkpoint_config == config
    assert isinstance(config, dict)
    assert config["goemo"] == "the newer one"
    assert newest(trained, [kept], "checkpoint") == kept
    assert newest(trained, [kept, first], "val-predictions") is None


def test_the_topmost_config_is_the_checkpoints() -> None:
    def folder(*paths: str) -> str | None:
        return checkpoint_folder([ArtifactFile(path, 1, "") for path in paths])

    assert folder("a/b/config.json", "longer-name/config.json") == "longer-name/"
    assert folder("a/config.json", "config.json") == ""
    assert folder("my-config.json", "config.json/x") is None


def test_a_file_that_nothing_can_check_is_not_opened(
    trained: RunRecord, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = MemorySource()
    source.add(trained, (artifact("checkpoint", "model"), moved(finished, "")))
    manifests = source.manifests

    def by_reference(asked: Sequence[ArtifactRef]) -> list[tuple[ArtifactFile, ...]]:
        (files,) = manifests(asked)
        address = "https://host/model"
        return [tuple(dataclasses.replace(f, digest=address, reference=address) for f in files)]

    monkeypatch.setattr(source, "manifests", by_reference)
    with (
        pytest.raises(DataError, match="by reference and without a checksum: "),
        checkpoint_files.fetched(source, trained),
    ):
        pass
