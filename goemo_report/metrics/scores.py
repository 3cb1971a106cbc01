"""Multi-label metrics from arrays: counts, ratios of counts, and rankings. Pure, no I/O.

Zero division: a ratio with nothing in its denominator is 0.0 (scikit-learn's
`zero_division=0`). So precision is 0.0 where nothing is predicted, recall where nothing is
true, and F1 where neither is; such classes stay in macro averages. A ranking metric needs a
positive (AUC also a negative): where there is none it is nan and left out of macro means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.rankings import rank_classes, rank_pairs

METRICS_VERSION = 1
"""Raised whenever a number below may come out differently."""


ZERO_DIVISION_RULE = (
    "A ratio with an empty denominator counts as 0; a class without positives has no AUC and no "
    "average precision and is left out of their macro means."
)


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> FloatArray:
    """Element-wise quotient; 0.0 where the denominator is 0."""
    top, bottom = np.broadcast_arrays(
        np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    )
    result: FloatArray = np.divide(top, bottom, out=np.zeros(top.shape), where=bottom != 0)
    return result


# --- Counts ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class ClassCounts:
    """Confusion counts of each class, (k,) int64. Counts of disjoint texts add up with `+`."""

    tp: IntArray
    fp: IntArray
    fn: IntArray
    tn: IntArray

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def total(self) -> ClassCounts:
        """Counts over all classes as one, (1,): what micro averages are made of."""
        return ClassCounts(
            np.sum(self.tp, keepdims=True),
            np.sum(self.fp, keepdims=True),
            np.sum(self.fn, keepdims=True),
            np.sum(self.tn, keepdims=True),
        )

    @property
    def support(self) -> IntArray:
        """Texts that carry the class."""
        return self.tp + self.fn

    @property
    def predicted(self) -> IntArray:
        """Texts for which the class is predicted."""
        return self.tp + self.fp

    @property
    def precision(self) -> FloatArray:
        """Right among the predicted: tp / (tp + fp)."""
        return ratio(self.tp, self.predicted)

    @property
    def recall(self) -> FloatArray:
        """Found among the true: tp / (tp + fn)."""
        return ratio(self.tp, self.support)

    @property
    def f1(self) -> FloatArray:
        """Harmonic mean of the two: 2 tp / (2 tp + fp + fn)."""
        return ratio(2 * self.tp, self.support + self.predicted)


def count(truth: BoolArray, predicted: BoolArray) -> ClassCounts:
    """Confusion counts of each class from two (n, k) boolean arrays."""
    tp = np.count_nonzero(truth & predicted, axis=0).astype(np.int64)
    support = np.count_nonzero(truth, axis=0).astype(np.int64)
    called = np.count_nonzero(predicted, axis=0).astype(np.int64)
    return ClassCounts(tp, called - tp, support - tp, len(truth) - support - called + tp)


# --- Rankings -------------------------------------------------------------------------


def roc_auc(truth: BoolArray, scores: FloatArray) -> FloatArray:
    """Area under the ROC curve of each class, (k,).

    The share of (positive, negative) pairs in the right order, ties counting half (the
    Mann-Whitney statistic). nan where a class has no positive or no negative.
    """
    return np.array([ranking.auc() for ranking in rank_classes(truth, scores)], np.float64)


def micro_roc_auc(truth: BoolArray, scores: FloatArray) -> float:
    """Area under the ROC curve over all text x label pairs; nan if all pairs are alike."""
    return rank_pairs(truth, scores).auc()


def average_precision(truth: BoolArray, scores: FloatArray) -> FloatArray:
    """Average precision of each class, (k,): the sum of precision x gained recall.

    One step a distinct score, without interpolation; nan where a class has no positive.
    """
    rankings = rank_classes(truth, scores)
    return np.array([ranking.average_precision() for ranking in rankings], np.float64)


def micro_average_precision(truth: BoolArray, scores: FloatArray) -> float:
    """Average precision over all text x label pairs; nan without a positive."""
    return rank_pairs(truth, scores).average_precision()


# --- Scores ---------------------------------------------------------------------------

OVERALL_KEYS = (
    "micro_auc",
    "macro_auc",
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "samples_f1",
    "macro_precision",
    "micro_precision",
    "weighted_precision",
    "samples_precision",
    "macro_recall",
    "micro_recall",
    "weighted_recall",
    "samples_recall",
    "macro_average_precision",
    "micro_average_precision",
    "exact_match",
    "hamming_loss",
    "jaccard",
)
"""Keys of `Scores.overall`, in the order of reports. `jaccard` is the samples average."""


@dataclass(frozen=True, eq=False)
class Scores:
    """Every metric of `rows` texts at one threshold (or one a class, (k,)).

    `auc` and `average_precision` are (k,) and nan where undefined; `overall` has the keys
    OVERALL_KEYS, None where undefined.
    """

    labels: tuple[str, ...]
    rows: int
    threshold: float | FloatArray
    counts: ClassCounts
    auc: FloatArray
    average_precision: FloatArray
    overall: Mapping[str, float | None]

    @cached_property
    def without_auc(self) -> tuple[str, ...]:
        """Classes left out of the macro AUC: no positive, or no negative."""
        return tuple(
            label for label, value in zip(self.labels, self.auc, strict=True) if np.isnan(value)
        )

    @cached_property
    def never_predicted(self) -> tuple[str, ...]:
        """Classes that no text is predicted to carry."""
        called = self.counts.predicted
        return tuple(label for label, n in zip(self.labels, called, strict=True) if n == 0)


def score(
    truth: BoolArray,
    probabilities: FloatArray,
    labels: tuple[str, ...],
    threshold: float | FloatArray = 0.5,
) -> Scores:
    """All metrics of (n, k) truth and probabilities; a label is predicted at p >= threshold."""
    return score_predicted(truth, probabilities, probabilities >= threshold, labels, threshold)


def score_predicted(
    truth: BoolArray,
    probabilities: FloatArray,
    predicted: BoolArray,
    labels: tuple[str, ...],
    threshold: float | FloatArray = float("nan"),
) -> Scores:
    """As `score`, for predicted labels that were made elsewhere.

    `threshold` is only recorded; nan says that it is not known.
    """
    counts = count(truth, predicted)
    rankings, pairs = rank_classes(truth, probabilities), rank_pairs(truth, probabilities)
    auc = np.array([ranking.auc() for ranking in rankings], np.float64)
    precisions = np.array([ranking.average_precision() for ranking in rankings], np.float64)
    overall = {
        "micro_auc": pairs.auc(),
        "macro_auc": _mean_defined(auc),
        **averages(counts),
        **sample_averages(truth, predicted),
        "macro_average_precision": _mean_defined(precisions),
        "micro_average_precision": pairs.average_precision(),
    }
    return Scores(
        labels=labels,
        rows=len(truth),
        threshold=threshold,
        counts=counts,
        auc=auc,
        average_precision=precisions,
        overall={key: _or_none(overall[key]) for key in OVERALL_KEYS},
    )


def averages(counts: ClassCounts) -> dict[str, float]:
    """Macro, micro and support-weighted averages of precision, recall and F1."""
    total = counts.total
    weights = counts.support
    result: dict[str, float] = {}
    for name in ("f1", "precision", "recall"):
        values: FloatArray = getattr(counts, name)
        result[f"macro_{name}"] = float(values.mean())
        result[f"micro_{name}"] = float(getattr(total, name)[0])
        result[f"weighted_{name}"] = float(ratio(values @ weights, weights.sum()))
    return result


def sample_averages(truth: BoolArray, predicted: BoolArray) -> dict[str, float]:
    """Means over texts: precision, recall, F1, exact match, Hamming loss and Jaccard."""
    return {key: float(values.mean()) for key, values in sample_scores(truth, predicted).items()}


def sample_scores(truth: BoolArray, predicted: BoolArray) -> dict[str, FloatArray]:
    """The (n,) values whose means are the samples averages.

    A text with no true and no predicted label is an exact match, with F1 and Jaccard 0.0.
    """
    both = np.count_nonzero(truth & predicted, axis=1)
    true = np.count_nonzero(truth, axis=1)
    called = np.count_nonzero(predicted, axis=1)
    wrong = true + called - 2 * both
    return {
        "samples_f1": ratio(2 * both, true + called),
        "samples_precision": ratio(both, called),
        "samples_recall": ratio(both, true),
        "exact_match": (wrong == 0).astype(np.float64),
        "hamming_loss": wrong / truth.shape[1],
        "jaccard": ratio(both, true + called - both),
    }


def per_class_rows(scores: Scores) -> list[dict[str, Any]]:
    """One mapping a class: the columns of the guide's per-class CSV, then what is more."""
    counts = scores.counts
    columns: dict[str, list[Any]] = {
        "emotion": list(scores.labels),
        "f1_score": counts.f1.tolist(),
        "precision": counts.precision.tolist(),
        "recall": counts.recall.tolist(),
        "support": counts.support.tolist(),
        "tp": counts.tp.tolist(),
        "fp": counts.fp.tolist(),
        "fn": counts.fn.tolist(),
        "tn": counts.tn.tolist(),
        "auc": list(map(_or_none, scores.auc.tolist())),
        "average_precision": list(map(_or_none, scores.average_precision.tolist())),
        "predicted": counts.predicted.tolist(),
        "threshold": list(
            map(_or_none, np.broadcast_to(scores.threshold, len(scores.labels)).tolist())
        ),
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _mean_defined(values: FloatArray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
