"""Spread over training seeds: kept apart from the uncertainty of the test sample.

Seeds say how much a result depends on chance in training; intervals over texts say how much
it depends on the texts that were drawn. A range over seeds is a range, not an interval.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from goemo_report.statistics.distributions import student_p, student_quantile

SEED_METHOD = (
    "Seeds: mean, standard deviation (n - 1) and range over runs that differ only in their "
    "seed, one run a seed, on the same texts; differences of two groups by Welch's t test, "
    "only where both have at least two seeds"
)


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """One metric over `n` seeds; `sd` is None for one seed."""

    n: int
    mean: float
    sd: float | None
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class SeedDifference:
    """Mean of one group of seeds minus that of another.

    `t`, `df`, `p` and the 95% interval are Welch's (1947); all None, with the `reason`, where
    the seeds cannot tell.
    """

    value: float
    t: float | None = None
    df: float | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def summarise_seeds(values: Sequence[float]) -> SeedSummary:
    """Mean, standard deviation and range of one metric, one value a seed.

    Raises ValueError without values.
    """
    if not values:
        raise ValueError("no seeds to summarise")
    return SeedSummary(
        n=len(values),
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if len(values) > 1 else None,
        minimum=min(values),
        maximum=max(values),
    )


def seed_difference(values: Sequence[float], others: Sequence[float]) -> SeedDifference:
    """Welch's t test between two groups, one value a seed in each."""
    first, second = summarise_seeds(values), summarise_seeds(others)
    difference = first.mean - second.mean
    if first.sd is None or second.sd is None:
        return SeedDifference(difference, reason="needs at least two seeds in both groups")
    parts = first.sd**2 / first.n, second.sd**2 / second.n
    error = math.sqrt(sum(parts))
    if error == 0.0:
        return SeedDifference(difference, reason="no spread over the seeds of either group")
    df = sum(parts) ** 2 / (parts[0] ** 2 / (first.n - 1) + parts[1] ** 2 / (second.n - 1))
    half = student_quantile(df) * error
    t = difference / error
    return SeedDifference(difference, t, df, student_p(t, df), difference - half, difference + half)


def wins(values: Sequence[float], others: Sequence[float]) -> int:
    """In how many of the pairings of one value with one of the others it is the larger."""
    return sum(value > other for value in values for other in others)


def sweep_chance(n: int, others: int) -> Fraction:
    """How often one of two equal groups of seeds wins every pairing by chance alone.

    Of all orders of the n + m runs, which are equally likely then, two have one group on top:
    the smallest two-sided p of a rank test (Wilcoxon, 1945).
    """
    return Fraction(2, math.comb(n + others, n))
