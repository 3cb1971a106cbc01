"""What a run gains by leaving the texts out that it is least sure of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.table import ratio

POINTS: Final = 50


@dataclass(frozen=True, eq=False, slots=True)
class RiskCoverage:
    """Errors at 0.5 of the texts that are kept, the surest first.

    `coverage` (50,) are shares of texts, even steps up to 1; `error` is 1 minus the micro F1 of
    as many texts, `hamming` the share of wrong pairs, (50,) each. `aurc` is the mean of `hamming`
    over all numbers of texts, `error_aurc` that of `error` (the area under the risk-coverage curve:
    Geifman and El-Yaniv, NeurIPS 2017).
    """

    coverage: FloatArray
    error: FloatArray
    hamming: FloatArray
    aurc: float
    error_aurc: float

    def error_at(self, coverage: float) -> float:
        """1 minus the micro F1 of this share of the texts."""
        return float(np.interp(coverage, self.coverage, self.error))


def risk_coverage(truth: BoolArray, probabilities: FloatArray) -> RiskCoverage:
    """The curve of (n, k) predictions at 0.5.

    A text is the surer, the fewer wrong labels its own probabilities expect: the sum of
    min(p, 1 - p). Texts that are equally sure share their errors evenly.
    """
    doubt = np.minimum(probabilities, 1.0 - probabilities).sum(axis=1)
    order = np.argsort(doubt, kind="stable")
    predicted = probabilities >= DEFAULT_THRESHOLD
    rows, labels = truth.shape
    ends = np.flatnonzero(np.append(np.diff(doubt[order]) > 0.0, True))

    def kept(each: IntArray) -> FloatArray:
        """Sums over the surest 1, 2, ..., n texts."""
        at = np.append(0, np.cumsum(each[order])[ends])
        sums: FloatArray = np.interp(np.arange(1, rows + 1), np.append(0, ends + 1), at)
        return sums

    right, wrong = (truth & predicted).sum(axis=1), (truth != predicted).sum(axis=1)
    hits = kept(right)
    error = 1.0 - ratio(2.0 * hits, 2.0 * hits + kept(wrong))
    hamming = kept(wrong) / (labels * np.arange(1, rows + 1))
    coverage = np.arange(1, POINTS + 1) / POINTS
    at = np.maximum(np.ceil(coverage * rows).astype(int), 1) - 1
    return RiskCoverage(
        coverage, error[at], hamming[at], float(hamming.mean()), float(error.mean())
    )
