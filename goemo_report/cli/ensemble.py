"""`goemo-report ensemble`: the mean of several runs, as a run of its own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._output import note, note_all, note_skipped, progress, write_lines

ORDER = 72


@takes.command(
    "Average the predictions of runs; the mean is a run.",
    "goemo-report ensemble RUN_A RUN_B -o ensemble",
    "goemo-report ensemble --tag final --model roberta-large --wandb-dir wandb -o ensemble",
)
@takes.run("[RUN]...", nargs=-1)
@click.option(
    "--output",
    "-o",
    metavar="DIR",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory to write; it is the RUN of other commands.",
)
@takes.source(filters=True)
@takes.artifact
def command(runs: tuple[str, ...], output: Path, asked: dict[str, Any]) -> None:
    """Average the probabilities of runs that predict the same texts, test and validation, and
    write them as a run that every command takes: compare DIR RUN..., metrics DIR.

    Its labels are predicted at thresholds per class that are tuned on the averaged validation
    predictions, 0.5 without any. Runs with other texts, labels or true labels are refused.
    """
    from goemo_report.api.inputs import averaged

    if not runs and not any(asked[name] for name in takes.FILTERS):
        raise click.UsageError("name the runs to average, or give --tag")
    with progress() as bar:
        chosen = gr.runs(*runs, **asked, progress=bar)
        note_skipped(chosen.skipped)
        found = averaged(chosen, progress=bar)
    write_lines(map(str, found.write(output)))
    note_all(found.notes)
    note(f"thresholds: {found.choice.description}")
    note(f"mean of {len(found.members)} runs: goemo-report metrics {shlex.quote(str(output))}")
