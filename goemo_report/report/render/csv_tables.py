"""Tables -> CSV with full precision.

One table is as wide as it is: columns are named by their keys; an interval is two more
columns, `KEY_low` and `KEY_high`. Several tables are one long table, a line a value.
Text that a spreadsheet would run as a formula gets an apostrophe before it (see
`csv_text`); numbers are left as they are.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from goemo_report.errors import SettingsError
from goemo_report.report.document import (
    Block,
    Cell,
    Facts,
    Heatmap,
    Plot,
    Report,
    Section,
    Table,
    Value,
)
from goemo_report.report.render.numbers import as_cell
from goemo_report.report.render.text import csv_text

Line = list[str]
LONG: Final = ("section", "table", "group", "row", "name", "column", "value", "low", "high")
"""Columns of several tables as one: `name` is the row's header, where it has one."""


def render_csv(report: Report) -> str:
    """Every value of every table of a report, in one long table with the columns LONG.

    `row` counts from 1, so that the values of one row can be put together again. A report
    with a single table is that table alone, as wide as it is.
    """
    found = [
        (section, block)
        for section in report.sections
        for block in section.blocks
        if isinstance(block, (Table, Plot, Heatmap, Facts))
    ]
    if len(found) == 1:
        return render_csv_block(found[0][1])
    lines = (line for section, block in found for line in _long(section, block))
    return _write(itertools.chain([list(LONG)], lines))


def render_csv_block(block: Block) -> str:
    """One table, or the table behind a figure. Raises SettingsError for prose."""
    if isinstance(block, (Plot, Heatmap)):
        block = block.table
    if isinstance(block, Table):
        return _write(_table(block))
    if isinstance(block, Facts):
        return _write(_facts(block))
    raise SettingsError(
        "only tables and figures can be written as CSV", "choose the format md, html or json"
    )


def _write(lines: Iterable[Line]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerows(lines)
    return buffer.getvalue()


def _table(table: Table) -> Iterator[Line]:
    rows = [[as_cell(value) for value in row] for row in table.rows]
    wide = [
        any(row[i].low is not None or row[i].high is not None for row in rows)
        for i in range(len(table.columns))
    ]
    groups = _groups(table)
    head = [csv_text(column.key) for column in table.columns]
    named = [
        name
        for key, has_interval in zip(head, wide, strict=True)
        for name in ([key, f"{key}_low", f"{key}_high"] if has_interval else [key])
    ]
    yield (["group"] if groups else []) + named
    for index, row in enumerate(rows):
        cells = [
            text
            for cell, has_interval in zip(row, wide, strict=True)
            for text in (_cell(cell) if has_interval else _cell(cell)[:1])
        ]
        yield ([csv_text(groups[index]) if index < len(groups) else ""] if groups else []) + cells


def _long(section: Section, block: Table | Plot | Heatmap | Facts) -> Iterator[Line]:
    """A line a value: where it stands, the value and its interval."""
    where = [csv_text(section.id), csv_text(block.id)]
    if isinstance(block, Facts):
        for number, (name, value, _) in enumerate(block.items, 1):
            yield [*where, "", str(number), csv_text(name), "value", *_cell(as_cell(value))]
        return
    table = block if isinstance(block, Table) else block.table
    groups = _groups(table)
    for index, row in enumerate(table.rows):
        group = csv_text(groups[index]) if index < len(groups) else ""
        cells = [as_cell(value) for value in row]
        headed = 0 <= table.row_header < len(cells)
        name = _value(cells[table.row_header].value) if headed else ""
        for cell, column in zip(cells, table.columns, strict=True):
            yield [*where, group, str(index + 1), name, csv_text(column.key), *_cell(cell)]


def _groups(table: Table) -> list[str]:
    return [title for title, count in table.row_groups for _ in range(count)]


def _facts(block: Facts) -> Iterator[Line]:
    yield ["name", "value", "low", "high", "how"]
    for name, value, how in block.items:
        yield [csv_text(name), *_cell(as_cell(value)), csv_text(how)]


def _cell(cell: Cell) -> Line:
    return [_value(cell.value), _value(cell.low), _value(cell.high)]


def _value(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return csv_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if isinstance(value, float) and not math.isfinite(value) else repr(value)
