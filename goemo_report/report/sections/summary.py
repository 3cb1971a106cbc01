"""The answer: which recipe is best, drawn, and what stands against believing it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from goemo_report.analysis.common import NOT_ALL_HAVE, WITHOUT_TEXTS
from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.analysis.truth import check_logged
from goemo_report.comparison import ComparedRun, Comparison, Recipe
from goemo_report.formats.wording import listed, plural
from goemo_report.report.document import Axis, Callout, Column, Plot, Row, Section, Series, Table
from goemo_report.report.sections._tables import colour, columns, drawn, name, with_interval
from goemo_report.report.sections._verdict import verdict
from goemo_report.report.sections._words import SMALLEST_P, resampling_text, rule
from goemo_report.results.overlap import leaks

ORDER = 10
CHAPTER = "Answer"
_MOST_KINDS: Final = 6
_OFFSET: Final = 0.17
_THRESHOLDS: Final = ((TUNED_F1, -_OFFSET), ("macro_f1", _OFFSET))


def build(comparison: Comparison) -> Section:
    """The verdict, the recipes as a forest plot, and one line of warnings."""
    at = "predicted at p \u2265 threshold; " if comparison.with_probabilities else ""
    return Section.of(
        "summary",
        "Answer",
        verdict(comparison),
        _forest(comparison),
        _warnings(comparison),
        method=f"Judged on the {comparison.split} split by {comparison.criterion.title}; {at}"
        "paired on the same texts: p from swaps of the outputs and from the interval "
        f"({resampling_text(comparison)}; {SMALLEST_P}). More than noise: the 95% interval "
        "excludes zero and p < 0.05. That is about the texts. Over seeds: Student's t with "
        "the variance over seeds and over texts, see Seeds.",
    )


# --- The forest plot ------------------------------------------------------------------


def _forest(comparison: Comparison) -> Plot:
    """Macro F1 of each recipe: the mean, its seeds and its interval, tuned and at 0.5."""
    recipes = drawn(comparison)
    series = [
        one
        for row, recipe in enumerate(recipes)
        for key, shift in _THRESHOLDS
        for one in _points(comparison, recipe, key, row + shift)
    ]
    left_out = len(comparison.recipes) - len(recipes)
    tuned = any(recipe.values(TUNED_F1) for recipe in recipes)
    how = rule(comparison)
    caption = f"{how[0].upper()}{how[1:]}."
    if tuned:
        caption = "Upper, filled: thresholds tuned on validation. Lower, hollow: 0.5."
    several = any(len(recipe.values(key)) > 1 for recipe in recipes for key, *_ in _THRESHOLDS)
    over = "for other texts and, of recipes with several, other seeds (small marks: seeds)"
    caption += f" Lines: 95% intervals {over if several else 'for other texts'}."
    if left_out:
        caption += f" The best {len(recipes)} of {len(comparison.recipes)} recipes."
    return Plot(
        id="summary-forest",
        title=f"Macro F1 of each recipe, {comparison.split} split",
        alt=f"Macro F1 of {plural(len(recipes), 'recipe')}, best first, with 95% intervals: "
        + "; ".join(f"{name(one)} {_told(comparison, one)}" for one in recipes)
        + ".",
        x=Axis("macro F1"),
        y=Axis("", ticks=tuple((float(row), name(one)) for row, one in enumerate(recipes))),
        series=tuple(series),
        table=_table(comparison),
        caption=caption,
        horizontal=True,
        legend=False,
        height=36,
    )


def _how(comparison: Comparison, recipe: Recipe, key: str) -> str:
    if key == TUNED_F1:
        return "tuned"
    given = all(one not in comparison.with_probabilities for one in recipe.runs)
    return "as predicted" if given else "at 0.5"


def _told(comparison: Comparison, recipe: Recipe) -> str:
    known = (key for key, _ in _THRESHOLDS if recipe.values(key))
    return ", ".join(f"{recipe.mean(key):.3f} {_how(comparison, recipe, key)}" for key in known)


def _points(comparison: Comparison, recipe: Recipe, key: str, row: float) -> Iterator[Series]:
    values, tint = recipe.values(key), colour(comparison, recipe)
    if not values:
        return
    found, mean = recipe.interval(key), recipe.mean(key)
    yield Series(
        f"{name(recipe)}, {_how(comparison, recipe, key)}",
        (mean,),
        (row,),
        "points",
        low=(found.low,) if found else (),
        high=(found.high,) if found else (),
        colour=tint,
        hollow=key != TUNED_F1,
    )
    if len(values) > 1:
        yield Series("seed", tuple(values), tuple([row] * len(values)), "ticks", colour=tint)


def _table(comparison: Comparison) -> Table:
    keys = (TUNED_F1, "macro_f1") if comparison.with_probabilities else ("macro_f1",)

    def row(recipe: Recipe) -> Row:
        means = (recipe.mean(key) if recipe.values(key) else None for key in keys)
        cells = map(with_interval, means, map(recipe.interval, keys))
        return (name(recipe), len(recipe.by_seed) or None, *cells)

    return Table(
        id="summary-recipes",
        title="Macro F1 of each recipe",
        columns=(
            *columns("recipe", seeds="integer"),
            *((Column("tuned", "macro F1, tuned", "number"),) if len(keys) > 1 else ()),
            Column("macro_f1", f"macro F1 {comparison.at}", "number"),
        ),
        rows=tuple(map(row, comparison.ranked_recipes)),
        collapsed=True,
    )


# --- Warnings -------------------------------------------------------------------------


def _warnings(comparison: Comparison) -> Callout | None:
    """One line that names the kinds of warnings, with all of them folded in it."""
    of_runs = [one for run in comparison.runs for one in _of_run(run)]
    found = [*_of_comparison(comparison), *of_runs]
    for item in comparison.skipped:
        text = f"{item.name} was left out: {item.reason}. {item.remedy}".strip()
        found.append((f"{item.name} left out", text))
    if not found:
        return None
    kinds = Counter(kind for kind, _ in found)
    runs = {kind for kind, _ in of_runs}
    words = [
        kind if count == 1 else f"{kind} ({f'in {count} runs' if kind in runs else count})"
        for kind, count in kinds.items()
    ]
    if len(words) > _MOST_KINDS:
        words[_MOST_KINDS - 1 :] = [f"{len(words) - _MOST_KINDS + 1} more"]
    return Callout(
        "warning",
        f"Before you trust these numbers: {'; '.join(words)}.",
        tuple(text for _, text in found),
    )


def _of_comparison(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield the subject of each warning in a few words, and its whole text."""
    fewer: list[str] = []
    for change, changed in comparison.label_changes.items():
        text = f"{', '.join(changed)}: {change}."
        if change.endswith(NOT_ALL_HAVE):
            fewer.append(text)
            continue
        paired = change.startswith(WITHOUT_TEXTS)
        yield "paired without texts" if paired else "labels were changed", text
    if fewer:
        yield f"only {plural(len(comparison.labels), 'label')} compared", " ".join(fewer)
    for same in comparison.identical:
        runs = listed((run.key for run in same), 6)
        text = f"{runs}: the predictions are identical, one result, not {len(same)}."
        yield f"identical predictions of {runs}", text
    if not comparison.same_texts:
        sizes = ", ".join(f"{run.key} {run.split_result.rows:,}" for run in comparison.runs)
        text = (
            f"The runs were not judged on the same {comparison.split} texts ({sizes}), so their "
            "values and places are not directly comparable; differences are taken on common texts."
        )
        yield "not the same texts", text
    leaked: dict[str, list[str]] = {}
    for run in comparison.runs:
        for leak in leaks(run.result):
            if leak.large:
                leaked.setdefault(str(leak), []).append(run.key)
    for what, keys in leaked.items():
        seen = "Scores on texts that were seen before say little about new ones."
        yield "texts stand in two splits", f"{', '.join(keys)}: {what}. {seen}"
    if len(comparison.losses) > 1:
        words = "; ".join(f"{', '.join(keys)} {loss}" for loss, keys in comparison.losses.items())
        text = (
            f"The runs were trained with different losses ({words}). A loss shifts the "
            "probabilities, so that 0.5 means something else for each and F1 at 0.5 is no fair "
            f"comparison: the ranking is by {comparison.criterion.title}."
        )
        yield "different losses", text


def _of_run(run: ComparedRun) -> Iterator[tuple[str, str]]:
    never, nouns, state = run.scores.never_predicted, run.label_set.nouns, run.record.state
    if never:
        some = f"{len(never)} of {len(run.labels)} {nouns}"
        at = " at 0.5" if run.predictions.has_probabilities else ""
        yield (
            f"{nouns} never predicted",
            f"{run.name} never predicts {some}{at}: {listed(never, 6)}.",
        )
    wrong = sum(not check.agrees for check in check_logged(run.result))
    if wrong:
        figures = f"{plural(wrong, 'logged figure')} {'differs' if wrong == 1 else 'differ'}"
        about = "logged figures differ from the predictions"
        yield about, f"{run.name}: {figures} from the predictions."
    if state != "finished":
        yield f"a run is {state}", f"{run.name} is {state}, not finished."
    if run.alignment and not run.is_paired:
        yield "not paired", f"{run.name}: {run.alignment.note}."
