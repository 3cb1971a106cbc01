"""Spread over seeds and what it can tell; equivalence, power, and what carries the variance."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from goemo_report.statistics.differences import variance_shares
from goemo_report.statistics.distributions import normal_p
from goemo_report.statistics.many_runs import (
    decide,
    seed_difference,
    seed_mean,
    summarise_seeds,
    sweep_chance,
    wins,
)


def test_summary_by_hand() -> None:
    found = summarise_seeds([0.40, 0.44, 0.48])
    assert found.n == 3
    assert found.mean == pytest.approx(0.44)
    assert found.sd == pytest.approx(0.04)
    assert (found.minimum, found.maximum) == (0.40, 0.48)


def test_one_seed_has_no_spread() -> None:
    found = summarise_seeds([0.4])
    assert found.sd is None
    with pytest.raises(ValueError, match="no seeds"):
        summarise_seeds([])


def test_pairings_by_hand() -> None:
    assert wins([0.4, 0.6], [0.3, 0.5]) == 3
    assert wins([0.4, 0.5], [0.4]) == 1  # a tie is no win


def test_a_sweep_is_as_likely_as_counting_every_order_says() -> None:
    for n, m in ((2, 2), (2, 3), (3, 3), (4, 4)):
        orders = [list(one) for one in combinations(range(n + m), n)]
        won = [wins(one, [k for k in range(n + m) if k not in one]) for one in orders]
        sweeps = won.count(0) + won.count(n * m)
        assert sweep_chance(n, m) == Fraction(sweeps, len(orders))
    assert sweep_chance(2, 2) == Fraction(1, 3)


@pytest.mark.filterwarnings("ignore:Precision loss")  # SciPy's, for equal values
@given(
    st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=6),
    st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=6),
)
def test_without_error_over_texts_it_is_scipys_welch(
    values: list[float], others: list[float]
) -> None:
    stats = pytest.importorskip("scipy.stats")
    found = seed_difference(values, others, np.zeros((len(values) + len(others),) * 2))
    if len(set(values)) == len(set(others)) == 1:
        assert found.p is None
        assert found.reason.startswith("no spread")
        return
    expected = stats.ttest_ind(values, others, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found.t == pytest.approx(expected.statistic, rel=1e-9, abs=1e-12)
    assert found.df == pytest.approx(expected.df, rel=1e-9)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-7, abs=1e-12)
    assert found.low == pytest.approx(interval.low, rel=1e-7, abs=1e-9)
    assert found.high == pytest.approx(interval.high, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("values", "others"), [([0.4], [0.5, 0.6]), ([0.4, 0.5], [0.6])])
def test_one_seed_tells_nothing(values: list[float], others: list[float]) -> None:
    found = seed_difference(values, others, np.eye(3))
    assert found.value == pytest.approx(math.fsum(values) / len(values) - sum(others) / len(others))
    assert found.p is found.t is found.df is found.low is found.high is None
    assert found.reason == "needs at least two seeds in both groups"


def test_the_parts_of_seeds_and_texts_by_hand() -> None:
    """Two seeds each; all seeds of a group move alike over texts, but for a variance of 0.5."""
    covariance = np.full((4, 4), 1.0)
    covariance[:2, :2], covariance[2:, 2:] = 2.0, 3.0
    covariance += 0.5 * np.eye(4)
    found = seed_difference([3.0, 5.0], [1.0, 2.0], covariance)
    # over seeds 2 and 0.5, halved; over texts 2 + 3 - 2 x 1, less nothing of the 0.5 that the
    # spread over seeds holds already
    assert found.seed_error == pytest.approx(math.sqrt(1.0 + 0.25))
    assert found.text_error == pytest.approx(math.sqrt(3.0))
    assert found.t == pytest.approx(2.5 / math.sqrt(4.25))
    assert found.df == pytest.approx(4.25**2 / (1.0**2 + 0.25**2))


def test_texts_alone_tell_where_seeds_do_not_differ() -> None:
    found = seed_difference([1.0, 1.0], [0.0, 0.0], np.full((4, 4), 0.25))
    assert found.reason.startswith("no spread")  # both groups move alike with the texts
    apart = np.zeros((4, 4))
    apart[:2, :2] = 0.25
    found = seed_difference([1.0, 1.0], [0.0, 0.0], apart)
    assert (found.seed_error, found.text_error) == (0.0, 0.5)
    assert found.p == pytest.approx(normal_p(2.0), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("texts", [1.0, 2.0, 6.5])
def test_equal_recipes_are_told_apart_no_more_often_than_by_chance(texts: float) -> None:
    """Six seeds each, for a text error so many times the error of the mean over seeds."""
    generator = np.random.default_rng(0)
    repeats, n, seed_sd, own = 4000, 6, 1.0, 0.5  # own: how differently seeds take to texts
    text_sd = texts * seed_sd * math.sqrt(2 / n) / math.sqrt(2)
    covariance = np.kron(np.eye(2), np.full((n, n), text_sd**2)) + own**2 * np.eye(2 * n)
    rejected = 0
    for _ in range(repeats):
        of_texts = np.repeat(generator.normal(0, text_sd, 2), n)
        values = of_texts + generator.normal(0, math.hypot(seed_sd, own), 2 * n)
        found = seed_difference(values[:n].tolist(), values[n:].tolist(), covariance)
        rejected += found.p is not None and found.p < 0.05
    assert 0.03 * repeats < rejected < 0.06 * repeats


def test_the_mean_of_one_group_by_hand() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = [0.41, 0.44, 0.46]
    found = seed_mean(values, np.zeros((3, 3)))
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-7)
    shared = seed_mean([3.0, 5.0], np.full((2, 2), 3.0) + 0.5 * np.eye(2))
    assert shared.seed_error == pytest.approx(1.0)
    assert shared.text_error == pytest.approx(math.sqrt(3.0))  # the 0.5 are in the seeds already
    assert shared.df == pytest.approx(4.0**2)


# --- Better, worse, equivalent or undecided -------------------------------------------


@pytest.mark.parametrize("value", [-0.004, 0.0, 0.02])
@pytest.mark.parametrize("df", [3.5, np.inf])
def test_two_one_sided_tests_are_scipys(value: float, df: float) -> None:
    found = decide(
        value, significant=False, text_error=0.003, seed_error=0.004, texts=100, seeds=3, df=df
    )
    low, high = (t.sf((0.01 + sign * value) / 0.005, df) for sign in (1, -1))
    assert found.p_equivalence == pytest.approx(max(low, high), rel=1e-9)
    assert found.detectable == pytest.approx(0.005 * (t.ppf(0.975, df) + t.ppf(0.8, df)), rel=1e-9)


def test_every_answer() -> None:
    def answer(value: float, error: float, *, significant: bool = False) -> str:
        return decide(value, significant=significant, text_error=error, texts=100).answer

    assert answer(0.001, 0.004) == "equivalent"  # 0.009 / 0.004 is 2.25
    assert answer(0.001, 0.006) == "undecided"
    assert answer(0.03, 0.006, significant=True) == "better"
    assert answer(-0.03, 0.006, significant=True) == "worse"
    skewed = decide(0.0, significant=False, text_error=0.001, texts=100, bounds=(-0.002, 0.012))
    assert skewed.p_equivalence == pytest.approx(norm.sf(1.96 * 10 / 12), rel=1e-4)
    small = decide(0.004, significant=True, text_error=0.001, texts=100)
    assert small.answer == "better"
    assert small.within


def test_what_would_decide_it() -> None:
    """At 80% power the margin is 2.80 standard errors."""
    needed = norm.ppf(0.975) + norm.ppf(0.8)
    found = decide(0.0, significant=False, text_error=0.01, texts=1000)
    assert found.texts == int(np.ceil(1000 * needed**2))
    assert found.seeds is None
    both = decide(0.0, significant=False, text_error=0.002, seed_error=0.005, texts=1000, seeds=4)
    assert both.texts is None  # seeds alone leave more than the margin allows
    allowed = (0.01 / needed) ** 2 - 0.002**2
    assert both.seeds == int(np.ceil(4 * 0.005**2 / allowed))


def test_shares_of_the_variance_by_hand() -> None:
    """Independent columns with standard deviations of 2 and 1, and one that is constant."""
    first, second = np.array([2.0, 2.0, -2.0, -2.0]), np.array([1.0, -1.0, 1.0, -1.0])
    shares = variance_shares(np.stack([first, second, np.full(4, 7.0)], axis=1))
    assert shares == pytest.approx([0.8, 0.2, 0.0])
    assert not variance_shares(np.ones((4, 2))).any()
    found = decide(
        0.0,
        significant=False,
        text_error=1.0,
        texts=9,
        labels=("a", "b", "c"),
        shares=shares.tolist(),
    )
    assert found.carriers == ("a", "b", "c")
    assert found.carried == pytest.approx(1.0)
