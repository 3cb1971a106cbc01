"""What several sections share: titles of metrics, cells and columns of runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal

import numpy as np

from goemo_report.analysis.compared_runs import TUNED_F1 as TUNED_F1
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import listed as listed
from goemo_report.formats.wording import plural as plural
from goemo_report.metrics.table import OVERALL
from goemo_report.report.document import (
    Block,
    Callout,
    Cell,
    Column,
    ColumnKind,
    Mark,
    Series,
    Table,
    Value,
)
from goemo_report.statistics.differences import RANDOMISATIONS, Difference
from goemo_report.statistics.intervals import Interval

METRIC_TITLES: Final = {key: one.title for key, one in OVERALL.items()} | {
    TUNED_F1: "macro F1, tuned"
}
AT_HALF: Final = "threshold 0.5 (predicted at p \u2265 0.5)"


def sample(comparison: Comparison) -> str:
    """What was measured: `Test split, n = 5,427 texts`; two numbers where runs differ."""
    return f"{comparison.split.capitalize()} split, n = {texts_range(comparison)} texts"


def texts_range(comparison: Comparison) -> str:
    """How many texts the runs were judged on: `5,427`, or `1,500 to 5,427`."""
    sizes = sorted({run.found.rows for run in comparison.runs})
    return f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"


def run_cell(run: ComparedRun) -> Cell:
    """A run's name with its link, marked where it is the baseline."""
    note = "baseline" if run.is_baseline else ""
    return Cell(run.name, link=run.record.url, note=note)


def called(run: ComparedRun) -> str:
    """A run's name with what tells it from others of its model: `bert-20241210 (lr 1e-05)`."""
    label = run.short.removeprefix(f"{run.key} {run.record.model_name}").strip()
    return run.name if label in {"", run.id} else f"{run.name} ({label})"


Cells = Iterable[Value | Cell]
Level = Literal["verdict", "note", "warning"]


def label_column(judged: Comparison | ComparedRun) -> Column:
    """The column that names labels; its key is the guide's for every label set."""
    return Column("emotion", judged.label_set.noun)


def key_column() -> Column:
    """The column of the runs' short keys, which wide tables and legends use."""
    return Column("key", "key")


def run_table(
    identifier: str,
    title: str,
    runs: Iterable[ComparedRun],
    columns: Iterable[Column],
    cells: Callable[[ComparedRun], Cells],
    **options: Any,
) -> Table:
    """One row a run: its key, its name and `cells` under `columns`."""
    return Table(
        id=identifier,
        title=title,
        columns=(key_column(), Column("run", "run"), *columns),
        rows=tuple((run.key, run_cell(run), *cells(run)) for run in runs),
        row_header=1,
        **options,
    )


def label_table(
    comparison: Comparison,
    identifier: str,
    title: str,
    columns: Iterable[Column],
    cells: Callable[[str], Cells],
    labels: Iterable[str] | None = None,
    **options: Any,
) -> Table:
    """One row a label: its name and `cells` under `columns`."""
    return Table(
        id=identifier,
        title=title,
        columns=(label_column(comparison), *columns),
        rows=tuple((label, *cells(label)) for label in labels or comparison.labels),
        **options,
    )


def best_marks(values: Sequence[float | None]) -> list[Mark | None]:
    """Marks the largest of several values, if it is above 0."""
    best = max((value for value in values if value is not None), default=0.0)
    marked = len(values) > 1 and best > 0
    return ["best" if marked and value == best else None for value in values]


def best_cells(values: Sequence[float | None]) -> list[Cell]:
    """Values, the largest one marked."""
    marked = zip(values, best_marks(values), strict=True)
    return [Cell(value, mark=mark) for value, mark in marked]


def run_series(run: ComparedRun, x: Iterable[Value], y: Iterable[Value], **options: Any) -> Series:
    """A run's line or points in a figure, by its short name and in its colour."""
    return Series(run.short, tuple(x), tuple(y), colour=run.colour, **options)


def run_columns(
    runs: Iterable[ComparedRun], kind: ColumnKind = "number", **options: Any
) -> list[Column]:
    """One column a run, with its short name as title."""
    return [Column(run.id, run.short, kind, run=run.colour, **options) for run in runs]


def metric_column(key: str, kind: ColumnKind = "number") -> Column:
    """The column of an overall metric."""
    return Column(key, METRIC_TITLES[key], kind, OVERALL[key].metric.digits)


def present(*blocks: Block | None) -> tuple[Block, ...]:
    """The blocks that have something to say."""
    return tuple(block for block in blocks if block is not None)


def callout(level: Level, text: str, items: Iterable[str]) -> Callout | None:
    """A callout over several items; None without any."""
    found = tuple(items)
    return Callout(level, text, found) if found else None


def number(value: float | None) -> float | None:
    """A value for a cell: None where it is undefined."""
    if value is None or not math.isfinite(value):
        return None
    return float(value)


def plain(value: Any) -> Value:
    """A config or summary value as a cell shows it."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return str(value)


def same_recipe(run: ComparedRun, other: ComparedRun) -> str:
    """Whether two runs of one recipe have different seeds, in words; empty for two recipes."""
    if run.recipe is not other.recipe:
        return ""
    of_seed = run.recipe.group.by_seed.values()
    known = [ids for ids in of_seed if run.id in ids or other.id in ids]
    if len(known) == 2:
        return "other seed"
    return "same seed" if known and {run.id, other.id} <= set(known[0]) else "seeds not logged"


def identical(run: ComparedRun, other: ComparedRun) -> bool:
    """Whether two runs give the same probabilities to the same texts, bit by bit."""
    ours, theirs = run.predictions, other.predictions
    same = (ours.texts, ours.labels) == (theirs.texts, theirs.labels)
    return same and np.array_equal(ours.probabilities, theirs.probabilities)


def chance(comparison: Comparison, run: ComparedRun) -> str:
    """Why a run is not told from the baseline, being a seed of the same recipe; empty if it is."""
    return same_recipe(run, comparison.baseline)


def verdict_word(comparison: Comparison, run: ComparedRun) -> str:
    """The verdict of a run against the baseline; seeds of one recipe are not told apart."""
    if run.is_baseline:
        return "baseline"
    macro = run.difference("macro_f1")
    return (chance(comparison, run) or macro.verdict) if macro else "not paired"


# --- Intervals and differences --------------------------------------------------------

INTERVALS: Final = (
    "In brackets: 95% intervals for the sampling of texts; they say nothing about training seeds."
)


def with_interval(value: float | None, interval: Interval | None, mark: Mark | None = None) -> Cell:
    """A metric with its 95% interval; without it where there is none."""
    if value is None or interval is None:
        return Cell(number(value), mark=mark)
    return Cell(number(value), low=interval.low, high=interval.high, mark=mark)


def metric_cell(run: ComparedRun, key: str, mark: Mark | None = None) -> Cell:
    """An overall metric with its interval."""
    return with_interval(run.value(key), run.interval(key), mark)


def difference_cell(difference: Difference | None, chance: str = "") -> Cell:
    """A difference with its interval, marked by its verdict: better, worse, or neither.

    `chance` says why a run is not told apart (`other seed`) and stands for the verdict.
    """
    if difference is None:
        return Cell(None)
    if difference.same:
        return Cell(difference.value, note="same on every text")
    marks: dict[str, Mark | None] = {"win": "good", "loss": "bad", "tie": None}
    return Cell(
        difference.value,
        low=difference.low,
        high=difference.high,
        mark=None if chance else marks[difference.verdict],
        note=f"{chance or difference.verdict}, {p_text(difference.p_adjusted)}",
    )


def resampling_text(comparison: Comparison) -> str:
    """How often was resampled and swapped: `1,000 resamples, 2,000 random swaps, seed 0`."""
    options = comparison.options
    resamples = plural(options.resamples, "resample")
    return f"{resamples}, {RANDOMISATIONS:,} random swaps, seed {options.seed}"


SMALLEST_P: Final = (
    f"the smallest p that {RANDOMISATIONS:,} swaps can give is "
    f"{1 / (RANDOMISATIONS + 1):.4f}, before any adjustment"
)


def p_text(p: float) -> str:
    """A p-value in a sentence: `p = 0.012`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def interval_text(low: float, high: float, *, signed: bool = False) -> str:
    """An interval in a sentence: `[0.471, 0.512]`."""
    form = "+.3f" if signed else ".3f"
    return f"[{low:{form}}, {high:{form}}]".replace("-", "\u2212")


def signed(value: float) -> str:
    """A difference in a sentence, with a true minus sign."""
    return f"{value:+.3f}".replace("-", "\u2212")


def class_cell(run: ComparedRun, metric: str, label: str, mark: Mark | None = None) -> Cell:
    """A per-class metric with its interval; empty where the run does not have the label."""
    value = run.of_class(metric, label)
    interval = None if value is None else run.intervals[f"{metric}_{label}"]
    return Cell(None) if value is None else with_interval(value, interval, mark)
