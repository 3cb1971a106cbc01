"""`goemo-report sync`: offline runs to W&B, with proof."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from goemo_report.cli._complete import run_argument
from goemo_report.cli._options import format_option, output_option, reads_runs, report_command
from goemo_report.cli._output import note, note_skipped, write_json, write_lines
from goemo_report.formats.wording import plural
from goemo_report.settings import Settings
from goemo_report.sources.model import RunQuery

if TYPE_CHECKING:
    from goemo_report.sources.base import RunSource
    from goemo_report.syncing.arrival import Arrival, LocalRun

ORDER = 90


@report_command(
    "Upload offline runs and prove that they arrived.",
    "goemo-report sync wandb/offline-run-20241210_143022-abc123",
    "goemo-report sync wandb",
    "goemo-report sync --tag final --wandb-dir wandb --entity my-team",
)
@run_argument("[RUN|DIR]...", nargs=-1)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Stop an upload after so long.  [default: by its size, at least 120]",
)
@reads_runs(filters=True)
@format_option("table", "json")
@output_option
@click.pass_context
def command(
    ctx: click.Context,
    runs: tuple[str, ...],
    timeout: float | None,
    settings: Settings,
    query: RunQuery,
    form: str,
    output: Path,
) -> None:
    """Upload offline runs with `wandb sync`, then read back what arrived.

    RUN is an id, a name or a directory of an offline run; all runs below a DIR, or below the DIR
    of --wandb-dir alone, are sent.
    `wandb sync` reports success even when nothing arrived. Here config, every history step,
    summary, tags, state and each artifact (by digest) are compared with the log, and what is
    missing is sent again by itself. The exit code is 1 while anything is missing.
    """
    from goemo_report.sources.wandb_api.source import ApiSource
    from goemo_report.syncing import sync

    is_named = runs or query.selects or settings.names_directory
    if not is_named:
        raise click.UsageError(
            "Name runs or directories, choose runs with --tag, "
            "or give --wandb-dir DIR for all runs below DIR.",
            ctx,
        )
    remote = ApiSource(entity=settings.source.entity, project=settings.source.project, notify=note)
    patience = sync.Patience(upload=timeout)
    arrivals: list[Arrival] = []
    for source, chosen in _chosen(settings, runs, query):
        arrivals += sync.sync(
            source,
            chosen,
            remote,
            project=settings.source.project,
            patience=patience,
            notify=note,
        )
    if form == "json":
        write_json(sync.sync_document(arrivals), output)
    else:
        write_lines((line for arrival in arrivals for line in _lines(arrival)), output)
    if not all(arrival.complete for arrival in arrivals):
        missing = sum(not arrival.complete for arrival in arrivals)
        note(f"error: not whole on the server: {missing} of {plural(len(arrivals), 'run')}")
        ctx.exit(1)


def _chosen(
    settings: Settings, references: Sequence[str], query: RunQuery
) -> list[tuple[RunSource, list[LocalRun]]]:
    """The offline runs to send, by the directory that they are read from."""
    from goemo_report.errors import NotFoundError
    from goemo_report.sources.base import readable
    from goemo_report.sources.offline_logs.folders import OnDisk, on_disk
    from goemo_report.sources.offline_logs.source import LogSource
    from goemo_report.sources.resolve import find_runs

    paths: list[Path] = []
    named: list[str] = []
    for text in references:
        here = OnDisk(Path(text), "") if Path(text).is_dir() else on_disk(text)
        if here is not None and here.path is not None:
            paths.append(here.path)
        else:
            named.append(text if here is None else here.run)
    groups: list[tuple[RunSource, list[LocalRun]]] = []
    for path in paths:
        source = LogSource(path)
        listing = readable(source, query.arranged(source.list_runs(query)))
        note_skipped(listing.skipped)
        if not listing.runs and not query.selects:
            raise NotFoundError(f"there are no run logs below {path}", "Check the directory")
        groups.append((source, _with_logs(path, listing.runs)))
    if named or not references:
        root = settings.source.directory or Path("wandb")
        source = LogSource(root, project=settings.source.project if not named else None)
        found = find_runs(source, named, query if not references else RunQuery())
        listing = readable(source, found)
        note_skipped(listing.skipped)
        groups.append((source, _with_logs(root, listing.runs)))
    return groups


def _with_logs(root: Path, runs: Sequence[object]) -> list[LocalRun]:
    from goemo_report.sources.model import RunRecord
    from goemo_report.syncing.arrival import LocalRun
    from goemo_report.syncing.sync import find_logs

    return [LocalRun(run, find_logs(root, run.id)) for run in runs if isinstance(run, RunRecord)]


def _lines(arrival: Arrival) -> list[str]:
    """One line on a run, and one for each thing that the client complained of."""
    where = arrival.url or arrival.path
    if arrival.complete:
        how = "arrived" if arrival.attempts else "was there already"
        parts = ", ".join(part.text for part in arrival.parts)
        line = f"{arrival.run.name}: {how}: {parts} ({where})"
    elif not arrival.parts:
        line = f"{arrival.run.name}: NOT on the server ({where})"
    else:
        parts = ", ".join(part.text for part in arrival.parts)
        line = f"{arrival.run.name}: INCOMPLETE: {parts} ({where})"
    if arrival.doubled:
        line += f"; {arrival.doubled} history rows are there more than once"
    return [line, *(f"    {problem}" for problem in arrival.problems)]
