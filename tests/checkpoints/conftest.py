"""One trained run, read through the offline source, and copies of it that were tampered with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from goemo_report.checkpoints import checkpoint, checkpoint_files
from goemo_report.checkpoints.checkpoint import Checkpoint
from goemo_report.checkpoints.hypotheses import Trial
from goemo_report.predictions import Predictions, read_predictions
from goemo_report.sources.model import ArtifactRef, RunRecord
from goemo_report.sources.offline_logs.source import LogSource
from tests.memory_source import MemorySource
from tests.train.conftest import RUN_ID, Finished, finished

__all__ = ["finished"]  # the trainer's own fixture: the run is made once per session


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working directory and no W&B settings of the machine."""
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def trained(finished: Finished) -> RunRecord:
    """The run as its log has it."""
    return LogSource(finished.output).find_run(RUN_ID)


@pytest.fixture(scope="session")
def loaded(finished: Finished, trained: RunRecord) -> Checkpoint:
    """Its checkpoint, loaded once."""
    import torch

    torch.set_num_threads(1)
    with checkpoint_files.fetched(LogSource(finished.output), trained) as files:
        return checkpoint.load(files)


@pytest.fixture(scope="session")
def stated(finished: Finished) -> Predictions:
    """Its test predictions."""
    return read_predictions(finished.directory / "test_predictions.csv")


Tampered = Callable[..., MemorySource]


@pytest.fixture
def tampered(finished: Finished, trained: RunRecord) -> Tampered:
    """The run's files with some replaced (a path) or lost (None)."""

    def make(
        changes: Mapping[str, Path | None] = {},
        predictions: Path | None = None,
        drop: tuple[str, ...] = (),
    ) -> MemorySource:
        directory = finished.directory / "checkpoint"
        files: dict[str, Any] = {path.name: path for path in directory.iterdir()}
        files = {name: path for name, path in files.items() if name not in drop} | dict(changes)
        csv = predictions or finished.directory / "test_predictions.csv"
        source = MemorySource()
        source.add(
            trained,
            (artifact("checkpoint", "model"), files),
            (artifact("test-predictions", "dataset"), {"test_predictions.csv": csv}),
        )
        return source

    return make


def artifact(role: Any, kind: str) -> ArtifactRef:
    name = f"tiny-roberta-{role}-{RUN_ID}"
    return ArtifactRef(name, name, kind, "v0", "", 1, role, RUN_ID)


def blamed(trials: Sequence[Trial]) -> set[str]:
    """What is named as a cause, or as part of one."""
    return {trial.name for trial in trials if trial.explains or trial.helps}
