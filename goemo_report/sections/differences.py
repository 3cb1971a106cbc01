"""Differences to the baseline, overall and per emotion."""

from __future__ import annotations

from goemo_report.compare import Comparison
from goemo_report.document import Block, Cell, Column, Section, Table, Value
from goemo_report.sections._common import (
    AT_HALF,
    LOWER_IS_BETTER,
    METRIC_TITLES,
    key_column,
    run_cell,
)
from goemo_report.sections.emotions import f1_by_run

ORDER = 45
KEYS = (
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "macro_precision",
    "macro_recall",
    "micro_auc",
    "macro_auc",
    "macro_average_precision",
    "exact_match",
    "jaccard",
    "hamming_loss",
)


def build(comparison: Comparison) -> Section | None:
    """What each run gains or loses; nothing to say of a single run."""
    if not comparison.others:
        return None
    blocks: list[Block] = [_overall(comparison), _per_class(comparison)]
    return Section(
        "differences",
        "Differences to the baseline",
        tuple(blocks),
        lead=f"Run minus {comparison.name(comparison.baseline)} ({comparison.baseline_rule}).",
        method=f"{comparison.split} split, {AT_HALF}.",
    )


def _overall(comparison: Comparison) -> Table:
    base = comparison.on_split(comparison.baseline).scores.overall
    rows: list[tuple[Value | Cell, ...]] = []
    for run in comparison.others:
        overall = comparison.on_split(run).scores.overall
        cells = [_delta(overall[key], base[key], key in LOWER_IS_BETTER) for key in KEYS]
        pairing = comparison.alignments[run.id].note
        rows.append((comparison.keys[run.id], run_cell(comparison, run), *cells, pairing))
    return Table(
        id="differences",
        title="Overall differences",
        columns=(
            key_column(),
            Column("run", "run"),
            *(Column(key, METRIC_TITLES[key], "delta", digits=4) for key in KEYS),
            Column("rows", "rows"),
        ),
        rows=tuple(rows),
        row_header=1,
    )


def _per_class(comparison: Comparison) -> Table:
    f1 = f1_by_run(comparison)
    base = f1[comparison.baseline.id]
    return Table(
        id="differences-emotions",
        title="F1 differences per emotion",
        columns=(
            Column("emotion", "emotion"),
            Column("baseline", "baseline F1", "number"),
            *(Column(run.id, comparison.short(run), "delta") for run in comparison.others),
        ),
        rows=tuple(
            (
                label,
                base.get(label),
                *(
                    _delta(f1[run.id].get(label), base.get(label), False)
                    for run in comparison.others
                ),
            )
            for label in comparison.labels
        ),
    )


def _delta(value: float | None, base: float | None, lower_is_better: bool) -> Cell:
    if value is None or base is None:
        return Cell(None)
    difference = value - base
    gain = -difference if lower_is_better else difference
    return Cell(difference, mark="good" if gain > 0 else "bad" if gain < 0 else None)
