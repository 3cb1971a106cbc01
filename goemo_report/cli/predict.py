"""`goemo-report predict`: labels of new texts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._output import note, note_all, progress, write_answer

ORDER = 70


@takes.command(
    "Predict labels of texts with a run's checkpoint.",
    'goemo-report predict roberta-large-20241210-143022 "Thank you so much!"',
    "goemo-report predict abc123 --wandb-dir runs --format json < texts.txt",
    'goemo-report predict abc123 --thresholds thresholds.json "What a day."',
)
@takes.run()
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@takes.protocol(help="How thresholds are tuned on validation; fixed is 0.5.")
@click.option(
    "--thresholds",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Take the thresholds that `goemo-report thresholds` wrote.",
)
@takes.predicting
@takes.source(filters=False)
@takes.form("text", "json")
@takes.output
def command(
    run: str, texts: tuple[str, ...], asked: dict[str, Any], form: str, output: Path, **options: Any
) -> None:
    """Predict the labels of texts with a run's checkpoint; without TEXT, of the lines of
    standard input, blank ones left out.

    Each label is judged at its own threshold, tuned on the run's validation predictions, or
    else the one that the checkpoint brings. JSON holds all probabilities. Needs the extra
    goemo[train].
    """
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise click.UsageError(f"TEXT {number} is empty: give texts with something in them")
    texts = texts or _from_standard_input()
    with progress() as bar:
        found = gr.run(run, **asked, progress=bar).predict(texts, **options)
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
