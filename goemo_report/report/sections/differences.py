"""Differences to the baseline, overall and per label, with paired intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.counts import count
from goemo_report.metrics.table import READING_ORDER
from goemo_report.report.document import Axis, Cell, Column, Plot, Section, Series, Table
from goemo_report.report.sections._tables import (
    Cells,
    callout,
    difference_cell,
    label_table,
    metric_column,
    number,
    run_columns,
    run_series,
    run_table,
)
from goemo_report.report.sections._words import (
    AT_HALF,
    SMALLEST_P,
    chance,
    resampling_text,
    sample,
    verdict_word,
)
from goemo_report.statistics.differences import DIFFERENCE_METHODS, VERDICT_RULE

ORDER = 45
SHOWN: Final = tuple(one.key for one in READING_ORDER if one.average in one.metric.narrow)


def build(comparison: Comparison) -> Section | None:
    """What each run gains or loses; nothing to say of a single run."""
    if not comparison.others:
        return None
    unpaired = (
        f"{run.name}: {run.alignment.note}"
        for run in comparison.others
        if run.alignment and not run.is_paired
    )
    methods = "; ".join(DIFFERENCE_METHODS.values())
    return Section.of(
        "differences",
        "Differences to the baseline",
        _overall(comparison),
        callout(
            "warning",
            "Not paired with the baseline: plain differences without interval or verdict.",
            unpaired,
        ),
        _dumbbell(comparison),
        _per_class(comparison),
        lead=f"Run minus {comparison.baseline.name} ({comparison.baseline_rule}), on "
        "the same texts. Better and worse mark what is more than noise; "
        "seeds of one recipe are not marked.",
        method=f"{sample(comparison)}, {AT_HALF}. {methods}. "
        f"{resampling_text(comparison)}; {SMALLEST_P}. Verdict: {VERDICT_RULE}.",
    )


def _overall(comparison: Comparison) -> Table:
    def cells(run: ComparedRun) -> Cells:
        base = comparison.baseline
        found = (_cell(comparison, run, key, run.value(key), base.value(key)) for key in SHOWN)
        macro = run.difference("macro_f1")
        yield verdict_word(comparison, run)
        yield next(found)
        yield macro.p_adjusted if macro else None
        yield from found
        yield run.alignment.note if run.alignment else None

    first, *others = (metric_column(key, "delta") for key in SHOWN)
    return run_table(
        "differences-overall",
        "Overall differences",
        comparison.others,
        (
            Column("verdict", "verdict on macro F1"),
            first,
            Column("p", "p of macro F1", "pvalue"),
            *others,
            Column("rows", "texts"),
        ),
        cells,
    )


def _cell(
    comparison: Comparison, run: ComparedRun, key: str, value: float | None, base: float | None
) -> Cell:
    """The paired difference of a metric; the plain one of the values without it."""
    if run.differences is not None and key in run.differences:
        return difference_cell(run.difference(key), chance(comparison, run))
    return Cell(None if value is None or base is None else value - base, mark="muted")


def _class_cell(comparison: Comparison, run: ComparedRun, label: str) -> Cell:
    value, base = (one.of_class("f1", label) for one in (run, comparison.baseline))
    return _cell(comparison, run, f"f1_{label}", value, base)


def _per_class(comparison: Comparison) -> Table:
    base, support = comparison.baseline, comparison.baseline.support

    def cells(label: str) -> Cells:
        yield from (support.get(label), base.of_class("f1", label))
        yield from (_class_cell(comparison, run, label) for run in comparison.others)

    return label_table(
        comparison,
        "differences-emotions",
        f"F1 differences per {comparison.noun}",
        (
            Column("support", "support", "integer"),
            Column("baseline", "baseline F1", "number"),
            *run_columns(comparison.others, "delta"),
        ),
        cells,
        caption=f"p-values are adjusted over the {comparison.nouns} of a run (Holm).",
    )


def _common_f1(run: ComparedRun, base: ComparedRun) -> Iterable[dict[str, float]]:
    """F1 by label of a run and of the baseline, on the texts and labels of their pairing."""
    ours, theirs = run.predictions, base.predictions
    if run.alignment is not None and run.is_paired:
        ours = ours.take(run.alignment.rows, run.alignment.columns)
        theirs = theirs.take(run.alignment.other_rows, run.alignment.other_columns)
    for one in (ours, theirs):
        f1 = count(one.truth, one.probabilities >= DEFAULT_THRESHOLD).f1.tolist()
        yield dict(zip(one.labels, f1, strict=True))


def _dumbbell(comparison: Comparison) -> Plot:
    """F1 of baseline and run per label, joined by a line, widest gain first."""
    run, base = next(run for run in comparison.ranked if not run.is_baseline), comparison.baseline
    ours, theirs = _common_f1(run, base)
    labels = [label for label in comparison.labels if label in ours and label in theirs]
    labels.sort(key=lambda label: theirs[label] - ours[label])
    table = label_table(
        comparison,
        "differences-dumbbell-values",
        f"F1 of {run.short} and of the baseline",
        (
            Column("baseline", "baseline F1", "number"),
            Column("run", f"{run.short} F1", "number"),
            Column("difference", "difference", "delta"),
        ),
        lambda label: (theirs[label], ours[label], _class_cell(comparison, run, label)),
        labels,
        collapsed=True,
    )

    def points(one: ComparedRun, f1: dict[str, float]) -> Series:
        values = (number(f1[label]) for label in labels)
        return run_series(one, values, labels, style="points")

    return Plot(
        id="differences-dumbbell",
        title=f"F1 per {comparison.noun}: {run.short} against the baseline",
        alt=f"One row {comparison.label_set.a_noun}: F1 of the baseline and of the run, joined by "
        "a line; the largest gain is on top.",
        x=Axis("F1", low=0, high=1),
        y=Axis("", "category", categories=tuple(labels)),
        series=(
            replace(points(base, theirs), name=f"{base.short} (baseline)"),
            points(run, ours),
        ),
        table=table,
        caption="The best run other than the baseline, on the texts that both have; the table "
        "below has all runs.",
        horizontal=True,
        connect=True,
    )
