"""Report -> JSON: everything that the HTML shows, as values.

`report.schema.json` beside this file describes it. Within one table a column holds
either plain values or, where any of its cells knows more, objects with `value` and what
is known (`low`, `high`, `link`, `mark`, `note`); `detailed` says which.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from goemo_report.formats.json_text import to_json
from goemo_report.report.document import (
    Block,
    Callout,
    Cell,
    Code,
    Column,
    Facts,
    Heatmap,
    Plot,
    Report,
    Section,
    Series,
    Table,
    Value,
)
from goemo_report.report.render.numbers import as_cell, defined
from goemo_report.report.render.text import safe_link

SCHEMA_VERSION: Final = 1
Json = dict[str, Any]


def render_json(report: Report) -> str:
    """The whole report as one document."""
    return to_json(
        {
            "schema_version": SCHEMA_VERSION,
            "kind": "report",
            "title": report.title,
            "subtitle": report.subtitle,
            "created_at": report.created_at,
            "signature": report.signature,
            "command": report.command,
            "runs": list(report.palette_names),
            "sections": [_section(section) for section in report.sections],
            "data": report.data,
        },
        indent=1,
    )


def render_json_block(block: Block) -> str:
    """One block as a document of its own."""
    return to_json({"schema_version": SCHEMA_VERSION, **_block(block)}, indent=1)


def _section(section: Section) -> Json:
    return {
        "id": section.id,
        "title": section.title,
        "lead": section.lead,
        "method": section.method,
        "blocks": [_block(block) for block in section.blocks],
    }


def _block(block: Block) -> Json:
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Plot):
        return _plot(block)
    if isinstance(block, Heatmap):
        return _heatmap(block)
    if isinstance(block, Facts):
        return {"kind": "facts", "id": block.id, "items": [_fact(*item) for item in block.items]}
    if isinstance(block, Callout):
        items = list(block.items)
        return {"kind": "callout", "level": block.level, "text": block.text, "items": items}
    if isinstance(block, Code):
        return {"kind": "code", "language": block.language, "text": block.text}
    return {"kind": "prose", "paragraphs": list(block.paragraphs)}


def _fact(name: str, value: Value | Cell, how: str) -> Json:
    return {"name": name, **_cell(as_cell(value)), "how": how}


def _table(table: Table) -> Json:
    rows = [[as_cell(value) for value in row] for row in table.rows]
    detailed = [any(_knows_more(row[i]) for row in rows) for i in range(len(table.columns))]
    keys = [column.key for column in table.columns]
    return {
        "kind": "table",
        "id": table.id,
        "title": table.title,
        "caption": table.caption,
        "columns": [_column(*pair) for pair in zip(table.columns, detailed, strict=True)],
        "row_header": keys[table.row_header] if 0 <= table.row_header < len(keys) else None,
        "row_groups": [{"title": title, "rows": count} for title, count in table.row_groups],
        "rows": [
            {
                key: _cell(cell) if more else defined(cell.value)
                for key, cell, more in zip(keys, row, detailed, strict=True)
            }
            for row in rows
        ],
    }


def _column(column: Column, detailed: bool) -> Json:
    return {
        "key": column.key,
        "title": column.title,
        "kind": column.kind,
        "digits": column.digits,
        "help": column.help,
        "detailed": detailed,
    }


def _knows_more(cell: Cell) -> bool:
    return any((cell.low is not None, cell.high is not None, cell.link, cell.mark, cell.note))


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


def _plot(plot: Plot) -> Json:
    return {
        "kind": "plot",
        "id": plot.id,
        "title": plot.title,
        "caption": plot.caption,
        "alt": plot.alt,
        "x": asdict(plot.x),
        "y": asdict(plot.y),
        "horizontal": plot.horizontal,
        "connect": plot.connect,
        "diagonal": plot.diagonal,
        "choose": plot.choose,
        "series": [_series(series) for series in plot.series],
        "table": _table(plot.table),
    }


def _series(series: Series) -> Json:
    return {
        "name": series.name,
        "group": series.group,
        "style": series.style,
        "colour": series.colour,
        "hidden": series.hidden,
        "x": list(map(defined, series.x)),
        "y": list(map(defined, series.y)),
        "low": list(map(defined, series.low)),
        "high": list(map(defined, series.high)),
        "notes": list(series.notes),
    }


def _heatmap(block: Heatmap) -> Json:
    return {
        "kind": "heatmap",
        "id": block.id,
        "title": block.title,
        "caption": block.caption,
        "alt": block.alt,
        "scale": block.scale,
        "row_title": block.row_title,
        "column_title": block.column_title,
        "rows": list(block.rows),
        "columns": list(block.columns),
        "values": [list(map(defined, row)) for row in block.values],
        "table": _table(block.table),
    }
