"""Confusion counts of predicted labels, and every metric that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.table import CLASS_METRICS, OVERALL, Metric, ratio

Counts: TypeAlias = npt.NDArray[Any]
"""Whole numbers; of weighted resamples, as floats."""


@dataclass(frozen=True, eq=False, slots=True)
class ClassCounts:
    """Confusion counts of each class, (..., k). Counts of disjoint texts add up with `+`."""

    tp: Counts
    fp: Counts
    fn: Counts
    tn: Counts

    @classmethod
    def of(
        cls, tp: Counts, predicted: Counts, support: Counts, total: float | Counts
    ) -> ClassCounts:
        """From what is predicted and what is true among `total`."""
        return cls(tp, predicted - tp, support - tp, total - support - predicted + tp)

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def pooled(self) -> ClassCounts:
        """Counts over all classes as one, (..., 1): what micro averages are made of."""
        return ClassCounts(
            *(part.sum(axis=-1, keepdims=True) for part in (self.tp, self.fp, self.fn, self.tn))
        )

    @property
    def support(self) -> Counts:
        """Texts that carry the class."""
        return self.tp + self.fn

    @property
    def predicted(self) -> Counts:
        """Texts for which the class is predicted."""
        return self.tp + self.fp

    @property
    def total(self) -> Counts:
        """All texts."""
        return self.tp + self.fp + self.fn + self.tn

    def metric(self, key: str) -> FloatArray:
        """A metric of each class, (..., k), by its key."""
        return self.of_metric(CLASS_METRICS[key])

    def of_metric(self, metric: Metric) -> FloatArray:
        """A metric that follows from counts, of each class or text."""
        assert metric.counts is not None  # noqa: S101 # others are not asked for
        return np.asarray(metric.counts(self), dtype=np.float64)


def count(truth: BoolArray, predicted: BoolArray, axis: int = 0) -> ClassCounts:
    """Confusion counts of each class from two (n, k) arrays; of each text with `axis` 1."""
    tp, called, support = (
        np.count_nonzero(part, axis=axis).astype(np.int64)
        for part in (truth & predicted, predicted, truth)
    )
    return ClassCounts.of(tp, called, support, truth.shape[axis])


@dataclass(frozen=True, eq=False, slots=True)
class CountMetrics:
    """Metrics that follow from counts, by key: `overall` (...,), `per_class` (..., k)."""

    overall: dict[str, FloatArray]
    per_class: dict[str, FloatArray]

    def __sub__(self, other: CountMetrics) -> CountMetrics:
        return CountMetrics(
            {key: values - other.overall[key] for key, values in self.overall.items()},
            {key: values - other.per_class[key] for key, values in self.per_class.items()},
        )


def count_metrics(counts: ClassCounts) -> CountMetrics:
    """Macro, micro and support-weighted averages and per-class values, of (..., k) counts."""
    pooled, weights = counts.pooled, counts.support
    overall: dict[str, FloatArray] = {}
    per_class: dict[str, FloatArray] = {}
    for key, metric in CLASS_METRICS.items():
        if metric.counts is None:
            continue
        values = per_class[key] = counts.metric(key)
        found = {
            "macro": values.mean(axis=-1),
            "micro": pooled.metric(key)[..., 0],
            "weighted": ratio((values * weights).sum(axis=-1), weights.sum(axis=-1)),
        }
        overall |= {f"{name}_{key}": found[name] for name in metric.averages if name in found}
    return CountMetrics(overall, per_class)


def text_metrics(truth: BoolArray, predicted: BoolArray) -> dict[str, FloatArray]:
    """The (n,) values of texts whose means are the samples averages, by overall key.

    A text with no true and no predicted label is an exact match, with F1 and Jaccard 0.0.
    """
    texts = count(truth, predicted, axis=1)
    return {
        key: texts.of_metric(one.metric) for key, one in OVERALL.items() if one.average == "samples"
    }


def averages(truth: BoolArray, predicted: BoolArray) -> dict[str, float]:
    """Every overall metric that follows from (n, k) true and predicted labels."""
    found = count_metrics(count(truth, predicted)).overall
    texts = text_metrics(truth, predicted)
    return {key: float(values) for key, values in found.items()} | {
        key: float(values.mean()) for key, values in texts.items()
    }
