"""The leaderboard: the compared runs, and where they stand among reported results."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean, stdev

from goemo_report.analysis.configs import SeedGroup
from goemo_report.comparison import Comparison
from goemo_report.contract import EMOTIONS, SPLIT_SAMPLES
from goemo_report.reference_board import REFERENCE_BOARD, SAMPLING_ERROR, PublishedResult
from goemo_report.report.document import Block, Callout, Cell, Column, Section, Table, Value
from goemo_report.report.sections._common import (
    AT_HALF,
    INTERVALS,
    TUNED_F1,
    best_recipe,
    difference_cell,
    group_title,
    group_values,
    key_column,
    run_cell,
    same_recipe,
    sample,
    verdict_word,
    with_interval,
)
from goemo_report.results import RunResult

ORDER = 20

_Row = tuple[Value | Cell, ...]


def build(comparison: Comparison) -> Section:
    """Runs by macro F1, then the same among reported results."""
    blocks: list[Block] = [_leaderboard(comparison)]
    if comparison.split == "test":
        blocks += _published(comparison)
    return Section(
        "leaderboard",
        "Leaderboard",
        tuple(blocks),
        lead="Runs by macro F1 at the fixed threshold 0.5. The tuned column applies one threshold "
        f"per emotion, tuned on validation. {INTERVALS}",
        method=f"{sample(comparison)}, {AT_HALF}. Difference and "
        "verdict: paired with the baseline, see Differences. The interval of the tuned column "
        "takes the thresholds as given.",
    )


def _leaderboard(comparison: Comparison) -> Table:
    sizes = {comparison.on_split(run).rows for run in comparison.runs}
    differ = len(sizes) > 1 or not comparison.same_texts
    rows: list[_Row] = []
    for place, run in enumerate(comparison.ranked, 1):
        overall = comparison.on_split(run).scores.overall
        intervals = comparison.intervals[run.id]
        paired = comparison.differences.get(run.id)
        macro = paired["macro_f1"] if paired else None
        tuned = comparison.protocol(run, "per-class")
        rows.append(
            (
                place,
                comparison.keys[run.id],
                run_cell(comparison, run),
                *((comparison.on_split(run).rows,) if differ else ()),
                with_interval(overall["macro_f1"], intervals["macro_f1"]),
                difference_cell(macro, same_recipe(comparison, run, comparison.baseline)),
                verdict_word(comparison, run),
                with_interval(tuned.overall["macro_f1"], comparison.tuned_intervals[run.id])
                if tuned
                else Cell(None, note="no validation predictions"),
                with_interval(overall["micro_f1"], intervals["micro_f1"]),
                with_interval(overall["micro_auc"], intervals["micro_auc"]),
                with_interval(overall["macro_auc"], intervals["macro_auc"]),
            )
        )
    return Table(
        id="leaderboard-runs",
        title="Runs by macro F1",
        columns=(
            Column("place", "#", "integer"),
            key_column(),
            Column("run", "run"),
            *((Column("texts", "texts", "integer"),) if differ else ()),
            Column("macro_f1", "macro F1 at 0.5", "number"),
            Column("difference", "to baseline", "delta"),
            Column("verdict", "verdict"),
            Column("tuned", "macro F1, tuned on validation", "number"),
            Column("micro_f1", "micro F1 at 0.5", "number"),
            Column("micro_auc", "micro AUC", "number", digits=4),
            Column("macro_auc", "macro AUC", "number", digits=4),
        ),
        rows=tuple(rows),
        row_header=2,
        caption="The runs were not judged on the same texts: each value is about the run's own "
        "texts, each difference about those that it has in common with the baseline."
        if differ
        else "",
    )


def _published(comparison: Comparison) -> list[Block]:
    """The runs that were judged on the whole test split among the results that others reported."""
    whole = [run for run in comparison.runs if _is_whole(comparison, run)]
    if not whole:
        return [
            Callout(
                "note",
                "No results of others are shown: they are about all "
                f"{SPLIT_SAMPLES['test']:,} texts of the GoEmotions test split and all 28 labels, "
                "and no run here is.",
            )
        ]
    if len(whole) == len(comparison.runs) and best_recipe(comparison) is not None:
        rows = [row for group in comparison.groups for row in _recipe_rows(comparison, group)]
    else:
        rows = [row for run in whole for row in _own_rows(comparison, run)]
    rows += [_published_row(item) for item in REFERENCE_BOARD]
    rows.sort(key=_by_macro_f1)
    table = Table(
        id="reference-board",
        title="Reported results of others",
        columns=(
            Column("model", "model"),
            Column("source", "source"),
            Column("threshold", "threshold"),
            Column("macro_f1", "macro F1", "number"),
            Column("micro_f1", "micro F1", "number"),
            Column("micro_auc", "micro AUC", "number", digits=4),
            Column("macro_auc", "macro AUC", "number", digits=4),
        ),
        rows=tuple(rows),
        caption="28 labels, test split of 5,427 texts. Figures of papers, READMEs and notebooks "
        "are quoted as their sources give them and were not recomputed; a dash: not given.",
    )
    note = (
        f"Compare like with like: the same threshold protocol. The sampling error of macro F1 on "
        f"this split is about \u00b1{SAMPLING_ERROR:.2f} (95%), so smaller gaps between two rows "
        "mean nothing by themselves. A row tuned on test is a bound, not a result."
    )
    blocks: list[Block] = [table, Callout("note", note)]
    if len(whole) < len(comparison.runs):
        count = len(comparison.runs) - len(whole)
        noun = "run is" if count == 1 else "runs are"
        blocks.append(
            Callout(
                "note",
                f"{count} {noun} not listed beside the results of others: not all 28 labels on all "
                f"{SPLIT_SAMPLES['test']:,} test texts.",
            )
        )
    return blocks


def _is_whole(comparison: Comparison, run: RunResult) -> bool:
    found = comparison.on_split(run)
    return found.labels == EMOTIONS and found.rows == SPLIT_SAMPLES["test"]


def _recipe_rows(comparison: Comparison, group: SeedGroup) -> Iterable[_Row]:
    """Means over the seeds of a recipe; a single run has its own values."""
    if len(group.counted) < 2:
        run = next(run for run in comparison.runs if run.id in group.counted)
        yield from _own_rows(comparison, run)
        return
    best = group is best_recipe(comparison)
    name = Cell(group_title(comparison, group), mark="best" if best else None)
    for key, threshold, others in (
        ("macro_f1", "fixed 0.5", ("micro_f1", "micro_auc", "macro_auc")),
        (TUNED_F1, "per class, tuned on validation", ()),
    ):
        values = group_values(comparison, group, key)
        if len(values) == len(group.counted):
            source = f"this report, mean of {len(values)} seeds, sd {stdev(values):.3f}"
            means = (fmean(group_values(comparison, group, other)) for other in others)
            yield (name, source, threshold, fmean(values), *(means if others else (None,) * 3))


def _own_rows(comparison: Comparison, run: RunResult) -> Iterable[_Row]:
    overall = comparison.on_split(run).scores.overall
    intervals = comparison.intervals[run.id]
    name = Cell(
        comparison.name(run),
        link=run.run.url,
        mark="best" if _best(comparison, run) else None,
    )
    yield (
        name,
        "this report",
        "fixed 0.5",
        with_interval(overall["macro_f1"], intervals["macro_f1"]),
        with_interval(overall["micro_f1"], intervals["micro_f1"]),
        overall["micro_auc"],
        overall["macro_auc"],
    )
    tuned = comparison.protocol(run, "per-class")
    if tuned is not None:
        yield (
            name,
            "this report",
            "per class, tuned on validation",
            with_interval(tuned.overall["macro_f1"], comparison.tuned_intervals[run.id]),
            tuned.overall["micro_f1"],
            None,
            None,
        )


def _best(comparison: Comparison, run: RunResult) -> bool:
    recipe = best_recipe(comparison)
    return run is comparison.best if recipe is None else run.id in recipe.run_ids


def _published_row(item: PublishedResult) -> _Row:
    threshold = Cell(item.threshold)
    if item.bound:
        threshold = Cell(f"{item.threshold}: a bound, not a result", mark="warning")
    return (
        item.model,
        Cell(item.source, link=item.link),
        threshold,
        Cell(item.macro_f1, mark="muted" if item.bound else None),
        Cell(item.micro_f1, mark="muted" if item.bound else None),
        None,
        None,
    )


def _by_macro_f1(row: _Row) -> float:
    value = row[3].value if isinstance(row[3], Cell) else row[3]
    return -value if isinstance(value, float) else 1.0
