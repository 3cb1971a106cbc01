"""What a run logged while it trained, by epoch: the one rule of which rows of a history count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from weakref import WeakKeyDictionary

from goemo_report.contract import EPOCH_METRICS, MACRO_AUC_METRICS
from goemo_report.metrics.table import canonical_metric
from goemo_report.sources.model import History, Row, as_number

if TYPE_CHECKING:
    from goemo_report.results import RunResult  # numpy is not needed to show a history

Item = TypeVar("Item")

METRICS: Final = tuple(
    key.name
    for key in (*EPOCH_METRICS, *MACRO_AUC_METRICS)
    if key.name.startswith(("train/", "val/"))
)
"""Keys that the guide wants while a run trains."""

MOST_ROWS: Final = 100
"""Rows that a table of epochs or steps has at most."""

MOST_POINTS: Final = 300
"""Points of a curve, and rows of a history in a report."""

_TRAINERS_EPOCH: Final = "train/epoch"  # the key of transformers' Trainer
_NEAR: Final = 0.01  # Trainer rounds epochs to two decimals, and may end a little early


@dataclass(frozen=True, slots=True)
class Training:
    """Rows that hold one of METRICS, under the guide's keys.

    `rows` has one row an epoch, or one a step where the run logged no epochs, by number in
    order. `points` are what a curve is drawn through: with fractions of epochs between, where
    the run logged such. `logged` counts the rows before any were joined or left out.
    """

    unit: Literal["epoch", "step"]
    rows: Mapping[float, Row]
    points: Sequence[tuple[float, Row]]
    logged: int

    def curve(self, key: str) -> tuple[list[float], list[float]]:
        """The finite values of a metric and the epochs or steps of these."""
        found = ((at, as_number(row.get(key))) for at, row in self.points)
        pairs = [(at, y) for at, y in found if y is not None and math.isfinite(y)]
        return [at for at, _ in pairs], [y for _, y in pairs]


_known: Final[WeakKeyDictionary[RunResult, Training]] = WeakKeyDictionary()


def training_of(result: RunResult) -> Training:
    """The training of a run, read once."""
    found = _known.get(result)
    if found is None:
        found = _known[result] = training(result.history)
    return found


def training(history: History) -> Training:
    """Epochs where any row with a metric has an `epoch`, else steps.

    Rows of one epoch are joined, the later value winning; rows without an epoch are steps in
    between. Of epochs with fractions, which Trainer logs, an epoch's row is the first at or after
    its end.
    """
    rows = _rows(history)
    logged = [row for row in rows if _measures(row)]
    marked = [(epoch, row) for row in rows if (epoch := _finite(row.get("epoch"))) is not None]
    whole = all(epoch.is_integer() for epoch, _ in marked)
    ends = {epoch: row for epoch, row in _ends(marked, whole).items() if _measures(row)}
    if ends:
        return Training("epoch", ends, tuple(ends.items()) if whole else marked, len(logged))
    steps = {float(row["_step"]): row for row in logged if _finite(row.get("_step")) is not None}
    return Training("step", steps, tuple(steps.items()), len(logged))


def _measures(row: Row) -> bool:
    return any(row.get(key) is not None for key in METRICS)


def _rows(history: History) -> list[Row]:
    """Rows of the training, under the guide's keys; its own spelling wins over another."""
    logged = set[str]().union(*history)
    names = {key: canonical_metric(key) for key in logged}
    if "epoch" not in logged and _TRAINERS_EPOCH in logged:
        names[_TRAINERS_EPOCH] = "epoch"
    wanted = [key for key, name in names.items() if name.startswith(("train/", "val/"))]
    rows = [row for row in history if any(row.get(key) is not None for key in wanted)]
    if all(key == name for key, name in names.items()):
        return rows
    return [
        {names[key]: v for key, v in row.items() if names[key] == key or names[key] not in row}
        for row in rows
    ]


def _ends(marked: Sequence[tuple[float, Row]], whole: bool) -> dict[float, Row]:
    """The row at the end of each epoch, by number in order; with fractions there is no epoch 0.

    What that row lacks is the last value since the end before: Trainer logs losses and scores at
    different steps.
    """
    ends: dict[int, tuple[float, dict[str, Any]]] = {}
    since: dict[str, Any] = {}
    for epoch, row in marked:
        number = math.floor(epoch + _NEAR)
        values = {key: value for key, value in row.items() if value is not None}
        at = ends.get(number)
        if number < 1 and not whole:  # before the end of the first
            since.update(values)
        elif at is not None and epoch == at[0]:
            at[1].update(values)
        elif at is None or at[0] < min(number, epoch):
            ends[number] = epoch, since | values if not whole else values
            since = {}
        else:
            since.update(values)
    return {float(number): ends[number][1] for number in sorted(ends)}


def _finite(value: Any) -> float | None:
    number = as_number(value)
    return number if number is not None and math.isfinite(number) else None


def spread(items: Sequence[Item], most: int = MOST_ROWS) -> list[Item]:
    """At most so many of the items, at even distances, the first and the last among them."""
    if len(items) <= most or most < 2:
        return list(items[-most:])
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
