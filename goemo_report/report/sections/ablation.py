"""Ablation: what one change in the config did to each metric."""

from __future__ import annotations

from typing import Any, Final

from goemo_report.analysis.alignment import Alignment, align
from goemo_report.analysis.configs import recipe
from goemo_report.comparison import Comparison
from goemo_report.report.document import Block, Callout, Cell, Column, Section, Table, Value
from goemo_report.report.sections._common import (
    AT_HALF,
    METRIC_TITLES,
    difference_cell,
    listed,
    run_cell,
    sample,
)
from goemo_report.results import RunResult
from goemo_report.statistics.differences import VERDICT_RULE, PairedDifferences

ORDER = 55
_KEYS: Final = ("macro_f1", "micro_f1", "macro_precision", "macro_recall", "micro_auc", "macro_auc")
_FOLLOWS: Final = frozenset(
    {"num_labels", "model_params", "train_samples", "val_samples", "test_samples"}
)
"""Config keys that change because another one did."""


def build(comparison: Comparison) -> Section | None:
    """Each run tagged `ablation` against the run whose config is nearest; None without any."""
    ablations = [run for run in comparison.runs if "ablation" in run.run.tags]
    if not ablations or not comparison.others:
        return None
    rows: list[tuple[Value | Cell, ...]] = []
    notes: list[str] = []
    moved: list[str] = []
    for run in ablations:
        reference = _reference(comparison, run)
        if reference is None:
            continue
        changes = _changes(reference, run)
        alignment = _alignment(comparison, run, reference)
        differences = _difference(comparison, run, reference, alignment)
        rows.append(_row(comparison, run, reference, changes, alignment, differences))
        if not alignment.same_labels or not alignment.complete:
            notes.append(
                f"{comparison.name(run)} and {comparison.name(reference)}: {alignment.note}. Both "
                "were scored again on these alone."
            )
        if len(changes) > 1:
            notes.append(
                f"{comparison.name(run)} changes {len(changes)} keys at once: the difference is "
                "theirs together."
            )
        if differences is not None:
            moved += _moved(comparison, run, differences)
    if not rows:
        return None
    blocks: list[Block] = [_table(rows)]
    if moved:
        blocks.append(Callout("note", "Emotions that changed by more than noise:", tuple(moved)))
    if notes:
        blocks.append(Callout("note", "How to read them:", tuple(notes)))
    return Section(
        "ablation",
        "Ablation",
        tuple(blocks),
        lead="Runs tagged ablation, each against the run whose config is nearest, with the change "
        "between them.",
        method=f"{sample(comparison)}, {AT_HALF}; paired as in Differences. Verdict: "
        f"{VERDICT_RULE}. One seed each, where nothing else is said: a difference holds for these "
        "two runs, and another seed may move it. Seeds and environment are not counted as "
        "changes, nor are keys that follow from another (number of labels, parameters, samples).",
    )


def _changes(reference: RunResult, run: RunResult) -> dict[str, tuple[Any, Any]]:
    """Config keys with different values, those that follow from others left out."""
    before, after = recipe(reference.run), recipe(run.run)
    keys = dict.fromkeys((*before, *after))
    changed = {key: (before.get(key), after.get(key)) for key in keys}
    changed = {key: pair for key, pair in changed.items() if pair[0] != pair[1]}
    chosen = {key: pair for key, pair in changed.items() if key not in _FOLLOWS}
    return chosen or changed


def _reference(comparison: Comparison, run: RunResult) -> RunResult | None:
    """The run with the fewest changes: one not tagged ablation first, then the baseline."""

    def distance(other: RunResult) -> tuple[int, bool, bool, bool]:
        same_seed = run.run.config.get("random_seed") == other.run.config.get("random_seed")
        return (
            len(_changes(other, run)),
            "ablation" in other.run.tags,
            other is not comparison.baseline,
            not same_seed,
        )

    others = [other for other in comparison.runs if other is not run and _changes(other, run)]
    return min(others, key=distance) if others else None


def _alignment(comparison: Comparison, run: RunResult, reference: RunResult) -> Alignment:
    if reference is comparison.baseline:
        return comparison.alignments[run.id]
    return align(comparison.on_split(run).predictions, comparison.on_split(reference).predictions)


def _difference(
    comparison: Comparison, run: RunResult, reference: RunResult, alignment: Alignment
) -> PairedDifferences | None:
    if not alignment.paired:
        return None
    if reference is comparison.baseline:
        return comparison.differences[run.id]
    return comparison.difference(run, reference, alignment)


def _row(
    comparison: Comparison,
    run: RunResult,
    reference: RunResult,
    changes: dict[str, tuple[Any, Any]],
    alignment: Alignment,
    differences: PairedDifferences | None,
) -> tuple[Value | Cell, ...]:
    words = "; ".join(
        f"{key}: {_shown(old)} \u2192 {_shown(new)}" for key, (old, new) in changes.items()
    )
    macro = differences["macro_f1"] if differences else None
    return (
        run_cell(comparison, run),
        comparison.short(reference),
        words,
        macro.verdict if macro else "not paired",
        *(difference_cell(differences[key] if differences else None) for key in _KEYS),
        alignment.note,
    )


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)


def _moved(comparison: Comparison, run: RunResult, differences: PairedDifferences) -> list[str]:
    found = {label: differences[f"f1_{label}"] for label in differences.labels}
    better = [label for label, item in found.items() if item and item.verdict == "win"]
    worse = [label for label, item in found.items() if item and item.verdict == "loss"]
    parts = []
    if better:
        parts.append(f"better: {listed(better)}")
    if worse:
        parts.append(f"worse: {listed(worse)}")
    return [f"{comparison.name(run)}: {'; '.join(parts)}."] if parts else []


def _table(rows: list[tuple[Value | Cell, ...]]) -> Table:
    return Table(
        id="ablation-changes",
        title="One change each",
        columns=(
            Column("run", "run"),
            Column("reference", "against"),
            Column("change", "change"),
            Column("verdict", "verdict on macro F1"),
            *(Column(key, METRIC_TITLES[key], "delta") for key in _KEYS),
            Column("rows", "texts and labels"),
        ),
        rows=tuple(rows),
    )
