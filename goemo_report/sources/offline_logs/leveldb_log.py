"""The framing of a run log: LevelDB's log format behind W&B's 7-byte header.

The file is cut into blocks of 32 KiB, the header counted in. A block holds chunks of
CRC-32 (4 bytes), length (2) and kind (1), little-endian, then the payload; the checksum
covers kind and payload. A record is one full chunk, or a first, any middle and a last one.
What is left of a block when no chunk header fits is padding. Unlike LevelDB's own logs the
checksum is plain CRC-32 (IEEE), not a masked CRC-32C.
Format: github.com/google/leveldb, doc/log_format.md.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from goemo_report.errors import SourceError

HEADER: Final = b":W&B\xe1\xbe\x00"
"""Mark, magic number 0xBEE1, and version 0 of the format."""

BLOCK: Final = 32 * 1024
_CHUNK: Final = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_TORN_ZEROS: Final = 8
"""So many zeros at the end of a file are storage that was reserved and never written."""


class DamagedLogError(SourceError):
    """A run log whose bytes are not what was written."""

    def __init__(self, log: str, offset: int, why: str) -> None:
        super().__init__(
            f"{log} is damaged at byte {offset}: {why}",
            "Copy the file again from where it was written, or move it away",
        )


@dataclass(frozen=True, slots=True)
class LogRecords:
    """The whole records of a log, with the offset at which each begins."""

    payloads: list[bytes]
    offsets: list[int]


def read_log(data: bytes, log: str) -> LogRecords:
    """Every whole record of a run log; `log` names the file in errors.

    An end that is cut off, or zeros, is where the writer got to. Anything else that does not
    fit is DamagedLogError.
    """
    payloads: list[bytes] = []
    offsets: list[int] = []
    if not data.startswith(HEADER):
        if HEADER.startswith(data.rstrip(b"\0")):  # not even the header was written
            return LogRecords(payloads, offsets)
        raise DamagedLogError(log, 0, "it does not begin as a W&B run log of version 0")

    view = memoryview(data)
    size = len(data)
    offset = begin = len(HEADER)
    parts: list[memoryview] = []
    while offset < size:
        room = BLOCK - offset % BLOCK
        if room < _CHUNK.size:
            offset += room
            continue
        if offset + _CHUNK.size > size:
            break
        checksum, length, kind = _CHUNK.unpack_from(data, offset)
        after = offset + _CHUNK.size + length
        if after > size and length <= room - _CHUNK.size and _FULL <= kind <= _LAST:
            break
        wrong = _what_is_wrong(length, kind, room, bool(parts))
        if wrong is None and zlib.crc32(view[offset + 6 : after]) != checksum:
            wrong = "the checksum does not fit"
        if wrong is not None:
            if _is_never_written(data, after):
                break
            raise DamagedLogError(log, offset, wrong)
        if not parts:
            begin = offset
        parts.append(view[offset + _CHUNK.size : after])
        offset = after
        if kind in (_FULL, _LAST):
            payloads.append(b"".join(parts))
            offsets.append(begin)
            parts.clear()
    return LogRecords(payloads, offsets)


def _what_is_wrong(length: int, kind: int, room: int, inside: bool) -> str | None:
    if not _FULL <= kind <= _LAST:
        return f"a chunk of unknown kind {kind}"
    if length > room - _CHUNK.size:
        return "a chunk runs over the end of its block"
    if inside and kind in (_FULL, _FIRST):
        return "a record begins inside another"
    if not inside and kind in (_MIDDLE, _LAST):
        return "a record continues that never began"
    return None


def _is_never_written(data: bytes, after: int) -> bool:
    """Whether zeros begin before `after` and reach to the end of the file."""
    written = len(data.rstrip(b"\0"))
    return len(data) - written >= _TORN_ZEROS and written < after
