"""Tables in other formats than CSV, as rows of strings; each reader is one function below."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from goemo_report.errors import DataError, first_line

# A small file may unpack to gigabytes of nothing, up to 1,032 times its size. Predictions are
# mostly digits, of which gzip cannot make a fiftieth; tables of few values are small.
_SMALL: Final = 64 << 20
_RATIO: Final = 50
_LIMIT: Final = 1 << 30
DAMAGED: Final = (
    zlib.error, EOFError, OSError, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError,
    RuntimeError,
)  # fmt: skip
"""What the unpackers of the standard library raise for damaged data."""


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


def _opened(data: bytes, key: str, source: str) -> IO[bytes]:
    raw = io.BytesIO(data)
    if key == "zip":
        archive = zipfile.ZipFile(raw)
        names = [name for name in archive.namelist() if not name.startswith(("__MACOSX/", "."))]
        if len(names) != 1:
            raise DataError(f"{source} holds {len(names)} files, not one", "Unpack it")
        return archive.open(names[0])
    openers: dict[str, Callable[[IO[bytes]], Any]] = {
        "gzip": lambda file: gzip.GzipFile(fileobj=file), "bzip2": bz2.BZ2File,
        "xz": lzma.LZMAFile,
    }  # fmt: skip
    opened: IO[bytes] = openers[key](raw)
    return opened


@dataclass(frozen=True)
class Grid:
    """Named columns of values, as a format gives them."""

    header: list[str]
    columns: list[Sequence[Any]]

    def rows(self) -> Iterator[list[str]]:
        """Each row as the strings that a CSV would have: lists as JSON, nothing as empty."""
        return ([_text(value) for value in row] for row in zip(*self.columns, strict=True))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, default=str)
    return repr(value) if isinstance(value, float) else str(value)


def read_grid(data: bytes, key: str, source: str) -> Grid:
    """The table that bytes of a format hold. Raises DataError, naming the format."""
    try:
        return READERS[key](data, source)
    except DataError:
        raise
    except Exception as error:
        what = f"{source} is {_TITLES[key]} that is cut off or damaged"
        raise DataError(f"{what}: {first_line(error)}", "Write or download it again") from error


def _arrow(data: bytes, source: str) -> Grid:
    return _of_arrow(_pyarrow("pyarrow.feather", source).read_table(io.BytesIO(data)))


def _parquet(data: bytes, source: str) -> Grid:
    return _of_arrow(_pyarrow("pyarrow.parquet", source).read_table(io.BytesIO(data)))


def _of_arrow(table: Any) -> Grid:
    return Grid(list(table.column_names), [column.to_pylist() for column in table.columns])


def _pyarrow(module: str, source: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"{source} needs pyarrow to be read", "Install it: pip install 'goemo[tables]'"
        ) from error


def _json(data: bytes, source: str) -> Grid:
    """A list of objects, an object of columns, or a `wandb.Table`."""
    document = json.loads(data.decode("utf-8-sig"))
    if isinstance(document, dict) and {"columns", "data"} <= document.keys():
        return Grid(list(map(str, document["columns"])), list(zip(*document["data"], strict=True)))
    if isinstance(document, dict):
        return Grid(list(document), [_values(column) for column in document.values()])
    return _records(document, source)


def _values(column: Any) -> Sequence[Any]:
    return list(column.values()) if isinstance(column, dict) else column


def _json_lines(data: bytes, source: str) -> Grid:
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


def _records(records: Any, source: str) -> Grid:
    if not isinstance(records, list) or not all(isinstance(one, Mapping) for one in records):
        raise DataError(f"{source} is JSON, but not a list of objects", "Write one object a text")
    header = list(dict.fromkeys(name for record in records for name in record))
    for number, record in enumerate(records, 1):
        if len(record) != len(header):
            lost = next(name for name in header if name not in record)
            raise DataError(f"{source}, row {number}: no {lost!r}", "Write every key in every row")
    return Grid(header, [[record[name] for record in records] for name in header])


def _numpy(data: bytes, source: str) -> Grid:
    """`y_true` and `y_prob` (n, k) and `labels` (k), with `texts` (n) and `y_pred` if there."""
    import numpy as np

    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        held = {name: stored[name] for name in stored.files}
    missing = [name for name in ("y_true", "y_prob", "labels") if name not in held]
    if missing:
        raise DataError(f"{source} has no {missing[0]}", "Save y_true, y_prob and labels")
    labels = [str(label) for label in held["labels"].tolist()]
    header: list[str] = []
    columns: list[Sequence[Any]] = []
    if "texts" in held:
        header, columns = ["text"], [list(map(str, held["texts"].tolist()))]
    for name, prefix in (("y_true", "true_"), ("y_pred", "pred_"), ("y_prob", "pred_probs_")):
        if name in held:
            if held[name].ndim != 2 or held[name].shape[1] != len(labels):
                what = f"{source}: {name} is {held[name].shape}, with {len(labels)} labels"
                raise DataError(what, "Save (n, k) arrays")
            header += [f"{prefix}{label}" for label in labels]
            columns += held[name].T.tolist()
    return Grid(header, columns)


READERS: Final[dict[str, Callable[[bytes, str], Grid]]] = {
    "parquet": _parquet, "arrow": _arrow, "json": _json, "jsonl": _json_lines, "npz": _numpy,
}  # fmt: skip
_TITLES: Final = {
    "parquet": "a parquet file", "arrow": "an Arrow file", "json": "JSON",
    "jsonl": "JSON with an object a line", "npz": "a NumPy archive",
}  # fmt: skip
PACKED: Final = ("gzip", "bzip2", "xz", "zip")
