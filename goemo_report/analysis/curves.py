"""Precision-recall and ROC curves and threshold sweeps, thinned for drawing. Pure numpy."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.counts import ClassCounts, count_metrics
from goemo_report.metrics.rankings import Groups

MAX_POINTS: Final = 200
GRID: Final[FloatArray] = np.round(np.arange(0.01, 1.0, 0.01), 2)
"""Thresholds of a sweep: 0.01, 0.02, ..., 0.99."""


class Curve(NamedTuple):
    """Points of a curve in order, (p,) each."""

    x: FloatArray
    y: FloatArray


def precision_recall_curve(found: Groups, points: int = MAX_POINTS) -> Curve | None:
    """Precision (y) over recall (x); None without a positive.

    Starts at recall 0 with the precision of the first step and ends at recall 1.
    """
    if not found.positives:
        return None
    done = int(np.searchsorted(found.hits, found.positives)) + 1  # further steps only lose
    precision = np.concatenate([found.precision[:1], found.precision[:done]])
    return _thinned(np.append(0.0, found.recall[:done]), precision, points)


def roc_curve(found: Groups, points: int = MAX_POINTS) -> Curve | None:
    """True positive rate (y) over false positive rate (x); None without both kinds."""
    if not found.positives or not found.negatives:
        return None
    false = (found.high - found.hits) / found.negatives
    return _thinned(np.append(0.0, false), np.append(0.0, found.recall), points)


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


def _thinned(x: FloatArray, y: FloatArray, points: int) -> Curve:
    kept = thin(x, y, points)
    return Curve(x[kept], y[kept])


def sweep(truth: BoolArray, probabilities: FloatArray) -> dict[str, FloatArray]:
    """Overall metrics at each threshold of GRID, (t,) each, by key.

    `coverage` is the share of texts with at least one predicted label.
    """
    columns = list(zip(truth.T, probabilities.T, strict=True))
    counts = ClassCounts.of(
        np.stack([_at_least(scores[true]) for true, scores in columns], axis=1),
        np.stack([_at_least(scores) for _, scores in columns], axis=1),
        truth.sum(axis=0),
        len(truth),
    )
    coverage = _at_least(probabilities.max(axis=1)) / len(truth)
    return count_metrics(counts).overall | {"coverage": coverage}


def _at_least(scores: FloatArray) -> FloatArray:
    """How many scores reach each threshold of GRID."""
    below = np.searchsorted(np.sort(scores), GRID, side="left")
    return (len(scores) - below).astype(np.float64)
