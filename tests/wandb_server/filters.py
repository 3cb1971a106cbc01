"""The run filters of the public API: MongoDB's query language over a run's fields.

On the real service lists of tags in `$in`, `$all` and `$nin` are not to be relied on (some
deployments answer with an error, some ignore them): here they are an error, so that nothing
comes to depend on them. Write `{"$and": [{"tags": "a"}, {"tags": "b"}]}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.wandb_server.errors import ApiError
from tests.wandb_server.store import Run
from tests.wandb_server.values import stamp

MISSING: Any = object()

_FIELDS: dict[str, Callable[[Run], Any]] = {
    "name": lambda run: run.name,
    "display_name": lambda run: run.display_name,
    "state": lambda run: run.state,
    "tags": lambda run: run.tags,
    "group": lambda run: run.group,
    "job_type": lambda run: run.job_type,
    "sweep": lambda run: run.sweep_name,
    "notes": lambda run: run.notes,
    "host": lambda run: run.host,
    "created_at": lambda run: stamp(run.created_at),
    "heartbeat_at": lambda run: stamp(run.heartbeat_at),
}
_CAMEL = {"displayName": "display_name", "jobType": "job_type", "createdAt": "created_at",
          "heartbeatAt": "heartbeat_at", "sweepName": "sweep"}  # fmt: skip

Condition = dict[str, Any]


def matcher(text: str | None) -> Callable[[Run], bool]:
    """A test of runs for a filter document. Raises ApiError for what is not supported."""
    document = json.loads(text or "{}") or {}
    if not isinstance(document, dict):
        raise ApiError("filters must be a JSON object", 400)
    _check(document)
    return lambda run: _matches(run, document)


def field_of(run: Run, path: str) -> Any:
    """A run's field by its name in filters and orders, MISSING where the run lacks it."""
    path = _CAMEL.get(path, path)
    if path in _FIELDS:
        return _FIELDS[path](run)
    head, _, rest = path.partition(".")
    if head == "config" and rest:
        config = run.config.value
        key = rest.removesuffix(".value")
        if key in config:
            return config[key].get("value")
        first, *inner = key.split(".")
        return _dig(config.get(first, {}).get("value", MISSING), inner)
    if head in ("summary_metrics", "summary", "summaryMetrics") and rest:
        summary = run.summary.value
        return summary[rest] if rest in summary else _dig(summary, rest.split("."))
    raise ApiError(f"cannot filter or order runs by {path!r}", 400)


def _dig(value: Any, keys: list[str]) -> Any:
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            return MISSING
        value = value[key]
    return value


def _check(document: Condition) -> None:
    """Refuse before looking at any run, so that an empty project refuses too."""
    for key, value in document.items():
        if key in ("$and", "$or", "$nor"):
            for part in value:
                _check(part)
        elif key == "$not":
            _check(value)
        elif key.startswith("$"):
            raise ApiError(f"unknown filter operator {key}", 400)
        elif isinstance(value, dict):
            _check_operators(key, value)


def _check_operators(key: str, operators: Condition) -> None:
    for operator, operand in operators.items():
        if operator == "$not":
            _check_operators(key, operand if isinstance(operand, dict) else {"$eq": operand})
        elif operator not in _OPERATORS:
            raise ApiError(f"unknown filter operator {operator}", 400)
        elif key == "tags" and operator in ("$in", "$all", "$nin"):
            raise ApiError(f"lists of tags in {operator} are not supported", 400)


def _matches(run: Run, document: Condition) -> bool:
    return all(_holds(run, key, value) for key, value in document.items())


def _holds(run: Run, key: str, value: Any) -> bool:
    if key == "$and":
        return all(_matches(run, part) for part in value)
    if key == "$or":
        return any(_matches(run, part) for part in value)
    if key == "$nor":
        return not any(_matches(run, part) for part in value)
    if key == "$not":
        return not _matches(run, value)
    actual = field_of(run, key)
    operators = value if isinstance(value, dict) else {"$eq": value}
    return _all_hold(actual, operators)


def _all_hold(actual: Any, operators: Condition) -> bool:
    for operator, operand in operators.items():
        if operator == "$not":
            inner = operand if isinstance(operand, dict) else {"$eq": operand}
            if _all_hold(actual, inner):
                return False
        elif not _OPERATORS[operator](actual, operand):
            return False
    return True


def _equal(actual: Any, operand: Any) -> bool:
    if isinstance(actual, list) and not isinstance(operand, list):
        return operand in actual
    return bool((None if actual is MISSING else actual) == operand)


def _compare(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(actual: Any, operand: Any) -> bool:
        try:
            return bool(compare(actual, operand))
        except TypeError:
            return False

    return holds


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": lambda actual, operand: not _equal(actual, operand),
    "$gt": _compare(lambda a, b: a > b),
    "$gte": _compare(lambda a, b: a >= b),
    "$lt": _compare(lambda a, b: a < b),
    "$lte": _compare(lambda a, b: a <= b),
    "$in": lambda actual, operand: any(_equal(actual, item) for item in operand),
    "$nin": lambda actual, operand: not any(_equal(actual, item) for item in operand),
    "$exists": lambda actual, operand: (actual is not MISSING) == bool(operand),
    "$regex": lambda actual, operand: (
        any(re.search(operand, item) for item in actual)
        if isinstance(actual, list)
        else isinstance(actual, str) and re.search(operand, actual) is not None
    ),
}
