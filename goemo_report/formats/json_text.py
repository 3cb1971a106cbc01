"""The one JSON encoder, and reading JSON that others wrote.

JSON has no NaN and no infinities. What a run logged keeps them as the strings "NaN",
"Infinity" and "-Infinity", as W&B itself writes them; a recomputed metric that is not
defined is None before it gets here, and null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from itertools import chain
from typing import Any, Final

from goemo_report.formats.text import escape_hidden_json

SCHEMA_VERSION: Final = 2
"""Version of every JSON document; it rises with a release, as docs/contract.md says."""

DEEPEST: Final = 100
"""Levels of nesting that a value may have."""

_TOO_DEEP: Final = f"nested more than {DEEPEST} levels deep"


def to_json(document: Any, indent: int | None = 2) -> str:
    """One JSON document, ending in a line break; a terminal or CI log shows it unharmed."""
    text = json.dumps(jsonable(document), ensure_ascii=False, allow_nan=False, indent=indent)
    return escape_hidden_json(text) + "\n"


def jsonable(value: Any) -> Any:
    """A value as JSON can hold it; what it cannot hold comes back as text."""
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(map(jsonable, value), key=repr)
    if isinstance(value, date):
        return timestamp(value) if isinstance(value, datetime) else value.isoformat()
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays
        return jsonable(value.tolist())
    return str(value)


def as_text(value: Any) -> str:
    """A text as it is, another value as JSON on one line."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def timestamp(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, as W&B writes times; a time without a zone is taken as UTC."""
    if at is None:
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.isoformat().replace("+00:00", "Z")


def parsed(text: str) -> Any:
    """A JSON value. Raises ValueError for what is none, and for one that is nested too deeply.

    What is read here is walked through by recursion later.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if text.count("[") + text.count("{") > DEEPEST and _levels(value) > DEEPEST:
        raise ValueError(_TOO_DEEP)
    return value


def _levels(value: Any) -> int:
    """How many lists and mappings lie inside one another."""
    levels, inside = 0, [value]
    while inside := [one for one in inside if isinstance(one, dict | list)]:
        levels += 1
        parts = (one.values() if isinstance(one, dict) else one for one in inside)
        inside = list(chain.from_iterable(parts))
    return levels
