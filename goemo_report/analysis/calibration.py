"""Do probabilities mean what they say? Reliability and expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray

BINS: Final = 15


@dataclass(frozen=True, eq=False, slots=True)
class Reliability:
    """Bins of equal mass in the order of confidence, (b,) each, and what they add up to.

    `confidence` is the mean probability of a bin, `frequency` the share of positives.
    `ece` is the expected calibration error: the mean of |frequency - confidence|, weighted
    by size (Naeini et al., AAAI 2015, with the equal-mass bins of Nguyen and O'Connor, EMNLP
    2015). `brier` is the mean squared error of the probabilities.
    """

    confidence: FloatArray
    frequency: FloatArray
    size: IntArray
    ece: float
    brier: float
    mean_probability: float
    base_rate: float


def reliability(truth: BoolArray, probabilities: FloatArray, bins: int = BINS) -> Reliability:
    """Reliability of (n,) or (n, k) outcomes, over all text x label pairs.

    Equal probabilities always share a bin, so that bins may be fewer and uneven.
    """
    outcomes, scores = truth.ravel(), probabilities.ravel()
    ranked = np.sort(scores)
    positives = np.sort(scores[outcomes])
    last = (np.arange(1, bins + 1) * len(ranked) // bins - 1).clip(0)
    tops = np.unique(ranked[last])  # the largest probability of each bin
    ends = np.searchsorted(ranked, tops, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    size = np.diff(ends, prepend=0).astype(np.int64)
    hits = np.diff(np.searchsorted(positives, tops, side="right"), prepend=0)
    confidence = np.add.reduceat(ranked, starts) / size
    frequency = hits / size
    return Reliability(
        confidence=confidence,
        frequency=frequency,
        size=size,
        ece=float(np.average(np.abs(frequency - confidence), weights=size)),
        brier=float(np.mean((scores - outcomes) ** 2)),
        mean_probability=float(scores.mean()),
        base_rate=float(outcomes.mean()),
    )


def class_ece(truth: BoolArray, probabilities: FloatArray, bins: int = BINS) -> FloatArray:
    """Expected calibration error of each label, (k,), from (n, k) arrays."""
    return np.array(
        [reliability(truth[:, j], probabilities[:, j], bins).ece for j in range(truth.shape[1])]
    )
