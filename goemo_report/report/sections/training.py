"""Training: what each run logged per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from goemo_report.analysis.truth import best_epoch
from goemo_report.comparison import Comparison
from goemo_report.metrics.table import canonical_metric
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
from goemo_report.report.sections._common import key_column, number
from goemo_report.results import RunResult
from goemo_report.sources.logged import as_number

ORDER = 120

_FIGURES: Final[tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...]] = (
    ("loss", "Loss", "loss", (("train/loss", "train"), ("val/loss", "val"))),
    ("auc", "Micro AUC", "micro AUC", (("train/auc", "train"), ("val/auc", "val"))),
    (
        "macro-auc",
        "Macro AUC",
        "macro AUC",
        (("train/macro_auc", "train"), ("val/macro_auc", "val")),
    ),
    ("learning-rate", "Learning rate", "learning rate", (("train/learning_rate", "train"),)),
    ("grad-norm", "Gradient norm", "gradient norm", (("train/grad_norm", "train"),)),
    ("throughput", "Throughput", "texts per second", (("train/samples_per_sec", "train"),)),
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
    """Curves over epochs and the table behind them."""
    epochs = {run.id: epoch_rows(run.result) for run in comparison.runs}
    if not any(epochs.values()):
        return Section(
            "training",
            "Training",
            (Callout("note", "No run logged its epochs."),),
        )
    table = _table(comparison, epochs)
    blocks: list[Block] = []
    curves = _FIGURES if any(len(rows) > 1 for rows in epochs.values()) else ()
    for figure in curves:  # a single epoch is no curve
        plot = _plot(comparison, epochs, *figure)
        if plot is not None:
            blocks.append(plot)
    blocks.append(table)
    missing = [run.name for run in comparison.runs if not epochs[run.id]]
    if missing:
        blocks.append(Callout("note", "Runs that logged no epochs:", tuple(missing)))
    return Section(
        "training",
        "Training",
        tuple(blocks),
        lead="Logged at the end of each epoch; the only figures of this report that are not "
        "recomputed. The marked epoch is the one that the run kept.",
        method="Values as logged. The training AUC comes from a sample of the training split.",
    )


def epoch_rows(run: RunResult) -> list[dict[str, float]]:
    """Logged numbers of each epoch in order, by canonical key, with `epoch`.

    An epoch is a history row that holds a loss or an AUC of training or validation; later
    rows of one epoch complete it. Without an `epoch` key the W&B step counts.
    """
    wanted = {key for _, _, _, keys in _FIGURES for key, _ in keys} | {c[0] for c in _COLUMNS}
    epochs: dict[float, dict[str, float]] = {}
    for row in run.history:
        numbers = _numbers(row)
        if not wanted & numbers.keys():
            continue
        epoch = numbers.get("epoch", numbers.get("_step"))
        if epoch is not None:
            epochs.setdefault(epoch, {}).update(numbers | {"epoch": epoch})
    return [epochs[epoch] for epoch in sorted(epochs)]


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    found = ((canonical_metric(key), as_number(value)) for key, value in row.items())
    return {key: value for key, value in found if value is not None}


def _plot(
    comparison: Comparison,
    epochs: Mapping[str, list[dict[str, float]]],
    name: str,
    title: str,
    axis: str,
    keys: tuple[tuple[str, str], ...],
) -> Plot | None:
    series: list[Series] = []
    for run in comparison.runs:
        for key, split in keys:
            points = [row for row in epochs[run.id] if number(row.get(key)) is not None]
            if points:
                series.append(
                    Series(
                        name=f"{run.short}, {split}",
                        x=tuple(row["epoch"] for row in points),
                        y=tuple(float(f"{row[key]:.5g}") for row in points),
                        style="line" if split == "val" or len(keys) == 1 else "dashed",
                        colour=run.colour,
                        group=run.short,
                    )
                )
    if not series:
        return None
    lines = " Dashed: training; solid: validation." if len(keys) > 1 else ""
    return Plot(
        id=f"training-{name}",
        title=f"{title} per epoch",
        alt=f"Lines of {axis} over epochs, one a run.{lines}",
        x=Axis("epoch"),
        y=Axis(axis),
        series=tuple(series),
        table=_curve_table(comparison, epochs, f"training-{name}-values", title, keys),
        caption=lines.strip(),
    )


def _curve_table(
    comparison: Comparison,
    epochs: Mapping[str, list[dict[str, float]]],
    identifier: str,
    title: str,
    keys: tuple[tuple[str, str], ...],
) -> Table:
    return Table(
        id=identifier,
        title=f"{title} per epoch",
        columns=(
            Column("run", "run"),
            Column("epoch", "epoch", "integer"),
            *(Column(split, split, "number", digits=5) for _, split in keys),
        ),
        rows=tuple(
            (run.short, int(row["epoch"]), *(number(row.get(key)) for key, _ in keys))
            for run in comparison.runs
            for row in epochs[run.id]
        ),
        collapsed=True,
    )


def _table(comparison: Comparison, epochs: Mapping[str, list[dict[str, float]]]) -> Table:
    rows: list[tuple[Value | Cell, ...]] = []
    groups: list[tuple[str, int]] = []
    for run in comparison.runs:
        best = best_epoch(run.result)
        for row in epochs[run.id]:
            kept = Cell(int(row["epoch"]), mark="best" if row["epoch"] == best else None)
            values = (number(row.get(key)) for key, _, _ in _COLUMNS)
            rows.append((run.key, kept, *values))
        if epochs[run.id]:
            groups.append((run.name, len(epochs[run.id])))
    return Table(
        id="training-epochs",
        title="Every epoch",
        columns=(
            key_column(),
            Column("epoch", "epoch", "integer"),
            *(Column(key, title, "number", digits=digits) for key, title, digits in _COLUMNS),
        ),
        rows=tuple(rows),
        row_groups=tuple(groups),
        row_header=1,
        collapsed=len(rows) > 25,
    )
