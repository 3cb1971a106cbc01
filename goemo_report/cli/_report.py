"""From a comparison to written reports, the part that commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from goemo_report.cli._output import spinner, write, write_lines
from goemo_report.errors import ArgumentError
from goemo_report.formats.text import shown

if TYPE_CHECKING:
    from goemo_report import ComparisonResult
    from goemo_report.report.document import Report

DEFAULT_FORMATS = ("html", "md", "json")


def check_sections(wanted: Sequence[str]) -> None:
    """Refuse a section that does not exist before anything is read."""
    if wanted:
        from goemo_report.api.comparisons import check_sections as check

        check(wanted)


def build(
    comparison: ComparisonResult,
    formats: Sequence[str],
    command: str,
    only: Sequence[str] = (),
    table: str | None = None,
) -> tuple[Report, dict[str, str]]:
    """The report, and in every format before any file is written; of one table where asked."""
    from goemo_report.report.render import render, render_block

    with spinner() as moving:
        moving("computing the report")
        report = comparison.report(sections=only, command=command)
    if table is None:
        return report, {form: render(report, form) for form in formats}
    tables = report.tables()
    if table not in tables:
        raise ArgumentError(f"there is no table {shown(table)}", f"Tables: {', '.join(tables)}")
    return report, {form: render_block(tables[table], form) for form in formats}


def write_all(documents: dict[str, str], directory: Path, stem: str) -> list[Path]:
    """Write each document whole and name it; gives the paths in the order of the formats."""
    from goemo_report.report.render import SUFFIXES

    written = [directory / f"{stem}{SUFFIXES[form]}" for form in documents]
    for path, text in zip(written, documents.values(), strict=True):
        write(text, path, quiet=True)
    write_lines(map(str, written))
    return written
