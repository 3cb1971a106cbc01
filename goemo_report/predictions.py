"""Prediction files: reading with every check, writing, and the threshold that made them.

The standard library reads the CSV and numpy takes the numbers in bulk, so that a file of
5,427 texts costs tens of milliseconds. A row is located only when it is refused.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, compress
from operator import itemgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from goemo_report.contract import (
    EMOTIONS,
    LABEL_SETS,
    NEUTRAL,
    PREDICTION_COLUMNS,
    PROBABILITY_PREFIXES,
    prediction_columns,
    probability_column,
)
from goemo_report.errors import DataError
from goemo_report.formats.csv_table import Block, quoted, read_table
from goemo_report.formats.files import write_whole
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed, plural
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray

_TEXT_COLUMNS = tuple(key.name for key in PREDICTION_COLUMNS)
_KNOWN_COLUMNS = frozenset(prediction_columns())


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Predictions:
    """One prediction file: `n` texts and `k` labels in canonical order.

    `truth` and `predicted` are (n, k) booleans, as `true_labels` and `pred_labels` have them;
    `probabilities` is (n, k) float64 in [0, 1]. `source` names the file in messages.
    """

    texts: tuple[str, ...]
    truth: BoolArray
    probabilities: FloatArray
    predicted: BoolArray
    labels: tuple[str, ...]
    source: str

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
            labels=tuple(self.labels[column] for column in columns.tolist()),
            source=self.source,
        )


# --- Reading --------------------------------------------------------------------------


def read_predictions(path: Path, *, name: str | None = None) -> Predictions:
    """Read and check a prediction CSV, plain or gzip-compressed; `name` stands for the path.

    Columns may come in any order, other columns are ignored, and `pred_prob_{emotion}`
    stands for `pred_probs_{emotion}`. Raises DataError, naming file, line and column.
    """
    source = name or path.name
    table = read_table(path, source)
    columns = _Columns.of(table.header, source)
    texts: list[str] = []
    parts: list[tuple[BoolArray, FloatArray, BoolArray]] = []
    for block in table.blocks():
        texts += map(itemgetter(columns.text), block.rows)
        truth = _label_matrix(block, columns.truth, columns.labels)
        probabilities = _probabilities(block, columns.probabilities)
        parts.append(
            (truth, probabilities, _label_matrix(block, columns.predicted, columns.labels))
        )
    truth, probabilities, predicted = map(np.concatenate, zip(*parts, strict=True))
    return Predictions(tuple(texts), truth, probabilities, predicted, columns.labels, source)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the columns are; `probabilities` in the order of `labels`."""

    text: int
    truth: int
    predicted: int
    probabilities: tuple[int, ...]
    labels: tuple[str, ...]

    @classmethod
    def of(cls, header: Sequence[str], source: str) -> _Columns:
        names = [_canonical_column(name) for name in header]
        positions: dict[str, int] = {}
        for position, name in enumerate(names):
            wanted = name in _KNOWN_COLUMNS or header[position].startswith(PROBABILITY_PREFIXES)
            if wanted and positions.setdefault(name, position) != position:
                raise DataError(
                    f"{source}: column {shown(name)} is there twice", "Keep one of the two"
                )
        emotions = {
            name.removeprefix(probability_column("")): position
            for name, position in positions.items()
            if name not in _TEXT_COLUMNS
        }
        for emotion in emotions:
            if emotion not in EMOTIONS:
                raise DataError(
                    f"{source}: column {shown(header[emotions[emotion]])} names no emotion of "
                    "GoEmotions",
                    "The 28 names are those of the data set's labels.txt",
                )
        labels = next((found for found in LABEL_SETS if set(found) == set(emotions)), None)
        missing = [name for name in _TEXT_COLUMNS if name not in positions]
        if labels is None:
            missing += [
                probability_column(emotion)
                for emotion in EMOTIONS
                if emotion not in emotions and emotion != NEUTRAL
            ]
        if missing or labels is None:
            raise DataError(
                f"{source} lacks {plural(len(missing), 'column')}: {listed(missing, 4)}",
                "A prediction CSV has text, true_labels, pred_labels and one pred_probs_ column "
                "for each of the 28 emotions (or 27, without neutral)",
            )
        text, truth, predicted = (positions[name] for name in _TEXT_COLUMNS)
        return cls(text, truth, predicted, tuple(emotions[label] for label in labels), labels)


def _canonical_column(name: str) -> str:
    for prefix in PROBABILITY_PREFIXES:
        if name.startswith(prefix):
            return probability_column(name.removeprefix(prefix))
    return name


def _label_matrix(block: Block, column: int, labels: tuple[str, ...]) -> BoolArray:
    """(n, k) booleans from comma-separated names; each distinct cell is parsed once."""
    cells = list(map(itemgetter(column), block.rows))
    codes = {cell: code for code, cell in enumerate(dict.fromkeys(cells))}
    distinct = np.zeros((len(codes), len(labels)), dtype=np.bool_)
    index = {label: position for position, label in enumerate(labels)}
    for cell, code in codes.items():
        for part in cell.split(",") if cell.strip() else ():
            position = index.get(part.strip())
            if position is None or distinct[code, position]:
                raise _label_refusal(block, cells.index(cell), column, part.strip(), position)
            distinct[code, position] = True
    matrix: BoolArray = distinct[np.fromiter(map(codes.__getitem__, cells), np.intp, len(cells))]
    return matrix


def _label_refusal(
    block: Block, row: int, column: int, name: str, position: int | None
) -> DataError:
    if position is not None:
        what, remedy = f"{shown(name)} is named twice", "Name each emotion once"
    elif name == NEUTRAL:
        what = f"{shown(name)}, but the file has no column {probability_column(NEUTRAL)}"
        remedy = "Leave neutral out of the labels too, or write its probabilities"
    else:
        what = f"{shown(name)} is no emotion of GoEmotions"
        remedy = "Write emotion names, separated by commas"
    return block.refusal(row, column, what, remedy)


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
    raise block.refusal(
        row,
        columns[column],
        f"{shown(cells[at])} is not a probability",
        "Write finite numbers from 0 to 1: sigmoid outputs, not logits",
    )


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
    labels: tuple[str, ...] = EMOTIONS,
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
    if labels not in LABEL_SETS:
        raise DataError(f"{path.name}: {len(labels)} labels", "Use the 28 or the 27 of GoEmotions")
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
    lines = [",".join(prediction_columns(labels))]
    lines += (
        ",".join((quoted(text), _names(true, labels), _names(found, labels), *numbers))
        for text, true, found, numbers in zip(
            texts, truth.tolist(), predicted.tolist(), written.tolist(), strict=True
        )
    )
    _write_text(path, "\n".join(lines) + "\n")


def _names(row: list[bool], labels: tuple[str, ...]) -> str:
    names = list(compress(labels, row))
    return quoted(",".join(names)) if len(names) > 1 else "".join(names)


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
