"""Do probabilities mean what they say? Calibration errors and their noise, and what doubt tells."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.table import ratio
from goemo_report.statistics.distributions import Estimate, normal_quantile

BINS: Final = 15
POINTS: Final = 50


@dataclass(frozen=True, eq=False, slots=True)
class Reliability:
    """Bins of equal mass in the order of confidence, (b,) each, and what they add up to.

    `confidence` is the mean probability of a bin, `frequency` the share of positives.
    `ece` is the expected calibration error: the mean of |frequency - confidence|, weighted
    by size (Naeini et al., AAAI 2015, with the equal-mass bins of Nguyen and O'Connor, EMNLP
    2015). `spread` is the sum of p(1 - p) of each bin. `brier` is the mean squared error of the
    probabilities.
    """

    confidence: FloatArray
    frequency: FloatArray
    size: IntArray
    spread: FloatArray
    ece: float
    brier: float
    mean_probability: float
    base_rate: float

    @property
    def floor(self) -> Estimate:
        """The ECE of labels drawn from these very probabilities, pair by pair, in the same bins:
        its mean and its 95% range.

        No finite sample of a calibrated model has an ECE of 0 (consistency resampling: Broecker
        and Smith 2007). In closed form instead of by resampling: de Moivre's mean absolute
        deviation of the binomial (Diaconis and Zabell 1991), scaled to the spread of the bin.
        Labels of a text that exclude each other have up to a tenth less noise.
        """
        bins = zip(self.size.astype(np.float64), self.confidence, self.spread, strict=True)
        mean = np.array([_deviation(*one) for one in bins])
        total = float(self.size.sum())
        value = float(mean.sum()) / total
        error = math.sqrt(max(float((self.spread - mean**2).sum()), 0.0)) / total
        margin = normal_quantile() * error
        return Estimate(value, max(value - margin, 0.0), value + margin)

    @property
    def debiased(self) -> float:
        """ECE less what it owes to noise, not below 0.

        Twice the ECE, minus its mean where frequencies vary once more about those seen by their
        own normal error: the correction of Kumar, Liang and Ma (NeurIPS 2019) for absolute
        errors as their library makes it, in closed form. Of the noise of a calibrated model it
        leaves 2 - sqrt(2), 59%, of that of errors beyond the noise next to nothing. |x| has no
        unbiased estimate where it has a kink (Cai and Low 2011); squared errors have one (Broecker
        2012, Ferro and Fricker 2012), but their root has not. ECE - floor would be too low for
        models that are off.
        """
        gap = np.abs(self.frequency - self.confidence)
        error = np.sqrt(self.frequency * (1.0 - self.frequency) / self.size)
        ratio = gap / np.where(error > 0.0, error, 1.0)
        erf = np.array([math.erf(one / math.sqrt(2.0)) for one in ratio])
        folded = error * math.sqrt(2.0 / math.pi) * np.exp(-(ratio**2) / 2.0) + gap * erf
        again = np.where(error > 0.0, folded, gap)
        return max(float(np.average(2.0 * gap - again, weights=self.size)), 0.0)


def _deviation(number: float, mean: float, spread: float) -> float:
    """E|X - np| of a sum of `number` zeros and ones with this mean probability and variance."""
    if not 0.0 < mean < 1.0 or spread <= 0.0:
        return 0.0
    above = math.floor(number * mean) + 1.0
    if above > number:
        above = number  # the product is one but for rounding
    log_binomial = math.lgamma(number + 1) - math.lgamma(above + 1)
    log_binomial -= math.lgamma(number - above + 1)
    log_binomial += above * math.log(mean) + (number - above + 1) * math.log1p(-mean)
    found = 2.0 * above * math.exp(log_binomial)
    return found * math.sqrt(spread / (number * mean * (1.0 - mean)))


def reliability(truth: BoolArray, probabilities: FloatArray, bins: int = BINS) -> Reliability:
    """Reliability of (n,) or (n, k) outcomes, over all text x label pairs.

    Equal probabilities always share a bin, so that bins may be fewer and uneven.
    """
    outcomes, scores = truth.ravel(), probabilities.ravel()
    ranked = np.sort(scores)
    positives = np.sort(scores[outcomes])
    last = (np.arange(1, bins + 1) * len(ranked) // bins - 1).clip(0)
    tops = np.unique(ranked[last])  # the largest probability of each bin
    ends = np.searchsorted(ranked, tops, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    size = np.diff(ends, prepend=0).astype(np.int64)
    hits = np.diff(np.searchsorted(positives, tops, side="right"), prepend=0)
    confidence = np.add.reduceat(ranked, starts) / size
    frequency = hits / size
    return Reliability(
        confidence=confidence,
        frequency=frequency,
        size=size,
        spread=np.add.reduceat(ranked * (1.0 - ranked), starts),
        ece=float(np.average(np.abs(frequency - confidence), weights=size)),
        brier=float(np.mean((scores - outcomes) ** 2)),
        mean_probability=float(scores.mean()),
        base_rate=float(outcomes.mean()),
    )


# --- What doubt tells -----------------------------------------------------------------


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
