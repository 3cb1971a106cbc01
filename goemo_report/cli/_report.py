"""From a comparison to written reports, the part that commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from goemo_report.cli._output import spinner, write_bytes, write_lines
from goemo_report.errors import ArgumentError
from goemo_report.formats.text import shown

if TYPE_CHECKING:
    from goemo_report import ComparisonResult
    from goemo_report.report.document import Report
    from goemo_report.report.render import Extent

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
    *,
    stem: str,
    extent: Extent = "usual",
    browser: Path | None = None,
) -> tuple[Report, dict[str, dict[str, bytes]]]:
    """The report, and the files of every format, by their path, before any is written; of one
    table where asked."""
    from goemo_report.report.render import SUFFIXES, render_block, render_files

    with spinner() as moving:
        moving("computing the report")
        report = comparison.report(sections=only, command=command)
        if table is None:
            files = {form: render_files(report, form, stem, extent, browser) for form in formats}
            return report, files
    tables = report.tables()
    if table not in tables:
        raise ArgumentError(f"there is no table {shown(table)}", f"Tables: {', '.join(tables)}")
    texts = {form: render_block(tables[table], form) for form in formats}
    return report, {
        form: {f"{stem}{SUFFIXES[form]}": text.encode("utf-8", "backslashreplace")}
        for form, text in texts.items()
    }


def write_all(documents: dict[str, dict[str, bytes]], directory: Path) -> list[Path]:
    """Write every file whole and name the documents; gives their paths in the order of formats."""
    for files in documents.values():
        for name, data in files.items():
            write_bytes(data, directory / name)
    written = [directory / next(iter(files)) for files in documents.values()]
    write_lines(map(str, written))
    return written
