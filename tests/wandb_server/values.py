"""Small values shared by the whole server: JSON texts, time stamps, opaque ids."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, datetime
from typing import Any


def now() -> datetime:
    """The server's clock."""
    return datetime.now(UTC)


def stamp(moment: datetime | None) -> str | None:
    """ISO 8601 in whole seconds, as the service prints times: runs of one second tie."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def opaque(kind: str, *parts: object) -> str:
    """An id such as the service's: base64 of the kind and the path."""
    return base64.urlsafe_b64encode(":".join([kind, "v1", *map(str, parts)]).encode()).decode()


def sanitized(value: Any) -> Any:
    """NaN and the infinities as strings, which is how the service keeps them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: sanitized(item) for key, item in value.items()}
    if isinstance(value, list):
        return [sanitized(item) for item in value]
    return value


class JsonText:
    """A JSON document kept as text and parsed once, on first use."""

    __slots__ = ("_value", "text")

    def __init__(self, text: str = "{}") -> None:
        self.text = text
        self._value: Any = None
        if "NaN" in text or "Infinity" in text:
            self.text = json.dumps(sanitized(json.loads(text)))

    @classmethod
    def of(cls, value: Any) -> JsonText:
        """The text of a value."""
        return cls(json.dumps(value))

    @property
    def value(self) -> Any:
        """The parsed document; treat it as read-only."""
        if self._value is None:
            self._value = json.loads(self.text)
        return self._value
