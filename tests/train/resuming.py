"""Runs that are interrupted and go on: how tests start them and what they compare."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tests.train.forked import Forks, Trainer

ARGUMENTS = (
    *("--dataset=demo", "--model=tiny-bert", "--num-epochs=5", "--limit=250"),
    *("--checkpoint-every=3", "--learning-rate=4e-3"),
)
TIMES = {"train/epoch_time", "train/samples_per_sec"}


@dataclass(frozen=True)
class Whole:
    """The run that nobody interrupts, and the seconds from its first step to its end."""

    output: Path
    seconds: float


def start(
    forks: Forks, output: Path, arguments: tuple[str, ...], mode: str = "disabled"
) -> Trainer:
    """A run that is about to take its first step; a resumed one has its own mode."""
    own = [] if arguments[0].startswith("--resume") else [f"--wandb-mode={mode}"]
    trainer = forks.start(*arguments, f"--output={output}", *own)
    trainer.wait_until_it_says("run ")
    return trainer


def run_directory(output: Path) -> Path:
    (found,) = output.glob("*/run.json")
    return found.parent


def resumed(output: Path) -> tuple[str, ...]:
    return (f"--resume={run_directory(output).name.rsplit('-', 1)[-1]}",)


def resume(forks: Forks, output: Path) -> Trainer:
    trainer = start(forks, output, resumed(output))
    assert trainer.wait() == 0, trainer.stderr()
    return trainer


def result(output: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]], dict[str, Any]]:
    """Weights, history and summary, without what a clock measured."""
    directory = run_directory(output)
    record = json.loads((directory / "run.json").read_text())
    history = [{k: v for k, v in row.items() if k not in TIMES} for row in record["history"]]
    summary = {k: v for k, v in record["summary"].items() if k != "total_training_time"}
    weights = torch.load(directory / "checkpoint" / "pytorch_model.bin", weights_only=True)
    return weights, history, summary


def assert_same(output: Path, expected: Path) -> None:
    weights, history, summary = result(output)
    true_weights, true_history, true_summary = result(expected)
    assert weights.keys() == true_weights.keys()
    assert all(torch.equal(weights[name], true_weights[name]) for name in weights)
    assert history == true_history
    assert summary == true_summary
    for name in ("val_predictions.csv", "test_predictions.csv"):
        own, whole = (run_directory(o) / name for o in (output, expected))
        assert own.read_bytes() == whole.read_bytes()
