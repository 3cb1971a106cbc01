"""Report -> text. Pure: the same report gives the same bytes.

Sections build values, these modules turn them into HTML, Markdown, JSON, CSV or LaTeX;
none of them knows what a metric is. Ids that links can point to: a section's, a table's
and a figure's own id, and `{table id}-{row header}` for a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from goemo_report.document import Block, Report
from goemo_report.errors import SettingsError
from goemo_report.render.csv_tables import render_csv, render_csv_block
from goemo_report.render.html import render_html, render_html_block
from goemo_report.render.json_document import render_json, render_json_block
from goemo_report.render.latex import render_latex, render_latex_block
from goemo_report.render.markdown import render_markdown, render_markdown_block, render_summary

_RENDERERS: Final[dict[str, tuple[Callable[[Report], str], Callable[[Block], str]]]] = {
    "html": (render_html, render_html_block),
    "md": (render_markdown, render_markdown_block),
    "json": (render_json, render_json_block),
    "csv": (render_csv, render_csv_block),
    "latex": (render_latex, render_latex_block),
}
FORMATS: Final[tuple[str, ...]] = tuple(_RENDERERS)
SUFFIXES: Final[dict[str, str]] = {name: f".{name}" for name in FORMATS} | {"latex": ".tex"}
"""File name endings of the formats."""


def render(report: Report, format: str) -> str:  # noqa: A002 # the word users type
    """A whole report in one of FORMATS. Raises SettingsError for another format."""
    return _renderer(format)[0](report)


def render_block(block: Block, format: str) -> str:  # noqa: A002 # the word users type
    """One block alone; a figure is its table in formats that cannot draw.

    Raises SettingsError for another format, and for prose as CSV.
    """
    return _renderer(format)[1](block)


def _renderer(name: str) -> tuple[Callable[[Report], str], Callable[[Block], str]]:
    try:
        return _RENDERERS[name]
    except KeyError:
        known = ", ".join(FORMATS)
        raise SettingsError(f"unknown report format {name!r}", f"choose one of {known}") from None


__all__ = ["FORMATS", "SUFFIXES", "render", "render_block", "render_summary"]
