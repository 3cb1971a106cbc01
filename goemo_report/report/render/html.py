"""Report -> one HTML file that needs no network.

The page reads without JavaScript: every table and every figure is in it, drawn. With JavaScript
tables sort and filter. The Content-Security-Policy allows one script, by its hash, and no
connection at all, so that nothing a report holds can run or call out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from markupsafe import Markup

from goemo_report.formats.json_text import to_json
from goemo_report.report.document import Block, Callout, Heatmap, Plot, Report, Section, Table
from goemo_report.report.render import assets
from goemo_report.report.render.cells import table_view
from goemo_report.report.render.extent import Extent, cut, page_sized
from goemo_report.report.render.figure_style import FIGURE_CSS, heat_page_css
from goemo_report.report.render.figures import figure, transposed
from goemo_report.report.render.svg import SMALL, WIDE, svg
from goemo_report.report.render.text import anchor

View = dict[str, Any]
_NARROW: Final = 20  # columns of a heat map that fit beside each other on a phone
_TOLD: Final = 6  # columns that have room for their values there


def render_html(report: Report, extent: Extent = "usual") -> str:
    """The report as a page; printed, a short one takes two sheets, a full one has the appendix."""
    page = _Page(is_short=extent == "short", is_full=extent == "full")
    report, left_out = cut(report) if page.is_short else (page_sized(report), "")
    by_chapter = groupby(report.sections, key=lambda section: section.chapter or f"#{section.id}")
    return page.render(
        title=report.title,
        cover=report,
        chapters=[page.chapter(list(sections)) for _, sections in by_chapter],
        signature=report.signature,
        command=report.command,
        data="" if page.is_short else _data(report),
        left_out=left_out,
    )


def render_html_block(block: Block) -> str:
    """One block as a page of its own."""
    page = _Page()
    section = {"id": "", "title": "", "lead": "", "method": "", "blocks": [page.block(block)]}
    alone = {"id": "", "number": 0, "title": "", "folded": False, "sections": [section]}
    empty = dict.fromkeys(("signature", "command", "data", "left_out"), "")
    title = getattr(block, "title", "") or "Report"
    return page.render(title=title, cover=None, chapters=[alone], **empty)


def _data(report: Report) -> Markup:
    """What the script computes from, as JSON in which no tag can end; empty without any."""
    found = report.explore()
    text = to_json(found, indent=None).strip().replace("<", "\\u003c") if found else ""
    return Markup(text)  # noqa: S704 # holds no <


@dataclass(slots=True)
class _Page:
    """Views of everything on one page: unique ids and running numbers."""

    is_short: bool = False
    is_full: bool = False
    ids: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    columns: int = 1

    def render(self, **context: Any) -> str:
        """The page, given its cover and chapters."""
        script = assets.script()
        style = assets.read_template("report.css") + FIGURE_CSS + heat_page_css()
        template = assets.environment().get_template("report.html.j2")
        return template.render(
            **context,
            policy=f"default-src 'none'; script-src '{assets.source_hash(script.encode())}'; "
            "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'",
            style=Markup(style),  # noqa: S704 # the project's own
            script=Markup(script),  # noqa: S704 # the project's own
            columns=self.columns,
            short=self.is_short,
            full=self.is_full,
        )

    def chapter(self, sections: Sequence[Section]) -> View:
        """One chapter, numbered, with its sections; a section by itself gives it its name."""
        first = sections[0]
        return {
            "id": self._id(f"chapter-{first.chapter}") if first.chapter else "",
            "number": self._number("chapter"),
            "title": first.chapter or first.title,
            "folded": first.folded,
            "open": self.is_full,
            "sections": [self._section(section) for section in sections],
        }

    def _section(self, section: Section) -> View:
        """One section; figures that are small stand in rows."""
        return {
            "id": self._id(section.id),
            "title": section.title if section.chapter else "",
            "lead": section.lead,
            "method": section.method,
            "blocks": list(_rows([self.block(block) for block in section.blocks])),
        }

    def block(self, block: Block) -> View:
        """One block as its template wants it."""
        if isinstance(block, Table):
            return {"kind": "table", "number": self._number("table"), **self._table(block)}
        if isinstance(block, (Plot, Heatmap)):
            return self._figure(block)
        return {"kind": "callout" if isinstance(block, Callout) else "code", "of": block}

    def _table(self, table: Table, name: str = "") -> View:
        table_id = self._id(name or table.id)
        self.columns = max(self.columns, len(table.columns))
        return {"id": table_id, "of": table, "view": table_view(table, table_id)}

    def _figure(self, block: Plot | Heatmap) -> View:
        number, table = self._number("figure"), block.table
        behind = self._table(table, table.id if table.id != block.id else f"{table.id}-table")
        name = self._id(block.id)
        return {
            "kind": "figure",
            "id": name,
            "number": number,
            "of": block,
            "small": isinstance(block, Plot) and block.shape != "wide",
            "drawings": [Markup(text) for text in _drawings(block, name)],  # noqa: S704 # escaped
            "table": None if self.is_short else behind,
        }

    def _number(self, kind: str) -> int:
        self.numbers[kind] += 1
        return self.numbers[kind]

    def _id(self, wanted: str) -> str:
        name = anchor(wanted)
        self.ids[name] += 1
        return name if self.ids[name] == 1 else f"{name}-{self.ids[name]}"


def _rows(blocks: Sequence[View]) -> Iterator[View]:
    """Blocks, with neighbouring small figures in a row."""
    for small, found in groupby(blocks, key=lambda block: bool(block.get("small"))):
        if small:
            yield {"kind": "row", "blocks": list(found)}
        else:
            yield from found


def _drawings(block: Plot | Heatmap, name: str) -> Iterator[str]:
    """The figure; of a wide one another for a phone, where a heat map has the fewer columns."""
    drawing = figure(block)
    wide = isinstance(block, Heatmap) or block.shape == "wide"
    yield svg(drawing, name, block.title, block.alt, width=WIDE if wide else SMALL)
    if isinstance(block, Heatmap):
        columns, rows = len(block.columns), len(block.rows)
        if min(columns, rows) > _NARROW:
            return
        drawing = figure(transposed(block) if columns > rows else block)
        if min(columns, rows) > _TOLD:
            drawing["data"][0].pop("texttemplate", None)
    if wide:
        yield svg(drawing, f"{name}-phone", block.title, block.alt, width=SMALL)
