"""From RUN arguments and filters to runs and the source that they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from goemo_report.errors import GoemoError, NotFoundError
from goemo_report.formats.files import user_path
from goemo_report.report.listing import find_runs
from goemo_report.settings import Settings
from goemo_report.sources.base import RunSource, readable
from goemo_report.sources.joined import JoinedSource
from goemo_report.sources.model import Listing, RunQuery, RunRecord
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
    """Every run that was named or matches; run directories are sources of their own.

    Runs that publishing made are left out unless they are named.
    """
    from goemo_report.report.publish import without_reports

    directories = [reference for reference in references if _local_root(reference)]
    others = [reference for reference in references if reference not in directories]
    parts: list[tuple[RunSource, Listing]] = []
    if others or not directories or query != RunQuery():
        source = open_settled(settings)
        try:
            listing = find_runs(source, others, query)
            parts.append((source, listing if others else without_reports(listing)))
        except GoemoError as error:
            raise _about_paths(others, settings, error) or error from None
    for reference in directories:
        source, run = find_one(settings, reference)
        parts.append((source, Listing((run,))))
    source, listing = _joined(parts)
    return source, readable(source, listing)


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
    wanted = settings if root is None else replace(settings, wandb_dir=root, origins={})
    source = open_settled(wanted)
    try:
        return source, source.find_run(reference)
    except GoemoError as error:
        raise _about_paths([reference], settings, error) or error from None


def _about_paths(
    references: Sequence[str], settings: Settings, error: GoemoError
) -> NotFoundError | None:
    """A clearer error where a RUN that was not found is a path, None where it is not."""
    from goemo_report.sources.offline_logs.folders import scan

    for text in references:
        path = user_path(text)
        if path.is_dir() and (count := len(scan(path).logs)) > 1:
            remedy = f"Give --wandb-dir {text} to read them all, or name one by its directory"
            return NotFoundError(f"{text} is a directory that holds {count} runs, not one", remedy)
        if path.is_dir() and "/" in text and not settings.wandb_dir:
            return NotFoundError(
                f"there is no run log in the directory {text}",
                "Give the directory of an offline run, or --wandb-dir DIR with runs below it",
            )
        if text.startswith("/") or ("/" in text and "://" not in text and not settings.wandb_dir):
            return NotFoundError(
                f"there is no directory {text}, and as ENTITY/PROJECT/ID: {error.what}",
                error.remedy,
            )
    return None
