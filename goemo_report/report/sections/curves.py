"""Curves: precision-recall and ROC, micro for every run and per emotion for a few."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import numpy as np

from goemo_report.analysis.curves import Curve, Steps, precision_recall_curve, roc_curve, steps
from goemo_report.comparison import Comparison
from goemo_report.report.document import (
    Axis,
    Block,
    Cell,
    Column,
    Plot,
    Section,
    Series,
    Table,
    Value,
)
from goemo_report.report.sections._common import key_column, listed, number, run_cell, sample
from goemo_report.results import RunResult

ORDER = 80
MICRO_POINTS: Final = 120
CLASS_POINTS: Final = 60
CLASS_RUNS: Final = 2
"""Runs with curves per emotion: more would make the page too large."""
_RECALLS: Final = (0.2, 0.4, 0.6, 0.8)

_Draw = Callable[[Steps, int], Curve | None]


def build(comparison: Comparison) -> Section:
    """Micro curves of every run; curves per emotion of the best run and the baseline."""
    chosen = _chosen(comparison)
    micro = {run.id: _micro_steps(comparison, run) for run in comparison.runs}
    classes = {run.id: _class_steps(comparison, run) for run in chosen}
    table = _micro_table(comparison, micro)
    class_table = _class_table(comparison, chosen, classes)
    per_class = partial(_class_plot, comparison, chosen, classes)
    blocks: list[Block] = [
        _micro_plot(comparison, micro, precision_recall_curve, "precision-recall", table),
        _micro_plot(comparison, micro, roc_curve, "roc", _auc_table(comparison)),
        per_class(precision_recall_curve, "precision-recall", class_table),
        per_class(roc_curve, "roc", _class_auc(comparison, chosen)),
    ]
    names = listed(comparison.name(run) for run in chosen)
    return Section(
        "curves",
        "Precision-recall and ROC curves",
        tuple(blocks),
        lead=f"Micro curves of every run; curves per emotion of {names}.",
        method=f"{sample(comparison)}; every distinct probability is a threshold. For drawing, "
        f"a curve keeps at most {MICRO_POINTS} points ({CLASS_POINTS} per emotion), equally "
        "spaced along the curve; AP and AUC come from all points. With rare labels the ROC "
        "curve flatters: read the precision-recall curve.",
    )


def _chosen(comparison: Comparison) -> tuple[RunResult, ...]:
    wanted = [comparison.best, comparison.baseline, *comparison.ranked]
    return tuple({run.id: run for run in wanted}.values())[:CLASS_RUNS]


def _micro_steps(comparison: Comparison, run: RunResult) -> Steps:
    predictions = comparison.on_split(run).predictions
    return steps(predictions.truth.ravel(), predictions.probabilities.ravel())


def _class_steps(comparison: Comparison, run: RunResult) -> dict[str, Steps]:
    predictions = comparison.on_split(run).predictions
    return {
        label: steps(predictions.truth[:, j], predictions.probabilities[:, j])
        for j, label in enumerate(predictions.labels)
    }


def _axes(kind: str) -> tuple[Axis, Axis]:
    names = (
        ("recall", "precision")
        if kind == "precision-recall"
        else ("false positive rate", "true positive rate")
    )
    return Axis(names[0], low=0, high=1), Axis(names[1], low=0, high=1)


def _series(
    comparison: Comparison, run: RunResult, curve: Curve | None, group: str = ""
) -> Iterable[Series]:
    if curve is not None:
        yield Series(
            name=comparison.short(run),
            x=tuple(curve.x.round(4).tolist()),
            y=tuple(curve.y.round(4).tolist()),
            colour=comparison.colours[run.id],
            group=group,
        )


def _micro_plot(
    comparison: Comparison, micro: dict[str, Steps], draw: _Draw, kind: str, table: Table
) -> Plot:
    x, y = _axes(kind)
    title = "Precision-recall" if kind == "precision-recall" else "ROC"
    return Plot(
        id=f"curves-{kind}",
        title=f"{title} curve, micro",
        alt=f"{title} curves over all text x emotion pairs, one a run.",
        x=x,
        y=y,
        series=tuple(
            series
            for run in comparison.runs
            for series in _series(comparison, run, draw(micro[run.id], MICRO_POINTS))
        ),
        table=table,
        diagonal=kind == "roc",
    )


def _class_plot(
    comparison: Comparison,
    chosen: tuple[RunResult, ...],
    classes: dict[str, dict[str, Steps]],
    draw: _Draw,
    kind: str,
    table: Table,
) -> Plot:
    x, y = _axes(kind)
    title = "Precision-recall" if kind == "precision-recall" else "ROC"
    return Plot(
        id=f"curves-{kind}-emotions",
        title=f"{title} curve of each emotion",
        alt=f"{title} curves of one emotion at a time, one a run.",
        x=x,
        y=y,
        series=tuple(
            series
            for label in comparison.labels
            for run in chosen
            if label in classes[run.id]
            for series in _series(
                comparison, run, draw(classes[run.id][label], CLASS_POINTS), label
            )
        ),
        table=table,
        diagonal=kind == "roc",
        choose=True,
    )


def _precisions(found: Steps) -> list[float | None]:
    """The best precision among thresholds that reach each recall of _RECALLS."""
    if not found.positives:
        return [None] * len(_RECALLS)
    best = np.maximum.accumulate(found.precision[::-1])[::-1]  # from each threshold downwards
    first = np.searchsorted(found.recall, np.array(_RECALLS) - 1e-12)
    return list(map(float, best[first]))


def _micro_table(comparison: Comparison, micro: dict[str, Steps]) -> Table:
    return Table(
        id="curves-precision-recall-values",
        title="Precision at recall, micro",
        columns=(
            key_column(),
            Column("run", "run"),
            Column("ap", "micro AP", "number"),
            *(
                Column(f"at_{recall:g}", f"precision at recall {recall:g}", "number")
                for recall in _RECALLS
            ),
        ),
        rows=tuple(
            (
                comparison.keys[run.id],
                run_cell(comparison, run),
                comparison.on_split(run).scores.overall["micro_average_precision"],
                *_precisions(micro[run.id]),
            )
            for run in comparison.runs
        ),
        row_header=1,
    )


def _auc_table(comparison: Comparison) -> Table:
    return Table(
        id="curves-roc-values",
        title="AUC",
        columns=(
            key_column(),
            Column("run", "run"),
            Column("micro_auc", "micro AUC", "number", digits=4),
            Column("macro_auc", "macro AUC", "number", digits=4),
        ),
        rows=tuple(
            (
                comparison.keys[run.id],
                run_cell(comparison, run),
                comparison.on_split(run).scores.overall["micro_auc"],
                comparison.on_split(run).scores.overall["macro_auc"],
            )
            for run in comparison.runs
        ),
        row_header=1,
    )


def _class_table(
    comparison: Comparison, chosen: tuple[RunResult, ...], classes: dict[str, dict[str, Steps]]
) -> Table:
    rows: list[tuple[Value | Cell, ...]] = []
    for label in comparison.labels:
        cells: list[Value | Cell] = [label]
        for run in chosen:
            found = classes[run.id].get(label)
            cells.append(_of_class(comparison, run, label, "average_precision"))
            cells += _precisions(found) if found else [None] * len(_RECALLS)
        rows.append(tuple(cells))
    columns = [Column("emotion", "emotion")]
    for run in chosen:
        key = comparison.keys[run.id]
        columns.append(Column(f"{run.id}_ap", f"{key} AP", "number"))
        columns += [
            Column(f"{run.id}_at_{recall:g}", f"{key} precision at {recall:g}", "number")
            for recall in _RECALLS
        ]
    return Table(
        id="curves-precision-recall-emotions-values",
        title="Precision at recall of each emotion",
        columns=tuple(columns),
        rows=tuple(rows),
        collapsed=True,
    )


def _class_auc(comparison: Comparison, chosen: tuple[RunResult, ...]) -> Table:
    return Table(
        id="curves-roc-emotions-values",
        title="AUC of each emotion",
        columns=(
            Column("emotion", "emotion"),
            *(Column(run.id, f"{comparison.short(run)} AUC", "number", digits=4) for run in chosen),
        ),
        rows=tuple(
            (label, *(_of_class(comparison, run, label, "auc") for run in chosen))
            for label in comparison.labels
        ),
        collapsed=True,
    )


def _of_class(comparison: Comparison, run: RunResult, label: str, name: str) -> float | None:
    found = comparison.on_split(run)
    if label not in found.labels:
        return None
    return number(float(found.scores.per_class[name][found.labels.index(label)]))
