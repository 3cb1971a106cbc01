"""`goemo-report verify`: does the checkpoint give the predictions?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import goemo_report as gr
from goemo_report.cli._complete import run_argument
from goemo_report.cli._errors import FOUND_SOMETHING
from goemo_report.cli._options import (
    asks,
    format_option,
    output_option,
    prediction_options,
    report_command,
    split_option,
)
from goemo_report.cli._output import progress
from goemo_report.cli._table import write_answer
from goemo_report.contract import Split

ORDER = 62


@report_command(
    "Load a run's checkpoint, predict again and compare.",
    "goemo-report verify roberta-large-20241210-143022",
    "goemo-report verify abc123 --wandb-dir runs --limit 500",
    "goemo-report verify abc123 --split val --device cuda --batch-size 128 --format json",
)
@run_argument()
@split_option("Which predictions to make again.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N texts.")
@prediction_options
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, max=1),
    metavar="P",
    help="Largest difference of a probability.  [default: 0.0001, 0.03 for a bf16 run]",
)
@asks(filters=False)
@format_option("text", "json")
@output_option
@click.pass_context
def command(
    ctx: click.Context,
    run: str,
    split: Split,
    limit: int | None,
    batch_size: int,
    device: str,
    max_seq_length: int | None,
    tolerance: float | None,
    asked: dict[str, Any],
    form: str,
    output: Path,
) -> None:
    """Load a run's checkpoint, predict a split again and compare the probabilities.

    The checkpoint is fetched with its digests checked and loaded without running code that it
    may hold. Where the probabilities differ, the usual mistakes are tried out: label order,
    row order, maximum length, tokenizer, padding, dropout, half precision. The exit code is 3
    then, and where a file is not what was logged.
    Needs the extra goemo[train].
    """
    with progress() as bar:
        found = gr.run(run, **asked, progress=bar).verify(
            split,
            limit=limit,
            batch_size=batch_size,
            device=device,
            max_seq_length=max_seq_length,
            tolerance=tolerance,
        )
    write_answer(found, form, output)
    if not found.agrees:
        ctx.exit(FOUND_SOMETHING)
