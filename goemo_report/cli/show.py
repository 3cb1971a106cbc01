"""`goemo-report show`: everything about one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from goemo_report.cli._complete import run_argument
from goemo_report.cli._options import (
    format_option,
    output_option,
    reads_runs,
    report_command,
    validation_option,
)
from goemo_report.cli._output import note, write, write_json
from goemo_report.settings import Settings
from goemo_report.sources.model import ArtifactRef, RunRecord

if TYPE_CHECKING:
    from goemo_report.report.document import Table

ORDER = 20


@report_command(
    "Show one run: config, summary, history, artifacts.",
    "goemo-report show roberta-large-20241210-143022",
    "goemo-report show wandb/offline-run-20241210_143022-abc123",
    "goemo-report show abc123 --wandb-dir wandb --format json -o abc123.json",
    "goemo-report show abc123 --wandb-dir wandb --replicate",
)
@run_argument()
@click.option(
    "--replicate",
    is_flag=True,
    help="Print only the goemo-train command that trains the run again.",
)
@reads_runs(filters=False)
@validation_option
@format_option("table", "json")
@output_option
def command(run: str, replicate: bool, settings: Settings, form: str, output: Path) -> None:
    """Show one run: config, summary, history, and artifacts with their digests.

    RUN is an id, a name, project/id, entity/project/id, a run URL or an offline run
    directory. JSON holds the complete history, one object a step.
    """
    from goemo_report.cli._table import write_blocks
    from goemo_report.report import tables
    from goemo_report.sources.resolve import find_one

    source, record = find_one(settings.source, run)
    if replicate:
        _replicate(record, source.artifacts([record]).get(record.id, ()), output)
        return
    history = source.histories([record]).get(record.id, ())
    artifacts = source.artifacts([record]).get(record.id, ())
    logged = list(zip(artifacts, source.manifests(artifacts), strict=True))
    if form == "json":
        write_json(tables.show_document(record, history, logged), output)
        return
    shown = [
        tables.mapping_table("Config", record.config),
        *tables.summary_tables(record.summary),
        tables.history_table(history),
        tables.artifacts_table(logged),
    ]
    blocks: list[str | Table] = [_heading(record), *(table for table in shown if table.rows)]
    write_blocks(blocks, output, (*tables.SPARE_HISTORY_COLUMNS, "type"))


def _replicate(run: RunRecord, artifacts: Sequence[ArtifactRef], output: Path) -> None:
    from goemo_report.card.replicate import by_goemo_train, replicate_command

    if not by_goemo_train(run):
        note("note: another trainer made this run; the command holds what its config says")
    write(replicate_command(run, artifacts) + "\n", output)


def _heading(run: RunRecord) -> str:
    from goemo_report.cli._table import facts
    from goemo_report.formats.json_text import timestamp

    pairs = [
        ("run", run.name),
        ("id", run.id),
        ("path", run.path),
        ("state", run.state),
        ("tags", ", ".join(run.tags)),
        ("created", timestamp(run.created_at) or ""),
        ("model", run.model_name),
        ("group", run.group or ""),
        ("job type", run.job_type or ""),
        ("sweep", run.sweep or ""),
        ("description", run.description),
        ("notes", run.notes),
        ("url", run.url or ""),
        ("read from", run.origin),
    ]
    return facts((name, value) for name, value in pairs if value)
