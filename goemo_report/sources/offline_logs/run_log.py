"""One run log: its records -> what the run said of itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import DecodeError

from goemo_report.errors import GoemoError, SourceError, reading
from goemo_report.formats.json_text import DEEPEST, parsed
from goemo_report.sources.local_tracker import Kept
from goemo_report.sources.model import Row, flattened
from goemo_report.sources.offline_logs.folders import log_run_id
from goemo_report.sources.offline_logs.log_format import (
    DamagedLogError,
    History,
    Record,
    Run,
    read_log,
)
from goemo_report.sources.store import open_regular

Json = str
KeyPath = tuple[str, ...]
Updates = dict[KeyPath, Json | None]
"""Changes to a mapping in the order in which they hold, by path of keys; None removes."""

_BEGINNING: Final = 1 << 16  # bytes
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class RunLog:
    """What one log says. Empty fields are those that it does not mention.

    `run` and `artifacts` are records as they were written, as are the rows of the history until
    `history_rows` is asked. `exit_code` None: the writer did not get to the end.
    """

    path: Path
    label: str
    id: str
    run: Any = field(default_factory=Run)
    started: datetime | None = None
    config: Updates = field(default_factory=dict)
    summary: Updates = field(default_factory=dict)
    artifacts: list[Any] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    history: list[bytes] = field(default_factory=list)
    exit_code: int | None = None
    is_preempting: bool = False

    @property
    def directory(self) -> Path:
        """The run directory, which holds the log and `files/`."""
        return self.path.parent


def read_run_log(path: Path, label: str) -> RunLog:
    """Read one log up to its last whole record; `label` names it in errors.

    Raises SourceError where it cannot be read, DamagedLogError where it is damaged.
    """
    if path.exists() and not path.is_file():
        raise SourceError(f"{label} is no regular file", "Move it away")
    log = RunLog(path, label, log_run_id(path))
    with reading(label):
        for offset, payload in read_log(path.read_bytes(), label).items():
            try:
                record = Record.FromString(payload)
            except DecodeError:
                raise DamagedLogError(label, offset, "the record is none of W&B's") from None
            _apply(log, record)
    return log


def peek(path: Path) -> RunLog:
    """What the beginning of a log says of its run, as far as it can be read."""
    log = RunLog(path, path.name, log_run_id(path))
    with suppress(GoemoError, DecodeError, OSError, ValueError), open_regular(path) as file:
        for payload in read_log(file.read(_BEGINNING), path.name).values():
            record = Record.FromString(payload)
            if record.WhichOneof("kind") == "run":
                _apply_run(log, record.run)
                break
    return log


def _apply(log: RunLog, record: Any) -> None:
    kind = record.WhichOneof("kind")
    if kind == "history":
        log.history.append(record.history)
    elif kind == "summary":
        update(log.summary, _changes(record.summary))
    elif kind == "config":
        update(log.config, _changes(record.config))
    elif kind == "run":
        _apply_run(log, record.run)
    elif kind == "artifact":
        log.artifacts.append(record.artifact)
    elif kind == "files":
        log.files += [file.path for file in record.files.files]
    elif kind == "exit":
        log.exit_code = record.exit.exit_code
    elif kind == "preempting":
        log.is_preempting = True


def _apply_run(log: RunLog, run: Any) -> None:
    """A run record says all of a run as it was then: the last one holds."""
    log.run, log.id = run, run.run_id or log.id
    if seconds := run.start_time.seconds:
        try:
            since = timedelta(seconds=seconds, microseconds=run.start_time.nanos // 1000)
            log.started = _EPOCH + since
        except OverflowError:
            raise ValueError(f"its start_time {seconds} is out of range") from None
    update(log.config, _changes(run.config))
    update(log.summary, _changes(run.summary))


def entries_of(artifact: Any) -> Iterator[Kept]:
    """The files in an artifact's record, with where the client staged them; none where its
    manifest is a file of its own."""
    for held in artifact.manifest.contents:
        extra = {item.key: _unquoted(item.value_json) for item in held.extra}
        entry = {"size": held.size, "digest": held.digest, "ref": held.ref, "extra": extra}
        yield Kept.of(held.path, entry, logged=held.local_path)


def _unquoted(text: Json) -> Any:
    try:
        return parsed(text)
    except ValueError:
        return text


# --- Mappings made of changes ---------------------------------------------------------


def _changes(record: Any) -> Iterable[tuple[KeyPath, Json | None]]:
    for item in record.update:
        yield tuple(item.nested_key) or (item.key,), item.value_json
    for item in record.remove:
        yield tuple(item.nested_key) or (item.key,), None


def update(updates: Updates, changes: Iterable[tuple[KeyPath, Json | None]]) -> None:
    """Add changes behind those that are there."""
    for path, value in changes:
        updates.pop(path, None)  # a changed key moves to the end
        updates[path] = value


def mapping(updates: Updates, what: str) -> dict[str, Any]:
    """The nested mapping that changes amount to; `what` names it in errors."""
    paths = [path for path, value in updates.items() if value is not None]
    values = iter(_parse([value for value in updates.values() if value is not None], paths, what))
    result: dict[str, Any] = {}
    for path, raw in updates.items():
        _put(result, path, None if raw is None else (next(values),))
    return result


def _put(target: dict[str, Any], path: KeyPath, value: tuple[Any] | None) -> None:
    """Set one value deep in a mapping, or remove it."""
    for key in path[:-1]:
        inner = target.get(key)
        if not isinstance(inner, dict):
            if value is None:
                return
            inner = target[key] = {}
        target = inner
    if value is None:
        target.pop(path[-1], None)
    else:
        target[path[-1]] = value[0]


def _parse(texts: Sequence[Json], paths: Sequence[KeyPath], what: str) -> list[Any]:
    """Many JSON values with one call of the parser; NaN and the infinities are values too."""
    try:
        values: list[Any] = parsed(f"[{','.join(texts)}]")
        if len(values) == len(texts) and max(map(len, paths), default=0) <= DEEPEST:
            return values
    except ValueError:
        pass
    values = []
    for path, text in zip(paths, texts, strict=True):
        try:
            values.append(parsed(text if len(path) <= DEEPEST else ""))
        except ValueError:
            key = ".".join(path[:8])
            raise SourceError(
                f"{what}: the value of {key!r} is no JSON of at most {DEEPEST} levels",
                "Log it again",
            ) from None
    return values


# --- History --------------------------------------------------------------------------


def history_rows(log: RunLog) -> list[Row]:
    """The rows of one log in the order written, flattened, each with its `_step`."""
    rows: list[Row] = []
    for number, payload in enumerate(log.history):
        what = f"history row {number} of {log.label}"
        try:
            record = History.FromString(payload)
        except DecodeError:
            raise SourceError(f"{what} is no history record of W&B", "Copy the log again") from None
        changes: Updates = {
            tuple(item.nested_key) or (item.key,): _value(item) for item in record.item
        }
        row = mapping(changes, what)
        if not isinstance(row.get("_step"), int):
            row["_step"] = record.step.num if record.HasField("step") else number
        rows.append(flattened(row))
    return rows


def _value(item: Any) -> Json:
    """A logged value as JSON; the client may write plain values unencoded."""
    if item.value_json:
        return str(item.value_json)
    kind = item.WhichOneof("kind")
    if kind is None or kind == "none":
        return "null"
    value = getattr(item, kind)
    return str(value) if kind == "json" else json.dumps(value)
