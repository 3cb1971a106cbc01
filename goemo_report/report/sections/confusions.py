"""Confusions: which label is predicted instead of which, and which too often together."""

from __future__ import annotations

from typing import Final

import numpy as np

from goemo_report.analysis.multilabel import confusion, cooccurrence
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.report.document import Column, Heatmap, Section, Table
from goemo_report.report.sections._tables import columns
from goemo_report.report.sections._words import measured, side

ORDER = 85
CHAPTER = "Errors"
_TOP: Final = 12
_FEW: Final = 20
"""Cells of labels that fewer texts carry are hatched."""
_MOST: Final = 3.0
"""Where the scale of lifts ends: eight times as often."""


def build(comparison: Comparison) -> Section:
    """Show confusions of the best run as a list, and co-occurrence as a matrix."""
    best, nouns = comparison.best, comparison.nouns
    predicted = best.predictions.probabilities >= best.scores.threshold
    return Section.of(
        "confusions",
        "Confusions",
        _instead(best, predicted),
        _lift(best, predicted),
        method=f"{best.name}. {measured(comparison, best)}. Instead of: a text that misses "
        "label A and wrongly gets B counts for (A, B), by 1/m where it wrongly gets m labels. "
        "Lift: how much more often two labels stand together than if they knew nothing of each "
        "other, as log2, with half a text added; shown is that of the predictions minus that of "
        f"the truth. {nouns.capitalize()} that fewer than {_FEW} texts carry say little: hatched.",
    )


def _instead(run: ComparedRun, predicted: BoolArray) -> Table | None:
    """The most frequent confusions; None where none is confused."""
    found = run.split_result
    confused = confusion(found.predictions.truth, predicted)
    support, noun = found.scores.counts.support, found.label_set.noun
    rows = []
    for missed, given in np.argwhere(confused).tolist():
        texts, size = float(confused[missed, given]), int(support[missed])
        rows.append((found.labels[missed], found.labels[given], texts, texts / size, size))
    if not rows:
        return None
    rows.sort(key=lambda row: -row[2])
    whole = all(row[2].is_integer() for row in rows)
    return Table(
        id="confusions-list",
        title=f"Which {noun} is predicted instead of which: {side(run)}",
        columns=(
            Column("true", "missed"),
            Column("given", "predicted instead"),
            Column("texts", "texts", "number", digits=0 if whole else 1),
            Column("share", "share of its texts", "percent", help="of those that carry it"),
            *columns(support="integer"),
        ),
        rows=tuple(rows),
        browse=True,
        page_size=_TOP,
        scripted=found.scores.has_probabilities,
    )


def _lift(run: ComparedRun, predicted: BoolArray) -> Heatmap | None:
    """Predicted minus true lift of each pair of labels; None where all have too few texts."""
    found = run.split_result
    truth, labels = found.predictions.truth, found.labels
    values = _log_lift(predicted) - _log_lift(truth)
    np.fill_diagonal(values, np.nan)
    support = truth.sum(axis=0)
    few = np.minimum.outer(support, support) < _FEW
    counts, given = cooccurrence(truth), cooccurrence(predicted)
    upper = [(i, j) for i in range(len(labels)) for j in range(i + 1, len(labels)) if not few[i, j]]
    if not upper or not predicted.any():
        return None
    upper.sort(key=lambda pair: -abs(values[pair]))
    noun, nouns = found.label_set.noun, found.label_set.nouns
    hatched = {(i, j) for i, j in np.argwhere(few).tolist() if i != j}
    return Heatmap(
        id="confusions-lift",
        title=f"{nouns.capitalize()} predicted together too often or too rarely: {side(run)}",
        alt=f"A matrix of {len(labels)} by {len(labels)} {nouns}: the lift of each pair in the "
        "predictions minus that in the truth, as log2, from \u22123 to 3.",
        rows=labels,
        columns=labels,
        values=tuple(
            tuple(None if np.isnan(value) else value for value in row) for row in values.tolist()
        ),
        table=Table(
            id="confusions-lift-values",
            title=f"Pairs of {nouns} by the size of the difference",
            columns=(
                Column("first", noun),
                Column("second", "with"),
                Column("difference", "log2 lift, predicted minus true", "delta", digits=2),
                Column("true", "true together", "integer"),
                Column("predicted", "predicted together", "integer"),
            ),
            rows=tuple(
                (labels[i], labels[j], float(values[i, j]), int(counts[i, j]), int(given[i, j]))
                for i, j in upper
            ),
            browse=True,
            page_size=15,
            scripted=found.scores.has_probabilities,
        ),
        caption=f"How much more or less often than in the truth. Hatched: fewer than {_FEW} texts.",
        ends=("8 times too rarely", "8 times too often"),
        scale="diverging",
        bound=_MOST,
        hatched=frozenset(hatched),
    )


def _log_lift(labels: BoolArray) -> FloatArray:
    """log2 of how often two labels stand together over how often they would by chance, (k, k)."""
    together = cooccurrence(labels).astype(np.float64)
    single = labels.sum(axis=0)
    expected = np.outer(single, single) / len(labels)
    lift: FloatArray = np.log2((together + 0.5) / (expected + 0.5))
    return lift
