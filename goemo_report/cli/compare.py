"""`goemo-report compare`: the report."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from goemo_report.cli._complete import run_argument
from goemo_report.cli._group import ARGUMENTS
from goemo_report.cli._options import (
    directory_option,
    file_name,
    file_option,
    label_options,
    open_option,
    reads_runs,
    report_command,
    split_option,
    validation_option,
)
from goemo_report.cli._output import note_skipped, write
from goemo_report.cli._report import (
    DEFAULT_FORMATS,
    build,
    default_name,
    load_and_compare,
    publish_report,
    rendered,
    write_all,
    write_thresholds,
)
from goemo_report.contract import Split
from goemo_report.report.render import FORMATS, render_summary
from goemo_report.settings import Settings, creation_time
from goemo_report.sources.model import RunQuery

if TYPE_CHECKING:
    from goemo_report.analysis.label_choice import LabelChoice

ORDER = 30


@report_command(
    "Compare runs and write the report.",
    "goemo-report compare --tag final",
    "goemo-report compare --tag final --wandb-dir wandb --open",
    "goemo-report compare RUN_A RUN_B --baseline RUN_A --split val --output handin",
    "goemo-report compare --tag final --section emotions --format csv -o -",
    "goemo-report compare --tag final --publish",
)
@run_argument("[RUN]...", nargs=-1)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(FORMATS),
    default=DEFAULT_FORMATS,
    show_default=True,
    help="Format to write; repeatable: --format html --format md.",
)
@directory_option(
    "--output",
    "-o",
    "reports",
    default="reports",
    meaning="Directory to write to; - prints one format to standard output.",
    allow_dash=True,
)
@click.option(
    "--name",
    type=file_name,
    metavar="NAME",
    help="Name of the files, without ending.  [default: from tags or runs]",
)
@split_option("Split that is reported.")
@click.option(
    "--baseline",
    metavar="RUN",
    help="Run that the others are compared with.  [default: tagged baseline, else the first]",
)
@click.option(
    "--rank-on",
    type=click.Choice(("val", "test")),
    help="Split that chooses the best run.  [default: val where all runs have its predictions]",
)
@click.option(
    "--section",
    "sections",
    metavar="ID",
    multiple=True,
    help="Only this section; repeatable. A wrong ID lists them all.",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=100),
    default=1000,
    show_default=True,
    help="Bootstrap resamples.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the resampling."
)
@click.option("--no-text", is_flag=True, help="Leave all texts of the data set out.")
@click.option(
    "--max-errors",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Texts per emotion and kind of error.",
)
@file_option(
    "--summary",
    meaning="Also write a short Markdown form, as for $GITHUB_STEP_SUMMARY.",
)
@file_option(
    "--export-thresholds",
    meaning="Also write the thresholds of each run, tuned on validation, as JSON.",
)
@click.option(
    "--publish",
    "is_published",
    is_flag=True,
    help="Also log the report to W&B as a run; to an offline run where runs are read offline.",
)
@open_option
@reads_runs(filters=True)
@validation_option
@label_options(rolls_up=True)
@click.pass_context
def command(
    ctx: click.Context,
    runs: tuple[str, ...],
    formats: tuple[str, ...],
    reports: Path,
    name: str | None,
    split: Split,
    baseline: str | None,
    rank_on: Split | None,
    sections: tuple[str, ...],
    resamples: int,
    seed: int,
    no_text: bool,
    max_errors: int,
    summary: Path | None,
    export_thresholds: Path | None,
    is_published: bool,
    open_report: bool,
    settings: Settings,
    labels: LabelChoice,
    query: RunQuery,
) -> None:
    """Compare runs and write the report.

    Takes the runs named, the runs that match, or both; without either, every run of the
    project. A RUN is an id, a name, project/id, entity/project/id, a run URL or an offline
    run directory. Numbers are recomputed from the predictions. SOURCE_DATE_EPOCH sets the
    date that the report carries.

    CSV of several tables is one long table with a line a value: section, table, group, row,
    name, column, value, low, high. A --section with one table is that table, as wide as it is.
    """
    formats = tuple(dict.fromkeys(formats))
    to_stdout = reports == Path("-")
    if to_stdout and len(formats) > 1:
        if ctx.get_parameter_source("formats") is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError("--output - prints one document: give --format once")
        formats = formats[:1]
    created_at = creation_time(os.environ, datetime.now(UTC))
    _check_sections(sections)

    from goemo_report.comparison import Options

    options = Options(not no_text, max_errors, resamples, seed, rank_on)
    comparison = load_and_compare(
        settings.source, runs, query, baseline, split, options, labels, whole=not sections
    )
    note_skipped(comparison.skipped)
    typed = tuple(map(_without_login, ctx.find_root().meta.get(ARGUMENTS, ())))
    report = build(comparison, created_at, shlex.join(("goemo-report", *typed)), sections)
    documents = rendered(report, formats)
    if summary is not None:
        write(render_summary(report), summary)
    if export_thresholds is not None:
        write_thresholds(comparison, export_thresholds)
    stem = name or default_name(query, [run.record.name for run in comparison.runs] if runs else [])
    if to_stdout:
        write(documents[formats[0]])
    else:
        written = write_all(documents, reports, stem)
    if is_published:
        publish_report(comparison, settings, sections, stem, created_at, report.command)
    if open_report and not to_stdout:
        click.launch(written[0].resolve().as_uri())


def _check_sections(sections: Sequence[str]) -> None:
    if sections:
        from goemo_report.report.sections import section_ids

        known = section_ids()
        for section in sections:
            if section not in known:
                raise click.BadParameter(
                    f"there is no section {section!r}. Sections: {', '.join(known)}.",
                    param_hint="--section",
                )


def _without_login(word: str) -> str:
    """An argument as a report may show it: an address loses its user and password."""
    return re.sub(r"^([a-z]+://)[^/@]*@", r"\1", word, flags=re.IGNORECASE)
