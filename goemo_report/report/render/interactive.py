"""Figures of a report as plotly Figures, for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from goemo_report.errors import require_extra
from goemo_report.report.document import Heatmap, Plot
from goemo_report.report.render.figure_style import LIGHT, PALETTE
from goemo_report.report.render.figures import figure
from goemo_report.report.render.svg import svg

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SCALES: Final = {"sequential": "Blues", "diverging": "RdBu"}


def plotly_figure(block: Plot | Heatmap) -> go.Figure:
    """A figure with the colours of a light page; needs the extra `goemo[figures]`."""
    require_extra("an interactive figure", "plotly", extra="figures")
    from goemo_report.report.render.notebook_figure import NotebookFigure

    found = figure(block)
    layout = {**found["layout"], "title": {"text": block.title}, "template": "plotly_white"}
    made = NotebookFigure({"data": [_painted(trace) for trace in found["data"]], "layout": layout})
    made.drawn_as(*still(block))
    return made


def still(block: Plot | Heatmap) -> tuple[str, str]:
    """The same as an SVG with a style of its own, and in words."""
    return svg(figure(block), "figure", block.title, block.alt, standalone=True), block.alt


def _painted(trace: dict[str, Any]) -> dict[str, Any]:
    meta = trace.get("meta") or {}
    if trace["type"] == "heatmap":
        return {**trace, "colorscale": _SCALES[meta["scale"]]}
    index = meta.get("colour")
    colour = LIGHT["neutral"] if index is None else PALETTE[index % len(PALETTE)]
    painted = {**trace}
    if meta.get("band"):
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        faded = f"rgba({red},{green},{blue},0.14)"
        return painted | {"fillcolor": faded, "line": {"width": 0}}
    for part in ("line", "marker", "error_x", "error_y"):
        if part in trace:
            painted[part] = {**trace[part], "color": colour}
    return painted
