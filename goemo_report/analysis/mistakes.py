"""Texts worth reading: confident mistakes, texts on which two runs part, suspect labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

import numpy as np

from goemo_report.analysis.alignment import Alignment
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.predictions import Predictions

Kind = Literal["false positive", "false negative"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One wrong decision: row of the text, label, and the probability that the run gave it.

    `confidence` is how sure the run was of being right: p for a false positive, 1 - p for a
    false negative.
    """

    row: int
    label: int
    kind: Kind
    probability: float

    @property
    def confidence(self) -> float:
        """How sure the run was of its wrong decision."""
        return self.probability if self.kind == "false positive" else 1.0 - self.probability


def mistakes(predictions: Predictions, predicted: BoolArray, limit: int) -> list[Mistake]:
    """The `limit` most confident false positives and false negatives of each label.

    Labels in order, false positives first, most confident first, rows break ties.
    """
    kinds: tuple[tuple[Kind, BoolArray], ...] = (
        ("false positive", predicted & ~predictions.truth),
        ("false negative", predictions.truth & ~predicted),
    )
    return [
        Mistake(row, label, kind, float(predictions.probabilities[row, label]))
        for label in range(len(predictions.labels))
        for kind, wrong in kinds
        for row in _top(predictions.probabilities[:, label], wrong[:, label], kind, limit)
    ]


def _top(probabilities: FloatArray, wrong: BoolArray, kind: Kind, limit: int) -> Iterator[int]:
    rows = np.flatnonzero(wrong)
    sign = -1.0 if kind == "false positive" else 1.0
    order = np.argsort(sign * probabilities[rows], kind="stable")[:limit]
    yield from rows[order].tolist()


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A text that one run gets right for a label and the other wrong.

    `better` says which: the first run or the other one. `margin` is the distance of the two
    probabilities.
    """

    row: int
    label: int
    better: Literal["first", "other"]
    probability: float
    other_probability: float

    @property
    def margin(self) -> float:
        """How far the two probabilities lie apart."""
        return abs(self.probability - self.other_probability)


def disagreements(
    first: Predictions, other: Predictions, common: Alignment, threshold: float, limit: int
) -> list[Disagreement]:
    """The `limit` widest disagreements of either kind over the common rows and labels.

    Those that the first run gets right come first, widest first.
    """
    ours = first.take(common.rows, common.columns)
    p, q = ours.probabilities, other.take(common.other_rows, common.other_columns).probabilities
    right, other_right = (p >= threshold) == ours.truth, (q >= threshold) == ours.truth
    found: list[Disagreement] = []
    kinds: tuple[tuple[Literal["first", "other"], BoolArray], ...] = (
        ("first", right & ~other_right),
        ("other", other_right & ~right),
    )
    for better, differs in kinds:
        places = np.argwhere(differs)
        gaps = np.abs(p - q)[differs]
        for i, j in places[np.argsort(-gaps, kind="stable")[:limit]].tolist():
            at = int(common.rows[i]), int(common.columns[j])
            found.append(Disagreement(*at, better, float(p[i, j]), float(q[i, j])))
    return found


@dataclass(frozen=True, slots=True)
class Suspect:
    """A text whose true label looks wrong: every run is sure of the opposite.

    `mean` is the mean probability of `runs` runs for the label; `labelled` says whether the
    text carries it.
    """

    row: int
    label: int
    labelled: bool
    mean: float
    runs: int

    @property
    def confidence(self) -> float:
        """How sure the runs are, on average, that the label is wrong."""
        return 1.0 - self.mean if self.labelled else self.mean


def suspects(truth: BoolArray, probabilities: Sequence[FloatArray], limit: int) -> list[Suspect]:
    """Labels that contradict the model most, from (n, k) truth and each run's probabilities.

    The off-diagonal rule of confident learning (Northcutt et al., JAIR 2021), taken per label:
    a text is suspect if its mean probability is above the mean probability of texts that
    carry the label although it does not, or below that of texts that do not although it
    does. At most `limit` of either kind: labels that seem missing first, most confident first.
    """
    mean = reduce(np.add, probabilities) / len(probabilities)
    carried, support = (mean * truth).sum(axis=0), truth.sum(axis=0)
    missing, rest = (mean * ~truth).sum(axis=0), (~truth).sum(axis=0)
    high = np.divide(carried, support, out=np.full(truth.shape[1], np.inf), where=support > 0)
    low = np.divide(missing, rest, out=np.full(truth.shape[1], -np.inf), where=rest > 0)
    found: list[Suspect] = []
    for labelled, suspect in ((False, ~truth & (mean > high)), (True, truth & (mean < low))):
        places = np.argwhere(suspect)
        sign = 1.0 if labelled else -1.0
        order = np.argsort(sign * mean[suspect], kind="stable")[:limit]
        found += [
            Suspect(int(i), int(j), labelled, float(mean[i, j]), len(probabilities))
            for i, j in places[order]
        ]
    return found
