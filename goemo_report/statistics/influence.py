"""Standard errors of AUC and average precision from how much each text moves them.

The squared influences of all texts, over n**2, add up to the variance; differences and means
of metrics have the differences and means of their influences. Texts are the unit: a micro
metric ranks all text x label pairs, and the influences of the pairs of one text are added
first (Obuchowski 1997, ROC curves of clustered data).

With a handful of positives the spread of their scores is known badly, and often looks far
too small. So the variance of a class gets a part that does not depend on that spread and
fades as positives grow; `benchmarks/coverage.py` shows that intervals need it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.rankings import Groups, Ranking, rank_classes
from goemo_report.metrics.table import CLASS_METRICS, ratio
from goemo_report.statistics.distributions import CONFIDENCE, normal_quantile, wilson

PRIOR_POSITIVES = 10
"""Weight of the variance that a model of the scores gives beside the one seen, in positives."""
LOST_POSITIVES = 5
"""The jackknife variance of average precision is taken for one with so many positives fewer."""
NO_SPREAD: Final = 1e-12
"""A standard error that is none but for rounding."""

_OfItems: TypeAlias = Callable[[Ranking], tuple[float, FloatArray]]
"""The metric of one ranking and the influence of each item, (n,)."""
_OfClasses: TypeAlias = Callable[[Sequence[Ranking]], "Influence"]
_MOST_GROUPS: Final = 200
_EDGE = 1e-9  # keeps a proportion off 0 and 1, where it has no variance


@dataclass(frozen=True, eq=False, slots=True)
class Influence:
    """Estimates of `c` metrics (nan where undefined) and what is known of their error.

    `values` (n, c) holds the influence of each text, `bias` (c,) the estimated bias, `extra`
    (c,) the variance that is added for few positives. The metrics lie between `low` and `high`.
    """

    estimates: FloatArray
    values: FloatArray
    bias: FloatArray
    extra: FloatArray
    low: float = 0.0
    high: float = 1.0

    @property
    def standard_errors(self) -> FloatArray:
        """Standard error of each estimate, (c,)."""
        variance = np.square(self.values).sum(axis=0) / len(self.values) ** 2
        errors: FloatArray = np.sqrt(variance + self.extra)
        return errors

    def mean(self) -> Influence:
        """The mean of the defined estimates: a macro average, (1,)."""
        defined = np.flatnonzero(~np.isnan(self.estimates))
        if not defined.size:
            one, column = np.full(1, np.nan), np.full((len(self.values), 1), np.nan)
            return replace(self, estimates=one, values=column, bias=one, extra=one)
        return replace(
            self,
            estimates=self.estimates[defined].mean(keepdims=True),
            values=self.values[:, defined].mean(axis=1, keepdims=True),
            bias=self.bias[defined].mean(keepdims=True),
            extra=self.extra[defined].sum(keepdims=True) / defined.size**2,
        )

    def __sub__(self, other: Influence) -> Influence:
        cross = (self.values * other.values).sum(axis=0)
        scale = np.sqrt(np.square(self.values).sum(axis=0) * np.square(other.values).sum(axis=0))
        alike = (self.values == other.values).all(axis=0)
        related = np.where(alike, 1.0, ratio(cross, scale))
        roots = np.sqrt(self.extra), np.sqrt(other.extra)
        extra = np.square(roots[0] - roots[1]) + 2.0 * (1.0 - related) * roots[0] * roots[1]
        return Influence(
            self.estimates - other.estimates,
            self.values - other.values,
            self.bias - other.bias,
            np.maximum(extra, 0.0),
            low=self.low - other.high,
            high=self.high - other.low,
        )

    def intervals(self, confidence: float = CONFIDENCE) -> tuple[FloatArray, FloatArray]:
        """Bounds of the metrics, (c,) each; nan where undefined.

        The estimate itself is always inside.

        Wilson's interval around the estimate less its bias, as a share of the metric's range, with
        the number of trials that would give the same standard error (Korn and Graubard 1998); with
        that of texts where none moves the metric. Normal where the range is infinite.
        """
        centre, errors, span = (
            self.estimates - self.bias,
            self.standard_errors,
            self.high - self.low,
        )
        if math.isinf(span):
            margin = normal_quantile(confidence) * errors
            low, high = (
                np.clip(end, self.low, self.high) for end in (centre - margin, centre + margin)
            )
            return np.minimum(low, self.estimates), np.maximum(high, self.estimates)
        centre, errors = (centre - self.low) / span, errors / span
        with np.errstate(divide="ignore", invalid="ignore"):
            trials = centre * (1.0 - centre) / np.square(errors)
        trials = np.where(errors <= NO_SPREAD, len(self.values), trials)
        low, high = wilson(np.clip(centre, 0.0, 1.0), trials, confidence)
        undefined = np.isnan(self.estimates)
        low, high = (np.where(undefined, np.nan, self.low + span * end) for end in (low, high))
        # the correction for bias may move the interval off what was seen
        return np.minimum(low, self.estimates), np.maximum(high, self.estimates)


def auc_influence(rankings: Sequence[Ranking]) -> Influence:
    """AUC of each class, from its ranking of all texts.

    Variance of DeLong, DeLong and Clarke-Pearson (1988), raised towards that of Hanley and
    McNeil (1982), for exponential scores, as if PRIOR_POSITIVES positives had shown the latter.
    """
    estimates, values = _stacked([_auc_values(ranking) for ranking in rankings])
    positives = np.array([ranking.positives for ranking in rankings])
    negatives = len(values) - positives
    pairs = np.maximum(positives * negatives, 1)
    # a perfect AUC counts as half a pair less, or it would leave no variance at all
    a = np.clip(estimates, 0.5 / pairs, 1.0 - 0.5 / pairs)
    spread = (positives - 1) * (a / (2 - a) - a * a)
    spread += (negatives - 1) * (2 * a * a / (1 + a) - a * a)
    model = (a * (1 - a) + spread) / pairs
    seen = np.square(values).sum(axis=0) / len(values) ** 2
    moved = (model - seen) * PRIOR_POSITIVES / (positives + PRIOR_POSITIVES)
    return Influence(estimates, values, estimates - a, np.maximum(moved, 0.0))


def average_precision_influence(rankings: Sequence[Ranking]) -> Influence:
    """Average precision of each class, from its ranking of all texts, by the jackknife."""
    return _jackknife(_precision_values, 0.0, 1.0, rankings)


def _jackknife(
    left_out: _OfItems, low: float, high: float, rankings: Sequence[Ranking]
) -> Influence:
    """A metric between `low` and `high` of each class, without each item in turn.

    Few positives make average precision too high on average: `bias` says how much (Quenouille
    1956). They also make its variance look too small: it is raised by LOST_POSITIVES / positives,
    and is at least that of a proportion among the positives.
    """
    estimates, values = _stacked([left_out(ranking) for ranking in rankings])
    # the jackknife's values have the bias as their mean, with the opposite sign
    bias = -values.mean(axis=0)
    values += bias
    positives = np.array([ranking.positives for ranking in rankings])
    number = np.maximum(positives, 1)
    seen = np.square(values).sum(axis=0) / len(values) ** 2
    extra = seen * LOST_POSITIVES / number
    if math.isinf(high - low):
        return Influence(estimates, values, bias, extra, low, high)
    edge = _EDGE * (high - low)
    centre = np.clip(estimates - bias, low + edge, high - edge)
    extra = np.maximum((centre - low) * (high - centre) / number - seen, extra)
    return Influence(estimates, values, estimates - centre, extra, low, high)


def pairs_influence(values: FloatArray, low: float = 0.0, high: float = 1.0) -> Influence:
    """Means of the columns of (n, c) values between `low` and `high`, one a text."""
    estimates, nothing = values.mean(axis=0), np.zeros(values.shape[1])
    return Influence(estimates, values - estimates, nothing, nothing, low, high)


def influences(truth: BoolArray, probabilities: FloatArray) -> dict[str, Influence]:
    """Of every metric that needs probabilities: of the classes by its key, and its averages.

    A micro metric ranks all text x label pairs, row by row.
    """
    rankings = rank_classes(truth, probabilities)
    ranked = Ranking.of(truth.ravel(), probabilities.ravel())
    found: dict[str, Influence] = {}
    for key, metric in CLASS_METRICS.items():
        if metric.pairs is not None:
            values = metric.pairs(truth, probabilities)
            found[key] = pairs_influence(values, metric.low, metric.high)
            micro = pairs_influence(values.mean(axis=1, keepdims=True), metric.low, metric.high)
        elif metric.ranking is not None:
            of_items: _OfItems = partial(_left_out, metric.ranking)
            of_classes: _OfClasses = partial(_jackknife, of_items, metric.low, metric.high)
            of_classes, of_items = _FORMULAS.get(key, (of_classes, of_items))
            found[key], micro = of_classes(rankings), _by_text(*of_items(ranked), len(truth))
            micro = replace(micro, low=metric.low, high=metric.high)
        else:
            continue
        for average, influence in (("macro", found[key].mean()), ("micro", micro)):
            if average in metric.averages:
                found[f"{average}_{key}"] = influence
    return found


def _stacked(columns: list[tuple[float, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    estimates = np.array([estimate for estimate, _ in columns])
    return estimates, np.stack([values for _, values in columns], axis=1)


def _by_text(estimate: float, values: FloatArray, texts: int) -> Influence:
    """A mean of influences over pairs, written as a mean over texts."""
    pairs = values.reshape(texts, -1)
    nothing = np.where(np.isnan(estimate), np.nan, np.zeros(1))
    return Influence(np.array([estimate]), pairs.mean(axis=1, keepdims=True), nothing, nothing)


def _auc_values(ranking: Ranking) -> tuple[float, FloatArray]:
    """AUC and, for each item, how far its pairs are won more often than all are."""
    n, positives, negatives = len(ranking.order), ranking.positives, ranking.negatives
    estimate = ranking.auc()
    if np.isnan(estimate):
        return estimate, np.full(n, np.nan)
    true = ranking.twice_below / (2.0 * negatives) - estimate
    false = ranking.twice_above / (2.0 * positives) - estimate
    return estimate, ranking.choose(_scaled(true, n, positives), _scaled(false, n, negatives))


def _scaled(placements: FloatArray, n: int, group: int) -> FloatArray:
    """Influence of one kind; the root turns its variance into DeLong's, over group - 1."""
    return placements * (n / group * math.sqrt(group / max(group - 1, 1)))


def _precision_values(ranking: Ranking) -> tuple[float, FloatArray]:
    """Average precision, and (n - 1) (it - the one without the item) for each item.

    An item that goes takes its own term with it and, from the precision at every positive
    scored no higher, one score; a positive also one hit.
    """
    n, positives = len(ranking.order), ranking.positives
    estimate = ranking.average_precision()
    if not positives:
        return estimate, np.full(n, np.nan)
    gained, hits = ranking.gained, ranking.hits
    terms = gained * (hits / ranking.high)
    above = np.cumsum(terms) - terms
    fewer = np.maximum(ranking.high - 1.0, 1.0)
    without_score = _from_below(gained * (hits / fewer))
    without_hit = _from_below(gained * ((hits - 1.0) / fewer))
    left_out = (above + without_score) / positives
    if positives > 1:
        left_out_positive = (above + without_hit - (hits - 1.0) / fewer) / (positives - 1)
    else:  # the only positive cannot be left out: it counts as moving nothing
        left_out_positive = np.full_like(above, estimate)
    values = ranking.choose(left_out_positive, left_out)
    return estimate, (n - 1) * (estimate - values)


def _left_out(metric: Callable[[Groups], float], ranking: Ranking) -> tuple[float, FloatArray]:
    """Any metric, and (n - 1) (it - the one without the item) for each item.

    It is computed again without one item of each kind, of a ranking whose scores are rounded so
    that there are at most _MOST_GROUPS of them.
    """
    n, estimate = len(ranking.order), metric(ranking)
    if np.isnan(estimate):
        return estimate, np.full(n, np.nan)
    depth = ranking.high / n + ranking.hits / max(ranking.positives, 1)
    ends = np.arange(len(depth))
    if len(ends) > _MOST_GROUPS:  # equally many texts and positives in each
        ends = np.unique(np.searchsorted(depth, np.linspace(0.0, depth[-1], _MOST_GROUPS + 1)[1:]))
        ends = np.append(ends[ends < len(depth) - 1], len(depth) - 1)
    high, hits = ranking.high[ends], ranking.hits[ends]
    whole, place = metric(Groups(high, hits)), np.arange(len(ends))
    moved, gained = np.zeros((2, len(ends))), np.diff(hits, prepend=0)
    for true, present in enumerate((np.diff(high, prepend=0) - gained, gained)):
        for one in np.flatnonzero(present):
            fewer = high - (place >= one), hits - true * (place >= one)
            left = np.diff(fewer[0], prepend=0) > 0
            without = metric(Groups(*(part[left] for part in fewer))) if left.any() else np.nan
            # the only positive cannot be left out: it counts as moving nothing
            moved[true, one] = 0.0 if np.isnan(without) else (n - 1) * (whole - without)
    group = np.searchsorted(ends, np.arange(len(depth)))
    return estimate, ranking.choose(moved[1, group], moved[0, group])


def _from_below(values: FloatArray) -> FloatArray:
    """Sum of each value and all after it."""
    result: FloatArray = np.cumsum(values[::-1])[::-1]
    return result


_FORMULAS: Final[Mapping[str, tuple[_OfClasses, _OfItems]]] = {
    "auc": (auc_influence, _auc_values),
    "average_precision": (average_precision_influence, _precision_values),
}
"""Metrics of rankings whose influences have a formula; others are left to the jackknife."""
WITHOUT_FORMULA: Final = tuple(
    one.title for key, one in CLASS_METRICS.items() if one.ranking and key not in _FORMULAS
)
"""Titles of those others."""
