"""`goemo-report metrics`: scores recomputed from predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import goemo_report as gr
from goemo_report.cli._complete import run_argument
from goemo_report.cli._options import (
    artifact_options,
    asks,
    format_option,
    label_options,
    output_option,
    report_command,
    split_option,
)
from goemo_report.cli._output import note_all, progress
from goemo_report.cli._table import write_answer
from goemo_report.contract import DEFAULT_THRESHOLD, Split

ORDER = 50
_SPARE = ("tn", "fn", "fp", "tp", "brier", "mcc", "average_precision")


@report_command(
    "Recompute metrics of a run or a prediction CSV.",
    "goemo-report metrics test_predictions.csv",
    "goemo-report metrics roberta-large-20241210-143022 --split val --threshold 0.3",
    "goemo-report metrics abc123 --wandb-dir wandb --format csv -o per_class.csv",
)
@run_argument("RUN|FILE.csv")
@split_option("Which predictions of a run.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    show_default=str(DEFAULT_THRESHOLD),
    help="A label is predicted from this probability on.",
)
@asks(filters=False)
@artifact_options
@label_options(rolls_up=True)
@format_option("table", "json", "csv", "md")
@output_option
def command(
    run: str,
    split: Split,
    threshold: float | None,
    asked: dict[str, Any],
    labels: dict[str, Any],
    form: str,
    output: Path,
) -> None:
    """Per-class and overall metrics, recomputed from predictions.

    Takes a RUN or a prediction CSV (also .csv.gz). A precision, recall or F1 without
    denominator is 0; an AUC without positives or negatives is not defined: null in JSON, left
    out of the macro mean.
    """
    asked["artifact"] = asked.pop("predictions")
    with progress() as bar:
        found = gr.score(
            run,
            threshold=threshold,
            split=split,
            **labels,
            progress=bar,
            **asked,
        )
    if threshold is None and found.held is not None and found.held.has_probabilities:
        found = gr.score(found.held, threshold=DEFAULT_THRESHOLD)
    write_answer(found, form, output, spare=_SPARE)
    note_all(found.notes)
