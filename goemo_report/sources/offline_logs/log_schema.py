"""The part of W&B's record schema that reading needs.

Field numbers and types are those of `wandb.proto.wandb_internal_pb2`, which a test holds
this to. Declared here, because importing wandb costs ten times as long as reading a hundred
logs; protobuf's C parser skips the fields that are not declared. The messages live in a
pool of their own and do not meet wandb's.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

__all__ = ["FIELDS", "DecodeError", "History", "Record"]

_Type = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "goemo.run_log"

# A `*` marks a repeated field, a `|` one of a oneof; a message type is named.
FIELDS: Final[dict[str, dict[str, tuple[int, str]]]] = {
    "Record": {
        "history": (2, "|bytes"),  # a HistoryRecord, parsed only when it is asked for
        "summary": (3, "|SummaryRecord"),
        "config": (5, "|ConfigRecord"),
        "files": (6, "|FilesRecord"),
        "artifact": (8, "|ArtifactRecord"),
        "run": (17, "|RunRecord"),
        "exit": (18, "|RunExitRecord"),
        "preempting": (23, "|RunPreemptingRecord"),
    },
    "HistoryRecord": {"item": (1, "*HistoryItem"), "step": (2, "HistoryStep")},
    "HistoryStep": {"num": (1, "int64")},
    "HistoryItem": {
        "key": (1, "string"),
        "nested_key": (2, "*string"),
        "none": (3, "|int32"),  # an enum on the wire
        "boolean": (4, "|bool"),
        "integer": (5, "|sint64"),
        "number": (6, "|double"),
        "text": (7, "|string"),
        "json": (8, "|string"),
        "value_json": (16, "string"),
    },
    "SummaryRecord": {"update": (1, "*Item"), "remove": (2, "*Item")},
    "ConfigRecord": {"update": (1, "*Item"), "remove": (2, "*Item")},
    "Item": {"key": (1, "string"), "nested_key": (2, "*string"), "value_json": (16, "string")},
    "FilesRecord": {"files": (1, "*FilesItem")},
    "FilesItem": {"path": (1, "string")},
    "RunRecord": {
        "run_id": (1, "string"),
        "entity": (2, "string"),
        "project": (3, "string"),
        "config": (4, "ConfigRecord"),
        "summary": (5, "SummaryRecord"),
        "run_group": (6, "string"),
        "job_type": (7, "string"),
        "display_name": (8, "string"),
        "notes": (9, "string"),
        "tags": (10, "*string"),
        "sweep_id": (12, "string"),
        "start_time": (17, "Timestamp"),
    },
    "Timestamp": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "RunPreemptingRecord": {},
    "RunExitRecord": {"exit_code": (1, "int32")},
    "ArtifactRecord": {
        "type": (4, "string"),
        "name": (5, "string"),
        "digest": (6, "string"),
        "description": (7, "string"),
        "metadata": (8, "string"),
        "aliases": (11, "*string"),
        "manifest": (12, "ArtifactManifest"),
        "client_id": (15, "string"),
    },
    "ArtifactManifest": {
        "contents": (4, "*ArtifactManifestEntry"),
        "manifest_file_path": (5, "string"),
    },
    "ArtifactManifestEntry": {
        "path": (1, "string"),
        "digest": (2, "string"),
        "ref": (3, "string"),
        "size": (4, "int64"),
        "local_path": (6, "string"),
        "extra": (16, "*ExtraItem"),
    },
    "ExtraItem": {"key": (1, "string"), "value_json": (2, "string")},
}


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
History: Final[Any] = _MESSAGES["HistoryRecord"]
