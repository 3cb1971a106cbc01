"""A minus B: the best run against the runner-up, or the baseline that the reader chose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.counts import count
from goemo_report.metrics.table import READING_ORDER
from goemo_report.report.document import Axis, Cell, Column, Plot, Row, Section, Series, Table
from goemo_report.report.sections._tables import (
    Cells,
    callout,
    colour,
    columns,
    difference_cell,
    label_table,
    metric_column,
    no_interval,
    number,
    run_columns,
    run_table,
)
from goemo_report.report.sections._verdict import gains
from goemo_report.report.sections._words import (
    METRIC_TITLES,
    SMALLEST_P,
    chance,
    measured,
    resampling_text,
    same_recipe,
    side,
    verdict_word,
)
from goemo_report.statistics.differences import (
    DIFFERENCE_METHODS,
    VERDICT_RULE,
    Difference,
    PairedDifferences,
)

ORDER = 30
CHAPTER = "Where it differs"
SHOWN: Final = tuple(one.key for one in READING_ORDER if one.metric.is_narrow(one.average))
_TUNED: Final = (
    " At tuned thresholds each run has its own; for macro F1 validation is resampled too."
)


def build(comparison: Comparison) -> Section | None:
    """Show what the best run gains and loses; None for a single run."""
    other = comparison.runner_up
    if other is None:
        return None
    best, found = comparison.best, comparison.best_vs_runner_up
    unpaired = (
        f"{run.name}: {run.alignment.note}"
        for run in comparison.others
        if run.alignment and not run.is_paired
    )
    methods = "; ".join(DIFFERENCE_METHODS.values())
    whose = "the baseline" if comparison.baseline_is_chosen else "the runner-up"
    one_of_each = "" if best.recipe is other.recipe else ", one run of each recipe"
    chosen = comparison.baseline_is_chosen and len(comparison.others) > 1
    return Section.of(
        "differences",
        "A minus B",
        callout(
            "warning",
            "Not paired with the baseline: plain differences without interval or verdict.",
            unpaired,
        ),
        _per_label(comparison, best, other, found),
        _pair(comparison, best, other, found),
        _overall(comparison) if chosen else None,
        _per_class(comparison) if chosen else None,
        lead=f"A is {side(best)}, B is {whose} {side(other)}{one_of_each}. "
        + " ".join(gains(comparison)),
        method=f"{measured(comparison)}. {methods}. p-values of {comparison.nouns} are "
        f"adjusted over all of them (Holm). {resampling_text(comparison)}; {SMALLEST_P}. Verdict: "
        f"{VERDICT_RULE}." + (_TUNED if comparison.with_probabilities else ""),
    )


def common_f1(run: ComparedRun, other: ComparedRun) -> Iterator[dict[str, float]]:
    """F1 by label of two runs at 0.5, on the texts and labels that both have."""
    ours, theirs, common = run.predictions, other.predictions, run.aligned(other)
    if common.paired:
        ours = ours.take(common.rows, common.columns)
        theirs = theirs.take(common.other_rows, common.other_columns)
    for one in (ours, theirs):
        f1 = count(one.truth, one.probabilities >= DEFAULT_THRESHOLD).metric("f1").tolist()
        yield dict(zip(one.labels, f1, strict=True))


def _per_label(
    comparison: Comparison, best: ComparedRun, other: ComparedRun, found: PairedDifferences | None
) -> Plot | Table:
    """The difference of each label with its interval, widest gain on top."""
    ours, theirs = common_f1(best, other)
    pairs = {one: (found or {}).get(f"f1_{one}") for one in ours if one in theirs}
    gaps = {one: pair.value if pair else ours[one] - theirs[one] for one, pair in pairs.items()}
    labels = sorted(gaps, key=lambda label: -gaps[label])
    chance = same_recipe(best, other)
    clear = {one for one, pair in pairs.items() if pair and pair.verdict != "tie" and not chance}
    table = label_table(
        comparison,
        "differences-emotions",
        f"F1 per {comparison.noun}, A minus B",
        (
            Column("support", "support", "integer"),
            Column("a", f"A: {side(best)}", "number"),
            Column("b", f"B: {side(other)}", "number"),
            Column("difference", "A minus B", "delta"),
        ),
        lambda label: (
            best.support.get(label),
            ours[label],
            theirs[label],
            difference_cell(pairs[label], chance) if pairs[label] else gaps[label],
        ),
        labels,
    )
    if not any(gaps.values()):
        level = (
            f"Both have the same F1 {comparison.at} in every {comparison.noun}: nothing to draw."
        )
        return replace(table, caption=level, collapsed=True)
    series = []
    for run, ahead in ((best, True), (other, False)):
        own = [label for label in labels if (gaps[label] > 0) == ahead]
        found_own = [pairs[label] for label in own]
        points = Series(
            run.short,
            tuple(number(gaps[label]) for label in own),
            tuple(own),
            "points",
            low=tuple(one.low if one else None for one in found_own),
            high=tuple(one.high if one else None for one in found_own),
            colour=colour(comparison, run.recipe),
            hollow=tuple(label not in clear for label in own),
        )
        series += [points] if own else []
    return Plot(
        id="differences-figure",
        title=f"F1 per {comparison.noun}: {side(best)} minus {side(other)}",
        alt=f"Difference in F1 of each {comparison.noun} with its 95% interval, the largest gain "
        f"on top: {sum(gaps[one] > 0 for one in clear)} better and "
        f"{sum(gaps[one] < 0 for one in clear)} worse by more than noise.",
        x=Axis(f"F1 of A minus F1 of B, {comparison.at}"),
        y=Axis("", "category", categories=tuple(labels)),
        series=tuple(series),
        table=table,
        caption=(f"Filled: more than noise over all {comparison.nouns} (Holm). " if found else "")
        + "Right of the line A is better, left of it B.",
        horizontal=True,
        zero=True,
        legend=False,
    )


def _pair(
    comparison: Comparison, best: ComparedRun, other: ComparedRun, found: PairedDifferences | None
) -> Table:
    """A and B in the overall metrics, at 0.5 and tuned."""
    tuned = comparison.tuned_best_vs_runner_up
    differences = {key: (found or {}).get(key) for key in SHOWN}
    differences[TUNED_F1] = tuned["macro_f1"] if tuned else None
    keys = [key for key in (TUNED_F1, *SHOWN) if best.value(key) is not None]

    def row(key: str) -> Row:
        one = differences[key]
        values = best.value(key), other.value(key)
        note = no_interval(key, best, other) or "no interval"
        cell = _cell(one, *values, note, same_recipe(best, other))
        cell = cell if cell.low is None else replace(cell, note="")  # p has a column of its own
        return (METRIC_TITLES[key], *map(number, values), cell, one.p_adjusted if one else None)

    return Table(
        id="differences-overall",
        title="A and B over all texts",
        columns=(
            Column("metric", "metric"),
            Column("a", f"A: {side(best)}", "number"),
            Column("b", f"B: {side(other)}", "number"),
            Column("difference", "A minus B", "delta"),
            Column("p", "p", "pvalue"),
        ),
        rows=tuple(map(row, keys)),
        collapsed=len(keys) > 14,
        caption="This pair of runs alone; the answer is about their recipes, over seeds."
        if comparison.recipes_lead
        else "",
    )


# --- Every run against the baseline that the reader chose --------------------------------


def _overall(comparison: Comparison) -> Table:
    base = comparison.baseline

    def cells(run: ComparedRun) -> Cells:
        macro, why = run.difference("macro_f1"), chance(comparison, run)
        yield verdict_word(comparison, run)
        yield macro.p_adjusted if macro else None
        for key in SHOWN:
            values = run.value(key), base.value(key)
            yield _cell(run.difference(key), *values, no_interval(key, run, base), why)
        yield run.alignment.note if run.alignment else None

    return run_table(
        "differences-runs",
        f"Every run minus {base.short}",
        comparison.others,
        (
            Column("verdict", "verdict on macro F1"),
            Column("p", "p of macro F1", "pvalue"),
            *(metric_column(key, "delta") for key in SHOWN),
            Column("rows", "texts"),
        ),
        cells,
        collapsed=True,
    )


def _cell(
    found: Difference | None, value: float | None, other: float | None, note: str, chance: str
) -> Cell:
    """The paired difference of a metric; the plain one of the values without it."""
    if found is not None:
        return difference_cell(found, chance)
    return Cell(None if value is None or other is None else value - other, mark="muted", note=note)


def _per_class(comparison: Comparison) -> Table:
    base, support = comparison.baseline, comparison.baseline.support

    def cells(label: str) -> Cells:
        of_base = base.of_class("f1", label)
        yield from (support.get(label), of_base)
        for run in comparison.others:
            found = run.difference(f"f1_{label}")
            yield _cell(found, run.of_class("f1", label), of_base, "", chance(comparison, run))

    return label_table(
        comparison,
        "differences-runs-emotions",
        f"F1 per {comparison.noun}, every run minus {base.short}",
        (
            *columns(support="integer"),
            Column("baseline", "baseline F1", "number"),
            *run_columns(comparison.others, "delta"),
        ),
        cells,
        collapsed=True,
    )
