"""Multi-label behaviour: labels per text, co-occurrence, confusions, combinations, length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.counts import count, text_metrics
from goemo_report.metrics.rankings import micro_roc_auc
from goemo_report.metrics.table import ratio

LENGTH_EDGES: Final = (0, 5, 10, 15, 20, 25)
"""Words at which a bin of text length starts."""


def labels_per_text(labels: BoolArray) -> IntArray:
    """How many texts have 0, 1, 2, ... labels, from (n, k)."""
    return np.bincount(labels.sum(axis=1)).astype(np.int64)


def cooccurrence(labels: BoolArray) -> IntArray:
    """(k, k) counts of texts with both labels; the diagonal counts each label."""
    one = labels.astype(np.float32)
    return (one.T @ one).round().astype(np.int64)


@dataclass(frozen=True, eq=False, slots=True)
class Confusion:
    """Which label is predicted instead of which, (k, k): rows missed, columns wrongly given.

    A text that misses label i and wrongly gets label j counts 1 for (i, j), shared out so
    that each missed label adds up to at most 1: with m wrong labels each gets 1 / m. `nothing`
    (k,) counts the missed labels of texts that get no wrong label.
    """

    counts: FloatArray
    nothing: IntArray


def confusion(truth: BoolArray, predicted: BoolArray) -> Confusion:
    """Confusions of (n, k) true and predicted labels."""
    missed = truth & ~predicted
    wrong = predicted & ~truth
    extra = wrong.sum(axis=1)
    shares = ratio(wrong, np.maximum(extra, 1)[:, None])
    return Confusion(
        counts=missed.astype(np.float64).T @ shares,
        nothing=missed[extra == 0].sum(axis=0).astype(np.int64),
    )


@dataclass(frozen=True, eq=False, slots=True)
class Combination:
    """A set of true labels: how many texts have exactly it, and how they are predicted.

    `exact` is the share predicted exactly, `partial` the share that gets at least one of
    its labels but not exactly the set, `jaccard` the mean overlap.
    """

    labels: tuple[int, ...]
    texts: int
    exact: float
    partial: float
    jaccard: float


def combinations(truth: BoolArray, predicted: BoolArray, limit: int = 20) -> list[Combination]:
    """The most frequent sets of true labels, most frequent first."""
    packed = np.packbits(truth, axis=1)
    _, first, inverse, counts = np.unique(
        packed, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    inverse = inverse.ravel()
    scores = text_metrics(truth, predicted)
    exact = np.bincount(inverse, scores["exact_match"]) / counts
    overlap = (truth & predicted).any(axis=1) & (scores["exact_match"] == 0)
    partial = np.bincount(inverse, overlap) / counts
    jaccard = np.bincount(inverse, scores["jaccard"]) / counts
    order = np.lexsort((first, -counts))[:limit]
    return [
        Combination(
            labels=tuple(np.flatnonzero(truth[first[i]]).tolist()),
            texts=int(counts[i]),
            exact=float(exact[i]),
            partial=float(partial[i]),
            jaccard=float(jaccard[i]),
        )
        for i in order
    ]


@dataclass(frozen=True, eq=False, slots=True)
class LengthBin:
    """Texts of `low` to `high` words (high None: and more) with their scores."""

    low: int
    high: int | None
    texts: int
    micro_f1: float
    macro_f1: float
    exact_match: float
    micro_auc: float | None
    classes: int
    """Labels that occur in the bin, over which its macro F1 is taken."""


def word_counts(texts: tuple[str, ...]) -> IntArray:
    """Words of each text, split at white space."""
    return np.fromiter((len(text.split()) for text in texts), np.int64, len(texts))


def by_length(
    words: IntArray, truth: BoolArray, probabilities: FloatArray, predicted: BoolArray
) -> list[LengthBin]:
    """Scores of texts by their number of words; empty bins are left out."""
    bins = []
    highs = (*(edge - 1 for edge in LENGTH_EDGES[1:]), None)
    for low, high in zip(LENGTH_EDGES, highs, strict=True):
        rows = (words >= low) & (words <= high) if high is not None else words >= low
        if not rows.any():
            continue
        present = truth[rows].any(axis=0)
        counts = count(truth[rows], predicted[rows])
        auc = micro_roc_auc(truth[rows], probabilities[rows])
        bins.append(
            LengthBin(
                low=low,
                high=high,
                texts=int(rows.sum()),
                micro_f1=float(counts.pooled.f1[0]),
                macro_f1=float(counts.f1[present].mean()) if present.any() else 0.0,
                exact_match=float((truth[rows] == predicted[rows]).all(axis=1).mean()),
                micro_auc=None if np.isnan(auc) else auc,
                classes=int(present.sum()),
            )
        )
    return bins
