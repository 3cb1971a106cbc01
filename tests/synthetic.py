"""Results made directly from arrays, without the W&B client: fast and of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from goemo_report.analysis.truth import recomputed_metrics
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.contract import SPLITS, Split
from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.predictions import Predictions
from goemo_report.results import PREDICTION_ROLES, RunResult, SplitResult
from goemo_report.results.score_cache import score_both
from goemo_report.sources.model import ArtifactFile, ArtifactRef, RunRecord
from tests.offline_runs import OfflineRun, epoch_metrics, predictions, run_config

CREATED = datetime(2024, 12, 10, 14, 30, tzinfo=UTC)


def split_result(
    split: Split,
    texts: Sequence[str],
    truth: BoolArray,
    probabilities: FloatArray,
    labels: tuple[str, ...],
    threshold: float | FloatArray = 0.5,
) -> SplitResult:
    """A scored split whose `pred_labels` follow a threshold."""
    table = Predictions(
        tuple(texts),
        truth,
        probabilities,
        probabilities >= threshold,
        LabelSet.of(labels),
        f"{split}_predictions.csv",
    )
    role = PREDICTION_ROLES[split]
    artifact = ArtifactRef("a", f"m-{role}-r", "dataset", "v0", "d", 1, role, "r")
    file = ArtifactFile(f"{split}_predictions.csv", 1, "d")
    return SplitResult.of(split, score_both(table), artifact, file)


def run_result(
    run: OfflineRun | None = None,
    *,
    number: int = 0,
    splits: Sequence[Split] = SPLITS,
    threshold: float = 0.5,
    logged: Mapping[str, float] | None = None,
    config: Mapping[str, Any] | None = None,
    state: Any = "finished",
) -> RunResult:
    """What loading an OfflineRun would give; its logged figures are true unless given."""
    wanted = run or OfflineRun()
    made = {
        split: split_result(split, *predictions(wanted, split), wanted.labels, threshold)
        for split in splits
    }
    history = tuple(
        {"_step": epoch, **epoch_metrics(wanted, epoch)} for epoch in range(1, wanted.epochs + 1)
    )
    if logged is None:
        logged = {"best_epoch": wanted.epochs, "final_epoch": wanted.epochs}
        if "test" in made:
            logged |= {
                f"test/{key}": value
                for key, value in recomputed_metrics(made["test"]).items()
                if value is not None
            }
    record = RunRecord(
        id=wanted.id,
        name=wanted.name or f"{wanted.model}-20241210-1430{number:02d}",
        entity=wanted.entity,
        project=wanted.project,
        url=None,
        state=state,
        tags=(wanted.model, "training", "final") if wanted.tags is None else wanted.tags,
        created_at=CREATED + timedelta(minutes=number),
        config=run_config(wanted) if config is None else config,
        summary={},
        origin="memory",
    )
    artifacts = tuple(found.artifact for found in made.values())
    return RunResult(record, made, logged, history, artifacts, {})


def labels_only(result: RunResult) -> RunResult:
    """The same run with predicted labels, and no probabilities."""
    splits = {}
    for split, found in result.splits.items():
        marks = found.predictions.predicted.astype(np.float64)
        bare = replace(found.predictions, probabilities=marks, has_probabilities=False)
        splits[split] = SplitResult.of(split, score_both(bare), found.artifact, found.file)
    return replace(result, splits=splits)


def macro_f1(result: RunResult) -> float:
    """What runs are ranked by, on the test split."""
    return result.splits["test"].scores.overall["macro_f1"] or 0.0


def compared(comparison: Comparison, result: RunResult) -> ComparedRun:
    """The run of a comparison that a result became."""
    return next(run for run in comparison.runs if run.result is result)
