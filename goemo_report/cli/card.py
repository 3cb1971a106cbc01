"""`goemo-report card`: a Hugging Face model card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from goemo_report.cli._complete import run_argument
from goemo_report.cli._options import (
    label_options,
    output_option,
    reads_runs,
    report_command,
    validation_option,
)
from goemo_report.cli._output import note, progress, write
from goemo_report.contract import SPLITS
from goemo_report.settings import Settings

if TYPE_CHECKING:
    from goemo_report.analysis.label_choice import LabelChoice

ORDER = 66


def hub_name(value: str) -> str:
    """A name as the hub writes it; usage error where the hub would not take it."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", value):
        raise click.BadParameter(f"{value!r} is no name on the hub")
    return value


@report_command(
    "Write a Hugging Face model card for a run.",
    "goemo-report card roberta-large-20241210-143022 --license mit -o README.md",
    "goemo-report card abc123 --wandb-dir runs --base-model FacebookAI/roberta-large",
)
@run_argument()
@click.option(
    "--license",
    "license_id",
    type=hub_name,
    default="unknown",
    show_default=True,
    metavar="ID",
    help="Licence of the model, as the hub names it: mit, apache-2.0, ...",
)
@click.option(
    "--base-model",
    type=hub_name,
    metavar="NAME",
    help="Hub name of the base model.  [default: as the run's config says]",
)
@click.option("--name", metavar="NAME", help="Name of the model.  [default: MODEL-DATASET]")
@reads_runs(filters=False)
@validation_option
@label_options(rolls_up=False)
@output_option
def command(
    run: str,
    license_id: str,
    base_model: str | None,
    name: str | None,
    settings: Settings,
    labels: LabelChoice,
    output: Path,
) -> None:
    """Write a model card: front matter with results that the hub reads, and a body.

    Numbers with 95% intervals are recomputed from the run's predictions, thresholds are tuned
    on validation, and the limitations follow from the numbers. Write it to README.md in the
    model's repository.
    """
    from goemo_report.card.body import render_card
    from goemo_report.card.facts import UNKNOWN_LICENSE, Card
    from goemo_report.results import load_results
    from goemo_report.sources.resolve import find_one

    source, record = find_one(settings.source, run)
    with progress() as bar:
        result = load_results(source, [record], SPLITS, bar, labels.expected)[0]
    card = Card(result, license_id, base_model, name)
    write(render_card(card), output)
    for split, problem in result.problems.items():
        note(f"note: no {split} predictions: {problem}")
    if license_id == UNKNOWN_LICENSE:
        note("note: the card names no licence; give --license")
    if card.base_model is None:
        note("note: the card names no base model; give --base-model")
