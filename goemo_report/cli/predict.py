"""`goemo-report predict`: emotions of new texts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import goemo_report as gr
from goemo_report.cli._complete import run_argument
from goemo_report.cli._options import (
    asks,
    format_option,
    output_option,
    prediction_options,
    report_command,
)
from goemo_report.cli._output import note, note_all, progress
from goemo_report.cli._table import write_answer

if TYPE_CHECKING:
    from goemo_report.api.one_run import Protocol

ORDER = 70


@report_command(
    "Predict emotions of texts with a run's checkpoint.",
    'goemo-report predict roberta-large-20241210-143022 "Thank you so much!"',
    "goemo-report predict abc123 --wandb-dir runs --format json < texts.txt",
    'goemo-report predict abc123 --thresholds thresholds.json "What a day."',
)
@run_argument()
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option(
    "--protocol",
    type=click.Choice(("per-class", "global", "fixed")),
    default="per-class",
    show_default=True,
    help="How thresholds are tuned on validation; fixed is 0.5.",
)
@click.option(
    "--thresholds",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Take the thresholds that `goemo-report thresholds` wrote.",
)
@prediction_options
@asks(filters=False)
@format_option("text", "json")
@output_option
def command(
    run: str,
    texts: tuple[str, ...],
    protocol: Protocol,
    thresholds: Path | None,
    batch_size: int,
    device: str,
    max_seq_length: int | None,
    asked: dict[str, Any],
    form: str,
    output: Path,
) -> None:
    """Predict the emotions of texts with a run's checkpoint; without TEXT, of the lines of
    standard input, blank ones left out.

    Each emotion is judged at its own threshold, tuned on the run's validation predictions, or
    else the one that the checkpoint brings. JSON holds all probabilities. Needs the extra
    goemo[train].
    """
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise click.UsageError(f"TEXT {number} is empty: give texts with something in them")
    texts = texts or _from_standard_input()
    with progress() as bar:
        found = gr.run(run, **asked, progress=bar).predict(
            texts,
            protocol=protocol,
            thresholds=thresholds,
            batch_size=batch_size,
            device=device,
            max_seq_length=max_seq_length,
        )
    note_all(found.notes)
    if form != "json":
        note(f"thresholds: {found.thresholds.description}")
    write_answer(found, form, output)


def _from_standard_input() -> tuple[str, ...]:
    if sys.stdin.isatty():
        raise click.UsageError("give a TEXT, or texts on standard input, one a line")
    raw = sys.stdin.buffer.read()
    data = raw.decode("utf-8-sig", "replace")
    lines = data.replace("\r\n", "\n").split("\n")
    lines = lines[:-1] if lines[-1] == "" else lines
    texts = tuple(line for line in lines if line.strip())
    if not texts:
        raise click.UsageError("standard input holds no text: give one text a line")
    if blank := len(lines) - len(texts):
        note(f"note: {blank} blank {'line was' if blank == 1 else 'lines were'} left out")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        note(f"note: line {line} is not UTF-8; bytes that cannot be read became \ufffd")
    return texts
