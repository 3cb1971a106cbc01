"""Which rows of two runs are the same text with the same true labels.

Two runs are compared in pairs only on such rows. A text that occurs several times is
matched first with an occurrence that has the same labels, then in order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np

from goemo_report.formats.wording import plural
from goemo_report.metrics.arrays import BoolArray, IntArray
from goemo_report.predictions import Predictions

_Pairs: TypeAlias = tuple[IntArray, IntArray]

_NONE: Final[Iterator[int]] = iter(())
MINIMUM_SHARE: Final = 0.5
"""Below this share of the smaller split in common, two runs are not paired."""


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """The common rows and labels of a run and the run it is compared with.

    `rows` and `other_rows` (m,) index the common texts, `columns` and `other_columns` (c,)
    the common labels. `disagreeing` texts of them carry different true labels.
    """

    rows: IntArray
    other_rows: IntArray
    columns: IntArray
    other_columns: IntArray
    labels: tuple[str, ...]
    same_labels: bool
    total: int
    other_total: int
    disagreeing: int

    @property
    def matched(self) -> int:
        """Number of texts that both runs have."""
        return len(self.rows)

    @property
    def complete(self) -> bool:
        """Whether both runs have exactly these texts."""
        return self.matched == self.total == self.other_total

    @property
    def in_order(self) -> bool:
        """Whether the common texts stand in the same rows of both files."""
        return np.array_equal(self.rows, self.other_rows)

    @property
    def paired(self) -> bool:
        """Whether the runs may be compared row by row."""
        enough = self.matched >= MINIMUM_SHARE * min(self.total, self.other_total)
        return self.disagreeing == 0 and self.matched > 0 and enough

    def take(self, ours: Predictions, theirs: Predictions) -> tuple[Predictions, Predictions]:
        """Both files on the common rows and labels; what is there twice has clusters as ours."""
        ours = ours.take(self.rows, self.columns)
        theirs = theirs.take(self.other_rows, self.other_columns)
        return ours, replace(theirs, clusters=ours.clusters)

    @property
    def note(self) -> str:
        """How many rows agree, in words."""
        if self.disagreeing:
            agreeing = self.matched - self.disagreeing
            return (
                f"not paired: {agreeing:,} of {self.matched:,} common texts carry the same "
                "true labels"
            )
        if not self.paired:
            return (
                f"not paired: only {plural(self.matched, 'text')} in common "
                f"(of {self.total:,} and {self.other_total:,})"
            )
        words = (
            f"paired on all {plural(self.matched, 'text')}"
            if self.complete
            else f"paired on {plural(self.matched, 'common text')} of {self.total:,} and "
            f"{self.other_total:,}"
        )
        if self.same_labels:
            return words
        return f"{words}, on the {len(self.labels)} labels that both have"


def align(predictions: Predictions, other: Predictions) -> Alignment:
    """Match the rows and the labels of two prediction files of one split."""
    labels = tuple(label for label in predictions.labels if label in set(other.labels))
    columns, other_columns = (
        np.array([one.labels.index(label) for label in labels], dtype=np.int64)
        for one in (predictions, other)
    )
    truth, other_truth = predictions.truth[:, columns], other.truth[:, other_columns]
    if predictions.texts == other.texts and np.array_equal(truth, other_truth):
        rows = np.arange(len(predictions.texts), dtype=np.int64)
        other_rows = rows
    else:
        rows, other_rows = _match(_keys(predictions.texts, truth), _keys(other.texts, other_truth))
    differs = (truth[rows] != other_truth[other_rows]).any(axis=1)
    return Alignment(
        rows=rows,
        other_rows=other_rows,
        columns=columns,
        other_columns=other_columns,
        labels=labels,
        same_labels=predictions.labels == other.labels,
        total=len(predictions.texts),
        other_total=len(other.texts),
        disagreeing=int(np.count_nonzero(differs)),
    )


def _keys(texts: tuple[str, ...], truth: BoolArray) -> list[tuple[str, bytes]]:
    return [(text, row.tobytes()) for text, row in zip(texts, truth, strict=True)]


def _match(rows: list[tuple[str, bytes]], others: list[tuple[str, bytes]]) -> _Pairs:
    """Pair equal texts: those with equal labels first, then the rest in order."""
    pairs = _pair(dict(enumerate(rows)), dict(enumerate(others)))
    taken, other_taken = {row for row, _ in pairs}, {row for _, row in pairs}
    left = {row: key[0] for row, key in enumerate(rows) if row not in taken}
    other_left = {row: key[0] for row, key in enumerate(others) if row not in other_taken}
    matched = np.array(sorted(pairs + _pair(left, other_left)), dtype=np.int64).reshape(-1, 2)
    return matched[:, 0], matched[:, 1]


def _pair(keys: Mapping[int, Hashable], others: Mapping[int, Hashable]) -> list[tuple[int, int]]:
    places: dict[Hashable, list[int]] = defaultdict(list)
    for row, key in others.items():
        places[key].append(row)
    waiting = {key: iter(rows) for key, rows in places.items()}
    found = ((row, next(waiting.get(key, _NONE), None)) for row, key in keys.items())
    return [(row, other) for row, other in found if other is not None]
