"""Overall metrics of every run, recomputed, with intervals."""

from __future__ import annotations

from typing import Final

from goemo_report.comparison import Comparison
from goemo_report.metrics.table import OVERALL, READING_ORDER, ZERO_DIVISION_RULE, OverallMetric
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
    INTERVALS,
    key_column,
    listed,
    plural,
    run_cell,
    sample,
    with_interval,
)
from goemo_report.statistics.intervals import METHODS

ORDER = 40
_TABLES: Final = {
    "scores": "F1 and AUC",
    "precision-recall": "Precision and recall",
    "texts": "Whole texts",
}

ONE_SIDED: Final = (
    "Where emotions are never predicted, the interval of macro F1 can reach much further up than "
    "down: an F1 of 0 from few positives is uncertain, and cannot be lower."
)


def build(comparison: Comparison) -> Section:
    """All overall metrics of all runs on the split of the report."""
    blocks: list[Block] = [_plot(comparison)] if comparison.others else []
    blocks += [_table(comparison, group) for group in _TABLES]
    without = [
        run for run in comparison.runs if not comparison.on_split(run).scores.has_probabilities
    ]
    if without:
        needed = listed(key for key, one in OVERALL.items() if one.metric.needs_probabilities)
        names = listed(comparison.name(run) for run in without)
        blocks.append(Callout("note", f"No probabilities in the files of {names}: no {needed}."))
    left_out = sorted(
        {label for run in comparison.runs for label in comparison.on_split(run).scores.without_auc},
        key=comparison.labels.index,
    )
    if left_out:
        verb = "has" if len(left_out) == 1 else "have"
        blocks.append(
            Callout(
                "note",
                f"{listed(left_out)} {verb} no positive text in a run's split: no AUC, and left "
                "out of its macro AUC and macro AP.",
            )
        )
    methods = "; ".join(text for key, text in METHODS.items() if key != "class")
    options = comparison.options
    return Section(
        "overall",
        "Overall metrics",
        tuple(blocks),
        lead=f"Recomputed from the predictions; the best value of each is marked. {INTERVALS}",
        method=f"{sample(comparison)}, {AT_HALF}; AUC and AP "
        f"(average precision) need no threshold. {ZERO_DIVISION_RULE} Intervals: {methods}; "
        f"{plural(options.resamples, 'resample')}, seed {options.seed}.",
    )


def _table(comparison: Comparison, group: str) -> Table:
    values = [comparison.on_split(run).scores.overall for run in comparison.runs]
    shown = [
        one
        for one in READING_ORDER
        if one.metric.group == group and any(overall[one.key] is not None for overall in values)
    ]
    best = {one.key: _best(comparison, one) for one in shown}
    rows: list[tuple[Value | Cell, ...]] = []
    for run in comparison.runs:
        overall = comparison.on_split(run).scores.overall
        intervals = comparison.intervals[run.id]
        cells = [
            with_interval(
                overall[key],
                intervals[key],
                "best" if best[key] is not None and overall[key] == best[key] else None,
            )
            for key in best
        ]
        rows.append((comparison.keys[run.id], run_cell(comparison, run), *cells))
    return Table(
        id=f"overall-{group}",
        title=_TABLES[group],
        columns=(
            key_column(),
            Column("run", "run"),
            *(Column(one.key, one.title, "number", digits=one.metric.digits) for one in shown),
        ),
        rows=tuple(rows),
        row_header=1,
        caption=ONE_SIDED if "macro_f1" in best and _some_never(comparison) else "",
        collapsed=group != "scores",
    )


def _some_never(comparison: Comparison) -> bool:
    return any(comparison.on_split(run).scores.never_predicted for run in comparison.runs)


def _best(comparison: Comparison, one: OverallMetric) -> float | None:
    """The best value of a metric; None for a single run, where there is nothing to win."""
    values = [comparison.on_split(run).scores.overall[one.key] for run in comparison.runs]
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    return min(known) if one.metric.lower_is_better else max(known)


def _plot(comparison: Comparison) -> Plot:
    """Macro F1 of every run with its interval, best on top."""
    names = tuple(comparison.short(run) for run in comparison.ranked)
    series = []
    for run in comparison.ranked:
        interval = comparison.intervals[run.id]["macro_f1"]
        series.append(
            Series(
                name=comparison.short(run),
                x=(round(comparison.macro_f1(run), 4),),
                y=(comparison.short(run),),
                style="points",
                low=(round(interval.low, 4),) if interval else (),
                high=(round(interval.high, 4),) if interval else (),
                colour=comparison.colours[run.id],
            )
        )
    table = Table(
        id="overall-macro-f1-values",
        title="Macro F1 with 95% intervals",
        columns=(Column("run", "run"), Column("macro_f1", "macro F1", "number", digits=4)),
        rows=tuple(
            (
                comparison.name(run),
                with_interval(comparison.macro_f1(run), comparison.intervals[run.id]["macro_f1"]),
            )
            for run in comparison.ranked
        ),
        collapsed=True,
    )
    return Plot(
        id="overall-macro-f1",
        title="Macro F1 with 95% intervals",
        alt="Macro F1 of every run as a point with its 95% interval, best run first.",
        x=Axis("macro F1"),
        y=Axis("", "category", categories=names),
        series=tuple(series),
        table=table,
        caption="Intervals that overlap do not make a tie: paired differences are sharper."
        + (f" {ONE_SIDED}" if _some_never(comparison) else ""),
        horizontal=True,
    )
