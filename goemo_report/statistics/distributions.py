"""Intervals and p-values: Wilson, normal, Student's t, of swaps and signs, adjusted for many."""

from __future__ import annotations

import math
import sys
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from goemo_report.metrics.arrays import FloatArray, IntArray

CONFIDENCE = 0.95
"""Confidence of every interval, unless another is asked for."""
TIED: Final = 1e-12
"""Differences no further apart are equal but for rounding."""


class Estimate(NamedTuple):
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float


def normal_quantile(confidence: float = CONFIDENCE) -> float:
    """The z that a standard normal |Z| stays below with this probability."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson(
    proportion: FloatArray, trials: FloatArray, confidence: float = CONFIDENCE
) -> tuple[FloatArray, FloatArray]:
    """Score interval of a proportion (Wilson 1927); [0, 1] where there were no trials.

    `trials` may be an effective number that is not whole.
    """
    z = normal_quantile(confidence)
    known = trials > 0
    n = np.where(known, trials, 1.0)
    spread = 1.0 + z * z / n
    centre = (proportion + z * z / (2.0 * n)) / spread
    half = z * np.sqrt(proportion * (1.0 - proportion) / n + (z / (2.0 * n)) ** 2) / spread
    # the bounds are exactly 0 and 1 at those proportions, which rounding would miss
    low = np.where(known & (proportion > 0.0), centre - half, 0.0)
    high = np.where(known & (proportion < 1.0), centre + half, 1.0)
    return low, high


def normal_p(z: float) -> float:
    """Two-sided p-value of a standard normal statistic."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def student_p(t: float, df: float) -> float:
    """Two-sided p-value of Student's t with `df` degrees of freedom, not necessarily whole."""
    if math.isinf(t):
        return 0.0
    if math.isinf(df):
        return normal_p(t)
    return _incomplete_beta(df / 2.0, 0.5, df / (df + t * t))


def student_quantile(df: float, confidence: float = CONFIDENCE) -> float:
    """The t that |T| stays below with this probability."""
    low, high = 0.0, 1.0
    while student_p(high, df) > 1.0 - confidence:
        high *= 2.0
    for _ in range(200):
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        if student_p(middle, df) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):  # the fraction converges fast on the other side
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    log_front = a * math.log(x) + b * math.log1p(-x) - math.log(a)
    log_front += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    tiny = 1e-300
    fraction, c, d = 1.0, 1.0, 0.0
    for step in range(1000):
        m = step // 2
        if step == 0:
            numerator = 1.0
        elif step % 2 == 0:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1.0 + numerator * d
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = 1.0 + numerator / c
        c = c if abs(c) > tiny else tiny
        fraction *= c * d
        if step and abs(1.0 - c * d) < 1e-15:
            break
    return math.exp(log_front) * (fraction - 1.0)


# --- Of swaps, signs and families of tests -------------------------------------------


def p_value(by_chance: FloatArray, observed: FloatArray) -> FloatArray:
    """Share of swaps at least as extreme, the observed one counted in; ties within rounding."""
    extreme = np.abs(by_chance) >= np.abs(observed) - TIED
    result: FloatArray = (1.0 + extreme.sum(axis=0)) / (1.0 + len(by_chance))
    return result


def sign_test(gaps: IntArray) -> FloatArray:
    """Two-sided exact p of gaps that are -1, 0 or 1 (McNemar 1947, the binomial test)."""
    more, less = int(np.count_nonzero(gaps > 0)), int(np.count_nonzero(gaps < 0))
    number, term, total = more + less, 1, 0
    for i in range(min(more, less) + 1):
        total += term
        term = term * (number - i) // (i + 1)
    return np.array(max(min(2 * total / 2**number, 1.0), sys.float_info.min))


def holm(p_values: FloatArray) -> FloatArray:
    """Holm's step-down adjustment (1979) over the p-values that are not nan."""
    adjusted = np.full(p_values.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def max_t(observed: FloatArray, by_chance: FloatArray) -> FloatArray:
    """The p of several differences (r,), adjusted for being several, from joint swaps, (r, m).

    Step-down maximum of the differences, each in units of what swaps reach on average (Westfall
    and Young 1993, algorithm 4.1). Unlike Holm's it takes into account that runs are alike. One
    that no swap moves leaves the family: its p is 1.
    """
    adjusted = np.ones(len(observed))
    scale = np.sqrt(np.square(by_chance).mean(axis=1))
    order = np.flatnonzero(scale > TIED)
    order = order[np.argsort(-np.abs(observed[order]) / scale[order], kind="stable")]
    largest, p_values = np.zeros(by_chance.shape[1]), np.ones(len(order))
    for place, one in reversed(list(enumerate(order))):
        largest = np.maximum(largest, np.abs(by_chance[one]) / scale[one])
        p_values[place] = p_value(largest, np.abs(observed[one]) / scale[one])
    adjusted[order] = np.maximum.accumulate(p_values)
    return adjusted
