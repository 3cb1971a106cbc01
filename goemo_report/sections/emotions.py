"""Per class: F1 of every emotion in every run, as a table and a heatmap."""

from __future__ import annotations

from goemo_report.compare import Comparison
from goemo_report.document import Block, Cell, Column, Heatmap, Section, Table, Value
from goemo_report.sections._common import AT_HALF, run_columns

ORDER = 60


def build(comparison: Comparison) -> Section:
    """F1 per emotion across runs."""
    table = _table(comparison)
    blocks: list[Block] = [table]
    if len(comparison.runs) > 1:
        blocks.insert(0, _heatmap(comparison, table))
    found = comparison.on_split(comparison.baseline)
    return Section(
        "emotions",
        "Emotions",
        tuple(blocks),
        lead="F1 of each emotion in each run. Support is the number of texts that carry it.",
        method=f"{comparison.split} split, n = {found.rows:,} texts, {AT_HALF}; F1 = "
        "2 tp / (2 tp + fp + fn), 0 where an emotion is neither true nor predicted.",
    )


def f1_by_run(comparison: Comparison) -> dict[str, dict[str, float]]:
    """F1 at 0.5 of each label, by run id."""
    result: dict[str, dict[str, float]] = {}
    for run in comparison.runs:
        found = comparison.on_split(run)
        result[run.id] = dict(zip(found.labels, found.scores.counts.f1.tolist(), strict=True))
    return result


def _table(comparison: Comparison) -> Table:
    f1 = f1_by_run(comparison)
    baseline = comparison.on_split(comparison.baseline)
    support = dict(zip(baseline.labels, baseline.scores.counts.support.tolist(), strict=True))
    rows: list[tuple[Value | Cell, ...]] = []
    for label in comparison.labels:
        values = [f1[run.id].get(label) for run in comparison.runs]
        best = max(value for value in values if value is not None)
        marked = len(values) > 1 and best > 0
        cells = [Cell(value, mark="best" if marked and value == best else None) for value in values]
        rows.append((label, support.get(label), *cells))
    return Table(
        id="emotions",
        title="F1 of each emotion",
        columns=(
            Column("emotion", "emotion"),
            Column("support", "support", "integer", help="in the baseline's file"),
            *run_columns(comparison, comparison.runs, shade=True),
        ),
        rows=tuple(rows),
    )


def _heatmap(comparison: Comparison, table: Table) -> Heatmap:
    f1 = f1_by_run(comparison)
    return Heatmap(
        id="emotions-heatmap",
        title="F1 of each emotion in each run",
        alt="Heatmap of F1: one row a run, one column an emotion.",
        rows=tuple(comparison.short(run) for run in comparison.runs),
        columns=comparison.labels,
        values=tuple(
            tuple(f1[run.id].get(label) for label in comparison.labels) for run in comparison.runs
        ),
        table=table,
        row_title="run",
        column_title="emotion",
    )
