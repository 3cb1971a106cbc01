"""Prediction files: reading with every check, writing, and the threshold that made them.

The standard library reads the CSV and numpy takes the numbers in bulk, so that a file of
5,427 texts costs tens of milliseconds. A row is located only when it is refused.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from goemo_report.contract import (
    DEFAULT_THRESHOLD,
    PROBABILITY_PREFIXES,
    prediction_columns,
    probability_column,
)
from goemo_report.errors import DataError
from goemo_report.formats.files import write_whole
from goemo_report.formats.readers import read_table
from goemo_report.formats.table import Table, quoted
from goemo_report.formats.text import visible
from goemo_report.formats.wording import listed, plural
from goemo_report.labels import Grouping, LabelSet, check_label
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.scores import Scores, score_predicted
from goemo_report.reading import cells
from goemo_report.reading.columns import understand
from goemo_report.reading.names import AS_FOUND, Reading

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Predictions:
    """One prediction file: `n` texts and `k` labels, in the order of the label set.

    `truth` and `predicted` are (n, k) booleans, as `true_labels` and `pred_labels` have them;
    `probabilities` is (n, k) float64 in [0, 1]: 1.0 and 0.0 for what is predicted and what is
    not where the file has none. `source` names the file in messages; `change` says what became
    of its labels since it was read, `notes` how columns that are not the guide's were understood.
    `texts` tell rows apart; where the file has none they are its ids or row numbers, as
    `row_key` says. `ids` has those of a file that has texts as well,
    `clusters` the cells of the column that says which texts belong together, if one was named.
    """

    texts: tuple[str, ...]
    truth: BoolArray
    probabilities: FloatArray
    predicted: BoolArray
    label_set: LabelSet
    source: str
    change: str = ""
    notes: tuple[str, ...] = ()
    has_probabilities: bool = True
    row_key: Literal["text", "id", "row"] = "text"
    ids: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the columns."""
        return self.label_set.labels

    @property
    def y_true(self) -> BoolArray:
        """True labels, (n, k) booleans."""
        return self.truth

    @property
    def y_prob(self) -> Any:
        """Probabilities, (n, k) float64; None where the file has none."""
        return self.probabilities if self.has_probabilities else None

    @property
    def y_pred(self) -> BoolArray:
        """Predicted labels as the file has them, (n, k) booleans."""
        return self.predicted

    def to_frame(self) -> pd.DataFrame:
        """The guide's table: `text`, `true_labels`, `pred_labels` (comma-separated names) and
        one float64 column `pred_probs_{label}` a label, where there are probabilities."""
        import pandas as pd

        columns = list(map(probability_column, self.labels))
        frame = pd.DataFrame(self.probabilities, columns=columns)
        frame = frame if self.has_probabilities else frame[[]]
        for name, marks in (("pred_labels", self.predicted), ("true_labels", self.truth)):
            frame.insert(0, name, [",".join(compress(self.labels, row)) for row in marks.tolist()])
        frame.insert(0, "text", list(self.texts))
        return frame

    def __repr__(self) -> str:
        grid = f"{len(self):,} texts x {len(self.labels)} labels"
        return f"<Predictions of {visible(self.source)}: {grid}>"

    def _repr_html_(self) -> str:
        from goemo_report.formats import notebook

        head = self.take(np.arange(min(len(self), notebook.MOST_ROWS)), np.arange(len(self.labels)))
        marks = (head.truth.tolist(), head.predicted.tolist())
        names = ([", ".join(compress(self.labels, row)) for row in rows] for rows in marks)
        rows = [*zip(head.texts, *names, strict=True)]
        shown = notebook.table((self.row_key, "true", "predicted"), rows, len(self))
        return notebook.page(repr(self), shown)

    def __len__(self) -> int:
        return len(self.texts)

    def score_at(self, threshold: float | FloatArray = DEFAULT_THRESHOLD) -> Scores:
        """Every metric at a threshold, or one a label, (k,).

        Without probabilities it is of the predicted labels, and leaves out what needs them.
        """
        cut = threshold if self.has_probabilities else float("nan")
        predicted = self.probabilities >= threshold if self.has_probabilities else self.predicted
        return score_predicted(self.truth, self.y_prob, predicted, self.labels, cut)

    def take(self, rows: IntArray, columns: IntArray) -> Predictions:
        """These rows and labels, by position and in this order."""
        grid = np.ix_(rows, columns)
        chosen = rows.tolist()
        return replace(
            self,
            texts=tuple(self.texts[row] for row in chosen),
            truth=self.truth[grid],
            probabilities=self.probabilities[grid],
            predicted=self.predicted[grid],
            label_set=self.label_set.only(self.labels[column] for column in columns.tolist()),
            ids=tuple(self.ids[row] for row in chosen) if self.ids else (),
            clusters=tuple(self.clusters[row] for row in chosen) if self.clusters else (),
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


def understood(files: Iterable[Predictions]) -> list[str]:
    """How the columns of files were understood, one line for all that are alike."""
    found: dict[tuple[str, ...], dict[str, None]] = {}
    for file in files:
        if file.notes:
            found.setdefault(file.notes, {})[file.source] = None
    return [f"{listed(names, 3)}: {'; '.join(notes)}" for notes, names in found.items()]


# --- Reading --------------------------------------------------------------------------


def read_predictions(
    path: str | PathLike[str], *, name: str | None = None, reading: Reading = AS_FOUND
) -> Predictions:
    """Read and check a prediction file; `name` stands for the path in messages.

    CSV, TSV, semicolons with decimal commas, Parquet, Arrow, JSON, JSON Lines and `.npz`, plain
    or compressed, told by content. Columns are the guide's in any order, or others that
    `reading.columns` understands, as `reading` says. Raises DataError, naming file, line and
    column.
    """
    path = Path(path)
    source = name or path.name or str(path)
    return of_table(read_table(path, source, (*PROBABILITY_PREFIXES, "prob_")), reading)


def of_table(table: Table, reading: Reading) -> Predictions:
    """The predictions that a table holds, as `read_predictions` understands those of a file."""
    found = understand(table, reading)
    label_set, order = found.label_set, found.order
    assert found.truth is not None  # noqa: S101 # it is required
    truth = cells.labels(table, found.truth, label_set, order)
    if found.probabilities:
        likely = cells.probabilities(table, found.probabilities, label_set.labels, order)
    if found.predicted:
        predicted = cells.labels(table, found.predicted, label_set, order)
    else:
        predicted = likely >= DEFAULT_THRESHOLD
    ids = () if found.id is None else tuple(cells.texts(table, found.id))
    texts = ids if found.text is None and ids else tuple(cells.texts(table, found.text))
    return Predictions(
        texts,
        truth,
        likely if found.probabilities else predicted.astype(np.float64),
        predicted,
        label_set,
        table.source,
        notes=tuple(found.notes),
        has_probabilities=found.probabilities is not None,
        row_key="text" if found.text is not None else "id" if ids else "row",
        ids=ids if found.text is not None else (),
        clusters=() if found.cluster is None else tuple(cells.texts(table, found.cluster)),
    )


# --- Writing --------------------------------------------------------------------------


def write_predictions(
    path: Path,
    texts: Sequence[str],
    truth: npt.NDArray[np.generic],
    probabilities: npt.NDArray[np.floating],
    threshold: float | FloatArray,
    labels: Sequence[str],
    predicted: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Write a prediction CSV with the guide's columns; the file appears whole or not at all.

    `truth` and `probabilities` are (n, k) in the order of `labels`; `threshold` is one number
    or one a label. Numbers are the shortest text that reads back as the same float32 (float64
    if given that), and `pred_labels` holds for the numbers as written, unless `predicted` (n, k)
    says what the model predicted by another rule. A path that ends in `.gz` is compressed.
    Raises DataError when the values are no predictions.
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
    if predicted is None:
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
