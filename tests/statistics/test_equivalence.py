"""Equivalence, power, and which classes carry the variance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, t

from goemo_report.statistics.differences import variance_shares
from goemo_report.statistics.many_runs import decide


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
