"""One file of a split of labelled texts: which columns mean what, and what its ids mean.

A table has a column of texts, and its labels in one column, as names or as ids, or in one column
a label. It may have a row for each rater of a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from goemo_report.errors import DataError, argument, first_line
from goemo_report.formats.readers import read_table
from goemo_report.formats.table import Table
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed as in_words
from goemo_report.labels import LabelSet, is_known_label
from goemo_report.metrics.arrays import BoolArray
from goemo_report.reading import cells
from goemo_report.reading.cells import Places
from goemo_report.reading.columns import Header, seen
from goemo_report.reading.lists import CellError
from goemo_report.reading.names import LABEL, TEXTS

LABEL_COLUMNS: Final = ("labels", "label", "emotions", "emotion", "true_labels")
RATER: Final = "rater_id"
UNCLEAR: Final = "example_very_unclear"
_NO_LABELS: Final = {"id", "idx", "index", "unnamed: 0", UNCLEAR, RATER, ""}
_BARE: Final = ("text", "labels", "id")
_HALF_QUOTED: Final = re.compile(rb'(?m)(?:^|\t)"(?!(?:[^"\t\n]|"")*"\r?(?:\t|$))')


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a user named: the text's, the labels' (several: one a label)."""

    text: str = ""
    labels: str = ""


def _open(path: Path, columns: Columns) -> Table:
    """The table of a file. A TSV file need not have a header: it has texts, label ids and ids of
    comments, as GoEmotions' own. Quotes in TSV that do not enclose whole fields are characters."""
    if path.suffix.lower() == ".tsv":
        data = path.read_bytes()
        lines = data.split(b"\n")
        first = lines[0].decode("utf-8-sig", "replace").strip("\r").split("\t")
        known = {*TEXTS, *LABEL_COLUMNS, columns.text, *columns.labels.split(",")} - {""}
        if data.strip() and known.isdisjoint(name.strip().lower() for name in first):
            if len(first) not in (2, 3):
                what = f"{path}, line 1: {len(first)} columns, not 2 or 3"
                raise DataError(what, "Write a header, or text, label ids and the comment's id")
            header = list(_BARE[: len(first)])
            return Table(header, str(path), data, "\t", is_quoted=False, has_header=False)
        widths = {line.count(b"\t") for line in lines if line.strip(b"\r")}
        if len(widths) == 1 and _HALF_QUOTED.search(data):
            return Table(first, str(path), data, "\t", is_quoted=False)
    return read_table(path, str(path))


class LabelledTable:
    """A table of texts with labels, all of it. Raises DataError where it cannot be told which
    columns they are, or where a text is missing."""

    def __init__(self, path: Path, columns: Columns) -> None:
        table = _open(path, columns)
        self.table = table = replace(table, header=[name.strip() for name in table.header])
        self.path, self.source, self.has_header = path, table.source, table.has_header
        header = self._header = Header(table, table.columns)
        text = header.named(columns.text, "text_column") if columns.text else header.first(TEXTS)
        if text is None:
            raise self._lacks("texts", "text_column")
        self._text = text
        self.is_rated = RATER in table.header
        self._is_partial = False
        self._at = self._labels([one for one in map(str.strip, columns.labels.split(",")) if one])
        self.texts = cells.texts(self.table, text)
        for row, one in enumerate(self.texts):
            if not one.strip() or "\0" in one:
                what = "the text is empty" if not one.strip() else "the text holds a NUL byte"
                raise self.table.refusal(row, text, what, "Remove the row")

    # --- Columns ------------------------------------------------------------------------

    def _lacks(self, what: str, option: str) -> DataError:
        has = f"it has {seen(self.table.header)}"
        more = "" if what == "texts" else ", or several, one a label, with commas between"
        said = f"{self.source} has no column of {what}; {has}"
        return DataError(said, f"Name it with {argument(option)}{more}")

    def _labels(self, named: list[str]) -> Places:
        """Where labels are: in columns that were named, one that is usual, one for each key of
        mappings (`labels.joy`), or in all columns of noughts and ones."""
        names = self.table.header
        if len(named) > 1:
            return Places.of({name: self._header.named(name, "label_column") for name in named})
        usual = next((name for name in named or LABEL_COLUMNS if name in names), None)
        if usual:
            return Places((names.index(usual),))
        for name in named or LABEL_COLUMNS:
            if inner := self._header.matches(f"{name}.{LABEL}"):
                self._is_partial = True  # mappings may leave some out
                return Places.of(inner)
        if named:
            self._header.named(named[0], "label_column")
        found = {name: at for at, name in enumerate(names) if self._is_label(name, at)}
        if len(found) < 2:
            raise self._lacks("labels", "label_column")
        return Places.of(found)

    def _is_label(self, name: str, at: int) -> bool:
        """Whether a column has 0 and 1; ratings of a known label are refused where they do not."""
        if at == self._text or name.lower() in _NO_LABELS:
            return False
        return (self.is_rated and is_known_label(name)) or cells.are_marks(self.table.columns[at])

    def column(self, name: str) -> list[str]:
        """The cells of a column as text, none where there is no such column."""
        names = self.table.header
        return cells.texts(self.table, names.index(name)) if name in names else []

    def marks(self, name: str) -> BoolArray:
        """(n,) booleans of a column of 0 and 1, False where there is no such column."""
        names = self.table.header
        if name not in names:
            return np.zeros(len(self.texts), np.bool_)
        return cells.marks(self.table, names.index(name))

    # --- Labels -------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """The labels where each has a column; mappings may leave some out."""
        return () if self._is_partial else self._at.named

    @property
    def own_names(self) -> tuple[str, ...]:
        """The labels where the file, or what lies beside it, has them in order."""
        if self._at.named or not self.has_header:
            return self.names
        return _feature_names(self.path, self.table.header[self._at.places[0]])

    def names_in_cells(self) -> dict[str, None]:
        """The names that occur. Raises DataError where there are ids instead."""
        if self._at.named:
            return dict.fromkeys(self._at.named)
        held = self.table.columns[self._at.places[0]]
        if cells.kind_of(held) in {"ids", "marks"}:
            what = f"{self.source}: the labels are ids, and nothing says what they mean"
            raise DataError(what, "Put labels.txt there, a name a line in the order of the ids")
        return cells.names_in(self.table, self._at.places[0])

    def rows(
        self, label_set: LabelSet, order: tuple[str, ...]
    ) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """Key, text and labels, by their positions in the set, of each row; ids count by `order`.

        Raises DataError that names the row and the column of a cell that is refused.
        """
        keys = self.column("id") or self.texts
        return zip(keys, self.texts, self._ids(label_set, order), strict=True)

    def _ids(self, label_set: LabelSet, order: tuple[str, ...]) -> list[tuple[int, ...]]:
        if not self._at.named:
            (place,) = self._at.places
            kind = cells.kind_of(self.table.columns[place], order, len(order)) or "names"
            read = cells.reader(kind, label_set, order, has_columns=False)
            return cells.decoded(self.table, place, read if self.has_header else _strictly(order))
        names, held = label_set.labels, self._at.by_label
        if other := next((name for name in held if name not in names), None):
            what = f"{self.source}: the label {shown(other)} is not among the {len(names)} labels"
            raise DataError(what, f"They are {in_words(names, 8)}")
        ids = [at for at, name in enumerate(names) if name in held]
        marks = [cells.marks(self.table, held[names[at]], may_lack=self._is_partial) for at in ids]
        return [tuple(np.compress(row, ids).tolist()) for row in np.stack(marks, axis=1)]


def _strictly(names: tuple[str, ...]) -> Callable[[str], tuple[int, ...]]:
    """What reads cells of names or ids that nothing but a comma parts: where a TSV file without a
    header was cut, nothing else tells."""
    meant = {str(at): at for at in range(len(names))} | {name: at for at, name in enumerate(names)}

    def read(cell: str) -> tuple[int, ...]:
        parts = cell.split(",")
        unknown = next((part for part in parts if part not in meant), None)
        if unknown is not None:
            what = f"unknown label id {unknown[:20]!r}"
            raise CellError(what, f"Ids go from 0 to {len(names) - 1}")
        if len({meant[part] for part in parts}) < len(parts):
            raise CellError(f"a label id is listed twice in {cell!r}", "Name each label once")
        return tuple(sorted(meant[part] for part in parts))

    return read


# --- Names of ids ---------------------------------------------------------------------


def _feature_names(path: Path, column: str) -> tuple[str, ...]:
    """The names of ids that Hugging Face's `datasets` notes: in the Parquet file itself, or in
    dataset_info.json, dataset_infos.json or the README.md of the directory or of those above."""
    for features in _features(path):
        if names := _names_in(features, column):
            return names
    return ()


def _features(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"  # and read already, so that pyarrow is there
    if is_parquet:
        import pyarrow.parquet

        noted = (pyarrow.parquet.read_schema(path).metadata or {}).get(b"huggingface")
        if noted:
            yield _parsed(path, json.loads, noted)
    for folder in (path.parent, path.parent.parent):
        for info in (folder / "dataset_info.json", folder / "dataset_infos.json"):
            if info.is_file():
                yield _parsed(info, json.loads, info.read_bytes())
        if (folder / "README.md").is_file():
            text = (folder / "README.md").read_text("utf-8", "replace")
            if found := re.match(r"---\n(.*?)\n---", text, re.DOTALL):
                import yaml

                yield _parsed(folder / "README.md", yaml.safe_load, found[1])


def _parsed(path: Path, read: Callable[[Any], Any], noted: str | bytes) -> Any:
    try:
        return read(noted)
    except Exception as error:
        what = f"the features that {path} notes cannot be read: {first_line(error)}"
        raise DataError(what, "Repair it, or move it away") from error


def _names_in(value: Any, column: str) -> tuple[str, ...]:
    """The class names of a feature: `{column: {...names...}}` or `{name: column, ...names...}`."""
    if isinstance(value, Mapping):
        if column in value and (names := _names(value[column])):
            return names
        if value.get("name") == column and (names := _names(value)):
            return names
    inner = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list):
        return next((names for one in inner if (names := _names_in(one, column))), ())
    return ()


def _names(feature: Any) -> tuple[str, ...]:
    if not isinstance(feature, Mapping):
        return ()
    names = feature.get("names")
    if isinstance(names, Mapping) and all(
        str(key).isdecimal() for key in names
    ):  # in a README: {'0': 'admiration', ...}
        names = [names[key] for key in sorted(names, key=lambda key: int(key))]
    if isinstance(names, list):
        return tuple(map(str, names))
    return next((found for one in feature.values() if (found := _names(one))), ())
