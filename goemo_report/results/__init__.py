"""The results of runs: what was predicted, what was logged, what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from shlex import quote
from typing import Any, Final, overload

import numpy as np

from goemo_report.contract import ARTIFACTS, Role, Split
from goemo_report.errors import argument
from goemo_report.labels import LabelSet
from goemo_report.metrics.scores import Scores
from goemo_report.metrics.table import canonical_metric
from goemo_report.predictions import Predictions
from goemo_report.results.score_cache import ScoredPredictions, score_both
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    RunRecord,
    SkippedRun,
    as_number,
)
from goemo_report.thresholds.infer import InferredThreshold, infer_threshold

PREDICTION_ROLES: Final[dict[Split, Role]] = {"val": "val-predictions", "test": "test-predictions"}


@dataclass(frozen=True, eq=False, slots=True)
class SplitResult:
    """The predictions of one run on one split, and what follows from them.

    `scores` hold at the fixed threshold 0.5; `as_logged` takes the file's own `pred_labels`,
    whatever threshold made them (the same object where both agree). `artifact` and `file`
    say where the predictions came from; `as_read` has what the file holds, where the labels
    were rolled up or some left out since.
    """

    split: Split
    predictions: Predictions
    scores: Scores
    as_logged: Scores
    threshold: InferredThreshold
    artifact: ArtifactRef
    file: ArtifactFile
    original: SplitResult | None = None

    @classmethod
    def of(
        cls, split: Split, scored: ScoredPredictions, artifact: ArtifactRef, file: ArtifactFile
    ) -> SplitResult:
        """Make the result of a split from scored predictions and the place they came from."""
        return cls(split, *scored, infer_threshold(scored.predictions), artifact, file)

    def changed(self, change: Callable[[Predictions], Predictions]) -> SplitResult:
        """Change the labels of the split and score it anew; itself where nothing changes."""
        predictions = change(self.predictions)
        if predictions is self.predictions:
            return self
        if predictions.change == self.predictions.change and predictions.labels == self.labels:
            return replace(self, predictions=predictions)
        found = SplitResult.of(self.split, score_both(predictions), self.artifact, self.file)
        return replace(found, original=self.as_read)

    @property
    def as_read(self) -> SplitResult:
        """The split with the labels of its file."""
        return self.original or self

    @property
    def label_digest(self) -> str:
        """Digest the labels, their order and what was done to them, as a key of caches."""
        held = self.predictions
        hasher = sha256(repr((held.labels, held.notes, held.clusters)).encode())
        if self.original is None:
            return hasher.hexdigest()
        for array in (held.truth, held.predicted, held.probabilities):
            hasher.update(np.ascontiguousarray(array).tobytes())
        return hasher.hexdigest()

    @property
    def rows(self) -> int:
        """Number of texts."""
        return len(self.predictions.texts)

    @property
    def label_set(self) -> LabelSet:
        """The run's labels and what is known about them."""
        return self.predictions.label_set

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the run's labels."""
        return self.predictions.labels


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class RunResult:
    """One run with everything that a report says about it.

    `logged` holds its last logged metrics under the guide's keys; `problems` says of a
    split that was asked for why it cannot be used.
    """

    run: RunRecord
    splits: Mapping[Split, SplitResult]
    logged: Mapping[str, float]
    history: History
    artifacts: tuple[ArtifactRef, ...]
    problems: Mapping[Split, str]

    @property
    def id(self) -> str:
        """The run's id, unique within its project."""
        return self.run.id

    @property
    def files(self) -> tuple[Predictions, ...]:
        """Its prediction files as they were read."""
        return tuple(found.as_read.predictions for found in self.splits.values())

    def changed(self, change: Callable[[Predictions], Predictions]) -> RunResult:
        """Change the labels of the run on every split."""
        splits = {split: found.changed(change) for split, found in self.splits.items()}
        alike = all(found is self.splits[split] for split, found in splits.items())
        return self if alike else replace(self, splits=splits)

    @property
    def as_read(self) -> RunResult:
        """The run with the labels of its files: those that its logged figures are about."""
        return replace(self, splits={split: one.as_read for split, one in self.splits.items()})


@dataclass(frozen=True, eq=False, slots=True)
class LoadedRuns(Sequence[RunResult]):
    """The runs that can be used, in the order asked, and those left out with the reason.

    `logged` are those left out of which there is only what they logged themselves; `notes` say
    which of several versions of their predictions was read.
    """

    results: tuple[RunResult, ...]
    skipped: tuple[SkippedRun, ...] = ()
    logged: tuple[RunResult, ...] = ()
    notes: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> RunResult: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RunResult, ...]: ...
    def __getitem__(self, index: int | slice) -> RunResult | tuple[RunResult, ...]:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)


def complete() -> str:
    """Complete a run that logged no predictions."""
    return (
        "To have a run compared, log its predictions (goemo_report.log_predictions), or name them "
        f"with {argument('predictions')} where they have another name"
    )


def left_out(run: RunRecord, reason: str) -> SkippedRun:
    """A run that is left out, with its state, and how to finish it on this machine."""
    if run.state in {"finished", "running"}:
        return SkippedRun(run.name, reason, run_id=run.id)
    output = quote(str(run.results.parent)) if run.results is not None else ""
    remedy = f"Finish it with `goemo-train --resume {run.id} --output {output}`"
    return SkippedRun(run.name, f"is {run.state}, {reason}", remedy if output else "", run.id)


def result_of(predictions: Predictions, split: Split, name: str) -> RunResult:
    """Predictions in memory as a run of this name."""
    run = RunRecord(
        *(name, name, None, "", None, "finished", (), None, {"model_name": name}, {}),
        origin="predictions in memory",
    )
    role = PREDICTION_ROLES[split]
    artifact = ArtifactRef(name, name, ARTIFACTS[role].type, None, "", 0, role, name)
    file = ArtifactFile(predictions.source, 0, "")
    found = SplitResult.of(split, score_both(predictions), artifact, file)
    return RunResult(run, {split: found}, {}, (), (artifact,), {})


def logged_metrics(run: RunRecord, history: History) -> dict[str, float]:
    """What a run logged, by canonical key: its summary, else the last value in its history.

    Where a run uses the guide's spelling and another one, the guide's counts.
    """
    raw: dict[str, Any] = {}
    for row in history:
        raw.update((key, value) for key, value in row.items() if value is not None)
    raw.update(run.summary)
    metrics: dict[str, float] = {}
    for key, value in raw.items():
        number = as_number(value)
        if number is None or key.startswith("_"):
            continue
        canonical = canonical_metric(key)
        if canonical == key or canonical not in raw:
            metrics[canonical] = number
    return metrics
