"""The run's directory, what is written to the disk, and what a resumed run must have kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from goemo_report.errors import GoemoError
from goemo_train import best, disk
from goemo_train.config import TrainConfig
from goemo_train.directory import SAME_ON_RESUME, Opened, check_same


def room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, free))


def test_the_disk_holds_states_checkpoints_and_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With weights of 100 bytes and 2 states kept: 3 states, 3 checkpoints, one staged copy."""
    directory = tmp_path / "run"
    config = TrainConfig(keep_checkpoints=2)
    room(monkeypatch, 3 * 300 + 3 * 100 + 100)
    disk.check_disk(directory, 100, config)
    room(monkeypatch, 1299)
    with pytest.raises(GoemoError, match="lower --keep-checkpoints"):
        disk.check_disk(directory, 100, config)
    (directory / "best-1").mkdir(parents=True)
    (directory / "best-1" / "weights").write_bytes(b"x")  # what it has itself is no loss
    disk.check_disk(directory, 100, config)


@pytest.mark.parametrize("key", SAME_ON_RESUME)
def test_a_run_resumes_with_what_it_began_with(tmp_path: Path, key: str) -> None:
    logged: dict[str, Any] = dict.fromkeys(SAME_ON_RESUME, 7)
    opened = Opened(TrainConfig(), "abcd", "name", tmp_path, logged)
    check_same(opened, logged)
    with pytest.raises(GoemoError, match=f"began with {key} 7, now it is 8"):
        check_same(opened, {**logged, key: 8})


def test_a_text_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    disk.write_json(path, {"a": [1.5, float("nan"), {"b": float("inf")}], "c": "\u00e9"})
    found = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert found == {"a": [1.5, None, {"b": None}], "c": "\u00e9"}
    assert list(tmp_path.iterdir()) == [path]


def test_the_best_of_an_epoch_appears_whole_and_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "best.part").mkdir()
    (tmp_path / "best.part" / "stale").touch()
    for epoch in (1, 2, 2):
        with best.new(tmp_path, epoch) as part:
            (part / "checkpoint").mkdir()
            (part / "checkpoint" / str(epoch)).touch()
            assert not best.of_epoch(tmp_path, 2).exists() or epoch == 2
    assert {p.name for p in tmp_path.iterdir()} == {"best-1", "best-2"}
    assert [p.name for p in (tmp_path / "best-2").rglob("*")] == ["checkpoint", "2"]
    with pytest.raises(OSError, match="full"), best.new(tmp_path, 3):
        raise OSError("full")
    best.keep(tmp_path, {1, 2})
    assert {p.name for p in tmp_path.iterdir()} == {"best-1", "best-2"}
    for _ in range(2):
        best.finish(tmp_path, 1)
        assert [p.name for p in tmp_path.rglob("*")] == ["checkpoint", "1"]
