"""What calibration on validation would gain: temperature, and isotonic regression of each label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.counts import count
from goemo_report.metrics.table import CLASS_METRICS
from goemo_report.predictions import Predictions
from goemo_report.statistics.calibration import RiskCoverage, reliability, risk_coverage
from goemo_report.statistics.distributions import Estimate
from goemo_report.statistics.resampling import Clusters
from goemo_report.thresholds.tune import Tuned

Method = Literal["as predicted", "temperature", "isotonic"]
_SURE: Final = float(np.finfo(np.float64).eps)
"""Probabilities count as at least this far from 0 and 1 in logarithms, as in scikit-learn."""
_STEPS: Final = 100


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
    """Measure calibration as predicted, after temperature and after isotonic regression.

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
    brier = CLASS_METRICS["brier"].pairs
    assert brier is not None  # noqa: S101 # it is a mean over pairs
    return log_loss, brier(truth, probabilities).mean(axis=1)


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
