"""Thresholds: what each protocol gives, the sweep of one threshold, the tuned values."""

from __future__ import annotations

from typing import Final

from goemo_report.analysis.curves import sweep
from goemo_report.comparison import Comparison
from goemo_report.report.document import (
    Axis,
    Block,
    Callout,
    Cell,
    Column,
    Plot,
    Section,
    Series,
    Table,
    Value,
)
from goemo_report.report.sections._common import (
    METRIC_TITLES,
    difference_cell,
    key_column,
    listed,
    run_cell,
    sample,
    with_interval,
)
from goemo_report.results import RunResult
from goemo_report.thresholds.protocols import Protocol
from goemo_report.thresholds.tune import MINIMUM_SUPPORT

ORDER = 75
_PROTOCOLS: Final[tuple[tuple[Protocol, str], ...]] = (
    ("fixed", "fixed 0.5"),
    ("as-logged", "as logged"),
    ("global", "one for all, tuned on validation"),
    ("per-class", "per class, tuned on validation"),
    ("oracle", "bound: tuned on these texts"),
)
_SHOWN: Final = slice(4, 95, 2)
"""Every other threshold from 0.05 to 0.95, for figures."""
_TABLE_AT: Final = tuple(range(9, 99, 10))  # 0.1, 0.2, ..., 0.9


def build(comparison: Comparison) -> Section:
    """Protocols side by side, sweeps, tuned thresholds."""
    blocks: list[Block] = [
        _protocols(comparison, "macro_f1", "Macro F1"),
        _protocols(comparison, "micro_f1", "Micro F1"),
    ]
    pair = _pair(comparison)
    if pair is not None:
        blocks.append(pair)
    without = [run for run in comparison.runs if comparison.protocol(run, "per-class") is None]
    if without:
        reason = (
            "the report is on validation itself, where tuning would be the bound"
            if comparison.split == "val"
            else "no validation predictions with the same labels"
        )
        names = listed((comparison.name(run) for run in without), 5)
        blocks.append(Callout("note", f"No tuned columns for {names}: {reason}."))
    blocks += _sweeps(comparison)
    tuned = _tuned(comparison)
    if tuned is not None:
        blocks.append(tuned)
    return Section(
        "thresholds",
        "Thresholds",
        tuple(blocks),
        lead="Probabilities become labels at a threshold; how it was chosen is part of every F1.",
        method=f"{sample(comparison)}, predicted at p \u2265 t. "
        "Tuned thresholds are chosen on the validation predictions and applied here unchanged: one "
        "for all by macro F1, or one per class by its F1 (a class with fewer than "
        f"{MINIMUM_SUPPORT} positives in validation keeps the global one). The last column is "
        "tuned on the very texts it is judged on: an unreachable bound, not a result. Intervals "
        "take the thresholds as given.",
    )


def _protocols(comparison: Comparison, key: str, title: str) -> Table:
    rows: list[tuple[Value | Cell, ...]] = []
    for run in comparison.ranked:
        found = {item.choice.protocol: item for item in comparison.protocols[run.id]}
        cells: list[Value | Cell] = []
        for name, _ in _PROTOCOLS:
            result = found.get(name)
            if result is None:
                cells.append(None)
            elif name == "oracle":
                cells.append(Cell(result.overall[key], mark="muted", note="bound, not a result"))
            elif name == "fixed":
                intervals = comparison.intervals[run.id]
                cells.append(with_interval(result.overall[key], intervals[key]))
            elif name == "per-class" and key == "macro_f1":
                interval = comparison.tuned_intervals[run.id]
                cells.append(with_interval(result.overall[key], interval))
            else:
                cells.append(result.overall[key])
        chosen = found.get("global")
        threshold = None
        if chosen is not None and chosen.choice.thresholds is not None:
            threshold = float(chosen.choice.thresholds[0])
        logged = comparison.on_split(run).threshold.description
        rows.append((comparison.keys[run.id], run_cell(comparison, run), *cells, threshold, logged))
    return Table(
        id=f"thresholds-{key.replace('_', '-')}",
        title=f"{title} by threshold protocol",
        columns=(
            key_column(),
            Column("run", "run"),
            *(Column(name, words, "number") for name, words in _PROTOCOLS),
            Column("global_threshold", "tuned threshold", "number"),
            Column("logged_threshold", "threshold of pred_labels"),
        ),
        rows=tuple(rows),
        row_header=1,
        collapsed=key != "macro_f1",
    )


def _pair(comparison: Comparison) -> Block | None:
    """Whether the best run keeps its lead at tuned thresholds, paired as at 0.5."""
    rival, fixed, tuned = comparison.contender, comparison.headline, comparison.tuned_headline
    if rival is None:
        return None
    names = f"{comparison.name(comparison.best)} minus {comparison.name(rival)}"
    if fixed is None or tuned is None:
        return Callout("note", f"{names}: not compared in pairs at tuned thresholds.")
    rows: list[tuple[Value | Cell, ...]] = []
    for words, found in (("fixed 0.5", fixed), ("per class, tuned on validation", tuned)):
        for key in ("macro_f1", "micro_f1"):
            one = found[key]
            rows.append((words, METRIC_TITLES[key], difference_cell(one), one.p if one else None))
    return Table(
        id="thresholds-difference",
        title="The lead of the best run at fixed and at tuned thresholds",
        columns=(
            Column("threshold", "threshold"),
            Column("metric", "metric"),
            Column("difference", "difference", "delta"),
            Column("p", "p", "pvalue"),
        ),
        rows=tuple(rows),
        caption=f"{names}{_whose(comparison, rival)}, paired on the same texts. Each run has its "
        "own tuned thresholds, which count as given. Other pairs are compared at 0.5 only.",
    )


def _whose(comparison: Comparison, rival: RunResult) -> str:
    """What the two runs are to their recipes, where a recipe has several."""
    ours, theirs = comparison.group(comparison.best), comparison.group(rival)
    if ours is theirs:
        return " (runs of one recipe)"
    several = max(len(ours.run_ids), len(theirs.run_ids)) > 1
    return ", one run of each recipe (Seeds has the means of both)" if several else ""


def _sweeps(comparison: Comparison) -> list[Block]:
    found = {
        run.id: sweep(
            comparison.on_split(run).predictions.truth,
            comparison.on_split(run).predictions.probabilities,
        )
        for run in comparison.runs
    }
    blocks: list[Block] = []
    for name, title, axis in (
        ("macro_f1", "Macro F1 at one threshold for all", "macro F1"),
        ("micro_f1", "Micro F1 at one threshold for all", "micro F1"),
        ("coverage", "Coverage: texts with at least one predicted label", "share of texts"),
    ):
        series = tuple(
            Series(
                comparison.short(run),
                tuple(found[run.id].thresholds[_SHOWN].tolist()),
                tuple(getattr(found[run.id], name)[_SHOWN].round(4).tolist()),
                colour=comparison.colours[run.id],
            )
            for run in comparison.runs
        )
        identifier = f"sweep-{name.replace('_', '-')}"
        table = Table(
            id=f"{identifier}-values",
            title=title,
            columns=(
                key_column(),
                Column("run", "run"),
                *(Column(f"at_{0.1 * n:.1f}", f"{0.1 * n:.1f}", "number") for n in range(1, 10)),
            ),
            rows=tuple(
                (
                    comparison.keys[run.id],
                    run_cell(comparison, run),
                    *(float(getattr(found[run.id], name)[at]) for at in _TABLE_AT),
                )
                for run in comparison.runs
            ),
            row_header=1,
            collapsed=True,
        )
        blocks.append(
            Plot(
                id=identifier,
                title=title,
                alt=f"{title}: one line a run over thresholds from 0.05 to 0.95.",
                x=Axis("threshold", low=0, high=1),
                y=Axis(axis, low=0, percent=name == "coverage"),
                series=series,
                table=table,
                caption="Drawn over the texts of this report to show how flat the optimum is; "
                "choose thresholds on validation."
                if name == "macro_f1"
                else "",
            )
        )
    return blocks


def _tuned(comparison: Comparison) -> Block | None:
    """Tuned threshold of each emotion, all runs."""
    tuned: dict[str, dict[str, float]] = {}
    fallback: dict[str, tuple[str, ...]] = {}
    for run in comparison.runs:
        result = comparison.protocol(run, "per-class")
        if result is not None and result.choice.thresholds is not None:
            values = result.choice.thresholds.tolist()
            tuned[run.id] = dict(zip(result.choice.labels, values, strict=True))
            fallback[run.id] = result.choice.fallback
    runs = [run for run in comparison.runs if run.id in tuned]
    if not runs:
        return None
    return Table(
        id="thresholds-tuned",
        title="Thresholds per emotion, tuned on validation",
        columns=(
            Column("emotion", "emotion"),
            *(Column(run.id, comparison.short(run), "number") for run in runs),
        ),
        rows=tuple(
            (label, *(_tuned_cell(run, label, tuned, fallback) for run in runs))
            for label in comparison.labels
        ),
        caption="Set back and noted: too few positives in validation, the global threshold was "
        "kept. "
        "The option --export-thresholds FILE.json writes them for use.",
        collapsed=len(runs) > 6,
    )


def _tuned_cell(
    run: RunResult,
    label: str,
    tuned: dict[str, dict[str, float]],
    fallback: dict[str, tuple[str, ...]],
) -> Cell:
    kept = label in fallback[run.id]
    return Cell(
        tuned[run.id].get(label),
        mark="muted" if kept else None,
        note="the global threshold: too few positives" if kept else "",
    )
