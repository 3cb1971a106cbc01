"""Report -> JSON: everything that the HTML shows, as values.

`report.schema.json` beside this file describes it. Within one table a column holds
either plain values or, where any of its cells knows more, objects with `value` and what
is known (`low`, `high`, `link`, `mark`, `note`); `detailed` says which.
"""

from __future__ import annotations

from typing import Any, Final

from goemo_report.formats.json_text import SCHEMA_VERSION, to_json
from goemo_report.report.document import (
    Axis,
    Block,
    Callout,
    Cell,
    Code,
    Heatmap,
    Plot,
    Report,
    Section,
    Series,
    Table,
)
from goemo_report.report.render.numbers import defined
from goemo_report.report.render.text import safe_link

Json = dict[str, Any]

_KEYS: Final[dict[type, tuple[str, str]]] = {
    Section: ("", "id title chapter lead method blocks"),
    Callout: ("callout", "level text items"),
    Code: ("code", "language text"),
    Plot: ("plot", "id title caption alt shape x y horizontal diagonal zero series table"),
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
            {
                "key": column.key,
                "title": column.title,
                "kind": column.kind,
                "digits": column.digits,
                "help": column.help,
                "detailed": more,
            }
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
