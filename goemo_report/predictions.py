"""Prediction files: reading with every check, writing, and the threshold that made them.

The standard library reads the CSV and numpy takes the numbers in bulk, so that a file of
5,427 texts costs tens of milliseconds. A row is located only when it is refused.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress
from operator import itemgetter
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from goemo_report.contract import (
    PREDICTION_COLUMNS,
    PROBABILITY_PREFIX,
    PROBABILITY_PREFIXES,
    prediction_columns,
    probability_column,
)
from goemo_report.errors import DataError
from goemo_report.formats.csv_table import Block, quoted, read_table
from goemo_report.formats.files import write_whole
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed, plural
from goemo_report.labels import Grouping, LabelSet, check_label, set_of
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.reading.columns import guides_table

if TYPE_CHECKING:
    import pandas as pd

_OTHER_MARKS = {
    ";": "semicolons",
    "|": "vertical bars",
    "/": "slashes",
    "\t": "tabs",
    " ": "spaces",
}
_TEXT_COLUMNS = tuple(key.name for key in PREDICTION_COLUMNS)


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Predictions:
    """One prediction file: `n` texts and `k` labels, in the order of the label set.

    `truth` and `predicted` are (n, k) booleans, as `true_labels` and `pred_labels` have them;
    `probabilities` is (n, k) float64 in [0, 1]. `source` names the file in messages; `change`
    says what became of its labels since it was read, `notes` how columns that are not the
    guide's were understood.
    """

    texts: tuple[str, ...]
    truth: BoolArray
    probabilities: FloatArray
    predicted: BoolArray
    label_set: LabelSet
    source: str
    change: str = ""
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the columns."""
        return self.label_set.labels

    @property
    def y_true(self) -> BoolArray:
        """True labels, (n, k) booleans."""
        return self.truth

    @property
    def y_prob(self) -> FloatArray:
        """Probabilities, (n, k) float64."""
        return self.probabilities

    @property
    def y_pred(self) -> BoolArray:
        """Predicted labels as the file has them, (n, k) booleans."""
        return self.predicted

    def to_frame(self) -> pd.DataFrame:
        """The guide's table: `text`, `true_labels`, `pred_labels` (comma-separated names) and
        one float64 column `pred_probs_{label}` a label."""
        import pandas as pd

        frame = pd.DataFrame(self.probabilities, columns=list(map(probability_column, self.labels)))
        for name, marks in (("pred_labels", self.predicted), ("true_labels", self.truth)):
            frame.insert(0, name, [",".join(compress(self.labels, row)) for row in marks.tolist()])
        frame.insert(0, "text", list(self.texts))
        return frame

    def __repr__(self) -> str:
        """One line: where from, how many texts and labels."""
        return f"<Predictions of {self.source}: {len(self):,} texts x {len(self.labels)} labels>"

    def __len__(self) -> int:
        """Number of texts."""
        return len(self.texts)

    def take(self, rows: IntArray, columns: IntArray) -> Predictions:
        """These rows and labels, by position and in this order."""
        grid = np.ix_(rows, columns)
        return Predictions(
            texts=tuple(self.texts[row] for row in rows.tolist()),
            truth=self.truth[grid],
            probabilities=self.probabilities[grid],
            predicted=self.predicted[grid],
            label_set=self.label_set.only(self.labels[column] for column in columns.tolist()),
            source=self.source,
            change=self.change,
        )

    def on_labels(self, labels: Sequence[str]) -> Predictions:
        """Only these of the labels, in this order."""
        if tuple(labels) == self.labels:
            return self
        columns = np.array([self.labels.index(label) for label in labels], np.int64)
        return self.take(np.arange(len(self), dtype=np.int64), columns)

    def in_order_of(self, labels: Sequence[str]) -> Predictions:
        """In the order of these labels, where they are the same ones; itself where not."""
        return self.on_labels(labels) if set(labels) == set(self.labels) else self

    def rolled_up(self, grouping: Grouping) -> Predictions:
        """The same texts with groups as labels; groups without a label of the file are left out.

        A text carries a group, and is predicted to, if it does any member of it; the group's
        probability is the largest of its members'.
        """
        position = {label: column for column, label in enumerate(self.labels)}
        members = {
            group: [position[label] for label in labels if label in position]
            for group, labels in grouping.groups.items()
        }
        members = {group: columns for group, columns in members.items() if columns}
        if not members:
            raise DataError(f"{self.source} has no {self.label_set.noun} of a group")

        def union(marks: BoolArray) -> BoolArray:
            return np.stack([marks[:, c].any(axis=1) for c in members.values()], axis=1)

        likely = [self.probabilities[:, c].max(axis=1) for c in members.values()]
        return replace(
            self,
            truth=union(self.truth),
            predicted=union(self.predicted),
            probabilities=np.stack(likely, axis=1),
            label_set=grouping.target(members),
            change=f"rolled up from {len(self.labels)} {self.label_set.nouns} to "
            f"{len(members)} by {grouping.name}: true and predicted labels by union, "
            "probabilities by the maximum",
        )


# --- Reading --------------------------------------------------------------------------


def read_predictions(
    path: str | PathLike[str], *, name: str | None = None, expected: Sequence[LabelSet] = ()
) -> Predictions:
    """Read and check a prediction file; `name` stands for the path in messages.

    With `expected` label sets it must have the labels of one, and they are in that one's order.

    CSV, TSV, semicolons with decimal commas, Parquet, Arrow, JSON, JSON Lines and `.npz`, plain
    or compressed, told by content. Columns are the guide's in any order, or another shape that
    `reading.columns` understands. Raises DataError, naming file, line and column.
    """
    path = Path(path)
    source = name or path.name
    table, notes = guides_table(read_table(path, source), expected)
    columns = _Columns.of(table.header, source, expected)
    texts: list[str] = []
    parts: list[tuple[BoolArray, FloatArray, BoolArray]] = []
    for block in table.blocks():
        texts += map(itemgetter(columns.text), block.rows)
        truth = _label_matrix(block, columns.truth, columns.label_set)
        probabilities = _probabilities(block, columns.probabilities)
        parts.append(
            (truth, probabilities, _label_matrix(block, columns.predicted, columns.label_set))
        )
    truth, probabilities, predicted = map(np.concatenate, zip(*parts, strict=True))
    label_set = columns.label_set
    arrays = truth, probabilities, predicted
    return Predictions(tuple(texts), *arrays, label_set, source, notes=notes)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the columns are; `probabilities` in the order of the label set."""

    text: int
    truth: int
    predicted: int
    probabilities: tuple[int, ...]
    label_set: LabelSet

    @classmethod
    def of(cls, header: Sequence[str], source: str, expected: Sequence[LabelSet]) -> _Columns:
        positions: dict[str, int] = {}
        named: dict[str, int] = {}
        for position, name in enumerate(header):
            label = _label_of(name)
            column = name if label is None else probability_column(label)
            if label is None and name not in _TEXT_COLUMNS:
                continue
            if positions.setdefault(column, position) != position:
                what = f"{source}: column {shown(column)} is there twice"
                raise DataError(what, "Keep one of the two")
            if label is not None:
                check_label(label, f"{source}: column {shown(name)}")
                named[label] = position
        missing = [name for name in _TEXT_COLUMNS if name not in positions]
        if len(named) < 2:
            which = "a second label" if named else "two labels or more"
            missing.append(f"{PROBABILITY_PREFIX}{{label}} of {which}")
        if missing:
            what = f"{source} lacks {plural(len(missing), 'column')}: {listed(missing, 4)}"
            raise DataError(
                f"{what}; it has {_seen(header)}",
                "A prediction CSV has text, true_labels, pred_labels and one pred_probs_ column "
                "for each label, of two labels or more",
            )
        label_set = set_of(named, expected)
        if expected and label_set not in expected:
            raise _other_labels(source, label_set.labels, expected[0].labels)
        text, truth, predicted = (positions[name] for name in _TEXT_COLUMNS)
        probabilities = tuple(named[label] for label in label_set.labels)
        return cls(text, truth, predicted, probabilities, label_set)


def _other_labels(source: str, found: Sequence[str], wanted: Sequence[str]) -> DataError:
    """The error for a file that does not have the labels that were asked for."""
    lacking = [label for label in wanted if label not in found]
    more = [label for label in found if label not in wanted]
    faults = [f"lacks {listed(lacking, 4)}"] if lacking else []
    faults += [f"has {listed(more, 4)} besides"] if more else []
    return DataError(
        f"{source} does not have the {len(wanted)} labels asked for: it {' and '.join(faults)}",
        "Leave --labels out, or name the set that the file has",
    )


def _seen(header: Sequence[str]) -> str:
    """What a header has, with columns that begin alike (`true_joy`, `true_fear`) counted."""
    alike: dict[str, list[str]] = {}
    for name in header:
        stem, mark, _ = name.partition("_")
        alike.setdefault(stem + mark if mark and name not in _TEXT_COLUMNS else name, []).append(
            name
        )
    parts = [
        shown(names[0]) if len(names) == 1 else f"{len(names)} columns such as {shown(names[0])}"
        for names in alike.values()
    ]
    return listed(parts, 4)


def _label_of(column: str) -> str | None:
    """The label whose probabilities a column holds, None for other columns."""
    prefix = next((one for one in PROBABILITY_PREFIXES if column.startswith(one)), None)
    return None if prefix is None else column.removeprefix(prefix)


def _label_matrix(block: Block, column: int, label_set: LabelSet) -> BoolArray:
    """(n, k) booleans from comma-separated names; each distinct cell is parsed once."""
    cells = list(map(itemgetter(column), block.rows))
    codes = {cell: code for code, cell in enumerate(dict.fromkeys(cells))}
    distinct = np.zeros((len(codes), len(label_set.labels)), dtype=np.bool_)
    index = {label: position for position, label in enumerate(label_set.labels)}
    for cell, code in codes.items():
        for part in cell.split(",") if cell.strip() else ():
            position = index.get(part.strip())
            if position is None or distinct[code, position]:
                what, remedy = _label_fault(cell, part.strip(), label_set)
                raise block.refusal(cells.index(cell), column, what, remedy)
            distinct[code, position] = True
    matrix: BoolArray = distinct[np.fromiter(map(codes.__getitem__, cells), np.intp, len(cells))]
    return matrix


def _label_fault(cell: str, name: str, label_set: LabelSet) -> tuple[str, str]:
    """What is wrong with a cell of labels, of which `name` cannot be taken, and the remedy."""
    noun, labels = label_set.noun, label_set.labels
    remedy = f"Write names of {label_set.nouns}, separated by commas"
    parts = {mark: {part.strip() for part in cell.split(mark)} for mark in _OTHER_MARKS}
    mark = next((mark for mark, found in parts.items() if found <= {*labels, ""}), None)
    meant = next((label for label in labels if label.lower() == name.lower()), None)
    if name in labels:
        return f"{shown(name)} is named twice", f"Name each {noun} once"
    if cell.lstrip().startswith(("[", "(", "{")):
        return f"{shown(cell)} is no {noun}, but a list", f"{remedy}, without brackets and quotes"
    if all(part.strip().isdecimal() for part in cell.split(",")):
        return f"{shown(cell)} is no {noun}, but ids", f"{remedy}, instead of the ids"
    if mark is not None:
        what = f"{shown(cell)} is no {noun}, but several, separated by {_OTHER_MARKS[mark]}"
        return what, remedy
    if meant is not None:
        return f"{shown(name)} is no {noun}, but {shown(meant)} is", "Write it as the columns do"
    what = f"{shown(name)} is no {noun}: the file has no column {shown(probability_column(name))}"
    return what, f"{remedy}, and a column for each"


def _probabilities(block: Block, columns: tuple[int, ...]) -> FloatArray:
    """(n, k) float64; any cell that is not a plain decimal in [0, 1] is refused."""
    cells = list(chain.from_iterable(map(itemgetter(*columns), block.rows)))
    shape = len(block.rows), len(columns)
    everything = "".join(cells)
    plain = "_" not in everything and everything.isascii()  # float() takes more than we do
    if plain:
        try:
            values = np.fromiter(map(float, cells), np.float64, len(cells)).reshape(shape)
        except ValueError:
            plain = False
        else:
            if ((values >= 0.0) & (values <= 1.0)).all():
                return values
    at = next(i for i, cell in enumerate(cells) if not _is_probability(cell))
    row, column = divmod(at, len(columns))
    what, remedy = _probability_fault(cells[at].strip())
    raise block.refusal(
        row, columns[column], f"{shown(cells[at])} is not a probability{what}", remedy
    )


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


def _is_probability(cell: str) -> bool:
    try:
        return cell.isascii() and "_" not in cell and 0.0 <= float(cell) <= 1.0
    except ValueError:
        return False


# --- Writing --------------------------------------------------------------------------


def write_predictions(
    path: Path,
    texts: Sequence[str],
    truth: npt.NDArray[np.generic],
    probabilities: npt.NDArray[np.floating],
    threshold: float | FloatArray,
    labels: Sequence[str],
) -> None:
    """Write a prediction CSV with the guide's columns; the file appears whole or not at all.

    `truth` and `probabilities` are (n, k) in the order of `labels`; `threshold` is one number
    or one a label. Numbers are the shortest text that reads back as the same float32 (float64
    if given that), and `pred_labels` holds for the numbers as written. A path that ends in
    `.gz` is compressed. Raises DataError when the values are no predictions.
    """
    truth = np.asarray(truth, dtype=np.bool_)
    probabilities = np.asarray(probabilities)
    shape = len(texts), len(labels)
    if len(set(labels)) < max(2, len(labels)):
        raise DataError(
            f"{path.name}: {plural(len(labels), 'label')}", "Use two different ones or more"
        )
    for label in labels:
        check_label(label, path.name)
    if truth.shape != shape or probabilities.shape != shape:
        raise DataError(
            f"{path.name}: {plural(shape[0], 'text')} x {plural(shape[1], 'label')}, but truth is "
            f"{truth.shape} and probabilities are {probabilities.shape}",
            "Give one row a text and one column a label",
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise DataError(
            f"{path.name}: a probability is not a finite number from 0 to 1",
            "The model may have diverged; look at its loss",
        )
    if probabilities.dtype not in (np.float32, np.float64):
        probabilities = probabilities.astype(np.float32)
    written = probabilities.astype(str)
    predicted = written.astype(np.float64) >= threshold
    lines = [",".join(map(_field, prediction_columns(tuple(labels))))]
    lines += (
        ",".join((quoted(text), _names(true, labels), _names(found, labels), *numbers))
        for text, true, found, numbers in zip(
            texts, truth.tolist(), predicted.tolist(), written.tolist(), strict=True
        )
    )
    _write_text(path, "\n".join(lines) + "\n")


def _names(row: list[bool], labels: Sequence[str]) -> str:
    return _field(",".join(compress(labels, row)))


def _field(name: str) -> str:
    """Names of labels as a CSV field, quoted where that is needed."""
    return quoted(name) if "," in name or '"' in name else name


def _write_text(path: Path, text: str) -> None:
    try:
        data = text.encode("utf-8")
    except UnicodeEncodeError as error:
        what = f"{path.name}: a text holds a character that UTF-8 cannot store"
        raise DataError(what, "Look for broken surrogates in the data set") from error
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)  # same input, same bytes
    try:
        write_whole(path, data)
    except OSError as error:
        what = f"{path.name} cannot be written: {error.strerror}"
        raise DataError(what, "Check the folder and its space") from error
