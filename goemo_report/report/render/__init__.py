"""Report -> text. Pure: the same report gives the same bytes.

Sections build values, these modules turn them into HTML, Markdown, JSON, CSV or LaTeX;
none of them knows what a metric is. Ids that links can point to: a section's, a table's
and a figure's own id, and `{table id}-{row header}` for a row.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

from goemo_report.errors import SettingsError
from goemo_report.report.document import Block, Report

_RENDERERS: Final[dict[str, tuple[str, str]]] = {
    "html": ("html", "render_html"),
    "md": ("markdown", "render_markdown"),
    "json": ("json_document", "render_json"),
    "csv": ("csv_tables", "render_csv"),
    "latex": ("latex", "render_latex"),
}
"""Module and function of each format, with `_block` for one block. Loaded when asked for: a
table on the terminal needs no templates."""
FORMATS: Final[tuple[str, ...]] = tuple(_RENDERERS)
SUFFIXES: Final[dict[str, str]] = {name: f".{name}" for name in FORMATS} | {"latex": ".tex"}
"""File name endings of the formats."""


def render(report: Report, format: str) -> str:  # noqa: A002 # the word users type
    """A whole report in one of FORMATS. Raises SettingsError for another format."""
    return _renderer(format)(report)


def render_block(block: Block, format: str) -> str:  # noqa: A002 # the word users type
    """One block alone; a figure is its table in formats that cannot draw.

    Raises SettingsError for another format, and for prose as CSV.
    """
    return _renderer(format, "_block")(block)


def render_summary(report: Report) -> str:
    """A short form in Markdown, for `$GITHUB_STEP_SUMMARY` and comments on pull requests."""
    from goemo_report.report.render import markdown

    return markdown.render_summary(report)


def _renderer(name: str, suffix: str = "") -> Callable[[Any], str]:
    if name not in _RENDERERS:
        known = ", ".join(FORMATS)
        raise SettingsError(f"unknown report format {name!r}", f"choose one of {known}")
    module, function = _RENDERERS[name]
    found: Callable[[Any], str] = getattr(
        importlib.import_module(f"{__name__}.{module}"), function + suffix
    )
    return found


__all__ = ["FORMATS", "SUFFIXES", "render", "render_block", "render_summary"]
