"""Per class: F1, precision and recall of every label, with intervals and support."""

from __future__ import annotations

from typing import Final

from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.metrics.table import CLASS_METRICS
from goemo_report.report.document import Axis, Cell, Column, Heatmap, Plot, Row, Section, Table
from goemo_report.report.sections._tables import (
    Cells,
    best_marks,
    class_cell,
    label_column,
    label_table,
    number,
    run_columns,
    run_series,
)
from goemo_report.report.sections._words import AT_HALF, INTERVALS, sample
from goemo_report.statistics.intervals import METHODS

ORDER = 60
_ALL_RUNS: Final = 6
"""With more runs, tables of precision and recall are left to CSV and JSON."""


def build(comparison: Comparison) -> Section:
    """The best run in detail, F1 across runs, F1 against support."""
    best, labels = comparison.best, comparison.label_set
    several, few = bool(comparison.others), len(comparison.runs) <= _ALL_RUNS
    grouped = f"grouped by {labels.groupings[0].name} and " if labels.groupings else ""
    rest = "" if few else " Precision and recall of every run: JSON."
    return Section.of(
        "emotions",
        labels.nouns.capitalize(),
        _detail(best),
        _heatmap(comparison, _across(comparison, "f1")) if several else None,
        _against_support(comparison),
        *(_across(comparison, key) for key in ("precision", "recall") if several and few),
        lead=f"Every metric of the best run, {best.name}, {grouped}"
        f"sorted by F1; then F1 of every run.{rest} {INTERVALS}",
        method=f"{sample(comparison)}, {AT_HALF}. Support: texts "
        f"that carry the {labels.noun}. Intervals: {METHODS['class']}; {METHODS['auc']}; "
        f"{METHODS['average_precision']}. With little support intervals are wide: believe them.",
    )


def _detail(run: ComparedRun) -> Table:
    """One run's metrics by group of the first grouping, each group sorted by F1."""
    noun, others, support = run.label_set.noun, run.label_set.groupings[1:], run.support
    predicted = dict(zip(run.labels, run.found.scores.counts.predicted.tolist(), strict=True))
    metrics = [
        metric
        for metric in CLASS_METRICS.values()
        if run.found.scores.has_probabilities or not metric.needs_probabilities
    ]
    rows: list[Row] = []
    groups: list[tuple[str, int]] = []
    for group, members in run.label_set.by_group():
        found = [label for label in members if label in support]
        for label in sorted(found, key=lambda label: -(run.of_class("f1", label) or 0.0)):
            called = Cell(predicted[label], mark=None if predicted[label] else "warning")
            its = (grouping.group_of(label) for grouping in others)
            cells = (class_cell(run, metric.key, label) for metric in metrics)
            rows.append((label, *its, support[label], called, *cells))
        if found and group:
            groups.append((group, len(found)))
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
        rows=tuple(rows),
        row_groups=tuple(groups),
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
        collapsed=key != "f1",
    )


def _heatmap(comparison: Comparison, table: Table) -> Heatmap:
    """Runs by labels; labels in the order of the first grouping, then mean F1."""
    labels = comparison.label_set
    groups = labels.by_group()
    f1 = {label: [run.of_class("f1", label) for run in comparison.runs] for label in labels.labels}
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
    return Heatmap(
        id="emotions-heatmap",
        title=f"F1 of each {labels.noun} in each run",
        alt=f"Heatmap of F1: one row a run, one column {labels.a_noun}, ordered by {by}F1.",
        rows=tuple(run.short for run in comparison.runs),
        columns=ordered,
        values=tuple(zip(*(f1[label] for label in ordered), strict=True)),
        table=table,
        caption=f"{labels.nouns.capitalize()}{names} by F1.",
        row_title="run",
        column_title=labels.noun,
    )


def _against_support(comparison: Comparison) -> Plot:
    """F1 over support on a log scale, for the best run and the baseline."""
    runs, support = dict.fromkeys((comparison.best, comparison.baseline)), comparison.best.support
    series = []
    for run in runs:
        kept = {label: texts for label, texts in run.support.items() if texts}
        f1 = (number(run.of_class("f1", label) or 0.0) for label in kept)
        series.append(run_series(run, kept.values(), f1, style="points", notes=tuple(kept)))
    return Plot(
        id="emotions-support",
        title="F1 against support",
        alt=f"One point {comparison.label_set.a_noun}: F1 over the number of texts that carry it, "
        "on a log scale.",
        x=Axis("support (texts, log scale)", "log"),
        y=Axis("F1", low=0, high=1),
        series=tuple(series),
        table=label_table(
            comparison,
            "emotions-support-values",
            "F1 by support",
            (Column("support", "support", "integer"), *run_columns(runs)),
            lambda label: (support[label], *(run.of_class("f1", label) for run in runs)),
            labels=sorted(support, key=support.__getitem__),
            collapsed=True,
        ),
    )
