"""Whether a difference is real, too small to matter, or undecided, and what would decide it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from goemo_report.metrics.arrays import FloatArray
from goemo_report.statistics.distributions import CONFIDENCE, student_p, student_quantile

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


def variance_shares(differences: FloatArray) -> FloatArray:
    """The part of each column in the variance of their mean, (k,), of (m, k) replicates.

    They add up to 1, unless there is no variance; classes that offset others have a negative one.
    """
    centred = differences - differences.mean(axis=0)
    mean = centred.mean(axis=1)
    total = float(mean @ mean) * differences.shape[1]
    shares: FloatArray = centred.T @ mean / (total if total > 0.0 else 1.0)
    return shares


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
