"""`goemo-report runs`: which runs there are."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from goemo_report.cli._options import (
    Parsed,
    format_option,
    output_option,
    reads_runs,
    report_command,
)
from goemo_report.cli._output import note, note_skipped, write, write_json
from goemo_report.settings import Settings
from goemo_report.sources.conditions import Key
from goemo_report.sources.model import RunQuery

ORDER = 10


@report_command(
    "List runs: tags, states, headline metrics.",
    "goemo-report runs --tag final",
    "goemo-report runs --wandb-dir wandb --any-tag final --any-tag baseline",
    "goemo-report runs --state finished --model roberta-large --format csv -o runs.csv",
    "goemo-report runs --where 'config.learning_rate > 1e-5' --sort -summary.test/macro_f1 "
    "--limit 5",
    "goemo-report runs --columns config.random_seed,summary.test/macro_f1",
)
@reads_runs(filters=True)
@click.option(
    "--columns",
    metavar="KEY,...",
    type=Parsed(lambda text: tuple(map(Key.of, text.split(",")))),
    help="Show these keys of --where, beside the name and the id, in the table and in CSV.",
)
@format_option("table", "json", "csv")
@output_option
def command(
    settings: Settings, query: RunQuery, columns: tuple[Key, ...] | None, form: str, output: Path
) -> None:
    """List runs with their tags, states and headline metrics as logged.

    The newest run comes last, unless --sort says otherwise. Where runs share a name, a column
    says by which config they differ. JSON and CSV hold the whole config and summary of each run;
    values that JSON cannot hold are the strings "NaN", "Infinity" and "-Infinity".
    """
    from goemo_report.cli._table import write_blocks
    from goemo_report.report import tables
    from goemo_report.sources.resolve import find_runs, lacking, open_source

    source = open_source(settings.source)
    found = find_runs(source, (), query)
    note_skipped(found.skipped)
    for key in (*(columns or ()), *((query.sort.key,) if query.sort else ())):
        if all(key.value(run) is None for run in found.runs):
            note(f"note: {lacking(key, found.runs)}")
    typed = click.get_current_context().get_parameter_source("form")
    if output.suffix in {".csv", ".json"} and typed is ParameterSource.DEFAULT:
        form = output.suffix[1:]
    if form == "json":
        write_json(tables.runs_document(found.runs), output)
    elif form == "csv":
        write(tables.runs_csv(found.runs, columns), output)
    else:
        table = tables.runs_table(found.runs, columns)
        write_blocks([table], output, () if columns else tables.SPARE_RUN_COLUMNS)
