"""Overall metrics of every run, recomputed, with intervals."""

from __future__ import annotations

from typing import Final

from goemo_report.comparison import Comparison
from goemo_report.metrics.scores import OVERALL_KEYS, ZERO_DIVISION_RULE
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
    LOWER_IS_BETTER,
    METRIC_TITLES,
    key_column,
    listed,
    plural,
    run_cell,
    sample,
    with_interval,
)
from goemo_report.statistics.intervals import METHODS

ORDER = 40
_F1_AND_RANKING: Final = (
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "samples_f1",
    "micro_auc",
    "macro_auc",
    "macro_average_precision",
    "micro_average_precision",
)
_WHOLE_TEXTS: Final = ("exact_match", "jaccard", "hamming_loss")
_REST: Final = tuple(key for key in OVERALL_KEYS if key not in (*_F1_AND_RANKING, *_WHOLE_TEXTS))
_TABLES: Final = (
    ("overall-scores", "F1 and AUC", _F1_AND_RANKING),
    ("overall-precision-recall", "Precision and recall", _REST),
    ("overall-texts", "Whole texts", _WHOLE_TEXTS),
)

ONE_SIDED: Final = (
    "Where emotions are never predicted, the interval of macro F1 can reach much further up than "
    "down: an F1 of 0 from few positives is uncertain, and cannot be lower."
)


def build(comparison: Comparison) -> Section:
    """All overall metrics of all runs on the split of the report."""
    blocks: list[Block] = [_plot(comparison)] if comparison.others else []
    blocks += [_table(comparison, *table) for table in _TABLES]
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
    methods = "; ".join(METHODS[key] for key in ("macro", "bootstrap", "auc", "average_precision"))
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


def _table(comparison: Comparison, identifier: str, title: str, keys: tuple[str, ...]) -> Table:
    best = {key: _best(comparison, key) for key in keys}
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
            for key in keys
        ]
        rows.append((comparison.keys[run.id], run_cell(comparison, run), *cells))
    return Table(
        id=identifier,
        title=title,
        columns=(
            key_column(),
            Column("run", "run"),
            *(Column(key, METRIC_TITLES[key], "number", digits=_digits(key)) for key in keys),
        ),
        rows=tuple(rows),
        row_header=1,
        caption=ONE_SIDED if "macro_f1" in keys and _some_never(comparison) else "",
        collapsed=identifier != "overall-scores",
    )


def _some_never(comparison: Comparison) -> bool:
    return any(comparison.on_split(run).scores.never_predicted for run in comparison.runs)


def _digits(key: str) -> int:
    return 4 if key.endswith("auc") or key == "hamming_loss" else 3


def _best(comparison: Comparison, key: str) -> float | None:
    """The best value of a metric; None for a single run, where there is nothing to win."""
    values = [comparison.on_split(run).scores.overall[key] for run in comparison.runs]
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    return min(known) if key in LOWER_IS_BETTER else max(known)


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
