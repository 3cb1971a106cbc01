"""What several sections say in the same words: titles, samples, verdicts, p-values."""

from __future__ import annotations

from typing import Final

import numpy as np

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.analysis.configs import model_title, seed_key
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import plural
from goemo_report.metrics.table import OVERALL
from goemo_report.statistics.differences import RANDOMISATIONS, Difference
from goemo_report.statistics.many_runs import SeedDifference

METRIC_TITLES: Final = {key: one.title for key, one in OVERALL.items()} | {
    TUNED_F1: "macro F1, tuned"
}
HELD_OUT: Final = "held-out rater"
AT_HALF: Final = "threshold 0.5 (predicted at p \u2265 0.5)"
INTERVALS: Final = (
    "In brackets: 95% intervals for the sampling of texts; they say nothing about training seeds."
)
SMALLEST_P: Final = (
    f"the smallest p that {RANDOMISATIONS:,} swaps can give is "
    f"{1 / (RANDOMISATIONS + 1):.4f}, before any adjustment"
)


def sample(comparison: Comparison) -> str:
    """Name the sample: `Test split, n = 5,427 texts`; two numbers where runs differ."""
    return f"{comparison.split.capitalize()} split, n = {texts_range(comparison)}"


def rule(comparison: Comparison, run: ComparedRun | None = None) -> str:
    """How labels are predicted of all runs, or of one."""
    runs = comparison.runs if run is None else (run,)
    given = [one for one in runs if one not in comparison.with_probabilities]
    if len(given) == len(runs):
        return "labels as predicted"
    return f"{AT_HALF}, labels without probabilities as predicted" if given else AT_HALF


def rule_in_full(comparison: Comparison) -> str:
    """Explain in sentences how labels are predicted."""
    given = "Labels without probabilities are taken as predicted."
    if not comparison.with_probabilities:
        return given
    at = (
        "A label is predicted where its probability is at least the threshold; where nothing else "
        "is said, that is 0.5."
    )
    return at if len(comparison.with_probabilities) == len(comparison.runs) else f"{at} {given}"


def measured(comparison: Comparison, run: ComparedRun | None = None) -> str:
    """Name the sample, and how labels are predicted."""
    return f"{sample(comparison)}, {rule(comparison, run)}"


def texts_range(comparison: Comparison, of: str = "") -> str:
    """How many texts the runs were judged on: `5,427 test texts`, or `1,500 to 5,427 texts`."""
    sizes = sorted({run.split_result.rows for run in comparison.runs})
    last = plural(sizes[-1], f"{of} text".lstrip())
    return last if len(sizes) == 1 else f"{sizes[0]:,} to {last}"


def resampling_text(comparison: Comparison) -> str:
    """How often was resampled and swapped: `1,000 resamples, 2,000 random swaps, seed 0`."""
    options = comparison.options
    resamples = plural(options.resamples, "resample")
    found = f"{resamples}, {RANDOMISATIONS:,} random swaps, seed {options.seed}"
    return f"{found}, of whole clusters by {options.cluster}" if options.cluster else found


def side(run: ComparedRun) -> str:
    """A run beside the words A and B: its key alone where its own name is one of them."""
    return run.key if {"a", "b"} & set(run.short.lower().split()) else run.short


def called(run: ComparedRun) -> str:
    """A run's name with what tells it from others of its model: `bert-20241210 (lr 1e-05)`."""
    label = run.short.removeprefix(f"{run.key} {model_title(run.record)}").strip()
    return run.name if label in {"", run.id} else f"{run.name} ({label})"


def same_recipe(run: ComparedRun, other: ComparedRun) -> str:
    """Whether two runs of one recipe have different seeds, in words; empty for two recipes."""
    if run.recipe is not other.recipe:
        return ""
    seeds = {seed_key(run.record), seed_key(other.record)}
    if None in seeds:
        return "seeds not logged"
    return "other seed" if len(seeds) == 2 else "same seed"


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


def p_text(p: float) -> str:
    """A p-value in a sentence: `p = 0.012`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def p_of(found: Difference) -> str:
    """The adjusted p of a difference; `p \u2264 0.014` where no swap was as extreme."""
    return p_text(found.p_adjusted).replace("=", "\u2264" if found.at_most else "=")


def standard_error(found: SeedDifference) -> str:
    """Split the standard error of a tested difference into seeds and texts."""
    parts = (("seeds", found.seed_error or 0.0), ("texts", found.text_error or 0.0))
    words = (f"{name} {'add none' if error < 5e-5 else f'{error:.4f}'}" for name, error in parts)
    return f"standard error: {', '.join(words)}"


def signed(value: float) -> str:
    """A difference in a sentence, with a true minus sign."""
    return f"{value:+.3f}".replace("-", "\u2212")
