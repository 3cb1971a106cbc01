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
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from goemo_report.distributions import wilson
from goemo_report.metrics import ratio

BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatArray: TypeAlias = npt.NDArray[np.float64]

PRIOR_POSITIVES = 10
"""Weight of the variance that a model of the scores gives beside the one seen, in positives."""

_EDGE = 1e-9  # keeps a proportion off 0 and 1, where it has no variance


@dataclass(frozen=True, eq=False, slots=True)
class Influence:
    """Estimates of `c` metrics (nan where undefined) and what is known of their error.

    `values` (n, c) holds the influence of each text, `bias` (c,) the estimated bias, `extra`
    (c,) the variance that is added for few positives. Estimates less their bias are in [0, 1].
    """

    estimates: FloatArray
    values: FloatArray
    bias: FloatArray
    extra: FloatArray

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
            return Influence(
                *(np.full(shape, np.nan) for shape in (1, (len(self.values), 1), 1, 1))
            )
        return Influence(
            self.estimates[defined].mean(keepdims=True),
            self.values[:, defined].mean(axis=1, keepdims=True),
            self.bias[defined].mean(keepdims=True),
            self.extra[defined].sum(keepdims=True) / defined.size**2,
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
        )

    def intervals(self) -> tuple[FloatArray, FloatArray]:
        """95% bounds of metrics between 0 and 1, (c,) each; nan where undefined.

        Wilson's interval around the estimate less its bias, with the number of trials that
        would give the same standard error (Korn and Graubard 1998).
        """
        centre = self.estimates - self.bias
        errors = self.standard_errors
        with np.errstate(divide="ignore", invalid="ignore"):
            trials = centre * (1.0 - centre) / np.square(errors)
        exact = errors == 0.0
        low, high = wilson(centre, np.where(exact, 1.0, trials))
        undefined = np.isnan(self.estimates)
        low = np.where(undefined, np.nan, np.where(exact, centre, low))
        high = np.where(undefined, np.nan, np.where(exact, centre, high))
        return low, high


def auc_influence(truth: BoolArray, scores: FloatArray) -> Influence:
    """AUC of each class, from (n, k) arrays.

    Variance of DeLong, DeLong and Clarke-Pearson (1988), raised towards that of Hanley and
    McNeil (1982), for exponential scores, as if PRIOR_POSITIVES positives had shown the latter.
    """
    columns = [_auc_column(truth[:, j], scores[:, j]) for j in range(truth.shape[1])]
    estimates = np.array([estimate for estimate, _ in columns])
    values = np.stack([column for _, column in columns], axis=1)
    rows = len(truth)
    positives = np.count_nonzero(truth, axis=0)
    negatives = rows - positives
    pairs = np.maximum(positives * negatives, 1)
    # a perfect AUC counts as half a pair less, or it would leave no variance at all
    a = np.clip(estimates, 0.5 / pairs, 1.0 - 0.5 / pairs)
    spread = (positives - 1) * (a / (2 - a) - a * a) + (negatives - 1) * (
        2 * a * a / (1 + a) - a * a
    )
    model = (a * (1 - a) + spread) / pairs
    seen = np.square(values).sum(axis=0) / rows**2
    moved = (model - seen) * PRIOR_POSITIVES / (positives + PRIOR_POSITIVES)
    return Influence(estimates, values, estimates - a, np.maximum(moved, 0.0))


def micro_auc_influence(truth: BoolArray, scores: FloatArray) -> Influence:
    """AUC over all text x label pairs; `values` is (n, 1)."""
    return _by_text(*_auc_column(truth.ravel(), scores.ravel()), truth.shape)


def average_precision_influence(truth: BoolArray, scores: FloatArray) -> Influence:
    """Average precision of each class, from (n, k) arrays, by the jackknife.

    Few positives make average precision too high on average: `bias` says how much (Quenouille
    1956). The variance is at least that of a proportion among the positives.
    """
    columns = [_precision_column(truth[:, j], scores[:, j]) for j in range(truth.shape[1])]
    estimates = np.array([estimate for estimate, _ in columns])
    values = np.stack([column for _, column in columns], axis=1)
    # the jackknife's values have the bias as their mean, with the opposite sign
    bias = -values.mean(axis=0)
    values += bias
    centre = np.clip(estimates - bias, _EDGE, 1.0 - _EDGE)
    floor = centre * (1.0 - centre) / np.maximum(np.count_nonzero(truth, axis=0), 1)
    seen = np.square(values).sum(axis=0) / len(truth) ** 2
    return Influence(estimates, values, estimates - centre, np.maximum(floor - seen, 0.0))


def micro_average_precision_influence(truth: BoolArray, scores: FloatArray) -> Influence:
    """Average precision over all text x label pairs; `values` is (n, 1)."""
    return _by_text(*_precision_column(truth.ravel(), scores.ravel()), truth.shape)


def _by_text(estimate: float, values: FloatArray, shape: tuple[int, ...]) -> Influence:
    """A mean of influences over pairs, written as a mean over texts."""
    texts = values.reshape(shape).sum(axis=1, keepdims=True) / shape[1]
    nothing = np.where(np.isnan(estimate), np.nan, np.zeros(1))
    return Influence(np.array([estimate]), texts, nothing, nothing)


def _auc_column(truth: BoolArray, scores: FloatArray) -> tuple[float, FloatArray]:
    n = len(truth)
    positives = int(np.count_nonzero(truth))
    negatives = n - positives
    if not positives or not negatives:
        return float("nan"), np.full(n, np.nan)
    above, below = scores[truth], scores[~truth]
    ranked, other = np.sort(below), np.sort(above)
    won = np.searchsorted(ranked, above, "left") + np.searchsorted(ranked, above, "right")
    lost = np.searchsorted(other, below, "left") + np.searchsorted(other, below, "right")
    estimate = int(won.sum()) / (2 * positives * negatives)
    values = np.empty(n)
    values[truth] = _scaled(won / (2.0 * negatives) - estimate, n, positives)
    values[~truth] = _scaled(1.0 - lost / (2.0 * positives) - estimate, n, negatives)
    return estimate, values


def _scaled(placements: FloatArray, n: int, group: int) -> FloatArray:
    """Influence of one group; the root turns its variance into DeLong's, over group - 1."""
    return placements * (n / group * math.sqrt(group / max(group - 1, 1)))


def _precision_column(truth: BoolArray, scores: FloatArray) -> tuple[float, FloatArray]:
    """Average precision, and (n - 1) (estimate - the one without the text) for each text.

    A text that goes takes its own term with it and, from the precision at every positive
    scored no higher, one score; a positive also one hit.
    """
    n = len(truth)
    positives = int(np.count_nonzero(truth))
    if not positives:
        return float("nan"), np.full(n, np.nan)
    order = np.argsort(-scores, kind="stable")
    ranked, hit = scores[order], truth[order].astype(np.float64)
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), n - 1)
    sizes = np.diff(last, prepend=-1)
    first = np.repeat(last - sizes + 1, sizes)  # where the ties of each text begin
    high = np.repeat(last + 1.0, sizes)  # scores as high as the text's, itself included
    hits = np.repeat(np.cumsum(hit)[last], sizes)
    terms = hit * hits / high
    estimate = float(terms.sum()) / positives
    fewer = np.maximum(high - 1.0, 1.0)
    above = np.append(0.0, np.cumsum(terms))[first]
    without_score = np.cumsum((hit * hits / fewer)[::-1])[::-1][first]
    without_hit = np.cumsum((hit * (hits - 1.0) / fewer)[::-1])[::-1][first]
    left_out = np.where(
        hit > 0.0,
        # the only positive cannot be left out: it counts as moving nothing
        (above + without_hit - (hits - 1.0) / fewer) / (positives - 1)
        if positives > 1
        else estimate,
        (above + without_score) / positives,
    )
    values = np.empty(n)
    values[order] = (n - 1) * (estimate - left_out)
    return estimate, values
