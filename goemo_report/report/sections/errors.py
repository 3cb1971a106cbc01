"""The error browser: confident mistakes, where two runs part, suspected label errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from goemo_report.analysis.mistakes import disagreements, mistakes, suspects
from goemo_report.comparison import Comparison
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.arrays import BoolArray
from goemo_report.predictions import Predictions
from goemo_report.report.document import Block, Callout, Cell, Column, Section, Table, Value
from goemo_report.report.sections._common import AT_HALF, plural, sample
from goemo_report.results import RunResult

ORDER = 110

_Row = tuple[Value | Cell, ...]


def build(comparison: Comparison) -> Section | None:
    """Texts worth reading; None where no errors were asked for."""
    limit = comparison.options.max_errors
    if limit == 0:
        return None
    best = comparison.best
    blocks: list[Block] = []
    if not comparison.options.texts:
        blocks.append(
            Callout(
                "note", "Texts are left out (--no-text); rows are those of the prediction file."
            )
        )
    blocks.append(_mistakes(comparison, best, limit))
    rival = _rival(comparison)
    if rival is not None:
        blocks.append(_disagreements(comparison, best, rival, limit))
    blocks.append(_suspects(comparison, best, limit))
    return Section(
        "errors",
        "Error browser",
        tuple(blocks),
        lead=f"What {comparison.name(best)} gets wrong with the greatest confidence, and what may "
        "be wrong in the labels instead.",
        method=f"{sample(comparison)}, {AT_HALF}. At most {limit} texts per emotion and kind "
        "of mistake. Confidence: p for a false positive, 1 \u2212 p for a false negative. "
        "Suspected label errors: the runs' mean p is above the mean p of texts that carry the "
        "label although the text does not, or the reverse (the off-diagonal rule of confident "
        "learning, Northcutt et al., JAIR 2021). They are suspects, not corrections.",
    )


def _text_columns(comparison: Comparison) -> tuple[Column, ...]:
    row = Column("row", "row", "integer", help="data row of the prediction file, from 1")
    return (row, Column("text", "text")) if comparison.options.texts else (row,)


def _text_cells(comparison: Comparison, predictions: Predictions, row: int) -> _Row:
    if comparison.options.texts:
        return (row + 1, predictions.texts[row])
    return (row + 1,)


def _names(predictions: Predictions, labels: BoolArray, row: int) -> str:
    return ", ".join(predictions.labels[j] for j in np.flatnonzero(labels[row])) or "(none)"


def _namer(predictions: Predictions) -> Callable[[int], tuple[str, str]]:
    """Gives the true and the predicted emotions of a row as text."""
    predicted = predictions.probabilities >= DEFAULT_THRESHOLD

    def names(row: int) -> tuple[str, str]:
        return _names(predictions, predictions.truth, row), _names(predictions, predicted, row)

    return names


def _mistakes(comparison: Comparison, run: RunResult, limit: int) -> Table:
    predictions = comparison.on_split(run).predictions
    found = mistakes(predictions, predictions.probabilities >= DEFAULT_THRESHOLD, limit)
    names = _namer(predictions)
    return Table(
        id="errors-confident",
        title="Most confident mistakes",
        columns=(
            Column("emotion", "emotion"),
            Column("kind", "mistake"),
            Column("confidence", "confidence", "number"),
            *_text_columns(comparison),
            Column("true", "true emotions"),
            Column("predicted", "predicted emotions"),
        ),
        rows=tuple(
            (
                predictions.labels[item.label],
                item.kind,
                round(item.confidence, 4),
                *_text_cells(comparison, predictions, item.row),
                *names(item.row),
            )
            for item in found
        ),
        browse=True,
        caption=f"{comparison.name(run)}; {plural(len(found), 'mistake')} shown.",
    )


def _rival(comparison: Comparison) -> RunResult | None:
    """The run to set against the best one: the baseline, or the next best."""
    if not comparison.others:
        return None
    if comparison.best is not comparison.baseline:
        rival, aligned = comparison.baseline, comparison.best
    else:
        rival = aligned = comparison.ranked[1]
    return rival if comparison.alignments[aligned.id].paired else None


def _disagreements(comparison: Comparison, best: RunResult, rival: RunResult, limit: int) -> Table:
    first, other = comparison.on_split(best).predictions, comparison.on_split(rival).predictions
    if best is comparison.baseline:
        alignment = comparison.alignments[rival.id]
        rows, columns = alignment.other_rows, alignment.other_columns
        other_rows, other_columns = alignment.rows, alignment.columns
    else:
        alignment = comparison.alignments[best.id]
        rows, columns = alignment.rows, alignment.columns
        other_rows, other_columns = alignment.other_rows, alignment.other_columns
    found = disagreements(
        first, other, rows, other_rows, columns, other_columns, DEFAULT_THRESHOLD, 5 * limit
    )
    a, b = comparison.short(best), comparison.short(rival)
    return Table(
        id="disagreements",
        title=f"Right in one run, wrong in the other: {a} and {b}",
        columns=(
            Column("right", "right"),
            Column("emotion", "emotion"),
            Column("carries", "text carries it"),
            Column("best", f"p of {a}", "number"),
            Column("rival", f"p of {b}", "number"),
            *_text_columns(comparison),
            Column("true", "true emotions"),
        ),
        rows=tuple(
            (
                a if item.better == "first" else b,
                first.labels[item.label],
                bool(first.truth[item.row, item.label]),
                round(item.probability, 4),
                round(item.other_probability, 4),
                *_text_cells(comparison, first, item.row),
                _names(first, first.truth, item.row),
            )
            for item in found
        ),
        browse=True,
        caption=f"The {5 * limit} widest of either kind; {alignment.note}.",
    )


def _suspects(comparison: Comparison, best: RunResult, limit: int) -> Table:
    predictions = comparison.on_split(best).predictions
    alike = [
        run
        for run in comparison.runs
        if (other := comparison.on_split(run).predictions).labels == predictions.labels
        and other.texts == predictions.texts
    ]
    stacked = np.stack([comparison.on_split(run).predictions.probabilities for run in alike])
    found = suspects(predictions.truth, stacked, 3 * limit)
    return Table(
        id="suspects",
        title="Suspected label errors",
        columns=(
            Column("emotion", "emotion"),
            Column("suspicion", "suspicion"),
            Column("mean", "mean p", "number"),
            *_text_columns(comparison),
            Column("true", "true emotions"),
        ),
        rows=tuple(
            (
                predictions.labels[item.label],
                "should not carry it" if item.labelled else "should carry it",
                round(item.mean, 4),
                *_text_cells(comparison, predictions, item.row),
                _names(predictions, predictions.truth, item.row),
            )
            for item in found
        ),
        browse=True,
        caption=f"Mean over {plural(len(alike), 'run')}; at most {3 * limit} of either kind, most "
        "confident first.",
    )
