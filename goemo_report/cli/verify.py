"""`goemo-report verify`: does the checkpoint give the predictions?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from goemo_report.cli._complete import run_argument
from goemo_report.cli._errors import FOUND_SOMETHING
from goemo_report.cli._options import (
    format_option,
    output_option,
    prediction_options,
    reads_runs,
    report_command,
    split_option,
)
from goemo_report.cli._output import progress, write_json, write_lines
from goemo_report.contract import Split
from goemo_report.formats.wording import plural
from goemo_report.settings import Settings

if TYPE_CHECKING:
    from goemo_report.checkpoints.verify import Verification

ORDER = 62


@report_command(
    "Load a run's checkpoint, predict again and compare.",
    "goemo-report verify roberta-large-20241210-143022",
    "goemo-report verify abc123 --wandb-dir runs --limit 500",
    "goemo-report verify abc123 --split val --device cuda --batch-size 128 --format json",
)
@run_argument()
@split_option("Which predictions to make again.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N texts.")
@prediction_options
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0, max=1),
    metavar="P",
    help="Largest difference of a probability.  [default: 0.0001, 0.03 for a bf16 run]",
)
@reads_runs(filters=False)
@format_option("text", "json")
@output_option
@click.pass_context
def command(
    ctx: click.Context,
    run: str,
    split: Split,
    limit: int | None,
    batch_size: int,
    device: str,
    max_seq_length: int | None,
    tolerance: float | None,
    settings: Settings,
    form: str,
    output: Path,
) -> None:
    """Load a run's checkpoint, predict a split again and compare the probabilities.

    The checkpoint is fetched with its digests checked and loaded without running code that it
    may hold. Where the probabilities differ, the usual mistakes are tried out: label order,
    row order, maximum length, tokenizer, padding, dropout, half precision. The exit code is 3
    then, and where a file is not what was logged.
    Needs the extra goemo[train].
    """
    from goemo_report.checkpoints import checkpoint

    checkpoint.require_extra()

    from goemo_report.checkpoints.verify import Options, changed_document, verify
    from goemo_report.errors import ChangedFileError
    from goemo_report.sources.resolve import find_one

    source, record = find_one(settings.source, run)
    options = Options(split, limit, batch_size, device, max_seq_length, tolerance)
    try:
        with progress() as bar:
            found = verify(source, record, options, bar)
        agrees, lines, document = found.agrees, _lines(found), found.document()
    except ChangedFileError as error:
        agrees, document = False, changed_document(record, error)
        lines = [f"{'differs':<12}{error.what}"]
    if form == "json":
        write_json(document, output)
    else:
        write_lines(lines, output)
    if not agrees:
        ctx.exit(FOUND_SOMETHING)


def _lines(found: Verification) -> list[str]:
    row, emotion = found.where
    rows = plural(found.of_rows, "text")
    rows = f"{found.rows:,} of {rows}" if found.rows < found.of_rows else rows
    flips = ", ".join(f"{name} {n}" for name, n in list(found.flips.items())[:8])
    longest = plural(found.max_length, "token")
    how = f"{len(found.labels)} labels, at most {longest}, on {found.device}"
    pairs = [
        ("run", f"{found.run.name} ({found.run.id})"),
        ("checkpoint", found.artifact),
        ("predictions", found.file),
        ("predicted", f"{rows}, {how}"),
        ("largest", f"{found.largest:.2g} (row {row}, {emotion})"),
        ("mean", f"{found.mean:.2g}"),
        ("tolerance", f"{found.tolerance:g} ({found.tolerance_reason})"),
        (
            "flips",
            f"{plural(sum(found.flips.values()), 'label')} at threshold {found.threshold:g}"
            + (f": {flips}" if flips else ""),
        ),
        *(("metric", _metric(name, *pair)) for name, pair in found.metrics.items()),
        *(("note", text) for text in found.notes),
    ]
    lines = [f"{name:<12}{text}" for name, text in pairs]
    if found.agrees:
        return [*lines, f"{'verified':<12}the checkpoint gives the predictions of the run"]
    beyond = f"{found.beyond:,} of {found.rows * len(found.labels):,} probabilities"
    lines.append(f"{'differs':<12}{beyond} by more than the tolerance")
    lines.append(f"{'because':<12}{found.explanation}")
    for trial in found.trials:
        said = f"; {trial.finding}" if trial.explains or trial.helps else ""
        left = f"leaves {trial.mean:.2g} mean, {trial.largest:.2g} largest"
        lines.append(f"{'tried':<12}{trial.name}: {left}{said}")
    return lines


def _metric(name: str, file: float | None, now: float | None) -> str:
    shown = ["-" if value is None else f"{value:.4f}" for value in (file, now)]
    return f"{name:<10} {shown[0]} in the file, {shown[1]} from the checkpoint"
