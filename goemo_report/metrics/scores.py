"""Every metric of one set of predictions. Pure, no I/O.

A ranking metric needs a positive (AUC also a negative): where there is none it is nan and left
out of macro means. A metric that needs probabilities is left out where there are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.counts import ClassCounts, averages, count
from goemo_report.metrics.rankings import Groups
from goemo_report.metrics.table import CLASS_METRICS, OVERALL_KEYS


@dataclass(frozen=True, eq=False)
class Scores:
    """Every metric of `rows` texts at one threshold (or one a class, (k,)).

    `of_probabilities` holds the (k,) metrics of classes that need no threshold, nan where
    undefined, and is empty without probabilities; those that follow from `counts` are in
    `per_class` too. `overall` has the keys OVERALL_KEYS, None where undefined.
    """

    labels: tuple[str, ...]
    rows: int
    threshold: float | FloatArray
    counts: ClassCounts
    of_probabilities: Mapping[str, FloatArray]
    overall: Mapping[str, float | None]

    @property
    def label_set(self) -> LabelSet:
        """The labels and what is known about them."""
        return LabelSet.of(self.labels)

    @cached_property
    def per_class(self) -> Mapping[str, FloatArray]:
        """Metrics of each class, (k,), by key; nan where undefined."""
        nothing = np.full(len(self.labels), np.nan)
        return {
            key: self.of_probabilities.get(key, nothing)
            if metric.needs_probabilities
            else self.counts.metric(key)
            for key, metric in CLASS_METRICS.items()
        }

    @cached_property
    def values(self) -> Mapping[str, float | None]:
        """Every metric by its key, None where undefined: overall, then of classes, as `f1_joy`, and
        whole numbers of texts, as `support_joy`."""
        columns = {**self.per_class, "support": self.counts.support}
        of_classes = {
            f"{key}_{label}": None if np.isnan(value) else value
            for key, column in columns.items()
            for label, value in zip(self.labels, column.tolist(), strict=True)
        }
        return {**self.overall, **of_classes}

    @property
    def has_probabilities(self) -> bool:
        """Whether there were probabilities, and not only predicted labels."""
        return bool(self.of_probabilities)

    @property
    def cut(self) -> float | FloatArray | None:
        """The threshold, None where it is not known or there were only labels."""
        return None if np.isnan(self.threshold).all() else self.threshold

    @cached_property
    def without_auc(self) -> tuple[str, ...]:
        """Classes left out of the macro AUC: no positive, or no negative."""
        return self._where(np.isnan(self.per_class["auc"]))

    @cached_property
    def never_predicted(self) -> tuple[str, ...]:
        """Classes that no text is predicted to carry."""
        return self._where(self.counts.predicted == 0)

    def _where(self, chosen: BoolArray) -> tuple[str, ...]:
        return tuple(label for label, one in zip(self.labels, chosen, strict=True) if one)


def score(
    truth: BoolArray,
    probabilities: FloatArray,
    labels: tuple[str, ...],
    threshold: float | FloatArray = 0.5,
) -> Scores:
    """All metrics of (n, k) truth and probabilities; a label is predicted at p >= threshold."""
    return score_predicted(truth, probabilities, probabilities >= threshold, labels, threshold)


def score_predicted(
    truth: BoolArray,
    probabilities: FloatArray | None,
    predicted: BoolArray,
    labels: tuple[str, ...],
    threshold: float | FloatArray = float("nan"),
) -> Scores:
    """As `score`, for predicted labels that were made elsewhere, with or without probabilities.

    `threshold` is only recorded; nan says that it is not known.
    """
    overall: dict[str, float] = averages(truth, predicted)
    per_class: dict[str, FloatArray] = {}
    if probabilities is not None:
        per_class, ranked = _of_probabilities(truth, probabilities)
        overall |= ranked
    return Scores(
        labels=labels,
        rows=len(truth),
        threshold=threshold,
        counts=count(truth, predicted),
        of_probabilities=per_class,
        overall={key: _or_none(overall.get(key)) for key in OVERALL_KEYS},
    )


def _of_probabilities(
    truth: BoolArray, probabilities: FloatArray
) -> tuple[dict[str, FloatArray], dict[str, float]]:
    """Per-class and overall values of the metrics that need probabilities."""
    rankings = {key: one.ranking for key, one in CLASS_METRICS.items() if one.ranking is not None}

    def ranked(truth: BoolArray, scores: FloatArray, ascending: FloatArray) -> dict[str, float]:
        groups = Groups.counted(truth, scores, ascending)
        return {key: metric(groups) for key, metric in rankings.items()}

    ascending = np.sort(probabilities.T, axis=1)
    of_classes = [ranked(*one) for one in zip(truth.T, probabilities.T, ascending, strict=True)]
    merged = ascending.ravel()
    merged.sort(kind="stable")  # merges the sorted classes
    of_pairs = ranked(truth.ravel(), probabilities.ravel(), merged)
    per_class: dict[str, FloatArray] = {}
    overall: dict[str, float] = {}
    for key, metric in CLASS_METRICS.items():
        if key in rankings:
            per_class[key] = np.array([found[key] for found in of_classes], np.float64)
            overall[f"micro_{key}"] = of_pairs[key]
        elif metric.pairs is not None:
            columns = zip(truth.T, probabilities.T, strict=True)
            per_class[key] = np.array([metric.pairs(*one).mean() for one in columns], np.float64)
            overall[f"micro_{key}"] = float(per_class[key].mean())
        else:
            continue
        defined = per_class[key][~np.isnan(per_class[key])]
        overall[f"macro_{key}"] = float(defined.mean()) if defined.size else float("nan")
    return per_class, overall


def per_class_rows(scores: Scores) -> list[dict[str, Any]]:
    """One mapping a class: the columns of the guide's per-class CSV, then what is more."""
    counts = scores.counts
    values = {key: list(map(_or_none, column)) for key, column in scores.per_class.items()}
    columns: dict[str, list[Any]] = {
        "emotion": list(scores.labels),
        "f1_score": values.pop("f1"),
        "precision": values.pop("precision"),
        "recall": values.pop("recall"),
        "support": counts.support.tolist(),
        "tp": counts.tp.tolist(),
        "fp": counts.fp.tolist(),
        "fn": counts.fn.tolist(),
        "tn": counts.tn.tolist(),
        "auc": values.pop("auc"),
        "average_precision": values.pop("average_precision"),
        "predicted": counts.predicted.tolist(),
        "threshold": list(map(_or_none, np.broadcast_to(scores.threshold, len(scores.labels)))),
        **values,
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def metrics_document(scores: Scores) -> dict[str, Any]:
    """What `metrics --format json` prints; a metric that is not defined is null."""
    return {
        "schema_version": SCHEMA_VERSION,
        "rows": scores.rows,
        "labels": scores.labels,
        "threshold": scores.cut,
        "overall": scores.overall,
        "per_class": per_class_rows(scores),
    }


def _or_none(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else float(value)
