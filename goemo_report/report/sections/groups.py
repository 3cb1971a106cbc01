"""Roll-ups: the same predictions at the level of each grouping of their labels."""

from __future__ import annotations

from collections.abc import Mapping

from goemo_report.analysis.groups import Grouped, GroupScores, roll_up, score_groups
from goemo_report.comparison import Comparison
from goemo_report.labels import Grouping
from goemo_report.report.document import Block, Cell, Column, Section, Table, Value
from goemo_report.report.sections._common import AT_HALF, key_column, run_cell, run_columns, sample

ORDER = 70


def build(comparison: Comparison) -> Section | None:
    """One pair of tables for each grouping of the labels."""
    groupings = comparison.label_set.groupings
    if not groupings:
        return None
    blocks = [block for grouping in groupings for block in _tables(comparison, grouping)]
    sources = dict.fromkeys(grouping.source for grouping in groupings)
    return Section(
        "groups",
        f"{' and '.join(grouping.short for grouping in groupings)} groups",
        tuple(blocks),
        lead="The same predictions, rolled up: how well the runs tell coarse groups apart.",
        method=f"{sample(comparison)}, {AT_HALF}. A text has a group "
        f"if it has any of its {comparison.label_set.nouns}, and is predicted to have one if any "
        "is predicted; the "
        f"group's probability is the largest of its members'. Groups as in {', '.join(sources)}. "
        "No model was trained on the groups.",
    )


def _tables(comparison: Comparison, grouping: Grouping) -> list[Block]:
    rolled: dict[str, tuple[Grouped, GroupScores]] = {}
    name, title = grouping.name, grouping.title
    for run in comparison.runs:
        grouped = roll_up(run.predictions, grouping.groups)
        rolled[run.id] = grouped, score_groups(grouped)
    return [_overall(comparison, name, title, rolled), _per_group(comparison, name, title, rolled)]


def _overall(
    comparison: Comparison, name: str, title: str, rolled: Mapping[str, tuple[Grouped, GroupScores]]
) -> Table:
    keys = ("macro_f1", "micro_f1", "macro_precision", "macro_recall", "macro_auc", "exact_match")
    return Table(
        id=f"groups-{name}-overall",
        title=f"{title}: overall",
        columns=(
            key_column(),
            Column("run", "run"),
            *(Column(key, key.replace("_", " ").replace("f1", "F1").replace("auc", "AUC"), "number")
              for key in keys),
        ),
        rows=tuple(
            (
                run.key,
                run_cell(run),
                *(rolled[run.id][1].overall[key] for key in keys),
            )
            for run in comparison.ranked
        ),
        row_header=1,
    )  # fmt: skip


def _per_group(
    comparison: Comparison, name: str, title: str, rolled: Mapping[str, tuple[Grouped, GroupScores]]
) -> Table:
    widest = max((grouped for grouped, _ in rolled.values()), key=lambda g: len(g.groups))
    base, base_scores = rolled[comparison.baseline.id]
    support = dict(zip(base.groups, base_scores.counts.support.tolist(), strict=True))
    rows: list[tuple[Value | Cell, ...]] = []
    for group, members in zip(widest.groups, widest.members, strict=True):
        values = [_f1(*rolled[run.id], group) for run in comparison.runs]
        best = max(value for value in values if value is not None)
        cells = [
            Cell(value, mark="best" if len(values) > 1 and value == best > 0 else None)
            for value in values
        ]
        label = Cell(group, note=", ".join(members) if members != (group,) else "")
        rows.append((label, len(members), support.get(group), *cells))
    return Table(
        id=f"groups-{name}",
        title=f"{title}: F1 of each group",
        columns=(
            Column("group", "group"),
            Column("members", comparison.label_set.nouns, "integer"),
            Column("support", "support", "integer", help="texts, in the baseline's file"),
            *run_columns(comparison.runs, shade=True),
        ),
        rows=tuple(rows),
    )


def _f1(grouped: Grouped, scores: GroupScores, group: str) -> float | None:
    if group not in grouped.groups:
        return None
    return float(scores.counts.f1[grouped.groups.index(group)])
