"""Training: what each run logged per epoch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from goemo_report.analysis.epochs import MOST_POINTS, MOST_ROWS, Training, spread, training_of
from goemo_report.analysis.truth import best_epoch
from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.metrics.rankings import drawn
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
)
from goemo_report.report.sections._tables import Curve, callout, lines, number
from goemo_report.sources.model import Row, as_number

ORDER = 150
CHAPTER = "Appendix"
_POINTS_OF_ALL: Final = 12_000  # of all lines of a figure: more would make the page too large

_FIGURES: Final[tuple[tuple[str, str, str, tuple[str, ...]], ...]] = (
    ("loss", "Loss", "loss", ("train/loss", "val/loss")),
    ("auc", "Micro AUC", "micro AUC", ("train/auc", "val/auc")),
    ("macro-auc", "Macro AUC", "macro AUC", ("train/macro_auc", "val/macro_auc")),
    ("learning-rate", "Learning rate", "learning rate", ("train/learning_rate",)),
    ("grad-norm", "Gradient norm", "gradient norm", ("train/grad_norm",)),
    ("throughput", "Throughput", "texts per second", ("train/samples_per_sec",)),
)
_COLUMNS: Final = (
    ("train/loss", "train loss", 4),
    ("train/loss_std", "loss std", 4),
    ("val/loss", "val loss", 4),
    ("train/auc", "train micro AUC", 4),
    ("val/auc", "val micro AUC", 4),
    ("train/macro_auc", "train macro AUC", 4),
    ("val/macro_auc", "val macro AUC", 4),
    ("train/learning_rate", "learning rate", 7),
    ("train/grad_norm", "gradient norm", 3),
    ("train/epoch_time", "seconds", 1),
    ("train/samples_per_sec", "texts / s", 1),
)


def build(comparison: Comparison) -> Section:
    """Curves over epochs, or steps of runs that logged no epochs, and the tables behind them."""
    found = {run: training_of(run.result) for run in comparison.runs}
    blocks: list[Block] = []
    for unit in ("epoch", "step"):
        own = {run: one for run, one in found.items() if one.rows and one.unit == unit}
        if own:
            blocks += _Unit(comparison, own, unit).blocks()
    if not blocks:
        return Section.of("training", "Training", Callout("note", "No run logged its epochs."))
    missing = (run.name for run, one in found.items() if not one.rows)
    return Section.of(
        "training",
        "Training",
        *blocks,
        callout("note", "Runs that logged no epochs:", missing),
        lead="Logged while the runs trained; the only figures of this report that are not "
        "recomputed. The marked epoch is the one that the run kept.",
        method="Values as logged; of a run that logged no `epoch`, by step. Curves keep at most "
        f"{MOST_POINTS} points and their shape, tables {MOST_ROWS} rows; `goemo-report show RUN "
        "--format json` has them all. The training AUC comes from a sample of the training split.",
    )


@dataclass(frozen=True)
class _Unit:
    """The runs that logged epochs, or those that logged only steps."""

    comparison: Comparison
    found: Mapping[ComparedRun, Training]
    unit: str

    def blocks(self) -> list[Block]:
        """Figures where they show a curve, and the table."""
        curves = any(len(one.points) > 1 for one in self.found.values())
        plots = [self._plot(*figure) for figure in _FIGURES] if curves else []
        return [*(plot for plot in plots if plot is not None), self._table()]

    def _id(self, name: str) -> str:
        return f"training-{name}" if self.unit == "epoch" else f"training-steps-{name}"

    def _plot(self, name: str, title: str, axis: str, keys: tuple[str, ...]) -> Plot | None:
        most = min(MOST_POINTS, max(30, _POINTS_OF_ALL // len(self.found)))
        series: list[Series] = []
        for key in keys:
            curves: dict[ComparedRun, Curve] = {}
            for run, one in self.found.items():
                x, y = map(np.array, one.curve(key))
                kept = drawn(x, y, most)
                if len(kept):
                    curves[run] = x[kept], y[kept]
            split = key.partition("/")[0]
            style = "line" if split == "val" or len(keys) == 1 else "dashed"
            series += lines(self.comparison, curves, label=f", {split}", style=style)
        if not series:
            return None
        told = " Dashed: training; solid: validation." if len(keys) > 1 else ""
        return Plot(
            id=self._id(name),
            title=f"{title} per {self.unit}",
            alt=f"Lines of {axis} over {self.unit}s, one a recipe.{told}",
            x=Axis(self.unit),
            y=Axis(axis),
            series=tuple(series),
            table=self._curve_table(f"{name}-values", title, keys),
            caption=told.strip(),
            shape="small",
            legend=len(self.comparison.recipes) < 4,
        )

    def _rows(self) -> Iterator[tuple[ComparedRun, float, Row]]:
        """The rows that tables hold: at most MOST_ROWS, as many of each run, its best one too."""
        share = max(1, MOST_ROWS // len(self.found))
        for run, one in tuple(self.found.items())[:MOST_ROWS]:
            rows, best = one.rows, best_epoch(run.result)
            kept = spread(tuple(rows), share)
            if best is not None and best in rows and best not in kept:
                kept = sorted({*kept[1:], best})
            yield from ((run, at, rows[at]) for at in kept)

    def _curve_table(self, name: str, title: str, keys: tuple[str, ...]) -> Table:
        splits = (key.split("/") for key in keys)
        return Table(
            id=self._id(name),
            title=f"{title} per {self.unit}",
            columns=(
                Column("run", "run"),
                Column(self.unit, self.unit, "integer"),
                *(Column(split, split, "number", digits=5) for split, *_ in splits),
            ),
            rows=tuple(
                (run.short, int(at), *(_value(row, key) for key in keys))
                for run, at, row in self._rows()
            ),
            collapsed=True,
        )

    def _table(self) -> Table:
        rows = tuple(
            (
                run.key,
                Cell(int(at), mark="best" if at == best_epoch(run.result) else None),
                *(_value(row, key) for key, _, _ in _COLUMNS),
            )
            for run, at, row in self._rows()
        )
        counts = Counter(run for run, _, _ in self._rows())
        there = sum(len(one.rows) for one in self.found.values())
        some = f"{len(rows)} of {there:,} {self.unit}s"
        return Table(
            id=self._id("epochs") if self.unit == "epoch" else "training-steps",
            title=f"Every {self.unit}" if there == len(rows) else some,
            columns=(
                Column("key", "key"),
                Column(self.unit, self.unit, "integer"),
                *(Column(key, title, "number", digits=digits) for key, title, digits in _COLUMNS),
            ),
            rows=rows,
            row_groups=tuple((run.name, number) for run, number in counts.items()),
            row_header=1,
            collapsed=len(rows) > 25,
        )


def _value(row: Row, key: str) -> float | None:
    return number(as_number(row.get(key)))
