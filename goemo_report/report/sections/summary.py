"""The summary: what a reader must know in ten seconds."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, stdev
from typing import Final

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.analysis.truth import check_logged, leaks
from goemo_report.comparison import ComparedRun, Comparison, Recipe
from goemo_report.formats.wording import listed, plural
from goemo_report.metrics.table import OVERALL
from goemo_report.report.document import Cell, Facts, Section
from goemo_report.report.sections._tables import callout, metric_cell
from goemo_report.report.sections._verdict import verdict
from goemo_report.report.sections._words import AT_HALF, METRIC_TITLES, SMALLEST_P, resampling_text

ORDER = 10
_HEADLINE: Final = ("macro_f1", "micro_f1", "micro_auc", "macro_auc", TUNED_F1)


def build(comparison: Comparison) -> Section:
    """The best run, by how much, whether that is noise, gains and losses, warnings."""
    warnings = (
        *_of_comparison(comparison),
        *(warning for run in comparison.runs for warning in _of_run(run)),
        *(
            f"{item.name} was left out: {item.reason}. {item.remedy}".strip()
            for item in comparison.skipped
        ),
    )
    return Section.of(
        "summary",
        "Summary",
        verdict(comparison),
        _facts(comparison),
        callout("warning", "Before you trust these numbers:", warnings),
        method=f"Chosen by {_chosen_by(comparison)}, judged on the {comparison.split} split, "
        f"{AT_HALF}; paired "
        "on the same texts: interval and p from a randomisation test "
        f"({resampling_text(comparison)}; {SMALLEST_P}). More than noise: the 95% interval "
        "excludes zero and p < 0.05. That is about the texts. Over seeds: "
        "Student's t with the variance over seeds and over texts, see Seeds.",
    )


def _facts(comparison: Comparison) -> Facts:
    recipe = comparison.best_recipe
    if recipe is not None and len(recipe.runs) > 1:
        items = _seed_facts(comparison, recipe)
    else:
        items = _run_facts(comparison, recipe.runs[0] if recipe else comparison.best)
    left = plural(len(comparison.skipped), "run") + " left out"
    return Facts("summary-facts", (*items, ("runs compared", Cell(len(comparison.runs)), left)))


def _threshold(key: str, noun: str) -> str:
    if key == TUNED_F1:
        return f"one threshold per {noun}, tuned on validation"
    return "no threshold" if OVERALL[key].metric.needs_probabilities else "threshold 0.5"


def _chosen_by(comparison: Comparison) -> str:
    """The figure that chose the best run."""
    if comparison.rank_on == comparison.split:
        return "macro F1 at 0.5"
    tuned = len(set(comparison.statistics.losses.values())) > 1
    return f"macro F1 on validation {'at cross-fitted thresholds' if tuned else 'at 0.5'}"


def _seed_facts(comparison: Comparison, recipe: Recipe) -> Iterator[tuple[str, Cell, str]]:
    """Means over the seeds of a recipe: the luckiest seed is nobody's result."""
    seeds, title = len(recipe.seeds), Cell(recipe.title)
    over = plural(seeds, "seed") if recipe.group.by_seed else "seeds not logged"
    if len(comparison.recipes) == 1:
        yield "recipe", title, over
    else:
        yield "best recipe", title, f"by mean {_chosen_by(comparison)}"
    spread = "mean \u00b1 sd" if seeds > 1 else f"mean of {len(recipe.counted)} runs"
    where = f"{spread}, {over}; {comparison.split} split"
    for key in _HEADLINE:
        values = recipe.values(key)
        if len(values) == seeds:
            text = f"{fmean(values):.3f}"
            if seeds > 1:
                text += f" \u00b1 {stdev(values):.3f}"
            yield METRIC_TITLES[key], Cell(text), f"{where}, {_threshold(key, comparison.noun)}"


def _run_facts(comparison: Comparison, run: ComparedRun) -> Iterator[tuple[str, Cell, str]]:
    where = f"{comparison.split} split, n = {run.found.rows:,}"
    yield "best run", Cell(run.name, link=run.record.url), f"by {_chosen_by(comparison)}"
    for key in _HEADLINE:
        interval = "" if key == TUNED_F1 else ", 95% interval"
        if run.value(key) is not None or key != TUNED_F1:
            cell = metric_cell(run, key)
            yield METRIC_TITLES[key], cell, f"{where}, {_threshold(key, comparison.noun)}{interval}"


def _of_comparison(comparison: Comparison) -> Iterator[str]:
    for change, changed in comparison.label_changes.items():
        yield f"{', '.join(changed)}: {change}."
    if not comparison.same_texts:
        sizes = ", ".join(f"{run.key} {run.found.rows:,}" for run in comparison.runs)
        yield (
            f"The runs were not judged on the same {comparison.split} texts ({sizes}), so their "
            "values and places are not directly comparable; differences are taken on common texts."
        )
    leaked: dict[str, list[str]] = {}
    losses: dict[str, list[str]] = {}
    for run in comparison.runs:
        for leak in leaks(run.result):
            if leak.large:
                leaked.setdefault(str(leak), []).append(run.key)
        losses.setdefault(comparison.statistics.losses[run.id], []).append(run.key)
    for what, keys in leaked.items():
        yield (
            f"{', '.join(keys)}: {what}. Scores on texts that were seen before say little "
            "about new ones."
        )
    if len(losses) > 1:
        words = "; ".join(f"{', '.join(keys)} {loss}" for loss, keys in losses.items())
        yield (
            f"The runs were trained with different losses ({words}). A loss shifts the "
            "probabilities, so that 0.5 means something else for each and F1 at 0.5 is no fair "
            "comparison: compare AUC, and macro F1 at tuned thresholds."
        )


def _of_run(run: ComparedRun) -> Iterator[str]:
    never = run.found.scores.never_predicted
    if never:
        yield (
            f"{run.name} never predicts {len(never)} of {len(run.labels)} "
            f"{run.label_set.nouns} at 0.5: "
            f"{listed(never, 6)}."
        )
    wrong = sum(not check.agrees for check in check_logged(run.result))
    if wrong:
        verb = "differs" if wrong == 1 else "differ"
        yield f"{run.name}: {plural(wrong, 'logged figure')} {verb} from the predictions."
    if run.record.state != "finished":
        yield f"{run.name} is {run.record.state}, not finished."
    if run.alignment and not run.is_paired:
        yield f"{run.name}: {run.alignment.note}."
