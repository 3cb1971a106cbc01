"""Sending run logs with `wandb sync`, and logs that hold only what has not arrived yet.

`wandb sync` has no end while a server is down, and sending a log twice appends its history a
second time. So it runs here as a process that can be stopped, and what is missing goes out in
a new log beside the old one: the run itself, the missing steps and artifacts, and the whole
summary. The original is never opened for writing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from goemo_report.errors import GoemoError, SourceError
from goemo_report.sources.offline_logs.log_format import framed, read_log
from goemo_report.sources.wandb_api.credentials import Credentials
from goemo_report.sources.wandb_api.network import find_network
from goemo_report.sources.wandb_api.source import ApiSource
from goemo_report.syncing.arrival import Arrival

_PROBE_EVERY: Final = 3.0
_NOT_INHERITED: Final = {"WANDB_MODE", "WANDB_RUN_ID", "WANDB_SERVICE", "WANDB_SILENT"} | {
    "WANDB__EXTRA_HTTP_HEADERS"  # its twin carries the headers
}
_NOT_AGAIN: Final = {"output", "output_raw", "stats", "alert", "tbrecord", "use_artifact"}
"""Records that would only repeat what the first sending brought."""


def log_of_remainder(
    arrival: Arrival,
    entity: str,
    files: Mapping[tuple[str, str], Path],
    folder: Path,
) -> Path:
    """Write a run directory below `folder` whose log sends what is missing and nothing else.

    `files` finds the staged file of an artifact's name and path where its recorded place is gone.
    The client takes the run to `entity` and project, but sends artifacts where the log says. Gives
    the directory.
    """
    from wandb.proto import wandb_internal_pb2

    proto: Any = wandb_internal_pb2  # generated code without types

    records: list[bytes] = []
    exits: list[bytes] = []
    for log in arrival.logs:
        for payload in read_log(log.read_bytes(), log.name).payloads:
            record = proto.Record.FromString(payload)
            kind = record.WhichOneof("record_type")
            if kind == "exit":
                exits.append(payload)
            elif kind == "history":
                keys = arrival.missing_steps.get(_step(record.history))
                if keys is not None:
                    _keep(record.history, keys)
                    records.append(record.SerializeToString())
            elif kind == "artifact":
                artifact = record.artifact
                if (artifact.name, artifact.digest) in arrival.missing_artifacts:
                    for entry in artifact.manifest.contents:
                        place = files.get((artifact.name, entry.path))
                        if place is not None and not Path(entry.local_path).exists():
                            entry.local_path = str(place)
                    artifact.entity, artifact.project = entity, arrival.project
                    records.append(record.SerializeToString())
            elif kind not in {*_NOT_AGAIN, "final", "footer"}:
                records.append(payload)
    # The client makes the summary of the history that it sends, which is not all of it.
    summary = proto.Record()
    for key, value in arrival.run.summary.items():
        summary.summary.update.add(key=key, value_json=json.dumps(value))
    records.append(summary.SerializeToString())
    records += exits[-1:]
    newest = arrival.logs[-1]
    directory = folder / newest.parent.name
    directory.mkdir(parents=True)
    if (own := newest.parent / "files").is_dir():
        (directory / "files").symlink_to(own.resolve())
    (directory / newest.name).write_bytes(framed(records))
    return directory


def _step(history: Any) -> int:
    for item in history.item:
        if (tuple(item.nested_key) or (item.key,)) == ("_step",):
            return int(json.loads(item.value_json))
    return int(history.step.num)


def _keep(history: Any, keys: Collection[str]) -> None:
    """Leave only the items of a row that hold these keys, and the client's own."""
    kept = []
    for item in history.item:
        path = f"{'.'.join(item.nested_key) or item.key}."
        inside = (f"{key}.".startswith(path) or path.startswith(f"{key}.") for key in keys)
        if path.startswith("_") or any(inside):
            kept.append(item)
    del history.item[:]
    history.item.extend(kept)


class Sent(NamedTuple):
    """How `wandb sync` ended: what it complained of, and why it was stopped, if it was."""

    complaints: tuple[str, ...]
    stopped: str


def wandb_sync(
    directories: Sequence[Path],
    remote: ApiSource,
    *,
    project: str,
    timeout: float,
    patience: float,
) -> Sent:
    """Run `wandb sync` on run directories, whether they are marked as synced or not.

    It is stopped after `timeout` seconds, or when the server has not answered for `patience`
    seconds. Its exit code says nothing and is not looked at.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as output:
        command = [sys.executable, "-m", "wandb", "sync", "--include-synced", "--include-online"]
        command += ["--entity", remote.entity, "--project", project]
        process = subprocess.Popen(
            [*command, *(str(directory.resolve()) for directory in directories)],
            cwd=folder,
            env=_environment(remote.credentials, folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            stopped = _watch(process, timeout, patience, remote)
        finally:
            _end(process)
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    key = remote.credentials.api_key
    if key is not None:
        text = text.replace(key.value, "***")
    return Sent(_complaints(text), stopped)


def _environment(credentials: Credentials, folder: str) -> dict[str, str]:
    """The variables of this process, and what was found in files that the client would not see."""
    environment = {name: v for name, v in os.environ.items() if name not in _NOT_INHERITED}
    environment |= find_network().environment()
    environment |= {
        "WANDB_BASE_URL": credentials.base_url,
        "WANDB_DIR": folder,
        "WANDB_ERROR_REPORTING": "false",
    }
    if credentials.identity_file is not None:
        environment["WANDB_IDENTITY_TOKEN_FILE"] = str(credentials.identity_file)
        environment["WANDB_CREDENTIALS_FILE"] = str(credentials.credentials_file)
    elif credentials.api_key is not None:
        environment["WANDB_API_KEY"] = credentials.api_key.value
    return environment


def _watch(
    process: subprocess.Popen[bytes], timeout: float, patience: float, remote: ApiSource
) -> str:
    """Wait for the process; gives why it has to be stopped, empty when it ended."""
    started = seen = time.monotonic()
    while True:
        try:
            process.wait(min(_PROBE_EVERY, patience / 2))
            return ""
        except subprocess.TimeoutExpired:
            pass
        try:
            remote.viewer()
            seen = time.monotonic()
        except GoemoError:
            if time.monotonic() - seen > patience:
                return f"the server has not answered for {patience:.0f} s"
        if time.monotonic() - started > timeout:
            return f"the upload took more than {timeout:.0f} s"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the process and the client's service that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise SourceError(f"wandb sync cannot be stopped ({error})", "") from None
    process.wait()


def _complaints(text: str) -> tuple[str, ...]:
    """The lines in which the client says that something went wrong, each once."""
    marks = ("error", "failed", "warn", "denied", "not found")
    lines = (line.strip() for line in text.splitlines())
    said = (line.removeprefix("wandb:").strip() for line in lines)
    return tuple(dict.fromkeys(s[:300] for s in said if any(m in s.lower() for m in marks)))
