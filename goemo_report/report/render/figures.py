"""Figures of a report as Plotly's JSON: traces and layout, without colours.

Colours come from the style sheet when a page draws, so that one figure serves light,
dark and print: every trace says in `meta` which colour it takes. What a colour means is
also said by a marker shape, a bar pattern or a dash. Plotly's own figure classes are slow
to import and to fill, so the JSON is written directly; a test holds it against them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from goemo_report.formats.text import visible
from goemo_report.report.document import Heatmap, Plot, Series, Value
from goemo_report.report.render.axes import axis, diagonal
from goemo_report.report.render.text import plotly_text

PALETTE_SIZE: Final = 7
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
    """One figure: `data` and `layout` for Plotly, and `choices` where groups are chosen."""
    return _heatmap(block) if isinstance(block, Heatmap) else _plot(block)


def symbol(colour: int | None) -> str:
    """Marker shape that belongs to a colour of the palette."""
    return "circle-open" if colour is None else SYMBOLS[colour % len(SYMBOLS)]


def _plot(plot: Plot) -> Figure:
    bars = any(series.style == "bars" for series in plot.series)
    traces: list[Trace] = []
    if plot.connect:
        traces.append(_connections(plot))
    for series in plot.series:
        if series.style == "line" and series.low and not plot.connect:
            traces.append(_band(series, plot))
        traces.append(_trace(series, plot))
    layout: dict[str, Any] = {
        "height": _height(plot),
        "xaxis": axis(plot.x, plot),
        "yaxis": axis(plot.y, plot),
        "showlegend": len(plot.series) > 1 and not _named_by_axis(plot),
    }
    if plot.horizontal:
        layout["yaxis"]["range"] = [len(_categories(plot)) - 0.4, -0.6]
    if bars:
        layout["barmode"] = "group"
    if plot.diagonal:
        layout["shapes"] = [diagonal(plot)]
    if plot.x.scale == "linear" and not plot.horizontal and not bars and _is_curve(plot):
        layout["hovermode"] = "closest"
    result: Figure = {"data": traces, "layout": layout}
    if plot.choose:
        result["choices"] = [visible(name) for name in _groups(plot.series)]
    return result


def _is_curve(plot: Plot) -> bool:
    return any(len(series.x) > MARKED_POINTS for series in plot.series)


def _groups(series: Sequence[Series]) -> list[str]:
    return list(dict.fromkeys(one.group for one in series))


def _trace(series: Series, plot: Plot) -> Trace:
    colour = series.colour
    trace: Trace = {
        "type": "bar" if series.style == "bars" else "scatter",
        "name": plotly_text(series.name),
        "meta": _meta(series, plot),
    }
    trace["x"], trace["y"] = _values(series.x), _values(series.y)
    if series.style == "bars":
        trace["orientation"] = "h" if plot.horizontal else "v"
        trace["marker"] = {"pattern": {"shape": _pattern(colour, len(plot.series))}}
    elif series.style == "points" or plot.connect:
        trace["mode"] = "markers"
        trace["marker"] = {"symbol": symbol(colour), "size": 8}
        trace["cliponaxis"] = False
    else:
        trace["mode"] = "lines+markers" if colour is not None else "lines"
        trace["line"] = {"width": 2, **_line(series)}
        trace["marker"] = {"symbol": symbol(colour), "size": 6, "maxdisplayed": MARKED_POINTS}
    if series.low and series.style != "line":
        trace["error_x" if plot.horizontal else "error_y"] = _errors(series, plot)
    if series.notes:
        trace["hovertext"] = [plotly_text(note, limit=160) for note in series.notes]
    if series.hidden:
        trace["visible"] = "legendonly"
    if series.group and not plot.choose:
        trace["legendgroup"] = plotly_text(series.group)
    return trace


def _meta(series: Series, plot: Plot) -> dict[str, Any]:
    """What the page's script needs of a series: its colour and, where chosen, its group."""
    meta: dict[str, Any] = {"colour": series.colour}
    if plot.choose:
        meta["group"] = _groups(plot.series).index(series.group)
    return meta


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


def _band(series: Series, plot: Plot) -> Trace:
    """The interval of a line as one closed outline, filled."""
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
        "showlegend": False,
        "meta": {**_meta(series, plot), "band": True},
    }


def _connections(plot: Plot) -> Trace:
    """Neutral bars that join what stands at the same category: the dumbbells' handles."""
    spans: dict[Value, tuple[float, float]] = {}
    for series in plot.series:
        for category, value in zip(_along(series, plot), _measured(series, plot), strict=True):
            if isinstance(value, (int, float)) and math.isfinite(value):
                low, high = spans.get(category, (value, value))
                spans[category] = (min(low, value), max(high, value))
    along: list[Any] = []
    across: list[Any] = []
    for category, (low, high) in spans.items():
        along += [_value(category), _value(category), None]
        across += [_number(low), _number(high), None]
    return {
        "type": "scatter",
        "mode": "lines",
        "x": across if plot.horizontal else along,
        "y": along if plot.horizontal else across,
        "line": {"width": 2},
        "hoverinfo": "skip",
        "showlegend": False,
        "meta": {"colour": None, "handle": True},
    }


def _categories(plot: Plot) -> set[Value]:
    return {value for series in plot.series for value in _along(series, plot)}


def _height(plot: Plot) -> int:
    """Pixels: a fixed height, or so much a category where they lie on their side."""
    if not plot.horizontal:
        return 400
    bars = sum(series.style == "bars" for series in plot.series)
    return 90 + max(len(_categories(plot)), 2) * max(22, 9 * bars + 8)


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
        "meta": {"scale": block.scale},
    }
    if block.scale == "diverging":
        bound = max(finite, default=0.0) or 1.0
        trace |= {"zmin": -bound, "zmax": bound}
    if len(block.columns) <= 10:
        trace["texttemplate"] = f"%{{z:.{block.digits}f}}"
    layout = {
        "height": 100 + 20 * max(len(block.rows), 3) + (60 if len(block.columns) > 4 else 20),
        "xaxis": {
            "type": "category",
            "showgrid": False,
            "title": {"text": plotly_text(block.column_title, limit=80)},
            "side": "top" if len(block.rows) > 20 else "bottom",
        },
        "yaxis": {
            "type": "category",
            "showgrid": False,
            "title": {"text": plotly_text(block.row_title, limit=80)},
            "autorange": "reversed",
        },
        "showlegend": False,
    }
    return {"data": [trace], "layout": layout}


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
