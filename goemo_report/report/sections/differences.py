"""Differences to the baseline, overall and per emotion, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from goemo_report.comparison import Comparison
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.counts import count
from goemo_report.metrics.table import READING_ORDER
from goemo_report.report.document import (
    Axis,
    Block,
    Callout,
    Cell,
    Column,
    Plot,
    Section,
    Series,
    Table,
    Value,
)
from goemo_report.report.sections._common import (
    AT_HALF,
    SMALLEST_P,
    difference_cell,
    key_column,
    number,
    of_class,
    resampling_text,
    run_cell,
    same_recipe,
    sample,
    verdict_word,
)
from goemo_report.results import RunResult
from goemo_report.statistics.differences import (
    DIFFERENCE_METHODS,
    VERDICT_RULE,
    Difference,
)

ORDER = 45
SHOWN: Final = tuple(one for one in READING_ORDER if one.average in one.metric.narrow)


def build(comparison: Comparison) -> Section | None:
    """What each run gains or loses; nothing to say of a single run."""
    if not comparison.others:
        return None
    blocks: list[Block] = [_overall(comparison)]
    unpaired = [run for run in comparison.others if run.id not in comparison.differences]
    if unpaired:
        blocks.append(
            Callout(
                "warning",
                "Not paired with the baseline: plain differences without interval or verdict.",
                tuple(
                    f"{comparison.name(run)}: {comparison.alignments[run.id].note}"
                    for run in unpaired
                ),
            )
        )
    blocks += [_dumbbell(comparison), _per_class(comparison)]
    methods = "; ".join(DIFFERENCE_METHODS.values())
    return Section(
        "differences",
        "Differences to the baseline",
        tuple(blocks),
        lead=f"Run minus {comparison.name(comparison.baseline)} ({comparison.baseline_rule}), on "
        "the same texts. Better and worse mark what is more than noise; "
        "seeds of one recipe are not marked: they differ by chance in training.",
        method=f"{sample(comparison)}, {AT_HALF}. {methods}. "
        f"{resampling_text(comparison)}; {SMALLEST_P}. Verdict: {VERDICT_RULE}.",
    )


def _overall(comparison: Comparison) -> Table:
    rows: list[tuple[Value | Cell, ...]] = []
    for run in comparison.others:
        cells = [_overall_cell(comparison, run, one.key) for one in SHOWN]
        found = comparison.differences.get(run.id)
        macro = found["macro_f1"] if found else None
        rows.append(
            (
                comparison.keys[run.id],
                run_cell(comparison, run),
                verdict_word(comparison, run),
                *cells[:1],
                macro.p if macro else None,
                *cells[1:],
                comparison.alignments[run.id].note,
            )
        )
    columns = [Column(one.key, one.title, "delta", digits=one.metric.digits) for one in SHOWN]
    return Table(
        id="differences-overall",
        title="Overall differences",
        columns=(
            key_column(),
            Column("run", "run"),
            Column("verdict", "verdict on macro F1"),
            columns[0],
            Column("p", "p of macro F1", "pvalue"),
            *columns[1:],
            Column("rows", "texts"),
        ),
        rows=tuple(rows),
        row_header=1,
    )


def _overall_cell(comparison: Comparison, run: RunResult, key: str) -> Cell:
    found = comparison.differences.get(run.id)
    if found is not None:
        return difference_cell(found[key], same_recipe(comparison, run, comparison.baseline))
    value = comparison.on_split(run).scores.overall[key]
    base = comparison.on_split(comparison.baseline).scores.overall[key]
    return Cell(None if value is None or base is None else value - base, mark="muted")


def class_difference(comparison: Comparison, run: RunResult, label: str) -> Difference | None:
    """The paired F1 difference of a label; None where a run lacks it or is not paired."""
    found = comparison.differences.get(run.id)
    return found.get(f"f1_{label}") if found is not None else None


def _class_cell(comparison: Comparison, run: RunResult, label: str) -> Cell:
    found = class_difference(comparison, run, label)
    if found is not None:
        return difference_cell(found, same_recipe(comparison, run, comparison.baseline))
    value = of_class(comparison, run, "f1", label)
    base = of_class(comparison, comparison.baseline, "f1", label)
    return Cell(None if value is None or base is None else value - base, mark="muted")


def _per_class(comparison: Comparison) -> Table:
    base = comparison.on_split(comparison.baseline)
    support = dict(zip(base.labels, base.scores.counts.support.tolist(), strict=True))
    return Table(
        id="differences-emotions",
        title="F1 differences per emotion",
        columns=(
            Column("emotion", "emotion"),
            Column("support", "support", "integer"),
            Column("baseline", "baseline F1", "number"),
            *(Column(run.id, comparison.short(run), "delta") for run in comparison.others),
        ),
        rows=tuple(
            (
                label,
                support.get(label),
                of_class(comparison, comparison.baseline, "f1", label),
                *(_class_cell(comparison, run, label) for run in comparison.others),
            )
            for label in comparison.labels
        ),
        caption="p-values are adjusted over the emotions of a run (Holm).",
    )


def _common_f1(
    comparison: Comparison, run: RunResult
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """F1 by emotion of a run and of the baseline, on the texts and labels of their pairing."""
    pair = (comparison.on_split(run), comparison.on_split(comparison.baseline))
    ours, theirs = (split.predictions for split in pair)
    if run.id in comparison.differences:
        common = comparison.alignments[run.id]
        ours = ours.take(common.rows, common.columns)
        theirs = theirs.take(common.other_rows, common.other_columns)
    f1 = (
        count(one.truth, one.probabilities >= DEFAULT_THRESHOLD).f1.tolist()
        for one in (ours, theirs)
    )
    first, second = f1
    return (
        dict(zip(ours.labels, first, strict=True)),
        dict(zip(theirs.labels, second, strict=True)),
    )


def _dumbbell(comparison: Comparison) -> Plot:
    """F1 of baseline and run per emotion, joined by a line, widest gain first."""
    run = next(run for run in comparison.ranked if run is not comparison.baseline)
    base = comparison.baseline
    ours, theirs = _common_f1(comparison, run)
    gaps = [
        (ours[label] - theirs[label], label, ours[label], theirs[label])
        for label in comparison.labels
        if label in ours and label in theirs
    ]
    gaps.sort(key=lambda gap: -gap[0])
    labels = tuple(gap[1] for gap in gaps)
    table = Table(
        id="differences-dumbbell-values",
        title=f"F1 of {comparison.short(run)} and of the baseline",
        columns=(
            Column("emotion", "emotion"),
            Column("baseline", "baseline F1", "number"),
            Column("run", f"{comparison.short(run)} F1", "number"),
            Column("difference", "difference", "delta"),
        ),
        rows=tuple(
            (label, other, value, _class_cell(comparison, run, label))
            for _, label, value, other in gaps
        ),
        collapsed=True,
    )
    return Plot(
        id="differences-dumbbell",
        title=f"F1 per emotion: {comparison.short(run)} against the baseline",
        alt="One row an emotion: F1 of the baseline and of the run, joined by a line; the largest "
        "gain is on top.",
        x=Axis("F1", low=0, high=1),
        y=Axis("", "category", categories=labels),
        series=(
            Series(
                f"{comparison.short(base)} (baseline)",
                tuple(number(round(gap[3], 4)) for gap in gaps),
                labels,
                style="points",
                colour=comparison.colours[base.id],
            ),
            Series(
                comparison.short(run),
                tuple(number(round(gap[2], 4)) for gap in gaps),
                labels,
                style="points",
                colour=comparison.colours[run.id],
            ),
        ),
        table=table,
        caption="The best run other than the baseline, on the texts that both have; the table "
        "below has all runs.",
        horizontal=True,
        connect=True,
    )
