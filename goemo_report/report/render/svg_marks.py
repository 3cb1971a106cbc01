"""What a figure is drawn of: scales of its axes, then marks, such as lines, bars and heat maps."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from unicodedata import east_asian_width

from goemo_report.formats.text import shortened
from goemo_report.report.render.figures import PALETTE, SHADES
from goemo_report.report.render.text import html_text

# --- Scales: from values of an axis to pixels ----------------------------------------------

LETTER: Final = 6.9
"""Pixels of a letter of a label, where fonts are wide."""
_WIDTHS: Final = {
    **dict.fromkeys(" .,:;'|!()[]/-\"Ifijlrt", 0.6),
    **dict.fromkeys("mwMW%@", 1.6),
    **dict.fromkeys("&<>+=~\u2026", 1.4),
    **dict.fromkeys("ABCDEFGHKLNOPQRSTUVXYZ", 1.15),
}
"""Letters that are narrower or wider than others, against those."""
_FEWEST: Final = 6  # letters of a name that is cut
_TINY: Final = 1e-3  # below it, values are written as 2e-5


def plain(text: Any) -> str:
    """A text of a Plotly figure as readers see it; what is Plotly's markup is undone."""
    return html.unescape(str(text))


def width_of(text: str) -> float:
    """Pixels that a label takes, rather more than fewer: fonts are those of the reader."""
    wide = (2.0 if east_asian_width(one) in "WF" else _WIDTHS.get(one, 1.0) for one in text)
    return LETTER * sum(wide)


def fitted(text: str, room: float) -> str:
    """The text, without as much of its middle as keeps it from fitting into so many pixels."""
    most = len(text)
    while most > _FEWEST and width_of(shortened(text, most)) > room:
        most -= 1
    return shortened(text, most)


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis: where its values lie between `start` and `end` (pixels), and its ticks."""

    start: float
    end: float
    low: float
    high: float
    categories: tuple[str, ...] = ()
    ticks: tuple[tuple[float, str], ...] = ()

    def at(self, value: Any) -> float | None:
        """The pixel of a value; None for what is missing or not on the axis."""
        number = self._number(value)
        if number is None or self.high == self.low:
            return None
        share = (number - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def within(self, value: Any) -> float | None:
        """The same, kept inside the axis."""
        at = self.at(value)
        first, last = sorted((self.start, self.end))
        return None if at is None else min(max(at, first), last)

    @property
    def step(self) -> float:
        """Pixels from one category to the next."""
        return abs(self.end - self.start) / max(1e-9, abs(self.high - self.low))

    def _number(self, value: Any) -> float | None:
        if self.categories:
            if isinstance(value, str) and plain(value) in self.categories:
                return float(self.categories.index(plain(value)))
            return float(value) if isinstance(value, int | float) else None
        if not isinstance(value, int | float) or not math.isfinite(value):
            return None
        return float(value)


def scale(axis: dict[str, Any], values: Iterable[Any], start: float, end: float) -> Scale:
    """The scale of a Plotly axis over what is drawn on it."""
    found = list(values)
    if axis.get("type") == "category":
        return _categories(axis, found, start, end)
    low, high = _bounds(axis, found)
    return Scale(start, end, low, high, ticks=tuple(_ticks(axis, low, high)))


def _categories(axis: dict[str, Any], values: Sequence[Any], start: float, end: float) -> Scale:
    named = axis.get("categoryarray") or [value for value in values if isinstance(value, str)]
    names = tuple(dict.fromkeys(map(plain, named)))
    low, high = axis.get("range") or (-0.5, len(names) - 0.5)
    if axis.get("autorange") == "reversed":
        low, high = high, low
    ticks = tuple((float(at), name) for at, name in enumerate(names))
    return Scale(start, end, low, high, categories=names, ticks=ticks)


def _bounds(axis: dict[str, Any], values: Sequence[Any]) -> tuple[float, float]:
    numbers = [v for v in values if isinstance(v, int | float) and math.isfinite(v)]
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    given = axis.get("range") or (None, None)
    return (
        low - pad if given[0] is None else float(given[0]),
        high + pad if given[1] is None else float(given[1]),
    )


def _ticks(axis: dict[str, Any], low: float, high: float) -> Iterable[tuple[float, str]]:
    first, last = sorted((low, high))
    values = axis.get("tickvals")
    if values is not None:
        texts = axis.get("ticktext") or [f"{value:,.6g}" for value in values]
        for value, text in zip(values, texts, strict=True):
            if first - 1e-9 <= value <= last + 1e-9:
                yield float(value), plain(text)
        return
    step = _round_step(last - first)
    number = math.ceil(first / step - 1e-9)
    while number * step <= last + 1e-9 * step:
        value = number * step
        yield value, _tick_text(value, step, percent=axis.get("tickformat") == ".0%")
        number += 1


def _round_step(span: float) -> float:
    """A round number that goes three to six times into the span."""
    power = 10.0 ** math.floor(math.log10(span / 4 or 1.0))
    return next(
        (factor * power for factor in (1, 2, 2.5, 5) if span / (factor * power) <= 6), 10 * power
    )


def _tick_text(value: float, step: float, *, percent: bool) -> str:
    if percent:
        return f"{100 * value:.0f}%"
    if step < _TINY and value:
        digits, power = f"{value:.1e}".split("e")
        return f"{digits.removesuffix('.0')}e{int(power)}".replace("-", "\u2212")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if not math.isclose(round(step, decimals), step):
        decimals += 1
    return f"{value:,.{decimals}f}".replace("-", "\u2212")


# --- Marks -----------------------------------------------------------------------------

_DASHES: Final = {"dash": "5 4", "dot": "2 3"}
Trace = dict[str, Any]


@dataclass(slots=True)
class Canvas:
    """The frame that the marks are drawn in."""

    x: Scale
    y: Scale
    traces: list[Trace]
    layout: dict[str, Any]
    width: float
    height: float
    named: list[Trace]
    ends: bool
    foot: float
    """Where the axes end; what is below is the legend."""
    above: bool = False
    """Whether the names of rows stand above their marks, where there is no room beside them."""


def name_of(trace: Trace) -> str:
    """The name of a trace, without markup."""
    return plain(trace.get("name", ""))


def mark(canvas: Canvas, trace: Trace) -> str:
    """One trace as a group of elements."""
    if trace["type"] == "heatmap":
        return _heatmap(canvas, trace)
    inner: Iterable[str]
    if trace["type"] == "bar":
        inner = _bars(canvas, trace)
    elif is_band(trace):
        points = points_of(canvas, trace)
        inner = [f'<path class="b" d="{path_through(points)}Z"/>'] if len(points) > 2 else []
    else:
        inner = [*_whiskers(canvas, trace), *_scatter(canvas, trace)]
    return f'<g class="{colour_class(trace)}">{"".join(inner)}</g>'


def colour_class(trace: Trace) -> str:
    """The class that gives a trace its colour."""
    index = (trace.get("meta") or {}).get("colour")
    return "cn" if index is None else f"c{index % len(PALETTE)}"


def is_band(trace: Trace) -> bool:
    """Whether a trace is the area between two lines."""
    return bool((trace.get("meta") or {}).get("band"))


def points_of(canvas: Canvas, trace: Trace) -> list[tuple[float | None, float | None]]:
    """Pixels of the points of a trace, kept inside the frame; None for what is missing."""
    pairs = zip(trace["x"], trace["y"], strict=True)
    return [(canvas.x.within(a), canvas.y.within(b)) for a, b in pairs]


def _scatter(canvas: Canvas, trace: Trace) -> Iterator[str]:
    points = points_of(canvas, trace)
    meta = trace.get("meta") or {}
    if "lines" in trace["mode"]:
        name = "l1" if meta.get("thin") else "l"
        if path := path_through(points):
            yield f'<path class="{name}"{dashes(trace)} d="{path}"/>'
    if "markers" not in trace["mode"]:
        return
    marker = trace["marker"]
    symbols = marker["symbol"]
    most = marker.get("maxdisplayed", len(points) or 1)
    said = trace["mode"] == "markers"
    for at in range(0, len(points), max(1, math.ceil(len(points) / most))):
        x, y = points[at]
        if x is not None and y is not None:
            symbol = symbols if isinstance(symbols, str) else symbols[at]
            size = 4.4 if said else 2.6
            yield symbol_at(symbol, x, y, size, _told(canvas, trace, at) if said else "")


def _told(canvas: Canvas, trace: Trace, at: int) -> str:
    """Write the tooltip of a point; a place on an axis whose ticks have names is no value."""
    notes = trace.get("hovertext")
    places = [trace[key][at] for key in "xy" if "ticktext" not in canvas.layout[f"{key}axis"]]
    words = (name_of(trace), *places, notes[at] if notes else "")
    return ", ".join(
        plain(f"{w:.4g}" if isinstance(w, float) else w) for w in words if w not in ("", None)
    )


def dashes(trace: Trace) -> str:
    """The attribute for a line that is not drawn through."""
    dash = _DASHES.get(trace.get("line", {}).get("dash", ""))
    return f' stroke-dasharray="{dash}"' if dash else ""


def _whiskers(canvas: Canvas, trace: Trace) -> Iterator[str]:
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
                yield f'<path class="w" d="{path_through(ends)}"/>'


def _bars(canvas: Canvas, trace: Trace) -> Iterator[str]:
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
        box = f'x="{px(x)}" y="{px(y)}" width="{px(w)}" height="{px(h)}"'
        yield f'<rect class="p" {box}>{_title(_told(canvas, trace, at))}</rect>'


def _heatmap(canvas: Canvas, trace: Trace) -> str:
    x, y, meta = canvas.x, canvas.y, trace["meta"]
    ends, cells = heat_ends(trace), dict[str, list[str]]()
    texts, hatched = [], []
    unread = {tuple(one) for one in meta.get("hatched", ())}
    for i, (row, values) in enumerate(zip(trace["y"], trace["z"], strict=True)):
        for j, (column, value) in enumerate(zip(trace["x"], values, strict=True)):
            cx, cy = x.at(column), y.at(row)
            if cx is None or cy is None:
                continue
            left, top = cx - x.step / 2 + 0.5, cy - y.step / 2 + 0.5
            box = f"M{px(left)} {px(top)}h{px(x.step - 1)}v{px(y.step - 1)}h{px(1 - x.step)}z"
            if (i, j) in unread:
                hatched.append(
                    f"M{px(left)} {px(top + y.step - 1)}l{px(x.step - 1)} {px(1 - y.step)}"
                )
            elif value is not None:
                name = shade_of(value, ends, meta["scale"])
                cells.setdefault(name, []).append(box)
                if "texttemplate" in trace or x.step >= 34:
                    ink = "z" if int(name[2:]) > SHADES // 2 else "i"
                    shown = f"{value:.{meta['digits']}f}"
                    texts.append(text_at(cx, cy + 4, shown, f' class="m {ink}"'))
    parts = [
        f'<path class="{name}" d="{"".join(boxes)}"/>' for name, boxes in sorted(cells.items())
    ]
    if hatched:
        parts.append(f'<path class="g" d="{"".join(hatched)}"/>')
    return f'<g class="hm">{"".join([*parts, *texts])}</g>'


def heat_ends(trace: Trace) -> tuple[float, float]:
    """The values at the two ends of a heat map's scale."""
    known = [value for row in trace["z"] for value in row if value is not None]
    low, high = trace.get("zmin"), trace.get("zmax")
    return (
        min(known, default=0.0) if low is None else low,
        max(known, default=1.0) if high is None else high,
    )


def shade_of(value: float, ends: tuple[float, float], scale: str) -> str:
    """Class of a cell: `hs0` to `hs10`, or `hp` above zero and `hq` below."""
    low, high = ends
    if scale == "diverging":
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


def symbol_of(trace: Trace) -> str:
    """The symbol of a trace's first point."""
    found = trace.get("marker", {}).get("symbol", "circle")
    return found if isinstance(found, str) else next(iter(found), "circle")


def symbol_at(name: str, x: float, y: float, size: float = 4.0, told: str = "") -> str:
    """A point; `told` is said when the pointer rests on it."""
    shape, hollow = name.removesuffix("-open"), name.endswith("-open")
    if shape == "line-ns":
        return f'<path class="w" d="M{px(x)} {px(y - 4)}v8">{_title(told)}</path>'
    look, title = ("o" if hollow else "p"), _title(told)
    if shape not in _SHAPES:
        return f'<circle class="{look}" cx="{px(x)}" cy="{px(y)}" r="{px(size)}">{title}</circle>'
    move = f"translate({px(x)} {px(y)}) scale({px(size)})"
    thin = ' style="stroke-width:.4"' if hollow else ""
    return f'<path class="{look}"{thin} transform="{move}" d="{_SHAPES[shape]}">{title}</path>'


def _title(told: str) -> str:
    return f"<title>{html_text(told)}</title>" if told else ""


def text_at(x: float, y: float, text: str, attributes: str, style: str = "") -> str:
    """A text that begins, ends or is centred there, as its class says."""
    return f'<text{style} x="{px(x)}" y="{px(y)}"{attributes}>{html_text(text)}</text>'


def path_through(points: Iterable[tuple[float | None, float | None]]) -> str:
    """A path through points; what is missing leaves a gap."""
    parts: list[str] = []
    down = False
    for x, y in points:
        if x is None or y is None:
            down = False
            continue
        parts.append(f"{'L' if down else 'M'}{px(x)} {px(y)}")
        down = True
    return "".join(parts) if len(parts) > 1 else ""


def px(value: float) -> str:
    """A coordinate: one decimal is less than a reader sees."""
    text = f"{value:.1f}"
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text
