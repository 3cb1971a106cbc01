"""`goemo-report show`: everything about one run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._output import note_all, write, write_answer

ORDER = 20
_SPARE: Final = (
    "train/loss_std",
    "train/macro_auc",
    "train/samples_per_sec",
    "train/grad_norm",
    "train/epoch_time",
    "train/learning_rate",
    "train/auc",
    "type",
)


@takes.command(
    "Show one run: config, summary, history, artifacts.",
    "goemo-report show roberta-large-20241210-143022",
    "goemo-report show wandb/offline-run-20241210_143022-abc123",
    "goemo-report show abc123 --wandb-dir wandb --format json -o abc123.json",
    "goemo-report show abc123 --wandb-dir wandb --replicate",
)
@takes.run()
@click.option(
    "--replicate",
    is_flag=True,
    help="Print only the goemo-train command that trains the run again.",
)
@takes.source(filters=False)
@takes.validation
@takes.form("table", "json")
@takes.output
def command(run: str, replicate: bool, asked: dict[str, Any], form: str, output: Path) -> None:
    """Show one run: config, summary, history, and artifacts with their digests.

    RUN is an id, a name, project/id, entity/project/id, a run URL or an offline run
    directory. JSON holds the complete history, one object a step.
    """
    found = gr.run(run, **asked)
    if replicate:
        line = found.replicate()
        note_all(line.notes)
        write(f"{line}\n", output)
    else:
        write_answer(found, form, output, spare=_SPARE, folds=False)
