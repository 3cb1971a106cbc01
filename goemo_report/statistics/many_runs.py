"""What differences come to: over seeds, over many runs, and against a margin.

Seeds say how much a result depends on chance in training; intervals over texts say how much
it depends on the texts that were drawn. A range over seeds is a range, not an interval. Whether
one recipe is better than another depends on both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, Literal

import numpy as np

from goemo_report.metrics.arrays import FloatArray
from goemo_report.metrics.table import HEADLINE
from goemo_report.statistics.differences import ALPHA, Paired, PairedDifferences
from goemo_report.statistics.distributions import (
    CONFIDENCE,
    holm,
    max_t,
    student_p,
    student_quantile,
)

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
    return _contrast([(summarise_seeds(values), 1.0), (summarise_seeds(others), -1.0)], texts)


def seed_mean(values: Sequence[float], texts: FloatArray) -> SeedDifference:
    """Mean of one group, one value a seed, against zero: its interval is for other seeds and texts.

    `texts` (n, n) and the method are those of `seed_difference`.
    """
    return _contrast([(summarise_seeds(values), 1.0)], texts)


def _contrast(groups: Sequence[tuple[SeedSummary, float]], texts: FloatArray) -> SeedDifference:
    """The sum of the means of groups, each with its sign."""
    value = sum(sign * group.mean for group, sign in groups)
    known = [(group.n, group.sd, sign) for group, sign in groups if group.sd is not None]
    if len(known) < len(groups):
        return SeedDifference(value, reason="needs at least two seeds in both groups")
    weights = np.concatenate([np.full(n, sign / n) for n, _, sign in known])
    own, seeds, spread, start = float(weights @ texts @ weights), 0.0, 0.0, 0
    for n, sd, _ in known:
        own -= _interaction(texts[start : start + n, start : start + n]) / n
        seeds += sd**2 / n
        spread += (sd**2 / n) ** 2 / (n - 1)
        start += n
    own = max(own, 0.0)
    error = math.sqrt(seeds + own)
    if error == 0.0:
        return SeedDifference(value, reason="no spread over the seeds of either group")
    df = error**4 / spread if spread > 0.0 else math.inf
    half, t = student_quantile(df) * error, value / error
    p, bounds = student_p(t, df), (value - half, value + half)
    return SeedDifference(value, t, df, p, *bounds, math.sqrt(seeds), math.sqrt(own))


def _interaction(covariance: FloatArray) -> float:
    """Variance over texts of how far one seed is from the mean of its group."""
    n = len(covariance)
    of_one = float(np.trace(covariance)) / n
    return of_one - (float(covariance.sum()) - n * of_one) / (n * (n - 1))


def wins(values: Sequence[float], others: Sequence[float]) -> int:
    """In how many of the pairings of one value with one of the others it is the larger."""
    return sum(value > other for value in values for other in others)


def sweep_chance(n: int, others: int) -> Fraction:
    """How often one of two groups of seeds, equal on the texts, wins every pairing by chance alone.

    Of all orders of the n + m runs, which are equally likely then, two have one group on top:
    the smallest two-sided p of a rank test (Wilcoxon, 1945).
    """
    return Fraction(2, math.comb(n + others, n))


def adjusted_over_runs(
    found: Mapping[str, Paired], *, together: bool
) -> dict[str, PairedDifferences]:
    """Differences of several runs to one baseline, macro F1 tested for all of them at once.

    `together` says that all were compared on the same texts, so that their swaps are the same;
    else the p-values are adjusted by Holm. Runs without a difference leave the family.
    """
    result = {key: dict(one.differences) for key, one in found.items()}
    keys = [key for key, one in result.items() if (held := one[HEADLINE]) and not held.same]
    tested = [one for key in keys if (one := result[key][HEADLINE]) is not None]
    if len(keys) < 2:
        return {**result}
    adjusted = holm(np.array([one.p for one in tested]))
    if together:
        swaps = np.stack([found[key].swaps for key in keys])
        adjusted = max_t(np.array([one.value for one in tested]), swaps)
    for key, one, p in zip(keys, tested, adjusted.tolist(), strict=True):
        p = max(p, one.p)
        verdict = one.verdict if p < ALPHA else "tie"
        result[key][HEADLINE] = replace(one, p_adjusted=p, verdict=verdict)
    return {**result}


def selection_bias_of_best(replicates: Sequence[FloatArray]) -> float:
    """How far the best of several equal runs is above their mean by the choice of texts alone.

    `replicates` are the values of each run in the same resamples, (m,) each. The expected maximum
    of the deviations that resamples show (the winner's curse; Efron and Tibshirani 1993, ch. 17,
    for the bootstrap of such optimism).
    """
    drawn = np.stack(replicates)
    drawn = drawn - drawn.mean(axis=1, keepdims=True)
    return float((drawn.max(axis=0) - drawn.mean(axis=0)).mean())


# --- Better, worse, equivalent or undecided ------------------------------------------

MARGIN: Final = 0.01
"""Differences of macro F1 up to this are too small to matter, unless a reader says otherwise."""
POWER: Final = 0.8
_MOST_CARRIERS: Final = 3

Answer = Literal["better", "worse", "equivalent", "undecided"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What a difference of two runs or recipes comes to, against a margin.

    `p_equivalence` is the p of two one-sided tests: below 1 - confidence, the difference is
    within the margin. `detectable` is the smallest difference that is found with 80% power on
    these texts and seeds. `texts` and `seeds` (of each recipe) would find one as large as the
    margin with that power, if only that number grew; None where it cannot. `carriers` are the
    labels that carry most of the variance over texts, `carried` is their share of it.
    """

    answer: Answer
    value: float
    margin: float
    p_equivalence: float
    detectable: float
    texts: int | None
    seeds: int | None = None
    carriers: tuple[str, ...] = ()
    carried: float = 0.0

    @property
    def within(self) -> bool:
        """Whether the difference is too small to matter, even if it is real."""
        return self.p_equivalence < 1 - CONFIDENCE


def decide(
    value: float,
    *,
    significant: bool,
    text_error: float,
    texts: int,
    margin: float = MARGIN,
    seed_error: float = 0.0,
    seeds: int | None = None,
    df: float = math.inf,
    labels: Sequence[str] = (),
    shares: Sequence[float] = (),
    bounds: tuple[float, float] | None = None,
) -> Decision:
    """Judge a difference with its standard errors over `texts` texts and `seeds` seeds.

    `significant` says whether its own test tells it from zero. Equivalence is by two one-sided
    tests (Schuirmann 1987); power by the normal approximation (Cohen 1988), with Student's
    quantiles for `df`. `shares` are those of each of `labels` in the variance over texts. A 95%
    interval with the `bounds` says by itself how large the error is to each side.
    """
    error = math.hypot(text_error, seed_error)
    below = above = error
    if bounds is not None:
        below, above = (abs(end - value) / student_quantile(df) for end in bounds)
    p = max(_upper_tail(margin + value, below, df), _upper_tail(margin - value, above, df))
    answer: Answer = "undecided"
    if significant:
        answer = "better" if value > 0.0 else "worse"
    elif p < 1 - CONFIDENCE:
        answer = "equivalent"
    needed = student_quantile(df) + student_quantile(df, 2 * POWER - 1)
    wanted = (margin / needed) ** 2  # the variance that finds the margin
    ordered = sorted(zip(shares, labels, strict=True), reverse=True)[:_MOST_CARRIERS]
    return Decision(
        answer,
        value,
        margin,
        p,
        needed * error,
        _grown(texts, text_error**2, wanted - seed_error**2),
        _grown(seeds, seed_error**2, wanted - text_error**2) if seeds else None,
        tuple(label for _, label in ordered),
        sum(share for share, _ in ordered),
    )


def _upper_tail(distance: float, error: float, df: float) -> float:
    """One-sided p of a distance that should be above 0."""
    if error == 0.0:
        return 0.0 if distance > 0.0 else 1.0
    two_sided = student_p(distance / error, df)
    return two_sided / 2 if distance > 0.0 else 1.0 - two_sided / 2


def _grown(number: int, variance: float, allowed: float) -> int | None:
    """How many there must be for the variance to fall to what is allowed."""
    if variance <= allowed:
        return number
    return math.ceil(number * variance / allowed) if allowed > 0.0 else None
