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
from goemo_report.metrics.counts import ClassCounts, CountMetrics, count_metrics, text_metrics

Float32Array: TypeAlias = npt.NDArray[np.float32]
WeightArray: TypeAlias = npt.NDArray[np.uint8]

_CHUNK = 125
"""Resamples at once: bounds the working memory to a few megabytes."""


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
        return cls(classes, columns, text_metrics(truth[first], predicted[first]))

    def counts(self, sums: FloatArray) -> ClassCounts:
        """Confusion counts, (m, k) each, from sums of `columns`, (m, 3 k + g)."""
        tp, predicted, support = np.split(sums[:, : 3 * self.classes], 3, axis=1)
        total = sums[:, 3 * self.classes :].sum(axis=1, keepdims=True)
        return ClassCounts.of(tp, predicted, support, total)

    def metrics(self, sums: FloatArray) -> CountMetrics:
        """Every metric that follows from counts, from sums of `columns`."""
        metrics, kinds = count_metrics(self.counts(sums)), sums[:, 3 * self.classes :]
        for key, values in self.kinds.items():
            metrics.overall[key] = kinds @ values / kinds.sum(axis=1)
        return metrics

    def resampled(self, weights: npt.NDArray[np.generic]) -> CountMetrics:
        """Metrics of each resample."""
        return self.metrics(weighted_sums(weights, self.columns))
