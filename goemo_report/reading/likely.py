"""Cells of a prediction table as probabilities; what is none is refused with row and column."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from goemo_report.formats.csv_table import Block
from goemo_report.formats.text import shown
from goemo_report.metrics.arrays import FloatArray
from goemo_report.reading.lists import listed


def probabilities(
    block: Block,
    places: Sequence[int],
    named: Sequence[str],
    labels: Sequence[str],
    order: Sequence[str],
) -> FloatArray:
    """(n, k) float64 from a column for each label, or from one of lists in the order `order`.

    Any cell that is not a plain decimal in [0, 1] is refused, the first by rows.
    """
    if not named:
        return _probability_lists(block, places[0], order, labels)
    columns = [_numbers(block, place) for place in places]
    wrong = [None if one is not None else _first_wrong(block, p)
             for one, p in zip(columns, places, strict=True)]  # fmt: skip
    faults = [(row, place) for row, place in zip(wrong, places, strict=True) if row is not None]
    if faults:
        row, place = min(faults)
        raise _no_probability(block, row, place, block.columns[place][row])
    return np.stack([column for column in columns if column is not None], axis=1)


def _probability_lists(block: Block, place: int, order: Sequence[str],
                      labels: Sequence[str]) -> FloatArray:  # fmt: skip
    """(n, k) float64 from a column of lists, in the order `order`, or of mappings by label."""
    positions = [order.index(label) for label in labels]
    rows = []
    for number, cell in enumerate(block.columns[place]):
        found = listed(cell)
        if isinstance(found, Mapping):
            values = [found.get(label) for label in labels]
        elif found is None or len(found) != len(order):
            count = "no list" if found is None else f"a list of {len(found)}"
            what = f"{shown(str(cell))} is {count}, not of {len(order)} probabilities"
            raise block.refusal(number, place, what, "Write one probability a label")
        else:
            values = [found[position] for position in positions]
        row = [_probability(value) for value in values]
        if None in row:
            raise _no_probability(block, number, place, values[row.index(None)])
        rows.append(row)
    return np.array(rows, np.float64)


def _numbers(block: Block, place: int) -> FloatArray | None:
    """A column of probabilities, None where a cell is none."""
    cells = block.columns[place]
    if isinstance(cells, np.ndarray):
        values = cells.astype(np.float64) if cells.dtype.kind in "biuf" else None
    elif isinstance(next((cell for cell in cells if cell is not None), None), str):
        try:
            everything = "".join(cells)
            if block.table.mark in ";\t" and "," in everything:
                everything, cells = (
                    everything.replace(",", "."),
                    [c.replace(",", ".") for c in cells],
                )
            # float() takes more than we do
            plain = everything.isascii() and "_" not in everything
            values = np.fromiter(map(float, cells), np.float64, len(cells)) if plain else None
        except (ValueError, TypeError):
            values = None
    else:
        found = [_probability(cell) for cell in cells]
        values = None if None in found else np.array(found, np.float64)
    if values is None or not ((values >= 0.0) & (values <= 1.0)).all():
        return None
    return values


def _probability(cell: Any) -> float | None:
    if isinstance(cell, str):
        if not cell.isascii() or "_" in cell:
            return None
    elif not isinstance(cell, Real) and type(cell).__name__ != "Decimal":
        return None
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if 0.0 <= value <= 1.0 else None


def _first_wrong(block: Block, place: int) -> int:
    comma = bool(block.table.mark) and block.table.mark in ";\t"
    for row, cell in enumerate(block.columns[place]):
        if (
            _probability(cell.replace(",", ".") if comma and isinstance(cell, str) else cell)
            is None
        ):
            return row
    raise AssertionError


def _no_probability(block: Block, row: int, place: int, cell: Any) -> Exception:
    what, remedy = _probability_fault("" if cell is None else str(cell).strip())
    shown_cell = shown("" if cell is None else str(cell))
    return block.refusal(row, place, f"{shown_cell} is not a probability{what}", remedy)


def _probability_fault(cell: str) -> tuple[str, str]:
    """Why a cell is no probability, where that is seen, and the remedy."""
    if not cell:
        return ", the cell is empty", "Write a number from 0 to 1 in every row"
    if re.fullmatch(r"-?\d*,\d+", cell):
        return ", it has a decimal comma", "Write numbers with decimal points"
    if cell.endswith("%"):
        return ", but a percentage", "Write numbers from 0 to 1"
    if cell.startswith(("[", "(")):
        return ", but a list", "Write one number in the column of each label"
    return "", "Write finite numbers from 0 to 1: sigmoid outputs, not logits"
