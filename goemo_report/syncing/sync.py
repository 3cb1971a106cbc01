"""Uploads offline runs and proves that they arrived.

`wandb sync` ends with exit code 0 and marks a run as synced even when nothing arrived. Here
its word is not taken: each run is read back from the server and compared with its log, what
is missing is sent again by itself, and what is still missing then is named.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from goemo_report.sources.wandb_api.credentials import require_client
from goemo_report.sources.wandb_api.faults import Notify, read_offline
from goemo_report.sources.wandb_api.source import ApiSource
from goemo_report.syncing.arrival import Arrival, Held, Logged, compare
from goemo_report.syncing.upload import Sent, log_of_remainder, wandb_sync

_ATTEMPTS: Final = 3
_LEAST_TIME: Final = 120.0
_BYTES_PER_SECOND: Final = 500_000.0  # the slowest upload that is waited for


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds.

    `upload` None: long enough for the bytes. `settle`: the server may still be digesting
    what it was sent; `silence`: it may not answer at all.
    """

    upload: float | None = None
    settle: float = 5.0
    silence: float = 30.0


@dataclass(slots=True)
class _Sending:
    """One run on its way; `unread` while nobody knows what the server has of it."""

    logged: Logged
    found: Arrival
    unread: bool = False
    problems: list[str] = field(default_factory=list)
    attempts: int = 0


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
    _check_key(remote)
    histories, artifacts = source.histories(runs), source.artifacts(runs)
    waiting = []
    for run in runs:
        found = source.logs_of(run), histories[run.id], artifacts[run.id], project or run.project
        waiting.append(_Sending(Logged(run, *found), Arrival(run, "")))
    everything = list(waiting)
    _read_back(waiting, remote)
    for attempt in range(_ATTEMPTS):
        waiting = [i for i in waiting if not i.found.complete and not i.unread]
        if not waiting:
            break
        if attempt:
            notify(f"sending what is missing of {plural(len(waiting), 'run')} again")
        before = [item.found for item in waiting]
        alive = _send(source, waiting, remote, patience)
        _settle(waiting, remote, patience)
        if not alive or (attempt and before == [item.found for item in waiting]):
            break
    for item in everything:
        if not item.found.complete:
            _unmark(item.logged.logs)
    return [_told(item) for item in everything]


def _check_key(remote: ApiSource) -> None:
    """A missing or wrong key, or a client that is too old, is told before anything is marked."""
    require_client("sync")
    try:
        remote.viewer()
    except GoemoError as error:
        raise SourceError(error.what, error.remedy.removesuffix(read_offline())) from error


def _told(item: _Sending) -> Arrival:
    problems = () if item.found.complete else tuple(dict.fromkeys(item.problems))
    return replace(item.found, attempts=item.attempts, problems=problems)


# --- Sending --------------------------------------------------------------------------


def _send(
    source: RunSource, items: Sequence[_Sending], remote: ApiSource, patience: Patience
) -> bool:
    """Send each run, or what is missing of it. False where the server has gone away."""
    for name, members in _by_project(items):
        with tempfile.TemporaryDirectory(prefix="goemo-sync-") as folder:
            directories = []
            for number, item in enumerate(members):
                item.attempts += 1
                directories += _directories(source, item, remote, Path(folder) / str(number))
            size = sum(a.size for item in members for a in item.logged.artifacts)
            sent = wandb_sync(
                directories,
                credentials=remote.credentials,
                entity=remote.entity,
                project=name,
                timeout=patience.upload or _LEAST_TIME + size / _BYTES_PER_SECOND,
                patience=patience.silence,
                is_alive=lambda: _answers(remote),
            )
        for item in members:
            item.problems += _about(item, sent, len(members))
        if sent.stopped:
            return False
    return True


def _by_project(items: Sequence[_Sending]) -> Iterator[tuple[str, list[_Sending]]]:
    for name in dict.fromkeys(item.logged.project for item in items):
        yield name, [item for item in items if item.logged.project == name]


def _about(item: _Sending, sent: Sent, runs: int) -> Iterator[str]:
    """What was said of one run: with several, lines that name another are left out."""
    if sent.stopped:
        yield sent.stopped
    for line in sent.complaints:
        if runs == 1 or item.logged.run.id in line:
            yield line


def _directories(source: RunSource, item: _Sending, remote: ApiSource, folder: Path) -> list[Path]:
    """The run's own directories where the server has nothing, else a log of the remainder."""
    logged, missing = item.logged, item.found.missing_artifacts
    if not item.found.parts:
        return [log.parent for log in logged.logs]
    lacking = [a for a in logged.artifacts if (a.name, a.digest) in missing]
    return [log_of_remainder(logged, item.found, remote.entity, _staged(source, lacking), folder)]


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


def _answers(remote: ApiSource) -> bool:
    try:
        remote.viewer()
    except GoemoError:
        return False
    return True


def _unmark(logs: Sequence[Path]) -> None:
    """Take back the client's claim that a run was synced, so that `wandb sync` tries again."""
    for log in logs:
        log.with_name(f"{log.name}.synced").unlink(missing_ok=True)


# --- Reading back -----------------------------------------------------------------------


def _settle(items: Sequence[_Sending], remote: ApiSource, patience: Patience) -> None:
    """Read back until all is there or the server had its time to digest it."""
    until = time.monotonic() + patience.settle
    pause = 0.2
    while True:
        _read_back(items, remote)
        if all(item.found.complete for item in items) or time.monotonic() > until:
            return
        time.sleep(pause)
        pause = min(2 * pause, 2.0)


def _read_back(items: Sequence[_Sending], remote: ApiSource) -> None:
    """Compare each run with what the server has of it now."""
    for name, members in _by_project(items):
        ids = [item.logged.run.id for item in members]
        try:
            held = _held(remote, name, ids)
        except GoemoError as error:
            for item in members:
                item.problems.append(str(error))
                item.unread = True  # what may be there is not sent again
            continue
        for item in members:
            run_id = item.logged.run.id
            path = f"{remote.entity}/{name}/{run_id}"
            item.found = compare(item.logged, held.get(run_id), path)
            item.unread = run_id in held and _is_short(item, held[run_id])


def _is_short(item: _Sending, held: Held) -> bool:
    """Whether the server sent fewer rows than it has, and logged ones are among the others."""
    short = bool(item.found.missing_steps) and len(held.rows) < (held.run.step_count or 0)
    if short:
        item.problems.append(
            f"the server sent {len(held.rows):,} of the {held.run.step_count:,} rows that it has"
        )
    return short


def _held(remote: ApiSource, project: str, ids: Sequence[str]) -> dict[str, Held]:
    """What the server has of some runs, by id; nothing where the project is not there yet."""
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
