"""The error browser: confident mistakes, where two runs part, suspected label errors."""

from __future__ import annotations

import numpy as np

from goemo_report.analysis.mistakes import disagreements, mistakes, suspects
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.formats.wording import plural
from goemo_report.metrics.arrays import BoolArray
from goemo_report.predictions import Predictions
from goemo_report.report.document import Callout, Column, Section, Table, Value
from goemo_report.report.sections._tables import label_column
from goemo_report.report.sections._words import AT_HALF, sample

ORDER = 110


def build(comparison: Comparison) -> Section | None:
    """Texts worth reading; None where no errors were asked for."""
    limit, best = comparison.options.max_errors, comparison.best
    if limit == 0:
        return None
    without = Callout(
        "note", "Texts are left out (--no-text); rows are those of the prediction file."
    )
    return Section.of(
        "errors",
        "Error browser",
        None if comparison.options.texts else without,
        _mistakes(comparison, best, limit),
        _disagreements(comparison, best, limit),
        _suspects(comparison, best, limit),
        lead=f"What {best.name} gets wrong with the greatest confidence, and what may "
        "be wrong in the labels instead.",
        method=f"{sample(comparison)}, {AT_HALF}. At most {limit} texts per {comparison.noun} and "
        "kind of mistake. Confidence: p for a false positive, 1 \u2212 p for a false negative. "
        "Suspected label errors: the runs' mean p is above the mean p of texts that carry the "
        "label although the text does not, or the reverse (the off-diagonal rule of confident "
        "learning, Northcutt et al., JAIR 2021). They are suspects, not corrections.",
    )


def _text_columns(comparison: Comparison) -> tuple[Column, ...]:
    row = Column("row", "row", "integer", help="data row of the prediction file, from 1")
    return (row, Column("text", "text")) if comparison.options.texts else (row,)


def _text_cells(comparison: Comparison, predictions: Predictions, row: int) -> tuple[Value, ...]:
    return (row + 1, *((predictions.texts[row],) if comparison.options.texts else ()))


def _names(predictions: Predictions, labels: BoolArray, row: int) -> str:
    return ", ".join(predictions.labels[j] for j in np.flatnonzero(labels[row])) or "(none)"


def _mistakes(comparison: Comparison, run: ComparedRun, limit: int) -> Table:
    predictions = run.predictions
    predicted = predictions.probabilities >= DEFAULT_THRESHOLD
    found = mistakes(predictions, predicted, limit)
    return Table(
        id="errors-confident",
        title="Most confident mistakes",
        columns=(
            label_column(comparison),
            Column("kind", "mistake"),
            Column("confidence", "confidence", "number"),
            *_text_columns(comparison),
            Column("true", f"true {comparison.nouns}"),
            Column("predicted", f"predicted {comparison.nouns}"),
        ),
        rows=tuple(
            (
                predictions.labels[item.label],
                item.kind,
                item.confidence,
                *_text_cells(comparison, predictions, item.row),
                _names(predictions, predictions.truth, item.row),
                _names(predictions, predicted, item.row),
            )
            for item in found
        ),
        browse=True,
        caption=f"{run.name}; {plural(len(found), 'mistake')} shown.",
    )


def _disagreements(comparison: Comparison, best: ComparedRun, limit: int) -> Table | None:
    """Where the best run and the baseline (or the next best) part; None where not paired."""
    if not comparison.others:
        return None
    other = comparison.second if best.is_baseline else comparison.baseline
    alignment = best.aligned(other)
    if not alignment.paired:
        return None
    first = best.predictions
    found = disagreements(first, other.predictions, alignment, DEFAULT_THRESHOLD, 5 * limit)
    return Table(
        id="disagreements",
        title=f"Right in one run, wrong in the other: {best.short} and {other.short}",
        columns=(
            Column("right", "right"),
            label_column(comparison),
            Column("carries", "text carries it"),
            Column("best", f"p of {best.short}", "number"),
            Column("rival", f"p of {other.short}", "number"),
            *_text_columns(comparison),
            Column("true", f"true {comparison.nouns}"),
        ),
        rows=tuple(
            (
                best.short if item.better == "first" else other.short,
                first.labels[item.label],
                bool(first.truth[item.row, item.label]),
                item.probability,
                item.other_probability,
                *_text_cells(comparison, first, item.row),
                _names(first, first.truth, item.row),
            )
            for item in found
        ),
        browse=True,
        caption=f"The {5 * limit} widest of either kind; {alignment.note}.",
    )


def _suspects(comparison: Comparison, best: ComparedRun, limit: int) -> Table | None:
    predictions = best.predictions
    alike = [
        run.predictions.probabilities
        for run in comparison.runs
        if (run.labels, run.predictions.texts) == (predictions.labels, predictions.texts)
    ]
    found = suspects(predictions.truth, alike, 3 * limit)
    if not found:
        return None
    return Table(
        id="suspects",
        title="Suspected label errors",
        columns=(
            label_column(comparison),
            Column("suspicion", "suspicion"),
            Column("mean", "mean p", "number"),
            *_text_columns(comparison),
            Column("true", f"true {comparison.nouns}"),
        ),
        rows=tuple(
            (
                predictions.labels[item.label],
                "should not carry it" if item.labelled else "should carry it",
                item.mean,
                *_text_cells(comparison, predictions, item.row),
                _names(predictions, predictions.truth, item.row),
            )
            for item in found
        ),
        browse=True,
        caption=f"Mean over {plural(len(alike), 'run')}; at most {3 * limit} of either kind, most "
        "confident first.",
    )
