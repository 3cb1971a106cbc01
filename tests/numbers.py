"""Made-up predictions with the shape of real ones, for the tests of numbers."""

from __future__ import annotations

import numpy as np

from goemo_report.labels import EMOTIONS, GOEMOTIONS
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.rankings import Ranking, rank_classes
from goemo_report.metrics.scores import Scores
from goemo_report.metrics.table import CLASS_METRICS, OVERALL, Metric
from goemo_report.predictions import Predictions

PREVALENCE: FloatArray = np.geomspace(0.002, 0.3, len(EMOTIONS))
"""Share of texts that carry each label: a few rare ones, one that is frequent."""


def make_truth(rows: int, generator: np.random.Generator, labels: int = 28) -> BoolArray:
    """True labels; every label has at least one text, where there are texts enough."""
    truth: BoolArray = generator.random((rows, labels)) < PREVALENCE[-labels:]
    some = generator.permutation(rows)[:labels]
    truth[some, np.arange(len(some))] = True
    return truth


def make_probabilities(
    truth: BoolArray, generator: np.random.Generator, signal: float = 3.0
) -> FloatArray:
    """Probabilities that follow the truth more or less; rounded, so that some are equal."""
    logits = -3.0 + generator.normal(size=truth.shape) + signal * truth
    return np.round(1.0 / (1.0 + np.exp(-logits)), 4)


def make_predictions(
    rows: int = 300, seed: int = 0, signal: float = 3.0, threshold: float = 0.5
) -> Predictions:
    """Predictions of all 28 labels; the same truth for the same number of rows."""
    truth = make_truth(rows, np.random.default_rng(rows))
    probabilities = make_probabilities(truth, np.random.default_rng(seed), signal)
    texts = tuple(f"text number {row}" for row in range(rows))
    return Predictions(
        texts, truth, probabilities, probabilities >= threshold, GOEMOTIONS, f"seed{seed}.csv"
    )


def average_precision(truth: BoolArray, scores: FloatArray) -> FloatArray:
    """Average precision of each class, (k,)."""
    return np.array([one.average_precision() for one in rank_classes(truth, scores)])


def micro_average_precision(truth: BoolArray, scores: FloatArray) -> float:
    """Average precision over all text x label pairs."""
    return Ranking.of(truth.ravel(), scores.ravel()).average_precision()


def every_value(scores: Scores) -> dict[str, tuple[Metric, float | None]]:
    """Each overall and per-class metric and its value, by the keys of intervals."""
    found = {key: (OVERALL[key].metric, value) for key, value in scores.overall.items()}
    for key, values in scores.per_class.items():
        for label, value in zip(scores.labels, values.tolist(), strict=True):
            found[f"{key}_{label}"] = CLASS_METRICS[key], value
    return found
