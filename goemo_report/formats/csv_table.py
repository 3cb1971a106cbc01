"""CSV files read as rows of strings, with the line of every row that is refused, and written."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from goemo_report.errors import DataError
from goemo_report.formats import readers
from goemo_report.formats.json_text import jsonable
from goemo_report.formats.sniff import HEAD, sniff
from goemo_report.formats.text import escape_workflow_commands
from goemo_report.formats.wording import plural

if TYPE_CHECKING:
    from _csv import Reader as _Reader  # the type has no public name before Python 3.13

_MOST_LAYERS = 2
_MARK_LINE = rb"(\xef\xbb\xbf)?sep=.\r?\n"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FIELD_LIMIT_LOCK = threading.Lock()
_LONGEST_FIELD = (1 << 31) - 1
_FIRST_ROWS, _ROWS_AT_ONCE = 1 << 6, 1 << 13


def read_table(path: Path, source: str) -> Table:
    """Read a table of any format that `sniff` knows a reader for, compressed or not.

    The rows of a CSV are parsed when they are asked for. Raises DataError, naming `source`, the
    format and the line, when the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{source} does not exist", "Check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a path that no system can open
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{source} cannot be read: {reason}", "Check the path") from error
    found = sniff(data[:HEAD])
    for _ in range(_MOST_LAYERS):
        if found.key in readers.PACKED:
            data = readers.unpacked(data, found.key, source)
            found = sniff(data[:HEAD])
    if re.match(_MARK_LINE, data):  # spreadsheets say so how fields are separated
        data = re.sub(_MARK_LINE, rb"\n", data, count=1)
        found = sniff(data.lstrip()[:HEAD])
    if found.key in readers.READERS:
        grid = readers.read_grid(data, found.key, source)
        return Table.of_rows(grid.header, grid.rows(), source)
    if found.mark:
        return Table.of(data, source, found.mark, decimal_comma=found.decimal_comma)
    raise DataError(f"{source} {found.what}", found.remedy)


class Block(NamedTuple):
    """Some rows of a table; `first` is the number of the first of them in the whole."""

    table: Table
    first: int
    rows: list[list[str]]

    def refusal(self, row: int, column: int, what: str, remedy: str) -> DataError:
        """The error that refuses a cell, by its row and column in this block."""
        return self.table.refusal(self.first + row, self.table.header[column], what, remedy)


@dataclass(frozen=True)
class Table:
    """A CSV: its header, and the bytes of the whole. A blank line is no row.

    `has_lines` is False where the bytes were made here from another format.
    """

    header: list[str]
    data: bytes
    source: str
    mark: str = ","
    decimal_comma: bool = False
    has_lines: bool = True

    @classmethod
    def of(cls, data: bytes, source: str, mark: str = ",", *, decimal_comma: bool = False) -> Table:
        """The CSV that bytes hold, its fields separated by `mark`."""
        for [header] in cls([], data, source, mark, decimal_comma)._parsed():
            return cls(header, data, source, mark, decimal_comma)
        raise DataError(f"{source} is empty", "Expected a CSV with a header line")

    @classmethod
    def of_rows(cls, header: Sequence[str], rows: Iterable[Sequence[str]], source: str) -> Table:
        """A table of rows that are no lines of a file."""
        lines = (",".join(map(quoted, row)) for row in (header, *rows))
        data = "\n".join(lines).encode("utf-8", "replace")
        return cls(list(header), data, source, has_lines=False)

    @cached_property
    def rows(self) -> list[list[str]]:
        """All rows, for tables that are small."""
        return [row for block in self.blocks() for row in block.rows]

    def blocks(self) -> Iterator[Block]:
        """The rows, some at a time: at least one, and each as long as the header."""
        parsed, first = self._parsed(), 0
        width = len(*next(parsed))
        for rows in parsed:
            if set(map(len, rows)) != {width}:
                row = next(i for i, cells in enumerate(rows) if len(cells) != width)
                what = f"{plural(len(rows[row]), 'field')} where the header has {width}"
                remedy = "Quote texts that hold commas, quotes or new lines"
                raise self.refusal(first + row, "", what, remedy)
            yield Block(self, first, rows)
            first += len(rows)
        if not first:
            raise DataError(f"{self.source} has a header but no rows", "Write one row a text")

    def refusal(self, row: int, column: str, what: str, remedy: str) -> DataError:
        """The error that refuses a row (counted from 0), with the line on which it starts."""
        line = f"line {self._line(row + 1)} (row {row + 1})" if self.has_lines else f"row {row + 1}"
        place = f"{self.source}, {line}"
        if column:
            place += f", column {column}"
        return DataError(f"{place}: {what}", remedy)

    def _reader(self) -> _Reader:
        text = io.TextIOWrapper(io.BytesIO(self.data), encoding="utf-8-sig", newline="")
        return csv.reader(text, delimiter=self.mark, strict=True)

    def _parsed(self) -> Iterator[list[list[str]]]:
        """The header alone, a few rows for those who look at them first, then the rest."""
        rows, sizes = filter(None, self._reader()), chain((1, _FIRST_ROWS), repeat(_ROWS_AT_ONCE))
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
        reader, count, before = self._reader(), 0, 0
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


def _taken(rows: Iterator[list[str]], count: int) -> list[list[str]]:
    with _any_length():
        return list(islice(rows, count))


@contextmanager
def _any_length() -> Iterator[None]:
    """Let csv take fields of any length.

    It keeps one limit for the whole process: it is put back, and threads take turns.
    """
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
