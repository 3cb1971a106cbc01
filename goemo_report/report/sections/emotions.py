"""Per class: F1, precision and recall of every label, with intervals and support."""

from __future__ import annotations

from typing import Final

from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.report.document import (
    Axis,
    Block,
    Cell,
    Column,
    Heatmap,
    Plot,
    Section,
    Series,
    Table,
    Value,
)
from goemo_report.report.sections._common import (
    AT_HALF,
    INTERVALS,
    class_cell,
    label_column,
    number,
    run_columns,
    sample,
)
from goemo_report.statistics.intervals import METHODS

ORDER = 60
_STATISTICS: Final = (
    ("f1", "F1"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("auc", "AUC"),
    ("average_precision", "AP"),
)
_ALL_RUNS: Final = 6
"""With more runs, tables of precision and recall are left to CSV and JSON."""


def build(comparison: Comparison) -> Section:
    """The best run in detail, F1 across runs, F1 against support."""
    best = comparison.best
    several = bool(comparison.others)
    blocks: list[Block] = [_detail(best)]
    if several:
        blocks.append(_heatmap(comparison, _across(comparison, "f1", "F1", "emotions-f1")))
    blocks.append(_against_support(comparison))
    if several and len(comparison.runs) <= _ALL_RUNS:
        blocks += [
            _across(comparison, name, title, f"emotions-{name}") for name, title in _STATISTICS[1:3]
        ]
    labels = comparison.label_set
    grouped = f"grouped by {labels.groupings[0].name} and " if labels.groupings else ""
    rest = "" if len(comparison.runs) <= _ALL_RUNS else " Precision and recall of every run: JSON."
    return Section(
        "emotions",
        labels.nouns.capitalize(),
        tuple(blocks),
        lead=f"Every metric of the best run, {best.name}, {grouped}"
        f"sorted by F1; then F1 of every run.{rest} {INTERVALS}",
        method=f"{sample(comparison)}, {AT_HALF}. Support: texts "
        f"that carry the {labels.noun}. Intervals: {METHODS['class']}; {METHODS['auc']}; "
        f"{METHODS['average_precision']}. With little support intervals are wide: believe them.",
    )


def f1_by_run(comparison: Comparison) -> dict[str, dict[str, float]]:
    """F1 at 0.5 of each label, by run id."""
    result: dict[str, dict[str, float]] = {}
    for run in comparison.runs:
        found = run.found
        result[run.id] = dict(zip(found.labels, found.scores.counts.f1.tolist(), strict=True))
    return result


def _detail(run: ComparedRun) -> Table:
    """One run's metrics by group of the first grouping, each group sorted by F1."""
    found, noun = run.found, run.label_set.noun
    others = run.label_set.groupings[1:]
    counts = found.scores.counts
    numbers = dict(
        zip(
            found.labels,
            zip(counts.support.tolist(), counts.predicted.tolist(), strict=True),
            strict=True,
        )
    )
    rows: list[tuple[Value | Cell, ...]] = []
    groups: list[tuple[str, int]] = []
    for group, members in run.label_set.by_group():
        present = [label for label in members if label in numbers]
        present.sort(key=lambda label: -(run.of_class("f1", label) or 0.0))
        for label in present:
            support, predicted = numbers[label]
            cells = [class_cell(run, name, label) for name, _ in _STATISTICS]
            called = Cell(predicted, mark=None if predicted else "warning")
            its = (grouping.group_of(label) for grouping in others)
            rows.append((label, *its, support, called, *cells))
        if present and group:
            groups.append((group, len(present)))
    return Table(
        id="emotions-detail",
        title=f"Every {noun}: {run.short}",
        columns=(
            label_column(run),
            *(Column(grouping.name, grouping.short) for grouping in others),
            Column("support", "support", "integer", help=f"texts that carry the {noun}"),
            Column("predicted", "predicted", "integer", help="texts predicted to carry it"),
            *(Column(name, title, "number") for name, title in _STATISTICS),
        ),
        rows=tuple(rows),
        row_groups=tuple(groups),
    )


def _across(comparison: Comparison, statistic: str, title: str, identifier: str) -> Table:
    baseline = comparison.baseline.found
    support = dict(zip(baseline.labels, baseline.scores.counts.support.tolist(), strict=True))
    rows: list[tuple[Value | Cell, ...]] = []
    for label in comparison.labels:
        values = [run.of_class(statistic, label) for run in comparison.runs]
        best = max(value for value in values if value is not None)
        marked = len(values) > 1 and best > 0
        cells = [
            class_cell(run, statistic, label, "best" if marked and value == best else None)
            for run, value in zip(comparison.runs, values, strict=True)
        ]
        rows.append((label, support.get(label), *cells))
    return Table(
        id=identifier,
        title=f"{title[0].upper()}{title[1:]} of each {comparison.label_set.noun} in each run",
        columns=(
            label_column(comparison),
            Column("support", "support", "integer", help="in the baseline's file"),
            *run_columns(comparison.runs, shade=True),
        ),
        rows=tuple(rows),
        collapsed=identifier != "emotions-f1",
    )


def _heatmap(comparison: Comparison, table: Table) -> Heatmap:
    """Runs by labels; labels in the order of the first grouping, then mean F1."""
    f1, labels = f1_by_run(comparison), comparison.label_set
    groups = labels.by_group()
    ordered = [
        label
        for _, members in groups
        for label in sorted(
            members,
            key=lambda label: -sum(f1[run.id].get(label, 0.0) for run in comparison.runs),
        )
    ]
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
        columns=tuple(ordered),
        values=tuple(
            tuple(number(f1[run.id].get(label)) for label in ordered) for run in comparison.runs
        ),
        table=table,
        caption=f"{labels.nouns.capitalize()}{names} by F1.",
        row_title="run",
        column_title=labels.noun,
    )


def _against_support(comparison: Comparison) -> Plot:
    """F1 over support on a log scale, for the best run and the baseline."""
    runs = list(dict.fromkeys((comparison.best, comparison.baseline)))
    series = []
    for run in runs:
        found = run.found
        support = found.scores.counts.support.tolist()
        kept = [j for j, size in enumerate(support) if size]
        f1 = found.scores.counts.f1.round(4).tolist()
        series.append(
            Series(
                run.short,
                tuple(support[j] for j in kept),
                tuple(f1[j] for j in kept),
                style="points",
                notes=tuple(found.labels[j] for j in kept),
                colour=run.colour,
            )
        )
    best = comparison.best.found
    order = sorted(range(len(best.labels)), key=lambda j: int(best.scores.counts.support[j]))
    table = Table(
        id="emotions-support-values",
        title="F1 by support",
        columns=(
            label_column(comparison),
            Column("support", "support", "integer"),
            *run_columns(runs),
        ),
        rows=tuple(
            (
                best.labels[j],
                int(best.scores.counts.support[j]),
                *(run.of_class("f1", best.labels[j]) for run in runs),
            )
            for j in order
        ),
        collapsed=True,
    )
    return Plot(
        id="emotions-support",
        title="F1 against support",
        alt=f"One point {comparison.label_set.a_noun}: F1 over the number of texts that carry it, "
        "on a log scale.",
        x=Axis("support (texts, log scale)", "log"),
        y=Axis("F1", low=0, high=1),
        series=tuple(series),
        table=table,
    )
