"""What the command line does besides reading runs: diagnosis, sync, completion.

`place` is where runs are read from: the arguments of `settled`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goemo_report.api.arguments import Only, Place, check, conditions, settled
from goemo_report.api.progress import Bar, Shown
from goemo_report.errors import ArgumentError, argument
from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.sources.model import SkippedRun

if TYPE_CHECKING:
    from goemo_report.sources.doctor import Diagnosis
    from goemo_report.sources.downloads import Downloads
    from goemo_report.syncing.arrival import Arrival

Notify = Callable[[str], None]


def diagnose(notify: Notify, **place: Any) -> Diagnosis:
    """Whether W&B, or another source such as a directory of offline runs, can be read."""
    from goemo_report.sources import doctor

    return doctor.diagnose(settled(**place), notify)


def require_publishable(*, native: bool, **place: Any) -> None:
    """Raise GoemoError for what would keep a report from being published, before it is made."""
    from goemo_report.report import publish

    publish.require_publishable(settled(**place).directory, native=native)


@dataclass(frozen=True, eq=False)
class Synced:
    """What arrived of each run that was sent; `skipped` logs cannot be read."""

    arrivals: tuple[Arrival, ...]
    skipped: tuple[SkippedRun, ...]

    @property
    def missing(self) -> int:
        """Number of runs that are not whole on the server."""
        return sum(not one.complete for one in self.arrivals)

    def document(self) -> dict[str, Any]:
        """All of it as one JSON value."""
        return {
            "schema_version": SCHEMA_VERSION,
            "complete": not self.missing,
            "runs": [arrival.document() for arrival in self.arrivals],
        }

    def lines(self) -> Iterator[str]:
        """A line a run, and one for each thing that the client complained of."""
        for one in self.arrivals:
            yield from one.lines()


def sync(
    *references: Place,
    timeout: float | None = None,
    wandb_dir: Place | None = None,
    entity: str | None = None,
    project: str | None = None,
    notify: Notify,
    **chosen: Any,
) -> Synced:
    """Upload offline runs, those named or all below `wandb_dir` that match, and read back what
    arrived.

    An upload is stopped after `timeout` seconds, by its size without it; `entity` and `project`
    are where runs are sent to, `chosen` conditions on runs, as those of `runs`.
    """
    from goemo_report.sources.wandb_api.source import ApiSource
    from goemo_report.syncing import sync as syncing

    check(timeout=timeout)
    where = settled(wandb_dir, entity, project)
    remote = ApiSource(entity=where.entity, project=where.project, notify=notify)
    query = conditions(**chosen)
    names = [os.fspath(one) for one in references]
    arrivals: list[Arrival] = []
    skipped: list[SkippedRun] = []
    for source, listing in syncing.chosen(where, names, query):
        skipped += listing.skipped
        arrivals += syncing.sync(
            source,
            listing.runs,
            remote,
            project=where.project,
            patience=syncing.Patience(upload=timeout),
            notify=notify,
        )
    return Synced(tuple(arrivals), tuple(skipped))


def download_named(
    reference: str, *, only: Only, root: Place, progress: Shown, **place: Any
) -> Downloads:
    """Download the artifacts of the run that a text names, or the one artifact `NAME:VERSION`.

    Raises ArgumentError for `only` beside an artifact; else as `Run.download`.
    """
    from goemo_report.api.one_run import Run
    from goemo_report.sources.downloads import download_artifacts
    from goemo_report.sources.resolve import find_artifact, find_one

    where = settled(**place)
    found = find_artifact(where, reference)
    if found is None:
        source, record = find_one(where, reference)
        return Run(record, source, progress).download(only=only, root=root)
    source, record, artifact = found
    if only:
        raise ArgumentError(f"{argument('only')} chooses among the artifacts of a run")
    with Bar(progress) as bar:
        return download_artifacts(source, record, [artifact], Path(root), bar)


def offline_ids(wandb_dir: Place | None) -> list[str]:
    """Ids of the offline runs that would be read, from file names alone; W&B is not asked."""
    from goemo_report.formats.files import user_path
    from goemo_report.sources.offline_logs.folders import log_run_id, scan

    directory = settled(wandb_dir, None, None).directory
    logs = scan(user_path(directory)).logs if directory else ()
    return list(dict.fromkeys(map(log_run_id, logs)))
