"""Seeds: how much the result depends on chance in training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.comparison import Comparison, Recipe
from goemo_report.formats.wording import listed, plural
from goemo_report.report.document import Callout, Cell, Column, Row, Section, Table
from goemo_report.report.sections._tables import callout, columns, in_groups
from goemo_report.report.sections._words import METRIC_TITLES, measured, standard_error
from goemo_report.statistics.many_runs import SEED_METHOD, summarise_seeds

ORDER = 95
CHAPTER = "Can I trust it?"
_OPEN: Final = 12  # rows that are not folded
_KEYS: Final = ("macro_f1", TUNED_F1, "micro_f1", "micro_auc", "macro_auc")


def build(comparison: Comparison) -> Section | None:
    """Runs that differ only in the seed; None where no recipe has two runs."""
    if all(len(recipe.runs) < 2 for recipe in comparison.recipes):
        return None
    single = sum(len(recipe.runs) == 1 for recipe in comparison.recipes)
    whose = "group has one seed only: nothing can be said of its spread."
    if single > 1:
        whose = "groups have one seed only: nothing can be said of their spread."
    repeats = filter(None, map(_repeats, comparison.recipes))
    return Section.of(
        "seeds",
        "Seeds",
        _groups(comparison),
        _differences(comparison),
        callout("warning", "Runs that are no further seeds:", repeats),
        Callout("note", f"{single} {whose}") if single else None,
        lead="Runs whose config differs only in the random seed. Differences between "
        "groups hold for other seeds and other texts; the intervals elsewhere are about the texts.",
        method=f"{measured(comparison)}"
        + (
            f"; tuned: each run's own thresholds per {comparison.noun}, from its validation split, "
            "which is resampled too. "
            if comparison.with_probabilities
            else ". "
        )
        + f"{SEED_METHOD}. "
        "p-values are not adjusted for the number of metrics. The range is the smallest and the "
        "largest value, not an interval.",
    )


def _repeats(recipe: Recipe) -> str:
    """Say which runs of a recipe are no further seed; empty if all are."""
    by_seed, number = recipe.by_seed, len(recipe.runs)
    if number == len(recipe.seeds):
        return ""
    if not by_seed:
        what = f"{number} runs of one seed, as far as is known: none was logged"
    elif len(by_seed) == 1 and len(recipe.counted) == number:
        what = f"{number} runs of one seed"
    else:
        what = f"{number} runs of {plural(len(by_seed), 'logged seed')}"
    averaged = [", ".join(run.key for run in runs) for runs in recipe.seeds if len(runs) > 1]
    said = [f"{listed(averaged)} averaged first"] if averaged else []
    left_out = [run.key for run in recipe.runs if run not in recipe.counted]
    said += [f"{listed(left_out)} left out, without a seed"] if left_out else []
    return f"{recipe.title}: {what}; {'; '.join(said)}."


def _apart(*recipes: Recipe) -> str:
    """Why figures of the recipes' runs may not be put together; empty if they may."""
    first, *others = (run for recipe in recipes for run in recipe.counted)
    for run in others:
        found, keys = run.aligned(first), f"{first.key} and {run.key}"
        if not found.same_labels:
            return f"{keys} do not have the same labels"
        if found.disagreeing:
            return f"{keys} do not have the same true labels"
        if not found.complete:
            return f"{keys} were not judged on the same texts"
    return ""


def _groups(comparison: Comparison) -> Table:
    grouped = []
    for recipe in comparison.recipes:
        logged = (run.seed for run in recipe.runs)
        seeds = ", ".join("not logged" if seed is None else str(seed) for seed in logged)
        grouped.append((f"{recipe.title}, seeds {seeds}", _summaries(recipe)))
    found = in_groups(grouped)
    return Table(
        id="seeds-groups",
        title="Over seeds",
        columns=(
            *columns("metric"),
            Column("n", "seeds", "integer"),
            Column("mean", "mean", "number", digits=4),
            Column("sd", "standard deviation", "number", digits=4),
            Column("range", "range"),
        ),
        **found,
        collapsed=len(found["rows"]) > _OPEN,
    )


def _summaries(recipe: Recipe) -> Iterator[Row]:
    apart = _apart(recipe)
    for key in filter(recipe.values, _KEYS):
        found = summarise_seeds(recipe.values(key))
        spread = f"{found.minimum:.4f} to {found.maximum:.4f}" if found.n > 1 else None
        own = (None, None, f"none: {apart}") if apart else (found.mean, found.sd, spread)
        yield (METRIC_TITLES[key], len(recipe.by_seed), *own)


def _differences(comparison: Comparison) -> Table | None:
    """Each recipe against that of the baseline."""
    base = comparison.baseline.recipe
    others = (recipe for recipe in comparison.recipes if recipe is not base)
    rows = tuple(row for recipe in others for row in _to_baseline(recipe, base))
    if not rows:
        return None
    return Table(
        id="seeds-differences",
        title=f"Mean over seeds, minus {base.title}",
        columns=(
            *columns("group", "metric"),
            Column("difference", "difference", "delta", digits=4),
            *columns(p="pvalue", note="text"),
        ),
        rows=rows,
        collapsed=len(rows) > _OPEN,
    )


def _to_baseline(recipe: Recipe, base: Recipe) -> Iterator[Row]:
    apart = _apart(base, recipe)
    for key in filter(base.values, filter(recipe.values, _KEYS)):
        start = (recipe.title, METRIC_TITLES[key])
        if apart:
            yield (*start, Cell(None), None, f"not compared: {apart}")
            continue
        found = recipe.minus(base, key)
        note = f"no p-value: {found.reason}"
        if found.p is not None and found.df is not None:
            df = "" if found.df > 1000 else f"; {found.df:.1f} degrees of freedom"
            note = standard_error(found) + df
        yield (*start, Cell(found.value, found.low, found.high), found.p, note)
