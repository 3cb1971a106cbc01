"""Uploads offline runs and proves that they arrived.

`wandb sync` ends with exit code 0 and marks a run as synced even when nothing arrived. Here
its word is not taken: each run is read back from the server and compared with its log, what
is missing is sent again by itself, and what is still missing then is named. It has no end while
a server is down either, so it runs as a process that can be stopped.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from goemo_report.errors import GoemoError, NotFoundError, SourceError, argument
from goemo_report.formats.wording import plural
from goemo_report.settings import SourceChoice
from goemo_report.sources.base import RunSource, readable
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.model import ArtifactRef, Listing, RunRecord
from goemo_report.sources.offline_logs.folders import OnDisk, on_disk
from goemo_report.sources.offline_logs.source import LogSource
from goemo_report.sources.resolve import find_runs
from goemo_report.sources.wandb_api.credentials import Credentials, require_client
from goemo_report.sources.wandb_api.faults import Notify, read_offline
from goemo_report.sources.wandb_api.network import find_network
from goemo_report.sources.wandb_api.source import ApiSource
from goemo_report.syncing.arrival import Arrival, Held, log_of_remainder

_ATTEMPTS: Final = 3
_LEAST_TIME: Final = 120.0
_BYTES_PER_SECOND: Final = 500_000.0  # the slowest upload that is waited for
_PROBE_EVERY: Final = 3.0
_NOT_INHERITED: Final = {"WANDB_MODE", "WANDB_RUN_ID", "WANDB_SERVICE", "WANDB_SILENT"} | {
    "WANDB__EXTRA_HTTP_HEADERS"  # its twin carries the headers
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds.

    `upload` None: long enough for the bytes. `settle`: the server may still be digesting
    what it was sent; `silence`: it may not answer at all.
    """

    upload: float | None = None
    settle: float = 5.0
    silence: float = 30.0


def sync(
    source: LogSource,
    runs: Sequence[RunRecord],
    remote: ApiSource,
    *,
    project: str | None = None,
    patience: Patience = Patience(),
    notify: Notify,
) -> list[Arrival]:
    """Upload offline runs and compare what arrived with what was logged, run by run.

    Nothing is sent of a run that is already whole on the server. `project` overrides the
    logs' own. Raises GoemoError where the server does not let anybody in.
    """
    require_client("sync")
    try:
        remote.viewer()  # whoever is refused is told before anything is marked
    except GoemoError as error:
        raise SourceError(error.what, error.remedy.removesuffix(read_offline())) from error
    histories, artifacts = source.histories(runs), source.artifacts(runs)
    arrivals = [
        Arrival(
            run, source.logs_of(run), histories[run.id], artifacts[run.id], project or run.project
        )
        for run in runs
    ]
    _read_back(arrivals, remote)
    for attempt in range(_ATTEMPTS):
        waiting = [one for one in arrivals if not one.complete and not one.unread]
        if not waiting:
            break
        if attempt:
            notify(f"sending what is missing of {plural(len(waiting), 'run')} again")
        before = [(one.parts, one.missing_steps) for one in waiting]
        alive = _send(source, waiting, remote, patience)
        _settle(waiting, remote, patience)
        if not alive or (attempt and before == [(one.parts, one.missing_steps) for one in waiting]):
            break
    for log in (log for one in arrivals if not one.complete for log in one.logs):
        # Take back the client's claim that it was synced, so that `wandb sync` tries again.
        log.with_name(f"{log.name}.synced").unlink(missing_ok=True)
    return arrivals


# --- Sending --------------------------------------------------------------------------


def _send(
    source: RunSource, arrivals: Sequence[Arrival], remote: ApiSource, patience: Patience
) -> bool:
    """Send each run, or what is missing of it. False where the server has gone away."""
    for name, members in _by_project(arrivals):
        with tempfile.TemporaryDirectory(prefix="goemo-sync-") as folder:
            directories: list[Path] = []
            for number, one in enumerate(members):
                one.attempts += 1
                directories += _directories(source, one, remote, Path(folder) / str(number))
            size = sum(a.size for one in members for a in one.artifacts)
            complaints, stopped = _wandb_sync(
                directories,
                remote,
                project=name,
                timeout=patience.upload or _LEAST_TIME + size / _BYTES_PER_SECOND,
                patience=patience.silence,
            )
        for one in members:
            one.said += [stopped] if stopped else []
            one.said += [line for line in complaints if len(members) == 1 or one.run.id in line]
        if stopped:
            return False
    return True


def _by_project(arrivals: Sequence[Arrival]) -> Iterator[tuple[str, list[Arrival]]]:
    for name in dict.fromkeys(one.project for one in arrivals):
        yield name, [one for one in arrivals if one.project == name]


def _directories(
    source: RunSource, one: Arrival, remote: ApiSource, folder: Path
) -> Sequence[Path]:
    """The run's own directories where the server has nothing, else a log of the remainder."""
    if not one.parts:
        return [log.parent for log in one.logs]
    lacking = [a for a in one.artifacts if (a.name, a.digest) in one.missing_artifacts]
    return [log_of_remainder(one, remote.entity, _staged(source, lacking), folder)]


def _staged(source: RunSource, references: Sequence[ArtifactRef]) -> Mapping[tuple[str, str], Path]:
    """Where the files of artifacts lie on disk, by artifact name and path."""
    wanted = [
        (reference, file)
        for reference, files in zip(references, source.manifests(references), strict=True)
        for file in files
        if not file.reference
    ]
    return {
        (reference.name, file.path): local
        for (reference, file), local in zip(wanted, source.fetch(wanted), strict=True)
        if isinstance(local, Path)
    }


# --- `wandb sync` -------------------------------------------------------------------------


def _wandb_sync(
    directories: Sequence[Path], remote: ApiSource, *, project: str, timeout: float, patience: float
) -> tuple[Sequence[str], str]:
    """Run `wandb sync` on run directories, whether they are marked as synced or not; gives what it
    complained of, and why it was stopped, if it was.

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
    return _complaints(text), stopped


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


# --- Reading back -----------------------------------------------------------------------


def _settle(arrivals: Sequence[Arrival], remote: ApiSource, patience: Patience) -> None:
    """Read back until all is there or the server had its time to digest it."""
    until = time.monotonic() + patience.settle
    pause = 0.2
    while True:
        _read_back(arrivals, remote)
        if all(one.complete for one in arrivals) or time.monotonic() > until:
            return
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def _read_back(arrivals: Sequence[Arrival], remote: ApiSource) -> None:
    """Compare each run with what the server has of it now."""
    for name, members in _by_project(arrivals):
        try:
            held = _held(remote, name, [one.run.id for one in members])
        except GoemoError as error:
            for one in members:
                one.said.append(str(error))
                one.unread = True  # what may be there is not sent again
            continue
        for one in members:
            one.path = f"{remote.entity}/{name}/{one.run.id}"
            one.compare(held.get(one.run.id))


def _held(remote: ApiSource, project: str, ids: Sequence[str]) -> dict[str, Held]:
    """Ask the server for some runs, by id; nothing where the project is not there yet."""
    try:
        runs = remote.runs_by_id(project, ids)
    except NotFoundError:
        return {}
    artifacts, rows = remote.artifacts(runs), remote.raw_histories(runs)
    return {run.id: Held(run, rows[run.id], artifacts.get(run.id, ())) for run in runs}


def chosen(
    choice: SourceChoice, references: Sequence[str], query: RunQuery
) -> list[tuple[LogSource, Listing]]:
    """The offline runs to send by the source that they are read from, and what is unreadable.

    Raises NotFoundError for a directory without logs and a name that no run has.
    """
    paths: list[Path] = []
    named: list[str] = []
    for text in references:
        here = OnDisk(Path(text), "") if Path(text).is_dir() else on_disk(text)
        if here is not None and here.path is not None:
            paths.append(here.path)
        else:
            named.append(text if here is None else here.run)
    groups = []
    for path in paths:
        source = LogSource(path)
        listing = readable(source, query.arranged(source.list_runs(query)))
        if not listing.runs and not query.selects:
            raise NotFoundError(f"there are no run logs below {path}", "Check the directory")
        groups.append((source, listing))
    if named or not references:
        root = choice.directory or Path("wandb")
        if named and choice.directory is None and not root.is_dir():
            raise NotFoundError(
                f"there is no directory {named[0]}, nor a directory wandb with such a run",
                f"Name the directory of a run, or give {argument('wandb_dir', 'DIR')}",
            )
        source = LogSource(root, project=choice.project if not named else None)
        runs = [source.find_run(name) for name in named]
        found = find_runs(source, runs, query if not references else RunQuery())
        groups.append((source, readable(source, found)))
    return groups
