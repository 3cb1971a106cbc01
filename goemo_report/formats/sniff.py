"""What a file holds, told from its first bytes: a name for each format, whatever its ending.

`sniff` gives one entry of the table below: a separated table has its `mark`, other formats have a
reader in `readers` or a line that says what they are and what to do.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

HEAD: Final = 1 << 16
"""Bytes from the beginning of a file that tell its format."""

TABLE_ENDINGS: Final = (
    ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".feather", ".arrow", ".npz",
)  # fmt: skip
"""Endings of tables; each may be followed by one of PACKED_ENDINGS."""
PACKED_ENDINGS: Final = (".gz", ".bz2", ".xz", ".zip")


def has_table_ending(name: str) -> bool:
    """Whether a file is a table by the ending of its name."""
    low = name.lower()
    plain = next((low.removesuffix(end) for end in PACKED_ENDINGS if low.endswith(end)), low)
    return plain.endswith(TABLE_ENDINGS) or plain != low


def stem(name: str) -> str:
    """The name of a file, in lower case, without its endings: `test_predictions`."""
    return name.rsplit("/", 1)[-1].split(".", 1)[0].lower()


_UNPACK: Final = "Unpack it and give the CSV inside; a CSV may be compressed with gzip"
_CONVERT: Final = "Write it as CSV; pandas does with `DataFrame.to_csv(NAME, index=False)`"
_SAVE: Final = "Save it as CSV in UTF-8"
_LOGIN: Final = "Download the file itself: this may be a page to log in"


@dataclass(frozen=True, slots=True)
class Format:
    """One format, and what to do where there is no reader for it. `mark` separates the fields of a
    table."""

    key: str
    title: str
    remedy: str = ""
    mark: str = ""

    @property
    def what(self) -> str:
        """What follows the name of a file in a message."""
        return f"is {self.title}, not {'UTF-8' if self.key == 'utf-16' else 'a CSV'}"


CSV: Final = Format("csv", "a CSV", mark=",")
_UTF_16: Final = Format("utf-16", "UTF-16", _SAVE)
_ARROW: Final = Format("arrow", "an Arrow or Feather file", _CONVERT)
_PICKLE: Final = Format("pickle", "a Python pickle", _CONVERT)
_ZIP: Final = Format("zip", "a zip archive", _UNPACK)
_TAR: Final = Format("tar", "a tar archive", _UNPACK)
_UNKNOWN: Final = Format("binary", "a binary file", _CONVERT)
_HTML: Final = Format("html", "a web page", _LOGIN)
_JSON: Final = Format("json", "JSON", _CONVERT)
_JSON_LINES: Final = Format("jsonl", "JSON with an object a line", _CONVERT)

_BEGINNINGS: Final = (
    (b"\x1f\x8b", Format("gzip", "a gzip file", _UNPACK)),
    (b"BZh", Format("bzip2", "a bzip2 file", _UNPACK)),
    (b"\xfd7zXZ\0", Format("xz", "an xz file", _UNPACK)),
    (b"\x28\xb5\x2f\xfd", Format("zstandard", "a Zstandard file", _UNPACK)),
    (b"\x04\x22\x4d\x18", Format("lz4", "an LZ4 file", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", Format("7z", "a 7z archive", _UNPACK)),
    (b"PAR1", Format("parquet", "a Parquet file", _CONVERT)),
    (b"ARROW1", _ARROW),
    (b"FEA1", _ARROW),
    (b"\xff\xff\xff\xff", _ARROW),
    (b"Obj\x01", Format("avro", "an Avro file", _CONVERT)),
    (b"\x93NUMPY", Format("npy", "a NumPy array", _CONVERT)),
    (b"\x89HDF\r\n\x1a\n", Format("hdf5", "an HDF5 file", _CONVERT)),
    (b"SQLite format 3\0", Format("sqlite", "an SQLite database", _CONVERT)),
    (b"\xd0\xcf\x11\xe0", Format("xls", "an Excel workbook", _SAVE)),
    *((bytes([0x80, protocol]), _PICKLE) for protocol in range(2, 6)),
    (b"%PDF", Format("pdf", "a PDF", "Give the table that it was made from")),
    (b":W&B", Format("wandb-log", "a W&B run log", "Give the directory that it is in")),
    (b"version https://git-lfs", Format("lfs", "a Git LFS pointer", "Run `git lfs pull`")),
    (b"\xff\xfe", _UTF_16),
    (b"\xfe\xff", _UTF_16),
)
_IN_ZIP: Final = (
    (rb"\[Content_Types\]\.xml|xl/|_rels/", Format("xlsx", "an Excel workbook", _SAVE)),
    (rb"mimetype", Format("ods", "an OpenDocument file", _SAVE)),
    (rb"[^/]*\.npy", Format("npz", "a NumPy archive (.npz)", _CONVERT)),
    (rb"[^/]*/data\.pkl", Format("torch", "a PyTorch file", _CONVERT)),
)
"""Name of the first file in a zip archive."""
_SEPARATORS: Final = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}


def sniff(head: bytes) -> Format:
    """The format of a file that begins with these bytes (HEAD of them are enough)."""
    for beginning, known in _BEGINNINGS:
        if head.startswith(beginning):
            return known
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return next((kind for name, kind in _IN_ZIP if re.match(name, first)), _ZIP)
    if head[257:262] == b"ustar":
        return _TAR
    head = head[:HEAD]
    fewer, more = sorted((head[:256:2].count(0), head[1:256:2].count(0)))
    if more > 0.4 * len(head[:256:2]):
        return _UTF_16 if fewer < more / 2 else _UNKNOWN
    text = head.decode("utf-8-sig", "replace").lstrip()
    return _UNKNOWN if "\0" in text and "\ufffd" in text[:-1] else _sniff_text(text)


def _sniff_text(text: str) -> Format:
    if re.match(r"<(!doctype html|html)", text, re.IGNORECASE):
        return _HTML
    lines = text.splitlines() or [""]
    if re.match(r'\{\s*["}]|\[\s*[\[{"\d\]]', text):
        return _JSON_LINES if len(lines) > 1 and _is_object(lines[0]) else _JSON
    return _separated(lines)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def separator(row: str, fields: int) -> str:
    """Name what separates a row into so many fields; empty where nothing does."""
    plain = re.sub(r'"[^"]*"', "", row)
    return next((word for mark, word in _SEPARATORS.items() if plain.count(mark) == fields - 1), "")


def _separated(lines: list[str]) -> Format:
    """Comma-separated, or by what else the header has most of outside quotes."""
    header = re.sub(r'"[^"]*"', "", lines[0])
    mark = max(_SEPARATORS, key=header.count)  # a comma where none is there
    if mark == ",":
        return CSV
    return Format(_SEPARATORS[mark], f"separated by {_SEPARATORS[mark]}", mark=mark)
