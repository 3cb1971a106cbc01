"""The paired randomisation test: what the outputs of two runs give when they are swapped by chance.

Under no difference each text's two outputs could as well be swapped (Noreen 1989; Yeh 2000).
"""

from __future__ import annotations

import sys
from typing import Final

import numpy as np
import numpy.typing as npt

from goemo_report.metrics.arrays import FloatArray, IntArray
from goemo_report.metrics.counts import ClassCounts, CountMetrics, count_metrics, text_metrics
from goemo_report.statistics.intervals import Analysis
from goemo_report.statistics.resampling import weighted_sums

TIED: Final = 1e-12
"""Differences no further apart are equal but for rounding."""


def swapped(run: Analysis, baseline: Analysis, randomisations: int) -> CountMetrics:
    """Differences of the metrics after each of many random swaps.

    Only texts with different outputs matter: a swap moves the difference of their counts from
    one run to the other, so that all swaps are one matrix product.
    """
    k = len(run.labels)
    apart = np.flatnonzero((run.predicted != baseline.predicted).any(axis=1))
    clusters = run.clusters
    swaps = _coin_flips(randomisations, clusters.number, run.seed, clusters.codes[apart])
    moved = baseline.outcomes.columns[apart, : 2 * k] - run.outcomes.columns[apart, : 2 * k]
    shifts = weighted_sums(swaps, moved)
    tp, predicted = shifts[:, :k], shifts[:, k:]
    truths = np.zeros(k)  # no swap moves them
    found = count_metrics(run.counts + ClassCounts.of(tp, predicted, truths, 0))
    found -= count_metrics(baseline.counts + ClassCounts.of(-tp, -predicted, truths, 0))
    truth = run.predictions.truth[apart]
    scores = text_metrics(truth, run.predicted[apart])
    others = text_metrics(truth, baseline.predicted[apart])
    gaps = np.stack([scores[key] - others[key] for key in scores], axis=1)
    means = (gaps.sum(axis=0) - 2.0 * weighted_sums(swaps, gaps)) / len(run)
    found.overall.update(zip(scores, means.T, strict=True))
    return found


def _coin_flips(repeats: int, number: int, seed: int, chosen: IntArray) -> npt.NDArray[np.uint8]:
    """Zeros and ones, (repeats, c), for the chosen ones of `number` clusters of texts.

    A cluster has the same coins whichever runs are compared, so that pairs can be tested together.
    """
    size = (number + 7) // 8
    drawn = np.random.default_rng([seed, number, 1]).bytes(repeats * size)
    bits = np.frombuffer(drawn, np.uint8).reshape(repeats, size)
    flips = np.take(bits, chosen >> 3, axis=1)  # each bit from its byte, the highest one first
    flips >>= (7 - (chosen & 7)).astype(np.uint8)
    flips &= 1
    return flips


def p_value(by_chance: FloatArray, observed: FloatArray) -> FloatArray:
    """Share of swaps at least as extreme, the observed one counted in; ties within rounding."""
    extreme = np.abs(by_chance) >= np.abs(observed) - TIED
    result: FloatArray = (1.0 + extreme.sum(axis=0)) / (1.0 + len(by_chance))
    return result


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


def sign_test(gaps: IntArray) -> FloatArray:
    """Two-sided exact p of gaps that are -1, 0 or 1 (McNemar 1947, the binomial test)."""
    more, less = int(np.count_nonzero(gaps > 0)), int(np.count_nonzero(gaps < 0))
    number, term, total = more + less, 1, 0
    for i in range(min(more, less) + 1):
        total += term
        term = term * (number - i) // (i + 1)
    return np.array(max(min(2 * total / 2**number, 1.0), sys.float_info.min))
