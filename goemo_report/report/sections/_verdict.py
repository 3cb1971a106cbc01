"""The verdict: which run or recipe is best, by how much, and whether that is noise."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import listed, plural
from goemo_report.report.document import Callout
from goemo_report.report.sections._words import (
    called,
    identical,
    p_of,
    p_text,
    same_recipe,
    signed,
)
from goemo_report.statistics.differences import ALPHA, Difference
from goemo_report.statistics.equivalence import Decision
from goemo_report.statistics.seeds import SeedDifference, sweep_chance, wins


def verdict(comparison: Comparison) -> Callout:
    """The statement at the top; recipes lead where single runs differ by their seed alone."""
    best, base = comparison.best, comparison.baseline
    value = f"macro F1 {best.macro_f1:.3f}"
    with_value = f"is best with {value}"
    if comparison.rank_on != comparison.split:
        with_value = f"is best on validation, with {value} on {comparison.split}"
    reference = comparison.reference
    if reference is None:
        return Callout("verdict", f"{called(best)} reaches {value}.")
    if comparison.alike and best.recipe is reference.recipe:
        return _of_recipes(comparison)
    lines: list[str] = []
    second = comparison.second
    if not comparison.baseline_is_chosen:
        text = f"{called(best)} {with_value}, {_ahead(comparison, second)}."
    elif best is base:
        on = " on validation" if comparison.rank_on != comparison.split else ""
        text = f"No run beats the baseline {called(base)}{on} ({value})."
        lines.append(f"It is {_ahead(comparison, second)}.")
    else:
        held = comparison.best_minus(base)
        macro = held["macro_f1"] if held else None
        gain, where = best.macro_f1 - base.macro_f1, ""
        if macro is not None and not comparison.alike:
            gain, where = macro.value, " on common texts"
        text = (
            f"{called(best)} {with_value}: {signed(gain)}{where} against the "
            f"baseline {called(base)}, {noise(macro)}."
        )
        if second is not base:
            lines.append(f"It is {_ahead(comparison, second)}.")
    if comparison.alike and any(len(recipe.runs) > 1 for recipe in comparison.recipes):
        lines += _recipes(comparison)
    lines += _decision(comparison, comparison.decision)
    lines += _luck(comparison)
    return Callout("verdict", text, (*lines, *_tuned(comparison), *_gains(comparison)))


def _decision(comparison: Comparison, found: Decision | None) -> list[str]:
    """Whether the difference is too small to matter, and what would decide what is undecided."""
    if found is None or (found.answer in ("better", "worse") and not found.within):
        return []
    margin, p = f"{found.margin:g}", p_text(found.p_equivalence)
    if found.within:
        but = "" if found.answer == "equivalent" else "The difference is real, but they are "
        word = "equivalent" if but else "Equivalent"
        return [f"{but}{word} within {margin} (two one-sided tests, {p})."]
    size = f"a difference of {found.detectable:.3f} is found with 80% power"
    more = [plural(n, one) for n, one in ((found.texts, "text"), (found.seeds, "seed")) if n]
    take = f"; one of {margin} would take {' or '.join(more)}" if more else ""
    text = f"Undecided: here {size}{take}."
    if found.carriers and found.carried > 0.0:
        labels = comparison.best.labels
        chosen = [labels.index(label) for label in found.carriers]
        number = int(comparison.best.predictions.truth[:, chosen].any(axis=1).sum())
        who = f"{listed(found.carriers)}, {plural(number, 'text')},"
        text += f" {who} carry {found.carried:.0%} of the variance."
    return [text]


def _luck(comparison: Comparison) -> list[str]:
    """What choosing the best of many on the reported split brings by itself."""
    luck, number = comparison.luck, len(comparison.runs)
    if luck is None or number < 3 or comparison.rank_on != comparison.split:
        return []
    gained = f"leads their mean by {luck:.3f} through the choice of texts alone"
    choose = "choose on validation (--rank-on val), report on test"
    return [f"The best of {number} equally good runs {gained}: {choose}."]


def noise(found: Difference | None) -> str:
    """Whether a difference is more than noise, in words."""
    if found is None:
        return "not paired, so nothing is said about noise"
    bounds = f"[{signed(found.low)}, {signed(found.high)}], {p_of(found)}"
    if found.verdict == "tie":
        return f"which may be noise (95% interval {bounds})"
    return f"more than noise (95% interval {bounds})"


def _tuned(comparison: Comparison) -> list[str]:
    """The lead at thresholds tuned on validation, where it was paired."""
    found, other = comparison.tuned_best_vs_runner_up, comparison.runner_up
    macro = found["macro_f1"] if found else None
    if macro is None or other is None:
        return []
    against = f"against {called(other)}"
    return [f"At tuned thresholds: {signed(macro.value)} {against}, {noise(macro)}."]


def _ahead(comparison: Comparison, second: ComparedRun) -> str:
    """How far the best run is ahead of the next one; signs are those of best minus next."""
    macro = comparison.best_vs_second["macro_f1"] if comparison.best_vs_second else None
    same = same_recipe(comparison.best, second)
    seed = f" (same recipe, {same})" if same else ""
    if identical(comparison.best, second):
        return f"level with {called(second)}{seed}: identical predictions"
    if macro is not None and not comparison.alike:  # own values are about other texts
        gap = f"{signed(macro.value)} on common texts against {called(second)}{seed}"
        return f"{gap}, {noise(macro)}"
    ahead = comparison.best.macro_f1 - second.macro_f1
    way = "ahead of" if ahead >= 0.0 else "behind"
    return f"{abs(ahead):.3f} {way} {called(second)}{seed}, {noise(macro)}"


# --- Recipes: means over seeds --------------------------------------------------------


def _of_recipes(comparison: Comparison) -> Callout:
    """The verdict where the two runs in question are seeds of one recipe."""
    recipe = comparison.best.recipe
    same = [run for run in comparison.ranked if run.recipe is recipe]
    best, last = same[0], same[-1]
    top, bottom = best.macro_f1, last.macro_f1
    gap = best.minus(last)
    macro = gap["macro_f1"] if gap else None
    small = "as the choice of texts alone may bring"
    if macro is not None and macro.verdict != "tie":
        small = "only the seed differs in the logged config; check what else differed"
    chance = (
        f"Same recipe, {same_recipe(best, last)}: macro F1 of its {len(same)} runs "
        f"ranges over {top - bottom:.3f}, from {last.name} ({bottom:.3f}) to "
        f"{best.name} ({top:.3f}), {small}."
    )
    if identical(best, last):
        chance = "Same recipe, and the predictions are identical: they are one result."
    if len(comparison.recipes) == 1:
        values = [run.macro_f1 for run in comparison.runs]
        means, seeds = recipe.values(), len(recipe.group.by_seed)
        differ = "differ only in the seed"
        if seeds < len(values):
            differ = f"logged {plural(seeds, 'seed') if seeds else 'no seed'}"
        over = " over seeds" if 1 < seeds < len(values) else ""
        who = "Both" if len(values) == 2 else f"All {len(values)}"
        text = (
            f"{who} runs have the same recipe and {differ}: macro F1 "
            f"{fmean(means):.3f} on average{over}, from {min(values):.3f} to {max(values):.3f}."
        )
        return Callout("verdict", text, (chance,))
    text, *tuned = _recipes(comparison)
    return Callout("verdict", text, (*tuned, chance, *_gains(comparison)))


def _recipes(comparison: Comparison) -> list[str]:
    """The best recipe by its mean over seeds, against the baseline's or the next one."""
    best, *rest = sorted(
        comparison.recipes, key=lambda recipe: recipe.mean(comparison.rank_key), reverse=True
    )
    other, role = rest[0], "the next"
    if comparison.baseline_is_chosen and comparison.baseline.recipe is not best:
        other, role = comparison.baseline.recipe, "the baseline's"
    text = (
        f"Over seeds, {best.title} is the best recipe with a mean macro F1 of "
        f"{best.mean():.3f} (n = {len(best.seeds)}): {signed(best.mean() - other.mean())} against "
        f"{role}, {other.title}, with {other.mean():.3f} (n = {len(other.seeds)})"
        f"{over_seeds(best.minus(other), best.values(), other.values())}"
    )
    lines = [text, *_decision(comparison, comparison.recipe_decision(best, other))]
    ours, theirs = (recipe.values(TUNED_F1) for recipe in (best, other))
    if (len(ours), len(theirs)) != (len(best.seeds), len(other.seeds)):
        return lines
    gap = signed(fmean(ours) - fmean(theirs))
    said = over_seeds(best.minus(other, TUNED_F1), ours, theirs)
    means = f"{fmean(ours):.3f} against {fmean(theirs):.3f}, {gap}"
    return [*lines, f"Mean macro F1 at tuned thresholds: {means}{said}"]


def over_seeds(found: SeedDifference, ours: Sequence[float], theirs: Sequence[float]) -> str:
    """What seeds and texts say of a difference in means, and whose seeds beat whose."""
    if found.p is None or found.low is None or found.high is None:
        return f"; no p-value: {found.reason}."
    bounds = f"95% interval [{signed(found.low)}, {signed(found.high)}]"
    parts = f"standard error: seeds {found.seed_error:.4f}, texts {found.text_error:.4f}"
    test = f"({bounds}, {p_text(found.p)}; {parts})"
    n, m, won = len(ours), len(theirs), wins(ours, theirs)
    beats = f"its seeds win {won} of {n * m} pairings with the others"
    if won == n * m:
        beats = f"each of its {n} seeds beats each of the {m} others"
    elif not won:
        beats = f"each of the {m} others beats each of its {n} seeds"
    if found.p < ALPHA:
        return f", more than the spread over seeds and texts {test}: {beats}."
    beats = f". {beats[0].upper()}{beats[1:]}"
    if 0 < won < n * m:
        return f"{beats}, which may be chance {test}."
    chance = sweep_chance(n, m)
    equal = f"one of two equal recipes would do so in {chance.numerator} of {chance.denominator}"
    if chance < ALPHA:
        return f"{beats}; {equal} comparisons, but seeds and texts leave room for chance {test}."
    seeds = f"{n} seeds each" if n == m else f"{n} and {m} seeds"
    return f"{beats}, but {equal} comparisons: {seeds} cannot rule out chance {test}."


# --- Labels ---------------------------------------------------------------------------


def _gains(comparison: Comparison) -> list[str]:
    """The three labels that gained and lost most, best run against the baseline."""
    best, base, noun = comparison.best, comparison.baseline, comparison.noun
    if best.recipe is base.recipe:
        return []
    deltas = []
    for label in comparison.labels:
        value, other = best.of_class("f1", label), base.of_class("f1", label)
        if value is not None and other is not None:
            paired = best.difference(f"f1_{label}")
            clear = paired is not None and paired.verdict != "tie"
            deltas.append((paired.value if paired else value - other, label, clear))
    deltas.sort(key=lambda item: -item[0])
    gained = [item for item in deltas[:3] if item[0] > 0]
    lost = [item for item in deltas[::-1][:3] if item[0] < 0]
    against = "" if comparison.baseline_is_chosen else f" against {base.name}"
    lines = []
    if gained:
        lines.append(f"Gained most F1{against}: {_labels(gained)}.")
    lines.append(f"Lost most F1{against}: {_labels(lost)}." if lost else f"No {noun} lost F1.")
    if any("*" in line for line in lines):
        lines.append(f"* more than noise (Holm-adjusted over the {noun}s).")
    return lines


def _labels(deltas: list[tuple[float, str, bool]]) -> str:
    words = listed(
        f"{label} {signed(delta)}{'*' if clear else ''}" for delta, label, clear in deltas
    )
    return words if any(clear for *_, clear in deltas) else f"{words}; none more than noise"
