"""Paired differences, their p-values and verdicts."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from goemo_report.labels import EMOTIONS, LabelSet
from goemo_report.metrics.scores import score_predicted
from goemo_report.metrics.table import CLASS_METRICS, OVERALL_KEYS
from goemo_report.predictions import Predictions
from goemo_report.statistics.differences import paired, swapped
from goemo_report.statistics.distributions import max_t, p_value, sign_test
from goemo_report.statistics.intervals import analyse
from goemo_report.statistics.many_runs import adjusted_over_runs, selection_bias_of_best
from goemo_report.statistics.resampling import Clusters
from tests.numbers import every_value, make_predictions


def test_differences_are_those_of_the_metrics() -> None:
    run, baseline = make_predictions(500, seed=1, signal=4.0), make_predictions(500, seed=2)
    found = paired(analyse(run, resamples=200), analyse(baseline, resamples=200)).differences
    ours, theirs = (
        score_predicted(made.truth, made.probabilities, made.predicted, made.labels)
        for made in (run, baseline)
    )
    assert set(found) == set(OVERALL_KEYS) | {
        f"{name}_{label}" for name in CLASS_METRICS for label in run.labels
    }
    never = any(made.never_predicted for made in (ours, theirs))
    for key in OVERALL_KEYS:
        difference = found[key]
        first, second = ours.overall[key], theirs.overall[key]
        if never and key in ("macro_precision", "weighted_precision"):
            assert difference is None
            continue
        assert difference is not None
        assert first is not None
        assert second is not None
        assert difference.value == pytest.approx(first - second, abs=1e-12)
        assert difference.low <= difference.high
    for j, label in enumerate(run.labels):
        difference = found[f"f1_{label}"]
        assert difference is not None
        assert difference.value == pytest.approx(
            ours.counts.metric("f1")[j] - theirs.counts.metric("f1")[j]
        )
        assert difference.low - 1e-12 <= difference.value <= difference.high + 1e-12
        assert difference.p <= difference.p_adjusted <= 1.0


def test_a_better_run_wins_and_the_other_loses() -> None:
    good, bad = make_predictions(800, seed=1, signal=6.0), make_predictions(800, seed=2)
    forth = paired(analyse(good, resamples=200), analyse(bad, resamples=200)).differences
    back = paired(analyse(bad, resamples=200), analyse(good, resamples=200)).differences
    for key in ("macro_f1", "micro_f1", "micro_auc", "exact_match", "f1_neutral"):
        won, lost = forth[key], back[key]
        assert won is not None
        assert lost is not None
        assert (won.verdict, lost.verdict) == ("win", "loss")
        assert (lost.value, lost.low, lost.high) == pytest.approx(
            (-won.value, -won.high, -won.low), abs=1e-12
        )
    hamming = forth["hamming_loss"]
    assert hamming is not None
    assert hamming.value < 0.0
    assert hamming.verdict == "win"  # less loss is better


def test_a_run_ties_with_itself() -> None:
    made = make_predictions(300)
    for difference in paired(
        analyse(made, resamples=50), analyse(made, resamples=50)
    ).differences.values():
        assert difference is not None
        assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
        assert (difference.p, difference.verdict) == (1.0, "tie")


@pytest.mark.parametrize(
    ("texts", "p", "verdict"), [(1, 1.0, "tie"), (4, 1 / 8, "tie"), (6, 1 / 32, "loss")]
)
def test_no_spread_is_no_certainty(texts: int, p: float, verdict: str) -> None:
    """All texts move the Brier score by 0.05; swaps of n texts give no p below 2 in 2**n."""
    truth = np.eye(4, dtype=bool)[np.arange(texts) % 4]
    names = tuple(map(str, range(texts)))

    def of(margin: float) -> Predictions:
        likely = np.where(truth, 1 - margin, margin)
        labels = LabelSet.of(["a", "b", "c", "d"])
        return Predictions(names, truth, likely, likely >= 0.5, labels, "made")

    worse, better = analyse(of(0.3), resamples=50), analyse(of(0.2), resamples=50)
    found = paired(worse, better).differences
    brier, ranked = found["macro_brier"], found["micro_auc"]
    assert brier is not None
    assert ranked is not None
    assert brier.p == pytest.approx(p)
    assert brier.verdict == verdict
    assert brier.low <= brier.value < brier.high
    assert (brier.low == 0.0) == (p > 0.05)
    assert ranked.value == 0.0  # both are perfect, but not alike
    assert ranked.low == -ranked.high < 0.0
    interval = worse.intervals["micro_auc"]
    assert interval is not None
    assert interval.low == pytest.approx(proportion_confint(texts, texts))


def proportion_confint(hits: int, texts: int) -> float:
    """The lower end of Wilson's interval, by SciPy."""
    return float(binomtest(hits, texts).proportion_ci(method="wilson").low)


def test_intervals_are_paired() -> None:
    """Two runs that differ on few texts differ less certainly than their own intervals say."""
    made = make_predictions(1000, threshold=0.3)
    predicted = made.predicted.copy()
    predicted[:40] = made.truth[:40]
    run, baseline = analyse(made, predicted, resamples=300), analyse(made, resamples=300)
    difference, interval = paired(run, baseline).differences["micro_f1"], run.intervals["micro_f1"]
    assert difference is not None
    assert interval is not None
    assert difference.high - difference.low < 0.6 * (interval.high - interval.low)
    assert difference.verdict == "win"


def test_p_is_that_of_all_swaps() -> None:
    """With few texts that differ, all swaps can be tried."""
    made = make_predictions(60, threshold=0.3)
    predicted = made.predicted.copy()
    differing = [0, 5, 9, 33, 41, 59]
    predicted[differing] = made.truth[differing]
    predicted[differing[0]] ^= True  # one text is worse
    differing = np.flatnonzero((predicted != made.predicted).any(axis=1)).tolist()
    observed, swapped = [], []
    for swaps in product((False, True), repeat=len(differing)):
        first, second = predicted.copy(), made.predicted.copy()
        for row, swap in zip(differing, swaps, strict=True):
            if swap:
                first[[row]], second[[row]] = made.predicted[[row]], predicted[[row]]
        values = [
            score_predicted(made.truth, made.probabilities, labels, made.labels).overall
            for labels in (first, second)
        ]
        row_values = [
            float(values[0][key] or 0) - float(values[1][key] or 0)
            for key in ("macro_f1", "micro_f1", "samples_f1")
        ]
        swapped.append(row_values)
        if not any(swaps):
            observed = row_values
    exact = (np.abs(np.array(swapped)) >= np.abs(observed) - 1e-12).mean(axis=0)
    found = paired(
        analyse(made, predicted, resamples=50), analyse(made, resamples=50), randomisations=20_000
    ).differences
    for key, p in zip(("macro_f1", "micro_f1", "samples_f1"), exact, strict=True):
        difference = found[key]
        assert difference is not None
        assert difference.p == pytest.approx(p, abs=0.015)


def test_p_counts_the_observed_swap() -> None:
    by_chance = np.array([0.1, -0.3, 0.2, 0.3 - 1e-15])
    assert p_value(by_chance, np.array(0.3)) == (1 + 2) / 5
    assert p_value(by_chance, np.array(0.5)) == 1 / 5


def test_the_test_keeps_its_level_when_nothing_differs() -> None:
    """Both runs draw their labels in the same way, 300 times."""
    generator = np.random.default_rng(0)
    base = make_predictions(150)
    rejected = np.zeros(2)
    for _ in range(300):
        truth = base.truth[generator.permutation(150)]
        first, second = (
            (generator.random(truth.shape) < np.where(truth, 0.5, 0.03)) for _ in range(2)
        )
        made = replace(base, truth=truth)
        runs = analyse(made, first), analyse(made, second)
        by_chance, observed = swapped(*runs, randomisations=199), runs[0].point - runs[1].point
        rejected += [
            p_value(by_chance.overall[key], observed.overall[key][0]) <= 0.05
            for key in ("macro_f1", "micro_f1")
        ]
    # 300 x 0.05 = 15; the 99.9% point of that binomial is 28
    assert (rejected <= 28).all()
    assert (rejected >= 3).all()


def test_runs_that_are_not_aligned_are_refused() -> None:
    made = make_predictions(50)
    analysis = analyse(made, resamples=20)
    order = made.take(np.arange(50)[::-1], np.arange(28))
    fewer = made.take(np.arange(50), np.arange(27))
    other = replace(made, truth=~made.truth)
    for unaligned in (order, fewer, other):
        with pytest.raises(ValueError, match="the runs do not"):
            paired(analyse(unaligned, resamples=20), analysis)
    with pytest.raises(ValueError, match="not resampled alike"):
        paired(analyse(made, resamples=20, seed=1), analysis)


def test_undefined_metrics_have_no_difference() -> None:
    made = make_predictions(60)
    truth = made.truth.copy()
    truth[:, 3] = False
    without = replace(made, truth=truth)
    other = Predictions(
        made.texts,
        truth,
        make_predictions(60, seed=9).probabilities,
        made.predicted,
        made.label_set,
        "b",
    )
    found = paired(analyse(without, resamples=20), analyse(other, resamples=20)).differences
    assert found["auc_annoyance"] is None
    assert found["macro_auc"] is not None


def rare(
    npos: list[int], generator: np.random.Generator, rows: int, signal: float, labels: int = 28
) -> Predictions:
    """Predictions whose first labels have so many positives, and the others one in ten."""
    truth = generator.random((rows, labels)) < 0.1
    for j, positives in enumerate(npos):
        truth[:, j] = False
        truth[generator.choice(rows, positives, replace=False), j] = True
    scores = 1.0 / (1.0 + np.exp(2.5 - generator.normal(size=truth.shape) - signal * truth))
    texts = tuple(f"text number {row}" for row in range(rows))
    held = LabelSet.of(EMOTIONS[:labels])
    return Predictions(texts, truth, scores, scores >= 0.3, held, "rare.csv")


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(6, 60), st.sampled_from([1, 5]))
def test_every_difference_and_interval_holds_what_was_seen(
    seed: int, rows: int, digits: int
) -> None:
    generator = np.random.default_rng(seed)
    made = rare([0, 1, 1, 2, 3, rows - 1, rows], generator, rows, signal=3.0, labels=9)
    scores = (np.round(generator.random(made.truth.shape) ** 2, digits), made.probabilities)
    runs = []
    for probabilities in scores:
        one = replace(made, probabilities=probabilities, predicted=probabilities >= 0.3)
        runs.append(analyse(one, resamples=20))
        value = score_predicted(one.truth, probabilities, one.predicted, one.labels)
        seen = every_value(value)
        for key, interval in runs[-1].intervals.items():
            if interval is not None:
                metric, point = seen[key]
                assert point is not None
                assert metric.low <= interval.low <= interval.high <= metric.high
                assert interval.low - 1e-12 <= point <= interval.high + 1e-12, key
    for key, difference in paired(*runs, randomisations=20).differences.items():
        if difference is not None:
            low, high, metric = difference.low, difference.high, seen[key][0]
            widest = metric.high - metric.low
            assert -widest <= low <= difference.value <= high <= widest, key
            assert 0.0 < difference.p <= difference.p_adjusted <= 1.0, key
            if difference.verdict == "win":
                assert (high < 0.0) if metric.lower_is_better else (low > 0.0)
            if difference.verdict == "loss":
                assert (low > 0.0) if metric.lower_is_better else (high < 0.0)


def test_one_or_two_positives_decide_nothing() -> None:
    """One positive ranked first by one run and last by the other looks certain, and is not."""
    made = rare([1, 2, 3], np.random.default_rng(0), 400, signal=3.0)
    best, worst = made.probabilities.copy(), made.probabilities.copy()
    for j in range(3):
        best[made.truth[:, j], j], worst[made.truth[:, j], j] = 0.999, 1e-6
    found = paired(
        *(analyse(replace(made, probabilities=scores), resamples=50) for scores in (best, worst))
    ).differences
    for name, label in product(("auc", "average_precision"), made.labels[:2]):
        difference = found[f"{name}_{label}"]
        assert difference is not None
        assert difference.value > 0.9
        assert (difference.p, difference.p_adjusted, difference.verdict) == (1.0, 1.0, "tie")
        assert difference.high - difference.low > 0.4
    third = found[f"auc_{made.labels[2]}"]
    assert third is not None
    assert 0.0 < third.p < 1e-6  # three are tested


def test_a_class_that_both_predict_alike_differs_by_nothing() -> None:
    first, second = make_predictions(300, threshold=0.3), make_predictions(300, seed=1)
    scores = second.probabilities.copy()
    scores[:, 4] = first.probabilities[:, 4]
    second = replace(second, probabilities=scores, predicted=scores >= 0.3)
    found = paired(analyse(first, resamples=50), analyse(second, resamples=50)).differences
    for name in CLASS_METRICS:
        difference = found[f"{name}_{first.labels[4]}"]
        assert difference is not None
        assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
        assert (difference.p, difference.verdict) == (1.0, "tie")
        other = found[f"{name}_{first.labels[20]}"]
        assert other is not None
        assert other.low < other.high


@pytest.mark.parametrize(("won", "verdict"), [(5, "tie"), (6, "win")])
def test_the_interval_of_a_macro_difference_agrees_with_its_p(won: int, verdict: str) -> None:
    """One right prediction more in each of so many emotions, which is p = 2 / 2**won.

    Four resamples in ten lack such a text, so that the percentiles would lie below the value.
    """
    made = make_predictions(600)
    truth = np.zeros_like(made.truth)
    truth[np.arange(560), np.arange(560) % 28] = True  # 20 texts each
    made = replace(made, truth=truth)
    nothing = np.zeros_like(truth)
    some = nothing.copy()
    some[np.arange(won), np.arange(won)] = True
    found = paired(analyse(made, some), analyse(made, nothing)).differences
    for key, value in (
        ("macro_recall", won / 20 / 28),
        ("macro_f1", won * (2 / 21) / 28),
    ):
        difference = found[key]
        assert difference is not None
        assert difference.value == pytest.approx(value)
        assert difference.p == pytest.approx(2 / 2**won, abs=0.01)
        assert difference.verdict == verdict
        assert (difference.low > 0.0) == (verdict == "win")
    assert found["macro_precision"] is None  # never predicted, thus not measured
    assert found["weighted_precision"] is None


@pytest.mark.parametrize(("more", "less"), [(0, 0), (1, 0), (5, 16), (320, 280), (1500, 0)])
def test_p_of_exact_match_is_mcnemars(more: int, less: int) -> None:
    gaps = np.repeat([1, -1, 0], [more, less, 50])
    expected = binomtest(more, more + less).pvalue if more + less else 1.0
    assert float(sign_test(gaps)) == pytest.approx(expected, rel=1e-9)


def test_exact_match_is_tested_exactly() -> None:
    made = make_predictions(400, threshold=0.3)
    predicted = made.predicted.copy()
    wrong = np.flatnonzero((predicted != made.truth).any(axis=1))[:14]
    right = np.flatnonzero((predicted == made.truth).all(axis=1))[:4]
    predicted[wrong] = made.truth[wrong]
    predicted[right, 0] ^= True
    found = paired(analyse(made, predicted, resamples=50), analyse(made, resamples=50)).differences
    difference = found["exact_match"]
    assert difference is not None
    assert difference.value == pytest.approx(10 / 400)
    assert difference.p == pytest.approx(binomtest(4, 18).pvalue)


def test_a_difference_of_zero_has_a_width_unless_the_runs_are_alike() -> None:
    """The second run adds one wrong label: no text has another recall."""
    made = make_predictions(300, threshold=0.3)
    more = made.predicted.copy()
    row = int(np.flatnonzero(~made.truth[:, 3] & ~more[:, 3] & (more != made.truth).any(axis=1))[0])
    more[row, 3] = True
    found = paired(analyse(made, more, resamples=50), analyse(made, resamples=50)).differences
    square = 1.959964**2
    for key, trials in (
        ("micro_recall", made.truth.sum()),
        ("exact_match", 300),
        ("samples_recall", 300),
    ):
        difference = found[key]
        assert difference is not None
        bound = square / (trials + square)  # Wilson, of no text in so many
        assert (difference.low, difference.value, difference.high) == pytest.approx(
            (-bound, 0.0, bound), abs=1e-6
        )
        assert not difference.same
    assert (macro := found["macro_recall"]) is not None
    assert macro.low < 0.0 < macro.high
    assert (alike := found[f"f1_{made.labels[4]}"]) is not None
    assert alike.same


# --- Several runs, several classes --------------------------------------------------------------


def test_the_maximum_over_runs_by_hand() -> None:
    """Two runs in units of 1 and 2 on average; four swaps."""
    by_chance = np.array([[1.0, -1.0, 1.0, -1.0], [2.0, 0.0, -2.0, 2.0 * np.sqrt(2.0)]])
    observed = np.array([3.0, 2.0])
    # the first is beyond all; the second, 1 in its units, is reached by 3 swaps of its own
    assert max_t(observed, by_chance) == pytest.approx([1 / 5, 4 / 5])
    # where the second leads, the first counts for it as well: every swap of it reaches 1
    assert max_t(np.array([1.0, 2.2]), by_chance) == pytest.approx([1.0, 2 / 5])
    assert max_t(observed[:1], by_chance[:1]) == p_value(by_chance[0], observed[0])
    assert max_t(np.zeros(1), np.zeros((1, 4))).tolist() == [1.0]


def test_runs_that_are_alike_are_one_test() -> None:
    """The maximum over copies of one run is that run; Holm would double its p."""
    one = np.random.default_rng(0).normal(size=(1, 999))
    observed = np.array([2.0, 2.0])
    assert max_t(observed, np.repeat(one, 2, axis=0))[0] == p_value(one[0], observed[0])


def test_coins_belong_to_texts() -> None:
    """Whichever texts two runs differ on, a text is swapped in the same repeats."""
    chosen, others = np.array([1, 4, 9]), np.array([4, 8])
    texts = Clusters.of((), 10)
    first, second = (texts.coin_flips(50, 3, one) for one in (chosen, others))
    assert np.array_equal(first[:, 1], second[:, 0])
    assert 0 < first.mean() < 1


def test_macro_f1_is_adjusted_over_runs() -> None:
    made = make_predictions(400, threshold=0.3)
    baseline = analyse(made, resamples=100)
    found = {}
    for number in range(4):
        other = replace(make_predictions(400, seed=number + 5, threshold=0.3), truth=made.truth)
        found[str(number)] = paired(analyse(other, resamples=100), baseline)
    found["same"] = paired(baseline, baseline)
    together = adjusted_over_runs(found, together=True)
    apart = adjusted_over_runs(found, together=False)
    raw = [found[key].differences["macro_f1"] for key in found]
    joint, holms = ([one[key]["macro_f1"] for key in found] for one in (together, apart))
    for one, first, second in zip(raw, joint, holms, strict=True):
        assert one is not None
        assert first is not None
        assert second is not None
        assert one.p <= first.p_adjusted <= 1.0
        assert one.p == first.p == second.p
    assert joint[-1] == raw[-1]  # the same run leaves the family
    assert together["0"]["micro_f1"] == found["0"].differences["micro_f1"]
    smallest = min(range(4), key=lambda k: raw[k].p)  # type: ignore[union-attr] # not None
    assert holms[smallest].p_adjusted == pytest.approx(min(4 * raw[smallest].p, 1.0))  # type: ignore[union-attr]


def test_classes_that_cannot_be_tested_leave_the_family() -> None:
    """27 emotions that are the same on every text take nothing from the one that differs."""
    made = make_predictions(400, threshold=0.3)
    predicted = made.predicted.copy()
    predicted[:, 27] = made.truth[:, 27]
    found = paired(analyse(made, predicted, resamples=50), analyse(made, resamples=50)).differences
    one = found[f"f1_{made.labels[27]}"]
    assert one is not None
    assert one.p == one.p_adjusted < 0.05
    assert one.at_most
    assert one.verdict == "win"
    other = found[f"f1_{made.labels[3]}"]
    assert other is not None
    assert (other.p, other.p_adjusted, other.at_most) == (1.0, 1.0, False)


def test_swaps_grow_until_the_adjusted_p_is_decided() -> None:
    """With 99 swaps the smallest p is 0.01, which 28 emotions make 0.28."""
    good, bad = make_predictions(800, seed=1, signal=6.0), make_predictions(800, seed=2)
    found = paired(
        analyse(good, resamples=50), analyse(bad, resamples=50), randomisations=99
    ).differences
    one = found["f1_neutral"]
    assert one is not None
    assert one.at_most
    assert one.p == 1 / 20_001
    assert one.verdict == "win"


def test_the_best_of_several_equal_runs_has_luck() -> None:
    generator = np.random.default_rng(0)
    drawn = list(generator.normal(5.0, 0.01, size=(20, 4000)))
    assert selection_bias_of_best(drawn) == pytest.approx(
        0.01 * 1.867, rel=0.03
    )  # of 20 normal values
    assert selection_bias_of_best([drawn[0], drawn[0] + 1.0]) == pytest.approx(0.0, abs=1e-12)
