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
    true = _given(cooccurrence(found.predictions.truth))
    given = _given(cooccurrence(predicted))
    blocks: list[Block] = []
    for name, title, values in (
        ("true", "True co-occurrence", true),
        ("predicted", "Predicted co-occurrence", given),
        ("difference", "Co-occurrence, predicted minus true", given - true),
    ):
        blocks.append(
            _label_heatmap(
                f"cooccurrence-{name}",
                title,
                f"Of the texts with the {noun} of the row, the share that also has that of the "
                f"column. Empty: no text has the {noun} of the row.",
                found.label_set,
                values,
                diverging=name == "difference",
            )
        )
    return blocks


def _given(counts: IntArray) -> FloatArray:
    """Share of column label among texts with row label; nan on the diagonal and without texts."""
    totals = np.diag(counts).astype(np.float64)
    shares = ratio(counts, totals[:, None])
    shares[totals == 0] = np.nan
    np.fill_diagonal(shares, np.nan)
    return shares


def _label_heatmap(
    identifier: str,
    title: str,
    caption: str,
    label_set: LabelSet,
    values: FloatArray,
    *,
    diverging: bool = False,
    extra: tuple[str, ...] = (),
) -> Heatmap:
    cells = tuple(
        tuple(None if np.isnan(value) else round(value, 3) for value in row)
        for row in values.tolist()
    )
    labels = label_set.labels
    columns = (*labels, *extra)
    return Heatmap(
        id=identifier,
        title=title,
        alt=f"{title}: a matrix of {len(labels)} by {len(columns)} {label_set.nouns}. {caption}",
        rows=labels,
        columns=columns,
        values=cells,
        table=_pairs(identifier, title, label_set, columns, values, diverging=diverging),
        caption=caption,
        scale="diverging" if diverging else "sequential",
        row_title=label_set.noun,
        column_title="also",
    )


def _pairs(
    identifier: str,
    title: str,
    label_set: LabelSet,
    columns: tuple[str, ...],
    values: FloatArray,
    *,
    diverging: bool,
) -> Table:
    """The largest cells of a matrix, one a row: hundreds of cells side by side read badly."""
    sizes = np.abs(np.nan_to_num(values))
    order = np.argsort(-sizes, axis=None, kind="stable")[:_PAIRS]
    places = [divmod(flat, len(columns)) for flat in order.tolist()]
    return Table(
        id=f"{identifier}-values",
        title=title,
        columns=(
            Column("row", label_set.noun),
            Column("column", "with"),
            Column(
                "value", "difference" if diverging else "share", "delta" if diverging else "percent"
            ),
        ),
        rows=tuple(
            (columns[i], columns[j], round(float(values[i, j]), 4))
            for i, j in places
            if sizes[i, j]
        ),
        caption=f"The {_PAIRS} largest; the matrix is in the figure and in JSON.",
        collapsed=True,
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
    with_nothing = np.column_stack([confused.counts, confused.nothing])
    shares = ratio(with_nothing, support[:, None])
    shares[support == 0] = np.nan
    shares[np.arange(len(shares)), np.arange(len(shares))] = np.nan
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
