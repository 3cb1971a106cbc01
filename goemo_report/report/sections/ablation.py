"""Ablation: what one change in the config did to each metric."""

from __future__ import annotations

from typing import Any, Final

from goemo_report.analysis.alignment import Alignment
from goemo_report.analysis.configs import recipe, without_secrets
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import listed
from goemo_report.report.document import Column, Row, Section, Table
from goemo_report.report.sections._tables import callout, difference_cell, run_cell
from goemo_report.report.sections._words import METRIC_TITLES, measured
from goemo_report.statistics.differences import VERDICT_RULE, PairedDifferences

ORDER = 55
CHAPTER = "Where it differs"
_KEYS: Final = ("macro_f1", "micro_f1", "macro_precision", "macro_recall", "micro_auc", "macro_auc")
_FOLLOWS: Final = frozenset(
    {"num_labels", "model_params", "train_samples", "val_samples", "test_samples"}
)
"""Config keys that change because another one did."""


def build(comparison: Comparison) -> Section | None:
    """Each run tagged `ablation` against the run whose config is nearest; None without any."""
    rows: list[Row] = []
    notes: list[str] = []
    moved: list[str] = []
    for run in comparison.runs:
        reference = _reference(comparison, run) if "ablation" in run.record.tags else None
        if reference is None:
            continue
        changes, alignment, found = _changes(reference, run), run.aligned(reference), None
        if alignment.paired:
            found = run.minus(reference)
        rows.append(_row(run, reference, changes, alignment, found))
        if not alignment.same_labels or not alignment.complete:
            notes.append(
                f"{run.name} and {reference.name}: {alignment.note}. Both "
                "were scored again on these alone."
            )
        if len(changes) > 1:
            notes.append(
                f"{run.name} changes {len(changes)} keys at once: the difference is "
                "theirs together."
            )
        if found is not None:
            moved += _moved(run, found)
    if not rows:
        return None
    return Section.of(
        "ablation",
        "Ablation",
        _table(rows),
        callout("note", f"{comparison.nouns.capitalize()} that changed by more than noise:", moved),
        callout("note", "How to read them:", notes),
        lead="Runs tagged ablation, each against the run whose config is nearest, with the change "
        "between them.",
        method=f"{measured(comparison)}; paired as in Differences. Verdict: "
        f"{VERDICT_RULE}. One seed each, where nothing else is said: a difference holds for these "
        "two runs, and another seed may move it. Seeds and environment are not counted as "
        "changes, nor are keys that follow from another (number of labels, parameters, samples).",
    )


def _changes(reference: ComparedRun, run: ComparedRun) -> dict[str, tuple[Any, Any]]:
    """Config keys with different values, those that follow from others left out."""
    before, after = recipe(reference.record), recipe(run.record)
    keys = dict.fromkeys((*before, *after))
    changed = {key: (before.get(key), after.get(key)) for key in keys}
    changed = {key: pair for key, pair in changed.items() if pair[0] != pair[1]}
    chosen = {key: pair for key, pair in changed.items() if key not in _FOLLOWS}
    return chosen or changed


def _reference(comparison: Comparison, run: ComparedRun) -> ComparedRun | None:
    """The run with the fewest changes: one not tagged ablation first, then the baseline."""

    def distance(other: ComparedRun) -> tuple[int, bool, bool, bool]:
        config, theirs = run.record.config, other.record.config
        return (
            len(_changes(other, run)),
            "ablation" in other.record.tags,
            not other.is_baseline,
            config.get("random_seed") != theirs.get("random_seed"),
        )

    others = [other for other in comparison.runs if other is not run and _changes(other, run)]
    return min(others, key=distance) if others else None


def _row(
    run: ComparedRun,
    reference: ComparedRun,
    changes: dict[str, tuple[Any, Any]],
    alignment: Alignment,
    found: PairedDifferences | None,
) -> Row:
    words = "; ".join(
        f"{key}: {_shown(key, old)} \u2192 {_shown(key, new)}"
        for key, (old, new) in changes.items()
    )
    macro = found["macro_f1"] if found else None
    return (
        run_cell(run),
        reference.short,
        words,
        macro.verdict if macro else "not paired",
        *(difference_cell(found[key] if found else None) for key in _KEYS),
        alignment.note,
    )


def _shown(key: str, value: Any) -> str:
    return "not set" if value is None else str(without_secrets(key, value))


def _moved(run: ComparedRun, found: PairedDifferences) -> list[str]:
    parts = []
    for word, verdict in (("better", "win"), ("worse", "loss")):
        of_class = ((label, found.get(f"f1_{label}")) for label in run.labels)
        labels = [label for label, one in of_class if one and one.verdict == verdict]
        parts += [f"{word}: {listed(labels)}"] if labels else []
    return [f"{run.name}: {'; '.join(parts)}."] if parts else []


def _table(rows: list[Row]) -> Table:
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
