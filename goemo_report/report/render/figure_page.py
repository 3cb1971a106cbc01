"""Report -> a page of its figures to zoom into, drawn by plotly.js from one file beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from markupsafe import Markup

from goemo_report.formats.text import visible
from goemo_report.report.document import Heatmap, Plot, Report
from goemo_report.report.render import assets
from goemo_report.report.render.interactive import plotly_figure
from goemo_report.report.render.numbers import show_date
from goemo_report.report.render.page import page_sized
from goemo_report.report.render.text import anchor

LIBRARY: Final = "plotly.min.js"
"""The file that every such page in a directory shares."""


def render_figures(report: Report) -> str:
    """The figures of a report by chapter; a figure is drawn when it comes into view."""
    script = assets.read_template("figures.js")
    report = page_sized(report)
    return (
        assets.environment()
        .get_template("figures.html.j2")
        .render(
            title=visible(report.title),
            subtitle=visible(report.subtitle),
            date=show_date(report.created_at),
            chapters=list(_chapters(report)),
            library=LIBRARY,
            script=Markup(script),  # noqa: S704 # the project's own
            policy=f"default-src 'none'; script-src '{assets.source_hash(script.encode())}' 'self' "
            "file:; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'",
        )
    )


def library() -> bytes:
    """plotly.js as the plotly package brings it."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).encode()


def _chapters(report: Report) -> Iterator[dict[str, Any]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Plot | Heatmap):
                found.setdefault(section.chapter or section.title, []).append(_figure(block))
    for title, figures in found.items():
        yield {"title": visible(title), "figures": figures}


def _figure(block: Plot | Heatmap) -> dict[str, Any]:
    drawn = json.loads(plotly_figure(block).to_json())
    drawn["layout"].pop("title", None)
    text = json.dumps(drawn, separators=(",", ":")).replace("<", "\\u003c")
    return {
        "id": anchor(block.id),
        "title": visible(block.title),
        "caption": visible(block.caption),
        "alt": visible(block.alt),
        "json": Markup(text),  # noqa: S704 # no tag can begin in it
    }
