"""Per class: F1, precision and recall of every label, with intervals and support."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import listed
from goemo_report.metrics.table import CLASS_METRICS
from goemo_report.report.document import Cell, Column, Heatmap, Row, Section, Table
from goemo_report.report.sections._tables import (
    Cells,
    best_marks,
    class_cell,
    columns,
    drawn,
    in_groups,
    label_column,
    label_table,
    run_columns,
)
from goemo_report.report.sections._words import INTERVALS, measured
from goemo_report.report.tables import class_metrics
from goemo_report.statistics.intervals import METHODS

ORDER = 40
CHAPTER = "Where it differs"
_MOST_ROWS: Final = 20
_ALL_RUNS: Final = 6
"""With more runs, tables of precision and recall are left to CSV and JSON."""


def build(comparison: Comparison) -> Section:
    """F1 across runs, what is never predicted, the best run in detail."""
    best, labels = comparison.best, comparison.label_set
    several, few = bool(comparison.others), len(comparison.runs) <= _ALL_RUNS
    across = _across(comparison, "f1")
    return Section.of(
        "emotions",
        labels.nouns.capitalize(),
        _heatmap(comparison, across) if several else None,
        _never(comparison),
        _detail(best),
        *(_across(comparison, key) for key in ("precision", "recall") if several and few),
        method=f"{measured(comparison)}. {INTERVALS} Support: texts "
        f"that carry the {labels.noun}. Intervals: {METHODS['class']}; {METHODS['auc']}; "
        f"{METHODS['average_precision']}. With little support intervals are wide: believe them.",
    )


def _detail(run: ComparedRun) -> Table:
    """One run's metrics by group of the first grouping, each group sorted by F1."""
    noun, others, support = run.label_set.noun, run.label_set.groupings[1:], run.support
    predicted = dict(zip(run.labels, run.scores.counts.predicted.tolist(), strict=True))
    metrics = class_metrics(run.scores)

    def rows(members: Iterable[str]) -> Iterator[Row]:
        found = [label for label in members if label in support]
        for label in sorted(found, key=lambda label: -(run.of_class("f1", label) or 0.0)):
            called = Cell(predicted[label], mark=None if predicted[label] else "warning")
            its = (grouping.group_of(label) for grouping in others)
            cells = (class_cell(run, metric.key, label) for metric in metrics)
            yield (label, *its, support[label], called, *cells)

    return Table(
        id="emotions-detail",
        title=f"Every {noun}: {run.short}",
        columns=(
            label_column(run),
            *(Column(grouping.name, grouping.short) for grouping in others),
            Column("support", "support", "integer", help=f"texts that carry the {noun}"),
            Column("predicted", "predicted", "integer", help="texts predicted to carry it"),
            *(Column(metric.key, metric.title, "number") for metric in metrics),
        ),
        **in_groups((group, rows(members)) for group, members in run.label_set.by_group()),
        collapsed=True,
    )


def _across(comparison: Comparison, key: str) -> Table:
    """One metric of each label in each run."""
    title, support = CLASS_METRICS[key].title, comparison.baseline.support

    def cells(label: str) -> Cells:
        marks = best_marks([run.of_class(key, label) for run in comparison.runs])
        yield support.get(label)
        for run, mark in zip(comparison.runs, marks, strict=True):
            yield class_cell(run, key, label, mark)

    return label_table(
        comparison,
        f"emotions-{key}",
        f"{title[0].upper()}{title[1:]} of each {comparison.label_set.noun} in each run",
        (
            Column("support", "support", "integer", help="in the baseline's file"),
            *run_columns(comparison.runs, shade=True),
        ),
        cells,
        collapsed=True,
    )


def _heatmap(comparison: Comparison, table: Table) -> Heatmap | Table:
    """Runs by labels; labels in the order of the first grouping, then mean F1. The table alone
    where there is nothing to shade."""
    labels = comparison.label_set
    groups = labels.by_group()
    f1 = {label: [run.of_class("f1", label) for run in comparison.runs] for label in labels.labels}
    if not any(value for values in f1.values() for value in values):
        none = f"F1 {comparison.at} is 0 for every {labels.noun} in every run: nothing to draw."
        return replace(table, caption=none, collapsed=True)
    ordered = tuple(
        label
        for _, members in groups
        for label in sorted(members, key=lambda label: -sum(one or 0.0 for one in f1[label]))
    )
    by, names = "", ""
    if labels.groupings:
        by = labels.groupings[0].name
        names = f" by {by} ({', '.join(group for group, _ in groups if group)}), then"
        by += " and "
    of = {one: [run for run in comparison.ranked if run.recipe is one] for one in drawn(comparison)}
    shown = [run for runs in of.values() for run in runs[:3]]
    left = len(comparison.runs) - len(shown)
    some = f" The best {len(shown)} of {len(comparison.runs)} runs." if left else ""
    f1_of = {run: [run.of_class("f1", label) for label in ordered] for run in shown}
    return Heatmap(
        id="labels-heatmap",
        title=f"F1 of each {labels.noun} in each run",
        alt=f"Heatmap of F1: one row a run, one column {labels.a_noun}, ordered by {by}F1.",
        rows=tuple(run.short for run in shown),
        columns=ordered,
        values=tuple(tuple(f1_of[run]) for run in shown),
        table=table,
        caption=f"{labels.nouns.capitalize()}{names} by F1.{some}",
    )


def _never(comparison: Comparison) -> Heatmap | None:
    """A dot for each label that a run never predicts; None where all are predicted."""
    found = {run: run.scores.never_predicted for run in comparison.ranked}
    found = {run: labels for run, labels in found.items() if labels}
    if not found:
        return None
    labels = [one for one in comparison.labels if any(one in never for never in found.values())]
    shown = dict(list(found.items())[:_MOST_ROWS])
    more = f" {len(found) - len(shown)} more runs: JSON." if len(found) > len(shown) else ""
    return Heatmap(
        id="labels-never",
        title=f"{comparison.nouns.capitalize()} that a run never predicts {comparison.at}",
        alt=f"A dot where a run (row) never predicts {comparison.label_set.a_noun} (column): "
        + "; ".join(f"{run.short} {listed(never, 4)}" for run, never in shown.items())
        + ".",
        rows=tuple(run.short for run in shown),
        columns=tuple(labels),
        values=tuple(
            tuple(0.0 if label in never else None for label in labels) for never in shown.values()
        ),
        table=Table(
            id="emotions-never-values",
            title=f"{comparison.nouns.capitalize()} never predicted",
            columns=(
                *columns("run", number="integer"),
                Column("never", comparison.nouns),
            ),
            rows=tuple((run.short, len(never), listed(never)) for run, never in found.items()),
        ),
        caption=f"Their F1 is 0 and pulls macro F1 down; AUC does not show it.{more}",
        dots=True,
    )
