"""What a file holds, told from its first bytes: a name for each format, whatever its ending.

`sniff` gives one entry of the table below. `csv` and `gzip` are read; of the others this says
what they are and what to do. A reader for another format belongs beside `csv_table`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

HEAD: Final = 1 << 16
"""Bytes from the beginning of a file that tell its format."""

_UNPACK: Final = "Unpack it and give the CSV inside; a CSV may be compressed with gzip"
_CONVERT: Final = "Write it as CSV; pandas does with `DataFrame.to_csv(NAME, index=False)`"


@dataclass(frozen=True, slots=True)
class Format:
    """One format; `what` follows the name of a file in a message."""

    key: str
    what: str
    remedy: str
    starts: tuple[bytes, ...] = ()


CSV: Final = Format("csv", "is a CSV file", "")
GZIP: Final = Format("gzip", "is compressed with gzip", _UNPACK, (b"\x1f\x8b",))
_UTF_16: Final = Format(
    "utf-16", "is UTF-16, not UTF-8", "Save the file as UTF-8", (b"\xff\xfe", b"\xfe\xff")
)
_BINARY: Final = (
    GZIP,
    Format(
        "bzip2",
        "is compressed with bzip2",
        _UNPACK,
        tuple(b"BZh%d" % level for level in range(1, 10)),
    ),
    Format("xz", "is compressed with xz", _UNPACK, (b"\xfd7zXZ\0",)),
    Format("zstandard", "is compressed with Zstandard", _UNPACK, (b"\x28\xb5\x2f\xfd",)),
    Format("lz4", "is compressed with LZ4", _UNPACK, (b"\x04\x22\x4d\x18",)),
    Format("7z", "is a 7z archive, not a CSV", _UNPACK, (b"7z\xbc\xaf\x27\x1c",)),
    Format("parquet", "is a Parquet file, not a CSV", _CONVERT, (b"PAR1",)),
    Format(
        "arrow",
        "is an Arrow or Feather file, not a CSV",
        _CONVERT,
        (b"ARROW1", b"FEA1", b"\xff\xff\xff\xff"),
    ),
    Format("avro", "is an Avro file, not a CSV", _CONVERT, (b"Obj\x01",)),
    Format("npy", "is a NumPy array, not a CSV", _CONVERT, (b"\x93NUMPY",)),
    Format("hdf5", "is an HDF5 file, not a CSV", _CONVERT, (b"\x89HDF\r\n\x1a\n",)),
    Format("sqlite", "is an SQLite database, not a CSV", _CONVERT, (b"SQLite format 3\0",)),
    Format(
        "xls", "is an Excel workbook, not a CSV", "Save it as CSV UTF-8", (b"\xd0\xcf\x11\xe0",)
    ),
    Format(
        "pickle",
        "is a Python pickle, not a CSV",
        _CONVERT,
        tuple(bytes([0x80, protocol]) for protocol in range(2, 6)),
    ),
    Format("pdf", "is a PDF, not a CSV", "Give the table that it was made from", (b"%PDF",)),
    Format(
        "wandb-log",
        "is a W&B run log, not a CSV",
        "Give the directory that it is in",
        (b":W&B",),
    ),
    Format(
        "lfs",
        "is a Git LFS pointer, not the file",
        "Run `git lfs pull`",
        (b"version https://git-lfs",),
    ),
    _UTF_16,
)
_ZIP: Final = Format("zip", "is a zip archive, not a CSV", _UNPACK, (b"PK\x03\x04", b"PK\x05\x06"))
_IN_ZIP: Final = (
    (
        rb"\[Content_Types\]\.xml|xl/|_rels/",
        Format("xlsx", "is an Excel workbook, not a CSV", "Save it as CSV UTF-8"),
    ),
    (rb"mimetype", Format("ods", "is an OpenDocument file, not a CSV", "Save it as CSV UTF-8")),
    (rb"[^/]*\.npy", Format("npz", "is a NumPy archive (.npz), not a CSV", _CONVERT)),
    (rb"[^/]*/data\.pkl", Format("torch", "is a PyTorch file, not a CSV", _CONVERT)),
)
_TAR: Final = Format("tar", "is a tar archive, not a CSV", _UNPACK)
_UNKNOWN: Final = Format("binary", "is a binary file, not a CSV", _CONVERT)
_HTML: Final = Format(
    "html", "is a web page, not a CSV", "Download the file itself: this may be a page to log in"
)
_JSON: Final = Format("json", "is JSON, not a CSV", _CONVERT)
_JSON_LINES: Final = Format("jsonl", "is JSON with an object a line, not a CSV", _CONVERT)
_SEPARATORS: Final = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
_DECIMAL_COMMA: Final = re.compile(r"(^|;)-?\d+,\d+(;|$)")


def sniff(head: bytes) -> Format:
    """The format of a file that begins with these bytes (HEAD of them are enough)."""
    for known in _BINARY:
        if head.startswith(known.starts):
            return known
    if head.startswith(_ZIP.starts):
        first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return next((kind for name, kind in _IN_ZIP if re.match(name, first)), _ZIP)
    if head[257:262] == b"ustar":
        return _TAR
    head = head[:HEAD]
    if max(head[:256:2].count(0), head[1:256:2].count(0)) > 0.4 * len(head[:256:2]):
        return _UTF_16
    text = head.decode("utf-8-sig", "replace").lstrip()
    return _UNKNOWN if "\0" in text and "\ufffd" in text[:-1] else _sniff_text(text)


def _sniff_text(text: str) -> Format:
    if re.match(r"<(!doctype html|html)", text, re.IGNORECASE):
        return _HTML
    lines = text.splitlines() or [""]
    if re.match(r'\{\s*"|\[\s*[\[{"\d]', text):
        return _JSON_LINES if len(lines) > 1 and _is_object(lines[0]) else _JSON
    return _separated(lines)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _separated(lines: list[str]) -> Format:
    """Comma-separated, or by what else the header has most of outside quotes."""
    header = re.sub(r'"[^"]*"', "", lines[0])
    mark = max(_SEPARATORS, key=header.count)  # a comma where none is there
    if mark == ",":
        return CSV
    name = _SEPARATORS[mark]
    what, remedy = f"is separated by {name}, not commas", "Save it with commas"
    if mark == ";" and any(map(_DECIMAL_COMMA.search, lines[1:3])):
        what, remedy = f"{what}, and has decimal commas", f"{remedy} and with decimal points"
    return Format(name, what, remedy)
