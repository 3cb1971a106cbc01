"""Intervals, paired differences and verdicts. Seeded, vectorised and pure.

    run = analyse(predictions, predicted)            # predicted labels at some threshold
    run.intervals["macro_f1"]                        # Interval(low, high)
    differences = paired(run, analyse(baseline, baseline_predicted)).differences
    differences["f1_joy"].verdict                    # "win", "tie" or "loss"

Keys are those of `Scores.overall` and `{key}_{label}` for CLASS_METRICS. Runs are
compared in pairs on the same texts, in the same order, with the same true labels, and on the
same labels: align the predictions first (`Predictions.take`).

Intervals have a confidence of 95% unless another is given. Coverage of every method is measured
in `benchmarks/coverage.py`, at 95%.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from goemo_report.formats.wording import listed
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.counts import ClassCounts, CountMetrics, Counts, count
from goemo_report.metrics.table import (
    CLASS_METRICS,
    OF_TEXTS,
    OVERALL,
    Metric,
    OverallMetric,
    Share,
    titles,
)
from goemo_report.predictions import Predictions
from goemo_report.statistics.class_draws import ClassDraws, widest
from goemo_report.statistics.distributions import CONFIDENCE, normal_quantile, wilson
from goemo_report.statistics.influence import WITHOUT_FORMULA, Influence, influences
from goemo_report.statistics.resampling import Clusters, Outcomes, linearised, weighted_sums

Bounds: TypeAlias = tuple[FloatArray, FloatArray]

RESAMPLES: Final = 1000
_IN_A_TAIL: Final = 25  # resamples beyond each bound, as 1000 leave at 95%
HIGHEST_CONFIDENCE: Final = 0.999
"""Beyond it the bootstrap would need more resamples than memory should hold."""

_CONVENTIONAL: Final = titles(lambda one: one.needs_predictions)
_JACKKNIFED: Final = listed(("average precision", *WITHOUT_FORMULA))
METHODS: Final[Mapping[str, str]] = {
    "class": (
        f"{titles(lambda one: one.share)} of a class: Wilson score interval of a proportion "
        "(for F1 that of tp among tp + fp + fn, of which F1 is a function); "
        f"{titles(lambda one: one.counts and not one.share)}: Jeffreys interval of its four counts"
    ),
    "macro": (
        f"macro {titles(lambda one: one.counts)}: outcomes of each class moved towards those of "
        "the average class by a quarter of a text and by two (empirical Bayes), less for classes "
        "that are never predicted, the more texts they have without a hit; errors from "
        "counts drawn from them, normal or by their quantiles, stretched by how classes vary "
        "together in the bootstrap; the interval that holds both"
    ),
    "bootstrap": (
        f"micro, weighted and samples averages, {OF_TEXTS}: "
        "percentile bootstrap over texts, Wilson score interval where all resamples are alike"
    ),
    "precision": (
        f"macro and weighted {_CONVENTIONAL}: none where a class is never predicted, as its "
        f"{_CONVENTIONAL} is 0 by convention and not by measurement"
    ),
    "auc": (
        "AUC: influence of each text (DeLong; texts as clusters for micro), variance raised for "
        "classes with few positives, Wilson score interval"
    ),
    "average_precision": (
        f"{_JACKKNIFED}: jackknife over texts, less its bias, Wilson score interval"
    ),
    "pairs": (
        f"{titles(lambda one: one.pairs)}: standard error of the mean over texts, Wilson score "
        "interval"
    ),
}
"""How each kind of interval is made, for reports."""


class Interval(NamedTuple):
    """An interval that holds the value of all texts with some confidence."""

    low: float
    high: float


MetricIntervals: TypeAlias = Mapping[str, Interval | None]
"""Intervals by metric key; None where the metric is undefined."""


if TYPE_CHECKING:
    Once = cached_property
else:

    class Once:
        """`functools.cached_property` without its lock.

        Before Python 3.12 that lock is one for all instances, so that threads which each work on
        an instance of their own would wait for each other. Two threads that ask one instance at
        the same time compute the same value twice.
        """

        def __init__(self, compute):
            self.compute = compute

        def __get__(self, instance, owner):
            if instance is None:
                return self
            value = instance.__dict__[self.compute.__name__] = self.compute(instance)
            return value


@dataclass(eq=False)
class Analysis:
    """What the statistics of one run need; every part is computed once, when first asked for.

    `predicted` (n, k) are the labels at the threshold that is analysed; `labels` names the k
    columns of every per-class array.
    """

    predictions: Predictions
    predicted: BoolArray
    resamples: int
    seed: int
    confidence: float = CONFIDENCE

    def __post_init__(self) -> None:
        if not len(self):
            raise ValueError("no texts to resample")
        expected = self.predictions.truth.shape
        if self.predicted.shape != expected:
            raise ValueError(f"predicted is {self.predicted.shape}, truth {expected}")

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of their columns."""
        return self.predictions.labels

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.predictions)

    @Once
    def outcomes(self) -> Outcomes:
        """Contribution of each text to the counts."""
        return Outcomes.of(self.predictions.truth, self.predicted)

    @Once
    def point(self) -> CountMetrics:
        """Counts-based metrics of all texts: (1,) and (1, k)."""
        return self.outcomes.resampled(np.ones((1, len(self)), np.uint8))

    @Once
    def resampled(self) -> CountMetrics:
        """Counts-based metrics of each bootstrap resample: (resamples,) and (resamples, k)."""
        return self.outcomes.resampled(self.clusters.weights(self.resamples, self.seed))

    @Once
    def clusters(self) -> Clusters:
        """Which texts belong together."""
        return Clusters.of(self.predictions.clusters, len(self))

    def linearised(self, metric: Metric) -> FloatArray:
        """How far each text moves a metric of each class, (n, k); nothing without clusters."""
        if self.clusters.alone:
            return np.zeros((len(self), len(self.labels)))
        return linearised(metric, self.predictions.truth, self.predicted)

    def _effects(self, metric: Metric) -> FloatArray:
        """By how much clusters raise the variance of a metric of each class, (k,)."""
        return self.clusters.effects(self.linearised(metric))

    @property
    def exact(self) -> BoolArray:
        """Texts whose labels are all right, (n,)."""
        right: BoolArray = (self.predictions.truth == self.predicted).all(axis=1)
        return right

    @Once
    def counts(self) -> ClassCounts:
        """Confusion counts of all texts, (k,)."""
        return count(self.predictions.truth, self.predicted)

    @property
    def class_texts(self) -> Counts:
        """Texts that carry each class or are predicted to, (k,)."""
        return self.counts.total - self.counts.tn

    def share_of(self, one: OverallMetric) -> tuple[Share, float]:
        """As what share an overall metric can be read, and of how many decisions or texts.

        For F1 it is the share of tp among tp + fp + fn.
        """
        share = None if one.average == "samples" else one.metric.share
        if share is None:
            low, span = one.metric.low, one.metric.span
            share = Share(
                trials=lambda _: len(self),
                value=lambda part: low + span * part,
                inverse=lambda value: (value - low) / span,
            )
            return share, float(self.clusters.number)
        clusters = self.clusters.number / len(self)
        return share, float(share.trials(self.counts.pooled)[0]) * clusters

    def _bounds_of_same(self, one: OverallMetric, value: float) -> list[Any]:
        """Interval of an overall metric that is the same in all resamples: 0 or 1, often."""
        if one.average == "samples" and math.isinf(one.metric.span):
            return [value, value]  # texts that are all alike tell of no other
        if one.metric.share is None and one.average != "samples":
            return [ends[0] for ends in self._simulated(one.metric, self.counts.pooled, np.ones(1))]
        share, trials = self.share_of(one)
        ends = wilson(np.array(share.inverse(value)), np.array(trials), self.confidence)
        return [share.value(end) for end in ends]

    @Once
    def class_bounds(self) -> Mapping[str, Bounds]:
        """Intervals of the metrics of classes that follow from counts, (k,) each."""
        return {key: self.bounds_of_classes(key) for key in self.point.per_class}

    def bounds_of_classes(self, key: str) -> Bounds:
        """Those of one metric: Wilson's where it is one of a share."""
        metric, point = CLASS_METRICS[key], self.point.per_class[key][0]
        effects = self._effects(metric)
        if metric.share is None:
            low, high = self._simulated(metric, self.counts, effects)
        else:
            trials = metric.share.trials(self.counts)
            share = self.counts.tp / np.maximum(trials, 1.0)
            low, high = map(metric.share.value, wilson(share, trials / effects, self.confidence))
        return np.minimum(low, point), np.maximum(high, point)

    def _simulated(self, metric: Metric, counts: ClassCounts, effects: FloatArray) -> Bounds:
        """Interval of a metric of (k,) counts, (k,) each: Jeffreys' for their proportions.

        Its values for proportions drawn from the Dirichlet distribution that they and half a
        text more of each kind give (Goutte and Gaussier 2005, for F1).
        """
        draw = np.random.default_rng([self.seed, len(self), 2]).standard_gamma
        size = (self.resamples, len(counts.tp))
        kinds = (counts.tp, counts.fp, counts.fn, counts.tn)
        drawn = ClassCounts(*(draw(kind / effects + 0.5, size) for kind in kinds))
        return percentiles(drawn.of_metric(metric), self.confidence)

    @Once
    def influences(self) -> Mapping[str, Influence]:
        """Metrics that need probabilities: of classes and, by overall key, averages.

        With clusters, values are sums over each, scaled so that their mean over clusters is that
        over texts, and the variance for few positives is raised as the other is.
        """
        if self.clusters.alone:
            return self._influences
        scale = self.clusters.number / len(self)
        return {
            key: replace(
                one,
                values=scale * self.clusters.summed(one.values),
                extra=one.extra * self.clusters.effects(one.values),
            )
            for key, one in self._influences.items()
        }

    @Once
    def _influences(self) -> Mapping[str, Influence]:
        if not self.predictions.has_probabilities:
            return {}
        return influences(self.predictions.truth, self.predictions.probabilities)

    @Once
    def replicates(self) -> Mapping[str, FloatArray]:
        """Overall metrics of each resample, (resamples,), by key.

        Those that need probabilities are taken as linear: each text's influence, as often as it
        was drawn.
        """
        if not self._influences:
            return self.resampled.overall
        averages = {key: one for key, one in self._influences.items() if key in OVERALL}
        values = np.concatenate([one.values for one in averages.values()], axis=1) / len(self)
        weights = self.clusters.weights(self.resamples, self.seed)
        linear = weighted_sums(weights, values.astype(np.float32)).T
        linear += np.array([[one.estimates[0]] for one in averages.values()])
        return self.resampled.overall | dict(zip(averages, linear, strict=True))

    @Once
    def intervals(self) -> MetricIntervals:
        """Intervals of every metric."""
        bounds: dict[str, Any] = dict(self.class_bounds)
        bounds |= {
            key: self._macro_bounds(one.metric.key)
            for key, one in OVERALL.items()
            if one.average == "macro" and one.metric.counts is not None
        }
        for key, influence in self.influences.items():
            bounds[key] = influence.intervals(self.confidence)
        rest = [key for key in self.resampled.overall if key not in bounds]
        replicates = np.stack([self.resampled.overall[key] for key in rest], axis=1)
        for key, *ends in zip(rest, *percentiles(replicates, self.confidence), strict=True):
            value = self.point.overall[key][0]
            if ends[1] - ends[0] < 1e-12:  # but for rounding
                ends = self._bounds_of_same(OVERALL[key], value)
            bounds[key] = min(ends[0], value), max(ends[1], value)
        never = bool((self.counts.predicted == 0).any())
        found = {
            key: _interval(one.metric, *bounds[key])
            if key in bounds and not (never and one.over_classes and one.metric.needs_predictions)
            else None
            for key, one in OVERALL.items()
        }
        for key, metric in CLASS_METRICS.items():
            low, high = bounds.get(key, np.full((2, len(self.labels)), np.nan))
            for j, label in enumerate(self.labels):
                found[f"{key}_{label}"] = _interval(metric, low[j], high[j])
        return found

    def macro_interval(self, name: str, error: float = 0.0) -> Interval:
        """Interval of the macro average of one metric that follows from counts, alone.

        It is at least as wide as a standard error from elsewhere asks for.
        """
        value, (low, high) = float(self.point.overall[f"macro_{name}"][0]), self._macro_bounds(name)
        margin, clip = normal_quantile(self.confidence) * error, CLASS_METRICS[name].clip
        return Interval(min(low, clip(value - margin)), max(high, clip(value + margin)))

    def _macro_bounds(self, name: str) -> tuple[float, float]:
        """Estimates from the counts of each class and their errors, see `ClassDraws`.

        The value lies at least half a standard error inside.
        """
        metric, value = CLASS_METRICS[name], float(self.point.overall[f"macro_{name}"][0])
        found = self.draws.macro(metric, self.resampled.per_class[name])
        low, high = widest(found, self.confidence)
        if not self.counts.predicted.any():  # no class tells what another may be: as all pairs do
            high = max(high, self._bounds_of_same(OverallMetric(metric, "micro"), value)[1])
        inside = float(found[0].errors.std()) / 2
        return metric.clip(min(low, value - inside)), metric.clip(max(high, value + inside))

    @Once
    def draws(self) -> ClassDraws:
        """Counts of each class that those of these texts leave open."""
        seed = [self.seed, len(self), 3]
        return ClassDraws(
            *(self.predictions.truth, self.predicted),
            number=self.resamples,
            seed=seed,
            effects=self._effects(CLASS_METRICS["f1"]),
        )


def analyse(
    predictions: Predictions,
    predicted: BoolArray | None = None,
    *,
    resamples: int | None = None,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Analysis:
    """Statistics of one run at the labels `predicted`, (n, k); None takes those of the file.

    Without `resamples` there are RESAMPLES, and more where the confidence needs them. Raises
    ValueError for a confidence that is not above 0.5 and at most HIGHEST_CONFIDENCE.
    """
    if not 0.5 < confidence <= HIGHEST_CONFIDENCE:
        raise ValueError(f"confidence {confidence}: not in (0.5, {HIGHEST_CONFIDENCE}]")
    labels = predictions.predicted if predicted is None else predicted
    needed = math.ceil(round(2 * _IN_A_TAIL / (1 - confidence), 6))
    number = max(RESAMPLES, needed) if resamples is None else resamples
    return Analysis(predictions, labels, number, seed, confidence)


def percentiles(replicates: FloatArray, confidence: float = CONFIDENCE) -> Bounds:
    """The quantiles of (m, c) replicates that leave out as many below as above, (c,) each."""
    tail = round((1 - confidence) / 2, 12)
    # the (m + 1) tail-th smallest one (Efron and Tibshirani 1993, ch. 12)
    low, high = np.quantile(replicates, [tail, 1 - tail], axis=0, method="weibull")
    return low, high


def percent(confidence: float) -> str:
    """`95%`."""
    return f"{100 * confidence:g}%"


def _interval(metric: Metric, low: Any, high: Any) -> Interval | None:
    """None for nan; rounding may have left the metric's range by a hair."""
    bounds = float(np.squeeze(low)), float(np.squeeze(high))
    if np.isnan(bounds).any():
        return None
    return Interval(*map(metric.clip, bounds))
