"""Report -> text. Pure: the same report gives the same bytes.

Sections build values, these modules turn them into HTML, Markdown, JSON, CSV or LaTeX;
none of them knows what a metric is. Ids that links can point to: a section's, a table's
and a figure's own id, and `{table id}-{row header}` for a row.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

from goemo_report.errors import SettingsError
from goemo_report.formats.wording import plural
from goemo_report.report.document import (
    PAGE_ROWS,
    Block,
    Callout,
    Heatmap,
    Plot,
    Report,
    Section,
    Table,
)

Extent = Literal["short", "usual", "full"]
"""How much of a report a document holds: two pages, what a page can show, or all of it.

JSON and CSV hold all of it; each table and figure that was cut says so.
"""
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


# --- How much of a report a document holds ---------------------------------------------

_CHAPTERS: Final = 2  # the answer, and where the runs differ
_ROWS: Final = 13  # of a table
_ITEMS: Final = 4  # of a warning
_FEWEST: Final = 5  # of one that is cut to fit
_PAGE: Final = 1090  # pixels
_TALLEST: Final = 600  # a figure that is taller is drawn smaller
_NAMES: Final = 100  # below or above a heat map
_ROW: Final = 20
_CAPTION: Final = 50
_LINE: Final = 20
_LETTERS: Final = 70  # of a line


# --- What a page can show: with hundreds of runs, not everything of every run ----------


def page_sized(report: Report) -> Report:
    """Cut a report to columns of the featured runs, and shorter tables."""

    def fit(block: Block) -> Block:
        if isinstance(block, Plot | Heatmap):
            return replace(block, table=_page_table(report.featured, block.table))
        return _page_table(report.featured, block) if isinstance(block, Table) else block

    sections = (
        replace(section, blocks=tuple(map(fit, section.blocks))) for section in report.sections
    )
    return replace(report, sections=tuple(sections))


def _page_table(featured: frozenset[int], table: Table) -> Table:
    said, cut = [table.caption], ""
    kept = [
        at
        for at, column in enumerate(table.columns)
        if column.run is None or not featured or column.run in featured
    ]
    if len(kept) < len(table.columns):
        recipes = plural(len(featured), "recipe")
        said.append(f"The best run of each of {recipes}; JSON and CSV have all.")
        table = replace(
            table,
            columns=tuple(table.columns[at] for at in kept),
            rows=tuple(tuple(row[at] for at in kept) for row in table.rows),
        )
    if len(table.rows) > PAGE_ROWS and (table.scripted or not table.browse):
        cut = f"The first {PAGE_ROWS} of {len(table.rows):,} rows; JSON and CSV have all."
        table = table.first(PAGE_ROWS)
        if table.scripted:
            table = replace(table, cut=cut)
        else:
            said.append(cut)
            table = replace(table, collapsed=True)
    return replace(table, caption=" ".join(filter(None, said)))


# --- Two pages ------------------------------------------------------------------------


def cut(report: Report, warned: int = _ITEMS) -> tuple[Report, str]:
    """The first two chapters, each cut to a page, and a sentence on what was left out.

    Tables to be opened or searched stay out, as does what no longer fits; tables are cut to their
    first rows, warnings to `warned` details.
    """
    report = page_sized(report)
    by_chapter: dict[str, list[Section]] = {}
    for section in report.sections:
        by_chapter.setdefault(section.chapter or section.title, []).append(section)
    left: list[str] = []
    kept: list[Section] = []
    for number, chapter in enumerate(list(by_chapter.values())[:_CHAPTERS]):
        brief = () if number else report.brief
        room = _PAGE - sum(map(_height, brief))
        for section in chapter:
            fitting, room = _fitting(section, room, left, warned)
            kept.append(fitting)
        kept[-1] = replace(kept[-1], blocks=(*kept[-1].blocks, *brief))
    kept = [section for section in kept if section.blocks]
    shown = {section.chapter or section.title for section in kept}
    said = [*left, *(f"chapter {name}" for name in by_chapter if name not in shown)]
    sentence = f"Left out here, in the whole report: {'; '.join(said)}." if said else ""
    return replace(report, sections=tuple(kept)), sentence


def _fitting(section: Section, room: int, left: list[str], warned: int) -> tuple[Section, int]:
    """A section with the blocks that there is room for, the others named in `left`."""
    kept: list[Block] = []
    room -= _of_text(section.lead)
    for whole in section.blocks:
        block, shut = whole, False
        if isinstance(whole, Table):
            shut = whole.browse or whole.collapsed
            block = table = whole if whole.collapsed else _first_rows(whole)
            if len(table.rows) < len(whole.rows):
                fit = len(table.rows) - max(0, _height(table) - room + _ROW - 1) // _ROW
                block = _first_rows(whole, max(_FEWEST, fit))
        elif isinstance(whole, Callout) and whole.level != "verdict":
            block = replace(whole, items=_first_items(whole.items, warned))
            if _height(block) > room:
                block = replace(whole, items=())
        needed = _height(block)
        if needed <= room and not shut:
            kept.append(block)
            room -= needed
        elif isinstance(block, Table | Plot | Heatmap):
            left.append(block.title)
    return replace(section, blocks=tuple(kept), method=""), room


def _first_items(items: tuple[str, ...], most: int) -> tuple[str, ...]:
    if not most or len(items) <= most:
        return items[:most]
    return (*items[:most], f"{len(items) - most} more in the whole report.")


def _first_rows(table: Table, most: int = _ROWS) -> Table:
    table = table.unnested()
    if len(table.rows) <= most:
        return table
    said = f"The first {most} of {plural(len(table.rows), 'row')}."
    return replace(table.first(most), caption=" ".join(filter(None, (table.caption, said))))


def _height(block: Block) -> int:
    """Pixels that a block takes, about."""
    if isinstance(block, Plot | Heatmap):
        from goemo_report.report.render.figures import figure

        names = 0 if isinstance(block, Plot) else _NAMES
        drawn = int(figure(block)["layout"]["height"]) + names
        return min(drawn, _TALLEST) + _CAPTION + _of_text(block.title, block.caption)
    if isinstance(block, Table):
        rows = len(block.rows) + len(block.row_groups)
        return _ROW * rows + _CAPTION + _of_text(block.title, block.caption)
    if isinstance(block, Callout):
        return _of_text(block.text, *block.items) + 40
    return 60


def _of_text(*texts: str) -> int:
    """Pixels of paragraphs."""
    return sum(_LINE * (1 + len(text) // _LETTERS) for text in texts if text)


__all__ = [
    "FORMATS", "SUFFIXES", "WRITTEN", "Extent", "render", "render_block", "render_files",
    "render_summary",
]  # fmt: skip
