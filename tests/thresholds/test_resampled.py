"""Thresholds tuned on resamples of validation."""

from __future__ import annotations

import numpy as np

from goemo_report.metrics.counts import averages
from goemo_report.predictions import Predictions
from goemo_report.statistics.resampling import WeightArray, bootstrap_weights
from goemo_report.thresholds.tune import Tuned, tuned_macro_f1
from tests.numbers import make_predictions


def drawn(made: Predictions, weights: WeightArray) -> Predictions:
    """The texts of one resample, (n,) weights."""
    rows = np.repeat(np.arange(len(made)), weights)
    return made.take(rows, np.arange(len(made.labels)))


def tuned_on(validation: Predictions, judged: Predictions) -> float:
    thresholds = Tuned(validation.truth, validation.probabilities).thresholds
    return averages(judged.truth, judged.probabilities >= thresholds)["macro_f1"]


def test_every_text_once_gives_the_thresholds_of_validation() -> None:
    validation, judged = make_predictions(300, seed=1), make_predictions(400, seed=2)
    once = [np.ones((1, len(made)), np.uint8) for made in (validation, judged)]
    (found,) = tuned_macro_f1(validation, judged, *once)
    assert abs(found - tuned_on(validation, judged)) < 0.005  # of equal cuts it may take another


def test_each_resample_has_the_best_thresholds_of_its_own() -> None:
    """Judged on what they were tuned on, where no more than the best cut matters."""
    made = make_predictions(900, seed=3, signal=3.0)
    common = made.take(np.arange(900), np.flatnonzero(made.truth.sum(axis=0) > 30))
    assert len(common.labels) > 3
    weights = bootstrap_weights(900, 5, 0)
    found = tuned_macro_f1(common, common, weights, weights)
    for value, row in zip(found, weights, strict=True):
        one = drawn(common, row)
        assert abs(value - tuned_on(one, one)) < 1e-12


def test_rare_classes_keep_the_global_threshold() -> None:
    validation, judged = make_predictions(400, seed=4), make_predictions(400, seed=5)
    weights = bootstrap_weights(400, 40, 0), bootstrap_weights(400, 40, 1)
    found = tuned_macro_f1(validation, judged, *weights)
    expected = [
        tuned_on(drawn(validation, first), drawn(judged, second))
        for first, second in zip(*weights, strict=True)
    ]
    # thresholds lie elsewhere between two probabilities, and global ones are some of all
    assert abs(found.mean() - np.mean(expected)) < 0.01
    assert abs(found.std() / np.std(expected) - 1.0) < 0.25
