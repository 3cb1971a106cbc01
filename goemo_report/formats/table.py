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
from itertools import chain, islice, repeat, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

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
_ROWS_AT_ONCE = 1 << 13


class Block(NamedTuple):
    """Some rows of a table, by columns; `first` is the number of the first row in the whole.

    Cells are strings where the table is separated by a mark, else what the format has.
    """

    table: Table
    first: int
    columns: Sequence[Sequence[Any]]

    def refusal(self, row: int, column: int, what: str, remedy: str) -> DataError:
        """The error that refuses a cell, by its row and column in this block."""
        return self.table.refusal(self.first + row, self.table.header[column], what, remedy)


@dataclass(frozen=True)
class Table:
    """A table: its header, and the bytes of the whole, in which `mark` separates fields.

    A blank line is no row. Of other formats `columns` hold the values, and `mark` is empty.
    `is_quoted`: quotes enclose fields; `has_header`: the bytes begin with the header.
    """

    header: list[str]
    source: str
    data: bytes = b""
    mark: str = ""
    columns: Sequence[Sequence[Any]] = ()
    numbers: tuple[str, ...] = ()
    is_quoted: bool = True
    has_header: bool = True

    @classmethod
    def of(cls, data: bytes, source: str, mark: str = ",", numbers: tuple[str, ...] = ()) -> Table:
        """The CSV that bytes hold, its fields separated by `mark`; `numbers` as in `read_table`."""
        for [header] in cls([], source, data, mark)._parsed():
            header[0] = header[0].lstrip("\ufeff")  # tools that write a mark before that there is
            return cls(header, source, data, mark, numbers=numbers)
        raise DataError(f"{source} is empty", "Expected a CSV with a header line")

    def flat(self) -> Table:
        """Columns of mappings as a column for each key, `probs.joy`; other columns as they are."""
        header: list[str] = []
        columns: list[Sequence[Any]] = []
        for name, column in zip(self.header, self.columns, strict=True):
            if len(column) and all(isinstance(one, Mapping) for one in column):
                keys = dict.fromkeys(key for one in column for key in one)
                cells = [[one.get(key) for one in column] for key in keys]
                inner = Table([f"{name}.{key}" for key in keys], self.source, columns=cells).flat()
                header, columns = header + inner.header, [*columns, *inner.columns]
            else:
                header.append(name)
                columns.append(column)
        return Table(header, self.source, columns=columns)

    @cached_property
    def rows(self) -> list[list[str]]:
        """All rows as text, for tables that are small."""
        return [list(map(text_of, row)) for row in zip(*self.whole().columns, strict=True)]

    def whole(self) -> Block:
        """All rows in one block."""
        first, *others = self.blocks()
        if not others:
            return first
        parts = zip(first.columns, *(block.columns for block in others), strict=True)
        return Block(self, 0, [list(chain.from_iterable(part)) for part in parts])

    def blocks(self) -> Iterator[Block]:
        """The rows, some at a time: at least one, and each as long as the header."""
        if not self.mark:
            if not self.columns or not len(self.columns[0]):
                raise self._no_rows()
            yield Block(self, 0, self.columns)
            return
        first, at, width = 0, 0, len(self.header)
        for end, columns in self._plain():
            yield Block(self, first, columns)
            first, at = first + len(columns[0]), end
        for rows in islice(self._parsed(at), int(self.has_header and not at), None):
            if set(map(len, rows)) != {width}:
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
            yield Block(self, first, tuple(zip(*rows, strict=True)))
            first += len(rows)
        if not first:
            raise self._no_rows()

    def _no_rows(self) -> DataError:
        return DataError(f"{self.source} has a header but no rows", "Write one row a text")

    def refusal(self, row: int, column: str, what: str, remedy: str) -> DataError:
        """The error that refuses a row (counted from 0), with the line on which it starts."""
        place = f"row {row + 1}"
        if self.mark:
            line = f"line {self._line(row + self.has_header)}"
            place = f"{line} ({place})" if self.has_header else line
        if column and self.has_header:
            place += f", column {column}"
        return DataError(f"{self.source}, {place}: {what}", remedy)

    def _plain(self) -> Iterator[tuple[int, Sequence[Sequence[Any]]]]:
        """The first rows, as far as they are the guide's: where they end, and their columns."""
        names = list(takewhile(lambda name: name.startswith(self.numbers), self.header[::-1]))
        line = self.data[: self.data.find(b"\n")]
        is_plain = self.mark == "," and b'"' not in line
        if names and is_plain and line.count(b",") == len(self.header) - 1:
            from goemo_report.formats.plain_rows import plain_rows

            fields = len(self.header) - len(names)
            yield from plain_rows(self.data, len(line) + 1, fields, len(names), _ROWS_AT_ONCE)

    def _reader(self, at: int = 0, errors: str = "strict") -> _Reader:
        encoding = "utf-8" if at else "utf-8-sig"
        data = io.BytesIO(self.data[at:])
        text = io.TextIOWrapper(data, encoding=encoding, errors=errors, newline="")
        if not self.is_quoted:
            return csv.reader(text, delimiter=self.mark, quoting=csv.QUOTE_NONE)
        return csv.reader(text, delimiter=self.mark, strict=True)

    def _parsed(self, at: int = 0) -> Iterator[list[list[str]]]:
        """The rows from byte `at` on, some at a time; from 0 on the header alone comes first."""
        rows = filter(None, self._reader(at))
        sizes = repeat(_ROWS_AT_ONCE) if at else chain((1,), repeat(_ROWS_AT_ONCE))
        try:
            while found := _taken(rows, next(sizes)):
                yield found
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


def text_of(value: Any) -> str:
    """A value as the text that a CSV would have: a list as JSON, nothing as empty."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=str)
    return repr(value) if isinstance(value, float) else str(value)


def _taken(rows: Iterator[list[str]], count: int) -> list[list[str]]:
    with _any_length():
        return list(islice(rows, count))


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
