"""Curves: precision-recall and ROC, micro for every run and per label for a few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import numpy as np

from goemo_report.analysis.curves import Curve, precision_recall_curve, roc_curve
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.formats.wording import listed
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.rankings import Ranking
from goemo_report.report.document import Axis, Column, Plot, Section, Series, Table
from goemo_report.report.sections._tables import (
    Cells,
    label_table,
    metric_column,
    run_series,
    run_table,
)
from goemo_report.report.sections._words import sample

ORDER = 80
MICRO_POINTS: Final = 120
CLASS_POINTS: Final = 60
CLASS_RUNS: Final = 2
"""Runs with curves per label: more would make the page too large."""
_RECALLS: Final = (0.2, 0.4, 0.6, 0.8)

_Draw = Callable[[Ranking, int], Curve | None]
_KINDS: Final[dict[str, tuple[str, str, str, _Draw]]] = {
    "precision-recall": ("Precision-recall", "recall", "precision", precision_recall_curve),
    "roc": ("ROC", "false positive rate", "true positive rate", roc_curve),
}


def build(comparison: Comparison) -> Section:
    """Micro curves of every run; curves per label of the best run and the baseline."""
    wanted = dict.fromkeys((comparison.best, comparison.baseline, *comparison.ranked))
    chosen = tuple(wanted)[:CLASS_RUNS]
    micro = {run: _micro(run) for run in comparison.runs}
    classes = {run: _classes(run) for run in chosen}
    auc = [metric_column("micro_auc"), metric_column("macro_auc")]
    return Section(
        "curves",
        "Precision-recall and ROC curves",
        (
            _micro_plot(micro, "precision-recall", _micro_table(micro)),
            _micro_plot(
                micro,
                "roc",
                run_table(
                    "curves-roc-values",
                    "AUC",
                    comparison.runs,
                    auc,
                    lambda run: (run.value(column.key) for column in auc),
                ),
            ),
            _class_plot(comparison, classes, "precision-recall", _class_table(comparison, classes)),
            _class_plot(comparison, classes, "roc", _class_auc(comparison, chosen)),
        ),
        lead=f"Micro curves of every run; curves per {comparison.noun} of "
        f"{listed(run.name for run in chosen)}.",
        method=f"{sample(comparison)}; every distinct probability is a threshold. For drawing, "
        f"a curve keeps at most {MICRO_POINTS} points ({CLASS_POINTS} per {comparison.noun}), "
        "equally spaced along the curve; AP and AUC come from all points. With rare labels the ROC "
        "curve flatters: read the precision-recall curve.",
    )


class _Drawn(NamedTuple):
    """What is said of a ranking, which itself would take megabytes for each run."""

    curves: dict[str, Curve | None]
    precisions: list[float | None]


_NONE: Final = _Drawn({}, [None] * len(_RECALLS))


def _drawn(truth: BoolArray, scores: FloatArray, points: int) -> _Drawn:
    found = Ranking.of(truth, scores)
    return _Drawn(
        {kind: draw(found, points) for kind, (*_, draw) in _KINDS.items()}, _precisions(found)
    )


def _micro(run: ComparedRun) -> _Drawn:
    found = run.predictions
    return _drawn(found.truth.ravel(), found.probabilities.ravel(), MICRO_POINTS)


def _classes(run: ComparedRun) -> dict[str, _Drawn]:
    columns = zip(run.labels, run.predictions.truth.T, run.predictions.probabilities.T, strict=True)
    return {label: _drawn(truth, scores, CLASS_POINTS) for label, truth, scores in columns}


def _precisions(found: Ranking) -> list[float | None]:
    """The best precision among thresholds that reach each recall of _RECALLS."""
    if not found.positives:
        return _NONE.precisions
    best = np.maximum.accumulate(found.precision[::-1])[::-1]  # from each threshold downwards
    first = np.searchsorted(found.recall, np.array(_RECALLS) - 1e-12)
    return list(map(float, best[first]))


def _series(run: ComparedRun, drawn: _Drawn, kind: str, group: str = "") -> Iterator[Series]:
    curve = drawn.curves.get(kind)
    if curve is not None:
        yield run_series(run, curve.x.tolist(), curve.y.tolist(), group=group)


def _micro_plot(micro: dict[ComparedRun, _Drawn], kind: str, table: Table) -> Plot:
    title, x, y, _ = _KINDS[kind]
    noun = next(iter(micro)).label_set.noun
    return Plot(
        id=f"curves-{kind}",
        title=f"{title} curve, micro",
        alt=f"{title} curves over all text x {noun} pairs, one a run.",
        x=Axis(x, low=0, high=1),
        y=Axis(y, low=0, high=1),
        series=tuple(one for run, drawn in micro.items() for one in _series(run, drawn, kind)),
        table=table,
        diagonal=kind == "roc",
    )


def _class_plot(
    comparison: Comparison, classes: dict[ComparedRun, dict[str, _Drawn]], kind: str, table: Table
) -> Plot:
    title, x, y, _ = _KINDS[kind]
    return Plot(
        id=f"curves-{kind}-emotions",
        title=f"{title} curve of each {comparison.noun}",
        alt=f"{title} curves of one {comparison.noun} at a time, one a run.",
        x=Axis(x, low=0, high=1),
        y=Axis(y, low=0, high=1),
        series=tuple(
            one
            for label in comparison.labels
            for run, drawn in classes.items()
            for one in _series(run, drawn.get(label, _NONE), kind, label)
        ),
        table=table,
        diagonal=kind == "roc",
        choose=True,
    )


def _micro_table(micro: dict[ComparedRun, _Drawn]) -> Table:
    return run_table(
        "curves-precision-recall-values",
        "Precision at recall, micro",
        micro,
        (
            Column("ap", "micro AP", "number"),
            *(
                Column(f"at_{recall:g}", f"precision at recall {recall:g}", "number")
                for recall in _RECALLS
            ),
        ),
        lambda run: (run.value("micro_average_precision"), *micro[run].precisions),
    )


def _class_table(comparison: Comparison, classes: dict[ComparedRun, dict[str, _Drawn]]) -> Table:
    def cells(label: str) -> Cells:
        for run, found in classes.items():
            yield run.of_class("average_precision", label)
            yield from found.get(label, _NONE).precisions

    columns: list[Column] = []
    for run in classes:
        columns.append(Column(f"{run.id}_ap", f"{run.key} AP", "number"))
        columns += [
            Column(f"{run.id}_at_{recall:g}", f"{run.key} precision at {recall:g}", "number")
            for recall in _RECALLS
        ]
    return label_table(
        comparison,
        "curves-precision-recall-emotions-values",
        f"Precision at recall of each {comparison.noun}",
        columns,
        cells,
        collapsed=True,
    )


def _class_auc(comparison: Comparison, chosen: tuple[ComparedRun, ...]) -> Table:
    return label_table(
        comparison,
        "curves-roc-emotions-values",
        f"AUC of each {comparison.noun}",
        (Column(run.id, f"{run.short} AUC", "number", digits=4) for run in chosen),
        lambda label: (run.of_class("auc", label) for run in chosen),
        collapsed=True,
    )
