"""Values as readers see them; every text format takes them from here.

Decimals follow the column. Minus is the true minus sign; nothing is grouped by locale.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from goemo_report.formats.wording import size
from goemo_report.report.document import MISSING, Cell, Column, Mark, Value

MINUS: Final = "\u2212"

MARKS: Final[dict[Mark, tuple[str, str]]] = {
    "best": ("\u2605", "best"),
    "good": ("\u25b2", "better"),
    "bad": ("\u25bc", "worse"),
    "warning": ("!", "warning"),
    "muted": ("", ""),
}
"""Sign and word of each mark; a muted value is only set back."""

NUMERIC_KINDS: Final = frozenset(
    {"integer", "number", "percent", "delta", "pvalue", "duration", "bytes"}
)


def as_cell(value: Value | Cell) -> Cell:
    """A Cell, made of a plain value where needed."""
    return value if isinstance(value, Cell) else Cell(value)


def defined(value: Value) -> Value:
    """A value as data files have it: a number that is not finite is not defined, None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(value: Value, column: Column) -> str:
    """A value in its column's kind, e.g. `0.512`, `+0.010`, `51.2 %`, `<0.001`, `3 min 20 s`.

    Missing and undefined (NaN) values are a dash. A value of another type than the
    kind expects is shown as it is.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return show_date(value)
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isinf(value):
        return "\u221e" if value > 0 else f"{MINUS}\u221e"
    text = _show_number(value, column)
    return text.replace("-", MINUS) if column.kind in NUMERIC_KINDS else text


def show_cell(cell: Cell, column: Column) -> str:
    """A cell with its interval, e.g. `0.512 [0.494, 0.530]`, without mark and note."""
    text = show(cell.value, column)
    interval = show_interval(cell, column)
    return f"{text} {interval}" if interval else text


def show_interval(cell: Cell, column: Column) -> str:
    """The interval of a cell, e.g. `[0.494, 0.530]`; empty without one."""
    if cell.low is None or cell.high is None:
        return ""
    return f"[{show(cell.low, column)}, {show(cell.high, column)}]"


def show_date(value: datetime) -> str:
    """Date and time to the minute, in UTC where a time zone is known."""
    if value.tzinfo is None:
        return f"{value:%Y-%m-%d %H:%M}"
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _show_number(value: float, column: Column) -> str:
    kind, digits = column.kind, column.digits
    if kind == "integer":
        return f"{value:,.0f}"
    if kind == "number":
        return _fixed(value, digits)
    if kind == "percent":
        return f"{100 * value:.{max(digits - 2, 0)}f}\u00a0%"
    if kind == "delta":
        return _signed(value, digits)
    if kind == "pvalue":
        return "<0.001" if 0 <= value < 0.001 else f"{value:.3f}"
    if kind == "duration":
        return _duration(value)
    if kind == "bytes":
        return size(value)
    return f"{value:d}" if isinstance(value, int) else f"{value:.6g}"


def _fixed(value: float, digits: int) -> str:
    """Fixed decimals; two significant digits for what would show as zero."""
    if value != 0 and abs(value) < 0.5 * 10.0**-digits:
        return f"{value:.2g}"
    return f"{value:.{digits}f}"


def _signed(value: float, digits: int) -> str:
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def _duration(seconds: float) -> str:
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 1:
        return f"{sign}{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{sign}{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{sign}{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{sign}{hours:,} h {minutes:02d} min"
