"""`goemo-report compare`: the report."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

import goemo_report as gr
from goemo_report.api import setup
from goemo_report.cli import _options as takes
from goemo_report.cli._group import ARGUMENTS
from goemo_report.cli._output import (
    note,
    note_all,
    note_skipped,
    progress,
    write,
    write_bytes,
    write_json,
    write_lines,
)
from goemo_report.errors import ArgumentError
from goemo_report.formats.text import shown
from goemo_report.formats.wording import plural
from goemo_report.report.document import Heatmap, Plot, Report, Table
from goemo_report.report.render import (
    SUFFIXES,
    WRITTEN,
    Extent,
    render_block,
    render_files,
    render_summary,
)
from goemo_report.report.render.html import BROWSER_VARIABLE, find_chromium

ORDER = 30
DEFAULT_FORMATS = ("html", "md", "json")


def _file_name(value: str) -> str:
    """A bare file name, of a file in a directory chosen elsewhere; usage error for a path."""
    if not re.fullmatch(r"[^/\\\x00-\x1f]{1,200}", value) or value.startswith("."):
        raise click.BadParameter(f"{value!r} is not a plain file name")
    return value


_SHORT = ("summary", "leaderboard", "differences", "emotions")


@takes.command(
    "Compare runs and write the report.",
    "goemo-report compare --tag final",
    "goemo-report compare --tag final --wandb-dir wandb --open",
    "goemo-report compare RUN_A RUN_B --baseline RUN_A --split val --output handin",
    "goemo-report compare --tag final --section emotions --format csv -o -",
    "goemo-report compare --tag final --table differences-emotions --format csv -o -",
    "goemo-report compare --tag final --publish",
    "goemo-report compare --tag final --publish report",
)
@takes.run("[RUN]...", nargs=-1)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(WRITTEN),
    default=DEFAULT_FORMATS,
    show_default=True,
    help="Format to write; repeatable: --format html --format md.",
)
@takes.directory(
    "--output",
    "-o",
    "reports",
    default="reports",
    meaning="Directory to write to; - prints one format to standard output.",
    allow_dash=True,
)
@click.option(
    "--name",
    type=_file_name,
    metavar="NAME",
    help="Name of the files, without ending.  [default: from tags or runs]",
)
@takes.split("Split that is reported.")
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
@takes.number("--margin", "Differences of macro F1 up to this do not matter.", 0.01, metavar="F")
@click.option(
    "--section",
    "sections",
    metavar="ID",
    multiple=True,
    help="Only this section; repeatable. A wrong ID lists them all.",
)
@click.option(
    "--short",
    "is_short",
    is_flag=True,
    help="Only the answer and where the runs differ, on two pages.",
)
@click.option(
    "--full",
    "is_full",
    is_flag=True,
    help="All of it: the appendix in PDF, every chapter in LaTeX, Markdown unfolded.",
)
@click.option(
    "--chromium",
    metavar="FILE",
    envvar=BROWSER_VARIABLE,
    show_envvar=True,
    help="Browser that prints --format pdf.  [default: found on PATH]",
)
@click.option(
    "--table",
    "tables",
    metavar="ID",
    multiple=True,
    help="Only this table, as wide as it is; repeatable, and then as a report of these tables. A "
    "wrong ID lists those of the sections chosen.",
)
@takes.number("--resamples", "Bootstrap resamples.", 1000)
@takes.number("--seed", "Of the resampling.", 0)
@click.option(
    "--raters",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Raw ratings, a row a rater and text, for the human ceiling; repeatable.",
)
@click.option(
    "--cluster",
    metavar="COLUMN",
    help="Column of the prediction files or raw ratings that says which texts belong together, as "
    "link_id or author: they are resampled and swapped as wholes.",
)
@takes.no("--no-text", "texts", "Leave all texts of the data set out.")
@takes.number("--max-errors", "Texts per label and kind of error.", 20)
@takes.number("--top", "Of more runs, those with the best N logged figures, and the baseline.", 100)
@takes.file("--summary", meaning="Also write a short Markdown form, as for $GITHUB_STEP_SUMMARY.")
@takes.file(
    "--export-thresholds",
    meaning="Also write the thresholds of each run, tuned on validation, as JSON.",
)
@click.option(
    "--publish",
    "published",
    type=click.Choice(("run", "report")),
    is_flag=False,
    flag_value="run",
    help="Also log the report to W&B as a run; to an offline run where runs are read offline. "
    "--publish report makes a native W&B Report as well.",
)
@takes.open_report
@takes.source(filters=True)
@takes.artifact
@takes.validation
@takes.labels(rolls_up=True)
def command(
    runs: tuple[str, ...],
    formats: tuple[str, ...],
    reports: Path,
    name: str | None,
    sections: tuple[str, ...],
    is_short: bool,
    is_full: bool,
    chromium: str | None,
    tables: tuple[str, ...],
    summary: Path | None,
    export_thresholds: Path | None,
    published: str | None,
    open_report: bool,
    asked: dict[str, Any],
    **options: Any,
) -> None:
    """Compare runs and write the report.

    Takes the runs named, the runs that match, or both; without either, every run of the
    project. A RUN is an id, a name, project/id, entity/project/id, a run URL or an offline
    run directory. Numbers are recomputed from the predictions. SOURCE_DATE_EPOCH sets the
    date that the report carries.

    CSV of several tables is one long table with a line a value: section, table, group, row,
    name, column, value, low, high. A --section with one table is that table, as wide as it is.
    """
    ctx = click.get_current_context()
    formats = tuple(dict.fromkeys(formats))
    to_stdout = reports == Path("-")
    if to_stdout and len(formats) > 1:
        if ctx.get_parameter_source("formats") is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError("--output - prints one document: give --format once")
        formats = formats[:1]
    if is_short and is_full:
        raise click.UsageError("--short and --full exclude each other")
    if to_stdout and "plotly" in formats:
        raise click.UsageError("--format plotly has a file beside it: give --output a directory")
    if tables and not {"pdf", "plotly"}.isdisjoint(formats):
        raise click.UsageError("--table has no --format pdf or plotly")
    extent: Extent = "full" if is_full or sections else "short" if is_short else "usual"
    if is_short:
        sections = tuple(dict.fromkeys((*_SHORT, *sections)))
    if sections:
        from goemo_report.api.comparisons import check_sections

        check_sections(sections)
    browser = find_chromium(chromium) if "pdf" in formats else None
    place = {name: asked[name] for name in ("source", "wandb_dir", "entity", "project")}
    if published:
        setup.require_publishable(native=published == "report", **place)
    with progress() as bar:
        chosen = gr.runs(*runs, **asked, progress=bar)
        comparison = gr.compare(chosen, **options, progress=bar)
        if not sections:
            comparison.prepare()
    typed = tuple(map(_without_login, ctx.find_root().meta.get(ARGUMENTS, ())))
    line = shlex.join(("goemo-report", *typed))
    stem = name or _default_name(asked, comparison.names if runs else ())
    report, documents = build(
        comparison,
        formats,
        line,
        sections,
        tuple(dict.fromkeys(tables)),
        stem="" if to_stdout else stem,
        extent=extent,
        browser=browser,
    )
    note_all((*chosen.notes, *comparison.notes))
    note_all(f"{fault} (--section and --debug show where)" for fault in report.faults)
    if len(set(runs)) < len(runs):
        note("note: a RUN that is given twice counts once")
    if summary is not None:
        write(render_summary(report), summary)
    if export_thresholds is not None:
        write_json(comparison.threshold_document(), export_thresholds)
    if to_stdout:
        (document,) = documents[formats[0]].values()
        if formats[0] == "pdf":
            write_bytes(document)
        else:  # text for a terminal is made harmless
            write(document.decode())
    else:
        written = write_all(documents, reports)
        if sys.stdout.isatty():
            _tell(comparison)
        elif not sections and not tables:
            note(comparison.verdict)
    if published:
        _publish(comparison, stem, sections, line, place, native=published == "report")
    if open_report and not to_stdout:
        click.launch(written[0].resolve().as_uri())
    note_skipped(comparison.skipped)


def _tell(comparison: gr.ComparisonResult) -> None:
    """On a terminal: the verdict, and the five best runs by the metric that decided."""
    metric = comparison.verdict.numbers.get("metric", "macro_f1")
    if metric == "tuned_macro_f1":
        table = comparison.thresholds.drop_duplicates("run")
    else:
        table = comparison.differences[comparison.differences["metric"] == metric]
    best = table.head(5)
    each = zip(best["run"], best["value"], strict=True)
    write_lines((comparison.verdict, *(f"{value:.3f}  {run}" for run, value in each)))


def _default_name(asked: Mapping[str, Any], runs: Sequence[str]) -> str:
    """A file name from the tags or the runs compared, safe on every system."""
    first, rest = tuple(runs[:1]), tuple(runs[1:])
    if len(rest) > 1:
        rest = (f"and-{len(rest)}-more",)
    words = (*asked["tag"], *asked["any_tag"]) or first + rest
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(words)).strip("-.")[:80]
    return slug or "comparison"


def _publish(
    comparison: gr.ComparisonResult,
    stem: str,
    sections: Sequence[str],
    command: str,
    place: Mapping[str, Any],
    *,
    native: bool,
) -> None:
    with progress() as bar:
        bar("publishing the report", 0, 0)
        done = comparison.publish(stem, native=native, sections=sections, command=command, **place)
    note_all(done.problems)
    if done.is_offline:
        note(f"published offline as {done.artifact}: {done.where} (`goemo-report sync` uploads it)")
    else:
        inputs = plural(done.inputs, "artifact")
        note(f"published as {done.artifact}, made from {inputs}: {done.where}")
    if done.report:
        note(f"W&B report: {done.report}")


def _without_login(word: str) -> str:
    """An argument as a report may show it: an address loses its user and password."""
    return re.sub(r"^([a-z]+://)[^/@]*@", r"\1", word, flags=re.IGNORECASE)


# --- The files of a report ------------------------------------------------------------


def build(
    comparison: gr.ComparisonResult,
    formats: Sequence[str],
    command: str,
    only: Sequence[str] = (),
    wanted: Sequence[str] = (),
    *,
    stem: str,
    extent: Extent = "usual",
    browser: Path | None = None,
) -> tuple[Report, dict[str, dict[str, bytes]]]:
    """The report, and the files of every format, by their path, before any is written; of some
    tables alone where asked."""
    with progress() as bar:
        bar("computing the report", 0, 0)
        report = comparison.report(sections=only, command=command)
    tables, files = report.tables(), {}
    for table in wanted:
        if table not in tables:
            what = f"there is no table {shown(table)}"
            if len(comparison.names) == 1:
                what += " of one run: tables of differences need two"
            raise ArgumentError(what, f"Tables: {', '.join(tables)}")
    if len(wanted) != 1:
        chosen, extent = (_only(report, wanted), "full") if wanted else (report, extent)
        files = {form: render_files(chosen, form, stem, extent, browser) for form in formats}
        return report, files
    for form in formats:
        text = render_block(tables[wanted[0]], form)
        files[form] = {f"{stem}{SUFFIXES[form]}": text.encode("utf-8", "backslashreplace")}
    return report, files


def _only(report: Report, tables: Sequence[str]) -> Report:
    """The report with these tables alone, those behind figures as tables."""
    sections = []
    for section in report.sections:
        found = (one.table if isinstance(one, Plot | Heatmap) else one for one in section.blocks)
        own = tuple(one for one in found if isinstance(one, Table) and one.id in tables)
        sections.append(replace(section, blocks=own, lead="", method=""))
    kept = tuple(section for section in sections if section.blocks)
    return replace(report, sections=kept, brief=(), explore=dict)


def write_all(documents: dict[str, dict[str, bytes]], directory: Path) -> list[Path]:
    """Write every file whole and name the documents; gives their paths in the order of formats."""
    for files in documents.values():
        for name, data in files.items():
            write_bytes(data, directory / name)
    written = [directory / next(iter(files)) for files in documents.values()]
    write_lines(map(str, written))
    return written
