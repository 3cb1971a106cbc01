"""`goemo-report download`: artifacts of a run, verified."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from goemo_report.cli._complete import run_argument
from goemo_report.cli._options import directory_option, reads_runs, report_command
from goemo_report.cli._output import note, note_skipped, progress, say
from goemo_report.contract import ROLES, Role
from goemo_report.formats.wording import listed, plural
from goemo_report.settings import Settings
from goemo_report.sources.model import RunQuery

if TYPE_CHECKING:
    from goemo_report.sources.downloads import Download, Downloads
    from goemo_report.sources.model import SkippedFile

ORDER = 40

_SHORTHANDS: dict[str, tuple[Role, ...]] = {
    "predictions": ("val-predictions", "test-predictions"),
    **{role: (role,) for role in ROLES},
}


@report_command(
    "Download artifacts, verified by digest.",
    "goemo-report download roberta-large-20241210-143022",
    "goemo-report download abc123 --only predictions --root data",
    "goemo-report download wandb/offline-run-20241210_143022-abc123 --only checkpoint",
    "goemo-report download --tag final --only predictions",
    "goemo-report download roberta-large-checkpoint-abc123:v0",
)
@run_argument("[RUN|ARTIFACT:VERSION]", required=False)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(tuple(_SHORTHANDS)),
    help="Only this artifact; repeatable. `predictions` means those of both splits.",
)
@directory_option(
    "--root", default="artifacts", meaning="Each artifact gets a directory of its own name in DIR."
)
@reads_runs(filters=True)
@click.pass_context
def command(
    ctx: click.Context,
    run: str | None,
    only: tuple[str, ...],
    root: Path,
    query: RunQuery,
    settings: Settings,
) -> None:
    """Download the artifacts of a run, each file verified by its digest.

    ARTIFACT:VERSION is one artifact by itself, as name:v3, name:best or
    entity/project/name:latest. Without either, the runs that the conditions choose: each gets a
    directory of its own in DIR. Files that are already there and right are kept. A file
    goemo-artifact.json in each directory says which run, artifact and version it holds. When
    something cannot be had the rest is still downloaded, and the exit code is 1.
    """
    from goemo_report.sources.downloads import download, download_artifact, download_each
    from goemo_report.sources.resolve import find_artifact, find_one, gather

    if (run is None) != query.selects:
        what = "both a RUN and conditions" if run else "neither a RUN nor a condition"
        raise click.UsageError(f"There is {what}: give a RUN, or choose runs as with --tag", ctx)
    roles = tuple(dict.fromkeys(role for name in only for role in _SHORTHANDS[name]))
    done: Iterable[Downloads]
    with progress() as bar:
        if run is None:
            source, listing = gather(settings.source, (), query)
            note_skipped(listing.skipped)
            done = download_each(source, listing.runs, roles, root, bar)
        elif found := find_artifact(settings.source, run):
            if only:
                raise click.UsageError("--only chooses among the artifacts of a run", ctx)
            done = [download_artifact(*found, root, bar)]
        else:
            source, record = find_one(settings.source, run)
            done = [download(source, record, roles, root, bar)]
        done = list(done)
    for one in done:
        for item in one.artifacts:
            _report(item)
        for role in one.missing:
            note(f"error: run {one.run.name} logged no {role} artifact")
        if one.failed:
            note(f"error: {one.failed}")
    if not all(one.complete for one in done):
        ctx.exit(1)


def _report(item: Download) -> None:
    if item.written or item.kept:
        say(f"{item.directory}  ({_count(item)})")
    causes: dict[str, list[SkippedFile]] = {}
    for missing in item.skipped:
        causes.setdefault(missing.cause or missing.reason, []).append(missing)
    for cause, files in causes.items():
        what, why = files[0].path, files[0].reason
        if len(files) > 1:
            what = f"{len(files)} files ({listed([file.path for file in files], 3)})"
            why = cause
        note(f"error: {item.artifact.qualified_name}/{what}: {why}")


def _count(item: Download) -> str:
    from goemo_report.report.document import Column
    from goemo_report.report.render.numbers import show

    parts = []
    if item.written:
        size = show(sum(file.size for file in item.written), Column("size", "size", kind="bytes"))
        parts.append(f"{plural(len(item.written), 'file')} written, {size}")
    if item.kept:
        parts.append(f"{plural(len(item.kept), 'file')} already there")
    return ", ".join(parts)
