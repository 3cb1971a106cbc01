"""Splits of labelled texts as tables with a header, of any format that prediction files may have.

A table has a column of texts, and its labels in one column, as names or as ids, or in one column
a label. Tables with a row for each rater become a row for each text.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from goemo_report.errors import DataError, first_line
from goemo_report.formats.readers import read_table
from goemo_report.formats.table import Table
from goemo_report.formats.text import shown
from goemo_report.labels import EMOTIONS
from goemo_report.reading.lists import is_nothing, listed, mark, marked

TEXT_COLUMNS: Final = ("text", "sentence", "comment_text", "comment", "content", "tweet")
LABEL_COLUMNS: Final = ("labels", "label", "emotions", "emotion", "true_labels")
RATER: Final = "rater_id"
SAME_NAMES: Final = "Write all files with the same labels in the same order: ids count by it"
AGREEING: Final = 2
"""Raters that must have chosen a label of a text: the rule of Demszky et al., ACL 2020."""
UNCLEAR: Final = "example_very_unclear"
_NO_LABELS: Final = {"id", "idx", "index", "unnamed: 0", UNCLEAR, RATER, ""}
_QUOTED: Final = re.compile(r'"([^"]|"")*"')


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that a user named: the text's, the labels' (several: one a label)."""

    text: str = ""
    labels: str = ""


@dataclass(frozen=True, slots=True)
class RawSplit:
    """Texts, each with its labels: names, or ids of `names` where these are known.

    `keys` tells the texts of several files apart, `ratings` counts the rows of raters and
    `dropped` the texts on which no two of them agree; `chosen` has what each rater chose, of each
    text, those left out who chose nothing.
    """

    texts: list[str]
    labels: list[tuple[str, ...]]
    names: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    ratings: int = 0
    dropped: int = 0
    chosen: Sequence[Sequence[tuple[str, ...]]] = ()


def read_split(paths: Sequence[Path], columns: Columns) -> RawSplit:
    """The rows of the files of one split, one after the other.

    Raises DataError, naming file, row and column.
    """
    tables = [open_table(path) for path in paths]
    parts = [Reader(table, columns) for table in tables]
    names = parts[0].names
    for part in parts[1:]:
        if part.names != names:
            raise DataError(f"{part.table.source} has other label columns than {paths[0]}")
    if not names:
        noted = {path: _feature_names(path, parts[0].label_column) for path in paths}
        first = next((path for path in paths if noted[path]), paths[0])
        names = noted[first]
        if other := next((path for path in paths if noted[path] not in {(), names}), None):
            what = f"{other} and {first} name their labels differently, or in another order"
            raise DataError(what, SAME_NAMES)
    rows = [row for part in parts for row in part.rows()]
    if parts[0].raters:
        return _agreed(rows, names)
    return RawSplit([text for _, text, _ in rows], [labels for *_, labels in rows], names)


def open_table(path: Path) -> Table:
    """The table of a file. In TSV, quotes that do not enclose whole fields are plain characters."""
    if path.suffix.lower() == ".tsv":
        lines = path.read_bytes().decode("utf-8-sig", "replace").split("\n")
        rows = [line.rstrip("\r").split("\t") for line in lines if line.strip("\r")]
        quoted = [cell for row in rows for cell in row if cell.startswith('"')]
        if len(set(map(len, rows))) == 1 and not all(map(_QUOTED.fullmatch, quoted)):
            return Table(rows[0], str(path), columns=tuple(zip(*rows[1:], strict=True)))
    return read_table(path, str(path))


class Reader:
    """Which columns of a table mean what. Raises DataError where it cannot be told."""

    def __init__(self, table: Table, columns: Columns) -> None:
        self.table = table
        self.header = [name.strip() for name in table.header]
        self.text = self._column(columns.text, TEXT_COLUMNS, "text")
        self.raters = RATER in self.header
        named = [name.strip() for name in columns.labels.split(",") if name.strip()]
        self.label_column, self.one_hot = "", tuple[str, ...]()
        self.mapped = self._mapped(named or LABEL_COLUMNS)
        if len(named) > 1:
            for name in named:
                self._column(name, (), "label")
            self.one_hot = tuple(named)
        elif self.mapped:
            self.one_hot = tuple(
                name.removeprefix(self.mapped)
                for name in self.header
                if name.startswith(self.mapped)
            )
            self.header = [name.removeprefix(self.mapped) for name in self.header]
        elif named or any(name in self.header for name in LABEL_COLUMNS):
            at = self._column(columns.labels.strip(), LABEL_COLUMNS, "label")
            self.label_column = self.header[at]
        else:
            self.one_hot = tuple(self._marked())
        if not (self.label_column or self.mapped) and len(self.one_hot) < 2:
            raise DataError(
                f"{table.source} has no column of labels: {self._seen()}",
                "Name it with --label-column, or several, one a label, with commas between",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The labels where each has a column; mappings may leave some out."""
        return () if self.mapped else self.one_hot

    def _seen(self) -> str:
        return f"its columns are {', '.join(map(shown, self.header[:40]))}"

    def _column(self, wanted: str, usual: Sequence[str], what: str) -> int:
        for name in (wanted,) if wanted else usual:
            if name in self.header:
                return self.header.index(name)
        asked = f"the column {shown(wanted)}" if wanted else f"a column of {what}s"
        option = f"Name it with --{what}-column" if not wanted else f"Check --{what}-column"
        raise DataError(f"{self.table.source} lacks {asked}: {self._seen()}", option)

    def _mapped(self, names: Sequence[str]) -> str:
        """How the columns `labels.joy` begin, which mappings of labels are read as; or nothing."""
        if any(name in self.header for name in names):
            return ""
        begun = (f"{name}." for name in names)
        return next((one for one in begun if any(h.startswith(one) for h in self.header)), "")

    def _marked(self) -> Iterator[str]:
        """Columns of noughts and ones; ratings of an emotion are refused where they are not."""
        for at, name in enumerate(self.header):
            if at != self.text and name.lower() not in _NO_LABELS:
                cells = {str(row[at]) for row in self.table.rows}
                rated = self.raters and name in EMOTIONS
                if rated or all(mark(cell) is not None for cell in cells):
                    yield name

    def rows(self) -> Iterator[tuple[str, str, tuple[str, ...]]]:
        """Key, text and labels of each row."""
        places = [(self.header.index(name), name) for name in self.one_hot]
        label = self.header.index(self.label_column) if self.label_column else -1
        key = self.header.index("id") if "id" in self.header else self.text
        for number, row in enumerate(self.table.rows):
            text = str(row[self.text])
            if not text.strip() or "\0" in text:
                what = "the text is empty" if not text.strip() else "the text holds a NUL byte"
                raise self.table.refusal(number, self.header[self.text], what, "Remove the row")
            if label >= 0:
                try:
                    labels = items(row[label])
                except DataError as fault:
                    raise self.table.refusal(
                        number, self.label_column, fault.what, fault.remedy
                    ) from None
            else:
                labels = tuple(name for at, name in places if self._mark(number, name, row[at]))
            if len(set(labels)) < len(labels):
                what = f"a label is listed twice in {shown(str(row[label]))}"
                raise self.table.refusal(number, self.label_column, what, "Name each label once")
            yield str(row[key]), text, labels

    def _mark(self, row: int, name: str, cell: Any) -> bool:
        found = False if self.mapped and is_nothing(cell) else mark(cell)
        if found is None:
            what = f"{shown(str(cell))} is neither 0 nor 1"
            raise self.table.refusal(
                row, f"{self.mapped}{name}", what, "One column a label has 0 or 1 for each text"
            )
        return found


def items(cell: Any) -> tuple[str, ...]:
    """The labels that a cell lists: a list, JSON, Python's or NumPy's text of one, or commas; of
    a mapping those that are marked with 1. Raises DataError for scores, and lists in lists."""
    if is_nothing(cell):
        return ()
    values = listed(cell)
    if values and all(isinstance(v, list | tuple) and len(v) == 2 for v in values):
        values = {str(name): value for name, value in values}  # a mapping of Parquet
    if isinstance(values, Mapping):
        values = marked(values)
    nested = any(isinstance(v, Mapping | list | tuple) for v in values or ())
    unread = isinstance(cell, list) or str(cell).strip()[:2] in {"[{", "[["}
    if nested or (values is None and unread):
        raise DataError(f"{shown(str(cell))} is no list of labels", "Write names or ids")
    if values is None and isinstance(cell, str):
        comma = next((m for m in (",", "|", ";") if m in cell), ",")
        values = [part for part in map(str.strip, cell.split(comma)) if part]
    return tuple(
        str(int(v)) if isinstance(v, float) and v.is_integer() else str(v).strip()
        for v in ([cell] if values is None else values)
        if not is_nothing(v)
    )


def _agreed(rows: Sequence[tuple[str, str, tuple[str, ...]]], names: tuple[str, ...]) -> RawSplit:
    """A row for each text, with the labels that AGREEING raters chose; texts without one go."""
    texts: dict[str, str] = {}
    chosen: dict[str, list[tuple[str, ...]]] = {}
    for key, text, labels in rows:
        texts.setdefault(key, text)
        chosen.setdefault(key, []).extend([labels] if labels else [])
    agreed = {
        key: tuple(name for name, n in Counter(chain(*one)).items() if n >= AGREEING)
        for key, one in chosen.items()
    }
    kept = [key for key, labels in agreed.items() if labels]
    return RawSplit(
        [texts[key] for key in kept],
        [agreed[key] for key in kept],
        names,
        tuple(kept),
        len(rows),
        len(texts) - len(kept),
        [chosen[key] for key in kept],
    )


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
        raise DataError(what, "Mend it, or move it away") from error


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
