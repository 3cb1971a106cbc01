"""From RUN arguments and filters to runs and the source that they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from goemo_report.listing import find_runs
from goemo_report.model import Listing, RunQuery, RunRecord
from goemo_report.settings import Settings
from goemo_report.sources.base import RunSource
from goemo_report.sources.joined import JoinedSource
from goemo_report.sources.references import parse_reference


def open_settled(settings: Settings) -> RunSource:
    """The source that the settings name: W&B, or the offline runs of a directory."""
    from goemo_report.sources import open_source

    return open_source(
        entity=settings.entity,
        project=settings.explicit_project if settings.wandb_dir else settings.project,
        wandb_dir=settings.wandb_dir,
    )


def _local_root(reference: str) -> Path | None:
    """The directory to read a RUN from that names a directory or a run log itself."""
    path = parse_reference(reference).path
    return path.parent if path is not None and path.is_file() else path


def gather(
    settings: Settings, references: Sequence[str], query: RunQuery
) -> tuple[RunSource, Listing]:
    """Every run that was named or matches; run directories are sources of their own."""
    directories = [reference for reference in references if _local_root(reference)]
    others = [reference for reference in references if reference not in directories]
    parts: list[tuple[RunSource, Listing]] = []
    if others or not directories or query != RunQuery():
        source = open_settled(settings)
        parts.append((source, find_runs(source, others, query)))
    for reference in directories:
        source, run = find_one(settings, reference)
        parts.append((source, Listing((run,))))
    return _joined(parts)


def _joined(parts: Sequence[tuple[RunSource, Listing]]) -> tuple[RunSource, Listing]:
    if len(parts) == 1:
        return parts[0]
    known: set[str] = set()
    distinct = []
    for source, listing in parts:
        runs = [run for run in listing.runs if run.id not in known]
        known.update(run.id for run in runs)
        distinct.append((source, runs))
    return JoinedSource(distinct), Listing(
        tuple(run for _, runs in distinct for run in runs),
        tuple(item for _, listing in parts for item in listing.skipped),
    )


def with_run(
    settings: Settings, source: RunSource, listing: Listing, reference: str
) -> tuple[RunSource, Listing, RunRecord]:
    """Add one more run to those that were gathered, unless it is among them."""
    for run in listing.runs:
        if reference in {run.id, run.path}:
            return source, listing, run
    other, run = find_one(settings, reference)
    if run.id not in {known.id for known in listing.runs}:
        source, listing = _joined([(other, Listing((run,))), (source, listing)])
    return source, listing, run


def find_one(settings: Settings, reference: str) -> tuple[RunSource, RunRecord]:
    """The one run that a RUN argument names, and its source."""
    root = _local_root(reference)
    if root is not None:
        settings = replace(settings, wandb_dir=root, origins={})
    source = open_settled(settings)
    return source, source.find_run(reference)
