"""`goemo-report thresholds`: what turns probabilities into labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import goemo_report as gr
from goemo_report.cli._complete import run_argument
from goemo_report.cli._options import (
    artifact_options,
    asks,
    label_options,
    output_option,
    report_command,
    validation_option,
)
from goemo_report.cli._output import note_all, progress, write_json

if TYPE_CHECKING:
    from goemo_report.api.one_run import Protocol

ORDER = 68


@report_command(
    "Write a run's thresholds, tuned on validation, as JSON.",
    "goemo-report thresholds roberta-large-20241210-143022 -o thresholds.json",
    "goemo-report thresholds abc123 --wandb-dir runs --protocol global",
)
@run_argument()
@click.option(
    "--protocol",
    type=click.Choice(("per-class", "global", "fixed")),
    default="per-class",
    show_default=True,
    help="One threshold per class, one for all classes, or 0.5.",
)
@asks(filters=False)
@artifact_options
@validation_option
@label_options(rolls_up=True)
@output_option
def command(
    run: str, protocol: Protocol, asked: dict[str, Any], labels: dict[str, Any], output: Path
) -> None:
    """Write a run's thresholds as JSON, to apply elsewhere: a label is predicted at p >= its
    threshold.

    They are tuned on the validation predictions: per class for the best F1 of the class (a
    class with fewer than 10 positives keeps the global one), global for the best macro F1.
    """
    with progress() as bar:
        found = gr.run(run, **asked, progress=bar).thresholds(protocol, **labels)
    write_json(found.document(), output)
    note_all(found.notes)
    if found.fallback:
        note_all([f"the global threshold, for lack of positives: {', '.join(found.fallback)}"])
