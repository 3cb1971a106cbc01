"""The verdict: which run or recipe is best, by how much, and whether that is noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from statistics import fmean
from typing import Final

from goemo_report.analysis.common import Alignment
from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.comparison import FEWEST_TEXTS, ComparedRun, Comparison, Recipe
from goemo_report.formats.wording import listed, plural
from goemo_report.metrics.table import HEADLINE
from goemo_report.report.document import Callout
from goemo_report.report.sections._words import (
    called,
    identical,
    p_of,
    p_text,
    same_recipe,
    side,
    signed,
    standard_error,
)
from goemo_report.statistics.differences import ALPHA, Difference
from goemo_report.statistics.many_runs import Decision, SeedDifference, sweep_chance, wins

_EQUAL: Final = 5e-4
_SAME: Final = "the same on every text: there is nothing to test"


def verdict(
    comparison: Comparison, naming: Callable[[ComparedRun], str] = attrgetter("short")
) -> Callout:
    """The winner in one sentence, then whether it is more than noise and what decided.

    Recipes lead where single runs differ by their seed alone; `naming` says how a run is named.
    """
    best, other = comparison.best, comparison.runner_up
    if other is not None and comparison.alike and best.recipe is other.recipe:
        return _of_one_recipe(comparison)
    if comparison.recipes_lead:
        text, *tuned = _recipes(comparison, *comparison.recipes_lead)
        ahead, *more = tuned
        return Callout(
            "verdict", text, (ahead, _criterion(comparison), *more, *_selection_bias(comparison))
        )
    value = _reached(comparison, best)
    if other is None:
        return Callout("verdict", f"{naming(best)} reaches {value}.")
    if _untested(best.aligned(other)) and comparison.rank_on == comparison.split:
        text = f"{naming(best)} reaches {value}, {naming(other)} {comparison.score(other):.3f}"
        why = "not on the same texts and labels, so that neither is called better"
        if best.aligned(other).paired:
            why = "with 1 common text neither is called better"
        return Callout("verdict", f"{text}, but {why}.", tuple(_selection_bias(comparison)))
    if _level(comparison, lambda key: (best.value(key), other.value(key))):
        text = f"{naming(best)} and {naming(other)} are level: both have {value}."
    elif comparison.baseline_is_chosen and best is comparison.baseline:
        on = "" if comparison.rank_on == comparison.split else " on validation"
        text = f"No run beats the baseline {naming(best)}{on} ({value})."
    else:
        text = f"{naming(best)} is best{_where(comparison)} {value}."
    text += _only_at_half(comparison)
    lines = [_ahead(comparison, other), *_one_run(comparison), _criterion(comparison)]
    lines += [*_decision(comparison, comparison.standing.decision), *_selection_bias(comparison)]
    return Callout("verdict", text, tuple(lines))


def _reached(comparison: Comparison, best: ComparedRun) -> str:
    """The value of the best run, and how its labels are predicted."""
    metric, at, where = comparison.criterion.title.partition(" at ")
    value = f"{comparison.score(best):.3f}"
    if comparison.criterion.key != HEADLINE:
        return f"{metric} {value}{at}{where}"
    if not comparison.with_probabilities:
        return f"macro F1 {value} as predicted"
    known = best in comparison.with_probabilities
    return f"macro F1 {value}{' at threshold 0.5' if known else ', labels as predicted'}"


def in_one_sentence(comparison: Comparison) -> str:
    """The verdict with the names of both sides, whether they differ by more than noise, and what
    would decide it."""
    found = comparison.standing
    answer = verdict(comparison, lambda run: f"{run.key} {called(run)}")
    text = answer.text
    if found.other is None:
        return text
    best, other = comparison.best, comparison.runner_up
    if other and not comparison.recipes_lead and identical(best, other):
        return f"{text} Level with {found.other}: identical predictions."
    if other and best.recipe is other.recipe and found.verdict not in (None, "tie"):
        return f"{text} {answer.items[0]}"
    common = other and best.aligned(other)
    gap, sure = "not tested", ""
    if common and _untested(common):
        gap = _untested(common)
    elif found.difference is not None:
        gap = f"{signed(found.difference)} {comparison.criterion.title}"
        sure = ", not tested"
    if sure and found.p is not None and found.low == found.high == 0.0:
        sure = f", {_SAME}"
    elif sure and found.p is not None:
        sure = f", {'which may be' if found.verdict == 'tie' else 'more than'} noise"
        sure += f" ({p_text(found.p)})"
    if sure and common and not common.complete:
        sure += f", {common.note}"
    sides = f"{text} {found.best} against {found.other}: {gap}{sure}."
    taken = ", though p takes them for seeds" if comparison.recipes_lead and found.p else ""
    same = [
        f"The predictions of {listed((run.key for run in runs), 6)} are identical: "
        f"one result, not {len(runs)}{taken}."
        for runs in comparison.identical
    ]
    few = _decision(comparison, found.decision)
    return " ".join([sides, *_one_run(comparison), *few, *same])


def _untested(common: Alignment) -> str:
    """Why two runs are not tested on what they have in common; empty where they are."""
    if not common.paired:
        return common.note
    return "1 common text: not tested" if common.matched == 1 else ""


def _one_run(comparison: Comparison) -> list[str]:
    """That seeds are not known, where one run is better than one of another recipe."""
    best, other, lead = comparison.best, comparison.runner_up, comparison.lead
    if comparison.recipes_lead or other is None or lead is None or lead.verdict == "tie":
        return []
    if best.recipe is other.recipe:
        return []
    return ["This is one run each: whether other seeds agree is not known."]


def _only_at_half(comparison: Comparison) -> str:
    """A sentence where what leads at 0.5 is behind at tuned thresholds; else empty."""
    best, other, key = comparison.best, comparison.runner_up, TUNED_F1
    lead = comparison.standing.difference
    if other is None or lead is None or lead <= 0.0 or comparison.criterion.key != HEADLINE:
        return ""
    if comparison.recipes_lead:
        first, second = comparison.recipes_lead
        if not (first.values(key) and second.values(key)):
            return ""
        gap, p = first.mean(key) - second.mean(key), first.minus(second, key).p
    else:
        ours, theirs = best.value(key), other.value(key)
        if ours is None or theirs is None or (comparison.alike and ours - theirs > -_EQUAL):
            return ""  # what is paired takes longer
        found = (comparison.tuned_best_vs_runner_up or {}).get("macro_f1")
        gap, p = (found.value, found.p_adjusted) if found else (ours - theirs, None)
    if gap > -_EQUAL:
        return ""
    sure = "not tested" if p is None else p_text(p)
    return f" At 0.5 only: at tuned thresholds it is behind ({signed(gap)}, {sure})."


def _level(comparison: Comparison, values: Callable[[str], tuple[float | None, ...]]) -> bool:
    """Whether two sides have the same values to the digits shown, in what chooses and is shown."""
    pairs = (values(key) for key in {comparison.rank_key, comparison.criterion.key})
    return all(abs((ours or 0.0) - (theirs or 0.0)) < _EQUAL for ours, theirs in pairs)


def _where(comparison: Comparison) -> str:
    """How the best one was chosen, in the middle of a sentence."""
    if comparison.rank_on == comparison.split:
        return " with"
    return f" on validation and reaches, on {comparison.split},"


def _criterion(comparison: Comparison) -> str:
    """Name the criterion of the ranking, and the reason where it is not macro F1 at 0.5."""
    found = comparison.criterion
    because = f", because {found.reason}" if found.reason else ""
    if comparison.rank_on == comparison.split:
        return f"Ranked by {found.title}{because}."
    tuned = (
        "at cross-fitted thresholds" if comparison.statistics.why_not_fixed_threshold else "at 0.5"
    )
    return f"Ranked by macro F1 on validation {tuned}{because}, reported on {comparison.split}."


def _ahead(comparison: Comparison, other: ComparedRun) -> str:
    """How far the best run is ahead of the one it is held against."""
    best, lead = comparison.best, comparison.lead
    chosen = comparison.baseline_is_chosen and other is comparison.baseline
    same = same_recipe(best, other)
    whom = f"{'the baseline' if chosen else 'the runner-up'} {other.short}"
    whom += f" (same recipe, {same})" if same else ""
    if identical(best, other):
        return f"Level with {whom}: identical predictions."
    gap, where = comparison.score(best) - comparison.score(other), ""
    if lead is not None and not comparison.alike:  # own values are about other texts
        gap, where = lead.value, " on common texts"
    return f"{signed(gap)}{where} against {whom}, {noise(lead)}."


def _decision(comparison: Comparison, found: Decision | None) -> list[str]:
    """Whether the difference is too small to matter, and what would decide what is undecided."""
    if found is None:
        return _few_texts(comparison)
    if found.answer in ("better", "worse") and not found.within:
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
        text += f" {who} carry {min(found.carried, 1.0):.0%} of the variance."
    return [text]


def _few_texts(comparison: Comparison) -> list[str]:
    """That so few texts show no difference, whatever it is."""
    other = comparison.runner_up
    common = comparison.best.aligned(other) if other else None
    if common is None or not common.paired or common.matched >= FEWEST_TEXTS:
        return []
    so_few = f"{plural(common.matched, 'text')} in common"
    return [f"Only {so_few}: with fewer than {FEWEST_TEXTS}, no p is below {ALPHA:g}."]


def _selection_bias(comparison: Comparison) -> list[str]:
    """Say how far the best of many leads by selection on the reported split alone."""
    bias, number = comparison.selection_bias, len(comparison.runs)
    if bias is None or number < 3 or comparison.rank_on != comparison.split:
        return []
    gained = f"leads their mean by {bias:.3f} through the choice of texts alone"
    choose = "choose on validation (--rank-on val), report on test"
    return [f"The best of {number} equally good runs {gained}: {choose}."]


def noise(found: Difference | None) -> str:
    """Whether a difference is more than noise, in words."""
    if found is None:
        return "not paired, so nothing is said about noise"
    if found.same:
        return _SAME
    bounds = f"[{signed(found.low)}, {signed(found.high)}], {p_of(found)}"
    if found.verdict == "tie":
        excludes = found.low > 0 or found.high < 0
        if excludes != (found.p_adjusted < ALPHA):
            which = "the interval reaches 0" if found.p_adjusted < ALPHA else "p is not below 0.05"
            return f"which may be noise: {which}, and both must agree (95% interval {bounds})"
        return f"which may be noise (95% interval {bounds})"
    return f"more than noise (95% interval {bounds})"


# --- Recipes: means over seeds --------------------------------------------------------


def _of_one_recipe(comparison: Comparison) -> Callout:
    """The verdict where all runs are seeds of one recipe."""
    recipe = comparison.best.recipe
    same = [run for run in comparison.ranked if run.recipe is recipe]
    best, last = same[0], same[-1]
    top, bottom = best.macro_f1, last.macro_f1
    gap = best.minus(last)
    macro = gap["macro_f1"] if gap else None
    small = "as the choice of texts alone may bring"
    if macro is not None and macro.verdict != "tie":
        small = "only the seed differs in the logged config; check what else differed"
        if same_recipe(best, last) != "other seed":
            small = "and no logged config tells them apart; check what differed"
    chance = (
        f"Same recipe, {same_recipe(best, last)}: macro F1 of its {len(same)} runs "
        f"ranges over {top - bottom:.3f}, from {last.short} ({bottom:.3f}) to "
        f"{best.short} ({top:.3f}), {small}."
    )
    if identical(best, last):
        chance = "Same recipe, and the predictions are identical: they are one result."
    values = [run.macro_f1 for run in comparison.runs]
    means, seeds = recipe.values(), len(recipe.by_seed)
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


def _recipes(comparison: Comparison, best: Recipe, other: Recipe) -> list[str]:
    """The best recipe by its mean over seeds, against the baseline's or the next one."""
    chosen = comparison.baseline_is_chosen and comparison.baseline.recipe is other
    role = "the baseline's" if chosen else "the next"
    key, title = comparison.criterion.key, comparison.criterion.title
    mean, others = comparison.standing.value or 0.0, comparison.standing.other_value or 0.0
    over = f"a mean {title} of {mean:.3f} ({len(best.seeds)} seeds)"
    if len(best.seeds) == 1:
        over = f"{title} of {mean:.3f} (one run)"
        if len(best.counted) > 1:
            of = " of one seed" if best.by_seed else " without a seed"
            over = f"a mean {title} of {mean:.3f} ({len(best.counted)} runs{of})"
    text = f"{best.title} is the best recipe{_where(comparison)} {over}."
    if _level(comparison, lambda key: (best.mean(key), other.mean(key))):
        text = f"{best.title} and {other.title} are level: both reach {over}."
    else:
        text += _only_at_half(comparison)
    against = (
        f"{signed(mean - others)} against {role}, {other.title}, with {others:.3f} "
        f"({plural(len(other.seeds), 'seed')}){_over(best, other, key)}"
    )
    lines = [text, against, *_decision(comparison, comparison.standing.decision)]
    ours, theirs = (recipe.values(TUNED_F1) for recipe in (best, other))
    if key == TUNED_F1 or (len(ours), len(theirs)) != (len(best.seeds), len(other.seeds)):
        return lines
    gap = signed(fmean(ours) - fmean(theirs))
    means = f"{fmean(ours):.3f} against {fmean(theirs):.3f}, {gap}"
    return [*lines, f"Mean macro F1 at tuned thresholds: {means}{_over(best, other, TUNED_F1)}"]


def _over(best: Recipe, other: Recipe, key: str) -> str:
    return over_seeds(best.minus(other, key), best.values(key), other.values(key))


def over_seeds(found: SeedDifference, ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Describe a difference in means over seeds and texts, and whose seeds beat whose."""
    if found.p is None or found.low is None or found.high is None:
        return f"; no p-value: {found.reason}."
    bounds = f"95% interval [{signed(found.low)}, {signed(found.high)}]"
    test = f"({bounds}, {p_text(found.p)}; {standard_error(found)})"
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
    equal = "one of two recipes that are equal on these texts would do so in "
    equal += f"{chance.numerator} of {chance.denominator}"
    if chance < ALPHA:
        return f"{beats}; {equal} comparisons, but seeds and texts leave room for chance {test}."
    seeds = f"{n} seeds each" if n == m else f"{n} and {m} seeds"
    return f"{beats}, but {equal} comparisons: {seeds} cannot rule out chance {test}."


# --- Labels ---------------------------------------------------------------------------


def gains(comparison: Comparison) -> list[str]:
    """The three labels that gained and lost most, best run against the runner-up."""
    best, base, noun = comparison.best, comparison.runner_up, comparison.noun
    if base is None or best.recipe is base.recipe:
        return []
    found = comparison.best_vs_runner_up or {}
    deltas = []
    for label in comparison.labels:
        value, other = best.of_class("f1", label), base.of_class("f1", label)
        if value is not None and other is not None:
            paired = found.get(f"f1_{label}")
            clear = paired is not None and paired.verdict != "tie"
            deltas.append((paired.value if paired else value - other, label, clear))
    deltas.sort(key=lambda item: -item[0])
    more = [item for item in deltas if item[0] > 0]
    less = [item for item in deltas[::-1] if item[0] < 0]
    gained, lost = (
        _labels(own[:3], [label for _, label, clear in own if clear], tested=bool(found))
        for own in (more, less)
    )
    lines = [f"Gained most F1 against {side(base)}: {gained}."] if more else []
    none = f"No {noun} {'lost F1' if more else f'differs in F1 {comparison.at}'}."
    lines.append(f"Lost most F1: {lost}." if less else none)
    if any(clear for *_, clear in (*more[:3], *less[:3])):
        lines.append(f"* more than noise (Holm-adjusted over the {comparison.nouns}).")
    return lines


def _labels(deltas: list[tuple[float, str, bool]], clear: list[str], *, tested: bool) -> str:
    """Labels with their differences, and which are more than noise where none of these is."""
    words = listed(f"{label} {signed(delta)}{'*' if own else ''}" for delta, label, own in deltas)
    if any(own for *_, own in deltas):
        return words
    if not tested:
        return f"{words}; not tested"
    more = f"more than noise: {listed(clear, 3)}" if clear else "none more than noise"
    return f"{words}; {more} (Holm)"
