"""Run logs made by hand, for what the client would not write."""

from __future__ import annotations

import importlib
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HEADER = bytes.fromhex("3a572642e1be00")
BLOCK = 32_768


def frame(payloads: Iterable[bytes]) -> bytes:
    """A log in LevelDB's framing."""
    log = bytearray(HEADER)
    for payload in payloads:
        rest, first = payload, True
        while first or rest:
            room = BLOCK - len(log) % BLOCK
            if room < 7:
                log += bytes(room)
                continue
            chunk, rest = rest[: room - 7], rest[room - 7 :]
            kind = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}
            body = bytes([kind[first, not rest]]) + chunk
            log += struct.pack("<IH", zlib.crc32(body), len(chunk)) + body
            first = False
    return bytes(log)


def new_record() -> Any:
    """An empty record of wandb's own class."""
    return importlib.import_module("wandb.proto.wandb_internal_pb2").Record()


def run_record(run_id: str, **fields: Any) -> Any:
    """The record that says what a run is called and more."""
    record = new_record()
    record.run.run_id = run_id
    record.run.start_time.FromSeconds(1_700_000_000)
    for name, value in fields.items():
        if name == "tags":
            record.run.tags.extend(value)
        else:
            setattr(record.run, name, value)
    return record


def history_record(step: int | None, **values: str) -> Any:
    """A history record; values are JSON."""
    record = new_record()
    record.history.SetInParent()
    if step is not None:
        record.history.step.num = step
    for key, value in values.items():
        record.history.item.add(key=key, value_json=value)
    return record


def exit_record(code: int = 0) -> Any:
    """The record that ends a run."""
    record = new_record()
    record.exit.exit_code = code
    return record


def write_run(
    root: Path, run_id: str, records: Iterable[Any], *, at: str = "20240101_000000"
) -> Path:
    """A run directory below `root/wandb` with these records in its log; gives the log."""
    directory = root / "wandb" / f"offline-run-{at}-{run_id}"
    directory.mkdir(parents=True)
    log = directory / f"run-{run_id}.wandb"
    log.write_bytes(frame(record.SerializeToString() for record in records))
    return log
