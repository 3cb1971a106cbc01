"""One sort of truth and scores, from which AUC, average precision and their curves follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.counts import ClassCounts, count_metrics

CUTS: Final[FloatArray] = np.arange(101) / 100
"""Thresholds of a sweep, and of the slider of a page: 0, 0.01, ..., 1."""
_GROUPS_AT_ONCE: Final = 1 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Groups:
    """Items by their scores, from the highest to the lowest; equal scores make one group.

    `high` and `hits` (g,) count the items, and the true ones, that are scored at least as high as
    each of the `g` groups.
    """

    high: IntArray
    hits: IntArray

    @classmethod
    def counted(
        cls, truth: BoolArray, scores: FloatArray, ascending: FloatArray | None = None
    ) -> Groups:
        """Count (n,) items, n not 0; `ascending` are their scores, sorted, where they are known.

        Nothing is said of single items, which takes a third of the time of a Ranking.
        """
        if ascending is None:
            ascending = np.sort(scores)
        first = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
        at = np.searchsorted(ascending[first], scores[truth])
        hits = np.bincount(at, minlength=len(first))[::-1].cumsum()
        return cls(len(ascending) - first[::-1], hits)

    @property
    def positives(self) -> int:
        """Number of true items."""
        return int(self.hits[-1])

    @property
    def negatives(self) -> int:
        """Number of other items."""
        return int(self.high[-1]) - self.positives

    @property
    def precision(self) -> FloatArray:
        """Share of the true ones among the items down to each group, (g,)."""
        return self.hits / self.high

    @property
    def recall(self) -> FloatArray:
        """Share of the true items down to each group, (g,); of none 0."""
        return self.hits / max(self.positives, 1)

    def auc(self) -> float:
        """Share of (positive, negative) pairs in the right order, ties counting half.

        Exact in integers up to the last division; nan without both kinds.
        """
        pairs, twice = self.positives * self.negatives, 0
        for high, hits, high_before, hits_before in self._groups() if pairs else ():
            gained = np.flatnonzero(hits != hits_before)  # few, where few items are true
            false = (high - hits + high_before - hits_before)[gained]
            twice += int((hits - hits_before)[gained] @ (2 * self.negatives - false))
        return twice / (2 * pairs) if pairs else float("nan")

    def average_precision(self) -> float:
        """Sum of precision x gained recall, one step a group; nan without a positive."""
        total = 0.0
        for high, hits, _, hits_before in self._groups():
            total += float(np.sum((hits - hits_before) * (hits / high)))
        return total / self.positives if self.positives else float("nan")

    def _groups(self) -> Iterator[tuple[IntArray, IntArray, IntArray, IntArray]]:
        """`high` and `hits` of each group and of the one before, some groups at a time."""
        for start in range(0, len(self.high), _GROUPS_AT_ONCE):
            pairs = []
            for counts in (self.high, self.hits):
                part = counts[start : start + _GROUPS_AT_ONCE]
                pairs.append((part, np.append(counts[start - 1] if start else 0, part[:-1])))
            (high, high_before), (hits, hits_before) = pairs
            yield high, hits, high_before, hits_before


@dataclass(frozen=True, eq=False, slots=True)
class Ranking(Groups):
    """Groups that know their items: `order` (n,) sorts these, and `true` (p,) says where in it the
    true ones are."""

    order: IntArray
    true: IntArray

    @classmethod
    def of(cls, truth: BoolArray, scores: FloatArray) -> Ranking:
        """Rank (n,) items; n must not be 0."""
        order = np.argsort(-scores)
        ranked = scores[order]
        last = np.append(ranked[1:] != ranked[:-1], True)  # of its group
        del ranked  # 100 MB where a large file has all its pairs ranked
        hit = truth[order]
        hits = np.cumsum(hit, dtype=np.int32 if len(hit) < 1 << 31 else np.int64)[last]
        high = np.flatnonzero(last) + 1
        return cls(high, hits.astype(np.int64), order, np.flatnonzero(hit))

    @property
    def lowest(self) -> IntArray:
        """The last item of each group, by its position before ranking, (g,)."""
        return self.order[self.high - 1]

    @property
    def sizes(self) -> IntArray:
        """Items in each group, (g,)."""
        return np.diff(self.high, prepend=0)

    @property
    def gained(self) -> IntArray:
        """True items in each group, (g,)."""
        return np.diff(self.hits, prepend=0)

    @property
    def twice_below(self) -> IntArray:
        """Twice the false items scored lower than each group, plus once those in it, (g,)."""
        false = self.high - self.hits
        result: IntArray = 2 * self.negatives - false - np.append(0, false[:-1])
        return result

    @property
    def twice_above(self) -> IntArray:
        """Twice the true items scored higher than each group, plus once those in it, (g,)."""
        result: IntArray = self.hits + np.append(0, self.hits[:-1])
        return result

    def choose(self, true: FloatArray, false: FloatArray) -> FloatArray:
        """For each item in the order that was ranked, (n,): its group's value in `true` or in
        `false`, (g,) each, by its own truth."""
        values = np.repeat(false, self.sizes)
        values[self.true] = np.repeat(true, self.gained)
        result = np.empty(len(self.order))
        result[self.order] = values
        return result


def rank_classes(truth: BoolArray, scores: FloatArray) -> list[Ranking]:
    """The ranking of each class, from (n, k) arrays."""
    return [Ranking.of(truth[:, j], scores[:, j]) for j in range(truth.shape[1])]


def roc_auc(truth: BoolArray, scores: FloatArray) -> FloatArray:
    """Area under the ROC curve of each class, (k,).

    The share of (positive, negative) pairs in the right order, ties counting half (the
    Mann-Whitney statistic). nan where a class has no positive or no negative.
    """
    columns = zip(truth.T, scores.T, strict=True)
    return np.array([Groups.counted(*one).auc() for one in columns], np.float64)


def micro_roc_auc(truth: BoolArray, scores: FloatArray) -> float:
    """Area under the ROC curve over all text x label pairs; nan if all pairs are alike."""
    return Groups.counted(truth.ravel(), scores.ravel()).auc()


# --- Curves and sweeps, thinned for drawing ---------------------------------------------


class Curve(NamedTuple):
    """Points of a curve in order, (p,) each."""

    x: FloatArray
    y: FloatArray


def precision_recall_curve(found: Groups, points: int) -> Curve | None:
    """Precision (y) over recall (x) in at most `points`; None without a positive.

    Starts at recall 0 with the precision of the first step and ends at recall 1.
    """
    if not found.positives:
        return None
    done = int(np.searchsorted(found.hits, found.positives)) + 1  # further steps only lose
    precision = np.concatenate([found.precision[:1], found.precision[:done]])
    return _thinned(np.append(0.0, found.recall[:done]), precision, points)


def roc_curve(found: Groups, points: int) -> Curve | None:
    """True positive rate (y) over false positive rate (x), likewise; None without both kinds."""
    if not found.positives or not found.negatives:
        return None
    false = (found.high - found.hits) / found.negatives
    return _thinned(np.append(0.0, false), np.append(0.0, found.recall), points)


def thin(x: FloatArray, y: FloatArray, points: int) -> IntArray:
    """Indices of at most `points` points that keep the shape of a curve.

    They lie at equal distances along the curve, measured as |dx| + |dy|, so that no part
    that was left out moves further than the curve's length / (points - 1).
    """
    if len(x) <= points:
        return np.arange(len(x), dtype=np.int64)
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    marks = np.linspace(0.0, length[-1], points)
    kept = np.unique(np.searchsorted(length, marks, side="left").clip(0, len(x) - 1))
    kept[0], kept[-1] = 0, len(x) - 1
    return kept.astype(np.int64)


def drawn(x: FloatArray, y: FloatArray, points: int) -> IntArray:
    """Indices of at most `points` points of a line that look like all: its extremes among them."""
    if len(x) <= points:
        return np.arange(len(x), dtype=np.int64)
    across, up = ((one - one.min()) / (np.ptp(one) or 1.0) for one in (x, y))
    kept = thin(across, up, points - 2)
    return np.unique(np.concatenate([kept, [y.argmin(), y.argmax()]])).astype(np.int64)


def _thinned(x: FloatArray, y: FloatArray, points: int) -> Curve:
    kept = thin(x, y, points)
    return Curve(x[kept], y[kept])


def highest_cut(probabilities: FloatArray) -> IntArray:
    """The highest of CUTS that each probability reaches, by its number."""
    return np.searchsorted(CUTS, probabilities, side="right").astype(np.int64) - 1


def at_cuts(truth: BoolArray, probabilities: FloatArray) -> tuple[IntArray, IntArray, IntArray]:
    """How many probabilities, from (n, k) arrays, reach each of CUTS and not the next.

    Of all texts, (101, k), of those with the label, (101, k), and the highest of each text, (101,).
    """
    cut, labels = highest_cut(probabilities), truth.shape[1]
    cells = cut * labels + np.arange(labels)
    reached, true = (
        np.bincount(one, minlength=len(CUTS) * labels).reshape(-1, labels)
        for one in (cells.ravel(), cells[truth])
    )
    return reached, true, np.bincount(cut.max(axis=1), minlength=len(CUTS))


def sweep(truth: BoolArray, probabilities: FloatArray) -> dict[str, FloatArray]:
    """Overall metrics at each of CUTS as the threshold, (101,) each, by key.

    `coverage` is the share of texts with at least one predicted label.
    """
    predicted, tp, covered = (
        one[::-1].cumsum(axis=0)[::-1] for one in at_cuts(truth, probabilities)
    )
    counts = ClassCounts.of(tp, predicted, truth.sum(axis=0), len(truth))
    return count_metrics(counts).overall | {"coverage": covered / len(truth)}
