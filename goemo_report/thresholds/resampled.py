"""Macro F1 at tuned thresholds where both splits are drawn again: validation and the judged one.

Tuned thresholds follow from a sample of validation texts. What that adds to the uncertainty shows
when each resample of the judged texts has thresholds of its own, tuned on a resample of
validation: a bootstrap of both samples (Efron and Tibshirani 1993, ch. 8).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.table import ratio
from goemo_report.predictions import Predictions
from goemo_report.statistics.resampling import WeightArray
from goemo_report.thresholds.tune import MINIMUM_SUPPORT, Tuned

_STEPS: Final = 20
"""Global thresholds on each side of the best one, from which a resample chooses."""
_REACH: Final = 3.0
"""How many times as many labels the lowest of them predicts as the best one, and how many times
lower than the best F1 of a class one may be to count as a cut of it."""
_AT_ONCE: Final = 1 << 21  # weights of one class: bounds the working memory


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Texts from the highest probability of a class down, as far as cuts may lie.

    `order` (m,) are their rows, `hit` (m,) those with the class, `positives` all rows with it. A
    cut is a number of texts that are predicted.
    """

    scores: FloatArray
    order: IntArray
    hit: BoolArray
    positives: IntArray

    @classmethod
    def of(
        cls, truth: BoolArray, scores: FloatArray, lowest: float, order: IntArray | None = None
    ) -> _Ranked:
        """Of (n,) texts, those with at least the probability `lowest`; `order` has all of them from
        the highest down, where that is known."""
        if order is None:
            chosen = np.flatnonzero(scores >= lowest)
            order = chosen[np.argsort(-scores[chosen])]
        order = order[: np.count_nonzero(scores >= lowest)]
        return cls(scores[order], order, truth[order], np.flatnonzero(truth))

    def cuts(self, thresholds: FloatArray) -> IntArray:
        """How many texts have at least these probabilities."""
        found: IntArray = np.searchsorted(-self.scores, -thresholds, side="right")
        return found

    def support(self, weights: WeightArray) -> IntArray:
        """Positives of each resample, (b,)."""
        total: IntArray = weights[:, self.positives].sum(axis=1, dtype=np.int64)
        return total

    def f1(self, weights: WeightArray, cuts: IntArray) -> FloatArray:
        """F1 of each resample, (b, c), at the cuts (c,)."""
        drawn = weights[:, self.order]
        before = np.concatenate([[0], np.cumsum(self.hit)])
        predicted, found = _sums(drawn, cuts), _sums(drawn[:, self.hit], before[cuts])
        return ratio(2.0 * found, predicted + self.support(weights)[:, None])

    def f1_each(self, drawn: WeightArray, cuts: IntArray) -> FloatArray:
        """F1 of each resample, (b,), at a cut of its own; of weights (n, b)."""
        predicted = drawn[self.order]
        predicted *= np.arange(len(self.order))[:, None] < cuts
        found, supported = (
            one.sum(axis=0, dtype=np.int64) for one in (predicted[self.hit], drawn[self.positives])
        )
        return ratio(2.0 * found, predicted.sum(axis=0, dtype=np.int64) + supported)


def _sums(drawn: WeightArray, ends: IntArray) -> IntArray:
    """Sums of the first columns of (b, m) weights, (b, c)."""
    sums = np.zeros((len(drawn), drawn.shape[1] + 1), np.int32)
    np.cumsum(drawn, axis=1, out=sums[:, 1:])
    wanted = np.broadcast_to(ends, (len(drawn), ends.shape[-1]))
    found: IntArray = np.take_along_axis(sums, wanted, axis=1)
    return found


@dataclass(frozen=True, eq=False)
class _Tuner:
    """Tunes thresholds on resamples of validation, by the rule of `Tuned`.

    F1 is taken at every cut below a positive: nowhere else can it be highest. `candidates` (g,)
    are the thresholds for all classes.
    """

    classes: list[_Ranked]
    own: list[FloatArray]
    candidates: FloatArray

    @classmethod
    def of(cls, truth: BoolArray, probabilities: FloatArray, overall: float | None) -> _Tuner:
        """For (n, k) validation texts, whose best threshold for all classes may be known."""
        tuned = Tuned(truth, probabilities)
        candidates = _around(tuned.overall if overall is None else overall, probabilities)
        classes, own = [], []
        for j, best in enumerate(tuned.per_class):
            column, true = probabilities[:, j], truth[:, j]
            predicted, support = column >= best, np.count_nonzero(true)
            f1 = 2.0 * np.count_nonzero(predicted & true) / max(predicted.sum() + support, 1)
            # with m predicted, F1 is at most 2 support / (m + support)
            most = int(min(support * (2.0 * _REACH / max(f1, 1e-9) - 1.0), len(column)))
            order = tuned.rankings[j].order
            deepest = float(column[order[max(most, 1) - 1]])
            one = _Ranked.of(true, column, min(deepest, float(candidates.min()), best), order)
            places = np.unique(one.cuts(one.scores[one.hit]))
            below = np.append(one.scores, one.scores[-1:] / 2)[places]
            classes.append(one)
            own.append(below + (one.scores[places - 1] - below) / 2)
        return cls(classes, own, candidates)

    def thresholds(self, weights: WeightArray) -> FloatArray:
        """Of each resample and class, (b, k)."""
        macro = np.zeros((len(weights), len(self.candidates)))
        found, few = [], []
        for one, own in zip(self.classes, self.own, strict=True):
            f1 = one.f1(weights, one.cuts(np.concatenate([self.candidates, own])))
            alone, at_all = f1[:, len(self.candidates) :], f1[:, : len(self.candidates)]
            macro += at_all
            found.append(own[alone.argmax(axis=1)] if own.size else np.zeros(len(weights)))
            few.append(one.support(weights) < MINIMUM_SUPPORT)
        overall = self.candidates[macro.argmax(axis=1)]
        return np.where(np.stack(few, axis=1), overall[:, None], np.stack(found, axis=1))


def _around(best: float, probabilities: FloatArray) -> FloatArray:
    """Thresholds that predict up to _REACH times as many labels as the best one, or as few."""
    pairs = np.sort(probabilities, axis=None)[::-1]
    number = max(int(np.count_nonzero(pairs >= best)), 1)
    ranks = number * _REACH ** np.linspace(-1.0, 1.0, 2 * _STEPS + 1)
    return np.append(np.unique(pairs[np.minimum(ranks.astype(int), len(pairs)) - 1]), best)


def tuned_macro_f1(
    validation: Predictions,
    judged: Predictions,
    drawn: WeightArray,
    judged_drawn: WeightArray,
    *,
    overall: float | None = None,
) -> FloatArray:
    """Macro F1 of each resample at thresholds tuned on a resample of validation, (b,).

    `drawn` and `judged_drawn` are the bootstrap weights of both, (b, n) each; runs that are
    compared have the same ones. `overall` is the threshold for all classes that is best on
    validation, where it is known already.
    """
    tuner = _Tuner.of(validation.truth, validation.probabilities, overall)
    step = max(_AT_ONCE // max(len(validation), len(judged)), 1)
    starts = range(0, len(drawn), step)
    thresholds = np.concatenate([tuner.thresholds(drawn[s : s + step]) for s in starts])
    total, judged_drawn = np.zeros(len(drawn)), np.ascontiguousarray(judged_drawn.T)
    for j, (true, column) in enumerate(zip(judged.truth.T, judged.probabilities.T, strict=True)):
        one = _Ranked.of(true, column, float(thresholds[:, j].min()))
        cuts = one.cuts(thresholds[:, j])
        for part in (slice(s, s + step) for s in starts):
            total[part] += one.f1_each(judged_drawn[:, part], cuts[part])
    return total / len(judged.labels)
