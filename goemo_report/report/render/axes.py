"""Axes of figures as Plotly's JSON."""

from __future__ import annotations

from typing import Any, Final

from goemo_report.report.document import Axis, Plot
from goemo_report.report.render.text import plotly_text

MAX_TICKS: Final = 12


def axis(one: Axis, plot: Plot) -> dict[str, Any]:
    """Title, scale, bounds and ticks of one axis of a plot."""
    result: dict[str, Any] = {"title": {"text": plotly_text(one.title, limit=80)}}
    if one.scale == "category":
        result |= {"type": "category", "showgrid": False}
        if one.categories:
            names = [plotly_text(name) for name in one.categories]
            result |= {"categoryorder": "array", "categoryarray": names}
    elif one.ticks:
        names = [plotly_text(name) for _, name in one.ticks]
        result |= {"tickvals": [at for at, _ in one.ticks], "ticktext": names}
    elif ticks := _integer_ticks(one, plot):
        result["tickvals"] = ticks
    else:
        result["exponentformat"] = "e"
    if one.scale != "category" and (one.low is not None or one.high is not None):
        result["range"] = [one.low, one.high]
    if one.percent:
        result["tickformat"] = ".0%"
    return result


def _integer_ticks(axis: Axis, plot: Plot) -> list[int]:
    """Ticks at the integers themselves where an axis has few, such as epochs."""
    values = {v for series in plot.series for v in (series.x if axis is plot.x else series.y)}
    whole = sorted(v for v in values if isinstance(v, int) and not isinstance(v, bool))
    if len(whole) != len(values) or not whole:
        return []
    step = -(-(whole[-1] - whole[0] + 1) // MAX_TICKS)
    return whole if len(whole) <= MAX_TICKS else list(range(whole[0], whole[-1] + 1, step))


def diagonal(plot: Plot) -> dict[str, Any]:
    """The line y = x over the axes' fixed bounds, 0 to 1 where none are given."""
    low = max(_or(plot.x.low, 0.0), _or(plot.y.low, 0.0))
    high = min(_or(plot.x.high, 1.0), _or(plot.y.high, 1.0))
    return {
        "type": "line",
        "x0": low,
        "y0": low,
        "x1": high,
        "y1": high,
        "layer": "below",
        "line": {"width": 1, "dash": "dot"},
    }


def zero_line(plot: Plot) -> dict[str, Any]:
    """The line where the values of a plot are 0, from one end of the other axis to the other."""
    along, across = ("x", "y") if plot.horizontal else ("y", "x")
    ends = {f"{along}0": 0, f"{along}1": 0, f"{across}0": 0, f"{across}1": 1}
    return {"type": "line", **ends, f"{across}ref": "paper", "layer": "below", "line": {"width": 1}}


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
