"""Spread over seeds, and what it can tell."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goemo_report.statistics.seeds import (
    seed_difference,
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
@settings(deadline=None)
@given(
    st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=6),
    st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=6),
)
def test_welch_is_scipys(values: list[float], others: list[float]) -> None:
    stats = pytest.importorskip("scipy.stats")
    found = seed_difference(values, others)
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
    found = seed_difference(values, others)
    assert found.value == pytest.approx(math.fsum(values) / len(values) - sum(others) / len(others))
    assert found.p is found.t is found.df is found.low is found.high is None
    assert found.reason == "needs at least two seeds in both groups"
