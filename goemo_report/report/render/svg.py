"""Figures drawn from their Plotly JSON: as SVG, and as plotly's own where someone explores.

An SVG needs no browser and no script and is the same everywhere.
A mark takes the colour of its group's class, which the style sheet sets for light, dark and
print; a file of its own carries a style (`standalone`). Title and description are those of
the figure; points and bars say their values when the pointer rests on them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from goemo_report.errors import require_extra
from goemo_report.formats.notebook import picture
from goemo_report.formats.text import shortened
from goemo_report.report.document import Heatmap, Plot
from goemo_report.report.render.figures import LIGHT, PALETTE, figure, standalone_style
from goemo_report.report.render.svg_marks import (
    LETTER,
    Canvas,
    Scale,
    Trace,
    colour_class,
    dashes,
    fitted,
    heat_ends,
    is_band,
    mark,
    name_of,
    path_through,
    plain,
    points_of,
    px,
    scale,
    shade_of,
    symbol_at,
    symbol_of,
    text_at,
    width_of,
)
from goemo_report.report.render.text import html_text

if TYPE_CHECKING:
    import plotly.graph_objects as go

WIDE: Final = 720
SMALL: Final = 350
"""Pixels across a figure of each shape; a phone has as many as a small one needs."""
_ROW: Final = 18  # of a legend
_SLANTED: Final = 20  # letters of a name that does not lie flat
_ABOVE: Final = 19  # of a name above its row
_BESIDE: Final = 0.42  # of the width, for names beside their rows
_KEY: Final = 12  # of a step of a heat map's scale
_STEPS: Final = 11
_END_LABELS: Final = 8  # lines of a wide figure that are named at their ends


def svg(
    drawing: dict[str, Any], identifier: str, title: str, alt: str, *,
    width: int = WIDE, standalone: bool = False,
) -> str:  # fmt: skip
    """One figure as an `<svg>` element, `width` pixels wide."""
    canvas = _canvas(drawing, width)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fig" viewBox="0 0 {width} '
        f'{px(canvas.height)}" width="{width}" height="{px(canvas.height)}" role="img" '
        f'aria-labelledby="{identifier}-t {identifier}-d"><title id="{identifier}-t">'
        f'{html_text(title)}</title><desc id="{identifier}-d">{html_text(alt)}</desc>'
    )
    style = f"<style>{standalone_style()}</style>" if standalone else ""
    marks = (mark(canvas, trace) for trace in canvas.traces)
    names = _end_names(canvas) if canvas.ends else _legend(canvas)
    return "".join([head, style, _frame(canvas), *marks, _key(canvas), *names, "</svg>"])


# --- The frame -------------------------------------------------------------------------


def _canvas(drawing: dict[str, Any], width: int) -> Canvas:
    layout, traces = drawing["layout"], drawing["data"]
    shape = (layout.get("meta") or {}).get("shape", "wide")
    named = [t for t in traces if layout["showlegend"] and t.get("showlegend", True)]
    lines = [t for t in named if t["type"] == "scatter" and "lines" in t["mode"]]
    ends = shape == "wide" and width > SMALL and 0 < len(lines) == len(named) <= _END_LABELS
    xs, ys = (list(_drawn(traces, key)) for key in ("x", "y"))
    x_axis, y_axis = layout["xaxis"], layout["yaxis"]
    names = [text for _, text in scale(y_axis, ys, 0, 1).ticks]
    left = 14 + max(map(width_of, names), default=LETTER)
    left += 16 if y_axis["title"]["text"] else 0
    above = (
        width <= SMALL and left > _BESIDE * width and all(t["type"] == "scatter" for t in traces)
    )
    left = 14.0 if above else min(_BESIDE * width, left)
    right = 16.0
    if ends:
        right = min(0.3 * width, 16 + max(width_of(name_of(t)) for t in named))
    legend = 0 if ends else _ROW * len(list(_legend_rows(named, width)))
    below = shape != "wide" and legend > 0  # plots beside each other begin at one height
    top = 10.0 + (0 if below else legend)
    bottom, slanted = _bottom(scale(x_axis, xs, 0, 1), x_axis, width - left - right)
    inner = float(layout["height"]) + (_ABOVE * len(names) if above else 0)
    if shape == "square":
        inner = width - left - right
    if x_axis.get("side") == "top":
        top += slanted
        bottom = 24.0
        last = scale(x_axis, xs, 0, 1).categories[-1:]  # its name leans out of the frame
        right = max(right, *(0.64 * width_of(shortened(one, _SLANTED)) for one in last), 0.0)
    elif _has_key(traces):
        top += _ROW
    height = top + inner + bottom + (legend + 4 if below else 0)
    x = scale(x_axis, xs, left, width - right)
    y = scale(y_axis, ys, top + inner, top)
    return Canvas(x, y, traces, layout, width, height, named, ends, top + inner + bottom, above)


def _drawn(traces: Sequence[Trace], key: str) -> Iterator[Any]:
    """Values on one axis, ends of intervals among them."""
    for trace in traces:
        values = trace[key]
        yield from values
        errors = trace.get(f"error_{key}")
        if errors:
            for value, up, down in zip(values, errors["array"], errors["arrayminus"], strict=True):
                if None not in (value, up, down):
                    yield from (value + up, value - down)
        if trace["type"] == "bar" and (trace["orientation"] == "h") == (key == "x"):
            yield 0


def _has_key(traces: Sequence[Trace]) -> bool:
    """Whether a heat map needs its scale told: the values do not stand in its cells."""
    return any(t["type"] == "heatmap" and "texttemplate" not in t for t in traces)


def _key(canvas: Canvas) -> str:
    """The scale of a heat map: its colours between what its two ends mean."""
    if not _has_key(canvas.traces):
        return ""
    trace = canvas.traces[0]
    meta, ends = trace["meta"], heat_ends(trace)
    first, last = (
        word or f"{value:.{meta['digits']}f}".replace("-", "\u2212")
        for word, value in zip(meta["ends"], ends, strict=True)
    )
    above = canvas.layout["xaxis"].get("side") != "top"
    y = 4.0 if above else canvas.height - 16
    x = canvas.x.start + width_of(first) + 6
    shades = (
        shade_of(ends[0] + (ends[1] - ends[0]) * at / (_STEPS - 1), ends, meta["scale"])
        for at in range(_STEPS)
    )
    boxes = (
        f'<path class="{shade}" d="M{px(x + _KEY * at)} {px(y)}h{_KEY}v10h-{_KEY}z"/>'
        for at, shade in enumerate(shades)
    )
    right = text_at(x + _KEY * _STEPS + 6, y + 9, last, "")
    return "".join([text_at(x - 6, y + 9, first, ' class="e"'), *boxes, right])


def _bottom(x: Scale, axis: dict[str, Any], room: float) -> tuple[float, float]:
    """Pixels below the frame, and those of names that do not lie flat."""
    title = 18 if axis["title"]["text"] else 0
    longest = max((len(text) for _, text in x.ticks), default=1)
    if x.categories and longest * LETTER > room / max(1, len(x.categories)):
        slanted = min(112.0, longest * 5.2) + 16
        return slanted + title, slanted + title
    return 22 + title, 24.0


def _frame(canvas: Canvas) -> str:
    x, y, layout = canvas.x, canvas.y, canvas.layout
    parts = [*_x_axis(canvas), *_y_axis(canvas)]
    for shape in layout.get("shapes", ()):
        ends = [(x.at(shape[f"x{i}"]), y.at(shape[f"y{i}"])) for i in "01"]
        if shape.get("yref") == "paper":
            ends = [(at, edge) for (at, _), edge in zip(ends, (y.start, y.end), strict=True)]
        elif shape.get("xref") == "paper":
            ends = [(edge, at) for (_, at), edge in zip(ends, (x.start, x.end), strict=True)]
        parts.append(f'<path class="a"{dashes(shape)} d="{path_through(ends)}"/>')
    return "".join(parts)


def _x_axis(canvas: Canvas) -> Iterator[str]:
    x, y, axis = canvas.x, canvas.y, canvas.layout["xaxis"]
    top, bottom = sorted((y.start, y.end))
    above = axis.get("side") == "top"
    room = (x.end - x.start) / max(1, len(x.categories))
    slanted = x.categories and any(len(text) * LETTER > room for _, text in x.ticks)
    grid = axis.get("showgrid", not x.categories)
    last = -math.inf
    for value, text in x.ticks:
        at = x.at(value)
        if at is None:
            continue
        if grid:
            yield f'<path class="g" d="M{px(at)} {px(top)}V{px(bottom)}"/>'
        if slanted:
            place, turn = (top - 6, "") if above else (bottom + 10, ' class="e"')
            turned = f' transform="rotate(-50 {px(at + 3)} {px(place)})"'
            yield text_at(at + 3, place, shortened(text, _SLANTED), turn + turned)
        elif at - last > LETTER * len(text) * 0.9 or x.categories:
            last = at
            yield text_at(at, top - 6 if above else bottom + 15, text, ' class="m"')
    if title := plain(axis["title"]["text"]):
        place = top - 96 if above and slanted else canvas.foot - 4
        if not above:
            shown = fitted(title, canvas.width - 4)
            half = width_of(shown) / 2 + 2
            middle = min((x.start + x.end) / 2, canvas.width - half)
            yield text_at(max(middle, half), place, shown, ' class="m"')


def _y_axis(canvas: Canvas) -> Iterator[str]:
    x, y, axis = canvas.x, canvas.y, canvas.layout["yaxis"]
    title = plain(axis["title"]["text"])
    room = x.start - 9 - (16 if title else 0)
    grid = axis.get("showgrid", True)
    for value, text in y.ticks:
        at = y.at(value)
        if at is None:
            continue
        if grid:
            yield f'<path class="g" d="M{px(x.start)} {px(at)}H{px(x.end)}"/>'
        inked = " i" if y.categories or axis.get("ticktext") else ""
        if canvas.above:
            top = at - y.step / 2 + 11
            yield text_at(
                x.start, top, fitted(text, canvas.width - 28), f' class="{inked.strip()}"'
            )
        else:
            yield text_at(x.start - 7, at + 4, fitted(text, room), f' class="e{inked}"')
    if title:
        middle = (y.start + y.end) / 2
        turn = f' class="m" transform="rotate(-90 11 {px(middle)})"'
        yield text_at(11, middle, title, turn)


# --- Names of lines -------------------------------------------------------------------


def _end_names(canvas: Canvas) -> Iterator[str]:
    """Each line's name beside its last point, moved apart where they would meet."""
    places: list[tuple[float, float, Trace]] = []
    for trace in canvas.named:
        known = [one for one in points_of(canvas, trace) if None not in one]
        if known:
            places.append((known[-1][1] or 0.0, known[-1][0] or 0.0, trace))
    places.sort(key=lambda one: one[0])
    apart: list[float] = []
    for at, *_ in places:
        apart.append(max(at, apart[-1] + 14) if apart else at)
    over = max(0.0, (apart[-1] if apart else 0.0) - canvas.height + 30)
    inked = ' style="fill:currentColor;font-weight:600"'
    for at, (_, x, trace) in zip(apart, places, strict=True):
        name = fitted(name_of(trace), canvas.width - x - 8)
        label = text_at(x + 8, at - over + 4, name, "", inked)
        yield f'<g class="{colour_class(trace)}">{label}</g>'


def _legend_rows(named: Sequence[Trace], width: float) -> Iterator[list[tuple[float, Trace]]]:
    """Rows of a legend: where each entry starts."""
    row: list[tuple[float, Trace]] = []
    at = 4.0
    for trace in named:
        length = 26 + width_of(name_of(trace))
        if row and at + length > width:
            yield row
            row, at = [], 4.0
        row.append((at, trace))
        at += length + 12
    if row:
        yield row


def _legend(canvas: Canvas) -> Iterator[str]:
    for number, row in enumerate(_legend_rows(canvas.named, canvas.width)):
        below = canvas.foot < canvas.height
        y = (canvas.foot + 12 if below else 10) + _ROW * number
        for x, trace in row:
            sample = symbol_at(symbol_of(trace), x + 8, y)
            if trace["type"] == "bar" or is_band(trace):
                look = "b" if is_band(trace) else "p"
                sample = f'<path class="{look}" d="M{px(x)} {y - 5}h14v10h-14z"/>'
            elif "lines" in trace["mode"]:
                sample = f'<path class="l" d="M{px(x)} {y}h16"{dashes(trace)}/>{sample}'
            name = text_at(x + 21, y + 4, fitted(name_of(trace), canvas.width - x - 21), "")
            yield f'<g class="{colour_class(trace)}">{sample}</g>{name}'


# --- As plotly draws them, in notebooks ---------------------------------------------------

_SCALES: Final = {"sequential": "Blues", "diverging": "RdBu"}


def plotly_figure(block: Plot | Heatmap) -> go.Figure:
    """A figure with the colours of a light page; needs the extra `goemo[figures]`."""
    require_extra("an interactive figure", "plotly", extra="figures")
    found = figure(block)
    layout = {**found["layout"], "title": {"text": block.title}, "template": "plotly_white"}
    drawing = {"data": [_painted(trace) for trace in found["data"]], "layout": layout}
    made = __getattr__("NotebookFigure")(drawing)
    made._still = *still(block), made._values()
    return made


def still(block: Plot | Heatmap) -> tuple[str, str]:
    """Draw it as an SVG with a style of its own, and describe it in words."""
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
