"""Figures of a report as Plotly's JSON: traces and layout, without colours.

The one definition of a figure: `svg` draws a page's figures from it, `interactive` gives it to
notebooks. Colours come from what draws, so that one figure serves light, dark and print: every
trace says in `meta` which colour it takes. What a colour means is also said by a marker shape, a
bar pattern or a dash. Plotly's own figure classes are slow to import and to fill, so the JSON is
written directly; a test holds it against them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from goemo_report.report.document import Axis, Heatmap, Plot, Series, Value
from goemo_report.report.render.text import plotly_text

SYMBOLS: Final = (
    "circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star", "pentagon",
    "hourglass",
)  # fmt: skip
PATTERNS: Final = ("", "/", "x", "-", "|", "+", ".", "\\")
MARKED_POINTS: Final = 8
"""Most markers on one line: enough to tell lines apart without colour."""
MAX_TICKS: Final = 12


Trace = dict[str, Any]
Figure = dict[str, Any]


def figure(block: Plot | Heatmap) -> Figure:
    """One figure: `data` and `layout` for Plotly."""
    return _heatmap(block) if isinstance(block, Heatmap) else _plot(block)


def transposed(block: Heatmap) -> Heatmap:
    """A heat map with its columns as rows."""
    return replace(
        block,
        rows=block.columns,
        columns=block.rows,
        values=tuple(zip(*block.values, strict=True)),
        hatched=frozenset((column, row) for row, column in block.hatched),
    )


# --- Plots ----------------------------------------------------------------------------


def _plot(plot: Plot) -> Figure:
    traces: list[Trace] = []
    for series in plot.series:
        if series.style == "band" or (series.style == "line" and series.low):
            traces.append(_band(series))
        if series.style != "band":
            traces.append(_trace(series, plot))
    named = any(_places(series, plot) != (series.name,) for series in plot.series)
    layout: dict[str, Any] = {
        "height": _height(plot),
        "xaxis": _axis(plot.x, [value for series in plot.series for value in series.x]),
        "yaxis": _axis(plot.y, [value for series in plot.series for value in series.y]),
        "showlegend": plot.legend and len(plot.series) > 1 and named,  # the axis names them else
        "meta": {"shape": plot.shape},
    }
    if plot.horizontal:
        layout["yaxis"]["range"] = [len(plot.y.ticks or _categories(plot)) - 0.4, -0.6]
    if any(series.style == "bars" for series in plot.series):
        layout["barmode"] = "group"
    shapes = [*([_diagonal(plot)] if plot.diagonal else []), *([_zero(plot)] if plot.zero else [])]
    if shapes:
        layout["shapes"] = shapes
    if plot.shape == "square":
        layout["yaxis"] |= {"scaleanchor": "x", "scaleratio": 1}
    return {"data": traces, "layout": layout}


def _trace(series: Series, plot: Plot) -> Trace:
    colour = series.colour
    trace: Trace = {
        "type": "bar" if series.style == "bars" else "scatter",
        "name": plotly_text(series.name),
        "meta": {"colour": colour},
        "x": _values(series.x),
        "y": _values(series.y),
    }
    if series.style == "bars":
        shown = PATTERNS[colour % len(PATTERNS)] if colour is not None else ""
        trace["orientation"] = "h" if plot.horizontal else "v"
        trace["marker"] = {"pattern": {"shape": shown if len(plot.series) > 1 else ""}}
    elif series.style in {"points", "ticks"}:
        trace["mode"] = "markers"
        trace["marker"] = {"symbol": _symbols(series), "size": 8}
        trace["cliponaxis"] = False
    elif series.style == "thin":
        trace |= {"mode": "lines", "line": {"width": 1}, "opacity": 0.5, "showlegend": False}
        trace["meta"] = {"colour": colour, "thin": True}
    else:
        trace["mode"] = "lines+markers" if colour is not None else "lines"
        trace["line"] = {"width": 2, **({"dash": "dash"} if series.style == "dashed" else {})}
        trace["marker"] = {"symbol": _symbol(colour), "size": 6, "maxdisplayed": MARKED_POINTS}
    if series.low and series.style != "line":
        trace["error_x" if plot.horizontal else "error_y"] = _errors(series, plot)
    if series.notes:
        trace["hovertext"] = [plotly_text(note, limit=160) for note in series.notes]
    if series.group:
        trace["legendgroup"] = plotly_text(series.group)
    return trace


def _symbol(colour: int | None) -> str:
    """Marker shape that belongs to a colour of the palette."""
    return "circle-open" if colour is None else SYMBOLS[colour % len(SYMBOLS)]


def _symbols(series: Series) -> str | list[str]:
    """The shape of all points, or one shape a point where some are hollow."""
    if series.style == "ticks":
        return "line-ns-open"
    filled = _symbol(series.colour).removesuffix("-open")
    if isinstance(series.hollow, tuple):
        return [f"{filled}-open" if hollow else filled for hollow in series.hollow]
    return f"{filled}-open" if series.hollow else _symbol(series.colour)


def _places(series: Series, plot: Plot) -> tuple[Value, ...]:
    """Positions of the series: its categories, or x."""
    return series.y if plot.horizontal else series.x


def _categories(plot: Plot) -> set[Value]:
    return {value for series in plot.series for value in _places(series, plot)}


def _errors(series: Series, plot: Plot) -> dict[str, Any]:
    above: list[float | None] = []
    below: list[float | None] = []
    measured = series.x if plot.horizontal else series.y
    for value, low, high in zip(measured, series.low, series.high, strict=True):
        known = isinstance(value, (int, float)) and low is not None and high is not None
        above.append(_number(high - value) if known else None)  # type: ignore[operator] # known
        below.append(_number(value - low) if known else None)  # type: ignore[operator] # known
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "width": 0}


def _band(series: Series) -> Trace:
    """The interval of a line, or a band of its own, as one closed outline, filled."""
    bounds = zip(_values(series.x), series.low, series.high, strict=True)
    points = [(x, low, high) for x, low, high in bounds if low is not None and high is not None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for x, _, _ in points] + [x for x, _, _ in reversed(points)],
        "y": [_number(low) for _, low, _ in points]
        + [_number(high) for _, _, high in reversed(points)],
        "fill": "toself",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "name": plotly_text(series.name),
        "showlegend": series.style == "band",
        "meta": {"colour": series.colour, "band": True},
    }


def _height(plot: Plot) -> int:
    """Pixels: a fixed height, or so much a category where they lie on their side."""
    if not plot.horizontal:
        return plot.height or (300 if plot.shape == "wide" else 210)
    bars = sum(series.style == "bars" for series in plot.series)
    names = plot.y.ticks or _categories(plot)
    return 10 + max(len(names), 2) * (plot.height or max(18, 9 * bars + 8))


# --- Axes and lines across them -------------------------------------------------------


def _axis(axis: Axis, values: Iterable[Value]) -> dict[str, Any]:
    """Title, scale, bounds and ticks of one axis, and what stands on it."""
    result: dict[str, Any] = {"title": {"text": plotly_text(axis.title, limit=80)}}
    if axis.scale == "category":
        result |= {"type": "category", "showgrid": False}
        if axis.categories:
            result |= {"categoryorder": "array", "categoryarray": _values(axis.categories)}
    elif axis.ticks:
        names = [plotly_text(name) for _, name in axis.ticks]
        result |= {"tickvals": [at for at, _ in axis.ticks], "ticktext": names}
    elif ticks := _integer_ticks(set(values)):
        result["tickvals"] = ticks
    else:
        result["exponentformat"] = "e"
    if axis.scale != "category" and (axis.low is not None or axis.high is not None):
        result["range"] = [axis.low, axis.high]
    if axis.percent:
        result["tickformat"] = ".0%"
    return result


def _integer_ticks(values: set[Value]) -> list[int]:
    """Ticks at the integers themselves where an axis has few, such as epochs."""
    whole = sorted(v for v in values if isinstance(v, int) and not isinstance(v, bool))
    if len(whole) != len(values) or not whole:
        return []
    step = -(-(whole[-1] - whole[0] + 1) // MAX_TICKS)
    return whole if len(whole) <= MAX_TICKS else list(range(whole[0], whole[-1] + 1, step))


def _diagonal(plot: Plot) -> dict[str, Any]:
    """The line y = x over the axes' fixed bounds, 0 to 1 where none are given."""
    low = max(0.0 if axis.low is None else axis.low for axis in (plot.x, plot.y))
    high = min(1.0 if axis.high is None else axis.high for axis in (plot.x, plot.y))
    ends = {"x0": low, "y0": low, "x1": high, "y1": high}
    return {"type": "line", **ends, "layer": "below", "line": {"width": 1, "dash": "dot"}}


def _zero(plot: Plot) -> dict[str, Any]:
    """The line where the values of a plot are 0, from one end of the other axis to the other."""
    along, across = ("x", "y") if plot.horizontal else ("y", "x")
    ends = {f"{along}0": 0, f"{along}1": 0, f"{across}0": 0, f"{across}1": 1}
    return {"type": "line", **ends, f"{across}ref": "paper", "layer": "below", "line": {"width": 1}}


# --- Heat maps ------------------------------------------------------------------------


def _heatmap(block: Heatmap) -> Figure:
    rows, columns = _values(block.rows), _values(block.columns)
    axis = {"type": "category", "showgrid": False, "title": {"text": ""}}
    across = {**axis, "side": "top" if len(rows) > 20 else "bottom"}
    down = {**axis, "autorange": "reversed"}
    if block.dots:
        trace = _dots(block, rows, columns)
        across |= {"categoryorder": "array", "categoryarray": columns}
        down |= {"categoryorder": "array", "categoryarray": rows}
    else:
        trace = _shades(block, rows, columns)
    if len(columns) <= 10:
        trace["texttemplate"] = f"%{{z:.{block.digits}f}}"
    layout: dict[str, Any] = {
        "height": 19 * max(len(rows), 2),
        "xaxis": across,
        "yaxis": down,
        "showlegend": False,
        "meta": {"shape": "wide"},
    }
    return {"data": [trace], "layout": layout}


def _shades(block: Heatmap, rows: list[Any], columns: list[Any]) -> Trace:
    values = [_values(row) for row in block.values]
    trace: Trace = {
        "type": "heatmap",
        "x": columns,
        "y": rows,
        "z": values,
        "xgap": 1,
        "ygap": 1,
        "hoverongaps": False,
        "hovertemplate": f"%{{y}}<br>%{{x}}<br><b>%{{z:.{block.digits + 1}f}}</b><extra></extra>",
        "meta": {"scale": block.scale, "digits": block.digits, "ends": list(block.ends)},
    }
    finite = (abs(value) for row in values for value in row if value is not None)
    bound = block.bound or max(finite, default=0.0) or 1.0
    if block.scale == "diverging":
        trace |= {"zmin": -bound, "zmax": bound}
    elif block.bound:
        trace |= {"zmin": 0.0, "zmax": bound}
    if block.hatched:
        trace["meta"]["hatched"] = sorted(block.hatched)
    return trace


def _dots(block: Heatmap, rows: list[Any], columns: list[Any]) -> Trace:
    """A dot for each cell that has a value."""
    there = [
        (column, row)
        for row, values in zip(rows, block.values, strict=True)
        for column, value in zip(columns, values, strict=True)
        if value is not None
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "",
        "x": [column for column, _ in there],
        "y": [row for _, row in there],
        "marker": {"symbol": "circle", "size": 9},
        "meta": {"colour": None},
    }


# --- Values ---------------------------------------------------------------------------


def _values(values: Iterable[Value]) -> list[Any]:
    return [_value(value) for value in values]


def _value(value: Value) -> Any:
    if isinstance(value, str):
        return plotly_text(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value if isinstance(value, bool) else _number(value)


def _number(value: float | None) -> float | int | None:
    """Five significant digits: more cannot be seen, and the page stays small."""
    if value is None or not math.isfinite(value):
        return None
    if isinstance(value, int):
        return value
    rounded = float(f"{value:.5g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


# --- Colours and style sheet: of a page's themes, and of files of their own ----------------

SHADES: Final = 10
"""Steps of a heat map's colour."""
LIGHT: Final = {
    "ink": "#1d1e20", "soft": "#595b5e", "line": "#dcdad2", "grid": "#e7e5de",
    "neutral": "#85878a", "paper": "#fdfdfb", "low": "#f2f4f5", "high": "#0b3c66",
    "minus": "#b5500f", "zero": "#f4f3ee", "plus": "#14609a",
}  # fmt: skip
"""Colours of the light page, for files of their own."""
PALETTE: Final = ("#0f6cb0", "#c8500a", "#0b8a66", "#b2588f", "#a67c00", "#3b9fd6", "#5d5a8f")
"""Those of the recipes."""
_HEAT: Final = (("s", "low", "high"), ("p", "zero", "plus"), ("q", "zero", "minus"))


def standalone_style() -> str:
    """The style of figures outside a page, in the colours of a light one."""
    text = FIGURE_CSS
    for name, value in LIGHT.items():
        text = text.replace(f"var(--{name})", value)
    runs = "".join(f".c{at}{{color:{one}}}" for at, one in enumerate(PALETTE))
    font = ".fig{font-family:Helvetica,Arial,sans-serif;background:#fff}"
    heat = "".join(f".{name}{{fill:{one}}}" for name, one in heat_colours().items())
    return f"{font}{text}.cn{{color:{LIGHT['neutral']}}}{runs}{heat}"


FIGURE_CSS: Final = (
    ".fig text{font-size:11.5px;fill:var(--soft)}.fig .e{text-anchor:end}"
    ".fig .m{text-anchor:middle}"
    ".fig .i{fill:var(--ink)}.fig .g{stroke:var(--grid);fill:none}.fig .a{stroke:var(--neutral);"
    "fill:none}.fig .l{stroke:currentColor;fill:none;stroke-width:2;stroke-linejoin:round}"
    ".fig .l1{stroke:currentColor;fill:none;stroke-width:1;opacity:.5}.fig .w{stroke:currentColor;"
    "fill:none;stroke-width:1.5}.fig .p{fill:currentColor}.fig .o{fill:var(--paper);"
    "stroke:currentColor;stroke-width:1.5}.fig .b{fill:currentColor;opacity:.16}"
    ".fig .z{fill:var(--paper)}"
)


def heat_colours() -> dict[str, str]:
    """Shades of heat maps by class as plain colours: files of their own have no style sheet."""
    return {
        f"h{name}{at}": _mixed(LIGHT[low], LIGHT[high], at / SHADES)
        for name, low, high in _HEAT
        for at in range(SHADES + 1)
    }


def heat_page_css() -> str:
    """CSS of the heat colours for a page, which mixes the colours of its theme."""
    return "".join(
        f".h{name}{at}{{fill:color-mix(in srgb,var(--{high}) {100 * at // SHADES}%,var(--{low}))}}"
        for name, low, high in _HEAT
        for at in range(SHADES + 1)
    )


def _mixed(first: str, second: str, share: float) -> str:
    pairs = ((int(first[i : i + 2], 16), int(second[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)
