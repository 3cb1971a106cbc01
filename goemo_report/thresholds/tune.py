"""The thresholds with the best F1 on given predictions; the report and the trainer use these.

    tuned = Tuned(validation.truth, validation.probabilities)
    predicted = test.probabilities >= tuned.thresholds

Tuning is exact: F1 is taken at every cut between two adjacent distinct probabilities. The
threshold is the midpoint of the best cut; of equally good cuts the one nearest to 0.5, then
the lower one.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

import numpy as np

from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.rankings import Ranking, rank_classes
from goemo_report.metrics.table import ratio

MINIMUM_SUPPORT: Final = 10
"""A class with fewer positives has no threshold of its own: it keeps the one for all."""
RULE: Final = (
    "highest F1 of each class; of one with fewer than "
    f"{MINIMUM_SUPPORT} positives, the threshold with the highest macro F1 of all"
)
"""How `Tuned` chooses, for files and reports."""
_TOLERANCE: Final = 1e-12
_FOLDS: Final = 5  # of cross-fitting


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
    return ratio(2 * ranking.hits, ranking.high + ranking.positives)


def _best_cut(scores: FloatArray, values: FloatArray) -> float:
    """Midpoint of the best cut, `values` (g,) being those of a cut below each of the distinct
    `scores` (g,), which fall."""
    best = np.flatnonzero(values >= values.max() - _TOLERANCE)
    above, below = scores[best], np.append(scores, 0.0)[best + 1]
    middles = below + (above - below) / 2
    cuts = np.where(middles > below, middles, above)  # no number lies between: p >= above
    nearest = np.lexsort((cuts, np.abs(cuts - DEFAULT_THRESHOLD)))[0]
    return float(cuts[nearest])
