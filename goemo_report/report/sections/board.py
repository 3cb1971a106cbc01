"""Others' results: where the compared runs stand among what was reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import fmean, stdev
from typing import Final

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.analysis.raters import RunBesideRaters
from goemo_report.comparison import ComparedRun, Comparison, Recipe
from goemo_report.labels import PublishedResult
from goemo_report.report.document import Block, Callout, Cell, Mark, Row, Section, Table
from goemo_report.report.sections._tables import columns, metric_cell, metric_column
from goemo_report.report.sections._words import HELD_OUT

ORDER = 115
CHAPTER = "Appendix"


def build(comparison: Comparison) -> Section | None:
    """The runs among the results of others; None where there are none for these labels."""
    blocks = tuple(_published(comparison))
    return Section.of("board", "Results of others", *blocks) if blocks else None


def _published(comparison: Comparison) -> Iterator[Block]:
    """The runs that were judged on the whole test split among the results that others reported."""
    labels, board = comparison.label_set, comparison.label_set.board
    texts = labels.data.split_samples.get("test") if labels.data is not None else None
    if comparison.split != "test" or board is None or labels.data is None or texts is None:
        return
    number = len(labels.labels)
    whole = [
        run
        for run in comparison.runs
        if run.labels == labels.labels and run.split_result.rows == texts
    ]
    if not whole:
        yield Callout(
            "note",
            f"No results of others are shown: they are about all {texts:,} texts of the "
            f"{labels.data.title} test split and all {number} labels, and no run here is.",
        )
        return
    if len(whole) == len(comparison.runs) and comparison.best_recipe is not None:
        rows = [row for one in comparison.recipes for row in _recipe_rows(comparison, one)]
    else:
        rows = [row for run in whole for row in _own_rows(comparison, run)]
    rows += [_published_row(item) for item in board.results]
    rows += _held_out_row(comparison.raters.get(whole[0].id))
    rows.sort(key=_by_macro_f1)
    yield Table(
        id="reference-board",
        title="Reported results of others",
        columns=(
            *columns("model", "source", "threshold"),
            *map(metric_column, ("macro_f1", "micro_f1", "micro_auc", "macro_auc")),
        ),
        rows=tuple(rows),
        caption=f"{number} labels, test split of {texts:,} texts. Figures of papers, READMEs and "
        "notebooks are quoted as their sources give them and were not recomputed; a dash: not "
        "given.",
    )
    noise = board.sampling_error
    yield Callout(
        "note",
        "Compare like with like: the same threshold protocol. The sampling error of macro F1 on "
        f"this split is about \u00b1{noise:.2f} (95%), that of a gap between two rows up "
        f"to \u00b1{noise * 2**0.5:.2f}: smaller gaps mean nothing by themselves. "
        "A row tuned on test is a bound, not a result.",
    )
    if len(whole) < len(comparison.runs):
        count = len(comparison.runs) - len(whole)
        noun = "run is" if count == 1 else "runs are"
        yield Callout(
            "note",
            f"{count} {noun} not listed beside the results of others: not all {number} labels "
            f"on all {texts:,} test texts.",
        )


def _recipe_rows(comparison: Comparison, recipe: Recipe) -> Iterable[Row]:
    """Means over the seeds of a recipe; a single run has its own values."""
    seeds = len(recipe.seeds)
    if seeds < 2:
        for run in recipe.counted:
            yield from _own_rows(comparison, run)
        return
    name = Cell(recipe.title, mark="best" if recipe is comparison.best_recipe else None)
    for key, threshold, others in _THRESHOLDS:
        values = recipe.values(key)
        if len(values) == seeds:
            source = f"this report, mean of {seeds} seeds, sd {stdev(values):.3f}"
            means = (fmean(recipe.values(other)) if other else None for other in others)
            yield (name, source, threshold, fmean(values), *means)


_THRESHOLDS: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("macro_f1", "fixed 0.5", ("micro_f1", "micro_auc", "macro_auc")),
    (TUNED_F1, "per class, tuned on validation", ("", "", "")),
)


def _own_rows(comparison: Comparison, run: ComparedRun) -> Iterable[Row]:
    recipe = comparison.best_recipe
    best = run is comparison.best if recipe is None else run in recipe.runs
    name = Cell(run.name, link=run.record.url, mark="best" if best else None)
    for key, threshold, _ in _THRESHOLDS:
        if key != TUNED_F1:
            rest = (metric_cell(run, "micro_f1"), run.value("micro_auc"), run.value("macro_auc"))
        elif run.tuned:
            rest = (Cell(run.tuned.overall["micro_f1"]), None, None)
        else:
            continue
        yield (name, "this report", threshold, metric_cell(run, key), *rest)


def _published_row(item: PublishedResult) -> Row:
    threshold = Cell(item.threshold)
    if item.bound:
        threshold = Cell(f"{item.threshold}: a bound, not a result", mark="warning")
    mark: Mark | None = "muted" if item.bound else None
    scores = Cell(item.macro_f1, mark=mark), Cell(item.micro_f1, mark=mark)
    return (item.model, Cell(item.source, link=item.link), threshold, *scores, None, None)


def _held_out_row(found: RunBesideRaters | None) -> Iterator[Row]:
    """A human rater, judged by the others; no row without ratings."""
    if found is not None:
        one = found.rater
        source = f"this report, judged by the other raters of {found.texts:,} texts"
        scores = Cell(one.macro_f1, *one.macro), Cell(one.micro_f1, *one.micro)
        yield (HELD_OUT, source, "none", *scores, None, None)


def _by_macro_f1(row: Row) -> float:
    value = Cell.of(row[3]).value
    return -value if isinstance(value, float) else 1.0
