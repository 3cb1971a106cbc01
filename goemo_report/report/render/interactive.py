"""Figures as plotly draws them: in notebooks, and on a page to zoom into."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from goemo_report.errors import require_extra
from goemo_report.formats.notebook import picture
from goemo_report.report.document import Heatmap, Plot, Report
from goemo_report.report.render import assets
from goemo_report.report.render.extent import page_sized
from goemo_report.report.render.figure_style import LIGHT, PALETTE
from goemo_report.report.render.figures import figure
from goemo_report.report.render.svg import svg
from goemo_report.report.render.text import anchor

if TYPE_CHECKING:
    import plotly.graph_objects as go

_SCALES: Final = {"sequential": "Blues", "diverging": "RdBu"}
LIBRARY: Final = "plotly.min.js"
"""The file that every page of figures in a directory shares."""


def plotly_figure(block: Plot | Heatmap) -> go.Figure:
    """A figure with the colours of a light page; needs the extra `goemo[figures]`."""
    require_extra("an interactive figure", "plotly", extra="figures")
    found = figure(block)
    layout = {**found["layout"], "title": {"text": block.title}, "template": "plotly_white"}
    drawing = {"data": [_painted(trace) for trace in found["data"]], "layout": layout}
    made = __getattr__("NotebookFigure")(drawing)
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
    if meta.get("band"):
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        faded = f"rgba({red},{green},{blue},0.14)"
        return {**trace, "fillcolor": faded, "line": {"width": 0}}
    parts = (part for part in ("line", "marker", "error_x", "error_y") if part in trace)
    return {**trace, **{part: {**trace[part], "color": colour} for part in parts}}


# --- A page of all figures, drawn by plotly.js from one file beside it ------------------


def render_figures(report: Report) -> str:
    """The figures of a report by chapter; a figure is drawn when it comes into view."""
    script = assets.read_template("figures.js")
    report = page_sized(report)
    chapters: dict[str, list[dict[str, Any]]] = {}
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Plot | Heatmap):
                drawn = {"of": block, "id": anchor(block.id), "json": _plotly_json(block)}
                chapters.setdefault(section.chapter or section.title, []).append(drawn)
    template = assets.environment().get_template("figures.html.j2")
    return template.render(
        report=report,
        chapters=chapters,
        library=LIBRARY,
        script=Markup(script),  # noqa: S704 # the project's own
        policy=f"default-src 'none'; script-src '{assets.source_hash(script.encode())}' 'self' "
        "file:; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'",
    )


def _plotly_json(block: Plot | Heatmap) -> Markup:
    drawn = json.loads(plotly_figure(block).to_json())
    drawn["layout"].pop("title", None)
    text = json.dumps(drawn, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(text)  # noqa: S704 # no tag can begin in it


def library() -> bytes:
    """plotly.js as the plotly package brings it."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).encode()


# --- A Figure that also shows where plotly.js does not run ------------------------------

_GIVES_WAY: Final = """<script>(function wait(tries) {
  document.querySelectorAll("#ID").forEach(function (still) {
    if (still.parentElement.querySelector(".js-plotly-plot .main-svg")) still.remove();
  });
  if (tries && document.getElementById("ID")) setTimeout(wait, 250, tries - 1);
})(40);</script>"""
"""The picture goes once plotly.js has drawn the figure beside it."""


class _Still:
    """What a plotly Figure has besides: a picture of itself, shown until its data change."""

    _still: tuple[str, str, str] | None = None
    to_json: Callable[[], str]
    _repr_html_ = None  # it would be shown in place of the picture, and needs the network

    def drawn_as(self, svg: str, alt: str) -> None:
        """Show this SVG where plotly.js does not run."""
        self._still = svg, alt, self._values()

    def _values(self) -> str:
        return json.dumps(json.loads(self.to_json())["data"])

    def _repr_mimebundle_(self, *args: Any, **options: Any) -> dict[str, Any]:
        figure: Any = super()
        bundle: dict[str, Any] = figure._repr_mimebundle_(*args, **options)
        if not bundle or self._still is None or self._values() != self._still[2]:
            return bundle
        svg, alt, _ = self._still
        bundle["image/svg+xml"] = svg
        if "text/html" in bundle:  # which is preferred to pictures, and empty without plotly.js
            name = f"still-{sha256(svg.encode()).hexdigest()[:12]}"
            image = f'<div id="{name}">{picture(svg, alt)}</div>'
            bundle["text/html"] = image + _GIVES_WAY.replace("ID", name) + bundle["text/html"]
        return bundle

    @property
    def _ipython_display_(self) -> Any:
        """Plotly's way to show, which takes precedence, where it shows outside or as text."""
        figure: Any = super()
        return None if self._repr_mimebundle_() else figure._ipython_display_


def __getattr__(name: str) -> Any:
    """The class `NotebookFigure`, made when it is first asked for: plotly loads slowly."""
    if name != "NotebookFigure":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in globals():
        import plotly.graph_objects as go

        doc = "A plotly Figure that also shows where plotly.js does not run."
        body = {"__module__": __name__, "__qualname__": name, "__doc__": doc}
        globals()[name] = type(name, (_Still, go.Figure), body)
    return globals()[name]
