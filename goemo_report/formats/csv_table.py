"""CSV files read as rows of strings, with the line of every row that is refused, and written."""

from __future__ import annotations

import csv
import gzip
import io
import json
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goemo_report.errors import DataError
from goemo_report.formats.json_text import jsonable
from goemo_report.formats.sniff import CSV, GZIP, HEAD, sniff
from goemo_report.formats.text import escape_workflow_commands
from goemo_report.formats.wording import plural

if TYPE_CHECKING:
    from _csv import Reader as _Reader  # the type has no public name before Python 3.13

# A small file may unpack to gigabytes of nothing, up to 1,032 times its size. Predictions are
# mostly digits, of which gzip cannot make a fiftieth; tables of few values are small.
_GZIP_SMALL = 64 << 20
_GZIP_RATIO = 50
_GZIP_LIMIT = 1 << 30
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FIELD_LIMIT_LOCK = threading.Lock()


def read_table(path: Path, source: str) -> Table:
    """Read a UTF-8 CSV, plain or gzip-compressed.

    Raises DataError, naming `source` and the line, when that is not what the file holds.
    """
    return Table.parse(_read_text(path, source), source)


def _read_text(path: Path, source: str) -> str:
    try:
        data = path.read_bytes()
        found = sniff(data[:HEAD])
        if found is GZIP:
            data = _decompressed(data, source)
            found = sniff(data[:HEAD])
    except FileNotFoundError:
        raise DataError(f"{source} does not exist", "Check the path") from None
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        what = f"{source} is not a whole gzip file: {error}"
        raise DataError(what, "Download or write it again") from error
    except (OSError, ValueError) as error:  # ValueError: a path that no system can open
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{source} cannot be read: {reason}", "Check the path") from error
    if found is not CSV:
        raise DataError(f"{source} {found.what}", found.remedy)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = f"{source}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8"
        raise DataError(what, "Save the file as UTF-8") from error


def _decompressed(data: bytes, source: str) -> bytes:
    limit = min(max(_GZIP_SMALL, _GZIP_RATIO * len(data)), _GZIP_LIMIT)
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        what = f"{source} unpacks to more than {limit >> 20:,} MiB from {len(data):,} bytes"
        raise DataError(what, "Unpack it, if it is what it should be, and read the plain CSV")
    return found


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV as strings."""

    header: list[str]
    rows: list[list[str]]
    text: str
    source: str

    @classmethod
    def parse(cls, text: str, source: str) -> Table:
        """Rows of a CSV that is already text; a blank line is no row."""
        try:
            with _reader(text) as reader:
                rows = [row for row in reader if row]
        except csv.Error as error:
            what = f"{source}, line {_starts(text)[-1]}: not a CSV row: {error}"
            raise DataError(what, "Quote texts and double the quotes inside") from error
        if not rows:
            raise DataError(f"{source} is empty", "Expected a CSV with a header line")
        return cls(rows[0], rows[1:], text, source)

    def require_rows(self) -> None:
        """Refuse a table without rows, or with a row that is not as long as the header."""
        width = len(self.header)
        if not self.rows:
            raise DataError(f"{self.source} has a header but no rows", "Write one row a text")
        if set(map(len, self.rows)) != {width}:
            row = next(i for i, cells in enumerate(self.rows) if len(cells) != width)
            what = f"{plural(len(self.rows[row]), 'field')} where the header has {width}"
            raise self.refusal(row, "", what, "Quote texts that hold commas, quotes or new lines")

    def refusal(self, row: int, column: str, what: str, remedy: str) -> DataError:
        """The error that refuses a row (counted from 0), with the line on which it starts."""
        place = f"{self.source}, line {_starts(self.text)[row + 1]} (row {row + 1})"
        if column:
            place += f", column {column}"
        return DataError(f"{place}: {what}", remedy)


@contextmanager
def _reader(text: str) -> Iterator[_Reader]:
    """A csv reader that takes fields of any length.

    csv keeps one limit for the whole process: it is put back, and threads take turns.
    """
    with _FIELD_LIMIT_LOCK:
        limit = csv.field_size_limit(len(text) + 1)
        try:
            yield csv.reader(io.StringIO(text, newline=""), strict=True)
        finally:
            csv.field_size_limit(limit)


def _starts(text: str) -> list[int]:
    """Line on which each row starts, the header first; a row that cannot be read ends it."""
    starts: list[int] = []
    with _reader(text) as reader:
        before = 0
        try:
            for cells in reader:
                if cells:
                    starts.append(before + 1)
                before = reader.line_num
        except csv.Error:
            starts.append(before + 1)
    return starts


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
