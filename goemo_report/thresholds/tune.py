"""The thresholds with the best F1 on given predictions; the report and the trainer use these.

    tuned = tuned_thresholds(validation.truth, validation.probabilities)
    predicted = test.probabilities >= tuned.thresholds

Tuning is exact: F1 is taken at every cut between two adjacent distinct probabilities. The
threshold is the midpoint of the best cut; of equally good cuts the one nearest to 0.5, then
the lower one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.rankings import Ranking, rank_classes, rank_pairs
from goemo_report.metrics.table import ratio

MINIMUM_SUPPORT: Final = 10
"""A class with fewer positives has no threshold of its own: it keeps the one for all."""
RULE: Final = (
    "highest F1 of each class; of one with fewer than "
    f"{MINIMUM_SUPPORT} positives, the threshold with the highest macro F1 of all"
)
"""How `tuned_thresholds` chooses, for files and reports."""
_TOLERANCE: Final = 1e-12
Rankings: TypeAlias = Sequence[Ranking]
"""Those of each class, where they are known already."""


class Tuned(NamedTuple):
    """A threshold for each class, (k,), and which classes kept the one for all, (k,)."""

    thresholds: FloatArray
    kept_global: BoolArray


def tuned_thresholds(
    truth: BoolArray,
    probabilities: FloatArray,
    *,
    minimum_support: int = MINIMUM_SUPPORT,
    overall: float | None = None,
    rankings: Rankings | None = None,
) -> Tuned:
    """The threshold of each class by RULE, from (n, k) arrays.

    `overall` is the one for all classes, where it is known already, and so are `rankings`.
    """
    few = np.count_nonzero(truth, axis=0) < max(minimum_support, 1)
    ranked = rankings or rank_classes(truth, probabilities)
    thresholds = best_per_class(truth, probabilities, ranked)
    if few.any():
        thresholds[few] = best_global(truth, probabilities, ranked) if overall is None else overall
    return Tuned(thresholds, few)


def cross_fitted(truth: BoolArray, probabilities: FloatArray, folds: int = 5) -> BoolArray:
    """Labels predicted at tuned thresholds that never saw the text, (n, k), by cross-fitting.

    The thresholds of each of the folds are tuned on the others, so that runs can be chosen by
    tuned F1 on the split that tunes them (Stone 1974). Folds follow from the number of texts.
    """
    fold = np.random.default_rng(len(truth)).permutation(len(truth)) % folds
    predicted = np.zeros_like(truth)
    for number in range(folds):
        here = fold == number
        tuned = tuned_thresholds(truth[~here], probabilities[~here])
        predicted[here] = probabilities[here] >= tuned.thresholds
    return predicted


def best_per_class(
    truth: BoolArray, probabilities: FloatArray, rankings: Rankings | None = None
) -> FloatArray:
    """The threshold with the best F1 of each class, (k,), from (n, k) arrays.

    However rare the class is: the bound of what tuning can reach, see `tuned_thresholds`. A
    class without positives gets 0.5.
    """
    thresholds = np.full(truth.shape[1], DEFAULT_THRESHOLD)
    for j, ranking in enumerate(rankings or rank_classes(truth, probabilities)):
        if ranking.positives:
            scores = probabilities[ranking.lowest, j]
            thresholds[j] = _best_cut(scores, _f1_at(ranking))
    return thresholds


def best_global(
    truth: BoolArray, probabilities: FloatArray, rankings: Rankings | None = None
) -> float:
    """The threshold with the best macro F1 over all classes; 0.5 without positives."""
    if not truth.any():
        return DEFAULT_THRESHOLD
    gained = np.zeros(truth.shape)  # what each pair adds to the sum of F1 when it is predicted
    for j, ranking in enumerate(rankings or rank_classes(truth, probabilities)):
        gained[ranking.lowest, j] = np.diff(_f1_at(ranking), prepend=0.0)
    pairs = rank_pairs(truth, probabilities)
    macro = np.cumsum(gained.ravel()[pairs.order])[pairs.high - 1] / truth.shape[1]
    return _best_cut(probabilities.ravel()[pairs.lowest], macro)


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
