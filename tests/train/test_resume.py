"""Runs that are killed and resumed end as if nothing had happened."""

from __future__ import annotations

import json
import random
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from goemo_train.config import REQUEUE
from tests.train.conftest import log_records
from tests.train.forked import Forks, Trainer
from tests.train.resuming import (
    ARGUMENTS,
    Whole,
    assert_same,
    resume,
    resumed,
    run_directory,
    start,
)


@pytest.fixture(scope="module")
def uninterrupted(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    output = tmp_path_factory.mktemp("whole")
    trainer = start(forks, output, ARGUMENTS)
    began = time.perf_counter()
    assert trainer.wait() == 0, trainer.stderr()
    return Whole(output, time.perf_counter() - began)


def kill(trainer: Trainer, number: int) -> int:
    """Send it a signal; gives its exit code, 0 where it was faster."""
    trainer.send(number)
    code = trainer.wait()
    said = trainer.stderr()
    told = 130 if number == signal.SIGINT else REQUEUE
    assert code in (0, -number, told), said
    if code == told:
        assert "go on with: goemo-train --resume" in said
    return code


def is_finished(output: Path) -> bool:
    """Whether the run had written its summary when the signal came."""
    return "summary" in json.loads((run_directory(output) / "run.json").read_text("utf-8"))


def kill_again_and_again(
    forks: Forks, output: Path, expected: Whole, signals: list[int], chance: random.Random
) -> int:
    """Kill the same command at random points until it ends, and compare; gives the kills."""
    kills = 0
    for number in signals:
        trainer = start(forks, output, (*ARGUMENTS, "--resume=auto"))
        time.sleep(chance.uniform(0, 0.4 * expected.seconds))
        if kill(trainer, number) == 0:  # it was faster
            break
        kills += 1
        if is_finished(output):  # it was killed while it took its leave
            break
    else:
        trainer = start(forks, output, (*ARGUMENTS, "--resume=auto"))
        assert trainer.wait() == 0, trainer.stderr()
    assert_same(output, expected.output)
    return kills


def test_killed_twice_and_resumed_it_ends_with_the_same_bits(
    tmp_path: Path, forks: Forks, uninterrupted: Whole
) -> None:
    signals: list[int] = [signal.SIGKILL, signal.SIGTERM]
    assert kill_again_and_again(forks, tmp_path, uninterrupted, signals, random.Random(4)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_killed_at_random_points(
    tmp_path: Path,
    forks: Forks,
    uninterrupted: Whole,
    seed: int,
    record_property: Callable[[str, object], None],
) -> None:
    chance = random.Random(seed)
    kinds = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]
    signals: list[int] = chance.choices(kinds, k=5)
    kills = kill_again_and_again(forks, tmp_path, uninterrupted, signals, chance)
    record_property("kills", kills)  # summed at the end of the test session


def kill_while_it_writes(trainer: Trainer, output: Path, name: str) -> None:
    """Kill it while a file or directory of this name is there, which is renamed when whole."""
    directory = run_directory(output)
    while True:
        while not list(directory.glob(name)):
            assert not trainer.has_ended(), trainer.stderr()
        trainer.send(signal.SIGSTOP)
        if list(directory.glob(name)):
            break
        trainer.send(signal.SIGCONT)
    trainer.send(signal.SIGKILL)
    assert trainer.wait() == -signal.SIGKILL
    assert list(directory.glob(name))


@pytest.mark.parametrize(
    "name", [".state-*.part", pytest.param("best.part", marks=pytest.mark.slow)]
)
def test_killed_while_it_writes(
    tmp_path: Path, forks: Forks, uninterrupted: Whole, name: str
) -> None:
    trainer = start(forks, tmp_path, ARGUMENTS)
    trainer.wait_until_it_says("epoch 2: ")
    kill_while_it_writes(trainer, tmp_path, name)
    said = resume(forks, tmp_path).stderr()
    assert "warning" not in said.split("predicting with")[0]  # what was half written is unseen
    assert_same(tmp_path, uninterrupted.output)
    assert not list(run_directory(tmp_path).glob("*.part"))


@pytest.mark.parametrize(
    "damage", ["cut", *(pytest.param(d, marks=pytest.mark.slow) for d in ("emptied", "changed"))]
)
def test_the_state_before_a_damaged_one_is_used(
    tmp_path: Path, forks: Forks, uninterrupted: Whole, damage: str
) -> None:
    trainer = start(forks, tmp_path, ARGUMENTS)
    trainer.wait_until_it_says("epoch 2: ")
    kill(trainer, signal.SIGKILL)
    before, newest = sorted(run_directory(tmp_path).glob("state-*.pt"))
    content = newest.read_bytes()
    middle = len(content) // 2
    newest.write_bytes(
        {
            "cut": content[:middle],
            "emptied": b"",  # a file system that had the name, not yet the data
            "changed": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        }[damage]
    )
    said = resume(forks, tmp_path).stderr()
    assert f"{newest.name} is damaged and was passed over" in said
    assert before.name not in said
    assert_same(tmp_path, uninterrupted.output)


@pytest.mark.slow
def test_without_a_whole_state_training_starts_again(
    tmp_path: Path, forks: Forks, uninterrupted: Whole
) -> None:
    kill(start(forks, tmp_path, ARGUMENTS), signal.SIGKILL)
    for path in run_directory(tmp_path).glob("state-*.pt"):
        path.write_bytes(b"")
    said = resume(forks, tmp_path).stderr()
    assert "no whole training state is there: training starts again" in said
    assert_same(tmp_path, uninterrupted.output)


@pytest.mark.parametrize("what", ["state", pytest.param("checkpoint", marks=pytest.mark.slow)])
def test_a_disk_that_fills_up_ends_with_the_command_that_goes_on(
    tmp_path: Path, forks: Forks, uninterrupted: Whole, what: str
) -> None:
    """Files that may grow no further, from one moment on, are as a full disk."""
    extra = () if what == "state" else ("--checkpoint-every=0",)
    trainer = start(forks, tmp_path, (*ARGUMENTS, *extra))
    trainer.wait_until_it_says("epoch 2: ")
    directory = run_directory(tmp_path)
    saved, *_ = directory.glob("best-*/checkpoint/pytorch_model.bin")
    weights = saved.stat().st_size
    size = 2 * weights if what == "state" else weights // 2  # a state is three times as large
    resource.prlimit(trainer.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    assert trainer.wait() == 1
    *_, last = trainer.stderr().splitlines()
    (option,) = resumed(tmp_path)
    assert last == (
        f"goemo-train: error: no room is left for {directory}. Make some, then: goemo-train "
        f"{option.replace('=', ' ')} --output {tmp_path}"
    )
    assert "Traceback" not in trainer.stderr()
    resume(forks, tmp_path)
    assert "damaged" not in trainer.stderr()
    assert_same(tmp_path, uninterrupted.output)


@pytest.mark.slow
def test_a_terminated_offline_run_is_marked_failed_and_resumes_into_one_log(
    tmp_path: Path, forks: Forks, uninterrupted: Whole
) -> None:
    trainer = start(forks, tmp_path, ARGUMENTS, "offline")
    trainer.wait_until_it_says("epoch 2: ")
    assert kill(trainer, signal.SIGTERM) == REQUEUE
    (log,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    records = log_records(log)
    (ended,) = (record["exit"] for record in records if record["type"] == "exit")
    assert ended["exit_code"] == REQUEUE
    kept = {r["artifact"]["name"] for r in records if r["type"] == "artifact"}
    assert len(kept) == 2  # checkpoint and validation predictions
    assert sum(r["type"] == "history" for r in records) >= 2

    states = sorted(tmp_path.glob("*/state-*.pt"))
    state = torch.load(states[-1], weights_only=True)["state"]
    assert (state["epoch_time"] > 0) == (state["batch"] > 0)  # what was done of the epoch counts

    resume(forks, tmp_path)
    assert_same(tmp_path, uninterrupted.output)
    (new,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert new.parent != log.parent
    assert list(tmp_path.glob("wandb/superseded-offline-run-*"))
    rows = [r["history"]["item"] for r in log_records(new) if r["type"] == "history"]
    assert [row["_step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    again = forks.start(*resumed(tmp_path), f"--output={tmp_path}")
    assert again.wait() == 1
    assert "is finished" in again.stderr()


def test_an_interrupted_series_names_what_was_not_begun(tmp_path: Path, forks: Forks) -> None:
    trainer = start(forks, tmp_path, (*ARGUMENTS, "--seeds=1,2", "--ablate=dropout=0.1,0.2"))
    trainer.wait_until_it_says("epoch 1: ")  # "run 1 of 4" comes before it listens
    trainer.send(signal.SIGTERM)
    assert trainer.wait() == REQUEUE
    *_, again, left = trainer.stderr().splitlines()
    assert "go on with: goemo-train --resume" in again
    assert left == "not begun: seed 1, dropout=0.2; seed 2, dropout=0.1; seed 2, dropout=0.2"
