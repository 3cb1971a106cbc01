"""Overall metrics of every run, recomputed, with intervals."""

from __future__ import annotations

from typing import Final

from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import listed, plural
from goemo_report.metrics.table import READING_ORDER, ZERO_DIVISION_RULE, OverallMetric, titles
from goemo_report.report.document import Callout, Section, Table
from goemo_report.report.sections._tables import Cells, metric_cell, metric_column, run_table
from goemo_report.report.sections._words import INTERVALS, measured
from goemo_report.report.sections.thresholds import sweep_plot
from goemo_report.statistics.intervals import METHODS

ORDER = 120
CHAPTER = "Appendix"
_TABLES: Final = {
    "scores": "F1 and AUC",
    "precision-recall": "Precision and recall",
    "texts": "Whole texts",
}
ONE_SIDED: Final = (
    "Where {nouns} are never predicted, the interval of macro F1 can reach much further up than "
    "down: an F1 of 0 from few positives is uncertain, and cannot be lower."
)


def build(comparison: Comparison) -> Section:
    """All overall metrics of all runs on the split of the report."""
    methods = "; ".join(text for key, text in METHODS.items() if key != "class")
    options = comparison.options
    return Section.of(
        "overall",
        "Overall metrics",
        *(_table(comparison, group) for group in _TABLES),
        _without_probabilities(comparison),
        _without_auc(comparison),
        sweep_plot(comparison, "micro_f1") if comparison.with_probabilities else None,
        lead=f"Recomputed from the predictions; the best value of each is marked. {INTERVALS}",
        method=f"{measured(comparison)}; AUC and AP "
        f"(average precision) need no threshold. {ZERO_DIVISION_RULE} Intervals: {methods}; "
        f"{plural(options.resamples, 'resample')}, seed {options.seed}.",
    )


def _without_probabilities(comparison: Comparison) -> Callout | None:
    runs = [run.name for run in comparison.runs if not run.scores.has_probabilities]
    needed = titles(lambda one: one.needs_probabilities)
    text = (
        f"No probabilities in the files of {listed(runs)}, only predicted labels: no {needed}, "
        "no calibration, curves and thresholds."
    )
    return Callout("note", text) if runs else None


def _without_auc(comparison: Comparison) -> Callout | None:
    of_runs = [run.scores for run in comparison.runs if run.scores.has_probabilities]
    found = {label for scores in of_runs for label in scores.without_auc}
    verb = "has" if len(found) == 1 else "have"
    text = (
        f"{listed(sorted(found, key=comparison.labels.index))} {verb} no positive text in a run's "
        "split: no AUC, and left out of its macro AUC and macro AP."
    )
    return Callout("note", text) if found else None


def _table(comparison: Comparison, group: str) -> Table:
    """The metrics of a group that any run has."""
    best = {
        one.key: _best(comparison, one)
        for one in READING_ORDER
        if one.metric.group == group
        and any(run.value(one.key) is not None for run in comparison.runs)
    }

    def cells(run: ComparedRun) -> Cells:
        for key, value in best.items():
            is_best = value is not None and run.value(key) == value
            yield metric_cell(run, key, "best" if is_best else None)

    never = any(run.scores.never_predicted for run in comparison.runs)
    one_sided = ONE_SIDED.format(nouns=comparison.nouns)  # without it intervals look wrong
    return run_table(
        f"overall-{group}",
        _TABLES[group],
        comparison.runs,
        map(metric_column, best),
        cells,
        caption=one_sided if never and "macro_f1" in best else "",
    )


def _best(comparison: Comparison, one: OverallMetric) -> float | None:
    """The best value of a metric; None for a single run, where there is nothing to win."""
    values = [run.value(one.key) for run in comparison.runs]
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    return min(known) if one.metric.lower_is_better else max(known)
