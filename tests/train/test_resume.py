"""Runs that are killed and resumed end as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.conftest import environment, goemo_train, log_records

ARGUMENTS = (
    *("--dataset=demo", "--model=tiny-bert", "--num-epochs=4", "--limit=1000"),
    *("--checkpoint-every=9", "--learning-rate=4e-3"),
)
TIMES = {"train/epoch_time", "train/samples_per_sec", "train/mfu"}


def result(output: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]], dict[str, Any]]:
    """Weights, history and summary, without what a clock measured."""
    (directory,) = (path.parent for path in output.glob("*/run.json"))
    record = json.loads((directory / "run.json").read_text())
    history = [{k: v for k, v in row.items() if k not in TIMES} for row in record["history"]]
    summary = {k: v for k, v in record["summary"].items() if k != "total_training_time"}
    weights = torch.load(directory / "checkpoint" / "pytorch_model.bin", weights_only=True)
    return weights, history, summary


def start_and_kill(
    root: Path, output: Path, arguments: tuple[str, ...], after: float, number: int, mode: str
) -> int:
    """Start a run and send it a signal so many seconds after training began."""
    command = [sys.executable, "-m", "goemo_train", *arguments]
    options = (f"--output={output}", f"--wandb-mode={mode}")
    process = subprocess.Popen(
        [*command, *options], env=environment(root), stderr=subprocess.PIPE, text=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith("run "):
            break
    time.sleep(after)
    process.send_signal(number)
    said += process.stderr.read()
    process.stderr.close()
    code = process.wait(timeout=60)
    assert code in (0, -number, 128 + number), said
    if code == 128 + number:
        assert "go on with: goemo-train --resume" in said
    return code


def resume(root: Path, output: Path, mode: str) -> None:
    run_id = next(output.glob("*/run.json")).parent.name.rsplit("-", 1)[-1]
    options = (f"--resume={run_id}", f"--output={output}", f"--wandb-mode={mode}")
    done = goemo_train(root, *options)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    done = goemo_train(root, *ARGUMENTS, f"--output={root / 'runs'}", "--wandb-mode=disabled")
    assert done.returncode == 0, done.stderr
    return root / "runs"


def assert_same(output: Path, expected: Path) -> None:
    weights, history, summary = result(output)
    true_weights, true_history, true_summary = result(expected)
    assert weights.keys() == true_weights.keys()
    assert all(torch.equal(weights[name], true_weights[name]) for name in weights)
    assert history == true_history
    assert summary == true_summary


def is_finished(output: Path) -> bool:
    """Whether the run had written its summary when the signal came."""
    return "summary" in json.loads(next(output.glob("*/run.json")).read_text("utf-8"))


def kill_again_and_again(
    root: Path, expected: Path, signals: list[int], chance: random.Random
) -> int:
    """Kill a run at random points, resume it each time, and compare; gives the kills."""
    output, kills = root / "runs", 0
    arguments: tuple[str, ...] = ARGUMENTS
    for number in signals:
        code = start_and_kill(root, output, arguments, chance.uniform(0.0, 2.0), number, "disabled")
        if code == 0:  # it was faster
            break
        kills += 1
        if is_finished(output):  # it was killed while it took its leave
            break
        run_id = next(output.glob("*/run.json")).parent.name.rsplit("-", 1)[-1]
        arguments = (f"--resume={run_id}",)
    else:
        resume(root, output, "disabled")
    assert_same(output, expected)
    return kills


def test_killed_twice_and_resumed_it_ends_with_the_same_bits(
    tmp_path: Path, uninterrupted: Path
) -> None:
    signals = [signal.SIGKILL, signal.SIGTERM]
    assert kill_again_and_again(tmp_path, uninterrupted, list(signals), random.Random(4)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_points(tmp_path: Path, uninterrupted: Path, seed: int) -> None:
    chance = random.Random(seed)
    signals = chance.choices([signal.SIGKILL, signal.SIGTERM, signal.SIGINT], k=3)
    kill_again_and_again(tmp_path, uninterrupted, list(signals), chance)


def test_a_terminated_offline_run_is_marked_failed_and_resumes_into_one_log(
    tmp_path: Path, uninterrupted: Path
) -> None:
    output = tmp_path / "runs"
    assert (
        start_and_kill(tmp_path, output, ARGUMENTS, 1.5, signal.SIGTERM, "offline")
        == 128 + signal.SIGTERM
    )
    (log,) = output.glob("wandb/offline-run-*/run-*.wandb")
    records = log_records(log)
    (ended,) = (record["exit"] for record in records if record["type"] == "exit")
    assert ended["exit_code"] == 128 + signal.SIGTERM
    kept = {r["artifact"]["name"] for r in records if r["type"] == "artifact"}
    epochs = [r for r in records if r["type"] == "history"]
    assert len(kept) == (2 if epochs else 0)  # checkpoint and validation predictions

    resume(tmp_path, output, "offline")
    assert_same(output, uninterrupted)
    (new,) = output.glob("wandb/offline-run-*/run-*.wandb")
    assert new.parent != log.parent
    assert list(output.glob("wandb/superseded-offline-run-*"))
    rows = [r["history"]["item"] for r in log_records(new) if r["type"] == "history"]
    assert [row["_step"] for row in rows] == [1, 2, 3, 4, 5]
    done = goemo_train(tmp_path, f"--resume={new.stem.removeprefix('run-')}", f"--output={output}")
    assert done.returncode == 1
    assert "is finished" in done.stderr


def test_a_full_disk_is_refused_before_training(tmp_path: Path) -> None:
    done = goemo_train(
        tmp_path,
        *("--dataset=demo", "--model=tiny-bert", "--limit=50", "--wandb-mode=disabled"),
        *("--keep-checkpoints=1000000", f"--output={os.fspath(tmp_path)}"),
    )
    assert done.returncode == 1
    assert "lower --keep-checkpoints" in done.stderr
