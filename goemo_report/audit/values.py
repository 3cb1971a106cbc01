"""Small questions about logged values that several rules ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from goemo_report.contract import Key

_VERSION: Final = re.compile(r"v?\d+(\.\d+)*([-._]?(a|b|c|rc|alpha|beta|pre|post|dev)[-._]?\d*)*"
                             r"([+-][A-Za-z0-9.+_-]+)?")  # fmt: skip
_TYPE_NAMES: Final = {int: "a whole number", float: "a number", str: "text", bool: "true or false",
                      dict: "a mapping"}  # fmt: skip
_LONGEST: Final = 60
_LARGEST: Final = 1e300  # JSON whole numbers may be larger than any float

Sane = Callable[[Any], bool]


def is_version(text: str) -> bool:
    """Whether a text starts as version numbers do, `2.13.0+cpu` included."""
    return _VERSION.fullmatch(text.strip()) is not None


def shown(value: object) -> str:
    """A logged value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def has_type(value: object, kind: type) -> bool:
    """Whether a value that went through JSON is of a type: 16.0 is whole, 2 is a number."""
    if kind is bool:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind in (int, float):
        if not isinstance(value, int | float) or not abs(value) < _LARGEST:  # nan is not less
            return False
        return kind is float or isinstance(value, int) or value.is_integer()
    if kind is dict:
        return isinstance(value, Mapping)
    return isinstance(value, kind)


def fault(values: Mapping[str, Any], key: Key, sane: Sane | None = None, range_: str = "") -> str:
    """What is wrong with one key of a mapping, empty where nothing is."""
    if key.name not in values:
        return f"{key.name} is missing"
    value = values[key.name]
    if value is None and key.optional:
        return ""
    if value is None:
        return f"{key.name} is null, not {_TYPE_NAMES[key.type]}"
    if not has_type(value, key.type):
        return f"{key.name} is {shown(value)}, not {_TYPE_NAMES[key.type]}"
    if key.type is str and not value.strip():
        return f"{key.name} is empty"
    if sane is not None and not sane(value):
        return f"{key.name} is {shown(value)}, not {range_}"
    return ""
