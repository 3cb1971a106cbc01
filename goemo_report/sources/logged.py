"""What runs log, read in one way: history rows, numbers and summaries."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from numbers import Real
from typing import Any, Final

from goemo_report.formats.json_text import parsed

SUMMARIES: Final = ("last", "best", "max", "min", "mean", "first")
"""What `define_metric` may keep of a metric in place of its last value; the first counts."""


def flattened(values: Mapping[str, Any], *, deep: bool = False) -> dict[str, Any]:
    """Nested values under keys joined by dots, as W&B's server returns rows: `val.loss`.

    What has a `_type`, such as a histogram, is one value unless `deep`. Empty mappings hold none.
    """
    if not any(isinstance(value, Mapping) for value in values.values()):
        return dict(values)
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and (deep or "_type" not in value):
            inner = flattened(value, deep=deep)
            flat.update((f"{key}.{name}", item) for name, item in inner.items())
        else:
            flat[key] = value
    return flat


def summarised(value: Any) -> tuple[Any, str]:
    """A summary value, and which one it is of a metric defined with a summary: `max`, say."""
    if isinstance(value, Mapping):
        for kind in SUMMARIES:
            if kind in value:
                return value[kind], kind
    return value, ""


def as_number(value: Any) -> float | None:
    """A logged value as a number; None where it is none.

    W&B writes what JSON cannot hold as "NaN" and "Infinity"; see `summarised` too.
    """
    if type(value) is float:  # most are
        return value
    value, _ = summarised(value)
    if isinstance(value, str) and value in {"NaN", "Infinity", "-Infinity"}:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:  # JSON has whole numbers that no float can hold
        return None


def metadata(value: Any) -> dict[str, Any]:
    """What was noted on an artifact, which may be JSON text; unreadable, it is nothing."""
    try:
        found = parsed(value) if isinstance(value, str) and value else value
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def moment(text: Any) -> datetime | None:
    """A time as ISO 8601 has it, which is UTC whether it says so or not; None where it is none."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
