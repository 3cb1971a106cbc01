"""Killed before any rename or removal, and with the newest state damaged, a run ends the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.train.forked import Forks
from tests.train.resuming import assert_same, result, resumed, run_directory

ARGUMENTS = (
    *("--dataset=demo", "--model=tiny-roberta", "--limit=60", "--num-epochs=4"),
    *("--learning-rate=3e-2", "--batch-size=16", "--dropout=0.3", "--wandb-mode=disabled"),
)  # the best epoch is neither the first nor the last


def train(forks: Forks, output: Path, *arguments: str, kill_at: int = 0) -> int:
    """The exit code; what it did to the directory's files is in `output`.log."""
    trainer = forks.start(
        *arguments, f"--output={output}", PREPARE="tests.train.killing:install",
        KILL_BELOW=str(output), KILL_AT=str(kill_at), KILL_LOG=f"{output}.log",
    )  # fmt: skip
    return trainer.wait()


@pytest.mark.slow
@pytest.mark.parametrize("keep", [1, 2])
def test_killed_at_any_point_it_ends_with_the_same_bits(
    tmp_path: Path, forks: Forks, keep: int
) -> None:
    arguments = (*ARGUMENTS, f"--keep-checkpoints={keep}")
    whole = tmp_path / "whole"
    assert train(forks, whole, *arguments) == 0
    assert result(whole)[2]["best_epoch"] > 1
    changes = (tmp_path / "whole.log").read_text().splitlines()
    assert len(changes) > 15
    first = next(i for i, change in enumerate(changes, 1) if "/.state-" in change)
    for number in range(first + 1, len(changes) + 1, 2 if keep == 1 else 1):
        output = tmp_path / str(number)
        assert train(forks, output, *arguments, kill_at=number) == 9
        directory = run_directory(output)
        finished = "summary" in json.loads((directory / "run.json").read_text())
        if keep == 2 and not finished:  # the newest of two is damaged as well
            states = sorted(directory.glob("state-*.pt"))
            if len(states) > 1:
                states[-1].write_bytes(states[-1].read_bytes()[:-50])
        assert train(forks, output, *resumed(output)) == (1 if finished else 0)
        assert_same(output, whole)
        names = {path.name for path in directory.iterdir()}
        assert names == {path.name for path in run_directory(whole).iterdir()}, changes[number - 1]
        shutil.rmtree(output)


@pytest.mark.slow
def test_killed_before_the_last_rename_it_is_whole_when_it_is_seen(
    tmp_path: Path, forks: Forks
) -> None:
    whole = tmp_path / "whole"
    assert train(forks, whole, *ARGUMENTS) == 0
    changes = (tmp_path / "whole.log").read_text().splitlines()
    (last,) = (i for i, change in enumerate(changes, 1) if change.endswith("/checkpoint")
               and change.startswith("os.rename"))  # fmt: skip
    output = tmp_path / "killed"
    assert train(forks, output, *ARGUMENTS, kill_at=last) == 9
    assert not (run_directory(output) / "checkpoint").exists()
    assert train(forks, output, *resumed(output)) == 1  # it is finished
    assert result(output)[2] == result(whole)[2]
    assert_same(output, whole)
