"""Where text goes: data to standard output or a file, notes and progress to standard error; tables
for people as aligned plain text, and as rich ones where there is a terminal."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from goemo_report.cli._group import FOUND_SOMETHING, one_line
from goemo_report.formats.files import write_output
from goemo_report.formats.text import printable, visible

if TYPE_CHECKING:
    from rich.console import Console

    from goemo_report.report.document import Column, Table
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


def write_json(document: Any, output: Path) -> None:
    """Write one JSON document."""
    from goemo_report.formats.json_text import to_json

    write(to_json(document), output)


def write_lines(lines: Iterable[str], output: Path = STDOUT) -> None:
    """Write lines for people, each made harmless."""
    write_plain("".join(f"{printable(line)}\n" for line in lines), output)


def write_plain(text: str, output: Path) -> None:
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


# --- Answers and tables ---------------------------------------------------------------

_GAP = "  "
_LEAST = 8  # columns of a text that is cut
_FOLDED = 16  # a text column is folded to this width before others are left out


def write_answer(
    found: Any,
    form: str,
    output: Path = STDOUT,
    *,
    spare: Sequence[str] = (),
    folds: bool = True,
    notes: Iterable[str] = (),
    passed: bool = True,
) -> None:
    """Write what a function of the API gave: as JSON, for people, or as text of another format;
    then its notes. Ends the command with exit code 3 where it is not `passed`.

    `spare` are columns that a narrow terminal can do without, the first one first. What is still
    too wide goes on in the next line, or is cut where it does not fold.
    """
    if form == "json":
        write_json(found.document(), output)
    elif form not in {"table", "text"}:
        write(found.render(form), output)
    elif hasattr(found, "lines"):
        write_lines(found.lines(), output)
    elif output != STDOUT or not sys.stdout.isatty():
        texts = [block if isinstance(block, str) else plain(block) for block in found.tables()]
        write_plain("\n\n".join(texts) + "\n", output)
    else:
        _show(found.tables(), spare, folds=folds)
    note_all(notes)
    if not passed:
        raise click.exceptions.Exit(FOUND_SOMETHING)


def _show(blocks: Iterable[str | Table], spare: Sequence[str], *, folds: bool) -> None:
    from rich.console import Console

    console = Console(color_system="auto" if is_rich(sys.stdout) else None)
    for number, block in enumerate(blocks):
        if number:
            click.echo()
        if isinstance(block, str):
            click.echo(block)
        else:
            table = narrowed(block, console.width, spare, folds=folds)
            _render(table if folds else cut(table, console.width), console)


def narrowed(table: Table, width: int, spare: Sequence[str], *, folds: bool = True) -> Table:
    """The table without as many spare columns as keep it from fitting, and a word on them."""
    needs = dict(enumerate(_widths(table, _texts(table), folds=folds)))
    places = {column.key: place for place, column in enumerate(table.columns)}
    dropped = []
    for key in spare:
        if _line_width(needs.values()) <= width:
            break
        if key in places:
            dropped.append(table.columns[places[key]].title)
            del needs[places[key]]
    if not dropped:
        return table
    columns = tuple(table.columns[place] for place in needs)
    rows = tuple(tuple(row[place] for place in needs) for row in table.rows)
    line = f"Not shown at this width: {', '.join(dropped)}."
    return _captioned(replace(table, columns=columns, rows=rows), line)


def _captioned(table: Table, line: str) -> Table:
    return replace(table, caption=f"{table.caption}\n{line}" if table.caption else line)


def cut(table: Table, width: int) -> Table:
    """The table with its longest texts cut so that no line is too wide, and a word on that."""
    from goemo_report.report.document import Cell

    texts = _texts(table)
    widths = _widths(table, texts, folds=False)
    if _line_width(widths) <= width:
        return table
    while _line_width(widths) > width and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1
    rows = tuple(
        tuple(
            Cell(_shortened(text, most)) if _width(text) > most else value
            for value, text, most in zip(row, shown, widths, strict=True)
        )
        for row, shown in zip(table.rows, texts, strict=True)
    )
    line = "Cut at this width (\u2026): --format json has all."
    return _captioned(replace(table, rows=rows), line)


def _shortened(text: str, most: int) -> str:
    """A text of at most so many columns: its beginning and, of one word, its end as well."""
    kept = 0 if " " in text.strip() else (most - 1) // 2
    end = text[len(text) - kept :]
    while _width(text) + 1 + _width(end) > most:
        text = text[:-1]
    return f"{text}\u2026{end}"


def _widths(table: Table, texts: list[list[str]], *, folds: bool) -> list[int]:
    """Columns of a terminal that each column needs, when texts that can be folded are."""
    found = []
    for place, column in enumerate(table.columns):
        longest = max((_width(row[place]) for row in texts), default=0)
        if folds and column.kind == "text" and place != table.row_header:
            longest = min(longest, _FOLDED)
        found.append(max(_width(column.title), longest))
    return found


def _line_width(widths: Collection[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _texts(table: Table) -> list[list[str]]:
    from goemo_report.report.render.text import MARKS, show_cell

    rows = []
    for row in table.cells():
        shown = []
        for cell, column in zip(row, table.columns, strict=True):
            text = show_cell(cell, column)
            sign = MARKS[cell.mark][0] if cell.mark else ""
            shown.append(printable(f"{sign} {text}" if sign else text))
        rows.append(shown)
    return rows


def plain(table: Table) -> str:
    """Aligned columns, two spaces apart, nothing cut: for files and pipes."""
    head = [column.title for column in table.columns]
    rows = _texts(table)
    widths = _widths(table, rows, folds=False)
    lines = [
        _GAP.join(_pad(*item) for item in zip(cells, widths, table.columns, strict=True)).rstrip()
        for cells in ([head] if any(head) else []) + rows
    ]
    return "\n".join([*_title(table), *lines, *_caption(table)])


def _render(table: Table, console: Console) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    from goemo_report.report.render.text import NUMERIC_KINDS

    drawn = RichTable(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        show_header=any(column.title for column in table.columns),
        header_style="bold",
    )
    texts = _texts(table)
    too_wide = _line_width(_widths(table, texts, folds=True)) > console.width
    for index, column in enumerate(table.columns):
        numeric = column.kind in NUMERIC_KINDS
        drawn.add_column(
            Text(column.title),
            justify="right" if numeric else "left",
            no_wrap=column.kind != "text" or (index == table.row_header and not too_wide),
            overflow="fold",
            style="cyan" if index == table.row_header else "",
        )
    for row, cells in zip(texts, table.cells(), strict=True):
        styles = (_STYLES.get(cell.mark or "", "") for cell in cells)
        drawn.add_row(*map(Text, row, styles))
    for line in _title(table):
        console.print(Text(line, style="bold"))
    console.print(drawn)
    for line in _caption(table):
        console.print(Text(line, style="dim"))


_STYLES = {"best": "bold green", "good": "green", "bad": "red", "warning": "yellow", "muted": "dim"}


def _title(table: Table) -> list[str]:
    return [printable(table.title)] if table.title else []


def _caption(table: Table) -> list[str]:
    return [printable(line) for line in table.caption.splitlines()]


def _pad(text: str, width: int, column: Column) -> str:
    from goemo_report.report.render.text import NUMERIC_KINDS

    space = " " * (width - _width(text))
    return space + text if column.kind in NUMERIC_KINDS else text + space


def _width(text: str) -> int:
    """Columns that a terminal gives a text: wide characters take two, combining ones none."""
    if text.isascii():  # and nothing of rich is loaded for a file or a pipe
        return len(text)
    return sum(
        1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
        if not unicodedata.combining(c) and c not in "\u200d\ufe0f"
    )
