"""What several sections build alike: cells, columns, tables, and lines of recipes in figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from goemo_report.analysis.configs import seed_key
from goemo_report.comparison import ComparedRun, Comparison, Recipe
from goemo_report.formats.wording import plural
from goemo_report.metrics.arrays import FloatArray
from goemo_report.metrics.table import OVERALL
from goemo_report.report.document import (
    Callout,
    Cell,
    Column,
    ColumnKind,
    Mark,
    Row,
    Series,
    Table,
    Value,
)
from goemo_report.report.sections._words import METRIC_TITLES, p_of
from goemo_report.statistics.differences import Difference
from goemo_report.statistics.intervals import Interval

Cells = Iterable[Value | Cell]
Level = Literal["verdict", "note", "warning"]


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


def run_cell(run: ComparedRun) -> Cell:
    """A run's name with its link, marked where it is the baseline that someone chose."""
    note = "baseline" if run.is_chosen_baseline else ""
    return Cell(run.name, link=run.record.url, note=note)


def with_interval(value: float | None, interval: Interval | None, mark: Mark | None = None) -> Cell:
    """A metric with its 95% interval; without it where there is none."""
    low, high = (None, None) if value is None or interval is None else interval
    return Cell(number(value), low, high, mark=mark)


def metric_cell(run: ComparedRun, key: str, mark: Mark | None = None) -> Cell:
    """An overall metric with its interval, or the reason why it has none."""
    value, interval = run.value(key), run.interval(key)
    if value is not None and interval is None:
        return Cell(value, mark=mark, note=no_interval(key, run))
    return with_interval(value, interval, mark)


def no_interval(key: str, *runs: ComparedRun) -> str:
    """Why an overall metric of a run, or the difference of two, has no interval; or nothing."""
    one = OVERALL.get(key)
    never = {label for run in runs for label in run.scores.never_predicted}
    if one is None or not (never and one.over_classes and one.metric.needs_predictions):
        return ""
    number = plural(len(never), runs[0].label_set.noun, runs[0].label_set.nouns)
    return f"no interval: {number} never predicted, with precision 0 by convention"


def class_cell(run: ComparedRun, metric: str, label: str, mark: Mark | None = None) -> Cell:
    """A per-class metric with its interval; empty where the run does not have the label."""
    value = run.of_class(metric, label)
    if value is None:
        return Cell(None)
    return with_interval(value, run.intervals[f"{metric}_{label}"], mark)


def difference_cell(difference: Difference | None, chance: str = "") -> Cell:
    """A difference with its interval, marked by its verdict: better, worse, or neither.

    `chance` says why a run is not told apart (`other seed`) and stands for the verdict.
    """
    if difference is None:
        return Cell(None)
    if difference.same:
        return Cell(difference.value, note="same on every text")
    marks: dict[str, Mark | None] = {"win": "good", "loss": "bad", "tie": None}
    adjusted = " (Holm)" if difference.p_adjusted != difference.p else ""
    return Cell(
        difference.value,
        low=difference.low,
        high=difference.high,
        mark=None if chance else marks[difference.verdict],
        note=f"{chance or difference.verdict}, {p_of(difference)}{adjusted}",
    )


def best_marks(values: Sequence[float | None]) -> list[Mark | None]:
    """Marks the largest of several values, if it is above 0."""
    best = max((value for value in values if value is not None), default=0.0)
    marked = len(values) > 1 and best > 0
    return ["best" if marked and value == best else None for value in values]


def callout(level: Level, text: str, items: Iterable[str]) -> Callout | None:
    """A callout over several items; None without any."""
    found = tuple(items)
    return Callout(level, text, found) if found else None


def columns(*texts: str, **kinds: ColumnKind) -> tuple[Column, ...]:
    """Columns whose key is their title: of text, then of other kinds."""
    return (*map(Column, texts, texts), *(Column(key, key, kind) for key, kind in kinds.items()))


def in_groups(groups: Iterable[tuple[str, Iterable[Row]]]) -> dict[str, Any]:
    """Rows under the titles of their groups, as a Table takes them; a group may have none."""
    found = [(title, tuple(rows)) for title, rows in groups]
    return {
        "rows": tuple(row for _, rows in found for row in rows),
        "row_groups": tuple((title, len(rows)) for title, rows in found if title and rows),
    }


def label_column(judged: Comparison | ComparedRun) -> Column:
    """The column that names labels; its key is the guide's for every label set."""
    return Column("emotion", judged.label_set.noun)


def run_columns(
    runs: Iterable[ComparedRun], kind: ColumnKind = "number", **options: Any
) -> list[Column]:
    """One column a run, with its short name as title."""
    return [Column(run.id, run.short, kind, run=run.colour, **options) for run in runs]


def metric_column(key: str, kind: ColumnKind = "number") -> Column:
    """The column of an overall metric."""
    return Column(key, METRIC_TITLES[key], kind, OVERALL[key].metric.digits)


def run_table(
    identifier: str,
    title: str,
    runs: Iterable[ComparedRun],
    columns: Iterable[Column],
    cells: Callable[[ComparedRun], Cells],
    metrics: Mapping[str, str] | None = None,
    totals: Collection[str] = (),
    **options: Any,
) -> Table:
    """One row a run: its key, its name and `cells` under `columns`.

    Above the runs of a recipe with several seeds stands a row with their means, with the sums of
    the columns `totals`, and with what all have alike; columns that `metrics` gives a metric by
    their key have its interval over seeds and texts.
    """
    shown, given = tuple(columns), tuple(runs)
    rows: list[Row] = []
    nested: list[bool] = []
    for recipe in dict.fromkeys(run.recipe for run in given):
        own = [run for run in given if run.recipe is recipe]
        found: dict[str, Row] = {run.id: (run.key, run_cell(run), *cells(run)) for run in own}
        several = len(own) > 1
        if several:
            counted = [found[run.id] for run in recipe.counted if run.id in found]
            seeds = {seed_key(run.record) for run in recipe.counted if run.id in found} - {None}
            heads = (
                plural(len(counted), "run" if len(seeds) < len(counted) else "seed"),
                Cell(recipe.title.rpartition(" (")[0] or recipe.title),
            )
            means = _means(shown, [row[2:] for row in counted], totals)
            over = ((metrics or {}).get(column.key) for column in shown)
            rows.append((*heads, *map(partial(_over_seeds, recipe), means, over)))
        rows += found.values()
        nested += [False] * several + [several] * len(own)
    return Table(
        id=identifier,
        title=title,
        columns=(Column("key", "key"), Column("run", "run"), *shown),
        rows=tuple(rows),
        row_header=1,
        nested=tuple(nested) if any(nested) else (),
        **options,
    )


def _over_seeds(recipe: Recipe, mean: Value | Cell, key: str | None) -> Value | Cell:
    """The mean of a recipe with its interval, where it has one."""
    if key is None or not isinstance(mean, Cell) or not isinstance(mean.value, float):
        return mean
    return replace(with_interval(mean.value, recipe.interval(key)), note=mean.note)


def _means(
    columns: Sequence[Column], rows: Sequence[tuple[Value | Cell, ...]], totals: Collection[str]
) -> Cells:
    """The mean or sum of each column of measures; of others what all rows have alike."""
    for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
        values = [Cell.of(cell).value for cell in cells]
        known = [value for value in values if isinstance(value, int | float)]
        measure = column.kind in {"number", "delta", "percent", "duration"} or column.key in totals
        if measure and known and len(known) == len(values):
            total = math.fsum(known)
            notes = {Cell.of(cell).note for cell in cells}
            note = notes.pop() if len(notes) == 1 else ""
            yield Cell(int(total) if column.key in totals else total / len(known), note=note)
        else:
            yield cells[0] if len(set(cells)) == 1 else Cell(None)


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


# --- Recipes in figures: colours, names, and lines with their seeds behind them ---------

DRAWN: Final = 7
"""Recipes with a colour of their own; the others are a grey band."""
_GRID: Final = 41

Curve: TypeAlias = "tuple[Sequence[float] | FloatArray, Sequence[float] | FloatArray]"


def drawn(comparison: Comparison) -> tuple[Recipe, ...]:
    """The recipes that figures show, best first; the baseline's among them if it was chosen."""
    recipes = comparison.ranked_recipes
    own = comparison.baseline.recipe
    if comparison.baseline_is_chosen and own not in recipes[:DRAWN]:
        return (*recipes[: DRAWN - 1], own)
    return recipes[:DRAWN]


def colour(comparison: Comparison, recipe: Recipe) -> int | None:
    """Its place in the palette; None of a recipe that is not drawn."""
    found = drawn(comparison)
    return found.index(recipe) if recipe in found else None


def firsts(comparison: Comparison) -> list[ComparedRun]:
    """The best run of each recipe that figures show."""
    return [
        next(run for run in comparison.ranked if run.recipe is recipe)
        for recipe in drawn(comparison)
    ]


def words(recipe: Recipe) -> str:
    """Name a recipe's line: `R3 minilm-wbce`, or `minilm-wbce` where it has several runs."""
    alone = len(recipe.runs) == 1
    return recipe.runs[0].short if alone else recipe.title.rpartition(" (")[0] or recipe.title


def name(recipe: Recipe) -> str:
    """Name a recipe with the number of its runs: `minilm-wbce, 3 runs`."""
    several = len(recipe.runs) > 1
    return words(recipe) + (f", {plural(len(recipe.runs), 'run')}" if several else "")


def lines(
    comparison: Comparison, curves: Mapping[ComparedRun, Curve], *, label: str = "", **about: str
) -> Iterator[Series]:
    """One bold line a recipe, the mean of its seeds, thin ones behind; a band of all others."""
    shown = drawn(comparison)
    rest = [curve for run, curve in curves.items() if run.recipe not in shown]
    if rest:
        yield _band(rest, len(comparison.recipes) - len(shown))
    for recipe in shown:
        own = [curves[run] for run in recipe.counted if run in curves]
        if not own:
            continue
        tint, title = colour(comparison, recipe), f"{words(recipe)}{label}"
        if len(own) > 1:
            for x, y in own:
                yield Series(title, _plain(x), _plain(y), "thin", colour=tint)
        grid, values = _on_grid(own)
        mean = _plain(np.mean(values, axis=0))
        yield Series(title, _plain(grid), mean, colour=tint, **about)  # type: ignore[arg-type] # style and group


def _plain(values: Iterable[float]) -> tuple[float, ...]:
    """Python's numbers; whole ones, such as epochs, stay whole."""
    found = tuple(map(float, values))
    return tuple(map(int, found)) if all(map(float.is_integer, found)) else found


def _band(curves: Sequence[Curve], recipes: int) -> Series:
    grid, values = _on_grid(curves)
    return Series(
        f"the other {plural(recipes, 'recipe')}",
        _plain(grid),
        tuple([None] * len(grid)),
        "band",
        low=_plain(np.min(values, axis=0)),
        high=_plain(np.max(values, axis=0)),
    )


def _on_grid(curves: Sequence[Curve]) -> tuple[FloatArray, FloatArray]:
    """Curves at the same places: their own where they share them, else an even grid."""
    first = np.asarray(curves[0][0], dtype=np.float64)
    if all(np.array_equal(first, x) for x, _ in curves):
        return first, np.array([y for _, y in curves], dtype=np.float64)
    low, high = max(min(x) for x, _ in curves), min(max(x) for x, _ in curves)
    grid = np.linspace(low, max(low, high), _GRID)
    return grid, np.array([np.interp(grid, x, y) for x, y in curves])
