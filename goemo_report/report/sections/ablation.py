"""Ablation: what one change in the config did to each metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from goemo_report.analysis.configs import recipe, without_secrets
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import listed
from goemo_report.report.document import Column, Row, Section, Table
from goemo_report.report.sections._tables import callout, columns, difference_cell, run_cell
from goemo_report.report.sections._words import METRIC_TITLES, measured
from goemo_report.statistics.differences import VERDICT_RULE

ORDER = 55
CHAPTER = "Where it differs"
_KEYS: Final = ("macro_f1", "micro_f1", "macro_precision", "macro_recall", "micro_auc", "macro_auc")
_FOLLOWS: Final = frozenset(
    {"num_labels", "model_params", "train_samples", "val_samples", "test_samples"}
)
"""Config keys that change because another one did."""


def build(comparison: Comparison) -> Section | None:
    """Each run tagged `ablation` against the run whose config is nearest; None without any."""
    pairs = [
        (run, reference)
        for run in comparison.runs
        if "ablation" in run.record.tags and (reference := _reference(comparison, run))
    ]
    if not pairs:
        return None
    moved = (line for pair in pairs for line in _moved(*pair))
    notes = (line for pair in pairs for line in _notes(*pair))
    return Section.of(
        "ablation",
        "Ablation",
        Table(
            id="ablation-changes",
            title="One change each",
            columns=(
                *columns("run"),
                Column("reference", "against"),
                *columns("change"),
                Column("verdict", "verdict on macro F1"),
                *(Column(key, METRIC_TITLES[key], "delta") for key in _KEYS),
                Column("rows", "texts and labels"),
            ),
            rows=tuple(_row(*pair) for pair in pairs),
        ),
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
    pairs = {key: (before.get(key), after.get(key)) for key in (*before, *after)}
    changed = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
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


def _row(run: ComparedRun, reference: ComparedRun) -> Row:
    found = run.minus(reference)
    macro = found["macro_f1"] if found else None
    words = (
        f"{key}: {_shown(key, old)} \u2192 {_shown(key, new)}"
        for key, (old, new) in _changes(reference, run).items()
    )
    return (
        run_cell(run),
        reference.short,
        "; ".join(words),
        macro.verdict if macro else "not paired",
        *(difference_cell(found[key] if found else None) for key in _KEYS),
        run.aligned(reference).note,
    )


def _shown(key: str, value: Any) -> str:
    return "not set" if value is None else str(without_secrets(key, value))


def _notes(run: ComparedRun, reference: ComparedRun) -> Iterator[str]:
    alignment, changes = run.aligned(reference), len(_changes(reference, run))
    if not alignment.same_labels or not alignment.complete:
        both = f"{run.name} and {reference.name}"
        yield f"{both}: {alignment.note}. Both were scored again on these alone."
    if changes > 1:
        yield f"{run.name} changes {changes} keys at once: the difference is theirs together."


def _moved(run: ComparedRun, reference: ComparedRun) -> Iterator[str]:
    found, parts = run.minus(reference) or {}, []
    for word, verdict in (("better", "win"), ("worse", "loss")):
        of_class = ((label, found.get(f"f1_{label}")) for label in run.labels)
        labels = [label for label, one in of_class if one and one.verdict == verdict]
        parts += [f"{word}: {listed(labels)}"] if labels else []
    if parts:
        yield f"{run.name}: {'; '.join(parts)}."
