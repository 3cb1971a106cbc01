"""The summary: what a reader must know in ten seconds."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Final

from goemo_report.analysis.configs import SeedGroup
from goemo_report.analysis.truth import check_logged, leaks
from goemo_report.comparison import Comparison
from goemo_report.metrics.table import OVERALL
from goemo_report.report.document import Block, Callout, Cell, Facts, Section
from goemo_report.report.sections._common import (
    AT_HALF,
    METRIC_TITLES,
    SMALLEST_P,
    TUNED_F1,
    best_recipe,
    group_title,
    group_values,
    listed,
    plural,
    resampling_text,
    with_interval,
)
from goemo_report.report.sections._verdict import verdict
from goemo_report.results import RunResult

ORDER = 10


def build(comparison: Comparison) -> Section:
    """The best run, by how much, whether that is noise, gains and losses, warnings."""
    blocks: list[Block] = [verdict(comparison), _facts(comparison)]
    warnings = _warnings(comparison)
    if warnings:
        blocks.append(Callout("warning", "Before you trust these numbers:", tuple(warnings)))
    return Section(
        "summary",
        "Summary",
        tuple(blocks),
        method=f"Ranked by macro F1 on the {comparison.split} split, {AT_HALF}; paired "
        "on the same texts: interval and p from a randomisation test "
        f"({resampling_text(comparison)}; {SMALLEST_P}). More than noise: the 95% interval "
        "excludes zero and p < 0.05. That is about the texts. Over seeds: Welch's t "
        "test on one value a seed, see Seeds.",
    )


_HEADLINE: Final = ("macro_f1", "micro_f1", "micro_auc", "macro_auc")


def _facts(comparison: Comparison) -> Facts:
    recipe = best_recipe(comparison)
    if recipe is not None and len(recipe.counted) > 1:
        items = _of_seeds(comparison, recipe)
    else:
        alone = recipe.counted if recipe is not None else (comparison.best.id,)
        items = _of_run(comparison, next(run for run in comparison.runs if run.id in alone))
    left = plural(len(comparison.skipped), "run") + " left out"
    items.append(("runs compared", Cell(len(comparison.runs)), left))
    return Facts("summary-facts", tuple(items))


def _of_seeds(comparison: Comparison, group: SeedGroup) -> list[tuple[str, Cell, str]]:
    """Means over the seeds of a recipe: the luckiest seed is nobody's result."""
    seeds = len(group.counted)
    where = f"mean \u00b1 sd, {seeds} seeds; {comparison.split} split"
    items = [("best recipe", Cell(group_title(comparison, group)), "by mean macro F1 at 0.5")]
    if len(comparison.groups) == 1:
        items = [("recipe", Cell(group_title(comparison, group)), f"{seeds} seeds")]
    for key in (*_HEADLINE, TUNED_F1):
        values = group_values(comparison, group, key)
        if len(values) == seeds:
            text = f"{fmean(values):.3f} \u00b1 {stdev(values):.3f}"
            how = "one threshold per emotion, tuned on validation"
            if key in OVERALL:
                how = "no threshold" if _ranks(key) else "threshold 0.5"
            items.append((METRIC_TITLES[key], Cell(text), f"{where}, {how}"))
    return items


def _of_run(comparison: Comparison, run: RunResult) -> list[tuple[str, Cell, str]]:
    found = comparison.on_split(run)
    intervals = comparison.intervals[run.id]
    where = f"{comparison.split} split, n = {found.rows:,}"
    half, ranking = f"{where}, threshold 0.5, 95% interval", f"{where}, no threshold, 95% interval"
    items: list[tuple[str, Cell, str]] = [
        ("best run", Cell(comparison.name(run), link=run.run.url), "by macro F1 at 0.5")
    ]
    for key in _HEADLINE:
        how = ranking if _ranks(key) else half
        cell = with_interval(found.scores.overall[key], intervals[key])
        items.append((METRIC_TITLES[key], cell, how))
    tuned = comparison.protocol(run, "per-class")
    if tuned is not None:
        items.append(
            (
                "macro F1, tuned",
                with_interval(tuned.overall["macro_f1"], comparison.tuned_intervals[run.id]),
                f"{where}, one threshold per emotion, tuned on validation",
            )
        )
    return items


def _ranks(key: str) -> bool:
    return OVERALL[key].metric.needs_probabilities


def _warnings(comparison: Comparison) -> list[str]:
    warnings = []
    if not comparison.same_texts:
        sizes = ", ".join(
            f"{comparison.keys[run.id]} {comparison.on_split(run).rows:,}"
            for run in comparison.runs
        )
        warnings.append(
            f"The runs were not judged on the same {comparison.split} texts ({sizes}), so their "
            "values and places are not directly comparable; differences are taken on common texts."
        )
    leaked: dict[str, list[str]] = {}
    for run in comparison.runs:
        for leak in leaks(run):
            if leak.large:
                leaked.setdefault(str(leak), []).append(comparison.keys[run.id])
    for what, keys in leaked.items():
        warnings.append(
            f"{', '.join(keys)}: {what}. Scores on texts that were seen before say little "
            "about new ones."
        )
    losses = _losses(comparison)
    if len(losses) > 1:
        warnings.append(
            f"The runs were trained with different losses ({'; '.join(losses)}). A loss shifts the "
            "probabilities, so that 0.5 means something else for each and F1 at 0.5 is no fair "
            "comparison: compare AUC, and macro F1 at tuned thresholds."
        )
    for run in comparison.runs:
        found = comparison.on_split(run)
        name = comparison.name(run)
        never = found.scores.never_predicted
        if never:
            warnings.append(
                f"{name} never predicts {len(never)} of {len(found.labels)} emotions at 0.5: "
                f"{listed(never, 6)}."
            )
        wrong = sum(not check.agrees for check in check_logged(run))
        if wrong:
            verb = "differs" if wrong == 1 else "differ"
            warnings.append(
                f"{name}: {plural(wrong, 'logged figure')} {verb} from the predictions."
            )
        if run.run.state != "finished":
            warnings.append(f"{name} is {run.run.state}, not finished.")
        if run is not comparison.baseline and not comparison.alignments[run.id].paired:
            warnings.append(f"{name}: {comparison.alignments[run.id].note}.")
    warnings += [
        f"{item.name} was left out: {item.reason}. {item.remedy}".strip()
        for item in comparison.skipped
    ]
    return warnings


def _losses(comparison: Comparison) -> list[str]:
    """Each loss that runs were trained with, after their keys; without a `loss` it is BCE."""
    by_loss: dict[str, list[str]] = {}
    for run in comparison.runs:
        by_loss.setdefault(str(run.run.config.get("loss", "bce")), []).append(
            comparison.keys[run.id]
        )
    return [f"{', '.join(keys)} {loss}" for loss, keys in by_loss.items()]
