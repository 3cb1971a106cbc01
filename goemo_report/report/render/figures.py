"""Figures of a report as Plotly's JSON: traces and layout, without colours.

The one definition of a figure: `svg` draws a page's figures from it, `interactive` gives it to
notebooks. Colours come from what draws, so that one figure serves light, dark and print: every
trace says in `meta` which colour it takes. What a colour means is also said by a marker shape, a
bar pattern or a dash. Plotly's own figure classes are slow to import and to fill, so the JSON is
written directly; a test holds it against them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from goemo_report.report.document import Heatmap, Plot, Series, Value
from goemo_report.report.render.axes import axis, diagonal, zero_line
from goemo_report.report.render.text import plotly_text

SYMBOLS: Final = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "cross",
    "x",
    "triangle-down",
    "star",
    "pentagon",
    "hourglass",
)
PATTERNS: Final = ("", "/", "x", "-", "|", "+", ".", "\\")
MARKED_POINTS: Final = 8
"""Most markers on one line: enough to tell lines apart without colour."""


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


def symbol(colour: int | None) -> str:
    """Marker shape that belongs to a colour of the palette."""
    return "circle-open" if colour is None else SYMBOLS[colour % len(SYMBOLS)]


def _plot(plot: Plot) -> Figure:
    bars = any(series.style == "bars" for series in plot.series)
    traces: list[Trace] = []
    for series in plot.series:
        if series.style == "band" or (series.style == "line" and series.low):
            traces.append(_band(series))
        if series.style != "band":
            traces.append(_trace(series, plot))
    layout: dict[str, Any] = {
        "height": _height(plot),
        "xaxis": axis(plot.x, plot),
        "yaxis": axis(plot.y, plot),
        "showlegend": plot.legend and len(plot.series) > 1 and not _named_by_axis(plot),
        "meta": {"shape": plot.shape},
    }
    if plot.horizontal:
        layout["yaxis"]["range"] = [len(plot.y.ticks or _categories(plot)) - 0.4, -0.6]
    if bars:
        layout["barmode"] = "group"
    shapes = [diagonal(plot)] if plot.diagonal else []
    if plot.zero:
        shapes.append(zero_line(plot))
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
    }
    trace["x"], trace["y"] = _values(series.x), _values(series.y)
    if series.style == "bars":
        trace["orientation"] = "h" if plot.horizontal else "v"
        trace["marker"] = {"pattern": {"shape": _pattern(colour, len(plot.series))}}
    elif series.style in {"points", "ticks"}:
        trace["mode"] = "markers"
        trace["marker"] = {"symbol": _symbols(series), "size": 8}
        trace["cliponaxis"] = False
    elif series.style == "thin":
        trace |= {"mode": "lines", "line": {"width": 1}, "opacity": 0.5, "showlegend": False}
        trace["meta"] = {"colour": colour, "thin": True}
    else:
        trace["mode"] = "lines+markers" if colour is not None else "lines"
        trace["line"] = {"width": 2, **_line(series)}
        trace["marker"] = {"symbol": symbol(colour), "size": 6, "maxdisplayed": MARKED_POINTS}
    if series.low and series.style != "line":
        trace["error_x" if plot.horizontal else "error_y"] = _errors(series, plot)
    if series.notes:
        trace["hovertext"] = [plotly_text(note, limit=160) for note in series.notes]
    if series.group:
        trace["legendgroup"] = plotly_text(series.group)
    return trace


def _symbols(series: Series) -> str | list[str]:
    """The shape of all points, or one shape a point where some are hollow."""
    if series.style == "ticks":
        return "line-ns-open"
    filled = symbol(series.colour).removesuffix("-open")
    if isinstance(series.hollow, tuple):
        return [f"{filled}-open" if hollow else filled for hollow in series.hollow]
    return f"{filled}-open" if series.hollow else symbol(series.colour)


def _line(series: Series) -> dict[str, str]:
    if series.style == "step":
        return {"shape": "hv"}
    return {"dash": "dash"} if series.style == "dashed" else {}


def _pattern(colour: int | None, series_count: int) -> str:
    return PATTERNS[colour % len(PATTERNS)] if colour is not None and series_count > 1 else ""


def _named_by_axis(plot: Plot) -> bool:
    """Whether every series is one point at a category that has its name."""
    return all(_along(series, plot) == (series.name,) for series in plot.series)


def _along(series: Series, plot: Plot) -> tuple[Value, ...]:
    """What the series stands at: its categories, or x."""
    return series.y if plot.horizontal else series.x


def _measured(series: Series, plot: Plot) -> tuple[Value, ...]:
    """The values that the intervals belong to."""
    return series.x if plot.horizontal else series.y


def _errors(series: Series, plot: Plot) -> dict[str, Any]:
    above: list[float | None] = []
    below: list[float | None] = []
    for value, low, high in zip(_measured(series, plot), series.low, series.high, strict=True):
        known = isinstance(value, (int, float)) and low is not None and high is not None
        above.append(_number(high - value) if known else None)  # type: ignore[operator] # known
        below.append(_number(value - low) if known else None)  # type: ignore[operator] # known
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "width": 0}


def _band(series: Series) -> Trace:
    """The interval of a line, or a band of its own, as one closed outline, filled."""
    points = [
        (x, low, high)
        for x, low, high in zip(_values(series.x), series.low, series.high, strict=True)
        if low is not None and high is not None
    ]
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


def _categories(plot: Plot) -> set[Value]:
    return {value for series in plot.series for value in _along(series, plot)}


def _height(plot: Plot) -> int:
    """Pixels: a fixed height, or so much a category where they lie on their side."""
    if not plot.horizontal:
        return plot.height or (300 if plot.shape == "wide" else 210)
    bars = sum(series.style == "bars" for series in plot.series)
    names = plot.y.ticks or _categories(plot)
    return 10 + max(len(names), 2) * (plot.height or max(18, 9 * bars + 8))


def _heatmap(block: Heatmap) -> Figure:
    values = [[_number(value) for value in row] for row in block.values]
    finite = [abs(value) for row in values for value in row if value is not None]
    trace: Trace = {
        "type": "heatmap",
        "x": [plotly_text(name) for name in block.columns],
        "y": [plotly_text(name) for name in block.rows],
        "z": values,
        "xgap": 1,
        "ygap": 1,
        "hoverongaps": False,
        "hovertemplate": f"%{{y}}<br>%{{x}}<br><b>%{{z:.{block.digits + 1}f}}</b><extra></extra>",
        "meta": {"scale": block.scale, "digits": block.digits, "ends": list(block.ends)},
    }
    bound = block.bound or max(finite, default=0.0) or 1.0
    if block.scale == "diverging":
        trace |= {"zmin": -bound, "zmax": bound}
    elif block.bound:
        trace |= {"zmin": 0.0, "zmax": bound}
    if block.hatched:
        trace["meta"]["hatched"] = sorted(block.hatched)
    if block.dots:
        trace = _dots(block)
    if len(block.columns) <= 10:
        trace["texttemplate"] = f"%{{z:.{block.digits}f}}"
    layout: dict[str, Any] = {
        "height": 19 * max(len(block.rows), 2),
        "xaxis": {
            "type": "category",
            "showgrid": False,
            "title": {"text": ""},
            "side": "top" if len(block.rows) > 20 else "bottom",
        },
        "yaxis": {
            "type": "category",
            "showgrid": False,
            "title": {"text": ""},
            "autorange": "reversed",
        },
        "showlegend": False,
        "meta": {"shape": "wide"},
    }
    if block.dots:
        layout["xaxis"] |= {"categoryorder": "array", "categoryarray": trace.pop("columns")}
        layout["yaxis"] |= {"categoryorder": "array", "categoryarray": trace.pop("rows")}
    return {"data": [trace], "layout": layout}


def _dots(block: Heatmap) -> Trace:
    """A dot for each cell that has a value."""
    rows, columns = ([plotly_text(name) for name in names] for names in (block.rows, block.columns))
    there = [
        (columns[j], rows[i])
        for i, values in enumerate(block.values)
        for j, value in enumerate(values)
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
        "rows": rows,
        "columns": columns,
    }


def _values(values: Sequence[Value]) -> list[Any]:
    return [_value(value) for value in values]


def _value(value: Value) -> Any:
    if isinstance(value, str):
        return plotly_text(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bool) or value is None:
        return value
    return _number(value)


def _number(value: float | None) -> float | int | None:
    """Five significant digits: more cannot be seen, and the page stays small."""
    if value is None or not math.isfinite(value):
        return None
    if isinstance(value, int):
        return value
    rounded = float(f"{value:.5g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
