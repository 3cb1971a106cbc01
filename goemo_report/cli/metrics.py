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
    output_option,
    reads_runs,
    report_command,
    split_option,
)
from goemo_report.cli._output import note, progress, write, write_json
from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.formats.files import user_path
from goemo_report.formats.wording import listed, plural
from goemo_report.labels import NEUTRAL
from goemo_report.settings import Settings

if TYPE_CHECKING:
    from goemo_report.metrics.scores import Scores
    from goemo_report.predictions import Predictions
    from goemo_report.report.document import Table
    from goemo_report.thresholds.infer import InferredThreshold

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
@format_option("table", "json", "csv", "md")
@output_option
def command(
    run: str, split: Split, threshold: float, settings: Settings, form: str, output: Path
) -> None:
    """Per-class and overall metrics, recomputed from predictions.

    Takes a RUN or a prediction CSV (also .csv.gz). A precision, recall or F1 without
    denominator is 0; an AUC without positives or negatives is not defined: null in JSON, left
    out of the macro mean.
    """
    from goemo_report.cli._table import write_blocks
    from goemo_report.metrics.scores import score
    from goemo_report.report import tables

    predictions = _read(run, split, settings)
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
    _note_oddities(predictions, scores)


def _read(run: str, split: Split, settings: Settings) -> Predictions:
    path = user_path(run)
    is_file = os.path.lexists(path) and not path.is_dir() and path.suffix != ".wandb"
    if is_file or run.lower().endswith((".csv", ".csv.gz")):
        from goemo_report.predictions import read_predictions

        return read_predictions(path, name=run)
    from goemo_report.results import load_results
    from goemo_report.sources.resolve import find_one

    source, record = find_one(settings.source, run)
    with progress() as bar:
        return load_results(source, [record], [split], bar)[0].splits[split].predictions


def _note_oddities(predictions: Predictions, scores: Scores) -> None:
    from goemo_report.thresholds.infer import infer_threshold

    noun = predictions.label_set.noun
    inferred = infer_threshold(predictions.probabilities, predictions.predicted, noun)
    if inferred.value != scores.threshold or inferred.contradictions:
        note(f"note: the file's own pred_labels: {inferred.description}")
    for what, rows in (
        ("no true label", _unlabelled(predictions)),
        ("no text", [row for row, text in enumerate(predictions.texts) if not text.strip()]),
        ("pred_labels that contradict it", _contradicting(predictions, inferred)),
    ):
        if rows:
            first = listed([f"{row + 1:,}" for row in rows], 5)
            note(f"note: {plural(len(rows), 'row')} with {what}: {first} (below the header)")
    if scores.without_auc:
        note(f"note: no AUC for lack of positives or negatives: {listed(scores.without_auc, 8)}")
    if scores.never_predicted:
        note(f"note: never predicted: {listed(scores.never_predicted, 8)}")


def _unlabelled(predictions: Predictions) -> list[int]:
    """Rows without a true label: none in a set with neutral, which says that there is no other."""
    if NEUTRAL not in predictions.labels:
        return []
    return [row for row, truth in enumerate(predictions.truth) if not truth.any()]


def _contradicting(predictions: Predictions, inferred: InferredThreshold) -> list[int]:
    """Rows whose labels are not those at the threshold that fits best."""
    if not inferred.contradictions or inferred.value is None:
        return []
    odd = (predictions.probabilities >= inferred.value) != predictions.predicted
    return [row for row, wrong in enumerate(odd) if wrong.any()]


def _markdown(overall: Table, per_class: Table) -> str:
    from goemo_report.report.render import render_block

    titled = replace(overall, title="Overall"), replace(per_class, title="Per class")
    return "\n".join(render_block(table, "md") for table in titled)
