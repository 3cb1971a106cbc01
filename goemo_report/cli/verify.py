"""`goemo-report verify`: does the checkpoint give the predictions?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._output import progress, write_answer

ORDER = 62


@takes.command(
    "Load a run's checkpoint, predict again and compare.",
    "goemo-report verify roberta-large-20241210-143022",
    "goemo-report verify abc123 --wandb-dir runs --limit 500",
    "goemo-report verify abc123 --split val --device cuda --batch-size 128 --format json",
)
@takes.run()
@takes.split("Which predictions to make again.")
@takes.number("--limit", "Only the first N texts.")
@takes.predicting
@takes.number(
    "--tolerance",
    "Largest difference of a probability.  [default: 0.0001, 0.03 for a bf16 run]",
    metavar="P",
)
@takes.source(filters=False)
@takes.form("text", "json")
@takes.output
def command(run: str, asked: dict[str, Any], form: str, output: Path, **options: Any) -> None:
    """Load a run's checkpoint, predict a split again and compare the probabilities.

    The checkpoint is fetched with its digests checked and loaded without running code that it
    may hold. Where the probabilities differ, the usual mistakes are tried out: label order,
    row order, maximum length, tokenizer, padding, dropout, half precision. The exit code is 3
    then, and where a file is not what was logged.
    Needs the extra goemo[train].
    """
    with progress() as bar:
        found = gr.run(run, **asked, progress=bar).verify(**options)
    write_answer(found, form, output, passed=found.agrees)
