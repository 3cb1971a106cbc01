"""Does a run's checkpoint give the run's predictions? The guide's "test artifact retrieval"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from goemo_report.checkpoints import checkpoint, checkpoint_files
from goemo_report.checkpoints.checkpoint import Precision, sigmoid
from goemo_report.checkpoints.hypotheses import Evidence, Trial, try_all, unexplained
from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.errors import ChangedFileError, DataError, NotFoundError, require_extra
from goemo_report.formats.notebook import NotebookRepr
from goemo_report.formats.wording import plural
from goemo_report.metrics.arrays import FloatArray
from goemo_report.metrics.scores import score
from goemo_report.predictions import Predictions
from goemo_report.results import PREDICTION_ROLES, SplitResult
from goemo_report.results.loading import load_results
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import RunRecord
from goemo_report.sources.newest import newest, prediction_file

TOLERANCES: Final[Mapping[str, float]] = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 3e-2}
"""Largest difference of a probability between machines, by the precision of the run."""
METRICS: Final = ("micro_auc", "macro_auc", "macro_f1", "micro_f1")
_ROUNDED: Final = 7  # decimals; a file with fewer was rounded
_CHUNK: Final = 512  # rows looked at for rounding


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Verification(NotebookRepr):
    """How the probabilities of a file and of the checkpoint compare.

    `flips` are labels on another side of `threshold`, by emotion; `metrics` holds (file,
    checkpoint) by name on the same rows. `trials` only where the check failed, and `suspicion`,
    in words, for when none of them explains it.
    """

    run: RunRecord
    artifact: str
    file: str
    split: Split
    rows: int
    of_rows: int
    labels: tuple[str, ...]
    largest: float
    where: tuple[int, str]
    mean: float
    tolerance: float
    precision: Precision
    tolerance_reason: str
    beyond: int
    threshold: float
    flips: Mapping[str, int]
    metrics: Mapping[str, tuple[float | None, float | None]]
    max_length: int
    device: str
    notes: tuple[str, ...]
    trials: tuple[Trial, ...]
    suspicion: str

    @property
    def agrees(self) -> bool:
        """Whether no probability differs by more than the tolerance."""
        return self.largest <= self.tolerance

    @property
    def explanation(self) -> str:
        """Explanation of the difference in one line; empty where there is none."""
        if self.agrees:
            return ""
        found = next((trial for trial in self.trials if trial.explains), None)
        if found is not None:
            return f"{found.name}: {found.finding}"
        helping = next((trial for trial in self.trials if trial.helps), None)
        if helping is not None:
            return f"mostly {helping.name}: {helping.finding}; something else differs as well"
        return self.suspicion

    def lines(self) -> list[str]:
        """Describe what was compared and what came out, a line a fact."""
        row, emotion = self.where
        rows = plural(self.of_rows, "text")
        rows = f"{self.rows:,} of {rows}" if self.rows < self.of_rows else rows
        flips = ", ".join(f"{name} {n}" for name, n in list(self.flips.items())[:8])
        longest = plural(self.max_length, "token")
        how = f"{len(self.labels)} labels, at most {longest}, on {self.device}"
        pairs = [
            ("run", f"{self.run.name} ({self.run.id})"),
            ("checkpoint", self.artifact),
            ("predictions", self.file),
            ("predicted", f"{rows}, {how}"),
            ("largest", f"{self.largest:.2g} (row {row}, {emotion})"),
            ("mean", f"{self.mean:.2g}"),
            ("tolerance", f"{self.tolerance:g} ({self.tolerance_reason})"),
            (
                "flips",
                f"{plural(sum(self.flips.values()), 'label')} at threshold {self.threshold:g}"
                + (f": {flips}" if flips else ""),
            ),
            *(("metric", _metric(name, *pair)) for name, pair in self.metrics.items()),
            *(("note", text) for text in self.notes),
        ]
        lines = [f"{name:<12}{text}" for name, text in pairs]
        if self.agrees:
            return [*lines, f"{'verified':<12}the checkpoint gives the predictions of the run"]
        beyond = f"{self.beyond:,} of {self.rows * len(self.labels):,} probabilities"
        lines.append(f"{'differs':<12}{beyond} by more than the tolerance")
        lines.append(f"{'because':<12}{self.explanation}")
        for trial in self.trials:
            said = f"; {trial.finding}" if trial.explains or trial.helps else ""
            left = f"leaves {trial.mean:.2g} mean, {trial.largest:.2g} largest"
            lines.append(f"{'tried':<12}{trial.name}: {left}{said}")
        return lines

    def document(self) -> dict[str, Any]:
        """What `verify --format json` prints."""
        row, emotion = self.where
        return {
            **self.about(),
            "agrees": self.agrees,
            "checkpoint": self.artifact,
            "predictions": self.file,
            **{name: getattr(self, name) for name in ("split", "rows", "of_rows")},
            "labels": len(self.labels),
            "max_difference": self.largest,
            "max_difference_at": {"row": row, "emotion": emotion},
            "mean_difference": self.mean,
            **{key: getattr(self, key) for key in ("tolerance", "tolerance_reason", "precision")},
            "beyond_tolerance": self.beyond,
            "threshold": self.threshold,
            "flips": sum(self.flips.values()),
            "flips_by_emotion": dict(self.flips),
            "metrics": {
                name: {"file": file, "checkpoint": now}
                for name, (file, now) in self.metrics.items()
            },
            "max_seq_length": self.max_length,
            "device": self.device,
            "notes": list(self.notes),
            "explanation": self.explanation,
            "hypotheses": [trial.document() for trial in self.trials],
        }


@dataclass(frozen=True, repr=False, slots=True)
class Changed(NotebookRepr):
    """A file of the checkpoint is not what was logged: nothing was predicted."""

    run: RunRecord
    error: ChangedFileError
    agrees: bool = False

    def lines(self) -> list[str]:
        """Which file, in one line."""
        return [f"{'differs':<12}{self.error.what}"]

    def document(self) -> dict[str, Any]:
        """What `verify --format json` prints."""
        return {**self.about(), "agrees": False, "explanation": self.error.what}


def verify(
    source: RunSource,
    run: RunRecord,
    split: Split = "test",
    *,
    limit: int | None = None,
    batch_size: int = checkpoint.BATCH_SIZE,
    device: str = "auto",
    max_length: int | None = None,
    tolerance: float | None = None,
    progress: Progress = silent,
) -> Verification:
    """Load the checkpoint of a run, predict a split again and compare.

    Raises ChangedFileError where its files or the predictions are not those that were logged,
    another GoemoError where it cannot be done.
    """
    require_extra("loading a checkpoint")
    stated = _stated(source, run, split, progress)
    predictions = stated.predictions
    if not predictions.has_probabilities:
        raise DataError(
            f"{predictions.source} has no probabilities, only labels", "There is nothing to verify"
        )
    with checkpoint_files.fetched(source, run, progress) as files:
        loaded = checkpoint.load(files, predictions.labels, device)
    loaded.require_labels(predictions.source, predictions.labels)
    rows = min(limit or len(predictions), len(predictions))
    wanted = predictions.take(np.arange(rows), np.arange(len(predictions.labels)))
    max_length = max_length or checkpoint.max_length_of(run, loaded)
    how = {"max_length": max_length, "batch_size": batch_size}
    logits = loaded.predict_finite(wanted.texts, **how, progress=progress)
    inferred = stated.threshold.value
    threshold = DEFAULT_THRESHOLD if inferred is None else inferred
    now = sigmoid(logits)
    differences = np.abs(now - wanted.probabilities)
    row, column = divmod(int(differences.argmax()), len(wanted.labels))
    largest = float(differences.max())
    precision = precision_of(run)
    reason = "as asked"
    if tolerance is None:
        tolerance, reason = tolerance_for(precision, wanted.probabilities)
    trials: tuple[Trial, ...] = ()
    suspicion = ""
    if largest > tolerance:
        evidence = Evidence(
            loaded, wanted.texts, wanted.probabilities, logits, tolerance, TOLERANCES, **how
        )
        trials, suspicion = tuple(try_all(evidence, progress)), unexplained(evidence)
    return Verification(
        run=run,
        artifact=loaded.name,
        file=predictions.source,
        split=split,
        rows=rows,
        of_rows=len(predictions),
        labels=wanted.labels,
        largest=largest,
        where=(row + 1, wanted.labels[column]),
        mean=float(differences.mean()),
        tolerance=tolerance,
        precision=precision,
        tolerance_reason=reason,
        beyond=int(np.count_nonzero(differences > tolerance)),
        threshold=threshold,
        flips=_flips(wanted, now, threshold),
        metrics=_metrics(wanted, now, threshold),
        max_length=max_length,
        device=loaded.device,
        notes=tuple(checkpoint.notes_on(run, loaded)),
        trials=trials,
        suspicion=suspicion,
    )


def _stated(source: RunSource, run: RunRecord, split: Split, progress: Progress) -> SplitResult:
    try:
        return load_results(source, [run], [split], progress)[0].splits[split]
    except NotFoundError:  # which does not tell a changed file from a lost one
        artifact = newest(run, source.artifacts([run]).get(run.id, ()), PREDICTION_ROLES[split])
        if artifact is not None:
            file = prediction_file(source.manifests([artifact])[0], split)
            wanted = [] if file is None else [(artifact, file)]
            checkpoint_files.require_unchanged(artifact, source.fetch(wanted, progress))
        raise


def precision_of(run: RunRecord) -> Precision:
    """The precision of a run's predictions, as its config has it; fp32 where it says nothing."""
    stated = str(run.config.get("eval_precision") or "fp32").lower()
    if stated == "auto":
        return "fp32" if str(run.config.get("gpu_type") or "cpu").lower() == "cpu" else "bf16"
    known: dict[str, Precision] = {
        "bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16",
    }  # fmt: skip
    return known.get(stated, "fp32")


def tolerance_for(precision: Precision, probabilities: FloatArray) -> tuple[float, str]:
    """The tolerance for a precision, widened by what the file was rounded to, and why."""
    tolerance, reason = TOLERANCES[precision], f"predicted in {precision}"
    sample = probabilities[:_CHUNK]
    for decimals in range(1, _ROUNDED):
        if np.abs(np.round(sample, decimals) - sample).max() < 1e-12:
            return tolerance + 0.5 * 10.0**-decimals, f"{reason}, rounded to {decimals} decimals"
    return tolerance, reason


def _flips(predictions: Predictions, now: FloatArray, threshold: float) -> dict[str, int]:
    other = (now >= threshold) != (predictions.probabilities >= threshold)
    counts = np.count_nonzero(other, axis=0).tolist()
    return {name: n for name, n in zip(predictions.labels, counts, strict=True) if n}


def _metrics(
    predictions: Predictions, now: FloatArray, threshold: float
) -> dict[str, tuple[float | None, float | None]]:
    truth, labels = predictions.truth, predictions.labels
    file = score(truth, predictions.probabilities, labels, threshold).overall
    again = score(truth, now, labels, threshold).overall
    return {name: (file[name], again[name]) for name in METRICS}


def _metric(name: str, file: float | None, now: float | None) -> str:
    shown = ["-" if value is None else f"{value:.4f}" for value in (file, now)]
    return f"{name:<10} {shown[0]} in the file, {shown[1]} from the checkpoint"
