"""Tables -> CSV with full precision.

One table is as wide as it is: columns are named by their keys; an interval is two more
columns, `KEY_low` and `KEY_high`. Several tables are one long table, a line a value.
Numbers are as they are; text that a spreadsheet would run is not (see `to_csv`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from goemo_report.errors import SettingsError
from goemo_report.formats.table import to_csv
from goemo_report.report.document import Block, Cell, Heatmap, Plot, Report, Table, Value
from goemo_report.report.render.numbers import defined

Line = list[Value]
LONG: Final = ("section", "table", "group", "row", "name", "column", "value", "low", "high")
"""Columns of several tables as one: `name` is the row's header, where it has one."""


def render_csv(report: Report) -> str:
    """Every value of every table of a report, in one long table with the columns LONG.

    `row` counts from 1, so that the values of one row can be put together again. A report
    with a single table is that table alone, as wide as it is.
    """
    found = [
        (section.id, block)
        for section in report.sections
        for block in section.blocks
        if isinstance(block, (Table, Plot, Heatmap))
    ]
    if len(found) == 1:
        return render_csv_block(found[0][1])
    return to_csv([LONG, *(line for where, block in found for line in _long(where, block))])


def render_csv_block(block: Block) -> str:
    """One table, or the table behind a figure. Raises SettingsError for others."""
    if isinstance(block, (Plot, Heatmap)):
        block = block.table
    if not isinstance(block, Table):
        raise SettingsError(
            "only tables and figures can be written as CSV", "choose the format md, html or json"
        )
    lines = wide_rows(block)
    if not block.row_groups:
        return to_csv(lines)
    return to_csv([g, *line] for g, line in zip(["group", *_groups(block)], lines, strict=True))


def wide_rows(table: Table, *, titled: bool = False) -> Iterator[Line]:
    """Header and rows of a table; an interval takes two columns of its own.

    The header has the keys of the columns or, `titled`, their titles.
    """
    rows = [list(map(_cell, row)) for row in table.cells()]
    widths = [
        3 if any(row[i][1:] != [None, None] for row in rows) else 1
        for i in range(len(table.columns))
    ]
    low, high = (", 95% low", ", 95% high") if titled else ("_low", "_high")
    names = [column.title if titled else column.key for column in table.columns]
    head: list[Line] = [[name, f"{name}{low}", f"{name}{high}"] for name in names]
    for cells in (head, *rows):
        yield [v for cell, width in zip(cells, widths, strict=True) for v in cell[:width]]


def _long(section: str, block: Table | Plot | Heatmap) -> Iterator[Line]:
    """A line a value: where it stands, the value and its interval."""
    table = block if isinstance(block, Table) else block.table
    for number, (group, row) in enumerate(zip(_groups(table), table.cells(), strict=True), 1):
        head = defined(row[table.row_header].value) if 0 <= table.row_header < len(row) else ""
        for cell, column in zip(row, table.columns, strict=True):
            yield [section, block.id, group, number, head, column.key, *_cell(cell)]


def _groups(table: Table) -> list[Value]:
    """The title of each row's group, empty without one."""
    titles: list[Value] = [title for title, count in table.row_groups for _ in range(count)]
    return [*titles, *[""] * len(table.rows)][: len(table.rows)]


def _cell(cell: Cell) -> Line:
    return [defined(cell.value), defined(cell.low), defined(cell.high)]
