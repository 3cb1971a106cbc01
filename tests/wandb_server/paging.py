"""Cursor pagination: opaque cursors that stay good while rows come and go."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tests.wandb_server.errors import ApiError

T = TypeVar("T")
Connection = dict[str, Any]


def encode(value: Any) -> str:
    """A cursor."""
    return base64.b64encode(json.dumps(value).encode()).decode()


def decode(cursor: str) -> Any:
    """What a cursor holds. Raises ApiError for one that this server did not make."""
    try:
        return json.loads(base64.b64decode(cursor))
    except ValueError:
        raise ApiError(f"invalid cursor {cursor!r}", 400) from None


def by_offset(rows: Sequence[T], after: str | None, first: int | None) -> Connection:
    """One page of rows whose order does not change but at the end."""
    start = decode(after) if after else 0
    end = len(rows) if first is None else start + first
    edges = [
        {"node": row, "cursor": encode(start + number + 1)}
        for number, row in enumerate(rows[start:end])
    ]
    return _connection(edges, len(rows), more=end < len(rows))


def by_key(
    rows: Sequence[T],
    after: str | None,
    first: int | None,
    key: Callable[[T], Any],
    *,
    reverse: bool = False,
) -> Connection:
    """One page of rows sorted by `key`: rows that arrive between pages shift nothing.

    `key` gives JSON values that compare with each other and differ from row to row.
    """
    keyed = [(key(row), row) for row in rows]
    if after:
        last = decode(after)
        keyed = [pair for pair in keyed if (pair[0] < last if reverse else pair[0] > last)]
    keyed.sort(key=lambda pair: pair[0], reverse=reverse)
    page = keyed if first is None else keyed[:first]
    edges = [{"node": row, "cursor": encode(value)} for value, row in page]
    return _connection(edges, len(rows), more=len(page) < len(keyed))


def _connection(edges: list[dict[str, Any]], total: int, *, more: bool) -> Connection:
    end = edges[-1]["cursor"] if edges else None
    return {
        "edges": edges,
        "totalCount": total,
        "pageInfo": {"endCursor": end, "hasNextPage": more},
    }
