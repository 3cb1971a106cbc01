"""Training seeds and sampled texts, apart and together.

Seeds say how much a result depends on chance in training; intervals over texts say how much
it depends on the texts that were drawn. A range over seeds is a range, not an interval. Whether
one recipe is better than another depends on both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from goemo_report.metrics.arrays import FloatArray
from goemo_report.statistics.distributions import student_p, student_quantile

SEED_METHOD = (
    "Seeds: mean, standard deviation (n - 1) and range over runs that differ only in their "
    "seed, runs of one seed averaged first, on the same texts; differences of two groups by "
    "Student's t with the variance over seeds and over resampled texts added (Satterthwaite), "
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

    `seed_error` and `text_error` are the standard errors that seeds and texts each bring; `t`,
    `df`, `p` and the 95% interval hold both. All are None, with the `reason`, where the seeds
    cannot tell.
    """

    value: float
    t: float | None = None
    df: float | None = None
    p: float | None = None
    low: float | None = None
    high: float | None = None
    seed_error: float | None = None
    text_error: float | None = None
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


def seed_difference(
    values: Sequence[float], others: Sequence[float], texts: FloatArray
) -> SeedDifference:
    """Difference of two groups, one value a seed in each, for other seeds and other texts.

    `texts` (n + m, n + m) is the covariance of all values, those of the first group first, over
    resampled texts. Seeds and texts are crossed: the variance of the difference is that of each
    group over seeds, by the number of seeds, plus that over texts. Both hold how differently
    seeds take to texts (the interaction), so that it is taken out of the second (Searle, Casella
    and McCulloch 1992, ch. 4). Degrees of freedom are Satterthwaite's (1946), with texts as
    known; without a part for texts it is Welch's t test (1947).
    """
    first, second = summarise_seeds(values), summarise_seeds(others)
    difference, n = first.mean - second.mean, first.n
    if first.sd is None or second.sd is None:
        return SeedDifference(difference, reason="needs at least two seeds in both groups")
    parts = first.sd**2 / first.n, second.sd**2 / second.n
    weights = np.repeat([1.0 / first.n, -1.0 / second.n], [first.n, second.n])
    both = float(weights @ texts @ weights)
    own = both - _interaction(texts[:n, :n]) / first.n - _interaction(texts[n:, n:]) / second.n
    seeds, own = sum(parts), max(own, 0.0)
    error = math.sqrt(seeds + own)
    if error == 0.0:
        return SeedDifference(difference, reason="no spread over the seeds of either group")
    spread = parts[0] ** 2 / (first.n - 1) + parts[1] ** 2 / (second.n - 1)
    df = error**4 / spread if spread > 0.0 else math.inf
    half, t = student_quantile(df) * error, difference / error
    return SeedDifference(
        difference,
        t,
        df,
        student_p(t, df),
        difference - half,
        difference + half,
        math.sqrt(seeds),
        math.sqrt(own),
    )


def _interaction(covariance: FloatArray) -> float:
    """Variance over texts of how far one seed is from the mean of its group."""
    n = len(covariance)
    of_one = float(np.trace(covariance)) / n
    return of_one - (float(covariance.sum()) - n * of_one) / (n * (n - 1))


def wins(values: Sequence[float], others: Sequence[float]) -> int:
    """In how many of the pairings of one value with one of the others it is the larger."""
    return sum(value > other for value in values for other in others)


def sweep_chance(n: int, others: int) -> Fraction:
    """How often one of two equal groups of seeds wins every pairing by chance alone.

    Of all orders of the n + m runs, which are equally likely then, two have one group on top:
    the smallest two-sided p of a rank test (Wilcoxon, 1945).
    """
    return Fraction(2, math.comb(n + others, n))
