"""`goemo-report runs`: which runs there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._output import note_all, note_skipped, write_answer

ORDER = 10
_SPARE: Final = ("model", "test/auc", "created_at", "test/micro_f1", "tags", "differs")


@takes.command(
    "List runs: tags, states, headline metrics.",
    "goemo-report runs --tag final",
    "goemo-report runs --wandb-dir wandb --any-tag final --any-tag baseline",
    "goemo-report runs --state finished --model roberta-large --format csv -o runs.csv",
    "goemo-report runs --where 'config.learning_rate > 1e-5' --sort -summary.test/macro_f1 "
    "--limit 5",
    "goemo-report runs --columns config.random_seed,summary.test/macro_f1",
)
@takes.source(filters=True)
@click.option(
    "--columns",
    metavar="KEY,...",
    help="Show these keys of --where, beside the name and the id, in the table and in CSV.",
)
@click.option("--with-reports", is_flag=True, help="Also the reports that --publish made runs of.")
@takes.form("table", "json", "csv")
@takes.output
def command(
    asked: dict[str, Any], columns: str | None, with_reports: bool, form: str, output: Path
) -> None:
    """List runs with their tags, states and headline metrics as logged.

    The newest run comes last, unless --sort says otherwise. Where runs share a name, a column
    says by which config they differ. JSON and CSV hold the whole config and summary of each run;
    values that JSON cannot hold are the strings "NaN", "Infinity" and "-Infinity".
    """
    found = gr.runs(everything=True, reports=with_reports, **asked)
    if columns:
        found = found.showing(columns.split(","))
    note_skipped(found.skipped)
    note_all(found.notes)
    typed = click.get_current_context().get_parameter_source("form")
    if output.suffix in {".csv", ".json"} and typed is ParameterSource.DEFAULT:
        form = output.suffix[1:]
    write_answer(found, form, output, spare=() if columns else _SPARE, folds=False)
