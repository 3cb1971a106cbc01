"""Thresholds: what each protocol gives, the sweep of one threshold, the tuned values."""

from __future__ import annotations

from typing import Final
from weakref import WeakKeyDictionary

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import listed
from goemo_report.metrics.arrays import FloatArray
from goemo_report.metrics.rankings import CUTS, sweep
from goemo_report.report.document import Axis, Callout, Cell, Column, Plot, Section, Table
from goemo_report.report.sections._tables import (
    Cells,
    label_table,
    lines,
    run_columns,
    run_table,
    with_interval,
)
from goemo_report.report.sections._words import sample
from goemo_report.report.sections.calibration import calibration_of, ranked
from goemo_report.thresholds.protocols import Protocol
from goemo_report.thresholds.tune import MINIMUM_SUPPORT

ORDER = 60
CHAPTER = "Thresholds and calibration"
NEEDS_PROBABILITIES = True
_PROTOCOLS: Final[tuple[tuple[Protocol, str], ...]] = (
    ("fixed", "fixed 0.5"),
    ("as-logged", "as logged"),
    ("global", "one for all, tuned on validation"),
    ("per-class", "per class, tuned on validation"),
    ("oracle", "bound: tuned on these texts"),
)
_TITLES: Final = {
    "macro_f1": "Macro F1 at one threshold",
    "micro_f1": "Micro F1 at one threshold",
    "coverage": "Texts with a predicted label",
}
_FOUND: Final = WeakKeyDictionary[ComparedRun, dict[str, FloatArray]]()
_SHOWN: Final = slice(5, 96, 3)
"""Every third threshold from 0.05 to 0.95, for figures."""
_KEPT: Final = (1.0, 0.8, 0.5)  # shares of texts whose micro F1 the table has
_BRIEF: Final = 30  # labels whose thresholds the two-page form names
_TABLE_AT: Final = tuple(range(10, 100, 10))  # 0.1, 0.2, ..., 0.9


def build(comparison: Comparison) -> Section:
    """Protocols side by side, sweeps, tuned thresholds."""
    return Section.of(
        "thresholds",
        "Thresholds",
        sweep_plot(comparison, "macro_f1"),
        sweep_plot(comparison, "coverage"),
        risk_plot(comparison),
        _protocols(comparison, "macro_f1", "Macro F1"),
        _untuned(comparison),
        _few_positives(comparison),
        _protocols(comparison, "micro_f1", "Micro F1"),
        _tuned(comparison),
        method=f"{sample(comparison)}, predicted at p \u2265 t. "
        "Tuned thresholds are chosen on the validation predictions and applied here unchanged: one "
        "for all by macro F1, or one per class by its F1 (a class with fewer than "
        f"{MINIMUM_SUPPORT} positives in validation keeps the global one). The last column is "
        "tuned on the very texts it is judged on: an unreachable bound, not a result. Intervals "
        "of macro F1 at one threshold per class hold the uncertainty of the thresholds; others "
        "take them as given. Least sure: a text is the surer the smaller the sum of "
        "min(p, 1 \u2212 p) over its labels; AURC is the mean Hamming loss over all shares of "
        "texts that are kept (Geifman and El-Yaniv 2017).",
    )


def _untuned(comparison: Comparison) -> Callout | None:
    names = [run.name for run in comparison.with_probabilities if run.tuned is None]
    reason = (
        "the report is on validation itself, where tuning would be the bound"
        if comparison.split == "val"
        else "no validation predictions with the same labels"
    )
    return Callout("note", f"No tuned columns for {listed(names, 5)}: {reason}.") if names else None


def deciding(comparison: Comparison) -> Callout | None:
    """The tuned thresholds of the best run, where they decide which that is."""
    best = comparison.best
    choice = best.tuned.choice if best.tuned else None
    if choice is None or choice.thresholds is None or comparison.criterion.key != TUNED_F1:
        return None
    values = zip(choice.labels, choice.thresholds.tolist(), strict=True)
    cuts = listed((f"{label} {value:.2f}" for label, value in values), _BRIEF)
    return Callout("note", f"Tuned thresholds of {best.short}: {cuts}.")


def _few_positives(comparison: Comparison) -> Callout | None:
    """Which labels validation has too little of to tune a threshold on."""
    choices = [run.tuned.choice for run in comparison.runs if run.tuned]
    few = [one for one in comparison.labels if any(one in choice.fallback for choice in choices)]
    if not few:
        return None
    verb = "has" if len(few) == 1 else "have"
    sizes = sorted({choice.rows for choice in choices if choice.fallback})
    texts = " or ".join(f"{size:,}" for size in sizes)
    return Callout(
        "note",
        f"Few texts to tune on: {listed(few, 6)} {verb} fewer than {MINIMUM_SUPPORT} positives in "
        f"validation ({texts} texts) and no threshold of their own.",
    )


def _protocols(comparison: Comparison, key: str, title: str) -> Table:
    def cells(run: ComparedRun) -> Cells:
        for name, _ in _PROTOCOLS:
            result = run.protocol(name)
            value = result.overall[key] if result else None
            if name == "oracle":
                yield Cell(value, mark="muted", note="bound, not a result")
            elif name == "fixed":
                yield with_interval(value, run.interval(key))
            elif result and name == "per-class" and key == "macro_f1":
                yield with_interval(value, run.tuned_interval)
            else:
                yield value
        chosen = run.protocol("global")
        thresholds = chosen.choice.thresholds if chosen else None
        yield None if thresholds is None else float(thresholds[0])
        yield run.split_result.threshold.description

    return run_table(
        f"thresholds-{key.replace('_', '-')}",
        f"{title} by threshold protocol",
        comparison.ranked,
        (
            *(Column(name, words, "number") for name, words in _PROTOCOLS),
            Column("global_threshold", "tuned threshold", "number"),
            Column("logged_threshold", "threshold of pred_labels"),
        ),
        cells,
        collapsed=key != "macro_f1",
    )


def _sweeps(comparison: Comparison) -> dict[ComparedRun, dict[str, FloatArray]]:
    """F1 and coverage of each run over the thresholds of CUTS; kept as long as the runs are."""
    for run in comparison.with_probabilities:
        if run not in _FOUND:
            _FOUND[run] = sweep(run.predictions.truth, run.predictions.probabilities)
    return {run: _FOUND[run] for run in comparison.with_probabilities}


def sweep_plot(comparison: Comparison, name: str) -> Plot:
    """One measure of the sweep of one threshold for all labels, a line a recipe."""
    found = _sweeps(comparison)
    identifier, title = f"sweep-{name.replace('_', '-')}", _TITLES[name]
    grid = CUTS[_SHOWN]
    table = run_table(
        f"{identifier}-values",
        title,
        found,
        (Column(f"at_{0.1 * n:.1f}", f"{0.1 * n:.1f}", "number") for n in range(1, 10)),
        lambda run: (float(found[run][name][at]) for at in _TABLE_AT),
        collapsed=True,
    )
    return Plot(
        id=identifier,
        title=title,
        alt=f"{title}: one line a recipe over thresholds from 0.05 to 0.95.",
        x=Axis("threshold", low=0, high=1),
        y=Axis("", low=0, percent=name == "coverage"),
        series=tuple(
            lines(comparison, {run: (grid, one[name][_SHOWN]) for run, one in found.items()})
        ),
        table=table,
        caption="Over the texts of this report: choose on validation."
        if name == "macro_f1"
        else "",
        shape="small",
        legend=name != "coverage",  # it stands beside another with the same lines
    )


def risk_plot(comparison: Comparison) -> Plot:
    """Errors of the texts that are kept, over their share."""
    found = {run: calibration_of(run).selective for run in ranked(comparison)}
    table = run_table(
        "risk-coverage-values",
        "Micro F1 of the texts kept",
        ranked(comparison),
        (
            Column("aurc", "AURC", "number", digits=4),
            *(Column(f"at_{share:g}", f"{share:.0%} kept", "number") for share in _KEPT),
        ),
        lambda run: (found[run].aurc, *(1.0 - found[run].error_at(share) for share in _KEPT)),
    )
    return Plot(
        id="risk-coverage",
        title="Errors when the least sure are left out",
        alt="1 minus micro F1 of the texts kept, over the share that is kept when the least sure "
        "are left out first; one line a recipe.",
        x=Axis("share of texts kept", low=0, high=1, percent=True),
        y=Axis("1 \u2212 micro F1", low=0),
        series=tuple(
            lines(comparison, {run: (one.coverage, one.error) for run, one in found.items()})
        ),
        table=table,
        shape="small",
        legend=False,
    )


def _tuned(comparison: Comparison) -> Table | None:
    """Tuned threshold of each label, all runs."""
    runs = [run for run in comparison.runs if run.tuned is not None]
    if not runs:
        return None
    return label_table(
        comparison,
        "thresholds-tuned",
        f"Thresholds per {comparison.noun}, tuned on validation",
        run_columns(runs),
        lambda label: (_tuned_cell(run, label) for run in runs),
        caption="Set back and noted: too few positives in validation, the global threshold was "
        "kept. "
        "The option --export-thresholds FILE.json writes them for use.",
        collapsed=True,
    )


def _tuned_cell(run: ComparedRun, label: str) -> Cell:
    choice = run.tuned.choice if run.tuned else None
    if choice is None or choice.thresholds is None or label not in choice.labels:
        return Cell(None)
    kept = label in choice.fallback
    return Cell(
        float(choice.thresholds[choice.labels.index(label)]),
        mark="muted" if kept else None,
        note="the global threshold: too few positives" if kept else "",
    )
