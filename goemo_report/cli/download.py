"""`goemo-report download`: artifacts of a run, verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import goemo_report as gr
from goemo_report.api import setup
from goemo_report.api.arguments import ONLY
from goemo_report.cli import _options as takes
from goemo_report.cli._output import note, note_skipped, progress, write_lines

ORDER = 40


@takes.command(
    "Download artifacts, verified by digest.",
    "goemo-report download roberta-large-20241210-143022",
    "goemo-report download abc123 --only predictions --root data",
    "goemo-report download wandb/offline-run-20241210_143022-abc123 --only checkpoint",
    "goemo-report download --tag final --only predictions",
    "goemo-report download roberta-large-checkpoint-abc123:v0",
)
@takes.run("[RUN|ARTIFACT:VERSION]", required=False)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(ONLY),
    help="Only this artifact; repeatable. `predictions` means those of both splits.",
)
@takes.directory(
    "--root", default="artifacts", meaning="Each artifact gets a directory of its own name in DIR."
)
@takes.source(filters=True)
def command(run: str | None, only: tuple[str, ...], root: Path, asked: dict[str, Any]) -> None:
    """Download the artifacts of a run, each file verified by its digest.

    ARTIFACT:VERSION is one artifact by itself, as name:v3, name:best or
    entity/project/name:latest. Without either, the runs that the conditions choose: each gets a
    directory of its own in DIR. Files that are already there and right are kept, and so is what
    another run has under the same name: the run's id is added then. A file
    goemo-artifact.json in each directory says which run, artifact and version it holds. When
    something cannot be had the rest is still downloaded, and the exit code is 1.
    """
    chosen = any(asked[name] for name in takes.FILTERS if name != "sort")
    if (run is None) != chosen:
        what = "both a RUN and conditions" if run else "neither a RUN nor a condition"
        raise click.UsageError(f"There is {what}: give a RUN, or choose runs as with --tag")
    with progress() as bar:
        if run is None:
            runs = gr.runs(**asked, progress=bar)
            note_skipped(runs.skipped)
            done = runs.download(only=only, root=root)
        else:
            place = {name: asked[name] for name in ("source", "wandb_dir", "entity", "project")}
            done = [setup.download_named(run, only=only, root=root, progress=bar, **place)]
    for one in done:
        write_lines(one.lines())
        for problem in one.problems:
            note(f"error: {problem}")
    if not all(one.complete for one in done):
        raise click.exceptions.Exit(1)
