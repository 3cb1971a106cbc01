"""`goemo-report audit`: do runs keep the guide, and are their logged numbers true?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import goemo_report as gr
from goemo_report.cli._complete import run_argument
from goemo_report.cli._errors import FOUND_SOMETHING
from goemo_report.cli._options import (
    asks,
    format_option,
    label_options,
    output_option,
    report_command,
)
from goemo_report.cli._output import note_all, note_skipped, progress
from goemo_report.cli._table import write_answer

ORDER = 60


@report_command(
    "Check that runs keep the guide and that their numbers are true.",
    "goemo-report audit roberta-large-20241210-143022",
    "goemo-report audit --tag final --wandb-dir wandb --strict",
    "goemo-report audit --tag final --format github",
)
@run_argument("[RUN]...", nargs=-1)
@click.option("--strict", is_flag=True, help="Warnings are findings too.")
@asks(filters=True)
@label_options(rolls_up=False)
@format_option("table", "json", "md", "github")
@output_option
@click.pass_context
def command(
    ctx: click.Context,
    runs: tuple[str, ...],
    strict: bool,
    asked: dict[str, Any],
    labels: dict[str, Any],
    form: str,
    output: Path,
) -> None:
    """Check runs against the guide, rule by rule.

    Name, tags, config, metrics, system keys and artifacts are judged, and whether logged
    numbers are those of the predictions. Rules are waived, with a reason, by the key `waive` of
    [tool.goemo] in pyproject.toml. Takes the runs named, those that match, or both; without
    either, every run of the project. Weights are not downloaded. The exit code is 3 when there
    is an error or, with --strict, a warning.
    """
    with progress() as bar:
        chosen = gr.runs(*runs, **asked, progress=bar)
        note_skipped(chosen.skipped)
        found = chosen.audit(strict=strict, **labels)
    write_answer(found, form, output, spare=("remedy",))
    note_all(found.notes)
    if not found.passed:
        ctx.exit(FOUND_SOMETHING)
