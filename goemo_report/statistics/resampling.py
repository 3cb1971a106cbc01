"""Metrics of many resamples at once: a weight matrix times the outcomes of each text.

A resample gives each text the number of times it was drawn. All counts-based metrics of a
resample follow from weighted sums of 0/1 outcomes, so that one matrix product serves them
all. Sums of whole numbers are exact in float32 below 2**24, in any order of addition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.scores import ratio, sample_scores

Float32Array: TypeAlias = npt.NDArray[np.float32]
WeightArray: TypeAlias = npt.NDArray[np.uint8]

_CHUNK = 125
"""Resamples at once: bounds the working memory to a few megabytes."""

RATIOS = ("f1", "precision", "recall")


@lru_cache(maxsize=4)
def bootstrap_weights(rows: int, resamples: int, seed: int) -> WeightArray:
    """How often each text is drawn in each resample, (resamples, rows); read-only.

    Each resample draws `rows` texts with replacement (Efron 1979). The same arguments give
    the same weights, so that runs on the same texts are resampled together.
    """
    generator = np.random.default_rng([seed, rows])
    weights = np.empty((resamples, rows), dtype=np.uint8)
    for start in range(0, resamples, _CHUNK):
        chunk = min(_CHUNK, resamples - start)
        drawn = generator.integers(rows, size=(chunk, rows), dtype=np.int32)
        drawn += np.arange(chunk, dtype=np.int32)[:, None] * rows
        counted = np.bincount(drawn.ravel(), minlength=chunk * rows)
        weights[start : start + chunk] = counted.reshape(chunk, rows)
    weights.flags.writeable = False
    return weights


def weighted_sums(
    weights: npt.NDArray[np.generic], outcomes: Float32Array | FloatArray
) -> FloatArray:
    """(resamples, rows) weights times (rows, c) outcomes, in the precision of the outcomes."""
    sums = np.empty((len(weights), outcomes.shape[1]), dtype=np.float64)
    buffer = np.empty((min(_CHUNK, len(weights)), len(outcomes)), dtype=outcomes.dtype)
    for start in range(0, len(weights), _CHUNK):
        part = weights[start : start + _CHUNK]
        buffer[: len(part)] = part
        sums[start : start + _CHUNK] = buffer[: len(part)] @ outcomes
    return sums


@dataclass(frozen=True, eq=False, slots=True)
class Outcomes:
    """What each text adds to the counts of each class and to the samples averages.

    `columns` is (n, 3 k + g) float32: true positives, predicted and true labels of each
    class, then one indicator for each of `g` kinds of text with the same samples scores;
    `kinds` holds those scores, (g,) each.
    """

    classes: int
    columns: Float32Array
    kinds: Mapping[str, FloatArray]

    @classmethod
    def of(cls, truth: BoolArray, predicted: BoolArray) -> Outcomes:
        """Outcomes of (n, k) true and predicted labels."""
        rows, classes = truth.shape
        both = truth & predicted
        sizes = np.stack([part.sum(axis=1) for part in (both, predicted, truth)], axis=1)
        code = sizes @ np.array([1, classes + 1, (classes + 1) ** 2])
        _, first, kind = np.unique(code, return_index=True, return_inverse=True)
        columns = np.zeros((rows, 3 * classes + len(first)), dtype=np.float32)
        columns[:, :classes] = both
        columns[:, classes : 2 * classes] = predicted
        columns[:, 2 * classes : 3 * classes] = truth
        columns[np.arange(rows), 3 * classes + kind] = 1.0
        return cls(classes, columns, sample_scores(truth[first], predicted[first]))

    def metrics(self, sums: FloatArray) -> Metrics:
        """Every counts-based metric from sums of `columns`, (m, 3 k + g)."""
        k = self.classes
        metrics = count_metrics(sums[:, :k], sums[:, k : 2 * k], sums[:, 2 * k : 3 * k])
        texts = sums[:, 3 * k :].sum(axis=1)
        for key, values in self.kinds.items():
            metrics.overall[key] = sums[:, 3 * k :] @ values / texts
        return metrics

    def resampled(self, weights: npt.NDArray[np.generic]) -> Metrics:
        """Metrics of each resample."""
        return self.metrics(weighted_sums(weights, self.columns))


@dataclass(frozen=True, eq=False, slots=True)
class Metrics:
    """Counts-based metrics of `m` resamples: overall (m,), per class (m, k), by key."""

    overall: dict[str, FloatArray]
    per_class: dict[str, FloatArray]

    def __sub__(self, other: Metrics) -> Metrics:
        return Metrics(
            {key: values - other.overall[key] for key, values in self.overall.items()},
            {key: values - other.per_class[key] for key, values in self.per_class.items()},
        )


def count_metrics(tp: FloatArray, predicted: FloatArray, support: FloatArray) -> Metrics:
    """Macro, micro and weighted averages, and per-class ratios, from counts (m, k) each."""
    per_class = _ratios(tp, predicted, support)
    total = _ratios(*(part.sum(axis=1) for part in (tp, predicted, support)))
    overall: dict[str, FloatArray] = {}
    for name, values in per_class.items():
        overall[f"macro_{name}"] = values.mean(axis=1)
        overall[f"micro_{name}"] = total[name]
        overall[f"weighted_{name}"] = ratio((values * support).sum(axis=1), support.sum(axis=1))
    return Metrics(overall, per_class)


def _ratios(tp: FloatArray, predicted: FloatArray, support: FloatArray) -> dict[str, FloatArray]:
    return {
        "f1": ratio(2 * tp, predicted + support),
        "precision": ratio(tp, predicted),
        "recall": ratio(tp, support),
    }
