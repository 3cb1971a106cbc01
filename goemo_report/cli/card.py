"""`goemo-report card`: a Hugging Face model card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._output import note_all, progress, write

ORDER = 66


def hub_name(value: str) -> str:
    """A name as the hub writes it; usage error where the hub would not take it."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", value):
        raise click.BadParameter(f"{value!r} is no name on the hub")
    return value


card_options = takes.each(
    click.option(
        "--license",
        "license_id",
        type=hub_name,
        default="unknown",
        show_default=True,
        metavar="ID",
        help="Licence of the model, as the hub names it: mit, apache-2.0, ...",
    ),
    click.option(
        "--base-model",
        type=hub_name,
        metavar="NAME",
        help="Hub name of the base model.  [default: as the run's config says]",
    ),
    click.option("--name", metavar="NAME", help="Name of the model.  [default: MODEL-DATASET]"),
)
"""What a card says beside the run."""


@takes.command(
    "Write a Hugging Face model card for a run.",
    "goemo-report card roberta-large-20241210-143022 --license mit -o README.md",
    "goemo-report card abc123 --wandb-dir runs --base-model FacebookAI/roberta-large",
)
@takes.run()
@card_options
@takes.source(filters=False)
@takes.artifact
@takes.validation
@takes.labels(rolls_up=True)
@takes.output
def command(run: str, asked: dict[str, Any], output: Path, **options: Any) -> None:
    """Write a model card: front matter with results that the hub reads, and a body.

    Numbers with 95% intervals are recomputed from the run's predictions, thresholds are tuned
    on validation, and the limitations follow from the numbers. Write it to README.md in the
    model's repository.
    """
    with progress() as bar:
        found = gr.run(run, **asked, progress=bar).card(**options)
    write(found, output)
    note_all(found.notes)
