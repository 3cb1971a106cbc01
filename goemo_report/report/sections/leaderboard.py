"""The leaderboard: the compared runs, recipes folded over their seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.report.document import PAGE_ROWS, Cell, Column, Section, Table
from goemo_report.report.sections._tables import (
    Cells,
    difference_cell,
    metric_cell,
    metric_column,
    run_table,
)
from goemo_report.report.sections._words import INTERVALS, chance, measured, verdict_word

ORDER = 20
CHAPTER = "Answer"
_AUC: Final = ("micro_auc", "macro_auc")


def build(comparison: Comparison) -> Section:
    """Runs by the criterion, the best first."""
    return Section.of(
        "leaderboard",
        "Leaderboard",
        _leaderboard(comparison),
        method=f"{measured(comparison)}. {INTERVALS} Differences and verdicts: paired on "
        f"the same texts, macro F1 {comparison.at}."
        + (
            " The interval of the tuned column holds the uncertainty of the thresholds; that of a "
            "recipe's mean is for other seeds as well."
            if comparison.with_probabilities
            else " The interval of a recipe's mean is for other seeds as well."
        ),
    )


def _leaderboard(comparison: Comparison) -> Table:
    sizes = {run.found.rows for run in comparison.runs}
    differ = len(sizes) > 1 or not comparison.same_texts
    chosen = comparison.baseline_is_chosen

    some = bool(comparison.with_probabilities)
    tuned = any(run.tuned for run in comparison.runs)

    def at_half(run: ComparedRun, key: str) -> Cell:
        cell = metric_cell(run, key)
        as_given = some and not run.predictions.has_probabilities
        return replace(cell, note="labels as predicted") if as_given else cell

    def cells(run: ComparedRun) -> Cells:
        yield from (run.found.rows,) if differ else ()
        why = "no validation predictions"
        if not run.predictions.has_probabilities:
            why = "labels without probabilities"
        if tuned:
            yield metric_cell(run, TUNED_F1) if run.tuned else Cell(None, note=why)
        yield at_half(run, "macro_f1")
        if chosen:
            yield difference_cell(run.difference("macro_f1"), chance(comparison, run))
            yield verdict_word(comparison, run)
        yield at_half(run, "micro_f1")
        yield from (metric_cell(run, key) for key in _AUC if some)

    against = (
        Column("difference", f"to the baseline, {comparison.at}", "delta"),
        Column("verdict", "verdict"),
    )
    return run_table(
        "leaderboard-runs",
        f"Runs by {comparison.criterion.title}",
        [
            run
            for recipe in comparison.ranked_recipes
            for run in comparison.ranked
            if run.recipe is recipe
        ],
        (
            *((Column("texts", "texts", "integer"),) if differ else ()),
            *((Column("tuned", "macro F1, tuned on validation", "number"),) if tuned else ()),
            Column("macro_f1", f"macro F1 {comparison.at}", "number"),
            *(against if chosen else ()),
            Column("micro_f1", f"micro F1 {comparison.at}", "number"),
            *(map(metric_column, _AUC) if some else ()),
        ),
        cells,
        {"tuned": TUNED_F1} | {key: key for key in ("macro_f1", "micro_f1", *_AUC)},
        browse=len(comparison.runs) > PAGE_ROWS,
        caption="The runs were not judged on the same texts: each value is about the run's own "
        "texts."
        if differ
        else "",
    )
