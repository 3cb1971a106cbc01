"""Files as tables: the format is told by content; each but CSV has one function below."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from goemo_report.errors import DataError, first_line
from goemo_report.formats.sniff import HEAD, has_table_ending, sniff
from goemo_report.formats.table import Table
from goemo_report.formats.text import printable, shown
from goemo_report.formats.wording import listed, plural

# A small file may unpack to gigabytes of nothing, up to 1,032 times its size. Predictions are
# mostly digits, of which gzip cannot make a fiftieth; tables of few values are small.
_SMALL: Final = 64 << 20
_RATIO: Final = 50
_LIMIT: Final = 1 << 30
_MOST_LAYERS: Final = 2
_MARK_LINE: Final = rb"(\xef\xbb\xbf)?sep=.\r?\n"
DAMAGED: Final = (
    zlib.error, EOFError, OSError, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError,
    RuntimeError, ValueError,
)  # fmt: skip
"""Errors that the unpackers of the standard library raise for damaged data."""


def read_table(path: Path, source: str, numbers: tuple[str, ...] = ()) -> Table:
    """Read a table of any format that `sniff` knows a reader for, compressed or not.

    Last columns whose names begin with one of `numbers` may come as arrays of numbers, not as text.
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
        if found.key in PACKED:
            data = unpacked(data, found.key, source)
            found = sniff(data[:HEAD])
    if found.key == "utf-16" and data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        data = of_utf_16(data, source)
        found = sniff(data[:HEAD])
    if re.match(_MARK_LINE, data):  # spreadsheets say so how fields are separated
        data = re.sub(_MARK_LINE, rb"\n", data, count=1)
        found = sniff(data.lstrip()[:HEAD])
    if found.key in READERS:
        try:
            return READERS[found.key](data, source).flat()
        except DataError:
            raise
        except Exception as error:
            what = f"{source} is {found.title} that is cut off or damaged"
            raise DataError(f"{what}: {first_line(error)}", "Write or download it again") from error
    if found.mark:
        return Table.of(data, source, found.mark, numbers)
    raise DataError(f"{source} {found.what}", found.remedy)


def unpacked(data: bytes, key: str, source: str) -> bytes:
    """The one file inside a gzip, bzip2, xz or zip file.

    Raises DataError for damaged data, several files and more bytes than are plausible.
    """
    limit = min(max(_SMALL, _RATIO * len(data)), _LIMIT)
    try:
        with _opened(data, key, source) as file:
            found = file.read(limit + 1)
    except DAMAGED as error:
        what = f"{source} is not a whole {key} file: {error}"
        raise DataError(what, "Download or write it again") from error
    if len(found) > limit:
        what = f"{source} unpacks to more than {limit >> 20:,} MiB from {len(data):,} bytes"
        raise DataError(what, "Unpack it, if it is what it should be, and read the plain CSV")
    return found


def of_utf_16(data: bytes, source: str) -> bytes:
    """UTF-16 with a byte order mark, as spreadsheets write "Unicode text", in UTF-8."""
    try:
        return data.decode("utf-16").encode()
    except UnicodeError as error:
        what = f"{source} is UTF-16 that is cut off or damaged"
        raise DataError(what, "Save it as CSV in UTF-8") from error


def _opened(data: bytes, key: str, source: str) -> IO[bytes]:
    raw = io.BytesIO(data)
    if key == "zip":
        archive = zipfile.ZipFile(raw)
        names = [
            name
            for name in archive.namelist()
            if not name.startswith("__MACOSX/")
            and not name.rsplit("/", 1)[-1].startswith(".")
            and not name.endswith("/")
        ]
        tables = [name for name in names if has_table_ending(name) and ".txt" not in name.lower()]
        if len(names) != 1 and len(tables) != 1:
            held = f": {listed(map(printable, names), 3)}" if names else ""
            what = f"{source} holds {len(names)} files, not one{held}"
            raise DataError(what, "Unpack it, and name the one that is meant")
        return archive.open((names if len(names) == 1 else tables)[0])
    openers: dict[str, Callable[[IO[bytes]], Any]] = {
        "gzip": lambda file: gzip.GzipFile(fileobj=file), "bzip2": bz2.BZ2File,
        "xz": lzma.LZMAFile,
    }  # fmt: skip
    opened: IO[bytes] = openers[key](raw)
    return opened


def _arrow(data: bytes, source: str) -> Table:
    """Parquet, Arrow or Feather: numbers as arrays, other columns as lists of Python's values.
    Through DLPack, because `to_numpy` imports pandas, which takes longer than all the rest."""
    import numpy as np

    try:
        from pyarrow import types

        if data.startswith(b"PAR1"):
            from pyarrow import parquet

            table = parquet.ParquetFile(io.BytesIO(data)).read(use_threads=False)
        elif data.startswith(b"FEA1"):
            from pyarrow import feather

            table = feather.read_table(io.BytesIO(data))
        else:
            from pyarrow import ipc

            opened = ipc.open_file if data.startswith(b"ARROW1") else ipc.open_stream
            table = opened(io.BytesIO(data)).read_all()
    except ImportError as error:
        remedy = "Install it: pip install 'goemo[tables]'"
        raise DataError(f"{source} needs pyarrow to be read", remedy) from error

    def values(column: Any) -> Any:
        numeric = types.is_floating(column.type) or types.is_integer(column.type)
        if not numeric or column.null_count or not column.num_chunks:
            return column.to_pylist()
        return np.concatenate(list(map(np.from_dlpack, column.chunks)))

    return Table(list(table.column_names), source, values=list(map(values, table.columns)))


def _json(data: bytes, source: str) -> Table:
    """A list of objects, an object of columns or of rows by index, or a `wandb.Table`."""
    document = json.loads(data.decode("utf-8-sig"))
    if not isinstance(document, dict):
        return _records(document, source)
    if {"columns", "data"} <= document.keys():
        header, rows = list(map(str, document["columns"])), document["data"]
        odd = next((i for i, row in enumerate(rows, 1) if len(row) != len(header)), None)
        if odd is not None:
            what = f"{plural(len(rows[odd - 1]), 'value')} where there are {len(header)} columns"
            raise DataError(f"{source}, row {odd}: {what}", "Write one value a column")
        columns: list[Any] = list(zip(*rows, strict=True)) or [[] for _ in header]
        return Table(header, source, values=columns)
    records = [v for v in document.values() if isinstance(v, list) and v and _are_objects(v)]
    if len(records) == 1:  # {"data": [...]}, {"schema": ..., "data": [...]}
        return _records(records[0], source)
    if not document:
        return _records([], source)
    held = list(document.values())
    if any(not isinstance(one, list | dict) for one in held) and isinstance(
        document.get("text", ""), str
    ):
        return _records([document], source)
    if held and _are_objects(held) and all(key.isdecimal() for key in document):
        return _records(held, source)
    columns = [list(one.values()) if isinstance(one, dict) else one for one in held]
    lengths = {
        shown(name): len(one) if isinstance(one, list) else 0
        for name, one in zip(document, columns, strict=True)
    }
    if len(set(lengths.values())) > 1 or not any(lengths.values()):
        found = listed((f"{name} {n or 'no list'}" for name, n in lengths.items()), 4)
        what = f"{source} is JSON, but neither a list of objects nor columns of one length: {found}"
        raise DataError(what, "Write one object a text")
    return Table(list(document), source, values=columns)


def _are_objects(values: Sequence[Any]) -> bool:
    return all(isinstance(one, Mapping) for one in values)


def _json_lines(data: bytes, source: str) -> Table:
    lines = data.decode("utf-8-sig").split("\n")
    records = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                records.append(json.loads(line))
            except ValueError as error:
                what = f"{source}, line {number}: not a JSON object: {error}"
                raise DataError(what, "Write one object a line") from error
    return _records(records, source)


def _records(records: Any, source: str) -> Table:
    if not isinstance(records, list) or not all(isinstance(one, Mapping) for one in records):
        raise DataError(f"{source} is JSON, but not a list of objects", "Write one object a text")
    if not records:
        raise DataError(f"{source} is JSON without a record", "Write one object a text")
    header = list(dict.fromkeys(name for record in records for name in record))
    for number, record in enumerate(records, 1):
        if len(record) != len(header):
            lost = next(name for name in header if name not in record)
            raise DataError(f"{source}, row {number}: no {lost!r}", "Write every key in every row")
    columns = [[record[name] for record in records] for name in header]
    return Table(header, source, values=columns)


def _numpy(data: bytes, source: str) -> Table:
    """`y_true` with `y_prob` or `y_pred`, (n, k); `labels` (k) and `texts` (n) if there."""
    import numpy as np

    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        try:
            held = dict(stored)
        except ValueError as error:
            if "pickle" not in str(error):
                raise
            what = f"{source} holds Python objects (a pickle), which could run code"
            remedy = "Save labels and texts as arrays of strings: dtype=str"
            raise DataError(what, remedy) from error
    for needed in (("y_true",), ("y_prob", "y_pred")):
        if held.keys().isdisjoint(needed):
            raise DataError(f"{source} has no {needed[0]}", "Save y_true, y_prob and labels")
    labels = [str(label) for label in held["labels"].tolist()] if "labels" in held else None
    columns: list[tuple[str, Sequence[Any]]] = [
        (name.removesuffix("s"), list(map(str, held[name].tolist())))
        for name in ("texts", "text", "ids", "id")
        if name in held
    ]
    for name, prefix in (("y_true", "true_"), ("y_pred", "pred_"), ("y_prob", "pred_probs_")):
        if name in held:
            width = held["y_true"].shape[-1:] if labels is None else (len(labels),)
            if held[name].ndim != 2 or held[name].shape[1:] != width:
                shape, known = held[name].shape, listed(map(str, width))
                what = f"{source}: {name} is {shape}, with {known} labels"
                raise DataError(what, "Save (n, k) arrays")
            if labels is None:  # lists, whose order the reader is told or knows by their length
                columns.append((name, held[name].tolist()))
            else:
                columns += [
                    (f"{prefix}{one}", c) for one, c in zip(labels, held[name].T, strict=True)
                ]
    rows = {len(column) for _, column in columns}
    if len(rows) > 1:
        raise DataError(f"{source}: arrays of {listed(map(str, sorted(rows)))} rows", "Align them")
    return Table([name for name, _ in columns], source, values=[cells for _, cells in columns])


READERS: Final[dict[str, Callable[[bytes, str], Table]]] = {
    "parquet": _arrow, "arrow": _arrow, "json": _json, "jsonl": _json_lines, "npz": _numpy,
}  # fmt: skip
PACKED: Final = ("gzip", "bzip2", "xz", "zip")
