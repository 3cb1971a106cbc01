"""What each rater chose of each text: GoEmotions' raw ratings, a row for each rater and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from operator import attrgetter
from pathlib import Path
from typing import Final

import numpy as np

from goemo_report.corpora.tables import RATER, UNCLEAR, Columns, LabelledTable
from goemo_report.errors import DataError
from goemo_report.formats.text import shown
from goemo_report.metrics.arrays import BoolArray

_EXPECTED: Final = (
    "Give GoEmotions' raw ratings (goemotions_1.csv, ...): text, id, rater_id and a column of 0 "
    "and 1 for each label"
)


@dataclass(frozen=True, eq=False, slots=True)
class Ratings:
    """`m` ratings: the id and the text that was rated, who rated it, and the labels chosen.

    `marks` is (m, k), `labels` names its columns. Ratings that call their text too unclear to rate
    are left out; `unclear` counts them, `repeated` those of a rater who rated the text before.
    `clusters` holds the cells of the column that was asked for, or nothing.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    raters: tuple[str, ...]
    marks: BoolArray
    labels: tuple[str, ...]
    source: str
    unclear: int = 0
    repeated: int = 0
    clusters: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of ratings."""
        return len(self.texts)


def read_ratings(paths: Sequence[Path], cluster: str = "") -> Ratings:
    """The ratings of one file or several; `cluster` names a column to be kept as well.

    Raises DataError, naming file, row and column.
    """
    parts = [_read(path, cluster) for path in paths]
    first = parts[0]
    for part in parts[1:]:
        if part.labels != first.labels:
            raise DataError(f"{part.source} has other label columns than {first.source}", _EXPECTED)
        if bool(part.clusters) != bool(first.clusters):
            one = first if part.clusters else part
            raise DataError(f"{one.source} has no column {shown(cluster)}", "Check --cluster")
    ids, texts, raters = (
        [one for part in parts for one in held(part)]
        for held in (attrgetter("ids"), attrgetter("texts"), attrgetter("raters"))
    )
    seen: dict[tuple[str, str], int] = {}
    for at, pair in enumerate(zip(ids, raters, strict=True)):
        seen.setdefault(pair, at)
    kept = list(seen.values())
    cells = [cell for part in parts for cell in part.clusters]
    return Ratings(
        tuple(ids[at] for at in kept),
        tuple(texts[at] for at in kept),
        tuple(raters[at] for at in kept),
        np.concatenate([part.marks for part in parts])[kept],
        first.labels,
        first.source if len(parts) == 1 else f"{first.source} and {len(parts) - 1} more",
        sum(part.unclear for part in parts),
        len(ids) - len(kept),
        tuple(cells[at] for at in kept) if cells else (),
    )


def _read(path: Path, cluster: str) -> Ratings:
    table = LabelledTable(path, Columns())
    if not table.is_rated:
        raise DataError(f"{table.source} has no column {RATER}: it rates nothing", _EXPECTED)
    if not table.names:
        raise DataError(f"{table.source} has no column for each label", _EXPECTED)
    texts = list(map(str.strip, table.texts))
    marks = np.stack([table.marks(name) for name in table.names], axis=1)
    unclear = table.marks(UNCLEAR)
    columns = (table.column(name) for name in ("id", RATER, cluster))
    ids, raters, clusters = (tuple(compress(one or (), ~unclear)) for one in columns)
    clear = tuple(compress(texts, ~unclear))
    return Ratings(
        *(ids or clear, clear, raters, marks[~unclear], table.names, table.source),
        unclear=int(unclear.sum()),
        clusters=clusters,
    )
