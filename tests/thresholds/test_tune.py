"""Thresholds tuned exactly, and on resamples of validation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goemo_report.metrics.counts import averages
from goemo_report.metrics.scores import score
from goemo_report.predictions import Predictions
from goemo_report.statistics.resampling import WeightArray, bootstrap_weights
from goemo_report.thresholds.tune import Tuned, tuned_macro_f1
from tests.numbers import make_predictions


def all_cuts(probabilities: np.ndarray) -> np.ndarray:
    """A threshold at every distinct probability, and one above all."""
    return np.append(np.unique(probabilities), 2.0)


@settings(max_examples=60)
@given(st.integers(1, 25), st.integers(0, 10**6), st.integers(1, 2))
def test_tuning_finds_the_best_of_all_cuts(rows: int, seed: int, decimals: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.random((rows, 3)) < 0.3
    probabilities = np.round(
        generator.random((rows, 3)) * 0.8 + np.where(truth, 0.2, 0.0), decimals
    )
    labels = ("a", "b", "c")
    cuts = all_cuts(probabilities)
    f1 = np.array([score(truth, probabilities, labels, cut).counts.metric("f1") for cut in cuts])
    tuned = score(truth, probabilities, labels, Tuned(truth, probabilities).per_class)
    assert tuned.counts.metric("f1") == pytest.approx(f1.max(axis=0), abs=1e-12)
    together = score(truth, probabilities, labels, Tuned(truth, probabilities).overall)
    assert together.overall["macro_f1"] == pytest.approx(f1.mean(axis=1).max(), abs=1e-12)


def test_the_midpoint_nearest_to_one_half() -> None:
    truth = np.array([[True], [True], [False], [False]])
    scores = np.array([[0.9], [0.7], [0.2], [0.1]])
    assert Tuned(truth, scores).per_class[0] == pytest.approx(0.45)
    # one hit of one, or two of four: F1 is 2/3 at the cuts 0.8 and 0.3, and 0.3 is nearer to 0.5
    truth = np.array([[True], [False], [False], [True], [False]])
    scores = np.array([[0.9], [0.7], [0.5], [0.4], [0.2]])
    assert Tuned(truth, scores).per_class[0] == pytest.approx(0.3)
    assert Tuned(truth, scores).overall == pytest.approx(0.3)


def test_neighbouring_numbers_are_cut_between() -> None:
    low = 0.5
    high = float(np.nextafter(low, 1.0))
    threshold = Tuned(np.array([[True], [False]]), np.array([[high], [low]])).per_class[0]
    assert low < threshold <= high


def test_a_class_without_positives_keeps_one_half() -> None:
    truth = np.zeros((5, 2), np.bool_)
    found = Tuned(truth, np.random.default_rng(0).random((5, 2)))
    assert found.per_class.tolist() == [0.5, 0.5]
    assert found.overall == 0.5


# --- Tuned anew on resamples ----------------------------------------------------------


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


def test_classes_that_are_rare_in_a_resample_keep_the_global_threshold() -> None:
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
