"""Intervals: from formulas, from resamples and from influences, each against another way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.rankings import micro_roc_auc, rank_classes, roc_auc
from goemo_report.metrics.scores import score_predicted
from goemo_report.metrics.table import CLASS_METRICS, OVERALL, OVERALL_KEYS
from goemo_report.predictions import Predictions
from goemo_report.statistics.class_draws import ClassDraws
from goemo_report.statistics.distributions import (
    holm,
    normal_p,
    student_p,
    student_quantile,
    wilson,
)
from goemo_report.statistics.influence import (
    auc_influence,
    average_precision_influence,
    influences,
)
from goemo_report.statistics.intervals import Interval, analyse
from goemo_report.statistics.resampling import Outcomes, bootstrap_weights, weighted_sums
from tests.numbers import (
    average_precision,
    every_value,
    make_predictions,
    micro_average_precision,
)

# --- Formulas ---------------------------------------------------------------------------------


def test_wilson_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    hits, trials = np.array([0.0, 1.0, 3.0, 50.0, 7.0]), np.array([5.0, 6.0, 6.0, 60.0, 7.0])
    low, high = wilson(hits / trials, trials)
    for j in range(5):
        test = stats.binomtest(int(hits[j]), int(trials[j]))
        expected = test.proportion_ci(0.95, method="wilson")
        assert low[j] == pytest.approx(expected.low, abs=1e-12)
        assert high[j] == pytest.approx(expected.high, abs=1e-12)


def test_wilson_without_trials_knows_nothing() -> None:
    low, high = wilson(np.array([0.0]), np.array([0.0]))
    assert (low[0], high[0]) == (0.0, 1.0)


@pytest.mark.parametrize("df", [1.0, 2.5, 4.0, 30.0, 1000.0])
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 2.2, 12.0])
def test_student_is_scipys(t: float, df: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    assert student_p(t, df) == pytest.approx(2 * stats.t.sf(t, df), rel=1e-9)
    assert student_quantile(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)
    assert normal_p(t) == pytest.approx(2 * stats.norm.sf(t), rel=1e-9)


def test_holm_by_hand() -> None:
    # sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2 (not below the one before), 0.2 x 1
    adjusted = holm(np.array([0.03, 0.01, np.nan, 0.2, 0.02]))
    assert adjusted == pytest.approx([0.06, 0.04, np.nan, 0.2, 0.06], nan_ok=True)
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_holm_only_raises_and_keeps_the_order(values: list[float]) -> None:
    p_values = np.array(values)
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all()
    assert (adjusted <= 1.0).all()
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(adjusted[order]) >= 0.0).all()


# --- Resamples ---------------------------------------------------------------------------------


def test_each_resample_draws_every_text_once_on_average() -> None:
    weights = bootstrap_weights(200, 500, 0)
    assert weights.shape == (500, 200)
    assert (weights.sum(axis=1) == 200).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(200), abs=0.25)
    assert weights.astype(np.float64).var() == pytest.approx(1 - 1 / 200, rel=0.02)


def test_resamples_follow_from_the_seed_alone() -> None:
    first = bootstrap_weights(50, 20, 7).copy()
    bootstrap_weights.cache_clear()
    assert np.array_equal(bootstrap_weights(50, 20, 7), first)
    assert not np.array_equal(bootstrap_weights(50, 20, 8), first)


def test_metrics_of_a_resample_are_those_of_its_texts() -> None:
    made = make_predictions(120)
    weights = bootstrap_weights(120, 30, 0)
    resampled = Outcomes.of(made.truth, made.predicted).resampled(weights)
    for number in (0, 7, 29):
        drawn = np.repeat(np.arange(120), weights[number])
        expected = score_predicted(
            made.truth[drawn], made.probabilities[drawn], made.predicted[drawn], made.labels
        )
        for key, values in resampled.overall.items():
            assert values[number] == pytest.approx(expected.overall[key], abs=1e-12)
        for name, values in resampled.per_class.items():
            assert np.allclose(values[number], expected.per_class[name], rtol=0, atol=1e-12)


def test_weighted_sums_are_exact() -> None:
    generator = np.random.default_rng(0)
    weights = generator.integers(0, 9, (300, 5427)).astype(np.uint8)
    outcomes = generator.random((5427, 40)) < 0.5
    sums = weighted_sums(weights, outcomes.astype(np.float32))
    assert np.array_equal(sums, weights.astype(np.int64) @ outcomes.astype(np.int64))


MICRO = (
    ("micro_auc", micro_roc_auc),
    ("micro_average_precision", micro_average_precision),
)


# --- Influences ---------------------------------------------------------------------------------


def tied(rows: int = 150, seed: int = 0) -> tuple[BoolArray, FloatArray]:
    generator = np.random.default_rng(seed)
    truth = generator.random((rows, 3)) < 0.15
    return truth, np.round(generator.random((rows, 3)) + np.where(truth, 0.4, 0.0), 2)


def without_each(truth: BoolArray, scores: FloatArray, metric: object) -> FloatArray:
    assert callable(metric)
    rows = range(len(truth))
    return np.array([metric(np.delete(truth, i, 0), np.delete(scores, i, 0)) for i in rows])


def test_estimates_are_the_metrics() -> None:
    truth, scores = tied()
    classes = rank_classes(truth, scores)
    auc, precision = auc_influence(classes), average_precision_influence(classes)
    assert np.allclose(auc.estimates, roc_auc(truth, scores), rtol=0, atol=1e-12)
    assert np.allclose(precision.estimates, average_precision(truth, scores), rtol=0, atol=1e-12)
    for key, metric in MICRO:
        estimate = influences(truth, scores)[key].estimates[0]
        assert estimate == pytest.approx(metric(truth, scores), abs=1e-12)


def test_influence_on_average_precision_is_the_jackknife() -> None:
    truth, scores = tied()
    left_out = without_each(truth, scores, average_precision)
    found = average_precision_influence(rank_classes(truth, scores))
    n = len(truth)
    assert np.allclose(found.bias, (n - 1) * (left_out.mean(axis=0) - found.estimates))
    assert np.allclose(found.values, (n - 1) * (left_out.mean(axis=0) - left_out))


def test_influence_on_auc_is_delongs() -> None:
    truth, scores = tied()
    found = auc_influence(rank_classes(truth, scores))
    for j in range(3):
        above, below = scores[truth[:, j], j], scores[~truth[:, j], j]
        wins = (above[:, None] > below) + 0.5 * (above[:, None] == below)
        variance = wins.mean(axis=1).var(ddof=1) / len(above)
        variance += wins.mean(axis=0).var(ddof=1) / len(below)
        seen = np.square(found.values[:, j]).sum() / len(truth) ** 2
        assert seen == pytest.approx(variance, rel=1e-9)
        assert found.standard_errors[j] >= np.sqrt(variance)


@pytest.mark.parametrize(("key", "metric"), MICRO)
def test_micro_influence_is_that_of_whole_texts(key: str, metric: object) -> None:
    truth, scores = tied(300)
    found = influences(truth, scores)[key]
    left_out = without_each(truth, scores, metric)
    jackknife = np.sqrt((len(truth) - 1) / len(truth) * np.square(left_out - left_out.mean()).sum())
    assert found.standard_errors[0] == pytest.approx(jackknife, rel=0.03)


def test_macro_influence_is_the_mean_of_the_defined_classes() -> None:
    truth, scores = tied()
    truth[:, 1] = False
    found = auc_influence(rank_classes(truth, scores)).mean()
    assert found.estimates[0] == pytest.approx(np.nanmean(roc_auc(truth, scores)))
    truth[:] = False
    assert np.isnan(auc_influence(rank_classes(truth, scores)).mean().intervals()[0][0])


def test_few_positives_never_look_certain() -> None:
    truth = np.zeros((1000, 1), np.bool_)
    truth[:6] = True
    perfect = truth.astype(np.float64)
    for influence in (auc_influence, average_precision_influence):
        low, high = influence(rank_classes(truth, perfect)).intervals()
        assert 0.4 < low[0] < 0.95
        assert high[0] == pytest.approx(1.0, abs=1e-3)


# --- Intervals of a run -------------------------------------------------------------------------


def test_every_metric_has_an_interval_around_it() -> None:
    made = make_predictions(600, threshold=0.3)
    found = analyse(made, resamples=400).intervals
    scores = score_predicted(made.truth, made.probabilities, made.predicted, made.labels)
    assert set(found) == set(OVERALL_KEYS) | {
        f"{name}_{label}" for name in CLASS_METRICS for label in made.labels
    }
    for key in OVERALL_KEYS:
        interval, value = found[key], scores.overall[key]
        assert interval is not None
        assert value is not None
        assert interval.high - interval.low < 0.3 * OVERALL[key].metric.span
    for key, (metric, value) in every_value(scores).items():
        interval = found[key]
        assert interval is not None
        assert value is not None
        assert metric.low <= interval.low <= interval.high <= metric.high
        assert interval.low - 1e-12 <= value <= interval.high + 1e-12, key


def test_the_bootstrap_agrees_with_a_loop_over_the_metrics() -> None:
    made = make_predictions(300)
    found = analyse(made, resamples=300).intervals
    generator = np.random.default_rng(5)
    values = []
    for _ in range(300):
        drawn = generator.integers(300, size=300)
        part = score_predicted(
            made.truth[drawn], made.probabilities[drawn], made.predicted[drawn], made.labels
        )
        values.append([part.overall[key] for key in ("micro_f1", "samples_f1", "micro_auc")])
    lows, highs = np.quantile(np.array(values, np.float64), [0.025, 0.975], axis=0)
    for key, low, high in zip(("micro_f1", "samples_f1", "micro_auc"), lows, highs, strict=True):
        interval = found[key]
        assert interval is not None
        assert interval == pytest.approx((low, high), abs=0.25 * (high - low))


def test_f1_of_a_class_is_bounded_through_its_share_of_hits() -> None:
    truth = np.array([[True]] * 6 + [[False]] * 94)
    predicted = np.array([[True]] * 2 + [[False]] * 4 + [[True]] * 2 + [[False]] * 92)
    made = Predictions(
        tuple(map(str, range(100))),
        truth,
        predicted.astype(np.float64),
        predicted,
        LabelSet.of(["joy"]),
        "x",
    )
    low, high = wilson(np.array([2 / 8]), np.array([8.0]))
    assert analyse(made, resamples=10).intervals["f1_joy"] == pytest.approx(
        (2 * low[0] / (1 + low[0]), 2 * high[0] / (1 + high[0]))
    )


def test_a_class_that_is_never_predicted_is_not_certain() -> None:
    made = make_predictions(500)
    found = analyse(made, np.zeros_like(made.predicted), resamples=50).intervals
    interval = found["f1_admiration"]
    assert interval is not None
    assert interval.low == 0.0
    assert interval.high > 0.1
    assert found["precision_admiration"] == Interval(0.0, 1.0)
    macro, micro = found["macro_f1"], found["micro_f1"]
    assert macro is not None
    assert micro is not None
    assert macro.low == 0.0 < micro.high <= macro.high  # all classes together show no less


def test_undefined_metrics_have_no_interval() -> None:
    made = make_predictions(100)
    truth = made.truth.copy()
    truth[:, 0] = False
    without = Predictions(
        made.texts, truth, made.probabilities, made.predicted, made.label_set, made.source
    )
    found = analyse(without, resamples=50).intervals
    assert found["auc_admiration"] is None
    assert found["average_precision_admiration"] is None
    assert found["macro_auc"] is not None


def test_the_same_seed_gives_the_same_intervals() -> None:
    made = make_predictions(200)
    first, second = (dict(analyse(made, resamples=100, seed=3).intervals) for _ in range(2))
    assert first == second
    assert analyse(made, resamples=100, seed=4).intervals != first


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_odd_data_never_breaks_an_interval(seed: int, rows: int) -> None:
    generator = np.random.default_rng(seed)
    shape = rows, 28
    truth = generator.random(shape) < generator.random()
    predicted = generator.random(shape) < generator.random()
    probabilities = np.round(generator.random(shape), 1)
    made = make_predictions(6)
    odd = Predictions(made.texts[:rows], truth, probabilities, predicted, made.label_set, "odd.csv")
    scores = score_predicted(truth, probabilities, predicted, made.labels)
    found = analyse(odd, resamples=20).intervals
    for key, (metric, _) in every_value(scores).items():
        interval = found[key]
        if interval is not None:
            assert metric.low <= interval.low <= interval.high <= metric.high, key


def test_no_texts_and_other_shapes_are_mistakes() -> None:
    made = make_predictions(10)
    empty = made.take(np.array([], np.int64), np.arange(28))
    with pytest.raises(ValueError, match="no texts"):
        analyse(empty)
    with pytest.raises(ValueError, match="predicted is"):
        analyse(made, made.predicted[:5])


@pytest.mark.parametrize("confidence", [0.6, 0.8, 0.9, 0.99, 0.999])
def test_wilson_at_any_confidence_is_scipys(confidence: float) -> None:
    low, high = wilson(np.array([3 / 20]), np.array([20.0]), confidence)
    expected = binomtest(3, 20).proportion_ci(confidence, method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_higher_confidence_is_a_wider_interval_of_every_metric() -> None:
    made = make_predictions(200)
    runs = [analyse(made, confidence=level) for level in (0.7, 0.95, 0.99)]
    narrow, usual, wide = (run.intervals for run in runs)
    for key, middle in usual.items():
        inner, outer = narrow[key], wide[key]
        if middle is None or inner is None or outer is None:
            assert middle is inner is outer is None
            continue
        assert outer.low <= middle.low <= inner.low <= inner.high <= middle.high <= outer.high, key
    assert [run.resamples for run in runs] == [1000, 1000, 5000]


@pytest.mark.parametrize("confidence", [0.0, 0.5, 1.0, 95, float("nan")])
def test_what_is_no_confidence(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence"):
        analyse(make_predictions(20), confidence=confidence)


def test_a_figure_of_zero_or_one_has_another_end() -> None:
    """All resamples are alike, and yet a few texts do not show that it is always so."""
    made = make_predictions(400)
    labels, square = int(made.truth.sum()), 1.959964**2
    bound = square / (labels + square)  # Wilson, of none
    nothing = analyse(made, np.zeros_like(made.truth), resamples=50).intervals
    for key, high in (
        ("micro_recall", bound),
        ("micro_f1", 2 * bound / (1 + bound)),
        ("micro_precision", 1.0),
        ("samples_f1", square / (400 + square)),
    ):
        assert nothing[key] == pytest.approx((0.0, high), abs=1e-6), key
    everything = analyse(made, made.truth, resamples=50).intervals
    for key, low in (
        ("micro_f1", 2 * (1 - bound) / (2 - bound)),
        ("exact_match", 400 / (400 + square)),
    ):
        assert everything[key] == pytest.approx((low, 1.0), abs=1e-6), key
    assert everything["hamming_loss"] == pytest.approx((0.0, square / (400 + square)), abs=1e-6)


def test_classes_that_vary_together_stretch_the_errors_of_a_macro_average() -> None:
    """Nine classes that move as one have three times the error of nine that move alone."""
    made = make_predictions(300)
    draws = ClassDraws(made.truth[:, :9], made.predicted[:, :9], number=50, seed=[0])
    alone = np.random.default_rng(0).normal(size=(20_000, 9))
    together = np.repeat(alone[:, :1], 9, axis=1)
    spread = [draws.macro(CLASS_METRICS["f1"], one)[0].errors.std() for one in (alone, together)]
    assert spread[1] / spread[0] == pytest.approx(3.0, rel=0.03)
