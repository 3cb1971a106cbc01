"""`goemo-report download`: artifacts of a run, verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from goemo_report.cli._complete import run_argument
from goemo_report.cli._options import directory_option, reads_runs, report_command
from goemo_report.cli._output import note, progress, say
from goemo_report.contract import ROLES, Role
from goemo_report.formats.wording import listed, plural
from goemo_report.settings import Settings

if TYPE_CHECKING:
    from goemo_report.sources.downloads import Download
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
)
@run_argument()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(tuple(_SHORTHANDS)),
    help="Only this artifact; repeatable. `predictions` means those of both splits.",
)
@directory_option(
    "--root", default="artifacts", meaning="Each artifact gets a directory of its own name in DIR."
)
@reads_runs(filters=False)
@click.pass_context
def command(
    ctx: click.Context, run: str, only: tuple[str, ...], root: Path, settings: Settings
) -> None:
    """Download the artifacts of a run, each file verified by its digest.

    Files that are already there and right are kept. A file goemo-artifact.json in each
    directory says which run, artifact and version it holds. When a file cannot be had the
    others are still downloaded, and the exit code is 1.
    """
    from goemo_report.sources.downloads import download
    from goemo_report.sources.resolve import find_one

    source, record = find_one(settings.source, run)
    roles = tuple(dict.fromkeys(role for name in only for role in _SHORTHANDS[name]))
    with progress() as bar:
        done = download(source, record, roles, root, bar)
    for item in done.artifacts:
        _report(item)
    for role in done.missing:
        note(f"error: run {record.name} logged no {role} artifact")
    if not done.complete:
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
