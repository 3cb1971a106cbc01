"""Tables for people: aligned plain text, and rich ones where there is a terminal."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from goemo_report.cli._output import STDOUT, is_rich, write, write_json, write_lines, write_plain
from goemo_report.formats.text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from goemo_report.report.document import Column, Table

_GAP = "  "
_LEAST = 8  # columns of a text that is cut
_FOLDED = 16  # a text column is folded to this width before others are left out
_Item = TypeVar("_Item")


def write_answer(
    found: Any, form: str, output: Path = STDOUT, *, spare: Sequence[str] = (), folds: bool = True
) -> None:
    """Write what a function of the API gave: as JSON, for people, or as text of another format.

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
    dropped: list[str] = []
    for key in spare:
        if _least_width(table, folds=folds) <= width:
            break
        index = next((i for i, column in enumerate(table.columns) if column.key == key), None)
        if index is None:
            continue
        dropped.append(table.columns[index].title)
        table = replace(
            table,
            columns=_without(table.columns, index),
            rows=tuple(_without(row, index) for row in table.rows),
        )
    return (
        _captioned(table, f"Not shown at this width: {', '.join(dropped)}.") if dropped else table
    )


def _captioned(table: Table, line: str) -> Table:
    return replace(table, caption=f"{table.caption}\n{line}" if table.caption else line)


def cut(table: Table, width: int) -> Table:
    """The table with its longest texts cut so that no line is too wide, and a word on that."""
    from goemo_report.report.document import Cell

    texts = _texts(table)
    widths = [
        max((_width(text) for text in (column.title, *(row[index] for row in texts))), default=0)
        for index, column in enumerate(table.columns)
    ]
    room = width - len(_GAP) * (len(widths) - 1)
    if sum(widths) <= room:
        return table
    while sum(widths) > room and max(widths) > _LEAST:
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


def _without(items: tuple[_Item, ...], index: int) -> tuple[_Item, ...]:
    return items[:index] + items[index + 1 :]


def _least_width(table: Table, *, folds: bool = True) -> int:
    """Columns that a table needs on a terminal when every text that can be folded is."""
    texts = _texts(table)
    total = len(_GAP) * (len(table.columns) - 1)
    for index, column in enumerate(table.columns):
        longest = max((_width(row[index]) for row in texts), default=0)
        folded = folds and column.kind == "text" and index != table.row_header
        total += max(_width(column.title), min(longest, _FOLDED) if folded else longest)
    return total


def _texts(table: Table) -> list[list[str]]:
    from goemo_report.report.render.numbers import MARKS, as_cell, show_cell

    rows = []
    for row in table.rows:
        shown = []
        for value, column in zip(row, table.columns, strict=True):
            cell = as_cell(value)
            text = show_cell(cell, column)
            sign = MARKS[cell.mark][0] if cell.mark else ""
            shown.append(printable(f"{sign} {text}" if sign else text))
        rows.append(shown)
    return rows


def plain(table: Table) -> str:
    """Aligned columns, two spaces apart, nothing cut: for files and pipes."""
    head = [column.title for column in table.columns]
    rows = _texts(table)
    widths = [max(map(_width, cells)) for cells in zip(head, *rows, strict=True)]
    lines = [
        _GAP.join(_pad(*item) for item in zip(cells, widths, table.columns, strict=True)).rstrip()
        for cells in ([head] if any(head) else []) + rows
    ]
    return "\n".join([*_title(table), *lines, *_caption(table)])


def _render(table: Table, console: Console) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    from goemo_report.report.render.numbers import NUMERIC_KINDS, as_cell

    drawn = RichTable(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
        show_header=any(column.title for column in table.columns),
        header_style="bold",
    )
    too_wide = _least_width(table) > console.width
    for index, column in enumerate(table.columns):
        numeric = column.kind in NUMERIC_KINDS
        drawn.add_column(
            Text(column.title),
            justify="right" if numeric else "left",
            no_wrap=column.kind != "text" or (index == table.row_header and not too_wide),
            overflow="fold",
            style="cyan" if index == table.row_header else "",
        )
    for texts, values in zip(_texts(table), table.rows, strict=True):
        drawn.add_row(
            *(
                Text(text, style=_STYLES.get(as_cell(value).mark or "", ""))
                for text, value in zip(texts, values, strict=True)
            )
        )
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
    from goemo_report.report.render.numbers import NUMERIC_KINDS

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
