"""HTML of tables: the part of a page that there is most of, so it is built without templates.

Optional end tags are left out and alignment is said once a column, which makes a large
report a third smaller.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeGuard

from markupsafe import Markup

from goemo_report.formats.text import visible
from goemo_report.report.document import MISSING, Cell, Column, Table, Value
from goemo_report.report.render.text import (
    MARKS,
    NUMERIC_KINDS,
    anchor,
    html_text,
    safe_link,
    show,
    show_interval,
)

MAX_FOOTNOTES: Final = 12
"""More different notes than this are shown at their cell instead of below the table."""
SHADES: Final = 6
_SHORT_TEXT: Final = 22
_LONG_TEXT: Final = 40
_LONG_HEADER: Final = 24
_STACK_FROM: Final = 3
_CARDS_FROM: Final = 5  # columns: a row is a card on a phone
_DENSE_FROM: Final = 11  # columns: small type on paper
_WIDE_FROM: Final = 14  # columns: a landscape page of its own
_TALL_FROM: Final = 12  # rows that are worth a page
_CSS_MARKS: Final = re.compile(r"[\\']")
_SORT_BY_VALUE: Final = frozenset({"duration", "bytes"})


class TableView(NamedTuple):
    """A table ready for its template: the element itself, and the notes below it by letter."""

    html: Markup
    notes: dict[str, str]


@dataclass(slots=True)
class _Writer:
    """What the cells of one table share."""

    table: Table
    footnotes: dict[str, str]
    ranges: dict[int, tuple[float, float]]
    row_ids: Counter[str] = field(default_factory=Counter)


def table_view(table: Table, table_id: str) -> TableView:
    """HTML of a table; rows are anchors `{table_id}-{row header}` unless it is browsed."""
    rows = table.cells()
    writer = _Writer(table, _footnotes(rows), _ranges(table, rows))
    classes = _classes(table, rows)
    parts = [
        f"<table class={_quoted(classes)}{_labels(table) if 'cards' in classes else ''}>",
        f'<caption class="sr">{html_text(table.title)}</caption>',
        "<thead><tr>",
        *(f"<th scope=col>{html_text(column.title)}" for column in table.columns),
        "</thead>",
        *_bodies(writer, rows, table_id),
        "</table>",
    ]
    notes = {letter: note for note, letter in writer.footnotes.items()}
    return TableView(Markup("".join(parts)), notes)  # noqa: S704 # every value above is escaped


def _classes(table: Table, rows: Sequence[tuple[Cell, ...]]) -> str:
    """Alignment and width of columns, said once: `n3` numbers; text that is kept on one line (`k`),
    has some room (`m`) or much (`w`)."""
    names = []
    for index, column in enumerate(table.columns):
        if column.kind in NUMERIC_KINDS:
            names.append(f"n{index + 1}")
        elif index != table.row_header:
            longest = max((len(show(row[index].value, column)) for row in rows), default=0)
            kept = "k" if longest <= _SHORT_TEXT else "m" if longest <= _LONG_TEXT else "w"
            names.append(f"{kept}{index + 1}")
    with_interval = sum(
        any(row[index].low is not None for row in rows) for index in range(len(table.columns))
    )
    filled = any(name.startswith("w") for name in names)
    if filled:
        names.append("fill")
    if with_interval >= (1 if filled else _STACK_FROM):  # long text leaves no room beside a number
        names.append("stack")
    if len(table.columns) >= _CARDS_FROM:
        names.append("cards")
        kinds = {index for index, column in enumerate(table.columns) if column.kind == "integer"}
        names += [f"o{index + 1}" for index in sorted(kinds - {table.row_header})]
    if len(table.columns) >= _DENSE_FROM:
        names.append("dense")
    if len(table.columns) >= _WIDE_FROM and len(rows) >= _TALL_FROM:
        names.append("wide")
    if 0 <= (head := table.row_header) < len(table.columns) and any(
        len(str(row[head].value)) > _LONG_HEADER for row in rows
    ):
        names.append("long")
    return " ".join(names) or "t"


def _labels(table: Table) -> str:
    """Titles of the columns as strings of the style sheet, which cards show beside their values."""
    told = ";".join(
        f"--t{index}:'{_CSS_MARKS.sub(lambda found: chr(92) + found[0], visible(column.title))}'"
        for index, column in enumerate(table.columns, 1)
    )
    return (
        f' style="{str(html_text(told)).replace("&#39;", chr(39))}"'  # a string within an attribute
    )


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _bodies(writer: _Writer, rows: Sequence[tuple[Cell, ...]], table_id: str) -> Iterator[str]:
    table = writer.table
    start = 0
    written = [_row(writer, row, table_id) for row in rows]
    for at, nested in enumerate(table.nested):
        if nested:
            written[at] = written[at].replace("<tr", "<tr class=sub", 1)
    for title, count in table.row_groups:
        yield "<tbody>"
        yield f"<tr class=g><th scope=rowgroup colspan={len(table.columns)}>{html_text(title)}"
        yield from written[start : start + count]
        yield "</tbody>"
        start += count
    if start < len(rows) or not table.row_groups:
        yield "<tbody>"
        yield from written[start:]
        if not rows:
            yield f"<tr><td colspan={len(table.columns)} class=mu>No rows."
        yield "</tbody>"


def _row(writer: _Writer, row: tuple[Cell, ...], table_id: str) -> str:
    table = writer.table
    parts = [f"<tr{_row_id(writer, row, table_id)}>"]
    for index, (cell, column) in enumerate(zip(row, table.columns, strict=True)):
        tag = "th scope=row" if index == table.row_header else "td"
        attributes = _attributes(writer, index, cell, column)
        parts.append(f"<{tag}{attributes}>{_content(writer, cell, column)}")
    return "".join(parts)


def _row_id(writer: _Writer, row: tuple[Cell, ...], table_id: str) -> str:
    table = writer.table
    if table.browse or not 0 <= table.row_header < len(row):
        return ""
    name = anchor(show(row[table.row_header].value, table.columns[table.row_header]))
    writer.row_ids[name] += 1
    if writer.row_ids[name] > 1:
        name = f"{name}-{writer.row_ids[name]}"
    return f' id="{html_text(f"{table_id}-{name}")}"'


def _attributes(writer: _Writer, index: int, cell: Cell, column: Column) -> str:
    shade, result = "", ""
    if index in writer.ranges:
        shade = _shade(cell.value, writer.ranges[index], diverging=column.kind == "delta")
    mark = {"muted": "mu", "best": "be"}.get(cell.mark or "", "")
    if shown := " ".join(filter(None, (shade, mark))):
        result = f" class={_quoted(shown)}"
    if column.kind in _SORT_BY_VALUE and _is_number(cell.value):
        result += f" data-v={cell.value}"
    return result


def _content(writer: _Writer, cell: Cell, column: Column) -> str:
    if column.kind == "strip":
        return _strip(str(cell.value))
    text = str(html_text(show(cell.value, column)))
    if column.kind == "code" and text:
        text = f"<code>{text}</code>"
    if link := safe_link(cell.link):
        text = f'<a href="{html_text(link)}">{text}</a>'
    if cell.note and cell.note not in writer.footnotes:
        text = f'<abbr tabindex=0 title="{html_text(cell.note)}">{text}</abbr>'
    if cell.mark is not None and MARKS[cell.mark][0]:
        sign, word = MARKS[cell.mark]
        sign = f"<span class=m-{cell.mark} role=img aria-label={word}>{sign}</span>"
        text = f"{sign}&nbsp;{text}" if column.kind in NUMERIC_KINDS else f"{text}&nbsp;{sign}"
    letter = writer.footnotes.get(cell.note)
    footnote = f"<sup>{letter}</sup>" if letter else ""
    if interval := show_interval(cell, column):
        return f"{text} <i>{interval}{footnote}</i>"  # last, where it has room
    return text + footnote


def _strip(values: str) -> str:
    """Probabilities as small bars, one a run; the numbers are said and shown on hover."""
    bars = "".join(
        " " if value == MISSING else chr(0x2581 + min(7, int(8 * float(value))))
        for value in values.split()
    )
    return f'<span class=st role=img title="{html_text(values)}">{bars}</span>'


def _footnotes(rows: Sequence[tuple[Cell, ...]]) -> dict[str, str]:
    """A letter for every different note, or none where there are too many."""
    notes = dict.fromkeys(cell.note for row in rows for cell in row if cell.note)
    if len(notes) > MAX_FOOTNOTES:
        return {}
    return {note: chr(ord("a") + index) for index, note in enumerate(notes)}


def _ranges(table: Table, rows: Sequence[tuple[Cell, ...]]) -> dict[int, tuple[float, float]]:
    """Smallest and largest value for every shaded column.

    Columns of one kind share them, so that one shade is one value across the table.
    """
    values: dict[str, list[float]] = {}
    shaded = {index: column.kind for index, column in enumerate(table.columns) if column.shade}
    for index, kind in shaded.items():
        numbers = [row[index].value for row in rows]
        values.setdefault(kind, []).extend(filter(_is_number, numbers))
    ends = {kind: (min(found), max(found)) for kind, found in values.items() if found}
    return {index: ends[kind] for index, kind in shaded.items() if kind in ends}


def _shade(value: Value, bounds: tuple[float, float], *, diverging: bool) -> str:
    """Class of a heat cell: `s0` to `s5`; `p1` to `p5` above zero, `q1` to `q5` below."""
    if not _is_number(value):
        return ""
    low, high = bounds
    if diverging:
        step = round((SHADES - 1) * abs(value) / (max(abs(low), abs(high)) or 1.0))
        return f"{'p' if value > 0 else 'q'}{step}" if step else ""
    step = round((SHADES - 1) * (value - low) / ((high - low) or 1.0))
    return f"s{step}" if step else ""


def _is_number(value: Value) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
