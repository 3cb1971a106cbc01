"""Curves and sweeps: exact before thinning, close after it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.rankings import (
    CUTS,
    Ranking,
    precision_recall_curve,
    roc_auc,
    roc_curve,
    sweep,
    thin,
)
from tests.numbers import average_precision

ALL = 10**6


def scored(seed: int, rows: int = 400, digits: int = 3) -> tuple[BoolArray, FloatArray]:
    generator = np.random.default_rng(seed)
    truth = generator.random(rows) < 0.2
    scores = 1 / (1 + np.exp(-generator.normal(-1 + 1.5 * truth, 1)))
    return truth, np.round(scores, digits)


@pytest.mark.parametrize("seed", range(5))
def test_roc_points_are_those_of_scikit_learn(seed: int) -> None:
    truth, scores = scored(seed, digits=2)
    curve = roc_curve(Ranking.of(truth, scores), ALL)
    x, y, _ = sk.roc_curve(truth, scores, drop_intermediate=False)
    assert curve is not None
    assert curve.x == pytest.approx(x, abs=1e-12)
    assert curve.y == pytest.approx(y, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_precision_recall_points_are_those_of_scikit_learn(seed: int) -> None:
    truth, scores = scored(seed, digits=2)
    curve = precision_recall_curve(Ranking.of(truth, scores), ALL)
    assert curve is not None
    precision, recall, _ = sk.precision_recall_curve(truth, scores)
    start = np.flatnonzero(recall == 1.0)[-1]  # ours stops where recall is complete
    assert curve.x[1:] == pytest.approx(recall[start:-1][::-1], abs=1e-12)
    assert curve.y[1:] == pytest.approx(precision[start:-1][::-1], abs=1e-12)
    assert (curve.x[0], curve.y[0]) == (0.0, curve.y[1])


def test_thinned_curves_keep_area_and_ends() -> None:
    truth, scores = scored(1, rows=20_000, digits=12)
    found = Ranking.of(truth, scores)
    roc, precision_recall = roc_curve(found, 200), precision_recall_curve(found, 200)
    assert roc is not None
    assert precision_recall is not None
    assert len(roc.x) <= 200
    assert len(precision_recall.x) <= 200
    auc = roc_auc(truth[:, None], scores[:, None])[0]
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(auc, abs=1e-3)
    precision = average_precision(truth[:, None], scores[:, None])[0]
    assert np.trapezoid(precision_recall.y, precision_recall.x) == pytest.approx(
        precision, abs=5e-3
    )
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(2, 50))
def test_no_left_out_point_is_far_from_a_kept_one(seed: int, points: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = np.sort(generator.random(300)), generator.random(300)
    kept = thin(x, y, points)
    assert len(kept) <= points
    assert (kept[0], kept[-1]) == (0, 299)
    assert (np.diff(kept) > 0).all()
    length = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    between = np.searchsorted(kept, np.arange(300))
    to_next = length[kept[between]] - length
    to_last = length - length[kept[np.maximum(between - 1, 0)]]
    assert (np.minimum(to_next, to_last) <= length[-1] / (points - 1) + 1e-9).all()


def test_undefined_curves_are_none() -> None:
    scores = np.array([0.1, 0.5, 0.9])
    assert precision_recall_curve(Ranking.of(np.zeros(3, bool), scores), 9) is None
    assert roc_curve(Ranking.of(np.zeros(3, bool), scores), 9) is None
    assert roc_curve(Ranking.of(np.ones(3, bool), scores), 9) is None


def test_a_sweep_gives_the_metrics_of_each_threshold() -> None:
    generator = np.random.default_rng(3)
    truth = generator.random((200, 5)) < 0.3
    probabilities = np.round(generator.random((200, 5)), 2)
    found = sweep(truth, probabilities)
    for at in (0, 29, 50, 99, 100):
        predicted = probabilities >= CUTS[at]
        expected = {
            "macro_f1": sk.f1_score(truth, predicted, average="macro", zero_division=0),
            "micro_f1": sk.f1_score(truth, predicted, average="micro", zero_division=0),
            "coverage": predicted.any(axis=1).mean(),
            "weighted_f1": sk.f1_score(truth, predicted, average="weighted", zero_division=0),
        }
        for name, value in expected.items():
            assert found[name][at] == pytest.approx(value, abs=1e-12)
