"""Report -> text. Pure: the same report gives the same bytes.

Sections build values, these modules turn them into HTML, Markdown, JSON, CSV or LaTeX;
none of them knows what a metric is. Ids that links can point to: a section's, a table's
and a figure's own id, and `{table id}-{row header}` for a row.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from goemo_report.errors import SettingsError
from goemo_report.report.document import Block, Report
from goemo_report.report.render.extent import Extent, cut

_RENDERERS: Final[dict[str, tuple[str, str]]] = {
    "html": ("html", "render_html"),
    "md": ("markdown", "render_markdown"),
    "json": ("data_files", "render_json"),
    "csv": ("data_files", "render_csv"),
    "latex": ("latex", "render_latex"),
}
"""Module and function of each format, with `_block` for one block. Loaded when asked for: a
table on the terminal needs no templates."""
_CUT: Final = ("html", "md", "latex")
"""Formats that hold more or less of a report."""
FORMATS: Final[tuple[str, ...]] = tuple(_RENDERERS)
WRITTEN: Final[tuple[str, ...]] = (*FORMATS, "pdf", "plotly")
"""Those, and the formats that are files alone: what a browser prints, a page to explore."""
SUFFIXES: Final[dict[str, str]] = {name: f".{name}" for name in WRITTEN} | {
    "latex": ".tex",
    "plotly": ".plotly.html",
}
"""File name endings of the formats."""


def render(
    report: Report,
    format: str,  # noqa: A002 # the word users type
    extent: Extent = "usual",
) -> str:
    """A report in one of FORMATS. Raises SettingsError for another format.

    `extent` is `short`, the answer and where the runs differ on two pages, `usual`, or `full`; JSON
    and CSV always hold what the report has.
    """
    renderer = _renderer(format)
    return renderer(report, extent) if format in _CUT else renderer(report)


def render_files(
    report: Report,
    format: str,  # noqa: A002 # the word users type
    stem: str,
    extent: Extent = "usual",
    browser: Path | None = None,
) -> dict[str, bytes]:
    """All files of a report in one of WRITTEN, the document first, by their path in a directory.

    Markdown has its figures in a directory named `stem`, or as tables where that is empty; plotly's
    page has its library beside it.
    `browser` prints PDF, as `pdf.find_chromium` has it. Raises SettingsError for another format.
    """
    name = f"{stem}{SUFFIXES.get(format, '')}"
    if format == "pdf":
        from goemo_report.report.render.html import render_pdf

        return {name: render_pdf(report, extent, browser)}
    if format == "plotly":
        from goemo_report.report.render.html import LIBRARY, library, render_figures

        return {name: render_figures(report).encode(), LIBRARY: library()}
    if format == "md":
        from goemo_report.report.render.markdown import drawings, render_markdown

        shown = cut(report)[0] if extent == "short" else report
        drawn = {f"{stem}/{one}": text.encode() for one, text in drawings(shown)}
        text = render_markdown(report, extent, stem if drawn else "")
        return {name: text.encode("utf-8", "backslashreplace"), **(drawn if stem else {})}
    return {name: render(report, format, extent).encode("utf-8", "backslashreplace")}


def render_block(block: Block, format: str) -> str:  # noqa: A002 # the word users type
    """One block alone; a figure is its table in formats that cannot draw.

    Raises SettingsError for another format, and for prose as CSV.
    """
    return _renderer(format, "_block")(block)


def render_summary(report: Report) -> str:
    """A short form in Markdown, for `$GITHUB_STEP_SUMMARY` and comments on pull requests."""
    from goemo_report.report.render import markdown

    return markdown.render_summary(report)


def _renderer(name: str, suffix: str = "") -> Callable[..., str]:
    if name not in _RENDERERS:
        known = ", ".join(FORMATS)
        raise SettingsError(f"unknown report format {name!r}", f"choose one of {known}")
    module, function = _RENDERERS[name]
    found: Callable[..., str] = getattr(
        importlib.import_module(f"{__name__}.{module}"), function + suffix
    )
    return found


__all__ = [
    "FORMATS", "SUFFIXES", "WRITTEN", "Extent", "render", "render_block", "render_files",
    "render_summary",
]  # fmt: skip
