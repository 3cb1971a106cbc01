"""Texts that belong together: of one thread, of one author.

Texts of a cluster are alike, so that they say less than as many texts of their own. Resamples draw
whole clusters (the cluster bootstrap: Davison and Hinkley 1997, ch. 3.8), swaps of two runs'
outputs flip whole clusters, sums of influences are over clusters (Obuchowski 1997), and intervals
from counts have as many texts fewer as the design effect says (Rao and Scott 1992). Where every
text is a cluster of its own, all of it is what it is without clusters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.counts import ClassCounts, count
from goemo_report.metrics.table import Metric, ratio
from goemo_report.statistics.distributions import Estimate, normal_quantile
from goemo_report.statistics.resampling import WeightArray, bootstrap_weights

_STEP = 1e-3
"""Texts by which counts are moved for the slope of a metric."""


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
        if self.alone:
            return bootstrap_weights(len(self.codes), resamples, seed)
        return _weights(self.codes.tobytes(), self.number, resamples, seed)

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
        if self.alone:
            return np.ones(values.shape[1])
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


@lru_cache(maxsize=4)
def _weights(codes: bytes, number: int, resamples: int, seed: int) -> WeightArray:
    drawn = bootstrap_weights(number, resamples, seed)
    weights: WeightArray = drawn[:, np.frombuffer(codes, np.int64)]
    weights.flags.writeable = False
    return weights


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
