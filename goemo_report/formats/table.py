"""A table of any format: its rows by columns, and the line of every row that is refused."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice, takewhile
from types import NoneType
from typing import TYPE_CHECKING, Any

from goemo_report.errors import DataError
from goemo_report.formats.json_text import jsonable
from goemo_report.formats.sniff import separator
from goemo_report.formats.text import escape_workflow_commands
from goemo_report.formats.wording import plural

if TYPE_CHECKING:
    from _csv import Reader as _Reader  # the type has no public name before Python 3.13

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_FIELD_LIMIT_LOCK = threading.Lock()
_LONGEST_FIELD = (1 << 31) - 1
_MARKS = {bool, int, float, NoneType}


@dataclass(frozen=True)
class Table:
    """A table: its header, and its cells by columns.

    A CSV keeps its bytes, in which `mark` separates fields: cells are strings, parsed when they are
    asked for, and a blank line is no row. Of other formats `values` are the cells, and `mark` is
    empty. `is_quoted`: quotes enclose fields; `has_header`: the bytes begin with the header.
    """

    header: list[str]
    source: str
    data: bytes = b""
    mark: str = ""
    values: Sequence[Sequence[Any]] = ()
    numbers: tuple[str, ...] = ()
    is_quoted: bool = True
    has_header: bool = True

    @classmethod
    def of(cls, data: bytes, source: str, mark: str = ",", numbers: tuple[str, ...] = ()) -> Table:
        """The CSV that bytes hold, its fields separated by `mark`; `numbers` as in `read_table`."""
        for header in cls([], source, data, mark)._parsed(0, 1):
            header[0] = header[0].lstrip("\ufeff")  # tools that write a mark before that there is
            return cls(header, source, data, mark, numbers=numbers)
        raise DataError(f"{source} is empty", "Expected a CSV with a header line")

    def flat(self) -> Table:
        """Columns of mappings as a column for each key, `probs.joy`; other columns as they are, and
        those whose mappings leave out what is 0, as `{"joy": 1}` does."""
        header: list[str] = []
        columns: list[Sequence[Any]] = []
        for name, column in zip(self.header, self.values, strict=True):
            if len(column) and all(isinstance(one, Mapping) for one in column):
                keys = dict.fromkeys(key for one in column for key in one)
                cells = [[one.get(key) for one in column] for key in keys]
                kinds = set(map(type, chain.from_iterable(cells)))
                if NoneType not in kinds or kinds - _MARKS or {*chain(*cells)} - {0, 1, None}:
                    inner = Table([f"{name}.{key}" for key in keys], self.source, values=cells)
                    header += inner.flat().header
                    columns += inner.flat().values
                    continue
            header.append(name)
            columns.append(column)
        return Table(header, self.source, values=columns)

    @cached_property
    def rows(self) -> list[list[str]]:
        """All rows as text, for tables that are small."""
        rows = zip(*self.columns, strict=True)
        return [["" if cell is None else str(cell) for cell in row] for row in rows]

    @cached_property
    def columns(self) -> Sequence[Sequence[Any]]:
        """The cells of each column: one at least, and of each row as many as the header has.

        Raises DataError that names the line of a row which is no such row.
        """
        if not self.mark:
            if not self.values or not len(self.values[0]):
                raise self._no_rows()
            return self.values
        at, plain = self._plain()
        rows = self._parsed(at)[int(self.has_header and not at) :]
        width, first = len(self.header), len(plain[0]) if plain else 0
        if set(map(len, rows)) - {width}:
            row = next(i for i, cells in enumerate(rows) if len(cells) != width)
            known = "header" if self.has_header else "first row"
            what = f"{plural(len(rows[row]), 'field')} where the {known} has {width}"
            remedy = "Quote texts that hold commas, quotes or new lines"
            remedy = remedy if self.is_quoted else "Write as many in every row"
            other = separator(",".join(rows[row]), width)
            if len(rows[row]) == 1 and other:
                what = f"separated by {other}, unlike the header"
                remedy = "Write header and rows alike"
            raise self.refusal(first + row, "", what, remedy)
        if not (plain or rows):
            raise self._no_rows()
        others = list(zip(*rows, strict=True))
        if plain and others:
            return [[*before, *after] for before, after in zip(plain, others, strict=True)]
        return plain or others

    def _no_rows(self) -> DataError:
        return DataError(f"{self.source} has a header but no rows", "Write one row a text")

    def refusal(self, row: int, column: int | str, what: str, remedy: str) -> DataError:
        """The error that refuses a row (counted from 0), with the line on which it starts."""
        column = column if isinstance(column, str) else self.header[column]
        place = f"row {row + 1}"
        if self.mark:
            line = f"line {self._line(row + self.has_header)}"
            place = f"{line} ({place})" if self.has_header else line
        if column and self.has_header:
            place += f", column {column}"
        return DataError(f"{self.source}, {place}: {what}", remedy)

    def _plain(self) -> tuple[int, Sequence[Sequence[Any]]]:
        """The first rows, as far as they are the guide's: where they end, and their columns."""
        names = list(takewhile(lambda name: name.startswith(self.numbers), self.header[::-1]))
        line = self.data[: self.data.find(b"\n")]
        is_plain = self.mark == "," and b'"' not in line
        if names and is_plain and line.count(b",") == len(self.header) - 1:
            from goemo_report.formats.plain_rows import plain_rows

            return plain_rows(self.data, len(line) + 1, len(self.header) - len(names), len(names))
        return 0, ()

    def _reader(self, at: int = 0, errors: str = "strict") -> _Reader:
        encoding = "utf-8" if at else "utf-8-sig"
        data = io.BytesIO(self.data[at:])
        text = io.TextIOWrapper(data, encoding=encoding, errors=errors, newline="")
        if not self.is_quoted:
            return csv.reader(text, delimiter=self.mark, quoting=csv.QUOTE_NONE)
        return csv.reader(text, delimiter=self.mark, strict=True)

    def _parsed(self, at: int = 0, most: int | None = None) -> list[list[str]]:
        """The rows from byte `at` on, at most so many; from 0 on the header comes first."""
        try:
            with _any_length():
                return list(islice(filter(None, self._reader(at)), most))
        except csv.Error as error:
            what = f"{self.source}, line {self._line(None)}: not a CSV row: {error}"
            raise DataError(what, "Quote texts and double the quotes inside") from error
        except UnicodeDecodeError:
            raise self._not_utf8() from None

    def _line(self, row: int | None) -> int:
        """Line on which a row starts (the header is row 0), or that which cannot be read."""
        reader, count, before = self._reader(errors="replace"), 0, 0  # others may follow the row
        with _any_length(), suppress(csv.Error):
            for cells in reader:
                if cells and count == row:
                    break
                count += bool(cells)
                before = reader.line_num
        return before + 1

    def _not_utf8(self) -> DataError:
        try:
            self.data.decode()  # as a whole, for the place in it
        except UnicodeDecodeError as error:
            line, byte = self.data.count(b"\n", 0, error.start) + 1, self.data[error.start]
            what = f"{self.source}, line {line}: byte 0x{byte:02x} is not UTF-8"
        return DataError(what, "Save the file as UTF-8")


@contextmanager
def _any_length() -> Iterator[None]:
    """Let csv take fields of any length. It keeps one limit for the whole process: it is put back,
    and threads take turns."""
    with _FIELD_LIMIT_LOCK:
        limit = csv.field_size_limit(_LONGEST_FIELD)
        try:
            yield
        finally:
            csv.field_size_limit(limit)


def to_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Rows, the header first, as CSV with line feeds.

    None is empty; what is neither text nor a number is JSON. Text that a spreadsheet would run
    gets an apostrophe before it, as OWASP advises; one that GitHub Actions would obey does too.
    """
    return "".join(",".join(map(_field, row)) + "\n" for row in rows)


def _field(value: Any) -> str:
    if not isinstance(value, str):
        plain = jsonable(value)
        if plain is None:
            return ""
        if isinstance(plain, int | float) and not isinstance(plain, bool):
            return str(plain)
        if isinstance(plain, str):  # a date, or no finite number
            return plain
        value = json.dumps(plain, ensure_ascii=False)
    text = value.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "")
    text = escape_workflow_commands(text)
    if text.startswith(_FORMULA) and text != "-Infinity":
        text = f"'{text}"
    is_plain = text == text.strip() and not any(mark in text for mark in ',"\r\n')
    return text if is_plain else quoted(text)


def quoted(text: str) -> str:
    """A text as a quoted CSV field, for csv.writer leaves a lone carriage return bare."""
    return '"' + text.replace('"', '""') + '"'
