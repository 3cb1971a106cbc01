"""Reliability: hand-counted bins, agreement with scikit-learn, known models."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from goemo_report.analysis.calibration import class_ece, reliability


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
    assert class_ece(truth, scores).shape == (2,)
    assert (class_ece(truth, scores) < 0.02).all()


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])), min_size=1))
def test_bins_hold_every_pair_once(pairs: list[tuple[bool, float]]) -> None:
    truth, scores = (np.array(part) for part in zip(*pairs, strict=True))
    found = reliability(truth, scores, bins=4)
    assert found.size.sum() == len(pairs)
    assert (found.size > 0).all()
    assert (np.diff(found.confidence) > 0).all()
    assert 0 <= found.ece <= 1
    assert found.frequency @ found.size == pytest.approx(truth.sum())
