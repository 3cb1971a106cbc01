"""Texts worth reading: confident mistakes, texts on which two runs part, suspect labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Literal, NamedTuple

import numpy as np

from goemo_report.analysis.alignment import Alignment
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.predictions import Predictions


class Mistake(NamedTuple):
    """One wrong decision: row of the text, label, and how sure the run was of being right.

    `confidence` is p for a false positive, 1 - p for a false negative.
    """

    row: int
    label: int
    kind: Literal["false positive", "false negative"]
    confidence: float


def mistakes(predictions: Predictions, predicted: BoolArray, limit: int) -> list[Mistake]:
    """The `limit` most confident false positives and false negatives of each label.

    Labels in order, false positives first, most confident first, rows break ties.
    """
    truth, p = predictions.truth, predictions.probabilities
    found: list[Mistake] = []
    for label in range(len(predictions.labels)):
        for wrong, sure in ((predicted & ~truth, p), (truth & ~predicted, 1.0 - p)):
            kind = "false positive" if sure is p else "false negative"
            own = slice(label, label + 1)
            found += (
                Mistake(row, label, kind, float(sure[row, label]))  # type: ignore[arg-type] # above
                for row, _ in _most(wrong[:, own], sure[:, own], limit)
            )
    return found


class Disagreement(NamedTuple):
    """A text that one run gets right for a label and the other wrong; `better` says which."""

    row: int
    label: int
    better: Literal["first", "other"]
    probability: float
    other_probability: float


def disagreements(
    first: Predictions, other: Predictions, common: Alignment, threshold: float, limit: int
) -> list[Disagreement]:
    """The `limit` widest disagreements of either kind over the common rows and labels.

    Those that the first run gets right come first, widest first.
    """
    ours, theirs = common.take(first, other)
    p, q = ours.probabilities, theirs.probabilities
    right, other_right = (p >= threshold) == ours.truth, (q >= threshold) == ours.truth
    found: list[Disagreement] = []
    kinds: tuple[tuple[Literal["first", "other"], BoolArray], ...] = (
        ("first", right & ~other_right),
        ("other", other_right & ~right),
    )
    for better, differs in kinds:
        for i, j in _most(differs, np.abs(p - q), limit):
            at = int(common.rows[i]), int(common.columns[j])
            found.append(Disagreement(*at, better, float(p[i, j]), float(q[i, j])))
    return found


class Suspect(NamedTuple):
    """A text whose true label looks wrong: the runs are sure of the opposite.

    `mean` is their mean probability for the label; `labelled` says whether the text carries it.
    """

    row: int
    label: int
    labelled: bool
    mean: float


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
    return [
        Suspect(row, label, labelled, float(mean[row, label]))
        for labelled, suspect, sure in (
            (False, ~truth & (mean > high), mean),
            (True, truth & (mean < low), 1.0 - mean),
        )
        for row, label in _most(suspect, sure, limit)
    ]


def _most(chosen: BoolArray, sure: FloatArray, limit: int) -> Iterator[tuple[int, int]]:
    """The chosen places of a matrix with the largest values, largest first, rows break ties."""
    order = np.argsort(-sure[chosen], kind="stable")[:limit]
    yield from map(tuple, np.argwhere(chosen)[order].tolist())
