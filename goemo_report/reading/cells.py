"""Cells of a prediction table as arrays; what cannot be taken is refused with row and column."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, Final, Literal, NamedTuple, TypeVar

import numpy as np

from goemo_report.contract import probability_column
from goemo_report.formats.table import Table
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed as in_words
from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.reading.lists import CellError, is_nothing, items, listed, mark, number

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

    @property
    def by_label(self) -> dict[str, int]:
        """The column of each label that is named."""
        return dict(zip(self.named, self.places, strict=False))


_OTHER_MARKS: Final = {"/": "slashes", "\t": "tabs", " ": "spaces"}
_MOST_LOOKED_AT: Final = 2000
_Read = TypeVar("_Read")


def texts(table: Table, place: int | None) -> list[str]:
    """The cells of a column as text; without one the numbers of the rows."""
    if place is None:
        return [f"row {row}" for row in range(1, len(table.columns[0]) + 1)]
    cells = table.columns[place]
    if table.mark:
        return list(cells)
    return [cell if isinstance(cell, str) else _text(cell) for cell in cells]


def _text(cell: Any) -> str:
    return "" if is_nothing(cell) else str(cell)


# --- Labels -----------------------------------------------------------------------------


def kind_of(cells: Sequence[Any], labels: Sequence[str] = (), count: int = 0) -> Kind | None:
    """Tell what cells of labels hold, None if all are empty; `count` labels are known, or none."""
    known, lengths, numbers = set(labels), set(), False
    no_ids = False  # one twice, or 1 before 0
    whole = on = True
    for cell in list(distinct(cells))[:_MOST_LOOKED_AT]:
        try:
            named = items(cell, known)
        except CellError:
            return "names"  # refused with its row when it is read
        if not named:
            continue
        values = [number(item) for item in named]
        if None in values or all(str(item) in known for item in named):
            return "names"
        numbers = True
        lengths.add(len(named))
        no_ids |= len(set(values)) < len(values) or values == [1.0, 0.0]
        on &= all(value in (0, 1) for value in values)
        whole &= all(value.is_integer() and value >= 0 for value in values if value is not None)
    if not numbers:
        return None
    if on and no_ids and (lengths == {count} if count else len(lengths) == 1):
        return "marks"
    return "ids" if whole else "numbers"


def list_length(cells: Sequence[Any]) -> int:
    """How many items the lists in cells have, 0 where they are no lists of one length."""
    found = {len(items) if items is not None else 0 for items in map(listed, cells[:50])}
    return found.pop() if len(found) == 1 else 0


def names_in(table: Table, place: int) -> dict[str, None]:
    """Every name that occurs in a column of names, in order."""
    _, found = _decoded(table, place, items)
    return {name: None for named in found for item in named if (name := str(item).strip())}


def labels(table: Table, at: Places, label_set: LabelSet, order: Sequence[str]) -> BoolArray:
    """(n, k) booleans from a column of names, ids or marks, or from one of 0 and 1 a label.

    `order` has the labels as lists of marks have them; ids count in the order of the set.
    """
    if at.named:
        return np.stack([marks(table, place) for place in at.places], axis=1)
    order = order if at.kind == "marks" else label_set.labels
    codes, found = _decoded(table, at.places[0], reader(at.kind, label_set, order))
    matrices = np.zeros((len(found), len(label_set.labels)), dtype=np.bool_)
    for code, positions in enumerate(found):
        matrices[code, positions] = True
    matrix: BoolArray = matrices[codes]
    return matrix


def decoded(table: Table, place: int, read: Callable[[Any], Iterable[int]]) -> list[Any]:
    """What `read` makes of each cell, sorted. Raises DataError, naming the row of a CellError."""
    codes, found = _decoded(table, place, lambda cell: tuple(sorted(read(cell))))
    return [found[code] for code in codes.tolist()]


def _decoded(
    table: Table, place: int, read: Callable[[Any], _Read]
) -> tuple[IntArray, list[_Read]]:
    """Read each different cell once; also which of them each row has, (n,)."""
    cells = list(table.columns[place])  # an array makes its items anew, and nan is not nan
    found = []
    different = distinct(cells)
    for key, cell in different.items():
        try:
            found.append(read(cell))
        except CellError as fault:
            row = next(row for row, one in enumerate(cells) if one is cell or _key(one) == key)
            raise table.refusal(row, place, fault.what, fault.remedy) from None
    numbers = {key: code for code, key in enumerate(different)}
    try:
        codes = np.fromiter(map(numbers.__getitem__, cells), np.intp, len(cells))
    except TypeError:  # lists
        codes = np.fromiter((numbers[_key(cell)] for cell in cells), np.intp, len(cells))
    return codes, found


def are_marks(cells: Sequence[Any]) -> bool:
    """Whether every cell is 0 or 1."""
    return all(mark(cell) is not None for cell in distinct(cells).values())


def marks(table: Table, place: int, *, may_lack: bool = False) -> BoolArray:
    """(n,) booleans of a column of 0 and 1; `may_lack`: what is empty is not marked."""
    cells = table.columns[place]
    if (
        isinstance(cells, np.ndarray)
        and cells.dtype.kind in "biuf"
        and np.isin(cells, (0, 1)).all()
    ):
        return cells.astype(np.bool_)

    def read(cell: Any) -> bool:
        found = False if may_lack and is_nothing(cell) else mark(cell)
        if found is None:
            what = f"{shown(str(cell))} is neither 0 nor 1"
            raise CellError(what, "Write 0 or 1 in every row")
        return found

    codes, found = _decoded(table, place, read)
    return np.array(found, np.bool_)[codes]


def _key(cell: Any) -> Any:
    """Make a hashable key of a cell, also of a list."""
    return repr(cell) if isinstance(cell, list | dict | np.ndarray) else cell


def distinct(cells: Sequence[Any]) -> dict[Any, Any]:
    """Different cells by what tells them apart, in order."""
    try:
        return {cell: cell for cell in cells}
    except TypeError:  # lists
        return {_key(cell): cell for cell in cells}


def reader(
    kind: Kind, label_set: LabelSet, order: Sequence[str], *, has_columns: bool = True
) -> Callable[[Any], list[int]]:
    """Make a reader of the labels that a cell names, by positions in the set. `order` has them as
    marks and ids count them. Raises CellError, which names the column that an unknown label lacks
    where labels `has_columns`."""
    index = {label: position for position, label in enumerate(label_set.labels)}

    def read(cell: Any) -> list[int]:
        named = items(cell, index)
        if not has_columns:  # a data set may end cells with a mark; of predictions it tells a cut
            named = [one for one in named if str(one).strip()]
        if kind == "marks" and named:
            on = [mark(item) for item in named]
            if len(on) != len(order) or None in on:
                what = f"{shown(str(cell))} is no list of {len(order)} times 0 or 1"
                raise CellError(what, "Write it as the other rows do")
            return [index[label] for label, mark in zip(order, on, strict=True) if mark]
        found: list[int] = []
        for item in named:
            position = _id(item, order, index) if kind == "ids" else _named(item, index)
            if position is None and kind == "ids":
                what = f"{shown(str(cell))} holds an id that is no label's"
                raise CellError(what, f"Write ids from 0 to {len(index) - 1}")
            if position is None or position in found:
                name, twice = str(item).strip(), position is not None
                raise _label_fault(str(cell), name, label_set, twice, has_columns)
            found.append(position)
        return found

    return read


def _id(item: Any, order: Sequence[str], index: Mapping[str, int]) -> int | None:
    """The label of an id, None for none."""
    at = number(item)
    is_id = at is not None and at.is_integer() and 0 <= at < len(order)
    return index[order[int(at or 0)]] if is_id else None


def _named(item: Any, index: Mapping[str, int]) -> int | None:
    """The label of a name, or the only one that differs in its case; None for none."""
    name = str(item).strip()
    if name in index:
        return index[name]
    alike = [at for label, at in index.items() if label.lower() == name.lower()]
    return alike[0] if len(alike) == 1 else None


def _label_fault(
    cell: str, name: str, label_set: LabelSet, twice: bool, has_columns: bool
) -> CellError:
    """Say why `name` in a cell of labels cannot be taken, and the remedy."""
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
    if number(name) is not None and not any(number(label) is not None for label in labels):
        what = f"{shown(name)} is no id of the {len(labels)} {label_set.nouns}"
        return CellError(what, f"Write ids from 0 to {len(labels) - 1}, or names")
    if has_columns:
        lacks = f"the file has no column {shown(probability_column(name))}"
        return CellError(f"{shown(name)} is no {noun}: {lacks}", f"{remedy}, and a column for each")
    what = f"{shown(name)} is no {noun}: they are {in_words(labels, 4)}"
    return CellError(what, f"{remedy}, or add it where the others are named")


# --- Probabilities ----------------------------------------------------------------------


def probabilities(
    table: Table, at: Places, labels: Sequence[str], order: Sequence[str]
) -> FloatArray:
    """(n, k) float64 from a column for each label, or from one of lists in the order `order`.

    Any cell that is not a plain decimal in [0, 1] is refused, the first by rows.
    """
    if at.named:
        columns = [table.columns[place] for place in at.places]
    else:
        columns = _listed(table, at.places[0], labels, order)
    values = np.stack([_probabilities(column, table.mark) for column in columns], axis=1)
    wrong = np.argwhere(np.isnan(values))
    if len(wrong):
        row, column = wrong[0].tolist()
        place = at.places[column if at.named else 0]
        raise _no_probability(table, row, place, columns[column][row])
    return values


def _listed(
    table: Table, place: int, labels: Sequence[str], order: Sequence[str]
) -> list[Sequence[Any]]:
    """A column of lists, in the order `order`, or of mappings by label, as a column a label."""
    positions = [order.index(label) for label in labels]
    rows = []
    for row, cell in enumerate(table.columns[place]):
        found = listed(cell)
        if isinstance(found, Mapping):
            rows.append([found.get(label) for label in labels])
        elif found is None or len(found) != len(order):
            count = "no list" if found is None else f"a list of {len(found)}"
            what = f"{shown(str(cell))} is {count}, not of {len(order)} probabilities"
            raise table.refusal(row, place, what, "Write one probability a label")
        else:
            rows.append([found[position] for position in positions])
    return list(zip(*rows, strict=True))


def _probabilities(cells: Sequence[Any], mark: str) -> FloatArray:
    """(n,) float64 of a column of probabilities, nan for what is none."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "biuf":
        values = cells.astype(np.float64)
        return np.where((values >= 0) & (values <= 1), values, np.nan)
    if mark in {";", "\t"}:  # these allow for decimal commas
        cells = [cell.replace(",", ".") if isinstance(cell, str) else cell for cell in cells]
    return np.array([_probability(cell) for cell in cells])


def _probability(cell: Any) -> float:
    """A plain decimal from 0 to 1, nan for anything else; `float` takes more."""
    if isinstance(cell, str):
        plain = cell.isascii() and "_" not in cell
    else:
        plain = isinstance(cell, Real) or type(cell).__name__ == "Decimal"
    try:
        value = float(cell) if plain else math.nan
    except ValueError:
        return math.nan
    return value if 0.0 <= value <= 1.0 else math.nan


def _no_probability(table: Table, row: int, place: int, cell: Any) -> Exception:
    text = "" if cell is None else str(cell)
    what, remedy = _probability_fault(text.strip())
    return table.refusal(row, place, f"{shown(text)} is not a probability{what}", remedy)


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
