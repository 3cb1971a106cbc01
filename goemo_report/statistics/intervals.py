"""Intervals, paired differences and verdicts. Seeded, vectorised and pure.

    run = analyse(predictions, predicted)            # predicted labels at some threshold
    run.intervals["macro_f1"]                        # Interval(low, high)
    differences = paired(run, analyse(baseline, baseline_predicted))
    differences["f1_joy"].verdict                    # "win", "tie" or "loss"

Keys are those of `Scores.overall` and `{statistic}_{emotion}` for CLASS_STATISTICS. Runs are
compared in pairs on the same texts, in the same order, with the same true labels, and on the
same labels: align the predictions first (`Predictions.take`).

Intervals have a confidence of 95% unless another is given. Coverage of every method is measured
in `benchmarks/coverage.py`, at 95%.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.rankings import rank_classes, rank_pairs
from goemo_report.metrics.scores import OVERALL_KEYS
from goemo_report.predictions import Predictions
from goemo_report.statistics.distributions import CONFIDENCE, wilson
from goemo_report.statistics.influence import (
    Influence,
    auc_influence,
    average_precision_influence,
    micro_auc_influence,
    micro_average_precision_influence,
)
from goemo_report.statistics.once import Once
from goemo_report.statistics.resampling import RATIOS, Metrics, Outcomes, bootstrap_weights

Bounds: TypeAlias = tuple[FloatArray, FloatArray]

RESAMPLES: Final = 1000
_IN_A_TAIL: Final = 25  # resamples beyond each bound, as 1000 leave at 95%
HIGHEST_CONFIDENCE: Final = 0.999
"""Beyond it the bootstrap would need more resamples than memory should hold."""
_DRAWING: Final = Lock()  # of the threads that want the same weights, one draws them
RANKINGS: Final = ("auc", "average_precision")
CLASS_STATISTICS: Final = (*RATIOS, *RANKINGS)
"""Per-class metrics: `f1_joy`, `precision_joy`, `recall_joy`, `auc_joy`, ..."""

METHODS: Final[Mapping[str, str]] = {
    "class": (
        "F1, precision and recall of a class: Wilson score interval of a proportion "
        "(for F1 that of tp among tp + fp + fn, of which F1 is a function)"
    ),
    "macro": (
        "macro F1, precision and recall: the Wilson margins of the classes combined with their "
        "bootstrap correlations (MOVER)"
    ),
    "bootstrap": (
        "micro, weighted and samples averages, exact match, Hamming loss and Jaccard: "
        "percentile bootstrap over texts, Wilson score interval where all resamples are alike"
    ),
    "auc": (
        "AUC: influence of each text (DeLong; texts as clusters for micro), variance raised for "
        "classes with few positives, Wilson score interval"
    ),
    "average_precision": (
        "average precision: jackknife over texts, less its bias, Wilson score interval"
    ),
}
"""How each kind of interval is made, for reports."""


class Interval(NamedTuple):
    """An interval that holds the value of all texts with some confidence."""

    low: float
    high: float


@dataclass(frozen=True, eq=False)
class MetricIntervals(Mapping[str, Interval | None]):
    """Intervals by metric key; None where the metric is undefined."""

    found: Mapping[str, Interval | None]
    rows: int
    resamples: int
    seed: int
    confidence: float = CONFIDENCE

    def __getitem__(self, key: str) -> Interval | None:
        return self.found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def signature(self) -> str:
        """How the intervals were made, in one line."""
        return (
            f"{percent(self.confidence)} intervals|texts:{self.rows}|"
            f"bootstrap:{self.resamples}|seed:{self.seed}"
        )


class Analysis:
    """What the statistics of one run need; every part is computed once, when first asked for.

    `predicted` (n, k) are the labels at the threshold that is analysed; `labels` names the k
    columns of every per-class array.
    """

    def __init__(
        self,
        predictions: Predictions,
        predicted: BoolArray,
        *,
        resamples: int,
        seed: int,
        confidence: float = CONFIDENCE,
    ) -> None:
        if not len(predictions):
            raise ValueError("no texts to resample")
        if predicted.shape != predictions.truth.shape:
            raise ValueError(f"predicted is {predicted.shape}, truth {predictions.truth.shape}")
        self.predictions = predictions
        self.predicted = predicted
        self.labels = predictions.labels
        self.resamples = resamples
        self.seed = seed
        self.confidence = confidence

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.predictions)

    @Once
    def outcomes(self) -> Outcomes:
        """What each text adds to the counts."""
        return Outcomes.of(self.predictions.truth, self.predicted)

    @Once
    def sums(self) -> FloatArray:
        """Counts over all texts, (1, c)."""
        sums: FloatArray = self.outcomes.columns.sum(axis=0, dtype=np.float64, keepdims=True)
        return sums

    @Once
    def point(self) -> Metrics:
        """Counts-based metrics of all texts: (1,) and (1, k)."""
        return self.outcomes.metrics(self.sums)

    @Once
    def resampled(self) -> Metrics:
        """Counts-based metrics of each bootstrap resample: (resamples,) and (resamples, k)."""
        with _DRAWING:
            weights = bootstrap_weights(len(self), self.resamples, self.seed)
        return self.outcomes.resampled(weights)

    @property
    def exact(self) -> BoolArray:
        """Texts whose labels are all right, (n,)."""
        right: BoolArray = (self.predictions.truth == self.predicted).all(axis=1)
        return right

    @property
    def class_texts(self) -> FloatArray:
        """Texts that carry each class or are predicted to, (k,)."""
        k = len(self.labels)
        tp, predicted, support = (self.sums[0, i * k : (i + 1) * k] for i in range(3))
        return predicted + support - tp

    def trials(self, key: str) -> float:
        """Of how many an overall metric is the share: decisions for micro and weighted, or texts.

        For F1 it is the share of tp among tp + fp + fn that is a share.
        """
        average, _, name = key.partition("_")
        if average not in ("micro", "weighted"):
            return float(len(self))
        tp, predicted, support = self.sums[0, : 3 * len(self.labels)].reshape(3, -1).sum(axis=1)
        return float(
            {"precision": predicted, "recall": support}.get(name, predicted + support - tp)
        )

    def _share_bounds(self, key: str, value: float) -> list[Any]:
        """Wilson interval of an overall metric that is the same in all resamples: 0 or 1, often."""
        f1 = key in ("micro_f1", "weighted_f1")
        share = np.array(value / (2 - value) if f1 else value)
        ends = wilson(share, np.array(self.trials(key)), self.confidence)
        return [2 * end / (1 + end) if f1 else end for end in ends]

    @Once
    def class_bounds(self) -> Mapping[str, Bounds]:
        """Wilson intervals of F1, precision and recall of each class, (k,) each."""
        k = len(self.labels)
        tp, predicted, support = (self.sums[0, i * k : (i + 1) * k] for i in range(3))
        trials = {"f1": self.class_texts, "precision": predicted, "recall": support}
        bounds = {
            name: wilson(tp / np.maximum(number, 1.0), number, self.confidence)
            for name, number in trials.items()
        }
        low, high = bounds["f1"]  # of tp among the union, J; F1 = 2 J / (1 + J)
        bounds["f1"] = 2 * low / (1 + low), 2 * high / (1 + high)
        return bounds

    @Once
    def rankings(self) -> Mapping[str, tuple[Influence, Influence, Influence]]:
        """AUC and average precision: (per class, macro, micro)."""
        truth, scores = self.predictions.truth, self.predictions.probabilities
        classes, pairs = rank_classes(truth, scores), rank_pairs(truth, scores)
        auc, precision = auc_influence(classes), average_precision_influence(classes)
        micro = micro_average_precision_influence(pairs, len(self))
        return {
            "auc": (auc, auc.mean(), micro_auc_influence(pairs, len(self))),
            "average_precision": (precision, precision.mean(), micro),
        }

    @Once
    def intervals(self) -> MetricIntervals:
        """Intervals of every metric."""
        low: dict[str, Any] = {}
        high: dict[str, Any] = {}
        for name, bounds in self.class_bounds.items():
            low[name], high[name] = bounds
            low[f"macro_{name}"], high[f"macro_{name}"] = self._macro_bounds(name)
        for name, (classes, macro, micro) in self.rankings.items():
            low[name], high[name] = classes.intervals(self.confidence)
            for average, influence in (("macro", macro), ("micro", micro)):
                key = f"{average}_{name}"
                low[key], high[key] = influence.intervals(self.confidence)
        rest = [key for key in self.resampled.overall if key not in low]
        replicates = np.stack([self.resampled.overall[key] for key in rest], axis=1)
        bounds = percentiles(replicates, self.confidence)
        for key, *ends in zip(rest, *bounds, strict=True):
            value = self.point.overall[key][0]
            if ends[1] - ends[0] < 1e-12:  # but for rounding
                ends = self._share_bounds(key, value)
            low[key], high[key] = min(ends[0], value), max(ends[1], value)
        found = {key: _interval(low[key], high[key]) for key in OVERALL_KEYS}
        for name in CLASS_STATISTICS:
            for j, label in enumerate(self.labels):
                found[f"{name}_{label}"] = _interval(low[name][j], high[name][j])
        return MetricIntervals(
            found,
            rows=len(self),
            resamples=self.resamples,
            seed=self.seed,
            confidence=self.confidence,
        )

    def macro_interval(self, name: str) -> Interval:
        """Interval of macro F1, precision or recall alone (`f1`, `precision`, `recall`)."""
        return Interval(*self._macro_bounds(name))

    def _macro_bounds(self, name: str) -> tuple[float, float]:
        """MOVER (Zou and Donner 2008): margins of a mean from the margins of its terms."""
        values = self.point.per_class[name][0]
        low, high = self.class_bounds[name]
        related = correlations(self.resampled.per_class[name])
        mean = float(values.mean())
        below, above = (
            float(np.sqrt(max(margin @ related @ margin, 0.0))) / len(values)
            for margin in (values - low, high - values)
        )
        return max(mean - below, 0.0), min(mean + above, 1.0)


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
    return Analysis(predictions, labels, resamples=number, seed=seed, confidence=confidence)


def intervals(
    predictions: Predictions,
    predicted: BoolArray | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> MetricIntervals:
    """95% intervals of every overall and per-class metric of one run."""
    return analyse(predictions, predicted, resamples=resamples, seed=seed).intervals


def percentiles(replicates: FloatArray, confidence: float = CONFIDENCE) -> Bounds:
    """The quantiles of (m, c) replicates that leave out as many below as above, (c,) each."""
    tail = round((1 - confidence) / 2, 12)
    low, high = np.quantile(replicates, [tail, 1 - tail], axis=0)
    return low, high


def percent(confidence: float) -> str:
    """`95%`."""
    return f"{100 * confidence:g}%"


def correlations(replicates: FloatArray) -> FloatArray:
    """Correlations of the columns of (m, c) replicates, (c, c); 0 with a constant column."""
    centred = replicates - replicates.mean(axis=0)
    lengths = np.sqrt(np.square(centred).sum(axis=0))
    centred /= np.where(lengths > 1e-9, lengths, np.inf)
    related: FloatArray = centred.T @ centred
    np.fill_diagonal(related, 1.0)
    return related


def _interval(low: Any, high: Any) -> Interval | None:
    """None for nan; rounding may have left [0, 1] by a hair."""
    bounds = float(np.squeeze(low)), float(np.squeeze(high))
    if np.isnan(bounds).any():
        return None
    return Interval(max(bounds[0], 0.0), min(bounds[1], 1.0))
