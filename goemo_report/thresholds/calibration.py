"""Do probabilities mean what they say? Calibration errors, what mends them, and what doubt tells.

What calibration on validation would gain is that of a temperature, and of isotonic regression of
each label.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.counts import count
from goemo_report.metrics.table import CLASS_METRICS, ratio
from goemo_report.predictions import Predictions
from goemo_report.statistics.distributions import Estimate, normal_quantile
from goemo_report.statistics.resampling import Clusters
from goemo_report.thresholds.tune import Tuned

BINS: Final = 15
POINTS: Final = 50
Method = Literal["as predicted", "temperature", "isotonic"]
_SURE: Final = float(np.finfo(np.float64).eps)
"""Probabilities count as at least this far from 0 and 1 in logarithms, as in scikit-learn."""
_STEPS: Final = 100


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


# --- What validation mends ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The judged predictions after one method that was fitted on validation.

    `ece`, `floor` and `debiased` are those of `Reliability`, `log_loss` (nats) and `brier` means
    over all pairs, `macro_f1` is at 0.5 and `tuned_macro_f1` at thresholds per label tuned on the
    validation predictions after the same method, None without these. The gains are over the
    predictions as they are, None for these. `temperature` is that of the method of this name.
    """

    method: Method
    ece: float
    floor: Estimate
    debiased: float
    log_loss: float
    brier: float
    macro_f1: float
    tuned_macro_f1: float | None
    log_loss_gain: Estimate | None = None
    brier_gain: Estimate | None = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the probabilities of a run can be believed.

    `methods` has the predictions as they are and, with validation predictions, after each method.
    """

    methods: tuple[Calibrated, ...]
    selective: RiskCoverage


def calibration(
    judged: Predictions, validation: Predictions | None = None, tuned_macro_f1: float | None = None
) -> Calibration:
    """Of the judged predictions as they are, after temperature and after isotonic regression.

    Both are fitted on validation predictions of the same labels. `tuned_macro_f1` is that of the
    predictions as they are. A temperature keeps the order of all probabilities, and so the F1
    that tuned thresholds reach.
    """
    truth, before = judged.truth, judged.probabilities
    start, clusters = _losses(truth, before), Clusters.of(judged.clusters, len(judged))

    def after(
        method: Method, probabilities: FloatArray, tuned: float | None, temperature: float | None
    ) -> Calibrated:
        found, losses = reliability(truth, probabilities), _losses(truth, probabilities)
        gains = [
            clusters.mean(one - own) if method != "as predicted" else None
            for one, own in zip(start, losses, strict=True)
        ]
        log_loss, brier = (float(one.mean()) for one in losses)
        macro_f1 = _macro_f1(truth, probabilities >= DEFAULT_THRESHOLD)
        errors = found.ece, found.floor, found.debiased, log_loss, brier
        return Calibrated(method, *errors, macro_f1, tuned, gains[0], gains[1], temperature)

    found = [after("as predicted", before, tuned_macro_f1, None)]
    if validation is not None:
        temperature = fit_temperature(validation.truth, validation.probabilities)
        cooled = with_temperature(before, temperature)
        mapped, cuts = _by_label(validation, before)
        found.append(after("temperature", cooled, tuned_macro_f1, temperature))
        found.append(after("isotonic", mapped, _macro_f1(truth, mapped >= cuts), None))
    return Calibration(tuple(found), risk_coverage(truth, before))


def _losses(truth: BoolArray, probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log loss and Brier score of each text, (n,), means over its labels."""
    likely = np.where(truth, probabilities, 1.0 - probabilities)
    log_loss = -np.log(np.clip(likely, _SURE, 1.0 - _SURE)).mean(axis=1)
    return log_loss, ((1.0 - likely) ** 2).mean(axis=1)


def _macro_f1(truth: BoolArray, predicted: BoolArray) -> float:
    return float(count(truth, predicted).of_metric(CLASS_METRICS["f1"]).mean())


def _logits(probabilities: FloatArray) -> FloatArray:
    sure = np.clip(probabilities, _SURE, 1.0 - _SURE)
    logits: FloatArray = np.log(sure) - np.log1p(-sure)
    return logits


def with_temperature(probabilities: FloatArray, temperature: float) -> FloatArray:
    """The probabilities of logits that are divided by a temperature."""
    cooled: FloatArray = 1.0 / (1.0 + np.exp(-_logits(probabilities) / temperature))
    return cooled


def fit_temperature(truth: BoolArray, probabilities: FloatArray) -> float:
    """The temperature with the lowest log loss over all pairs of (n, k) arrays.

    One parameter that divides every logit (Guo, Pleiss, Sun and Weinberger, ICML 2017), by
    Newton's method on its inverse, in which the loss is convex. At most 100 and at least 0.01.
    """
    logits = _logits(probabilities).ravel()
    positive = float(logits[truth.ravel()].sum())
    low, high, inverse = 0.01, 100.0, 1.0
    for _ in range(_STEPS):
        likely = 1.0 / (1.0 + np.exp(-inverse * logits))
        weighted = likely * logits
        slope = float(weighted.sum()) - positive
        low, high = (inverse, high) if slope < 0.0 else (low, inverse)
        curve = float(weighted @ logits) - float(weighted @ weighted)
        step = inverse - slope / curve if curve > 0.0 else 0.0
        following = step if low <= step <= high else (low + high) / 2.0
        if abs(following - inverse) <= 1e-9 * inverse:
            break
        inverse = following
    return 1.0 / inverse


def _by_label(validation: Predictions, before: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Probabilities (n, k) after isotonic regression, and the thresholds tuned on validation."""
    columns = (np.ascontiguousarray(one.T) for one in (validation.probabilities, before))
    fits = [
        isotonic(scores, true, asked)
        for scores, asked, true in zip(*columns, validation.truth.T, strict=True)
    ]
    least = 1.0 / (len(validation) + 2)  # a share of 0 or 1 among n texts is no certainty: Laplace
    fitted, after = (
        np.clip(np.stack(one, axis=1), least, 1.0 - least) for one in zip(*fits, strict=True)
    )
    return after, Tuned(validation.truth, fitted).thresholds


def isotonic(
    scores: FloatArray, outcomes: BoolArray | FloatArray, asked: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The rising function of scores that is nearest to outcomes by least squares, (n,) each.

    Its values at the scores, (n,), and at those that are `asked` for, (m,): straight between the
    scores, flat beyond. Pool adjacent violators (Ayer et al. 1955; for calibration Zadrozny and
    Elkan, KDD 2002). Equal scores are one point. Neighbours that do not rise are pooled, all at
    once, until all rise.
    """
    order = np.argsort(scores)
    x = scores[order]
    first = np.flatnonzero(np.append(True, x[1:] > x[:-1]))
    sums = np.add.reduceat(outcomes[order].astype(np.float64), first)
    sizes = np.diff(np.append(first, len(x))).astype(np.float64)
    x = x[first]
    starts = np.arange(len(x))
    while True:
        means = sums / sizes
        rises = np.append(True, means[1:] > means[:-1])
        if rises.all():
            break
        heads = np.flatnonzero(rises)
        sums, sizes = np.add.reduceat(sums, heads), np.add.reduceat(sizes, heads)
        starts = starts[heads]
    ends = np.append(starts[1:], len(x)) - 1
    corners = np.unique(np.concatenate([starts, ends]))
    block = np.searchsorted(starts, corners, side="right") - 1
    fitted = np.empty(len(scores))
    fitted[order] = np.repeat(means, sizes.astype(np.int64))
    return fitted, np.interp(asked, x[corners], means[block])
