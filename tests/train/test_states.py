"""Training states on disk."""

from __future__ import annotations

from pathlib import Path

import torch

from goemo_train import states


def save(directory: Path, step: int, epoch: int = 1, best: int = 0, keep: int = 2) -> Path:
    before = set(directory.iterdir())
    states.save_state(directory, step, epoch, best, {"x": torch.full((1000,), step)}, keep)
    (new,) = set(directory.iterdir()) - before
    return new


def test_a_damaged_state_is_passed_over(tmp_path: Path) -> None:
    _, older, newest = (save(tmp_path, step) for step in (1, 2, 3))
    assert sorted(tmp_path.iterdir()) == [older, newest]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1  # one flipped bit
    newest.write_bytes(content)
    state, damaged = states.load_newest_state(tmp_path)
    assert damaged == [newest]
    assert state is not None
    assert int(state["x"][0]) == 2
    older.write_bytes(older.read_bytes()[:-100])  # cut short
    assert states.load_newest_state(tmp_path) == (None, [newest, older])


def test_what_torch_cannot_read_is_damaged_whatever_its_name_says(tmp_path: Path) -> None:
    good = save(tmp_path, 1)
    bad = tmp_path / "state-00000002-00001-00000-e3b0c44298fc1c14.pt"  # the digest of nothing
    bad.write_bytes(b"")
    state, damaged = states.load_newest_state(tmp_path)
    assert state is not None
    assert damaged == [bad]
    assert good.exists()


def test_the_end_of_an_epoch_is_newer_than_its_last_step(tmp_path: Path) -> None:
    save(tmp_path, 9, epoch=1)
    end = save(tmp_path, 9, epoch=2, best=1, keep=1)
    assert list(tmp_path.iterdir()) == [end]
    assert states.best_epochs(tmp_path) == {1}
    save(tmp_path, 18, epoch=3, best=2)
    assert states.best_epochs(tmp_path) == {1, 2}
