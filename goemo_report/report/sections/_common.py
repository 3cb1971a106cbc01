"""What several sections share: titles of metrics, cells and columns of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean
from typing import Any, Final

import numpy as np

from goemo_report.analysis.configs import SeedGroup
from goemo_report.analysis.run_labels import run_labels
from goemo_report.comparison import RANKING_METRIC, Comparison
from goemo_report.formats.wording import listed as listed
from goemo_report.formats.wording import plural as plural
from goemo_report.metrics.table import OVERALL
from goemo_report.report.document import Cell, Column, Mark, Value
from goemo_report.results import RunResult
from goemo_report.statistics.differences import RANDOMISATIONS, Difference
from goemo_report.statistics.intervals import Interval

TUNED_F1: Final = "tuned_macro_f1"
METRIC_TITLES: Final = {key: one.title for key, one in OVERALL.items()} | {
    TUNED_F1: "macro F1, tuned"
}
AT_HALF: Final = "threshold 0.5 (predicted at p \u2265 0.5)"


def sample(comparison: Comparison) -> str:
    """What was measured: `Test split, n = 5,427 texts`; two numbers where runs differ."""
    return f"{comparison.split.capitalize()} split, n = {texts_range(comparison)} texts"


def texts_range(comparison: Comparison) -> str:
    """How many texts the runs were judged on: `5,427`, or `1,500 to 5,427`."""
    sizes = sorted({comparison.on_split(run).rows for run in comparison.runs})
    return f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"


def run_cell(comparison: Comparison, run: RunResult) -> Cell:
    """A run's name with its link, marked where it is the baseline."""
    note = "baseline" if run is comparison.baseline else ""
    return Cell(comparison.name(run), link=run.run.url, note=note)


def called(comparison: Comparison, run: RunResult) -> str:
    """A run's name with what tells it from others of its model: `bert-20241210 (lr 1e-05)`."""
    label = comparison.short(run).removeprefix(f"{comparison.keys[run.id]} {run.run.model_name}")
    name = comparison.name(run)
    return name if label.strip() in {"", run.id} else f"{name} ({label.strip()})"


def key_column() -> Column:
    """The column of the runs' short keys, which wide tables and legends use."""
    return Column("key", "key")


def run_columns(comparison: Comparison, runs: Iterable[RunResult], **options: Any) -> list[Column]:
    """One number column a run, with its short name as title."""
    return [Column(run.id, comparison.short(run), "number", **options) for run in runs]


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


def group_values(
    comparison: Comparison, group: SeedGroup, key: str = RANKING_METRIC
) -> list[float]:
    """One metric of one run a seed; runs in which it is undefined are left out.

    `TUNED_F1` is macro F1 at each run's own thresholds, tuned on its validation split.
    """

    def value(run: RunResult) -> float | None:
        if key != TUNED_F1:
            return comparison.on_split(run).scores.overall[key]
        tuned = comparison.protocol(run, "per-class")
        return tuned.overall["macro_f1"] if tuned else None

    found = [value(run) for run in comparison.runs if run.id in group.counted]
    return [one for one in found if one is not None]


def same_recipe(comparison: Comparison, run: RunResult, other: RunResult) -> str:
    """Whether two runs of one recipe have different seeds, in words; empty for two recipes."""
    if comparison.group(run) is not comparison.group(other):
        return ""
    of_seed = comparison.group(run).by_seed.values()
    known = [ids for ids in of_seed if run.id in ids or other.id in ids]
    if len(known) == 2:
        return "other seed"
    return "same seed" if known and {run.id, other.id} <= set(known[0]) else "seeds not logged"


def identical(comparison: Comparison, run: RunResult, other: RunResult) -> bool:
    """Whether two runs give the same probabilities to the same texts, bit by bit."""
    ours, theirs = comparison.on_split(run).predictions, comparison.on_split(other).predictions
    same = (ours.texts, ours.labels) == (theirs.texts, theirs.labels)
    return same and np.array_equal(ours.probabilities, theirs.probabilities)


def verdict_word(comparison: Comparison, run: RunResult) -> str:
    """The verdict of a run against the baseline; seeds of one recipe are not told apart."""
    found = comparison.differences.get(run.id)
    macro = found["macro_f1"] if found else None
    if run is comparison.baseline:
        return "baseline"
    if macro is None:
        return "not paired"
    return same_recipe(comparison, run, comparison.baseline) or macro.verdict


def best_recipe(comparison: Comparison) -> SeedGroup | None:
    """The recipe with the best mean macro F1, where any has several seeds on the same texts."""
    if not comparison.alike or all(len(group.counted) < 2 for group in comparison.groups):
        return None
    return max(comparison.groups, key=lambda group: fmean(group_values(comparison, group)))


def group_title(comparison: Comparison, group: SeedGroup) -> str:
    """Model, what tells it from other recipes, and keys: `roberta-large lr 1e-05 (R3, R4)`."""
    keys = ", ".join(comparison.keys[run_id] for run_id in group.run_ids)
    first = {other.run_ids[0] for other in comparison.groups}  # one run speaks for its recipe
    labels = run_labels([run.run for run in comparison.runs if run.id in first])
    label = labels[group.run_ids[0]]
    return f"{group.name if label.endswith(group.run_ids[0]) else label} ({keys})"


# --- Intervals and differences --------------------------------------------------------

INTERVALS: Final = (
    "In brackets: 95% intervals for the sampling of texts; they say nothing about training seeds."
)


def with_interval(value: float | None, interval: Interval | None, mark: Mark | None = None) -> Cell:
    """A metric with its 95% interval; without it where there is none."""
    if value is None or interval is None:
        return Cell(number(value), mark=mark)
    return Cell(number(value), low=interval.low, high=interval.high, mark=mark)


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


def of_class(comparison: Comparison, run: RunResult, statistic: str, label: str) -> float | None:
    """F1, precision, recall, AUC or average precision of a label at 0.5; None without it."""
    found = comparison.on_split(run)
    if label not in found.labels:
        return None
    at = found.labels.index(label)
    return number(float(found.scores.per_class[statistic][at]))


def class_cell(
    comparison: Comparison,
    run: RunResult,
    statistic: str,
    label: str,
    mark: Mark | None = None,
) -> Cell:
    """A per-class metric with its interval; empty where the run does not have the label."""
    value = of_class(comparison, run, statistic, label)
    if value is None:
        return Cell(None)
    return with_interval(value, comparison.intervals[run.id][f"{statistic}_{label}"], mark)
