"""Multi-label behaviour: how many labels, which together, which instead of which."""

from __future__ import annotations

from typing import Final

import numpy as np

from goemo_report.analysis.multilabel import (
    LengthBin,
    by_length,
    combinations,
    word_counts,
)
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.formats.wording import listed, plural
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.report.document import Axis, Cell, Column, Plot, Row, Section, Series, Table
from goemo_report.report.sections._tables import (
    Cells,
    colour,
    columns,
    firsts,
    metric_column,
    run_table,
)
from goemo_report.report.sections._words import measured

ORDER = 125
CHAPTER = "Appendix"
_MOST_LABELS: Final = 5
"""Texts with more labels are counted together."""


def build(comparison: Comparison) -> Section:
    """Behaviour of every run in brief, combinations of the best run in detail."""
    return Section.of(
        "multilabel",
        "Multi-label behaviour",
        _labels_per_text(comparison),
        _by_length(comparison),
        _behaviour(comparison),
        _combinations(comparison.best),
        method=f"{measured(comparison)}. Exact match: all "
        "labels right. Jaccard: shared over united labels, mean over texts. Hamming loss: share "
        "of wrong pairs. Words are split at white space.",
    )


def _behaviour(comparison: Comparison) -> Table:
    def cells(run: ComparedRun) -> Cells:
        found, never = run.split_result, run.scores.never_predicted
        yield float(found.predictions.truth.sum() / found.rows)
        yield float(found.scores.counts.predicted.sum() / found.rows)
        yield float((~_predicted(run).any(axis=1)).mean())
        yield from map(run.value, ("exact_match", "jaccard", "hamming_loss"))
        yield Cell(len(never), mark="warning" if never else None, note=listed(never))

    columns = (
        Column("true_labels", "true labels per text", "number"),
        Column("predicted_labels", "predicted labels per text", "number"),
        Column("without", "texts without a predicted label", "percent"),
        metric_column("exact_match"),
        Column("jaccard", "Jaccard", "number"),
        metric_column("hamming_loss"),
        Column("never", f"{comparison.nouns} never predicted", "integer"),
    )
    title = "Labels per text and overlap"
    return run_table("multilabel-texts", title, comparison.runs, columns, cells)


def _predicted(run: ComparedRun) -> BoolArray:
    return run.predictions.probabilities >= DEFAULT_THRESHOLD  # 0 or 1 for labels alone


def _labels_per_text(comparison: Comparison) -> Plot:
    names = (*(str(count) for count in range(_MOST_LABELS)), f"{_MOST_LABELS} or more")
    shares = [("true", _distribution(comparison.baseline.predictions.truth))]
    shares += [(run.short, _distribution(_predicted(run))) for run in firsts(comparison)]
    colours = (None, *range(len(shares) - 1))
    keys = ("true", *(f"run_{index}" for index in range(1, len(shares))))
    table = Table(
        id="labels-per-text-values",
        title="Share of texts by number of labels",
        columns=(
            *columns("labels"),
            *(Column(key, name, "percent") for key, (name, _) in zip(keys, shares, strict=True)),
        ),
        rows=tuple(zip(names, *(share.tolist() for _, share in shares), strict=True)),
        collapsed=True,
    )
    return Plot(
        id="labels-per-text",
        title="Labels per text, true and predicted",
        alt="Share of texts with 0, 1, 2 and more labels: true labels, then those of the best run "
        "of each recipe.",
        x=Axis("labels per text", "category", categories=names),
        y=Axis("share of texts", low=0, percent=True),
        series=tuple(
            Series(name, names, tuple(share.tolist()), style="bars", colour=tint)
            for (name, share), tint in zip(shares, colours, strict=True)
        ),
        table=table,
        shape="small",
    )


def _distribution(labels: BoolArray) -> FloatArray:
    """Share of texts with 0, 1, ... and with _MOST_LABELS or more labels."""
    counts = np.bincount(labels.sum(axis=1))
    few = np.zeros(_MOST_LABELS + 1)
    few[: len(counts)] = counts[: len(few)]
    few[-1] = counts[_MOST_LABELS:].sum()
    shares: FloatArray = few / counts.sum()
    return shares


def _combinations(best: ComparedRun) -> Table:
    most = combinations(best.predictions.truth, _predicted(best))
    names = (", ".join(best.labels[j] for j in one.labels) or "(none)" for one in most)
    return Table(
        id="combinations",
        title="The most frequent label combinations",
        columns=(
            Column("labels", "true labels"),
            *columns(texts="integer"),
            Column("exact", "exact match", "percent"),
            Column("partial", "partial match", "percent"),
            Column("jaccard", "Jaccard", "number"),
        ),
        rows=tuple(
            (name, one.texts, one.exact, one.partial, one.jaccard)
            for name, one in zip(names, most, strict=True)
        ),
        caption=f"{best.name}. Partial: at least one label right, but not the exact set.",
    )


def _by_length(comparison: Comparison) -> Plot:
    nouns = comparison.nouns
    bins: dict[ComparedRun, list[LengthBin]] = {}
    words: dict[tuple[str, ...], IntArray] = {}
    for run in comparison.runs:
        found = run.predictions
        if found.texts not in words:
            words[found.texts] = word_counts(found.texts)
        args = found.truth, found.probabilities, _predicted(run)
        bins[run] = by_length(words[found.texts], *args)
    lows = {item.low: _bin_name(item) for found in bins.values() for item in found}
    table = Table(
        id="text-length-values",
        title="Scores by text length",
        columns=(
            *columns("run", "words", texts="integer"),
            Column("micro_f1", "micro F1", "number"),
            Column("macro_f1", "macro F1", "number", help=f"over {nouns} that occur in the bin"),
            Column("classes", f"{nouns} that occur", "integer"),
            Column("exact_match", "exact match", "number"),
            Column("micro_auc", "micro AUC", "number"),
        ),
        rows=tuple(_bin_row(run, item) for run, found in bins.items() for item in found),
        collapsed=True,
    )
    return Plot(
        id="text-length",
        title="Micro F1 by text length",
        alt="Micro F1 over bins of the number of words, one line a recipe, its best run.",
        x=Axis("words", "category", categories=tuple(lows[low] for low in sorted(lows))),
        y=Axis("micro F1", low=0),
        series=tuple(
            Series(
                run.short,
                tuple(map(_bin_name, bins[run])),
                tuple(item.micro_f1 for item in bins[run]),
                notes=tuple(plural(item.texts, "text") for item in bins[run]),
                colour=colour(comparison, run.recipe),
            )
            for run in firsts(comparison)
        ),
        table=table,
        shape="small",
    )


def _bin_row(run: ComparedRun, one: LengthBin) -> Row:
    scores = one.micro_f1, one.macro_f1, one.classes, one.exact_match
    auc = one.micro_auc if run.predictions.has_probabilities else None
    return (run.short, _bin_name(one), one.texts, *scores, auc)


def _bin_name(item: LengthBin) -> str:
    return f"{item.low} to {item.high}" if item.high is not None else f"{item.low} or more"
