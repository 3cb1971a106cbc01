"""Roll-ups: the same predictions at the level of each grouping of their labels."""

from __future__ import annotations

from collections.abc import Iterator

from goemo_report.comparison import Comparison
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.labels import Grouping
from goemo_report.metrics.scores import score_predicted
from goemo_report.predictions import Predictions
from goemo_report.report.document import Cell, Column, Row, Section, Table
from goemo_report.report.sections._tables import best_marks, in_groups, run_columns
from goemo_report.report.sections._words import measured
from goemo_report.statistics.intervals import analyse

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
    rolled = {run: run.predictions.rolled_up(grouping) for run in comparison.runs}
    scores = {
        run: score_predicted(one.truth, None, one.probabilities >= DEFAULT_THRESHOLD, one.labels)
        for run, one in rolled.items()
    }
    bounds = [_bounds(rolled[run]) for run in comparison.ranked]
    base, present = scores[comparison.baseline], set(comparison.labels)
    support = dict(zip(base.labels, base.counts.support.tolist(), strict=True))
    f1 = [
        dict(zip(scores[run].labels, scores[run].counts.f1.tolist(), strict=True))
        for run in comparison.ranked
    ]
    for group in dict.fromkeys(name for one in f1 for name in one):
        members = [label for label in grouping.groups[group] if label in present]
        values = [one.get(group) for one in f1]
        marked = zip(values, bounds, best_marks(values), strict=True)
        cells = [
            Cell(value, *own[group], mark=mark) if group in own else Cell(None)
            for value, own, mark in marked
        ]
        note = ", ".join(members) if members != [group] else ""
        yield (Cell(group, note=note), len(members), support.get(group), *cells)
    means = [scores[run].overall["macro_f1"] for run in comparison.ranked]
    yield ("macro F1 over groups", None, None, *means)


def _bounds(rolled: Predictions) -> dict[str, tuple[float, float]]:
    """95% interval of the F1 of each group."""
    low, high = analyse(rolled, rolled.probabilities >= DEFAULT_THRESHOLD).bounds_of_classes("f1")
    return dict(zip(rolled.labels, zip(low.tolist(), high.tolist(), strict=True), strict=True))
