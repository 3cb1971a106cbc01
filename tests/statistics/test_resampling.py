"""Clusters of texts: counted by hand, nothing changes where each text is its own, and the level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from goemo_report.metrics.arrays import BoolArray
from goemo_report.metrics.scores import score_predicted
from goemo_report.metrics.table import CLASS_METRICS
from goemo_report.predictions import Predictions
from goemo_report.statistics.differences import paired, swapped
from goemo_report.statistics.distributions import normal_quantile
from goemo_report.statistics.intervals import analyse
from goemo_report.statistics.resampling import Clusters, linearised
from goemo_report.thresholds.recalibration import calibration
from tests.numbers import make_predictions


def test_empty_cells_are_clusters_of_their_own() -> None:
    found = Clusters.of(["b", "", "a", "b", ""], 5)
    assert found.codes.tolist() == [0, 1, 2, 0, 3]
    assert (found.number, found.alone) == (4, False)
    assert Clusters.of((), 3).codes.tolist() == [0, 1, 2]
    assert found.summed(np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])).ravel().tolist() == [
        9.0, 2.0, 4.0, 16.0,
    ]  # fmt: skip


def test_resamples_draw_whole_clusters() -> None:
    found = Clusters.of(["a", "b", "a", "c"], 4)
    weights = found.weights(200, 0)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert {tuple(row) for row in weights[:, [0, 1, 3]].tolist()} >= {(1, 1, 1), (0, 3, 0)}


def test_the_error_of_a_mean_counted_by_hand() -> None:
    """Two clusters with the sums -2 and 2 about the mean: sqrt(2 / 1 * 8) / 4."""
    values = np.array([1.0, 1.0, 3.0, 3.0])
    z, plain = normal_quantile(), values.std(ddof=1) / 2
    assert Clusters.of(["a", "a", "b", "b"], 4).mean(values) == pytest.approx((2, 2 - z, 2 + z))
    assert Clusters.of((), 4).mean(values).high == pytest.approx(2 + z * plain)
    assert Clusters.of(["a"] * 4, 4).mean(values) == (2.0, 2.0, 2.0)


def test_texts_that_are_there_three_times_count_once() -> None:
    """The design effect of three copies of each text is 3."""
    values = np.random.default_rng(0).normal(size=(40, 2)).repeat(3, axis=0)
    cells = [f"c{number // 3}" for number in range(120)]
    assert Clusters.of(cells, 120).effects(values) == pytest.approx([3.0, 3.0])


@pytest.mark.parametrize("key", ["f1", "precision", "recall", "mcc"])
def test_a_metric_is_linear_in_small_changes_of_the_texts(key: str) -> None:
    made = make_predictions(400, seed=1, signal=4.0)
    metric = CLASS_METRICS[key]
    found = linearised(metric, made.truth, made.predicted)
    assert found.sum(axis=0) == pytest.approx(np.zeros(len(made.labels)), abs=1e-9)
    for row in (0, 7):
        left = np.delete(np.arange(400), row)
        before, after = (
            score_predicted(made.truth[rows], None, made.predicted[rows], made.labels).counts
            for rows in (np.arange(400), left)
        )
        change = before.of_metric(metric) - after.of_metric(metric)
        assert np.abs(change - found[row]).max() < 0.06  # exact but for the curvature


def test_clusters_of_one_text_change_nothing() -> None:
    run, baseline = make_predictions(300, seed=1, signal=4.0), make_predictions(300, seed=2)
    names = tuple(f"c{number}" for number in range(300))
    plain = [analyse(one, resamples=200) for one in (run, baseline)]
    own = [analyse(replace(one, clusters=names), resamples=200) for one in (run, baseline)]
    assert own[0].intervals == plain[0].intervals
    assert np.array_equal(own[0].replicates["micro_auc"], plain[0].replicates["micro_auc"])
    ours, theirs = paired(*own), paired(*plain)
    assert ours.differences == theirs.differences
    assert (ours.shares.tolist(), ours.swaps.tolist()) == (
        theirs.shares.tolist(),
        theirs.swaps.tolist(),
    )
    assert calibration(replace(run, clusters=names), baseline, 0.3).methods == (
        calibration(run, baseline, 0.3).methods
    )


def test_swaps_of_two_clusters_counted_by_hand() -> None:
    """Texts 0 and 1 belong together: a swap moves both, so that there are four outcomes."""
    truth = np.array([[1, 0], [1, 0], [0, 1]], dtype=bool)
    right, wrong = truth, ~truth
    made = make_predictions(3, seed=0)

    def of(predicted: BoolArray) -> Predictions:
        held = made.on_labels(made.labels[:2])
        return replace(
            held, truth=truth, predicted=predicted, probabilities=predicted.astype(np.float64),
            clusters=("a", "a", "b"),
        )  # fmt: skip

    ours, theirs = of(right), of(wrong)
    run, baseline = (analyse(one, resamples=100) for one in (ours, theirs))
    found = swapped(run, baseline, 500).overall["exact_match"]
    assert {round(3 * value) for value in found} == {3, 1, -1, -3}
    run, baseline = (analyse(replace(one, clusters=()), resamples=100) for one in (ours, theirs))
    assert np.mean(found == 1.0) == pytest.approx(1 / 4, abs=0.06)
    assert np.mean(swapped(run, baseline, 500).overall["exact_match"] == 1.0) == pytest.approx(
        1 / 8, abs=0.06
    )


def test_copies_of_texts_leave_intervals_as_wide_as_without_them() -> None:
    """Four copies of each text as one cluster say no more than each text once."""
    run, baseline = make_predictions(300, seed=3, signal=4.0), make_predictions(300, seed=4)
    rows, columns = np.repeat(np.arange(300), 4), np.arange(len(run.labels))
    cells = tuple(f"c{row}" for row in rows)
    copies = [replace(one.take(rows, columns), clusters=cells) for one in (run, baseline)]
    few = [analyse(one, resamples=400) for one in (run, baseline)]
    many = [analyse(one, resamples=400) for one in copies]
    label = run.labels[-1]
    keys = ("macro_f1", "micro_f1", "exact_match", "micro_auc", "macro_brier")
    for key in (*keys, f"f1_{label}", f"recall_{label}", f"mcc_{label}"):
        widths = [np.diff(one[0].intervals[key] or ()) for one in (many, few)]
        assert float(widths[0][0]) == pytest.approx(float(widths[1][0]), rel=0.2), key
    found, plain = paired(*many).differences, paired(*few).differences
    for key in ("macro_f1", "micro_f1", "micro_auc", f"f1_{label}"):
        ours, theirs = found[key], plain[key]
        assert ours is not None
        assert theirs is not None
        assert ours.high - ours.low == pytest.approx(theirs.high - theirs.low, rel=0.25), key


def test_runs_with_other_clusters_are_refused() -> None:
    run, baseline = make_predictions(30, seed=1), make_predictions(30, seed=2)
    found = analyse(replace(run, clusters=("a", "a", *map(str, range(28)))), resamples=100)
    with pytest.raises(ValueError, match="the same clusters"):
        paired(found, analyse(baseline, resamples=100))
