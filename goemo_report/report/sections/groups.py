"""Roll-ups: the same predictions at the level of each grouping of their labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from goemo_report.analysis.groups import Grouped, GroupScores, roll_up, score_groups
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.labels import Grouping
from goemo_report.report.document import Cell, Column, Section, Table
from goemo_report.report.sections._common import (
    AT_HALF,
    METRIC_TITLES,
    Cells,
    best_cells,
    run_columns,
    run_table,
    sample,
)

ORDER = 70
_KEYS = ("macro_f1", "micro_f1", "macro_precision", "macro_recall", "macro_auc", "exact_match")

_Rolled: TypeAlias = Mapping[ComparedRun, tuple[Grouped, GroupScores]]


def build(comparison: Comparison) -> Section | None:
    """One pair of tables for each grouping of the labels."""
    groupings = comparison.label_set.groupings
    if not groupings:
        return None
    sources = dict.fromkeys(grouping.source for grouping in groupings)
    return Section(
        "groups",
        f"{' and '.join(grouping.short for grouping in groupings)} groups",
        tuple(table for grouping in groupings for table in _tables(comparison, grouping)),
        lead="The same predictions, rolled up: how well the runs tell coarse groups apart.",
        method=f"{sample(comparison)}, {AT_HALF}. A text has a group "
        f"if it has any of its {comparison.label_set.nouns}, and is predicted to have one if any "
        "is predicted; the "
        f"group's probability is the largest of its members'. Groups as in {', '.join(sources)}. "
        "No model was trained on the groups.",
    )


def _tables(comparison: Comparison, grouping: Grouping) -> tuple[Table, Table]:
    rolled: dict[ComparedRun, tuple[Grouped, GroupScores]] = {}
    for run in comparison.runs:
        grouped = roll_up(run.predictions, grouping.groups)
        rolled[run] = grouped, score_groups(grouped)
    overall = run_table(
        f"groups-{grouping.name}-overall",
        f"{grouping.title}: overall",
        comparison.ranked,
        (Column(key, METRIC_TITLES[key], "number") for key in _KEYS),
        lambda run: (rolled[run][1].overall[key] for key in _KEYS),
    )
    return overall, _per_group(comparison, grouping, rolled)


def _per_group(comparison: Comparison, grouping: Grouping, rolled: _Rolled) -> Table:
    widest = max((grouped for grouped, _ in rolled.values()), key=lambda g: len(g.groups))
    base, base_scores = rolled[comparison.baseline]
    support = dict(zip(base.groups, base_scores.counts.support.tolist(), strict=True))

    def cells(group: str, members: tuple[str, ...]) -> Cells:
        yield Cell(group, note=", ".join(members) if members != (group,) else "")
        yield from (len(members), support.get(group))
        yield from best_cells([_f1(*rolled[run], group) for run in comparison.runs])

    return Table(
        id=f"groups-{grouping.name}",
        title=f"{grouping.title}: F1 of each group",
        columns=(
            Column("group", "group"),
            Column("members", comparison.label_set.nouns, "integer"),
            Column("support", "support", "integer", help="texts, in the baseline's file"),
            *run_columns(comparison.runs, shade=True),
        ),
        rows=tuple(tuple(cells(*one)) for one in zip(widest.groups, widest.members, strict=True)),
    )


def _f1(grouped: Grouped, scores: GroupScores, group: str) -> float | None:
    if group not in grouped.groups:
        return None
    return float(scores.counts.f1[grouped.groups.index(group)])
