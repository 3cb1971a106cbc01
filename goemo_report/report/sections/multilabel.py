"""Multi-label behaviour: how many labels, which together, which instead of which."""

from __future__ import annotations

from typing import Final

import numpy as np

from goemo_report.analysis.multilabel import (
    LengthBin,
    by_length,
    combinations,
    labels_per_text,
    word_counts,
)
from goemo_report.comparison import Comparison
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
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
    AT_HALF,
    key_column,
    listed,
    plural,
    run_cell,
    sample,
)
from goemo_report.report.sections._label_pairs import confusions, cooccurrences
from goemo_report.results import RunResult, SplitResult

ORDER = 100
_MOST_LABELS: Final = 5
"""Texts with more labels are counted together."""


def build(comparison: Comparison) -> Section:
    """Behaviour of every run in brief, of the best run in detail."""
    best = comparison.best
    found = comparison.on_split(best)
    blocks: list[Block] = [_behaviour(comparison)]
    collapse = _collapse(comparison)
    if collapse is not None:
        blocks.append(collapse)
    blocks += [
        _labels_per_text(comparison),
        *cooccurrences(found, _predicted(found)),
        *confusions(found, _predicted(found)),
        _combinations(comparison, best, found),
        *_by_length(comparison),
    ]
    return Section(
        "multilabel",
        "Multi-label behaviour",
        tuple(blocks),
        lead=f"Every run in brief; co-occurrence, confusions and combinations of the best run, "
        f"{comparison.name(best)}.",
        method=f"{sample(comparison)}, {AT_HALF}. Exact match: all "
        "labels right. Jaccard: shared over united labels, mean over texts. Hamming loss: share "
        "of wrong pairs. Instead of: a text that misses label A and wrongly gets B counts for "
        "(A, B), by 1/m where it wrongly gets m labels. Words are split at white space.",
    )


def _behaviour(comparison: Comparison) -> Table:
    rows: list[tuple[Value | Cell, ...]] = []
    for run in comparison.runs:
        found = comparison.on_split(run)
        truth, counts = found.predictions.truth, found.scores.counts
        predicted = _predicted(found)
        never = found.scores.never_predicted
        rows.append(
            (
                comparison.keys[run.id],
                run_cell(comparison, run),
                float(truth.sum() / found.rows),
                float(counts.predicted.sum() / found.rows),
                float((~predicted.any(axis=1)).mean()),
                found.scores.overall["exact_match"],
                found.scores.overall["jaccard"],
                found.scores.overall["hamming_loss"],
                Cell(len(never), mark="warning" if never else None, note=listed(never)),
            )
        )
    return Table(
        id="multilabel-texts",
        title="Labels per text and overlap",
        columns=(
            key_column(),
            Column("run", "run"),
            Column("true_labels", "true labels per text", "number"),
            Column("predicted_labels", "predicted labels per text", "number"),
            Column("without", "texts without a predicted label", "percent"),
            Column("exact_match", "exact match", "number"),
            Column("jaccard", "Jaccard", "number"),
            Column("hamming_loss", "Hamming loss", "number", digits=4),
            Column("never", "emotions never predicted", "integer"),
        ),
        rows=tuple(rows),
        row_header=1,
    )


def _predicted(found: SplitResult) -> BoolArray:
    return found.predictions.probabilities >= found.scores.threshold


def _collapse(comparison: Comparison) -> Callout | None:
    items = []
    for run in comparison.runs:
        found = comparison.on_split(run)
        never = found.scores.never_predicted
        if never:
            items.append(
                f"{comparison.name(run)}: {len(never)} of {len(found.labels)}: {listed(never)}"
            )
    if not items:
        return None
    return Callout(
        "warning",
        "Some emotions are never predicted at 0.5. Their F1 is 0 and pulls macro F1 down; AUC does "
        "not show it.",
        tuple(items),
    )


def _labels_per_text(comparison: Comparison) -> Plot:
    truth = comparison.on_split(comparison.baseline).predictions.truth
    shares: list[tuple[str, FloatArray, int | None]] = [
        ("true", _distribution(labels_per_text(truth)), None)
    ]
    shares += [
        (
            comparison.short(run),
            _distribution(labels_per_text(_predicted(comparison.on_split(run)))),
            comparison.colours[run.id],
        )
        for run in comparison.runs
    ]
    names = (*(str(count) for count in range(_MOST_LABELS)), f"{_MOST_LABELS} or more")
    table = Table(
        id="labels-per-text-values",
        title="Share of texts by number of labels",
        columns=(
            Column("labels", "labels"),
            *(
                Column(name if index == 0 else f"run_{index}", name, "percent")
                for index, (name, _, _) in enumerate(shares)
            ),
        ),
        rows=tuple(
            (name, *(float(share[at]) for _, share, _ in shares)) for at, name in enumerate(names)
        ),
        collapsed=True,
    )
    return Plot(
        id="labels-per-text",
        title="Labels per text, true and predicted",
        alt="Share of texts with 0, 1, 2 and more labels: true labels, then those of each run.",
        x=Axis("labels per text", "category", categories=names),
        y=Axis("share of texts", low=0, percent=True),
        series=tuple(
            Series(name, names, tuple(share.round(4).tolist()), style="bars", colour=colour)
            for name, share, colour in shares
        ),
        table=table,
    )


def _distribution(counts: IntArray) -> FloatArray:
    padded = np.zeros(max(len(counts), _MOST_LABELS + 1))
    padded[: len(counts)] = counts
    few = padded[:_MOST_LABELS]
    shares: FloatArray = np.append(few, padded[_MOST_LABELS:].sum()) / counts.sum()
    return shares


def _combinations(comparison: Comparison, best: RunResult, found: SplitResult) -> Table:
    most = combinations(found.predictions.truth, _predicted(found))
    return Table(
        id="combinations",
        title="The most frequent label combinations",
        columns=(
            Column("labels", "true labels"),
            Column("texts", "texts", "integer"),
            Column("exact", "exact match", "percent"),
            Column("partial", "partial match", "percent"),
            Column("jaccard", "Jaccard", "number"),
        ),
        rows=tuple(
            (
                ", ".join(found.labels[j] for j in item.labels) or "(none)",
                item.texts,
                item.exact,
                item.partial,
                item.jaccard,
            )
            for item in most
        ),
        caption=f"{comparison.name(best)}. Partial: at least one label right, but not the exact "
        "set.",
    )


def _by_length(comparison: Comparison) -> list[Block]:
    bins: dict[str, list[LengthBin]] = {}
    words: dict[tuple[str, ...], IntArray] = {}
    for run in comparison.runs:
        found = comparison.on_split(run).predictions
        if found.texts not in words:
            words[found.texts] = word_counts(found.texts)
        predicted = _predicted(comparison.on_split(run))
        bins[run.id] = by_length(words[found.texts], found.truth, found.probabilities, predicted)
    names = tuple(dict.fromkeys(_bin_name(item) for found in bins.values() for item in found))
    names = tuple(sorted(names, key=lambda name: int(name.split()[0])))
    series = tuple(
        Series(
            comparison.short(run),
            tuple(_bin_name(item) for item in bins[run.id]),
            tuple(round(item.micro_f1, 4) for item in bins[run.id]),
            notes=tuple(plural(item.texts, "text") for item in bins[run.id]),
            colour=comparison.colours[run.id],
        )
        for run in comparison.runs
    )
    table = Table(
        id="text-length-values",
        title="Scores by text length",
        columns=(
            Column("run", "run"),
            Column("words", "words"),
            Column("texts", "texts", "integer"),
            Column("micro_f1", "micro F1", "number"),
            Column("macro_f1", "macro F1", "number", help="over emotions that occur in the bin"),
            Column("classes", "emotions that occur", "integer"),
            Column("exact_match", "exact match", "number"),
            Column("micro_auc", "micro AUC", "number"),
        ),
        rows=tuple(
            (
                comparison.short(run),
                _bin_name(item),
                item.texts,
                item.micro_f1,
                item.macro_f1,
                item.classes,
                item.exact_match,
                item.micro_auc,
            )
            for run in comparison.runs
            for item in bins[run.id]
        ),
        collapsed=True,
    )
    return [
        Plot(
            id="text-length",
            title="Micro F1 by text length",
            alt="Micro F1 over bins of the number of words, one line a run.",
            x=Axis("words", "category", categories=names),
            y=Axis("micro F1", low=0),
            series=series,
            table=table,
        )
    ]


def _bin_name(item: LengthBin) -> str:
    return f"{item.low} to {item.high}" if item.high is not None else f"{item.low} or more"
