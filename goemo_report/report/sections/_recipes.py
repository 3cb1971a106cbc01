"""Recipes in figures: colours, names, and lines with their seeds behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np

from goemo_report.comparison import ComparedRun, Comparison, Recipe
from goemo_report.formats.wording import plural
from goemo_report.metrics.arrays import FloatArray
from goemo_report.report.document import Series

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


def first_of(comparison: Comparison, recipe: Recipe) -> ComparedRun:
    """The best run of a recipe."""
    return next(run for run in comparison.ranked if run.recipe is recipe)


def firsts(comparison: Comparison) -> list[ComparedRun]:
    """The best run of each recipe that figures show."""
    return [first_of(comparison, recipe) for recipe in drawn(comparison)]


def words(recipe: Recipe) -> str:
    """What a line calls it: `R3 minilm-wbce`, or `minilm-wbce` where it has several runs."""
    alone = len(recipe.runs) == 1
    return recipe.runs[0].short if alone else recipe.title.rpartition(" (")[0] or recipe.title


def name(recipe: Recipe) -> str:
    """The same with the number of its runs: `minilm-wbce, 3 runs`."""
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
        x, y = _mean(own)
        yield Series(title, _plain(x), _plain(y), colour=tint, **about)  # type: ignore[arg-type] # style and group


def _plain(values: Iterable[float]) -> tuple[float, ...]:
    """Python's numbers; whole ones, such as epochs, stay whole."""
    found = tuple(map(float, values))
    return tuple(map(int, found)) if all(map(float.is_integer, found)) else found


def _mean(curves: Sequence[Curve]) -> Curve:
    grid, values = _on_grid(curves)
    return grid, np.mean(values, axis=0)


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
