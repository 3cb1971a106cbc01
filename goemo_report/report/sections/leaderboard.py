"""The leaderboard: the compared runs, recipes folded over their seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.report.document import PAGE_ROWS, Cell, Column, Section, Table, Value
from goemo_report.report.sections._tables import (
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
    differ = (
        len({run.split_result.rows for run in comparison.runs}) > 1 or not comparison.same_texts
    )
    some = bool(comparison.with_probabilities)

    def at_half(key: str) -> Callable[[ComparedRun], Cell]:
        def cell(run: ComparedRun) -> Cell:
            as_given = some and not run.predictions.has_probabilities
            found = metric_cell(run, key)
            return replace(found, note="labels as predicted") if as_given else found

        return cell

    def tuned(run: ComparedRun) -> Cell:
        if run.tuned:
            return metric_cell(run, TUNED_F1)
        bare = not run.predictions.has_probabilities
        why = "labels without probabilities" if bare else "no validation predictions"
        return Cell(None, note=why)

    def difference(run: ComparedRun) -> Cell:
        return difference_cell(run.difference("macro_f1"), chance(comparison, run))

    shown: dict[Column, Callable[[ComparedRun], Value | Cell]] = {}
    if differ:
        shown[Column("texts", "texts", "integer")] = lambda run: run.split_result.rows
    if any(run.tuned for run in comparison.runs):
        shown[Column("tuned", "macro F1, tuned on validation", "number")] = tuned
    shown[Column("macro_f1", f"macro F1 {comparison.at}", "number")] = at_half("macro_f1")
    if comparison.baseline_is_chosen:
        shown[Column("difference", f"to the baseline, {comparison.at}", "delta")] = difference
        shown[Column("verdict", "verdict")] = partial(verdict_word, comparison)
    shown[Column("micro_f1", f"micro F1 {comparison.at}", "number")] = at_half("micro_f1")
    if some:
        shown |= {metric_column(key): partial(metric_cell, key=key) for key in _AUC}
    return run_table(
        "leaderboard-runs",
        f"Runs by {comparison.criterion.title}",
        [
            run
            for recipe in comparison.ranked_recipes
            for run in comparison.ranked
            if run.recipe is recipe
        ],
        shown,
        lambda run: (cell(run) for cell in shown.values()),
        {"tuned": TUNED_F1} | {key: key for key in ("macro_f1", "micro_f1", *_AUC)},
        browse=len(comparison.runs) > PAGE_ROWS,
        caption="The runs were not judged on the same texts: each value is about the run's own "
        "texts."
        if differ
        else "",
    )
