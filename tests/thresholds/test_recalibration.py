"""Calibration: hand-counted bins, agreement with scikit-learn, simulation, known models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, f1_score, hamming_loss, log_loss

from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.predictions import Predictions
from goemo_report.statistics.calibration import reliability, risk_coverage
from goemo_report.thresholds.recalibration import (
    calibration,
    fit_temperature,
    isotonic,
    with_temperature,
)


def test_bins_counted_by_hand() -> None:
    truth = np.array([False, True, True, True])
    found = reliability(truth, np.array([0.1, 0.3, 0.8, 0.9]), bins=2)
    assert found.size.tolist() == [2, 2]
    assert found.confidence == pytest.approx([0.2, 0.85])
    assert found.frequency == pytest.approx([0.5, 1.0])
    assert found.ece == pytest.approx(0.5 * 0.3 + 0.5 * 0.15)
    assert found.brier == pytest.approx((0.01 + 0.49 + 0.04 + 0.01) / 4)


def test_agrees_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    scores = generator.random(1500)
    truth = generator.random(1500) < scores**2
    found = reliability(truth, scores, bins=15)
    frequency, confidence = calibration_curve(truth, scores, n_bins=15, strategy="quantile")
    assert found.size.tolist() == [100] * 15
    assert found.frequency == pytest.approx(frequency, abs=0.011)  # its edges are interpolated
    assert found.confidence == pytest.approx(confidence, abs=0.002)
    assert found.brier == pytest.approx(brier_score_loss(truth, scores), abs=1e-12)


def test_equal_probabilities_share_a_bin() -> None:
    truth = np.array([True, False, True, False, True, False])
    found = reliability(truth, np.full(6, 0.5), bins=3)
    assert found.size.tolist() == [6]
    assert found.ece == 0.0


def test_a_calibrated_model_has_a_small_error_and_a_sharpened_one_a_large_one() -> None:
    generator = np.random.default_rng(1)
    scores = generator.random((20_000, 2))
    truth = generator.random((20_000, 2)) < scores
    assert reliability(truth, scores).ece < 0.01
    assert reliability(truth, np.where(scores > 0.5, 0.99, 0.01)).ece > 0.2


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])), min_size=1))
def test_bins_hold_every_pair_once(pairs: list[tuple[bool, float]]) -> None:
    truth, scores = (np.array(part) for part in zip(*pairs, strict=True))
    found = reliability(truth, scores, bins=4)
    assert found.size.sum() == len(pairs)
    assert (found.size > 0).all()
    assert (np.diff(found.confidence) > 0).all()
    assert 0 <= found.ece <= 1
    assert found.frequency @ found.size == pytest.approx(truth.sum())


def drawn(seed: int, texts: int = 3000, labels: int = 4) -> tuple[BoolArray, FloatArray]:
    """Rare labels of a perfectly calibrated model."""
    generator = np.random.default_rng(seed)
    scores = 1.0 / (1.0 + np.exp(-generator.normal(-3.0, 2.0, (texts, labels))))
    return generator.random(scores.shape) < scores, scores


def predictions(truth: BoolArray, scores: FloatArray) -> Predictions:
    names = LabelSet.of([f"l{j}" for j in range(truth.shape[1])])
    texts = tuple(map(str, range(len(truth))))
    return Predictions(texts, truth, scores, scores >= 0.5, names, "a.csv")


def test_the_floor_is_the_ece_of_labels_drawn_from_the_probabilities() -> None:
    """One that is drawn 200 times over; the range holds about 95% of them."""
    generator = np.random.default_rng(2)
    _, scores = drawn(3)
    floor = reliability(scores < 0, scores).floor
    eces = [reliability(generator.random(scores.shape) < scores, scores).ece for _ in range(200)]
    assert floor.value == pytest.approx(np.mean(eces), rel=0.05)
    within = np.mean([(floor.low <= one) & (one <= floor.high) for one in eces])
    assert 0.9 <= within <= 0.99


def test_the_floor_of_one_bin_counted_by_hand() -> None:
    """Two pairs at 0.5: both, one or none is true, so that the error is 0.5, 0, 0, 0.5."""
    found = reliability(np.array([True, False]), np.full(2, 0.5), bins=1)
    assert found.floor.value == pytest.approx(0.25)
    # half at 0.1, half at 0.9: the variance of the sum of 2,000 is 180, of a binomial 500
    mixed = reliability(np.ones(2000, bool), np.tile([0.1, 0.9], 1000), bins=1)
    assert mixed.floor.value == pytest.approx(np.sqrt(180 * 2 / np.pi) / 2000, rel=0.01)
    certain = reliability(np.array([True, False]), np.array([1.0, 0.0]), bins=2)
    assert certain.floor == (0.0, 0.0, 0.0)


def test_debiased_ece_loses_noise_and_keeps_what_is_wrong() -> None:
    truth, scores = drawn(4)
    eces = [reliability(*drawn(seed)) for seed in range(5, 25)]
    assert np.mean([one.debiased for one in eces]) < 0.7 * np.mean([one.ece for one in eces])
    shifted = reliability(truth, np.minimum(scores + 0.05, 1.0))
    assert shifted.debiased == pytest.approx(0.05, abs=0.005)
    assert shifted.debiased <= shifted.ece + 1e-12


@pytest.mark.parametrize("digits", [1, 2, 16])
def test_isotonic_regression_agrees_with_scikit_learn(digits: int) -> None:
    generator = np.random.default_rng(digits)
    scores = generator.random(700).round(digits)
    asked = generator.uniform(-0.2, 1.2, 500)
    for outcomes in (generator.random(700) < scores, generator.normal(size=700)):
        expected = IsotonicRegression(out_of_bounds="clip").fit(scores, outcomes)
        fitted, found = isotonic(scores, outcomes, asked)
        assert np.abs(found - expected.predict(asked)).max() < 1e-12
        assert np.abs(fitted - expected.predict(scores)).max() < 1e-12


@given(st.lists(st.tuples(st.sampled_from([0.1, 0.4, 0.7]), st.booleans()), min_size=1))
def test_isotonic_regression_of_few_scores(pairs: list[tuple[float, bool]]) -> None:
    scores, outcomes = (np.array(part) for part in zip(*pairs, strict=True))
    expected = IsotonicRegression(out_of_bounds="clip").fit(scores, outcomes)
    asked = np.linspace(0, 1, 21)
    _, found = isotonic(scores, outcomes, asked)
    assert np.abs(found - expected.predict(asked)).max() < 1e-12


def test_temperature_is_found_and_undoes_what_was_done() -> None:
    truth, scores = drawn(30, texts=20_000)
    assert fit_temperature(truth, scores) == pytest.approx(1.0, abs=0.03)
    sharpened = with_temperature(scores, 0.5)
    found = fit_temperature(truth, sharpened)
    assert found == pytest.approx(2.0, abs=0.06)
    best = log_loss(truth.ravel(), with_temperature(sharpened, found).ravel())
    for other in (found * 0.98, found * 1.02):
        assert best < log_loss(truth.ravel(), with_temperature(sharpened, other).ravel())


@pytest.mark.parametrize("scores", [np.ones((4, 2)), np.zeros((4, 2)), np.full((4, 2), 0.5)])
def test_certain_and_constant_probabilities_have_a_temperature(scores: FloatArray) -> None:
    truth = np.array([[True, False]] * 4)
    found = fit_temperature(truth, scores)
    assert 0.01 <= found <= 100.0
    assert np.isfinite(with_temperature(scores, found)).all()
    for one in calibration(predictions(truth, scores), predictions(truth, scores)).methods:
        assert np.isfinite([one.ece, one.debiased, one.log_loss, one.brier]).all()


def test_what_validation_gains_on_a_sharpened_model() -> None:
    """A temperature keeps macro F1; both methods mend ECE, log loss and Brier score."""
    (truth, scores), (val_truth, val_scores) = drawn(40), drawn(41)
    judged = predictions(truth, with_temperature(scores, 0.4))
    found = calibration(judged, predictions(val_truth, with_temperature(val_scores, 0.4)), 0.3)
    before, cooled, mapped = found.methods
    assert cooled.temperature == pytest.approx(2.5, rel=0.1)
    assert (cooled.macro_f1, cooled.tuned_macro_f1) == (before.macro_f1, 0.3)
    assert before.log_loss == pytest.approx(
        log_loss(truth.ravel(), judged.probabilities.ravel()), abs=1e-12
    )
    for one in (cooled, mapped):
        assert one.ece < before.ece / 2
        assert one.log_loss_gain is not None
        assert one.brier_gain is not None
        assert one.log_loss_gain.value == pytest.approx(before.log_loss - one.log_loss)
        assert 0 < one.log_loss_gain.low < one.log_loss_gain.value < one.log_loss_gain.high
        assert one.brier_gain.value == pytest.approx(before.brier - one.brier)


def test_without_validation_there_is_what_is_predicted_alone() -> None:
    found = calibration(predictions(*drawn(50, texts=40)))
    assert [one.method for one in found.methods] == ["as predicted"]
    assert found.methods[0].tuned_macro_f1 is None


def test_risk_and_coverage_agree_with_the_texts_that_are_kept() -> None:
    truth, scores = drawn(60, texts=200)
    found = risk_coverage(truth, scores)
    order = np.argsort(np.minimum(scores, 1 - scores).sum(axis=1))
    for at, share in ((9, 0.2), (49, 1.0)):
        kept = order[: round(share * 200)]
        expected = f1_score(truth[kept], scores[kept] >= 0.5, average="micro", zero_division=0)
        assert found.error[at] == pytest.approx(1.0 - expected)
        assert found.hamming[at] == pytest.approx(hamming_loss(truth[kept], scores[kept] >= 0.5))
    losses = [hamming_loss(truth[order[:n]], scores[order[:n]] >= 0.5) for n in range(1, 201)]
    assert found.aurc == pytest.approx(np.mean(losses))


def test_texts_that_are_equally_sure_share_their_errors() -> None:
    truth = np.array([[True, False], [False, False]])
    scores = np.full((2, 2), 0.1)
    for rows in ([0, 1], [1, 0]):
        assert risk_coverage(truth[rows], scores).aurc == pytest.approx(0.25)
