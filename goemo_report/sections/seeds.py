"""Seeds: how much the result depends on chance in training."""

from __future__ import annotations

from typing import Final

from goemo_report.analysis.configs import SeedGroup
from goemo_report.compare import Comparison
from goemo_report.document import Block, Callout, Cell, Column, Section, Table, Value
from goemo_report.sections._common import METRIC_TITLES, p_text, sample
from goemo_report.statistics.seeds import (
    SEED_METHOD,
    SeedDifference,
    seed_difference,
    summarise_seeds,
)

ORDER = 48
_KEYS: Final = ("macro_f1", "micro_f1", "micro_auc", "macro_auc")


def build(comparison: Comparison) -> Section | None:
    """Groups of runs that differ only in the seed; None where no group has two runs."""
    if all(len(group.run_ids) < 2 for group in comparison.groups):
        return None
    blocks: list[Block] = [_groups(comparison)]
    differences = _differences(comparison)
    if differences is not None:
        blocks.append(differences)
    single = sum(len(group.run_ids) == 1 for group in comparison.groups)
    if single:
        verb = "group has" if single == 1 else "groups have"
        blocks.append(
            Callout("note", f"{single} {verb} one seed only: nothing can be said of its spread.")
        )
    return Section(
        "seeds",
        "Seeds",
        tuple(blocks),
        lead="Runs whose config differs only in the random seed. The spread over seeds is kept "
        "apart from the intervals elsewhere, which are about the texts.",
        method=f"{sample(comparison)}, threshold 0.5. {SEED_METHOD}. The range is the smallest "
        "and the largest value, not an interval.",
    )


def _values(comparison: Comparison, group: SeedGroup, key: str) -> list[float]:
    runs = {run.id: run for run in comparison.runs}
    values = [comparison.on_split(runs[i]).scores.overall[key] for i in group.run_ids]
    return [value for value in values if value is not None]


def _title(comparison: Comparison, group: SeedGroup) -> str:
    """The group's model and the keys of its runs."""
    keys = ", ".join(comparison.keys[run_id] for run_id in group.run_ids)
    return f"{group.name} ({keys})"


def _groups(comparison: Comparison) -> Table:
    rows: list[tuple[Value | Cell, ...]] = []
    spans: list[tuple[str, int]] = []
    for group in comparison.groups:
        before = len(rows)
        for key in _KEYS:
            values = _values(comparison, group, key)
            if values:
                found = summarise_seeds(values)
                spread = f"{found.minimum:.4f} to {found.maximum:.4f}" if found.n > 1 else None
                rows.append(
                    (
                        _title(comparison, group),
                        METRIC_TITLES[key],
                        found.n,
                        found.mean,
                        found.sd,
                        spread,
                    )
                )
        spans.append((f"{_title(comparison, group)}, seeds {_seeds(group)}", len(rows) - before))
    return Table(
        id="seeds-groups",
        title="Over seeds",
        columns=(
            Column("group", "group"),
            Column("metric", "metric"),
            Column("n", "seeds", "integer"),
            Column("mean", "mean", "number", digits=4),
            Column("sd", "standard deviation", "number", digits=4),
            Column("range", "range"),
        ),
        rows=tuple(rows),
        row_groups=tuple(spans),
        row_header=1,
    )


def _seeds(group: SeedGroup) -> str:
    return ", ".join("not logged" if seed is None else str(seed) for seed in group.seeds)


def _differences(comparison: Comparison) -> Table | None:
    """Each group against the group of the baseline."""
    base = next(group for group in comparison.groups if comparison.baseline.id in group.run_ids)
    rows: list[tuple[Value | Cell, ...]] = []
    for group in comparison.groups:
        if group is base:
            continue
        for key in _KEYS[:2]:
            ours, theirs = _values(comparison, group, key), _values(comparison, base, key)
            if ours and theirs:
                found = seed_difference(ours, theirs)
                cell = Cell(found.value, low=found.low, high=found.high)
                rows.append(
                    (_title(comparison, group), METRIC_TITLES[key], cell, found.p, _words(found))
                )
    if not rows:
        return None
    return Table(
        id="seeds-differences",
        title=f"Mean over seeds, minus {_title(comparison, base)}",
        columns=(
            Column("group", "group"),
            Column("metric", "metric"),
            Column("difference", "difference", "delta", digits=4),
            Column("p", "p over seeds", "pvalue"),
            Column("note", "note"),
        ),
        rows=tuple(rows),
    )


def _words(found: SeedDifference) -> str:
    if found.p is None or found.df is None:
        return f"no p-value: {found.reason}"
    return f"Welch's t test, {found.df:.1f} degrees of freedom, {p_text(found.p)}"
