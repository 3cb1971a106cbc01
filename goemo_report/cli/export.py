"""`goemo-report export`: a run's checkpoint in a form that other programs load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import goemo_report as gr
from goemo_report.cli._complete import run_argument
from goemo_report.cli._options import asks, directory_option, report_command, split_option
from goemo_report.cli._output import progress, write_lines
from goemo_report.contract import Split

ORDER = 73


@report_command(
    "Write a run's checkpoint as an ONNX model.",
    "goemo-report export abc123 --wandb-dir runs -o onnx",
    "goemo-report export abc123 --wandb-dir runs --int8 --limit 100",
)
@run_argument()
@click.option(
    "--format",
    "form",
    type=click.Choice(("onnx",)),
    default="onnx",
    show_default=True,
    help="What to write.",
)
@click.option("--int8", is_flag=True, help="Also quantise to 8 bits, and say what that costs.")
@split_option("Whose texts it is checked on.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    metavar="N",
    help="The first N texts of them.",
)
@directory_option("--output", "-o", default="onnx", meaning="Directory to write to.")
@asks(filters=False)
def command(
    run: str,
    form: str,  # noqa: ARG001 - there is one
    int8: bool,
    split: Split,
    limit: int,
    output: Path,
    asked: dict[str, Any],
) -> None:
    """Write a run's checkpoint as model.onnx, beside its tokenizer.

    It takes input_ids and attention_mask of any shape (texts, tokens) and gives logits and
    probabilities, in the order of the labels that its metadata name with their thresholds. It is
    written once it predicts texts of the run as PyTorch does. Macro F1 and speed on CPU are shown
    for each form. Needs the extra goemo[onnx].
    """
    with progress() as bar:
        chosen = gr.run(run, **asked, progress=bar)
        found = chosen.export(output, int8=int8, split=split, limit=limit)
    write_lines(found.lines())
