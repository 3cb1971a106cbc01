"""`goemo-report metrics`: scores recomputed from predictions."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from goemo_report.cli._complete import run_argument
from goemo_report.cli._options import (
    format_option,
    label_options,
    output_option,
    reads_runs,
    report_command,
    split_option,
)
from goemo_report.cli._output import note, progress, write, write_json
from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.formats.files import user_path
from goemo_report.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from goemo_report.analysis.label_choice import LabelChoice
    from goemo_report.labels import LabelSet
    from goemo_report.predictions import Predictions
    from goemo_report.report.document import Table

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
    default=DEFAULT_THRESHOLD,
    show_default=True,
    help="A label is predicted from this probability on.",
)
@reads_runs(filters=False)
@label_options(rolls_up=True)
@format_option("table", "json", "csv", "md")
@output_option
def command(
    run: str,
    split: Split,
    threshold: float,
    settings: Settings,
    labels: LabelChoice,
    form: str,
    output: Path,
) -> None:
    """Per-class and overall metrics, recomputed from predictions.

    Takes a RUN or a prediction CSV (also .csv.gz). A precision, recall or F1 without
    denominator is 0; an AUC without positives or negatives is not defined: null in JSON, left
    out of the macro mean.
    """
    from goemo_report.analysis.oddities import oddities
    from goemo_report.cli._table import write_blocks
    from goemo_report.metrics.scores import score
    from goemo_report.report import tables

    predictions = labels.on(_read(run, split, settings, labels.expected))
    if predictions.change:
        note(f"note: {predictions.change}")
    scores = score(predictions.truth, predictions.probabilities, predictions.labels, threshold)
    if form == "json":
        write_json(tables.metrics_document(scores), output)
    elif form == "csv":
        write(tables.per_class_csv(scores), output)
    else:
        both = tables.overall_table(scores), tables.per_class_table(scores)
        if form == "md":
            write(_markdown(*both), output)
        else:
            write_blocks(both, output, spare=_SPARE)
    for oddity in oddities(predictions, scores):
        note(f"note: {oddity}")


def _read(run: str, split: Split, settings: Settings, expected: Sequence[LabelSet]) -> Predictions:
    path = user_path(run)
    is_file = os.path.lexists(path) and not path.is_dir() and path.suffix != ".wandb"
    if is_file or run.lower().endswith((".csv", ".csv.gz")):
        from goemo_report.predictions import read_predictions

        return read_predictions(path, name=run, expected=expected)
    from goemo_report.results import load_results
    from goemo_report.sources.resolve import find_one

    source, record = find_one(settings.source, run)
    with progress() as bar:
        found = load_results(source, [record], [split], bar, expected)[0]
    return found.splits[split].predictions


def _markdown(overall: Table, per_class: Table) -> str:
    from goemo_report.report.render import render_block

    titled = replace(overall, title="Overall"), replace(per_class, title="Per class")
    return "\n".join(render_block(table, "md") for table in titled)
