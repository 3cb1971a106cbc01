"""`goemo-report export`: runs as Parquet tables, or a run's checkpoint as an ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._output import note_all, note_skipped, progress, write_lines
from goemo_report.contract import Split

ORDER = 73
_TEXTS = 500
_OF_TABLES = ("baseline", "top", "labels", "map_to", "true", "pred", "prob")
_LIMIT = (
    "Parquet: the first N runs of --sort, without it the newest N. ONNX: check on the first N "
    "texts.  [default: 500]"
)


@takes.command(
    "Write runs as Parquet tables, or a checkpoint as ONNX.",
    "goemo-report export --tag final -o runs.parquet",
    "goemo-report export --wandb-dir runs --baseline RUN_A -o runs.parquet",
    "goemo-report export abc123 --wandb-dir runs -o onnx",
    "goemo-report export abc123 --wandb-dir runs --int8 --limit 100",
)
@takes.run("[RUN]...", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(("parquet", "onnx")),
    help="What to write.  [default: parquet where -o ends so, else onnx]",
)
@click.option(
    "--int8", is_flag=True, help="ONNX: also quantise to 8 bits, and say what that costs."
)
@click.option("--baseline", metavar="RUN", help="Parquet: the run of the differences.")
@takes.number("--top", "Parquet: intervals and differences of the N best runs.", 100)
@takes.split("Whose predictions are scored, or whose texts ONNX is checked on.")
@click.option(
    "--output",
    "-o",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="NAME.parquet, the first of three tables; for ONNX a directory.  [default: onnx]",
)
@takes.source(filters=True, meanings={"limit": _LIMIT})
@takes.artifact
@takes.validation
@takes.labels(rolls_up=True)
def command(
    runs: tuple[str, ...],
    form: str | None,
    int8: bool,
    split: Split,
    output: Path | None,
    asked: dict[str, Any],
    **options: Any,
) -> None:
    """Write runs as Parquet tables, or one run's checkpoint as an ONNX model.

    Parquet: NAME.parquet has a row a run with its config and recomputed overall metrics,
    NAME-labels.parquet a row a run and label, NAME-differences.parquet a row a run, metric and
    label, against the baseline. Needs the extra goemo[tables].

    ONNX: model.onnx, beside its tokenizer, takes input_ids and attention_mask of any shape (texts,
    tokens) and gives logits and probabilities, in the order of the labels that its metadata name
    with their thresholds. It is written once it predicts texts of the run as PyTorch does. Macro F1
    and speed on CPU are shown for each form. Needs the extra goemo[onnx].
    """
    is_table = output is not None and output.suffix == ".parquet"
    form = form or ("parquet" if is_table else "onnx")
    if form == "onnx":
        chosen = [
            takes.FILTERS[name][0] for name in takes.FILTERS if name != "limit" and asked.pop(name)
        ]
        typed = click.get_current_context().get_parameter_source
        chosen += [
            f"--{name.replace('_', '-')}"
            for name in _OF_TABLES
            if typed(name) is ParameterSource.COMMANDLINE
        ]
        limit = asked.pop("limit") or _TEXTS
        if chosen or len(runs) != 1 or is_table:
            what = f"not by {chosen[0]}" if chosen else f"not {len(runs)}"
            raise click.UsageError(
                f"ONNX is made of one RUN, {what}: name it, or give -o NAME.parquet for tables"
            )
        with progress() as bar:
            run = gr.run(runs[0], **asked, progress=bar)
            found = run.export(output or "onnx", int8=int8, split=split, limit=limit)
        write_lines(found.lines())
        return
    if not is_table or output is None or int8:
        raise click.UsageError("Parquet is written to -o NAME.parquet, without --int8")
    with progress() as bar:
        several = gr.runs(*runs, **asked, everything=True, progress=bar)
        tables = several.export(output, split=split, **options)
    note_skipped(several.skipped)
    note_all((*several.notes, *tables.notes))
    write_lines(tables.lines())
