"""What one cell holds: nothing, a 0 or 1, a number, or a list as JSON, Python or NumPy write it:
`["joy"]`, `['joy' 'love']`, `{3}`."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from numbers import Real
from typing import Any, Final

from goemo_report.errors import DataError
from goemo_report.formats.text import shown

# array([...], dtype=object), tensor([...]), frozenset({...})
_WRAPPED: Final = re.compile(
    r"(?:np\.|numpy\.)?(?:array|tensor|set|frozenset|tuple|list)"
    r"\((.*?)(?:,\s*(?:dtype|device)=.*)?\)",
    re.DOTALL,
)
_SCALAR: Final = re.compile(r"\b(?:np|numpy)\.\w+\(([^()]*)\)")
_ITEM: Final = re.compile(
    r"""\s*(?:(['"])((?:\\.|(?!\1).)*)\1|([^\s,\[\](){}'"]+))\s*(?:,|(?=['"\s])|$)""", re.DOTALL
)
_BRACKETS: Final = ("[]", "()", "{}")
_NOTHING: Final = frozenset({"", "nan", "none", "null", "<na>", "n/a", "na", "nat"})
_NAMES: Final = ("label", "name", "class", "emotion")
_VALUES: Final = ("score", "probability", "prob", "value")
_MARKS: Final = {
    "1": True, "1.0": True, "true": True, "yes": True,
    "0": False, "0.0": False, "false": False, "no": False,
}  # fmt: skip


def is_nothing(value: Any) -> bool:
    """Whether a cell holds nothing: empty, None, or not a number."""
    if isinstance(value, str):
        return value.strip().lower() in _NOTHING
    return value is None or (isinstance(value, float) and math.isnan(value))


def mark(cell: Any) -> bool | None:
    """Read a 0, a 1 or a truth value, also as text; None for anything else."""
    return _MARKS.get(str(cell).strip().lower())


class CellError(DataError):
    """A cell that cannot be taken; whoever knows its place says that too."""


def _marked(found: Mapping[Any, Any]) -> list[Any]:
    """The names that a mapping marks with 1. Raises CellError where it holds scores."""
    score = next((v for v in found.values() if mark(v) is None and not is_nothing(v)), None)
    if score is not None:
        what = f"{shown(str(found))} gives {shown(str(score))} for a label, neither 0 nor 1"
        raise CellError(what, "List the labels of the text")
    return [name for name, value in found.items() if mark(value)]


def number(item: Any) -> float | None:
    """A number, also as text, or a 0 or 1 as a truth value; None for anything else."""
    if isinstance(item, bool):
        return float(item)
    try:
        return float(item) if isinstance(item, Real | str) and "_" not in str(item) else None
    except ValueError:
        found = mark(item)
        return None if found is None else float(found)


def items(cell: Any, known: Collection[str] = ()) -> list[Any]:
    """What a cell of labels names, one by one: a list, JSON, Python's or NumPy's text of one, or
    parts between marks; of a mapping those that are marked with 1.

    Raises CellError for scores, and for lists in lists.
    """
    text = cell.strip() if isinstance(cell, str) else cell
    if isinstance(text, str) and text in known:
        return [text]
    found = listed(text)
    if isinstance(found, Mapping):
        return _marked(found)
    nested = any(isinstance(one, Mapping | list | tuple) for one in found or ())
    unread = found is None and (isinstance(text, list) or str(text)[:2] in {"[{", "[["})
    if nested or unread:
        raise CellError(f"{shown(str(cell))} is no list of labels", "Write names or ids")
    if found is not None:
        inside = text[1:-1].strip() if isinstance(text, str) else None
        return [inside] if inside in known else [one for one in found if one is not None]
    if is_nothing(text):
        return []
    return _separated(text, known) if isinstance(text, str) else [text]


def _separated(text: str, known: Collection[str]) -> list[str]:
    """The parts of a cell between bars, semicolons or commas, where no label has such a mark."""
    marks = (mark for mark in "|;" if mark in text and not any(mark in one for one in known))
    return text.split(next(marks, ","))


def listed(value: Any) -> Sequence[Any] | Mapping[Any, Any] | None:
    """The list or mapping that a cell holds, as itself or as text; None where it is neither.

    A list of `{"label": ..., "score": ...}`, as pipelines of transformers give it, is a mapping.
    """
    if isinstance(value, str):
        value = _parsed(value.strip())
    elif hasattr(value, "tolist") and getattr(value, "ndim", False):
        value = value.tolist()
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, list | tuple) and value and all(isinstance(x, Mapping) for x in value):
        return _by_name(value)
    if isinstance(value, list) and value and all(map(_is_pair, value)):  # a mapping of Parquet
        return dict(value)
    return value if isinstance(value, list | tuple | Mapping) else None


def _is_pair(item: Any) -> bool:
    return isinstance(item, list | tuple) and len(item) == 2 and isinstance(item[0], str)


def _parsed(text: str) -> Any:
    if not text or text[-1] not in "])}":
        return None
    text = _SCALAR.sub(r"\1", text)
    wrapped = _WRAPPED.fullmatch(text)
    if wrapped:
        text = wrapped[1].strip() or "[]"
    if text[0] + text[-1] not in _BRACKETS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if "{" in text and ":" in text:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    return _parts(text[1:-1].strip())


def _parts(inside: str) -> list[str] | None:
    """Items between brackets; without quotes parted by commas, or by spaces where there are none.
    Python would join `'joy' 'love'`, which is how NumPy writes two items."""
    if "'" not in inside and '"' not in inside:
        parts = inside.split(",") if "," in inside else inside.split()
        items = [part.strip() for part in parts]
        if items and not items[-1]:
            items.pop()
        return None if any(set(item) & set("[](){}") for item in items) else items
    found, at = [], 0
    while at < len(inside):
        item = _ITEM.match(inside, at)
        if item is None:
            return None
        quote, text, bare = item[1], item[2], item[3]
        if quote and "\\" in text:
            try:
                text = ast.literal_eval(f"{quote}{text}{quote}")
            except (ValueError, SyntaxError):
                return None
        found.append(text if quote else bare)
        at = item.end()
    return found


def _by_name(items: Sequence[Mapping[Any, Any]]) -> Mapping[Any, Any] | None:
    name = next((key for key in _NAMES if key in items[0]), None)
    value = next((key for key in _VALUES if key in items[0]), None)
    if name is None or any(name not in item for item in items):
        return None
    return {item[name]: item.get(value, 1) if value else 1 for item in items}
