"""Precision-recall and ROC curves and threshold sweeps, thinned for drawing. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.table import ratio

MAX_POINTS: Final = 200
GRID: Final[FloatArray] = np.round(np.arange(0.01, 1.0, 0.01), 2)
"""Thresholds of a sweep: 0.01, 0.02, ..., 0.99."""


@dataclass(frozen=True, eq=False, slots=True)
class Steps:
    """Counts at every distinct score, highest first: (m,) each.

    At `thresholds[i]` (predicted at p >= t) `tp[i]` of `positives` are found among
    `predicted[i]` of `total` called.
    """

    thresholds: FloatArray
    tp: IntArray
    predicted: IntArray
    positives: int
    total: int

    @property
    def precision(self) -> FloatArray:
        """Share of the called that are right."""
        return ratio(self.tp, self.predicted)

    @property
    def recall(self) -> FloatArray:
        """Share of the positives that are found."""
        return ratio(self.tp, self.positives)

    @property
    def false_positive_rate(self) -> FloatArray:
        """Share of the negatives that are called."""
        return ratio(self.predicted - self.tp, self.total - self.positives)


@dataclass(frozen=True, eq=False, slots=True)
class Curve:
    """Points of a curve in order, (p,) each, with the threshold of every point."""

    x: FloatArray
    y: FloatArray
    thresholds: FloatArray


def steps(truth: BoolArray, scores: FloatArray) -> Steps:
    """Counts at every distinct score of (n,) truth and scores."""
    ranked = np.sort(scores)[::-1]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    thresholds = ranked[last]
    reached = np.searchsorted(-thresholds, -scores[truth])
    tp = np.cumsum(np.bincount(reached, minlength=len(thresholds)), dtype=np.int64)
    return Steps(thresholds, tp, last.astype(np.int64) + 1, int(tp[-1]), len(ranked))


def precision_recall_curve(found: Steps, points: int = MAX_POINTS) -> Curve | None:
    """Precision (y) over recall (x); None without a positive.

    Starts at recall 0 with the precision of the first step and ends at recall 1.
    """
    if not found.positives:
        return None
    done = int(np.searchsorted(found.tp, found.positives)) + 1  # further steps only lose
    recall = np.concatenate([[0.0], found.recall[:done]])
    precision = np.concatenate([found.precision[:1], found.precision[:done]])
    thresholds = np.concatenate([found.thresholds[:1], found.thresholds[:done]])
    return _thinned(recall, precision, thresholds, points)


def roc_curve(found: Steps, points: int = MAX_POINTS) -> Curve | None:
    """True positive rate (y) over false positive rate (x); None without both kinds."""
    if not 0 < found.positives < found.total:
        return None
    x = np.concatenate([[0.0], found.false_positive_rate])
    y = np.concatenate([[0.0], found.recall])
    return _thinned(x, y, np.concatenate([[np.inf], found.thresholds]), points)


def thin(x: FloatArray, y: FloatArray, points: int) -> IntArray:
    """Indices of at most `points` points that keep the shape of a curve.

    They lie at equal distances along the curve, measured as |dx| + |dy|, so that no part
    that was left out moves further than the curve's length / (points - 1).
    """
    if len(x) <= points:
        return np.arange(len(x), dtype=np.int64)
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    marks = np.linspace(0.0, length[-1], points)
    kept = np.unique(np.searchsorted(length, marks, side="left").clip(0, len(x) - 1))
    kept[0], kept[-1] = 0, len(x) - 1
    return kept.astype(np.int64)


def drawn(x: FloatArray, y: FloatArray, points: int) -> IntArray:
    """Indices of at most `points` points of a line that look like all: its extremes among them."""
    if len(x) <= points:
        return np.arange(len(x), dtype=np.int64)
    kept = thin(_to_one(x), _to_one(y), points - 2)
    return np.unique(np.concatenate([kept, [y.argmin(), y.argmax()]])).astype(np.int64)


def _to_one(values: FloatArray) -> FloatArray:
    low, high = float(values.min()), float(values.max())
    return (values - low) / ((high - low) or 1.0)


def _thinned(x: FloatArray, y: FloatArray, thresholds: FloatArray, points: int) -> Curve:
    kept = thin(x, y, points)
    return Curve(x[kept], y[kept], thresholds[kept])


@dataclass(frozen=True, eq=False, slots=True)
class Sweep:
    """Metrics at each threshold of a grid, (t,) each; `f1` per class is (t, k).

    `coverage` is the share of texts with at least one predicted label, `labels` the mean
    number of predicted labels per text.
    """

    thresholds: FloatArray
    macro_f1: FloatArray
    micro_f1: FloatArray
    coverage: FloatArray
    labels: FloatArray
    f1: FloatArray


def sweep(truth: BoolArray, probabilities: FloatArray, grid: FloatArray = GRID) -> Sweep:
    """One global threshold after the other, applied to (n, k) truth and probabilities."""
    rows, classes = truth.shape
    tp = np.empty((len(grid), classes))
    predicted = np.empty((len(grid), classes))
    for j in range(classes):
        column = probabilities[:, j]
        predicted[:, j] = _at_least(column, grid)
        tp[:, j] = _at_least(column[truth[:, j]], grid)
    support = np.broadcast_to(truth.sum(axis=0), tp.shape).astype(np.float64)
    called_or_true = predicted + support
    f1 = ratio(2 * tp, called_or_true)
    return Sweep(
        thresholds=grid,
        macro_f1=f1.mean(axis=1),
        micro_f1=ratio(2 * tp.sum(axis=1), called_or_true.sum(axis=1)),
        coverage=_at_least(probabilities.max(axis=1), grid) / rows,
        labels=predicted.sum(axis=1) / rows,
        f1=f1,
    )


def _at_least(scores: FloatArray, grid: FloatArray) -> FloatArray:
    """How many scores reach each threshold."""
    below = np.searchsorted(np.sort(scores), grid, side="left")
    return (len(scores) - below).astype(np.float64)
