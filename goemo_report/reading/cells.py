"""Cells of a prediction table as arrays; what cannot be taken is refused with row and column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from numbers import Real
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from goemo_report.contract import probability_column
from goemo_report.formats.table import Block
from goemo_report.formats.text import shown
from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.reading.lists import CellError, is_nothing, listed, mark, marked

Kind = Literal["names", "ids", "marks", "numbers"]
"""What a column of labels holds: names, ids, a 0 or 1 for each label, or other numbers."""


class Places(NamedTuple):
    """Where labels or probabilities are: in one column, or in one for each label that is `named`.

    `kind` is what a column of labels holds; of 0 and 1 for each label it is `marks`.
    """

    places: tuple[int, ...]
    named: tuple[str, ...] = ()
    kind: Kind = "names"

    @classmethod
    def of(cls, group: Mapping[str, int]) -> Places:
        """A column for each label."""
        return cls(tuple(group.values()), tuple(group), "marks")


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


def labels(block: Block, at: Places, label_set: LabelSet, order: Sequence[str]) -> BoolArray:
    """(n, k) booleans from a column of names, ids or marks, or from one of 0 and 1 a label.

    `order` has the labels as lists of marks have them. Each distinct cell is parsed once.
    """
    if at.named:
        return np.stack([_marks(block, place) for place in at.places], axis=1)
    (place,) = at.places
    cells = list(block.columns[place])  # an array makes its items anew, and nan is not nan
    codes = distinct(cells)
    matrices = np.zeros((len(codes), len(label_set.labels)), dtype=np.bool_)
    index = {label: position for position, label in enumerate(label_set.labels)}
    for code, cell in enumerate(codes.values()):
        try:
            matrices[code, _positions(cell, at.kind, label_set, index, order)] = True
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
        what = f"{shown(str(cells[row]))} is neither 0 nor 1"
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
            what = f"{shown(str(cell))} is no list of {len(order)} times 0 or 1"
            raise CellError(what, "Write it as the other rows do")
        return [index[label] for label, mark in zip(order, marks, strict=True) if mark]
    found: list[int] = []
    for item in items:
        name = str(item).strip()
        if kind == "ids":
            number = _number(item)
            if number is None or number != int(number) or not 0 <= number < len(index):
                raise CellError(
                    f"{shown(str(cell))} holds an id that is no label's",
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


# --- Probabilities ----------------------------------------------------------------------


def probabilities(
    block: Block, at: Places, labels: Sequence[str], order: Sequence[str]
) -> FloatArray:
    """(n, k) float64 from a column for each label, or from one of lists in the order `order`.

    Any cell that is not a plain decimal in [0, 1] is refused, the first by rows.
    """
    if not at.named:
        return _probability_lists(block, at.places[0], order, labels)
    columns = [_numbers(block, place) for place in at.places]
    wrong = [place for one, place in zip(columns, at.places, strict=True) if one is None]
    if wrong:
        row, place = min((_first_wrong(block, place), place) for place in wrong)
        raise _no_probability(block, row, place, block.columns[place][row])
    return np.stack([column for column in columns if column is not None], axis=1)


def _probability_lists(
    block: Block, place: int, order: Sequence[str], labels: Sequence[str]
) -> FloatArray:
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
    cells = _pointed(block, place)
    if isinstance(cells, np.ndarray):
        values = cells.astype(np.float64) if cells.dtype.kind in "biuf" else None
    elif isinstance(next((cell for cell in cells if cell is not None), None), str):
        try:
            everything = "".join(cells)
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


def _pointed(block: Block, place: int) -> Sequence[Any]:
    """The cells of a column, with points for the decimal commas that other separators allow."""
    cells = block.columns[place]
    if block.table.mark not in {";", "\t"}:
        return cells
    return [cell.replace(",", ".") if isinstance(cell, str) else cell for cell in cells]


def _first_wrong(block: Block, place: int) -> int:
    cells = _pointed(block, place)
    return next(row for row, cell in enumerate(cells) if _probability(cell) is None)


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


def _no_probability(block: Block, row: int, place: int, cell: Any) -> Exception:
    text = "" if cell is None else str(cell)
    what, remedy = _probability_fault(text.strip())
    return block.refusal(row, place, f"{shown(text)} is not a probability{what}", remedy)


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
