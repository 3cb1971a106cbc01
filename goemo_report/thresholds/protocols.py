"""Threshold protocols: fixed, as logged, tuned on validation, and the bound tuned on test.

Tuning is exact, see `goemo_report.thresholds.tune`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.counts import averages
from goemo_report.predictions import Predictions
from goemo_report.thresholds.tune import Tuned

Protocol = Literal["fixed", "as-logged", "global", "per-class", "oracle"]


@dataclass(frozen=True, eq=False, slots=True)
class ThresholdChoice:
    """One protocol with its thresholds, (k,) in the order of `labels`.

    `thresholds` is None for labels that are taken as they were logged. `tuned_on` and `rows`
    say on which split and how many texts they were tuned; `fallback` names the classes that
    kept the global threshold.
    """

    protocol: Protocol
    labels: tuple[str, ...]
    thresholds: FloatArray | None
    tuned_on: Split | None = None
    rows: int = 0
    fallback: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """The protocol in one line, for column heads and signatures."""
        split = "validation" if self.tuned_on == "val" else self.tuned_on
        match self.protocol:
            case "fixed":
                return f"fixed {DEFAULT_THRESHOLD}"
            case "as-logged":
                return "as logged (pred_labels)"
            case "global":
                return f"one threshold, macro F1 tuned on {split} (n = {self.rows:,})"
            case "per-class":
                text = f"one threshold per class, F1 tuned on {split} (n = {self.rows:,})"
                if self.fallback:
                    text += f"; {', '.join(self.fallback)}: the global one, too few positives"
                return text
            case "oracle":
                return f"bound, not a result: per class, tuned on {split} itself"

    def predicted(self, predictions: Predictions) -> BoolArray:
        """Predicted labels of a file with the same labels, (n, k).

        Raises ValueError when its labels differ.
        """
        if predictions.labels != self.labels:
            raise ValueError(
                f"thresholds for {len(self.labels)} labels, {predictions.source} has "
                f"{len(predictions.labels)}"
            )
        if self.thresholds is None:
            return predictions.predicted
        return predictions.probabilities >= self.thresholds


@dataclass(frozen=True, eq=False, slots=True)
class ProtocolResult:
    """What one threshold protocol gives a run: the overall metrics that follow from labels."""

    choice: ThresholdChoice
    overall: Mapping[str, float]

    @classmethod
    def of(cls, choice: ThresholdChoice, predictions: Predictions) -> ProtocolResult:
        """Judge predictions with these thresholds."""
        return cls(choice, averages(predictions.truth, choice.predicted(predictions)))


def fixed(labels: tuple[str, ...]) -> ThresholdChoice:
    """The threshold that no data chose."""
    return ThresholdChoice("fixed", labels, np.full(len(labels), DEFAULT_THRESHOLD))


def as_logged(labels: tuple[str, ...]) -> ThresholdChoice:
    """The labels that the run itself predicted."""
    return ThresholdChoice("as-logged", labels, None)


def tuned(predictions: Predictions) -> tuple[ThresholdChoice, ThresholdChoice]:
    """Thresholds tuned on validation predictions: one for all classes, and one a class.

    A class that is too rare for its own keeps that for all, see `Tuned`.
    """
    found, labels = Tuned(predictions.truth, predictions.probabilities), predictions.labels
    kept = tuple(label for label, few in zip(labels, found.kept_global, strict=True) if few)
    overall, rows = np.full(len(labels), found.overall), len(predictions)
    return (
        ThresholdChoice("global", labels, overall, "val", rows),
        ThresholdChoice("per-class", labels, found.thresholds, "val", rows, kept),
    )


def tuned_per_class(predictions: Predictions) -> ThresholdChoice:
    """One threshold a class, each with the class's best F1 on validation predictions."""
    return tuned(predictions)[1]


def oracle(predictions: Predictions, split: Split = "test") -> ThresholdChoice:
    """Thresholds tuned on the very texts they are judged on: a bound that no run can report."""
    thresholds = Tuned(predictions.truth, predictions.probabilities).per_class
    return ThresholdChoice("oracle", predictions.labels, thresholds, split, len(predictions))


def choices(
    judged: Predictions, validation: Predictions | None, split: Split = "test"
) -> tuple[ThresholdChoice, ...]:
    """Every protocol for the predictions that are judged, the oracle last.

    Without validation predictions of the same labels there are no tuned protocols; nor when
    validation itself is judged, as tuning there would be the oracle. Without probabilities there
    are the labels as logged.
    """
    if not judged.has_probabilities:
        return (as_logged(judged.labels),)
    if validation is not None and not validation.has_probabilities:
        validation = None
    found = [fixed(judged.labels), as_logged(judged.labels)]
    if split != "val" and validation is not None and validation.labels == judged.labels:
        found += tuned(validation)
    return (*found, oracle(judged, split))


# --- Export ---------------------------------------------------------------------------


def export_thresholds(chosen: Iterable[tuple[str, ThresholdChoice]]) -> Mapping[str, Any]:
    """A JSON value of (run, choice) pairs, to apply elsewhere at p >= threshold.

    Only thresholds that can be applied: raises ValueError for an oracle or logged labels.
    """
    entries = []
    for run, choice in chosen:
        if choice.protocol == "oracle" or choice.thresholds is None:
            raise ValueError(f"{choice.protocol} thresholds are not for use")
        entries.append(
            {
                "run": run,
                "protocol": choice.protocol,
                "description": choice.description,
                "split": choice.tuned_on,
                "n": choice.rows,
                "labels": list(choice.labels),
                "thresholds": choice.thresholds.tolist(),
                "fallback": list(choice.fallback),
            }
        )
    return {"schema_version": SCHEMA_VERSION, "rule": "p >= threshold", "entries": entries}
