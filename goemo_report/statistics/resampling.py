"""Texts drawn again: how often, whole clusters at once, and the metrics of many draws together.

A resample gives each text the number of times it was drawn. All counts-based metrics of a
resample follow from weighted sums of 0/1 outcomes, so that one matrix product serves them
all. Sums of whole numbers are exact in float32 below 2**24, in any order of addition.

Texts of a cluster, of one thread or one author, are alike, so that they say less than as many texts
of their own. Resamples draw whole clusters (the cluster bootstrap: Davison and Hinkley 1997,
ch. 3.8), swaps of two runs' outputs flip whole clusters, sums of influences are over clusters
(Obuchowski 1997), and intervals from counts have as many texts fewer as the design effect says (Rao
and Scott 1992). Where every text is a cluster of its own, all of it is what it is without clusters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.counts import (
    ClassCounts,
    CountMetrics,
    count,
    count_metrics,
    text_metrics,
)
from goemo_report.metrics.table import Metric, ratio
from goemo_report.statistics.distributions import Estimate, normal_quantile

Float32Array: TypeAlias = npt.NDArray[np.float32]
WeightArray: TypeAlias = npt.NDArray[np.uint8]

_CHUNK = 125
"""Resamples at once: bounds the working memory to a few megabytes."""
_STEP = 1e-3
"""Texts by which counts are moved for the slope of a metric."""


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

    def resampled(self, weights: npt.NDArray[np.generic]) -> CountMetrics:
        """Every metric that follows from counts, of each resample: (m,) overall and (m, k)."""
        sums = weighted_sums(weights, self.columns)
        tp, predicted, support, kinds = np.split(sums, np.arange(1, 4) * self.classes, axis=1)
        texts = kinds.sum(axis=1)
        metrics = count_metrics(ClassCounts.of(tp, predicted, support, texts[:, None]))
        for key, values in self.kinds.items():
            metrics.overall[key] = kinds @ values / texts
        return metrics


@dataclass(frozen=True, eq=False, slots=True)
class Clusters:
    """The cluster of each text as a number, (n,), in the order in which clusters first occur."""

    codes: IntArray
    number: int

    @classmethod
    def of(cls, cells: Sequence[str], texts: int) -> Clusters:
        """From a cell for each text; an empty one, or none at all, is a cluster of its own."""
        if not any(cells):
            return cls(np.arange(texts), texts)
        names: dict[str | int, int] = {}
        keys = (cell or row for row, cell in enumerate(cells))
        codes = np.array([names.setdefault(key, len(names)) for key in keys], np.int64)
        return cls(codes, len(names))

    @property
    def alone(self) -> bool:
        """Whether every text is a cluster of its own."""
        return self.number == len(self.codes)

    def weights(self, resamples: int, seed: int) -> WeightArray:
        """How often each text is drawn in each resample, (resamples, n), whole clusters at once."""
        drawn = bootstrap_weights(self.number, resamples, seed)
        return drawn if self.alone else drawn[:, self.codes]

    def coin_flips(self, repeats: int, seed: int, chosen: IntArray) -> WeightArray:
        """Zeros and ones, (repeats, c), for the chosen texts, the same ones within a cluster.

        A cluster has the same coins whichever texts are chosen, so that pairs of runs that differ
        on some can be tested together.
        """
        size, places = (self.number + 7) // 8, self.codes[chosen]
        drawn = np.random.default_rng([seed, self.number, 1]).bytes(repeats * size)
        bits = np.frombuffer(drawn, np.uint8).reshape(repeats, size)
        flips = np.take(bits, places >> 3, axis=1)  # each bit from its byte, the highest one first
        flips >>= (7 - (places & 7)).astype(np.uint8)
        flips &= 1
        return flips

    def summed(self, values: FloatArray) -> FloatArray:
        """The sums of (n, c) values over each cluster, (number, c)."""
        if self.alone:
            return values
        order = np.argsort(self.codes, kind="stable")
        starts = np.flatnonzero(np.diff(self.codes[order], prepend=-1))
        found: FloatArray = np.add.reduceat(values[order], starts, axis=0)
        return found

    def effects(self, values: FloatArray) -> FloatArray:
        """By how much clusters raise the variance of sums of (n, c) values, (c,), at least 1.

        Where all are 0, nothing shows how alike clusters are: they count as one text each.
        """
        together, alone = np.square(self.summed(values)).sum(axis=0), np.square(values).sum(axis=0)
        found: FloatArray = np.maximum(ratio(together, alone), 1.0)
        found[alone == 0.0] = len(values) / self.number
        return found

    def mean(self, values: FloatArray) -> Estimate:
        """The mean of (n,) values with its normal interval; that of a single cluster has none."""
        mean, error = float(values.mean()), 0.0
        if self.alone and self.number > 1:
            error = float(values.std(ddof=1)) / math.sqrt(len(values))
        elif self.number > 1:
            sums = self.summed((values - values.mean())[:, None])
            scale = self.number / (self.number - 1)
            error = math.sqrt(scale * float(np.square(sums).sum())) / len(values)
        margin = normal_quantile() * error
        return Estimate(mean, mean - margin, mean + margin)


def linearised(metric: Metric, truth: BoolArray, predicted: BoolArray) -> FloatArray:
    """How far each text moves a metric that follows from counts, (n, k), to first order."""
    counts = count(truth, predicted)
    kinds = [truth & predicted, ~truth & predicted, truth & ~predicted, ~truth & ~predicted]
    numbers = [1.0 * part for part in (counts.tp, counts.fp, counts.fn, counts.tn)]
    value = ClassCounts(*numbers).of_metric(metric)
    found = np.zeros(truth.shape)
    for at, kind in enumerate(kinds):
        moved = [part + _STEP * (place == at) for place, part in enumerate(numbers)]
        slope = (ClassCounts(*moved).of_metric(metric) - value) / _STEP
        found += slope * (kind - numbers[at] / len(truth))
    return found
