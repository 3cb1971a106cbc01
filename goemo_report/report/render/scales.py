"""Scales of figures that the report draws itself: from values of an axis to pixels."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

LETTER: Final = 6.3
"""Pixels of a letter of a label, on average."""
_TINY: Final = 1e-3  # below it, values are written as 2e-5


def plain(text: Any) -> str:
    """A text of a Plotly figure as readers see it; what is Plotly's markup is undone."""
    return html.unescape(str(text))


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
