"""Cells of a prediction table as arrays; what cannot be taken is refused with row and column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from numbers import Real
from typing import Any, Final, Literal

import numpy as np

from goemo_report.contract import probability_column
from goemo_report.formats.csv_table import Block
from goemo_report.formats.text import shown
from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import BoolArray
from goemo_report.reading.lists import CellError, is_nothing, listed, mark, marked

Kind = Literal["names", "ids", "marks", "numbers"]
"""What a column of labels holds: names, ids, a 0 or 1 for each label, or other numbers."""

_OTHER_MARKS: Final = {"/": "slashes", "\t": "tabs", " ": "spaces"}
_MOST_LOOKED_AT: Final = 2000


def texts(block: Block, place: int | None, before: int) -> list[str]:
    """The cells of a column as text; without one the numbers of the rows, after those `before`."""
    if place is None:
        return [f"row {before + row}" for row in range(1, len(block.columns[0]) + 1)]
    cells = block.columns[place]
    if block.table.mark:
        return list(cells)
    return [cell if isinstance(cell, str) else _text(cell) for cell in cells]


def _text(cell: Any) -> str:
    return "" if is_nothing(cell) else str(cell)


def _first(cells: Sequence[Any]) -> Any:
    return next((cell for cell in cells if cell is not None), None)


# --- Labels -----------------------------------------------------------------------------


def kind_of(cells: Sequence[Any], labels: Sequence[str] = (), count: int = 0) -> Kind | None:
    """What cells of labels hold, None where they are empty; `count` labels are known, or none."""
    known, lengths, numbers = set(labels), set(), False
    no_ids = False  # one twice, or 1 before 0
    whole = on = True
    for cell in list(distinct(cells))[:_MOST_LOOKED_AT]:
        try:
            items = _items(cell, known)
        except CellError:
            return "names"  # refused with its row when it is read
        if not items:
            continue
        values = [_number(item) for item in items]
        if None in values or all(str(item) in known for item in items):
            return "names"
        numbers = True
        lengths.add(len(items))
        no_ids |= len(set(values)) < len(values) or values == [1.0, 0.0]
        on &= all(value in (0, 1) for value in values)
        whole &= all(value == int(value) and value >= 0 for value in values if value is not None)
    if not numbers:
        return None
    if on and no_ids and (lengths == {count} if count else len(lengths) == 1):
        return "marks"
    return "ids" if whole else "numbers"


def list_length(cells: Sequence[Any]) -> int:
    """How many items the lists in cells have, 0 where they are no lists of one length."""
    found = {len(items) if items is not None else 0 for items in map(listed, cells[:50])}
    return found.pop() if len(found) == 1 else 0


def names_in(cells: Sequence[Any]) -> dict[str, None]:
    """Every name that occurs in cells of names, in order."""
    found: dict[str, None] = {}
    for cell in distinct(cells):
        with suppress(CellError):  # refused with its row when it is read
            found |= {str(name).strip(): None for name in _items(cell, ())}
    found.pop("", None)
    return found


def labels(
    block: Block,
    places: Sequence[int],
    kind: Kind,
    named: Sequence[str],
    label_set: LabelSet,
    order: Sequence[str],
) -> BoolArray:
    """(n, k) booleans from a column of names, ids or marks, or from one of 0 and 1 a label.

    `order` has the labels as lists of marks have them. Each distinct cell is parsed once.
    """
    if named:
        return np.stack([_marks(block, place) for place in places], axis=1)
    (place,) = places
    cells = list(block.columns[place])  # an array makes its items anew, and nan is not nan
    codes = distinct(cells)
    matrices = np.zeros((len(codes), len(label_set.labels)), dtype=np.bool_)
    index = {label: position for position, label in enumerate(label_set.labels)}
    for code, cell in enumerate(codes.values()):
        try:
            matrices[code, _positions(cell, kind, label_set, index, order)] = True
        except CellError as fault:
            row = next(row for row, one in enumerate(cells) if _key(one) == _key(cell))
            raise block.refusal(row, place, fault.what, fault.remedy) from None
    numbers = {key: code for code, key in enumerate(codes)}
    try:
        found = np.fromiter(map(numbers.__getitem__, cells), np.intp, len(cells))
    except TypeError:  # lists
        found = np.fromiter((numbers[_key(cell)] for cell in cells), np.intp, len(cells))
    matrix: BoolArray = matrices[found]
    return matrix


def are_marks(cells: Sequence[Any]) -> bool:
    """Whether every cell is 0 or 1."""
    return all(mark(cell) is not None for cell in distinct(cells).values())


def _marks(block: Block, place: int) -> BoolArray:
    cells = block.columns[place]
    if (
        isinstance(cells, np.ndarray)
        and cells.dtype.kind in "biuf"
        and np.isin(cells, (0, 1)).all()
    ):
        return cells.astype(np.bool_)
    cells = list(cells)
    marks = {key: mark(cell) for key, cell in distinct(cells).items()}
    if None in marks.values():
        row = next(row for row, cell in enumerate(cells) if marks[_key(cell)] is None)
        what = f"{_shown(cells[row])} is neither 0 nor 1"
        raise block.refusal(row, place, what, "Write it as the other rows do")
    return np.fromiter((marks[_key(cell)] for cell in cells), np.bool_, len(cells))


def _key(cell: Any) -> Any:
    """What tells a cell from others, also where it is a list."""
    return repr(cell) if isinstance(cell, list | dict | np.ndarray) else cell


def distinct(cells: Sequence[Any]) -> dict[Any, Any]:
    """Different cells by what tells them apart, in order."""
    try:
        return {cell: cell for cell in cells}
    except TypeError:  # lists
        return {_key(cell): cell for cell in cells}


def _items(cell: Any, known: Mapping[str, int] | set[str] | tuple[()]) -> list[Any]:
    """What a cell of labels names, one by one."""
    if not isinstance(cell, str):
        found = listed(cell)
        if isinstance(found, Mapping):
            return marked(found)
        if found is not None:
            return list(found)
        return [] if is_nothing(cell) else [cell]
    text = cell.strip()
    if text in known:
        return [text]
    found = listed(text)
    if isinstance(found, Mapping):
        return marked(found)
    if found is not None:
        inside = text[1:-1].strip()
        return [inside] if inside in known else list(found)
    return [] if is_nothing(text) else _separated(text, known)


def _separated(text: str, known: Iterable[str]) -> list[str]:
    """The parts of a cell between bars, semicolons or commas, where no label has such a mark."""
    marks = (mark for mark in "|;" if mark in text and not any(mark in one for one in known))
    return text.split(next(marks, ","))


def _positions(
    cell: Any, kind: Kind, label_set: LabelSet, index: Mapping[str, int], order: Sequence[str]
) -> list[int]:
    """The labels that a cell names, by their positions."""
    items = _items(cell, index)
    if kind == "marks" and items:
        marks = [mark(item) for item in items]
        if len(marks) != len(order) or None in marks:
            what = f"{_shown(cell)} is no list of {len(order)} times 0 or 1"
            raise CellError(what, "Write it as the other rows do")
        return [index[label] for label, mark in zip(order, marks, strict=True) if mark]
    found: list[int] = []
    for item in items:
        name = str(item).strip()
        if kind == "ids":
            number = _number(item)
            if number is None or number != int(number) or not 0 <= number < len(index):
                raise CellError(
                    f"{_shown(cell)} holds an id that is no label's",
                    f"Write ids from 0 to {len(index) - 1}",
                )
            position: int | None = int(number)
        else:
            position = index.get(name)
            if position is None:
                alike = [at for label, at in index.items() if label.lower() == name.lower()]
                position = alike[0] if len(alike) == 1 else None
        if position is None or position in found:
            raise _label_fault(str(cell), name, label_set, twice=position is not None)
        found.append(position)
    return found


def _number(item: Any) -> float | None:
    if isinstance(item, bool):
        return float(item)
    try:
        return float(item) if isinstance(item, Real | str) and "_" not in str(item) else None
    except ValueError:
        found = mark(item)
        return None if found is None else float(found)


def _label_fault(cell: str, name: str, label_set: LabelSet, *, twice: bool) -> CellError:
    """What is wrong with a cell of labels, of which `name` cannot be taken, and the remedy."""
    noun, labels = label_set.noun, label_set.labels
    remedy = f"Write names of {label_set.nouns}, separated by commas"
    parts = {mark: {part.strip() for part in cell.split(mark)} for mark in _OTHER_MARKS}
    mark = next((mark for mark, found in parts.items() if found <= {*labels, ""}), None)
    meant = [shown(label) for label in labels if label.lower() == name.lower()]
    if twice:
        return CellError(f"{shown(name)} is named twice", f"Name each {noun} once")
    if cell.strip() and all(part.strip().isdecimal() for part in cell.split(",")):
        what = f"{shown(cell)} is no {noun}, but ids"
        return CellError(what, f"{remedy}, instead of the ids")
    if mark is not None and cell.strip():
        what = f"{shown(cell)} is no {noun}, but several, separated by {_OTHER_MARKS[mark]}"
        return CellError(what, remedy)
    if meant:
        what = f"{shown(name)} is no {noun}, but {' and '.join(meant)} are"
        return CellError(what, "Write it as the columns do")
    if _number(name) is not None and not any(_number(label) is not None for label in labels):
        what = f"{shown(name)} is no id of the {len(labels)} {label_set.nouns}"
        return CellError(what, f"Write ids from 0 to {len(labels) - 1}, or names")
    column = shown(probability_column(name))
    what = f"{shown(name)} is no {noun}: the file has no column {column}"
    return CellError(what, f"{remedy}, and a column for each")


def _shown(cell: Any) -> str:
    return shown(cell if isinstance(cell, str) else str(cell))
