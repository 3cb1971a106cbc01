"""Report -> one HTML file that needs no network.

The page reads without JavaScript: every table is in it. With JavaScript tables sort and
filter and figures are drawn. The Content-Security-Policy allows two scripts, each by its
hash, and no connection at all, so that nothing a report holds can run or call out.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from markupsafe import Markup

from goemo_report.formats.text import visible
from goemo_report.report.document import (
    Block,
    Callout,
    Code,
    Facts,
    Heatmap,
    Plot,
    Prose,
    Report,
    Section,
    Table,
)
from goemo_report.report.render import assets
from goemo_report.report.render.cells import TableView, table_view
from goemo_report.report.render.figures import PALETTE_SIZE, Figure, figure, symbol
from goemo_report.report.render.numbers import (
    MARKS,
    as_cell,
    fact_column,
    show,
    show_date,
    show_interval,
)
from goemo_report.report.render.page import page_sized
from goemo_report.report.render.text import anchor, safe_link

GLYPHS: Final = {
    "circle": "\u25cf",
    "square": "\u25a0",
    "diamond": "\u25c6",
    "triangle-up": "\u25b2",
    "cross": "\u271a",
    "x": "\u2716",
    "triangle-down": "\u25bc",
    "star": "\u2605",
    "pentagon": "\u2b1f",
    "hourglass": "\u29d7",
}
View = dict[str, Any]


def render_html(report: Report) -> str:
    """The whole report as a page."""
    page = _Page()
    report = page_sized(report)
    verdict = _verdict(report)
    sections = [page.section(section, verdict) for section in report.sections]
    cover = {
        "title": visible(report.title),
        "subtitle": visible(report.subtitle),
        "date": show_date(report.created_at),
        "datetime": report.created_at.isoformat(),
        "runs": [_run(name, index) for index, name in enumerate(report.palette_names)],
        "verdict": page.callout(verdict) if verdict else None,
    }
    return page.render(
        title=visible(report.title),
        cover=cover,
        sections=sections,
        signature=visible(report.signature, lines=True),
        command=visible(report.command, lines=True),
    )


def render_html_block(block: Block) -> str:
    """One block as a page of its own."""
    page = _Page()
    view = page.block(block)
    title = visible(getattr(block, "title", "")) or "Report"
    return page.render(title=title, cover=None, sections=[_alone(view)], signature="", command="")


def _alone(view: View) -> View:
    return {"id": "", "number": 0, "title": "", "lead": "", "method": "", "blocks": [view]}


def _verdict(report: Report) -> Callout | None:
    """The verdict that the cover shows: the first one of the first section."""
    for block in report.sections[0].blocks if report.sections else ():
        if isinstance(block, Callout) and block.level == "verdict":
            return block
    return None


def _run(name: str, index: int) -> View:
    return {
        "name": visible(name),
        "colour": index % PALETTE_SIZE,
        "glyph": GLYPHS[symbol(index)],
    }


@dataclass(slots=True)
class _Page:
    """Views of everything on one page: unique ids, running numbers, the figures' data."""

    ids: Counter[str] = field(default_factory=Counter)
    figures: list[Figure] = field(default_factory=list)
    tables: int = 0
    sections: int = 0
    columns: int = 1

    def render(self, **context: Any) -> str:
        """The page, given its cover and sections."""
        script = assets.read_template("report.js")
        hashes = [assets.source_hash(script.encode())]
        plotly = data = None
        if self.figures:
            plotly = assets.packed_plotly()
            hashes.append(plotly.sha256)
            data = assets.pack(_json(self.figures).encode())
        template = assets.environment().get_template("report.html.j2")
        return template.render(
            **context,
            policy=_policy(hashes),
            style=Markup(assets.read_template("report.css")),  # noqa: S704 # the project's own
            script=Markup(script),  # noqa: S704 # the project's own
            columns=self.columns,
            plotly=Markup(plotly.text) if plotly else None,  # noqa: S704 # base 85, no markup
            plotly_hash=plotly.sha256 if plotly else None,
            figures=Markup(data.text) if data else None,  # noqa: S704 # base 85, no markup
        )

    def section(self, section: Section, hoisted: Callout | None = None) -> View:
        """One section, numbered, with the blocks that the cover does not show."""
        self.sections += 1
        return {
            "id": self._id(section.id),
            "number": self.sections,
            "title": visible(section.title),
            "lead": visible(section.lead),
            "method": visible(section.method),
            "blocks": [self.block(block) for block in section.blocks if block is not hoisted],
        }

    def block(self, block: Block) -> View:
        """One block as its template wants it."""
        if isinstance(block, Table):
            return self._table(block)
        if isinstance(block, (Plot, Heatmap)):
            return self._figure(block)
        if isinstance(block, Facts):
            return self._facts(block)
        if isinstance(block, Callout):
            return self.callout(block)
        if isinstance(block, Code):
            return {"kind": "code", "text": visible(block.text, lines=True)}
        return {"kind": "prose", "paragraphs": _paragraphs(block)}

    def callout(self, block: Callout) -> View:
        """A callout with its items."""
        items = [visible(item) for item in block.items]
        return {
            "kind": "callout",
            "level": block.level,
            "text": visible(block.text),
            "items": items,
        }

    def _table(self, table: Table) -> View:
        self.tables += 1
        return {
            "kind": "table",
            "id": (table_id := self._id(table.id)),
            "number": self.tables,
            "title": visible(table.title),
            "caption": visible(table.caption),
            "collapsed": table.collapsed,
            "browse": table.browse,
            "page_size": table.page_size,
            "rows": len(table.rows),
            "view": self._table_view(table, table_id),
        }

    def _figure(self, block: Plot | Heatmap) -> View:
        self.figures.append(drawing := figure(block))
        table = block.table
        table_id = self._id(table.id if table.id != block.id else f"{table.id}-table")
        return {
            "kind": "figure",
            "id": self._id(block.id),
            "number": len(self.figures),
            "index": len(self.figures) - 1,
            "title": visible(block.title),
            "caption": visible(block.caption),
            "alt": visible(block.alt),
            "height": drawing["layout"]["height"],
            "choices": drawing.get("choices", ()),
            "table": {
                "id": table_id,
                "title": visible(table.title),
                "caption": visible(table.caption),
                "browse": table.browse,
                "page_size": table.page_size,
                "rows": len(table.rows),
                "view": self._table_view(table, table_id),
            },
        }

    def _table_view(self, table: Table, table_id: str) -> TableView:
        self.columns = max(self.columns, len(table.columns))
        return table_view(table, table_id)

    def _facts(self, block: Facts) -> View:
        items = []
        for name, value, how in block.items:
            cell = as_cell(value)
            column = fact_column(cell.value)
            sign, word = MARKS[cell.mark] if cell.mark else ("", "")
            items.append(
                {
                    "name": visible(name),
                    "value": visible(show(cell.value, column)),
                    "interval": show_interval(cell, column),
                    "link": safe_link(cell.link),
                    "sign": sign,
                    "mark": cell.mark,
                    "word": word,
                    "note": visible(cell.note),
                    "how": visible(how),
                }
            )
        return {"kind": "facts", "id": self._id(block.id), "items": items}

    def _id(self, wanted: str) -> str:
        name = anchor(wanted)
        self.ids[name] += 1
        return name if self.ids[name] == 1 else f"{name}-{self.ids[name]}"


def _paragraphs(block: Prose) -> list[str]:
    return [visible(paragraph) for paragraph in block.paragraphs]


def _policy(hashes: list[str]) -> str:
    """Nothing from anywhere; two scripts by hash; styles and drawn images of the page itself."""
    scripts = " ".join(f"'{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
