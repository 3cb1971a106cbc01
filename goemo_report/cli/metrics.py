"""`goemo-report metrics`: scores recomputed from predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._output import progress, write_answer
from goemo_report.contract import DEFAULT_THRESHOLD

ORDER = 50
_SPARE = ("tn", "fn", "fp", "tp", "brier", "mcc", "average_precision")


@takes.command(
    "Recompute metrics of a run or a prediction CSV.",
    "goemo-report metrics test_predictions.csv",
    "goemo-report metrics roberta-large-20241210-143022 --split val --threshold 0.3",
    "goemo-report metrics abc123 --wandb-dir wandb --format csv -o per_class.csv",
)
@takes.run("RUN|FILE.csv")
@takes.split("Which predictions of a run.")
@takes.number(
    "--threshold",
    "A label is predicted from this probability on.",
    metavar="P",
    show_default=str(DEFAULT_THRESHOLD),
)
@takes.source(filters=False)
@takes.artifact
@takes.labels(rolls_up=True)
@takes.form("table", "json", "csv", "md")
@takes.output
def command(
    run: str,
    threshold: float | None,
    asked: dict[str, Any],
    form: str,
    output: Path,
    **options: Any,
) -> None:
    """Per-class and overall metrics, recomputed from predictions.

    Takes a RUN or a prediction CSV (also .csv.gz). A precision, recall or F1 without
    denominator is 0; an AUC without positives or negatives is not defined: null in JSON, left
    out of the macro mean.
    """
    asked["artifact"] = asked.pop("predictions")
    with progress() as bar:
        found = gr.score(run, threshold=threshold, **options, **asked, progress=bar)
    if threshold is None and found.held is not None and found.held.has_probabilities:
        found = gr.score(found.held, threshold=DEFAULT_THRESHOLD)
    write_answer(found, form, output, spare=_SPARE, notes=found.notes)
