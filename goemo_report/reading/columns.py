"""What the columns of a prediction table mean, and the same table with the guide's columns.

Understood are one column a label (`true_joy` and `prob_joy`, `joy` and `joy_prob`), names, ids
or 0/1 values as lists in a cell, and all probabilities as a list in a cell. What was taken for
what is said in notes.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Final

from goemo_report.contract import PROBABILITY_PREFIXES, probability_column
from goemo_report.errors import DataError
from goemo_report.formats.csv_table import Table
from goemo_report.formats.text import shown
from goemo_report.labels import LABEL_SETS, LabelSet, set_of

Cell = Callable[[list[str]], str]
"""Takes a row; gives a cell of the guide's table."""

_PROBABILITIES: Final = (*PROBABILITY_PREFIXES, "prob_", "probs_", "probability_", "p_", "score_")
_AFTER: Final = ("_prob", "_probs", "_probability", "_score", "_p")
_TRUE: Final = ("true_labels", "labels", "label", "y_true", "true", "gold", "target")
_PREDICTED: Final = ("pred_labels", "predictions", "predicted", "y_pred", "pred")
_LISTS: Final = ("pred_probs", "probs", "probabilities", "y_prob", "scores")
_TEXTS: Final = ("text", "sentence", "comment_text", "comment", "content", "tweet")
_IDS: Final = ("id", "comment_id", "text_id", "example_id")
_ON: Final = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False}


@dataclass
class _Shape:
    """How the cells of the guide's table follow from a row."""

    labels: tuple[str, ...]
    probabilities: list[Cell]
    notes: list[str] = field(default_factory=list)


def guides_table(table: Table, expected: Sequence[LabelSet] = ()) -> tuple[Table, tuple[str, ...]]:
    """The table with the guide's columns, itself where it has them, and what was understood.

    Ids, and lists whose labels nothing names, follow the order of that of the `expected` label
    sets that fits. A table that cannot be understood is given back as it is. Raises DataError
    for a row that does not fit the others.
    """
    header = table.header
    try:
        first = next(iter(table.blocks())).rows[:_SAMPLE]
    except DataError:
        return table, ()  # what is wrong with it is said where it is read
    if not table.decimal_comma and _is_the_guides(header, first):
        return table, ()
    shape = _shape(table, first, expected)
    if shape is None:
        return table, ()  # the guide's columns that it lacks are named there
    text, said = _text(header)
    true = _labels(table, "true", _TRUE, shape, first)
    if true is None:
        return table, ()
    predicted = _labels(table, "pred", _PREDICTED, shape, first)
    if predicted is None:
        shape.notes.append("predicted labels: probability of at least 0.5")

        def predicted(row: list[str]) -> str:
            pairs = zip(shape.labels, shape.probabilities, strict=True)
            return ",".join(label for label, cell in pairs if _reaches(cell(row)))

    cells: list[Cell] = [text, true, predicted, *shape.probabilities]
    names = ("text", "true_labels", "pred_labels", *map(probability_column, shape.labels))
    made = Table.of_rows(names, _rewritten(table, cells), table.source)
    return made, (*said, *shape.notes)


_SAMPLE: Final = 50


def _rewritten(table: Table, cells: Sequence[Cell]) -> Iterator[list[str]]:
    number = 0
    for block in table.blocks():
        for row in block.rows:
            number += 1
            try:
                yield [cell(row) for cell in cells]
            except ValueError as error:
                raise table.refusal(
                    number - 1, "", str(error), "Write it as the other rows do"
                ) from None


def _is_the_guides(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    if not {"text", "true_labels", "pred_labels"} <= set(header):
        return False
    if sum(name.startswith(PROBABILITY_PREFIXES) for name in header) < 2:
        return False
    labels = {name.partition("_")[2] for name in header}
    for name in ("true_labels", "pred_labels"):
        filled = [cell for row in rows if (cell := row[header.index(name)].strip())]
        if any(cell.startswith(("[", "(")) for cell in filled):
            return False
        if filled and all(map(_are_ids, filled)) and not any(map(str.isdecimal, labels)):
            return False
    return True


def _are_ids(cell: str) -> bool:
    return all(part.strip().isdecimal() for part in cell.split(","))


# --- Probabilities --------------------------------------------------------------------


def _shape(
    table: Table, rows: Sequence[Sequence[str]], expected: Sequence[LabelSet]
) -> _Shape | None:
    """The labels and where the probability of each stands, None where nothing names them."""
    header, patterns = table.header, _patterns()
    for named in patterns:
        found = {label: i for i, name in enumerate(header) if (label := named(name))}
        if len(found) >= 2:
            labels = set_of(found, expected).labels
            shape = _Shape(labels, [_at(found[label]) for label in labels])
            if table.decimal_comma:
                shape.probabilities = [_pointed(cell) for cell in shape.probabilities]
            return shape
    place = next((header.index(name) for name in _LISTS if name in header), None)
    if place is None:
        return None
    length = len(_listed(rows[0][place]) or ())
    labels = _labels_of(header, length, table, expected)
    shape = _Shape(labels, [_nth(place, i) for i in range(length)])
    shape.notes.append(f"column {header[place]}: probabilities of {', '.join(labels[:3])}, ...")
    return shape


def _patterns() -> Iterator[Callable[[str], str]]:
    """What gives the label that a column of probabilities names, empty for other columns."""
    yield from (partial(_without, prefix, "") for prefix in _PROBABILITIES)
    yield from (partial(_without, "", suffix) for suffix in _AFTER)


def _without(prefix: str, suffix: str, name: str) -> str:
    if name.startswith(prefix) and name.endswith(suffix):
        return name.removeprefix(prefix).removesuffix(suffix)
    return ""


def _labels_of(
    header: Sequence[str], length: int, table: Table, expected: Sequence[LabelSet]
) -> tuple[str, ...]:
    """The labels of a list of probabilities: those of one-hot columns, else a known set."""
    named = [name.removeprefix("true_") for name in header if name.startswith("true_")]
    if len(named) == length:
        return tuple(named)
    sets = expected or LABEL_SETS
    known: Sequence[LabelSet] = [one for one in sets if len(one.labels) == length]
    if not known:
        raise DataError(
            f"{table.source}: lists of {length} probabilities, and nothing names the labels",
            "Name them in order with --labels FILE, or write a column pred_probs_{label} for each",
        )
    return known[0].labels


def _at(place: int) -> Cell:
    return lambda row: row[place]


def _pointed(cell: Cell) -> Cell:
    return lambda row: cell(row).replace(",", ".")


def _nth(place: int, number: int) -> Cell:
    def cell(row: list[str]) -> str:
        found = _listed(row[place])
        if found is None or len(found) <= number:
            raise ValueError(f"{shown(row[place])} is no list of probabilities")
        return str(found[number])

    return cell


def _reaches(cell: str) -> bool:
    try:
        return float(cell) >= 0.5
    except ValueError:
        return False  # refused where the probabilities are read


# --- Labels and texts -----------------------------------------------------------------


def _labels(
    table: Table, kind: str, names: Sequence[str], shape: _Shape, rows: Sequence[Sequence[str]]
) -> Cell | None:
    """How the labels of a row are told: one column of them, else one column a label."""
    header, labels = table.header, shape.labels
    one = next((header.index(name) for name in names if name in header), None)
    if one is not None:
        filled = [row[one].strip() for row in rows if row[one].strip()]
        ids = bool(filled) and all(_are_ids(cell.strip("[]() ")) for cell in filled)
        if ids and not any(label.isdecimal() for label in labels):
            shape.notes.append(
                f"column {header[one]}: ids in the order {', '.join(labels[:3])}, ..."
            )
        return _names_in(one, labels, ids)
    for form in ("{kind}_{label}", "{label}_{kind}", "label_{label}", "{label}"):
        if kind == "pred" and "{kind}" not in form:
            continue
        columns = [form.format(kind=kind, label=label) for label in labels]
        if set(columns) <= set(header):
            shape.notes.append(f"columns {columns[0]}, ...: {kind} labels, 0 or 1")
            return _one_hot([header.index(name) for name in columns], labels)
    return None


def _names_in(place: int, labels: tuple[str, ...], ids: bool) -> Cell:
    def cell(row: list[str]) -> str:
        text = row[place].strip()
        found = _listed(text) if text.startswith(("[", "(")) else text.split(",") if ids else None
        if found is None:
            return text
        names = [str(one).strip() for one in found if str(one).strip()]
        if ids and names:
            if any(not one.isdecimal() or int(one) >= len(labels) for one in names):
                raise ValueError(f"{shown(text)} holds an id that is no label's")
            names = [labels[int(one)] for one in names]
        return ",".join(names)

    return cell


def _one_hot(places: Sequence[int], labels: tuple[str, ...]) -> Cell:
    def cell(row: list[str]) -> str:
        marks = [_ON.get(row[place].strip().lower()) for place in places]
        if None in marks:
            wrong = row[places[marks.index(None)]]
            raise ValueError(f"{shown(wrong)} is neither 0 nor 1")
        return ",".join(label for label, mark in zip(labels, marks, strict=True) if mark)

    return cell


def _text(header: Sequence[str]) -> tuple[Cell, tuple[str, ...]]:
    place = next((header.index(name) for name in _TEXTS if name in header), None)
    if place is not None:
        return _at(place), ()
    place = next((header.index(name) for name in _IDS if name in header), None)
    if place is not None:
        return _at(place), (f"no texts: rows are told by column {header[place]}",)
    numbers = count(1)
    return lambda _: f"row {next(numbers)}", ("no texts: rows are told by their number",)


def _listed(text: str) -> list[Any] | None:
    """A list in a cell, as JSON or as Python writes it; NumPy's spaces for commas as well."""
    for parse in (json.loads, ast.literal_eval):
        try:
            found = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return list(found) if isinstance(found, list | tuple) else None
    inside = text.strip("[]() \n")
    parts = inside.replace(",", " ").split()
    return [part.strip("'\"") for part in parts] if text[:1] in "[(" else None
