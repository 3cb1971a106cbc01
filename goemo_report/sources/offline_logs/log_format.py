"""The format of a run log: how its records are framed, and the part of their schema that is read.

The framing is LevelDB's log format behind W&B's 7-byte header. The file is cut into blocks of
32 KiB, the header counted in. A block holds chunks of CRC-32 (4 bytes), length (2) and kind (1),
little-endian, then the payload; the checksum covers kind and payload. A record is one full chunk,
or a first, any middle and a last one. What is left of a block when no chunk header fits is
padding. Unlike LevelDB's own logs the checksum is plain CRC-32 (IEEE), not a masked CRC-32C.
Format: github.com/google/leveldb, doc/log_format.md.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

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


def read_log(data: bytes, log: str) -> dict[int, bytes]:
    """Every whole record of a run log by the offset at which it begins, in order; `log` names the
    file in errors.

    An end that is cut off, or zeros, is where the writer got to. Anything else that does not
    fit is DamagedLogError.
    """
    records: dict[int, bytes] = {}
    if not data.startswith(HEADER):
        if HEADER.startswith(data.rstrip(b"\0")):  # not even the header was written
            return records
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
            records[begin] = b"".join(parts)
            parts.clear()
    return records


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


def framed(records: Sequence[bytes]) -> bytes:
    """The bytes of a log with these records."""
    data = bytearray(HEADER)
    for record in records:
        rest, first = record, True
        while first or rest:
            room = BLOCK - len(data) % BLOCK
            if room < _CHUNK.size:
                data += bytes(room)
                continue
            part, rest = rest[: room - _CHUNK.size], rest[room - _CHUNK.size :]
            kind = (_FIRST if rest else _FULL) if first else (_MIDDLE if rest else _LAST)
            checksum = zlib.crc32(bytes([kind]) + part)
            data += _CHUNK.pack(checksum, len(part), kind) + part
            first = False
    return bytes(data)


# --- Records --------------------------------------------------------------------------
# Field numbers and types are those of `wandb.proto.wandb_internal_pb2`, which a test holds this
# to. Declared here, because importing wandb costs ten times as long as reading a hundred logs;
# protobuf's C parser skips the fields that are not declared. The messages live in a pool of their
# own and do not meet wandb's.

_Type = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "goemo.run_log"

# A line a message, and of each field its name, number and type: `*` marks a repeated field, `|` one
# of a oneof; a message type is named. A history is parsed only when it is asked for, hence bytes;
# `none` is an enum on the wire.
_SCHEMA: Final = """\
Record: history 2 |bytes, summary 3 |SummaryRecord, config 5 |ConfigRecord, files 6 |FilesRecord, \
    artifact 8 |ArtifactRecord, run 17 |RunRecord, exit 18 |RunExitRecord, \
    preempting 23 |RunPreemptingRecord
HistoryRecord: item 1 *HistoryItem, step 2 HistoryStep
HistoryStep: num 1 int64
HistoryItem: key 1 string, nested_key 2 *string, none 3 |int32, boolean 4 |bool, \
    integer 5 |sint64, number 6 |double, text 7 |string, json 8 |string, value_json 16 string
SummaryRecord: update 1 *Item, remove 2 *Item
ConfigRecord: update 1 *Item, remove 2 *Item
Item: key 1 string, nested_key 2 *string, value_json 16 string
FilesRecord: files 1 *FilesItem
FilesItem: path 1 string
RunRecord: run_id 1 string, entity 2 string, project 3 string, config 4 ConfigRecord, \
    summary 5 SummaryRecord, run_group 6 string, job_type 7 string, display_name 8 string, \
    notes 9 string, tags 10 *string, sweep_id 12 string, start_time 17 Timestamp
Timestamp: seconds 1 int64, nanos 2 int32
RunPreemptingRecord:
RunExitRecord: exit_code 1 int32
ArtifactRecord: type 4 string, name 5 string, digest 6 string, description 7 string, \
    metadata 8 string, aliases 11 *string, manifest 12 ArtifactManifest, client_id 15 string
ArtifactManifest: contents 4 *ArtifactManifestEntry, manifest_file_path 5 string
ArtifactManifestEntry: path 1 string, digest 2 string, ref 3 string, size 4 int64, \
    local_path 6 string, extra 16 *ExtraItem
ExtraItem: key 1 string, value_json 2 string
"""
FIELDS: Final[dict[str, dict[str, tuple[int, str]]]] = {
    message: {
        name: (int(number), kind)
        for name, number, kind in map(str.split, filter(None, fields.split(",")))
    }
    for message, _, fields in (line.partition(":") for line in _SCHEMA.splitlines())
}
"""Number and type of the fields of each message, by their names."""


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="goemo_run_log.proto", package=_PACKAGE, syntax="proto3"
    )
    for message, fields in FIELDS.items():
        declared = file.message_type.add(name=message)
        for name, (number, spelled) in fields.items():
            field = declared.field.add(name=name, number=number)
            field.label = _Type.LABEL_REPEATED if spelled.startswith("*") else _Type.LABEL_OPTIONAL
            if spelled.startswith("|"):
                field.oneof_index = 0
            kind = spelled.lstrip("*|")
            if kind in FIELDS:
                field.type, field.type_name = _Type.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = getattr(_Type, f"TYPE_{kind.upper()}")
        if any(spelled.startswith("|") for _, spelled in fields.values()):
            declared.oneof_decl.add(name="kind")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in FIELDS
    }


_MESSAGES: Final = _messages()
Record: Final[Any] = _MESSAGES["Record"]
Run: Final[Any] = _MESSAGES["RunRecord"]
History: Final[Any] = _MESSAGES["HistoryRecord"]
