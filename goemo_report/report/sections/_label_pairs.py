"""Pairs of labels: which occur together, and which is predicted instead of which."""

from __future__ import annotations

from typing import Final

import numpy as np

from goemo_report.analysis.multilabel import confusion, cooccurrence
from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.table import ratio
from goemo_report.report.document import Block, Column, Heatmap, Table
from goemo_report.results import SplitResult

_TOP: Final = 25
_PAIRS: Final = 40


def cooccurrences(found: SplitResult, predicted: BoolArray) -> list[Block]:
    """Share of the texts with one label that also have another: true, predicted, difference."""
    noun = found.label_set.noun
    true, given = (
        _shares(counts, np.diag(counts))
        for counts in map(cooccurrence, (found.predictions.truth, predicted))
    )
    caption = (
        f"Of the texts with the {noun} of the row, the share that also has that of the column. "
        f"Empty: no text has the {noun} of the row."
    )
    return [
        _label_heatmap(f"cooccurrence-{name}", title, caption, found.label_set, values, sign=sign)
        for name, title, values, sign in (
            ("true", "True co-occurrence", true, False),
            ("predicted", "Predicted co-occurrence", given, False),
            ("difference", "Co-occurrence, predicted minus true", given - true, True),
        )
    ]


def _shares(counts: IntArray | FloatArray, texts: IntArray) -> FloatArray:
    """Of the texts of each row; nan on the diagonal and without texts."""
    shares = ratio(counts, texts[:, None])
    shares[texts == 0] = np.nan
    np.fill_diagonal(shares, np.nan)
    return shares


def _label_heatmap(
    identifier: str,
    title: str,
    caption: str,
    label_set: LabelSet,
    values: FloatArray,
    *,
    sign: bool = False,
    extra: tuple[str, ...] = (),
) -> Heatmap:
    """A matrix as a figure and, in its table, the largest cells: hundreds side by side read badly.

    With `sign` the values are differences.
    """
    labels, columns = label_set.labels, (*label_set.labels, *extra)
    sizes = np.abs(np.nan_to_num(values))
    order = np.argsort(-sizes, axis=None, kind="stable")[:_PAIRS]
    places = (divmod(flat, len(columns)) for flat in order.tolist() if sizes.flat[flat])
    table = Table(
        id=f"{identifier}-values",
        title=title,
        columns=(
            Column("row", label_set.noun),
            Column("column", "with"),
            Column("value", "difference" if sign else "share", "delta" if sign else "percent"),
        ),
        rows=tuple((labels[i], columns[j], float(values[i, j])) for i, j in places),
        caption=f"The {_PAIRS} largest; the matrix is in the figure and in JSON.",
        collapsed=True,
    )
    return Heatmap(
        id=identifier,
        title=title,
        alt=f"{title}: a matrix of {len(labels)} by {len(columns)} {label_set.nouns}. {caption}",
        rows=labels,
        columns=columns,
        values=tuple(
            tuple(None if np.isnan(value) else float(value) for value in row)
            for row in values.tolist()
        ),
        table=table,
        caption=caption,
        scale="diverging" if sign else "sequential",
        row_title=label_set.noun,
        column_title="also",
    )


def confusions(found: SplitResult, predicted: BoolArray) -> list[Block]:
    """Which label is given where another is missed: the most frequent, and all as a figure."""
    confused = confusion(found.predictions.truth, predicted)
    support, noun = found.scores.counts.support, found.label_set.noun
    order = np.argsort(-confused.counts, axis=None, kind="stable")[:_TOP]
    rows = []
    for flat in order.tolist():
        missed, given = divmod(flat, len(found.labels))
        texts = float(confused.counts[missed, given])
        if texts:
            size = int(support[missed])
            rows.append((found.labels[missed], found.labels[given], texts, texts / size, size))
    whole = all(texts.is_integer() for _, _, texts, _, _ in rows)
    table = Table(
        id="confusions",
        title=f"Which {noun} is predicted instead of which",
        columns=(
            Column("true", "missed"),
            Column("given", "predicted instead"),
            Column("texts", "texts", "number", digits=0 if whole else 1),
            Column("share", "share of its texts", "percent", help="of those that carry it"),
            Column("support", "support", "integer"),
        ),
        rows=tuple(rows),
        caption=f"The {_TOP} most frequent. A text with several wrong labels counts for each in "
        f"equal parts. Shares are of the texts that carry the missed {noun}, as in the figure.",
    )
    shares = _shares(np.column_stack([confused.counts, confused.nothing]), support)
    heatmap = _label_heatmap(
        "confusions-heatmap",
        f"Missed {noun} (row) against what is predicted instead (column)",
        f"Share of the texts that carry the {noun} of the row; the last column: missed, and no "
        "wrong label given. A row adds up to 1 minus recall.",
        found.label_set,
        shares,
        extra=("(nothing)",),
    )
    return [table, heatmap]
