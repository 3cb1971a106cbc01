"""`goemo-report audit`: do runs keep the guide, and are their logged numbers true?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._output import note_skipped, progress, write_answer

ORDER = 60


@takes.command(
    "Check that runs keep the guide and that their numbers are true.",
    "goemo-report audit roberta-large-20241210-143022",
    "goemo-report audit --tag final --wandb-dir wandb --strict",
    "goemo-report audit --tag final --format github",
)
@takes.run("[RUN]...", nargs=-1)
@click.option("--strict", is_flag=True, help="Warnings are findings too.")
@takes.source(filters=True)
@takes.labels(rolls_up=False)
@takes.form("table", "json", "md", "github")
@takes.output
def command(
    runs: tuple[str, ...], asked: dict[str, Any], form: str, output: Path, **options: Any
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
        found = chosen.audit(**options)
    write_answer(found, form, output, spare=("remedy",), notes=found.notes, passed=found.passed)
