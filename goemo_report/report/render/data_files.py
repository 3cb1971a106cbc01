"""Report -> JSON and CSV: values with full precision, everything that the HTML shows.

`report.schema.json` beside this file describes the JSON. Within one table a column holds
either plain values or, where any of its cells knows more, objects with `value` and what
is known (`low`, `high`, `link`, `mark`, `note`); `detailed` says which.

One table as CSV is as wide as it is: columns are named by their keys; an interval is two more
columns, `KEY_low` and `KEY_high`. Several tables are one long table, a line a value.
Numbers are as they are; text that a spreadsheet would run is not (see `to_csv`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from goemo_report.errors import SettingsError
from goemo_report.formats.json_text import SCHEMA_VERSION, to_json
from goemo_report.formats.table import to_csv
from goemo_report.report.document import (
    Axis,
    Block,
    Callout,
    Cell,
    Code,
    Column,
    Heatmap,
    Plot,
    Report,
    Section,
    Series,
    Table,
    Value,
)
from goemo_report.report.render.text import defined, safe_link

Json = dict[str, Any]

_KEYS: Final[dict[type, tuple[str, str]]] = {
    Section: ("", "id title chapter lead method blocks"),
    Callout: ("callout", "level text items"),
    Code: ("code", "language text"),
    Plot: ("plot", "id title caption alt shape x y horizontal diagonal zero series table"),
    Column: ("", "key title kind digits help"),
    Axis: ("", "title scale low high categories percent ticks"),
    Series: ("", "name group style colour hollow x y low high notes"),
    Heatmap: ("heatmap", "id title caption alt scale bound rows columns values hatched table"),
}
"""Kind and keys of what is written as it is."""


def render_json(report: Report) -> str:
    """The whole report as one document."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "report",
        "title": report.title,
        "subtitle": report.subtitle,
        "created_at": report.created_at,
        "signature": report.signature,
        "command": report.command,
        "runs": report.palette_names,
        "sections": _plain(report.sections),
        "data": report.data,
    }
    return to_json(document, indent=1)


def render_json_block(block: Block) -> str:
    """One block as a document of its own."""
    return to_json({"schema_version": SCHEMA_VERSION, **_plain(block)}, indent=1)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return list(map(_plain, value))
    if isinstance(value, frozenset):
        return sorted(map(list, value))
    if isinstance(value, Table):
        return _table(value)
    if type(value) not in _KEYS:
        return defined(value)
    kind, keys = _KEYS[type(value)]
    plain = {key: _plain(getattr(value, key)) for key in keys.split()}
    return {"kind": kind, **plain} if kind else plain


def _table(table: Table) -> Json:
    rows = table.cells()
    detailed = [any(len(_cell(row[i])) > 1 for row in rows) for i in range(len(table.columns))]
    keys = [column.key for column in table.columns]
    return {
        "kind": "table",
        "id": table.id,
        "title": table.title,
        "caption": table.caption,
        "columns": [
            _plain(column) | {"detailed": more}
            for column, more in zip(table.columns, detailed, strict=True)
        ],
        "row_header": keys[table.row_header] if 0 <= table.row_header < len(keys) else None,
        "row_groups": [{"title": title, "rows": count} for title, count in table.row_groups],
        "nested": list(table.nested),
        "rows": [
            {
                key: _cell(cell) if more else defined(cell.value)
                for key, cell, more in zip(keys, row, detailed, strict=True)
            }
            for row in rows
        ],
    }


def _cell(cell: Cell) -> Json:
    """A value and what is known about it; what is not known is left out."""
    known = {
        "low": defined(cell.low),
        "high": defined(cell.high),
        "link": safe_link(cell.link),
        "mark": cell.mark,
        "note": cell.note or None,
    }
    return {"value": defined(cell.value)} | {k: v for k, v in known.items() if v is not None}


# --- CSV --------------------------------------------------------------------------------

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
    rows = [list(map(_bounded, row)) for row in table.cells()]
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
            yield [section, block.id, group, number, head, column.key, *_bounded(cell)]


def _groups(table: Table) -> list[Value]:
    """The title of each row's group, empty without one."""
    titles: list[Value] = [title for title, count in table.row_groups for _ in range(count)]
    return [*titles, *[""] * len(table.rows)][: len(table.rows)]


def _bounded(cell: Cell) -> Line:
    return [defined(cell.value), defined(cell.low), defined(cell.high)]
