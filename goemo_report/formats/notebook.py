"""What a notebook shows of a result: escaped, small, legible on light and on dark."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from typing import Any, Final

from goemo_report.formats.json_text import SCHEMA_VERSION
from goemo_report.formats.text import shortened, visible

MOST_ROWS: Final = 30
_MOST_LINES: Final = 200
_LONGEST: Final = 80
_LONGEST_TITLE: Final = 1000
_STYLE: Final = (
    "border-collapse:collapse;font-variant-numeric:tabular-nums;color:inherit;background:none"
)
_CELL: Final = "padding:2px 10px;text-align:{};border-bottom:1px solid rgba(128,128,128,.35)"


def page(title: str, *parts: str) -> str:
    """A heading and parts, which are HTML already."""
    return f"<div><p><strong>{text(title, _LONGEST_TITLE)}</strong></p>{''.join(parts)}</div>"


def picture(svg: str, alt: str) -> str:
    """An SVG as an image: nothing in it can run, and its style stays its own."""
    data = b64encode(svg.encode()).decode()
    return f'<p><img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}"></p>'


class NotebookRepr:
    """Notebook display of a result about a run: its lines as HTML, one line as text."""

    __slots__ = ()
    run: Any

    def lines(self) -> Iterable[str]:
        """All of it for people, a line a fact."""
        raise NotImplementedError

    def about(self) -> dict[str, Any]:
        """Start its JSON: version and run."""
        return {"schema_version": SCHEMA_VERSION, "run": {"id": self.run.id, "name": self.run.name}}

    def __repr__(self) -> str:
        """What it is, of which run."""
        return f"<{type(self).__name__} of {visible(self.run.name)}>"

    def _repr_html_(self) -> str:
        every = [text(line, _LONGEST_TITLE) for line in islice(self.lines(), _MOST_LINES)]
        body = "\n".join(every)
        return page(repr(self), f'<pre style="color:inherit;background:none">{body}</pre>')


def text(value: object, longest: int = _LONGEST) -> str:
    """A value as HTML text, cut to a sane length; numbers with three digits."""
    if value is None or value != value:  # nan
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return escape(shortened(visible(str(value)), longest))


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], count: int | None = None
) -> str:
    """A table with at most MOST_ROWS rows; one line says how many, of `count`, are left out."""
    every = list(rows)
    head = "".join(f'<th style="{_CELL.format("left")}">{text(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in every[:MOST_ROWS])
    left = (count or len(every)) - MOST_ROWS
    more = f"<p>… and {left:,} more rows; to_frame() has them all</p>" if left > 0 else ""
    return f'<table style="{_STYLE}"><tr>{head}</tr>{body}</table>{more}'


def _cell(value: object) -> str:
    align = "right" if isinstance(value, int | float) else "left"
    return f'<td style="{_CELL.format(align)}">{text(value)}</td>'
