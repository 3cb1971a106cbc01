"""Overall metrics of every run, recomputed, beside what the run logged."""

from __future__ import annotations

from goemo_report.compare import Comparison
from goemo_report.document import Block, Callout, Cell, Column, Section, Table, Value
from goemo_report.metrics import OVERALL_KEYS, ZERO_DIVISION_RULE
from goemo_report.sections._common import (
    AT_HALF,
    LOWER_IS_BETTER,
    METRIC_TITLES,
    key_column,
    listed,
    run_cell,
)

ORDER = 40


def build(comparison: Comparison) -> Section:
    """All overall metrics of all runs on the split of the report."""
    blocks: list[Block] = [_table(comparison)]
    left_out = sorted(
        {label for run in comparison.runs for label in comparison.on_split(run).scores.without_auc},
        key=comparison.labels.index,
    )
    if left_out:
        blocks.append(
            Callout(
                "note",
                f"{listed(left_out)} {'has' if len(left_out) == 1 else 'have'} no positive text in "
                "a run's split: no AUC, and left out of its macro AUC and macro AP.",
            )
        )
    found = comparison.on_split(comparison.baseline)
    return Section(
        "overall",
        "Overall metrics",
        tuple(blocks),
        lead="Every metric is recomputed from the predictions; the best value of each is marked.",
        method=f"{comparison.split} split, n = {found.rows:,} texts, {AT_HALF}; AUC and AP "
        f"(average precision) need no threshold. {ZERO_DIVISION_RULE}",
    )


def _table(comparison: Comparison) -> Table:
    best = {key: _best(comparison, key) for key in OVERALL_KEYS}
    rows: list[tuple[Value | Cell, ...]] = []
    for run in comparison.runs:
        overall = comparison.on_split(run).scores.overall
        cells = [
            Cell(overall[key], mark="best" if _is_best(overall[key], best[key]) else None)
            for key in OVERALL_KEYS
        ]
        rows.append((comparison.keys[run.id], run_cell(comparison, run), *cells))
    return Table(
        id="overall",
        title="Overall metrics",
        columns=(
            key_column(),
            Column("run", "run"),
            *(Column(key, METRIC_TITLES[key], "number", digits=4) for key in OVERALL_KEYS),
        ),
        rows=tuple(rows),
        row_header=1,
    )


def _best(comparison: Comparison, key: str) -> float | None:
    """The best value of a metric; None for a single run, where there is nothing to win."""
    values = [comparison.on_split(run).scores.overall[key] for run in comparison.runs]
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    return min(known) if key in LOWER_IS_BETTER else max(known)


def _is_best(value: float | None, best: float | None) -> bool:
    return best is not None and value == best
