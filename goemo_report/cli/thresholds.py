"""`goemo-report thresholds`: what turns probabilities into labels."""

from __future__ import annotations

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
from goemo_report.cli._output import note, progress, write_json
from goemo_report.settings import Settings

if TYPE_CHECKING:
    from goemo_report.analysis.label_choice import LabelChoice
    from goemo_report.thresholds.protocols import Protocol

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
@reads_runs(filters=False)
@validation_option
@label_options(rolls_up=False)
@output_option
def command(
    run: str, protocol: Protocol, settings: Settings, labels: LabelChoice, output: Path
) -> None:
    """Write a run's thresholds as JSON, to apply elsewhere: a label is predicted at p >= its
    threshold.

    They are tuned on the validation predictions: per class for the best F1 of the class (a
    class with fewer than 10 positives keeps the global one), global for the best macro F1.
    """
    from goemo_report.checkpoints.labelling import choice_of
    from goemo_report.sources.resolve import find_one
    from goemo_report.thresholds.protocols import export_thresholds

    source, record = find_one(settings.source, run)
    with progress() as bar:
        choice = choice_of(source, record, protocol, bar, labels.expected)
    write_json(export_thresholds([(record.id, choice)]), output)
    if choice.fallback:
        note(f"note: the global threshold, for lack of positives: {', '.join(choice.fallback)}")
