"""The thresholds with the best F1 on given predictions; the report and the trainer use these.

    tuned = Tuned(validation.truth, validation.probabilities)
    predicted = test.probabilities >= tuned.thresholds

Tuning is exact: F1 is taken at every cut between two adjacent distinct probabilities. The
threshold is the midpoint of the best cut; of equally good cuts the one nearest to 0.5, then
the lower one.

Tuned thresholds follow from a sample of validation texts. What that adds to the uncertainty shows
when each resample of the judged texts has thresholds of its own, tuned on a resample of
validation: a bootstrap of both samples (Efron and Tibshirani 1993, ch. 8), `tuned_macro_f1`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.rankings import Ranking, rank_classes
from goemo_report.metrics.table import f1_of
from goemo_report.predictions import Predictions
from goemo_report.statistics.resampling import WeightArray

MINIMUM_SUPPORT: Final = 10
"""A class with fewer positives has no threshold of its own: it keeps the one for all."""
RULE: Final = (
    "highest F1 of each class; of one with fewer than "
    f"{MINIMUM_SUPPORT} positives, the threshold with the highest macro F1 of all"
)
"""How `Tuned` chooses, for files and reports."""
_TOLERANCE: Final = 1e-12
_FOLDS: Final = 5  # of cross-fitting
_STEPS: Final = 20
"""Global thresholds on each side of the best one, from which a resample chooses."""
_REACH: Final = 3.0
"""How many times as many labels the lowest of them predicts as the best one, and how many times
lower than the best F1 of a class one may be to count as a cut of it."""
_AT_ONCE: Final = 1 << 21  # weights of one class: bounds the working memory


class Tuned:
    """Thresholds from (n, k) arrays of truth and probabilities, each computed when asked for."""

    def __init__(self, truth: BoolArray, probabilities: FloatArray) -> None:
        self.truth, self.probabilities = truth, probabilities

    @cached_property
    def rankings(self) -> list[Ranking]:
        """The ranking of each class."""
        return rank_classes(self.truth, self.probabilities)

    @cached_property
    def kept_global(self) -> BoolArray:
        """Classes too rare for a threshold of their own, (k,)."""
        few: BoolArray = np.count_nonzero(self.truth, axis=0) < MINIMUM_SUPPORT
        return few

    @cached_property
    def thresholds(self) -> FloatArray:
        """The threshold of each class by RULE, (k,)."""
        if not self.kept_global.any():
            return self.per_class
        return np.where(self.kept_global, self.overall, self.per_class)

    @cached_property
    def per_class(self) -> FloatArray:
        """The threshold with the best F1 of each class, (k,), however rare it is: the bound of
        what tuning can reach. A class without positives gets 0.5."""
        thresholds = np.full(self.truth.shape[1], DEFAULT_THRESHOLD)
        for j, ranking in enumerate(self.rankings):
            if ranking.positives:
                scores = self.probabilities[ranking.lowest, j]
                thresholds[j] = _best_cut(scores, _f1_at(ranking))
        return thresholds

    @cached_property
    def overall(self) -> float:
        """The threshold with the best macro F1 over all classes; 0.5 without positives."""
        if not self.truth.any():
            return DEFAULT_THRESHOLD
        gained = np.zeros(self.truth.shape)  # what a pair that is predicted adds to the sum of F1
        for j, ranking in enumerate(self.rankings):
            gained[ranking.lowest, j] = np.diff(_f1_at(ranking), prepend=0.0)
        pairs = Ranking.of(self.truth.ravel(), self.probabilities.ravel())
        macro = np.cumsum(gained.ravel()[pairs.order])[pairs.high - 1] / self.truth.shape[1]
        return _best_cut(self.probabilities.ravel()[pairs.lowest], macro)


def cross_fitted(truth: BoolArray, probabilities: FloatArray) -> BoolArray:
    """Labels predicted at tuned thresholds that never saw the text, (n, k), by cross-fitting.

    The thresholds of each fold are tuned on the others, so that runs can be chosen by
    tuned F1 on the split that tunes them (Stone 1974). Folds follow from the number of texts.
    """
    fold = np.random.default_rng(len(truth)).permutation(len(truth)) % _FOLDS
    predicted = np.zeros_like(truth)
    for number in range(_FOLDS):
        here = fold == number
        tuned = Tuned(truth[~here], probabilities[~here])
        predicted[here] = probabilities[here] >= tuned.thresholds
    return predicted


def _f1_at(ranking: Ranking) -> FloatArray:
    """F1 of a class when all items down to each group are predicted, (g,)."""
    return f1_of(ranking.hits, ranking.high + ranking.positives)


def _best_cut(scores: FloatArray, values: FloatArray) -> float:
    """Midpoint of the best cut, `values` (g,) being those of a cut below each of the distinct
    `scores` (g,), which fall."""
    best = np.flatnonzero(values >= values.max() - _TOLERANCE)
    above, below = scores[best], np.append(scores, 0.0)[best + 1]
    middles = below + (above - below) / 2
    cuts = np.where(middles > below, middles, above)  # no number lies between: p >= above
    nearest = np.lexsort((cuts, np.abs(cuts - DEFAULT_THRESHOLD)))[0]
    return float(cuts[nearest])


# --- Tuned anew on resamples ----------------------------------------------------------


class _Cuts(NamedTuple):
    """Where resamples may cut a class: each a number of items of its ranking that are predicted.

    Own cuts (c,) lie below a positive, as F1 can be highest nowhere else, `thresholds` (c,) are
    theirs; `shared` (g,) are those at the thresholds for all classes.
    """

    ranking: Ranking
    own: IntArray
    thresholds: FloatArray
    shared: IntArray


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
    tuned = Tuned(validation.truth, validation.probabilities)
    candidates = _around(tuned.overall if overall is None else overall, validation.probabilities)
    columns = zip(tuned.rankings, validation.probabilities.T, strict=True)
    classes = [_cuts(*one, candidates) for one in columns]
    step = max(_AT_ONCE // max(len(validation), len(judged)), 1)
    parts = [slice(start, start + step) for start in range(0, len(drawn), step)]
    thresholds = np.concatenate([_tuned_on(drawn[one], classes, candidates) for one in parts])
    total = np.zeros(len(drawn))
    for j, (true, column) in enumerate(zip(judged.truth.T, judged.probabilities.T, strict=True)):
        ranking = Ranking.of(true, column)
        cuts = _cuts_at(ranking, column, thresholds[:, j])
        for one in parts:
            total[one] += _resampled_f1(ranking, judged_drawn[one], cuts[one, None])[:, 0]
    return total / len(judged.labels)


def _around(best: float, probabilities: FloatArray) -> FloatArray:
    """Thresholds that predict up to _REACH times as many labels as the best one, or as few."""
    pairs = np.sort(probabilities, axis=None)[::-1]
    number = max(int(np.count_nonzero(pairs >= best)), 1)
    ranks = number * _REACH ** np.linspace(-1.0, 1.0, 2 * _STEPS + 1)
    return np.append(np.unique(pairs[np.minimum(ranks.astype(int), len(pairs)) - 1]), best)


def _cuts(ranking: Ranking, scores: FloatArray, candidates: FloatArray) -> _Cuts:
    """Cuts of a class at the thresholds for all, and its own as far down as one may be best."""
    shared = _cuts_at(ranking, scores, candidates)
    # with m items predicted, F1 is at most 2 positives / (m + positives)
    best, positives = float(_f1_at(ranking).max()), ranking.positives
    most = int(min(positives * (2.0 * _REACH / max(best, 1e-9) - 1.0), len(scores)))
    lowest = ranking.high[np.searchsorted(ranking.high, max(most, 1))]
    places = ranking.high[ranking.gained > 0]
    own = places[places <= max(lowest, shared.max())]
    ranked = scores[ranking.order]
    below = np.append(ranked, ranked[-1] / 2)[own]
    middles = below + (ranked[own - 1] - below) / 2
    return _Cuts(ranking, own, middles, shared)


def _cuts_at(ranking: Ranking, scores: FloatArray, thresholds: FloatArray) -> IntArray:
    """How many items have at least these probabilities."""
    found: IntArray = np.searchsorted(-scores[ranking.order], -thresholds, side="right")
    return found


def _tuned_on(weights: WeightArray, classes: list[_Cuts], candidates: FloatArray) -> FloatArray:
    """The thresholds of each resample and class, (b, k), by RULE."""
    macro = np.zeros((len(weights), len(candidates)))
    found, few = [], []
    for one in classes:
        f1 = _resampled_f1(one.ranking, weights, np.concatenate([one.shared, one.own]))
        at_all, alone = np.split(f1, [len(candidates)], axis=1)
        macro += at_all
        own = one.thresholds
        found.append(own[alone.argmax(axis=1)] if own.size else np.zeros(len(weights)))
        few.append(_support(one.ranking, weights) < MINIMUM_SUPPORT)
    overall = candidates[macro.argmax(axis=1)]
    return np.where(np.stack(few, axis=1), overall[:, None], np.stack(found, axis=1))


def _support(ranking: Ranking, weights: WeightArray) -> IntArray:
    """Positives of each resample, (b,)."""
    total: IntArray = weights[:, ranking.order[ranking.true]].sum(axis=1, dtype=np.int64)
    return total


def _resampled_f1(ranking: Ranking, weights: WeightArray, cuts: IntArray) -> FloatArray:
    """F1 of each resample, (b, c), of (b, n) weights, at the cuts (c,) or at its own, (b, c)."""
    drawn = weights[:, ranking.order[: cuts.max(initial=0)]]
    hits = np.searchsorted(ranking.true, cuts)
    hit = ranking.true[: hits.max(initial=0)]
    predicted, found = _sums(drawn, cuts), _sums(drawn[:, hit], hits)
    return f1_of(found, predicted + _support(ranking, weights)[:, None])


def _sums(drawn: WeightArray, ends: IntArray) -> IntArray:
    """Sums of the first columns of (b, m) weights, (b, c)."""
    sums = np.zeros((len(drawn), drawn.shape[1] + 1), np.int32)
    np.cumsum(drawn, axis=1, out=sums[:, 1:])
    wanted = np.broadcast_to(ends, (len(drawn), ends.shape[-1]))
    found: IntArray = np.take_along_axis(sums, wanted, axis=1)
    return found
