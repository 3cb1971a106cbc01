"""Figures as SVG, drawn from their Plotly JSON: no browser, no script, the same everywhere.

A mark takes the colour of its group's class, which the style sheet sets for light, dark and
print; a file of its own carries a style (`standalone`). Title and description are those of
the figure; points and bars say their values when the pointer rests on them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from goemo_report.formats.text import shortened
from goemo_report.report.render.scales import LETTER, Scale, plain, scale
from goemo_report.report.render.text import html_text

WIDE: Final = 720
SMALL: Final = 350
"""Pixels across a figure of each shape; a phone has as many as a small one needs."""
SHADES: Final = 10
_PALETTE: Final = 7
_ROW: Final = 18  # of a legend
_END_LABELS: Final = 8  # lines of a wide figure that are named at their ends
_DASHES: Final = {"dash": "5 4", "dot": "2 3"}
LIGHT: Final = {
    "ink": "#1d1e20", "soft": "#595b5e", "line": "#dcdad2", "grid": "#e7e5de",
    "neutral": "#85878a", "paper": "#fdfdfb", "low": "#f2f4f5", "high": "#0b3c66",
    "minus": "#b5500f", "zero": "#f4f3ee", "plus": "#14609a",
}  # fmt: skip
"""Colours of the light page, for files of their own."""
PALETTE: Final = ("#0f6cb0", "#c8500a", "#0b8a66", "#b2588f", "#a67c00", "#3b9fd6", "#5d5a8f")
"""Those of the recipes."""

Trace = dict[str, Any]


@dataclass(slots=True)
class _Canvas:
    """The frame that the marks are drawn in."""

    x: Scale
    y: Scale
    traces: list[Trace]
    layout: dict[str, Any]
    width: float
    height: float
    named: list[Trace]
    ends: bool


def svg(
    drawing: dict[str, Any], identifier: str, title: str, alt: str, *,
    width: int = WIDE, standalone: bool = False,
) -> str:  # fmt: skip
    """One figure as an `<svg>` element, `width` pixels wide."""
    canvas = _canvas(drawing, width)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="fig" viewBox="0 0 {width} '
        f'{_n(canvas.height)}" width="{width}" height="{_n(canvas.height)}" role="img" '
        f'aria-labelledby="{identifier}-t {identifier}-d"><title id="{identifier}-t">'
        f'{html_text(title)}</title><desc id="{identifier}-d">{html_text(alt)}</desc>'
    )
    style = f"<style>{standalone_style()}</style>" if standalone else ""
    parts = (_frame(canvas), *(_mark(canvas, trace) for trace in canvas.traces))
    return "".join([head, style, *parts, _names(canvas), "</svg>"])


def standalone_style() -> str:
    """The style of figures outside a page, in the colours of a light one."""
    text = FIGURE_CSS
    for name, value in LIGHT.items():
        text = text.replace(f"var(--{name})", value)
    runs = "".join(f".c{at}{{color:{one}}}" for at, one in enumerate(PALETTE))
    font = ".fig{font-family:Helvetica,Arial,sans-serif;background:#fff}"
    return f"{font}{text}.cn{{color:{LIGHT['neutral']}}}{runs}{_heat_css()}"


FIGURE_CSS: Final = (
    ".fig text{font-size:11.5px;fill:var(--soft)}.fig .e{text-anchor:end}"
    ".fig .m{text-anchor:middle}"
    ".fig .i{fill:var(--ink)}.fig .g{stroke:var(--grid);fill:none}.fig .a{stroke:var(--neutral);"
    "fill:none}.fig .l{stroke:currentColor;fill:none;stroke-width:2;stroke-linejoin:round}"
    ".fig .l1{stroke:currentColor;fill:none;stroke-width:1;opacity:.5}.fig .w{stroke:currentColor;"
    "fill:none;stroke-width:1.5}.fig .p{fill:currentColor}.fig .o{fill:var(--paper);"
    "stroke:currentColor;stroke-width:1.5}.fig .b{fill:currentColor;opacity:.16}"
    ".fig .h{stroke:var(--line);stroke-width:2;fill:none}.fig .z{fill:var(--paper)}"
)


def _heat_css() -> str:
    """Shades of heat maps as plain colours: files of their own have no style sheet."""
    ends = (("s", "low", "high"), ("p", "zero", "plus"), ("q", "zero", "minus"))
    return "".join(
        f".h{name}{at}{{fill:{_mixed(LIGHT[low], LIGHT[high], at / SHADES)}}}"
        for name, low, high in ends
        for at in range(SHADES + 1)
    )


def heat_page_css() -> str:
    """The same for a page, which mixes the colours of its theme."""
    ends = (("s", "low", "high"), ("p", "zero", "plus"), ("q", "zero", "minus"))
    return "".join(
        f".h{name}{at}{{fill:color-mix(in srgb,var(--{high}) {100 * at // SHADES}%,var(--{low}))}}"
        for name, low, high in ends
        for at in range(SHADES + 1)
    )


def _mixed(first: str, second: str, share: float) -> str:
    pairs = ((int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)


# --- The frame -------------------------------------------------------------------------


def _canvas(drawing: dict[str, Any], width: int) -> _Canvas:
    layout, traces = drawing["layout"], drawing["data"]
    shape = (layout.get("meta") or {}).get("shape", "wide")
    named = [t for t in traces if layout["showlegend"] and t.get("showlegend", True)]
    lines = [t for t in named if t["type"] == "scatter" and "lines" in t["mode"]]
    ends = shape == "wide" and width > SMALL and 0 < len(lines) == len(named) <= _END_LABELS
    xs, ys = (list(_drawn(traces, key)) for key in ("x", "y"))
    x_axis, y_axis = layout["xaxis"], layout["yaxis"]
    probe = scale(y_axis, ys, 0, 1)
    left = _left(probe, y_axis, width)
    right = 14.0
    if ends:
        right = min(0.3 * width, 16 + LETTER * max(len(_name(t)) for t in named))
    top = 10.0 if ends else 10 + _ROW * len(list(_legend_rows(named, width)))
    bottom, slanted = _bottom(scale(x_axis, xs, 0, 1), x_axis, width - left - right)
    inner = float(layout["height"])
    if shape == "square":
        inner = width - left - right
    if x_axis.get("side") == "top":
        top += slanted
        bottom = 24.0
    height = top + inner + bottom
    x = scale(x_axis, xs, left, width - right)
    y = scale(y_axis, ys, top + inner, top)
    return _Canvas(x, y, traces, layout, width, height, named, ends)


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


def _left(y: Scale, axis: dict[str, Any], width: float) -> float:
    longest = max((len(text) for _, text in y.ticks), default=1)
    title = 16 if axis["title"]["text"] else 0
    return min(0.42 * width, 12 + LETTER * longest + title)


def _bottom(x: Scale, axis: dict[str, Any], room: float) -> tuple[float, float]:
    """Pixels below the frame, and those of names that do not lie flat."""
    title = 18 if axis["title"]["text"] else 0
    longest = max((len(text) for _, text in x.ticks), default=1)
    if x.categories and longest * LETTER > room / max(1, len(x.categories)):
        slanted = min(110.0, longest * 5.0) + 8
        return slanted + title, slanted + title
    return 22 + title, 24.0


def _frame(canvas: _Canvas) -> str:
    x, y, layout = canvas.x, canvas.y, canvas.layout
    parts = [*_x_axis(canvas), *_y_axis(canvas)]
    for shape in layout.get("shapes", ()):
        ends = [(x.at(shape[f"x{i}"]), y.at(shape[f"y{i}"])) for i in "01"]
        if shape.get("yref") == "paper":
            ends = [(at, edge) for (at, _), edge in zip(ends, (y.start, y.end), strict=True)]
        elif shape.get("xref") == "paper":
            ends = [(edge, at) for (_, at), edge in zip(ends, (x.start, x.end), strict=True)]
        dash = _DASHES.get(shape["line"].get("dash", ""), "")
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(f'<path class="a"{dashed} d="{_line(ends)}"/>')
    return "".join(parts)


def _x_axis(canvas: _Canvas) -> Iterator[str]:
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
            yield f'<path class="g" d="M{_n(at)} {_n(top)}V{_n(bottom)}"/>'
        if slanted:
            place, turn = (top - 6, "") if above else (bottom + 10, ' class="e"')
            turned = f' transform="rotate(-50 {_n(at + 3)} {_n(place)})"'
            yield _text(at + 3, place, shortened(text, 20), turn + turned)
        elif at - last > LETTER * len(text) * 0.9 or x.categories:
            last = at
            yield _text(at, top - 6 if above else bottom + 15, text, ' class="m"')
    if title := plain(axis["title"]["text"]):
        place = top - 96 if above and slanted else canvas.height - 4
        if not above:
            yield _text((x.start + x.end) / 2, place, title, ' class="m"')


def _y_axis(canvas: _Canvas) -> Iterator[str]:
    x, y, axis = canvas.x, canvas.y, canvas.layout["yaxis"]
    room = int((x.start - 12) / LETTER)
    grid = axis.get("showgrid", True)
    for value, text in y.ticks:
        at = y.at(value)
        if at is None:
            continue
        if grid:
            yield f'<path class="g" d="M{_n(x.start)} {_n(at)}H{_n(x.end)}"/>'
        inked = " i" if y.categories or axis.get("ticktext") else ""
        shown = shortened(text, max(room, 6))
        yield _text(x.start - 7, at + 4, shown, f' class="e{inked}"')
    if title := plain(axis["title"]["text"]):
        middle = (y.start + y.end) / 2
        turn = f' class="m" transform="rotate(-90 11 {_n(middle)})"'
        yield _text(11, middle, title, turn)


# --- Names of lines -------------------------------------------------------------------


def _names(canvas: _Canvas) -> str:
    if not canvas.named:
        return ""
    return "".join(_end_names(canvas) if canvas.ends else _legend(canvas))


def _end_names(canvas: _Canvas) -> Iterator[str]:
    """Each line's name beside its last point, moved apart where they would meet."""
    places: list[tuple[float, float, Trace]] = []
    for trace in canvas.named:
        points = [
            (canvas.x.within(a), canvas.y.within(b))
            for a, b in zip(trace["x"], trace["y"], strict=True)
        ]
        known = [one for one in points if None not in one]
        if known:
            places.append((known[-1][1] or 0.0, known[-1][0] or 0.0, trace))
    places.sort(key=lambda one: one[0])
    apart: list[float] = []
    for at, *_ in places:
        apart.append(max(at, apart[-1] + 14) if apart else at)
    over = max(0.0, (apart[-1] if apart else 0.0) - canvas.height + 30)
    for at, (_, x, trace) in zip(apart, places, strict=True):
        label = _text(x + 8, at - over + 4, _name(trace), "")
        yield f'<g class="{_colour(trace)}">{label.replace("<text", _INKED)}</g>'


_INKED: Final = '<text style="fill:currentColor;font-weight:600"'


def _legend_rows(named: Sequence[Trace], width: float) -> Iterator[list[tuple[float, Trace]]]:
    """Rows of a legend: where each entry starts."""
    row: list[tuple[float, Trace]] = []
    at = 4.0
    for trace in named:
        length = 26 + LETTER * len(_name(trace))
        if row and at + length > width:
            yield row
            row, at = [], 4.0
        row.append((at, trace))
        at += length + 12
    if row:
        yield row


def _legend(canvas: _Canvas) -> Iterator[str]:
    for number, row in enumerate(_legend_rows(canvas.named, canvas.width)):
        y = 10 + _ROW * number
        for x, trace in row:
            sample = _symbol(_symbol_of(trace), x + 8, y)
            if trace["type"] == "bar" or _is_band(trace):
                look = "b" if _is_band(trace) else "p"
                sample = f'<path class="{look}" d="M{_n(x)} {y - 5}h14v10h-14z"/>'
            elif "lines" in trace["mode"]:
                sample = f'<path class="l" d="M{_n(x)} {y}h16"{_dash(trace)}/>{sample}'
            yield f'<g class="{_colour(trace)}">{sample}</g>' + _text(
                x + 21, y + 4, _name(trace), ""
            )


def _name(trace: Trace) -> str:
    return plain(trace.get("name", ""))


# --- Marks ----------------------------------------------------------------------------


def _mark(canvas: _Canvas, trace: Trace) -> str:
    if trace["type"] == "heatmap":
        return _heatmap(canvas, trace)
    inner: Iterable[str]
    if trace["type"] == "bar":
        inner = _bars(canvas, trace)
    elif _is_band(trace):
        points = _points(canvas, trace)
        inner = [f'<path class="b" d="{_line(points)}Z"/>'] if len(points) > 2 else []
    else:
        inner = [*_whiskers(canvas, trace), *_scatter(canvas, trace)]
    return f'<g class="{_colour(trace)}">{"".join(inner)}</g>'


def _colour(trace: Trace) -> str:
    index = (trace.get("meta") or {}).get("colour")
    return "cn" if index is None else f"c{index % _PALETTE}"


def _is_band(trace: Trace) -> bool:
    return bool((trace.get("meta") or {}).get("band"))


def _points(canvas: _Canvas, trace: Trace) -> list[tuple[float | None, float | None]]:
    pairs = zip(trace["x"], trace["y"], strict=True)
    return [(canvas.x.within(a), canvas.y.within(b)) for a, b in pairs]


def _scatter(canvas: _Canvas, trace: Trace) -> Iterator[str]:
    points = _points(canvas, trace)
    meta = trace.get("meta") or {}
    if "lines" in trace["mode"]:
        stepped = trace["line"].get("shape") == "hv"
        name = "h" if meta.get("handle") else "l1" if meta.get("thin") else "l"
        if path := _line(points, stepped=stepped):
            yield f'<path class="{name}"{_dash(trace)} d="{path}"/>'
    if "markers" not in trace["mode"]:
        return
    marker = trace["marker"]
    symbols = marker["symbol"]
    shown = range(len(points))
    if most := marker.get("maxdisplayed"):
        step = max(1, math.ceil(len(points) / most))
        shown = range(0, len(points), step)
    said = trace["mode"] == "markers"
    for at in shown:
        x, y = points[at]
        if x is not None and y is not None:
            symbol = symbols if isinstance(symbols, str) else symbols[at]
            size = 4.4 if said else 2.6
            yield _symbol(symbol, x, y, size, _told(trace, at) if said else "")


def _told(trace: Trace, at: int) -> str:
    """What a point says of itself."""
    notes = trace.get("hovertext")
    words = (_name(trace), trace["x"][at], trace["y"][at], notes[at] if notes else "")
    return ", ".join(
        plain(f"{w:.4g}" if isinstance(w, float) else w) for w in words if w not in ("", None)
    )


def _dash(trace: Trace) -> str:
    dash = _DASHES.get(trace.get("line", {}).get("dash", ""))
    return f' stroke-dasharray="{dash}"' if dash else ""


def _whiskers(canvas: _Canvas, trace: Trace) -> Iterator[str]:
    for key, along in (("error_x", True), ("error_y", False)):
        errors = trace.get(key)
        if not errors:
            continue
        own, other = (canvas.x, canvas.y) if along else (canvas.y, canvas.x)
        values, places = (trace["x"], trace["y"]) if along else (trace["y"], trace["x"])
        for value, place, up, down in zip(
            values, places, errors["array"], errors["arrayminus"], strict=True
        ):
            if None in (value, up, down):
                continue
            low, high, at = own.within(value - down), own.within(value + up), other.at(place)
            if None not in (low, high, at):
                ends = ((low, at), (high, at)) if along else ((at, low), (at, high))
                yield f'<path class="w" d="{_line(ends)}"/>'


def _bars(canvas: _Canvas, trace: Trace) -> Iterator[str]:
    bars = [one for one in canvas.traces if one["type"] == "bar"]
    along = trace["orientation"] == "h"
    own, other = (canvas.x, canvas.y) if along else (canvas.y, canvas.x)
    values, places = (trace["x"], trace["y"]) if along else (trace["y"], trace["x"])
    thick = 0.76 * other.step / len(bars)
    shift = (bars.index(trace) - len(bars) / 2) * thick
    zero = own.within(0)
    for at, (value, place) in enumerate(zip(values, places, strict=True)):
        end, middle = own.within(value), other.at(place)
        if end is None or middle is None or zero is None:
            continue
        first, length = min(zero, end), abs(end - zero)
        x, y = (first, middle + shift) if along else (middle + shift, first)
        w, h = (length, thick) if along else (thick, length)
        box = f'x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}"'
        yield f'<rect class="p" {box}>{_title(_told(trace, at))}</rect>'


def _heatmap(canvas: _Canvas, trace: Trace) -> str:
    x, y, meta = canvas.x, canvas.y, trace["meta"]
    known = [v for row in trace["z"] for v in row if v is not None]
    low = trace.get("zmin", min(known, default=0.0))
    high = trace.get("zmax", max(known, default=1.0))
    cells: dict[str, list[str]] = {}
    texts, hatched = [], []
    unread = {tuple(one) for one in meta.get("hatched", ())}
    for i, (row, values) in enumerate(zip(trace["y"], trace["z"], strict=True)):
        for j, (column, value) in enumerate(zip(trace["x"], values, strict=True)):
            cx, cy = x.at(column), y.at(row)
            if cx is None or cy is None:
                continue
            left, top = cx - x.step / 2 + 0.5, cy - y.step / 2 + 0.5
            box = f"M{_n(left)} {_n(top)}h{_n(x.step - 1)}v{_n(y.step - 1)}h{_n(1 - x.step)}z"
            if (i, j) in unread:
                hatched.append(
                    f"M{_n(left)} {_n(top + y.step - 1)}l{_n(x.step - 1)} {_n(1 - y.step)}"
                )
            elif value is not None:
                name = _shade(value, low, high, diverging=meta["scale"] == "diverging")
                cells.setdefault(name, []).append(box)
                if "texttemplate" in trace or x.step >= 34:
                    light = name[2:] and int(name[2:]) >= SHADES // 2 + 1
                    digits = meta.get("digits", 2)
                    texts.append(
                        _text(
                            cx,
                            cy + 4,
                            f"{value:.{digits}f}",
                            f' class="m{" z" if light else " i"}"',
                        )
                    )
    parts = [
        f'<path class="{name}" d="{"".join(boxes)}"/>' for name, boxes in sorted(cells.items())
    ]
    if hatched:
        parts.append(f'<path class="g" d="{"".join(hatched)}"/>')
    return "".join([*parts, *texts])


def _shade(value: float, low: float, high: float, *, diverging: bool) -> str:
    """Class of a cell: `hs0` to `hs10`, or `hp` above zero and `hq` below."""
    if diverging:
        bound = max(abs(low), abs(high)) or 1.0
        return f"h{'p' if value >= 0 else 'q'}{round(SHADES * min(1.0, abs(value) / bound))}"
    share = (value - low) / ((high - low) or 1.0)
    return f"hs{round(SHADES * min(1.0, max(0.0, share)))}"


# --- Elements -------------------------------------------------------------------------

_SHAPES: Final = {
    "square": "M-1-1h2v2h-2z",
    "diamond": "M0-1.3L1.3 0 0 1.3-1.3 0z",
    "triangle-up": "M0-1.2L1.2 1h-2.4z",
    "triangle-down": "M0 1.2L1.2-1h-2.4z",
    "cross": "M-.4-1.2h.8v.8h.8v.8h-.8v.8h-.8v-.8h-.8v-.8h.8z",
    "x": "M-1.1-.6l.5-.5L0-.5l.6-.6.5.5L.5 0l.6.6-.5.5L0 .5l-.6.6-.5-.5L-.5 0z",
    "star": "M0-1.4L.4-.45l1 .05-.8.65.25 1L0 .7l-.85.55.25-1-.8-.65 1-.05z",
    "pentagon": "M0-1.2L1.15-.35.7 1h-1.4l-.45-1.35z",
    "hourglass": "M-1-1h2l-2 2h2z",
}


def _symbol_of(trace: Trace) -> str:
    found = trace.get("marker", {}).get("symbol", "circle")
    return found if isinstance(found, str) else next(iter(found), "circle")


def _symbol(name: str, x: float, y: float, size: float = 4.0, told: str = "") -> str:
    shape, hollow = name.removesuffix("-open"), name.endswith("-open")
    if shape == "line-ns":
        return f'<path class="w" d="M{_n(x)} {_n(y - 4)}v8">{_title(told)}</path>'
    look, title = ("o" if hollow else "p"), _title(told)
    if shape not in _SHAPES:
        return f'<circle class="{look}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(size)}">{title}</circle>'
    move = f"translate({_n(x)} {_n(y)}) scale({_n(size)})"
    thin = ' style="stroke-width:.4"' if hollow else ""
    return f'<path class="{look}"{thin} transform="{move}" d="{_SHAPES[shape]}">{title}</path>'


def _title(told: str) -> str:
    return f"<title>{html_text(told)}</title>" if told else ""


def _text(x: float, y: float, text: str, attributes: str) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}"{attributes}>{html_text(text)}</text>'


def _line(points: Iterable[tuple[float | None, float | None]], *, stepped: bool = False) -> str:
    """A path through points; what is missing leaves a gap."""
    parts: list[str] = []
    down = False
    for x, y in points:
        if x is None or y is None:
            down = False
            continue
        if stepped and down:
            parts.append(f"H{_n(x)}V{_n(y)}")
        else:
            parts.append(f"{'L' if down else 'M'}{_n(x)} {_n(y)}")
        down = True
    return "".join(parts) if len(parts) > 1 else ""


def _n(value: float) -> str:
    """A coordinate: one decimal is less than a reader sees."""
    text = f"{value:.1f}"
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text
