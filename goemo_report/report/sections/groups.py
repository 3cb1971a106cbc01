"""Roll-ups: the same predictions at the level of each grouping of their labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from goemo_report.comparison import Comparison
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.labels import Grouping
from goemo_report.report.document import Cell, Column, Row, Section, Table
from goemo_report.report.sections._tables import best_marks, in_groups, run_columns
from goemo_report.report.sections._words import measured
from goemo_report.statistics.intervals import Analysis, analyse

ORDER = 50
CHAPTER = "Where it differs"


def build(comparison: Comparison) -> Section | None:
    """F1 of each group of each grouping in each run."""
    groupings = comparison.label_set.groupings
    if not groupings:
        return None
    sources = dict.fromkeys(grouping.source for grouping in groupings)
    return Section.of(
        "groups",
        f"{' and '.join(grouping.short for grouping in groupings)} groups",
        Table(
            id="groups-f1",
            title="F1 of each group",
            columns=(
                Column("group", "group"),
                Column("members", comparison.nouns, "integer"),
                Column("support", "support", "integer", help="texts, in the baseline's file"),
                *run_columns(comparison.ranked, shade=True),
            ),
            **in_groups((one.title, _rows(comparison, one)) for one in groupings),
        ),
        method=f"{measured(comparison)}. A text has a group if it has any of its "
        f"{comparison.label_set.nouns}, and is predicted to have one if any is predicted; the "
        f"group's probability is the largest of its members'. Groups as in {', '.join(sources)}. "
        "No model was trained on the groups.",
    )


def _rows(comparison: Comparison, grouping: Grouping) -> Iterator[Row]:
    """Each group, and the mean over all of them."""
    rolled = {run: run.predictions.rolled_up(grouping) for run in comparison.ranked}
    found = {
        run: analyse(one, one.probabilities >= DEFAULT_THRESHOLD) for run, one in rolled.items()
    }
    f1 = [_f1(one) for one in found.values()]
    base, present = found[comparison.baseline], set(comparison.labels)
    support = dict(zip(base.labels, base.predictions.truth.sum(axis=0).tolist(), strict=True))
    for group in dict.fromkeys(name for one in f1 for name in one):
        members = [label for label in grouping.groups[group] if label in present]
        own = [one.get(group, Cell(None)) for one in f1]
        marks = best_marks([cell.value for cell in own])  # type: ignore[misc] # numbers
        cells = (replace(cell, mark=mark) for cell, mark in zip(own, marks, strict=True))
        note = ", ".join(members) if members != [group] else ""
        yield (Cell(group, note=note), len(members), support.get(group), *cells)
    means = (float(one.point.overall["macro_f1"][0]) for one in found.values())
    yield ("macro F1 over groups", None, None, *means)


def _f1(found: Analysis) -> dict[str, Cell]:
    """F1 of each group, with its interval."""
    values = (found.point.per_class["f1"][0], *found.bounds_of_classes("f1"))
    cells = map(Cell, *(part.tolist() for part in values))
    return dict(zip(found.labels, cells, strict=True))
