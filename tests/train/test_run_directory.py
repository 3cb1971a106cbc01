"""The run's directory, what is written to the disk, and what a resumed run must have kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from goemo_report.errors import GoemoError
from goemo_train import run_directory
from goemo_train.config import TrainConfig
from goemo_train.run_directory import SAME_ON_RESUME, Opened


@pytest.mark.parametrize("key", SAME_ON_RESUME)
def test_a_run_resumes_with_what_it_began_with(tmp_path: Path, key: str) -> None:
    logged: dict[str, Any] = dict.fromkeys(SAME_ON_RESUME, 7)
    opened = Opened(TrainConfig(), "abcd", "name", tmp_path, {}, logged)
    opened.check_same(logged)
    with pytest.raises(GoemoError, match=f"began with {key} 7, now it is 8"):
        opened.check_same({**logged, key: 8})


def test_a_text_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    run_directory.write_json(path, {"a": [1.5, float("nan"), {"b": float("inf")}], "c": "\u00e9"})
    found = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert found == {"a": [1.5, "NaN", {"b": "Infinity"}], "c": "\u00e9"}
    assert list(tmp_path.iterdir()) == [path]


def save(directory: Path, step: int, epoch: int = 1, best: int = 0, keep: int = 2) -> Path:
    before = set(directory.glob("state-*"))
    state = {"x": torch.full((1000,), step)}
    run_directory.save_state(directory, step, epoch, best, state, keep)
    (new,) = {*directory.glob("state-*")} - before
    return new


def test_the_best_of_an_epoch_appears_whole_and_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "best.part").mkdir()
    (tmp_path / "best.part" / "stale").touch()
    for epoch in (1, 2, 2):
        with run_directory.new_best(tmp_path, epoch) as part:
            (part / "checkpoint").mkdir()
            (part / "checkpoint" / str(epoch)).touch()
            assert not run_directory.best_of(tmp_path, 2).exists() or epoch == 2
    assert {p.name for p in tmp_path.iterdir()} == {"best-1", "best-2"}
    assert [p.name for p in (tmp_path / "best-2").rglob("*")] == ["checkpoint", "2"]
    with pytest.raises(OSError, match="full"), run_directory.new_best(tmp_path, 3):
        raise OSError("full")
    (tmp_path / ".state-1.pt.0a.part").touch()  # as a kill leaves it
    older = tmp_path / "state-00000001-00001-00001.pt"
    older.touch()
    newer = save(tmp_path, 2, epoch=2, best=2)
    assert {p.name for p in tmp_path.iterdir()} == {"best-1", "best-2", older.name, newer.name}
    for _ in range(2):
        run_directory.tidy(tmp_path, 1)
        assert [p.name for p in tmp_path.rglob("*")] == ["checkpoint", "1"]


def test_a_damaged_state_is_passed_over(tmp_path: Path) -> None:
    _, older, newest = (save(tmp_path, step) for step in (1, 2, 3))
    assert sorted(tmp_path.iterdir()) == [older, newest]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1  # one flipped bit
    newest.write_bytes(content)
    state, damaged = run_directory.load_newest_state(tmp_path)
    assert damaged == [newest]
    assert state is not None
    assert int(state["x"][0]) == 2
    older.write_bytes(older.read_bytes()[:-100])  # cut short
    assert run_directory.load_newest_state(tmp_path) == (None, [newest, older])
    newest.write_bytes(b"")
    assert run_directory.load_newest_state(tmp_path) == (None, [newest, older])


def test_the_end_of_an_epoch_is_newer_than_its_last_step(tmp_path: Path) -> None:
    save(tmp_path, 9, epoch=1)
    end = save(tmp_path, 9, epoch=2, best=1, keep=1)
    assert list(tmp_path.iterdir()) == [end]
