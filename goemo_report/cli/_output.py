"""Where text goes: data to standard output or a file, notes and progress to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from goemo_report.cli._errors import one_line
from goemo_report.errors import ArgumentError
from goemo_report.formats.files import write_output
from goemo_report.formats.text import printable, shown, visible

if TYPE_CHECKING:
    from goemo_report import ComparisonResult
    from goemo_report.report.document import Report
    from goemo_report.report.render import Extent
    from goemo_report.sources.base import Progress
    from goemo_report.sources.model import SkippedRun


def is_rich(stream: object) -> bool:
    """Whether a stream is a terminal that wants colours and moving bars."""
    is_terminal = getattr(stream, "isatty", lambda: False)()
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


STDOUT = Path("-")
"""The output file that means standard output."""


def write(text: str, output: Path = STDOUT) -> None:
    """Write a document as UTF-8, to standard output or whole into a file, and say so.

    A lone surrogate, which UTF-8 cannot hold, becomes its backslash escape. On a terminal
    control and direction characters do as well.
    """
    if output.is_char_device() or (output == STDOUT and sys.stdout.isatty()):
        text = visible(text, lines=True)
    write_bytes(text.encode("utf-8", "backslashreplace"), output)
    if output != STDOUT:
        note(f"wrote {output}")


def write_bytes(data: bytes, output: Path = STDOUT) -> None:
    """Write a document as it is, to standard output or whole into a file."""
    sys.stdout.flush()
    if output == STDOUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        write_output(output, data)
    except OSError as error:  # it would name the part file beside the target
        raise OSError(error.errno, error.strerror, os.fspath(output)) from error


def write_json(document: Any, output: Path = STDOUT) -> None:
    """Write one JSON document."""
    from goemo_report.formats.json_text import to_json

    write(to_json(document), output)


def write_lines(lines: Iterable[str], output: Path = STDOUT) -> None:
    """Write lines for people, each made harmless."""
    write_plain("".join(f"{printable(line)}\n" for line in lines), output)


def write_plain(text: str, output: Path = STDOUT) -> None:
    """Write printable text for people, to standard output in the encoding of the terminal."""
    if output == STDOUT:
        click.echo(text, nl=False)
    else:
        write(text, output)


def note_all(notes: Iterable[str]) -> None:
    """Each note as a line on standard error."""
    for text in notes:
        note(f"note: {text}")


def note(text: str) -> None:
    """A line on standard error."""
    click.echo(one_line(text), err=True)


def note_skipped(skipped: Iterable[SkippedRun]) -> None:
    """One line on standard error that names the runs that were left out, by the reason."""
    names: dict[str, list[str]] = {}
    for item in skipped:
        names.setdefault(item.reason, []).append(item.name)
    if names:
        note("skipped " + "; ".join(f"{', '.join(own)}: {why}" for why, own in names.items()))


@contextmanager
def progress() -> Iterator[Progress]:
    """A bar on standard error while work runs, which only moves where its length is not known, 0;
    nothing where that is no terminal."""
    if not is_rich(sys.stderr):
        yield lambda _description, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    bars = Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, TaskID] = {}

    def show(description: str, done: int, total: int) -> None:
        if description not in tasks:
            tasks[description] = bars.add_task(one_line(description), total=total or None)
        bars.update(tasks[description], completed=done, total=total or None)

    with bars:
        yield show


# --- Reports --------------------------------------------------------------------------

DEFAULT_FORMATS = ("html", "md", "json")


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

    with progress() as bar:
        bar("computing the report", 0, 0)
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
