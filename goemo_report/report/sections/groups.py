"""Roll-ups: the same predictions at the level of each grouping of their labels."""

from __future__ import annotations

from collections.abc import Mapping

from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.labels import Grouping
from goemo_report.metrics.scores import Scores, score
from goemo_report.report.document import Cell, Column, Section, Table
from goemo_report.report.sections._tables import Cells, best_marks, run_columns, run_table
from goemo_report.report.sections._words import AT_HALF, METRIC_TITLES, sample

ORDER = 70
_KEYS = ("macro_f1", "micro_f1", "macro_precision", "macro_recall", "macro_auc", "exact_match")


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
    rolled = ((run, run.predictions.rolled_up(grouping)) for run in comparison.runs)
    scores = {run: score(one.truth, one.probabilities, one.labels) for run, one in rolled}
    overall = run_table(
        f"groups-{grouping.name}-overall",
        f"{grouping.title}: overall",
        comparison.ranked,
        (Column(key, METRIC_TITLES[key], "number") for key in _KEYS),
        lambda run: (scores[run].overall[key] for key in _KEYS),
    )
    return overall, _per_group(comparison, grouping, scores)


def _per_group(
    comparison: Comparison, grouping: Grouping, scores: Mapping[ComparedRun, Scores]
) -> Table:
    base, present = scores[comparison.baseline], set(comparison.labels)
    support = dict(zip(base.labels, base.counts.support.tolist(), strict=True))
    f1 = [dict(zip(s.labels, s.counts.f1.tolist(), strict=True)) for s in scores.values()]

    def cells(group: str) -> Cells:
        members = [label for label in grouping.groups[group] if label in present]
        yield Cell(group, note=", ".join(members) if members != [group] else "")
        yield from (len(members), support.get(group))
        values = [one.get(group) for one in f1]
        for value, mark in zip(values, best_marks(values), strict=True):
            yield Cell(value, mark=mark)

    return Table(
        id=f"groups-{grouping.name}",
        title=f"{grouping.title}: F1 of each group",
        columns=(
            Column("group", "group"),
            Column("members", comparison.nouns, "integer"),
            Column("support", "support", "integer", help="texts, in the baseline's file"),
            *run_columns(comparison.runs, shade=True),
        ),
        rows=tuple(tuple(cells(group)) for group in dict.fromkeys(g for one in f1 for g in one)),
    )
