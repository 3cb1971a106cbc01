"""Complete histories from a server that would rather send samples.

The server sends every row of a span of steps as long as they are no more than were asked
for. So spans are asked whole, an alias each and many to a request, halved where they come
back full, and the rows are counted against the server's own count of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from goemo_report.sources.model import History, RunState
from goemo_report.sources.store import Cache
from goemo_report.sources.wandb_api import decode, queries
from goemo_report.sources.wandb_api.project import Project, in_parallel

ROWS: Final = 2000
"""Most rows of one alias; a span that fills it is halved."""

_ROWS_PER_REQUEST: Final = 10_000
_STRICT_SPAN: Final = 1000  # steps; as many rows at most, so nothing can be sampled away
_NO_END: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Extent:
    """How much history a run has, as its listing says."""

    run_id: str
    lines: int | None
    last_step: int | None
    heartbeat: str
    state: RunState | str

    @classmethod
    def of(cls, node: decode.Node) -> Extent:
        """From a run's node in a listing."""
        lines = node.get("historyLineCount")
        return cls(
            run_id=str(node["name"]),
            lines=lines if isinstance(lines, int) else None,
            last_step=decode.last_step(node),
            heartbeat=str(node.get("heartbeatAt") or ""),
            state=str(node.get("state") or ""),
        )


@dataclass(frozen=True, slots=True)
class _Span:
    extent: Extent
    first: int
    end: int


def histories(project: Project, extents: Sequence[Extent], cache: Cache) -> dict[str, History]:
    """Complete history of each run, by run id, one row a step.

    Histories of runs that have ended are kept in the cache.
    """
    found: dict[str, History] = {}
    missing = []
    for extent in extents:
        rows = cache.load("histories", *_identity(project, extent))
        if rows is None:
            missing.append(extent)
        else:
            found[extent.run_id] = tuple(rows)
    for run_id, raw in raw_rows(project, missing).items():
        found[run_id] = by_step(raw)
    for extent in missing:
        if extent.state != "running" and extent.lines is not None:
            cache.store("histories", found[extent.run_id], *_identity(project, extent))
    return found


def raw_rows(project: Project, extents: Sequence[Extent]) -> dict[str, list[dict[str, Any]]]:
    """Every row that the server holds, in its order, repeated steps included."""
    rows: dict[str, list[dict[str, Any]]] = {extent.run_id: [] for extent in extents}
    rows |= _ask(project, [_Span(e, *_whole(e)) for e in extents if e.lines != 0], ROWS)
    short = [e for e in extents if e.lines is not None and len(rows[e.run_id]) < e.lines]
    if short:
        strict = [span for extent in short for span in _strict_spans(extent)]
        for run_id, complete in _ask(project, strict, _STRICT_SPAN).items():
            rows[run_id] = max(rows[run_id], complete, key=len)
    return rows


def by_step(rows: Sequence[dict[str, Any]]) -> History:
    """Rows in order of step; where a step came twice, later values win."""
    steps: dict[float, dict[str, Any]] = {}
    for number, row in enumerate(rows):
        step = row.get("_step")
        key = float(step) if isinstance(step, int | float) else float(number)
        steps[key] = steps.get(key, {}) | row
    return tuple(steps[key] for key in sorted(steps))


def _identity(project: Project, extent: Extent) -> tuple[object, ...]:
    return (
        project.transport.credentials.base_url,
        project.path,
        extent.run_id,
        extent.lines,
        extent.last_step,
        extent.heartbeat,
        extent.state,
    )


def _whole(extent: Extent) -> tuple[int, int]:
    return 0, _NO_END if extent.last_step is None else extent.last_step + 1


def _strict_spans(extent: Extent) -> list[_Span]:
    if extent.last_step is None:
        return []
    starts = range(0, extent.last_step + 1, _STRICT_SPAN)
    return [_Span(extent, first, first + _STRICT_SPAN) for first in starts]


def _ask(project: Project, spans: list[_Span], most: int) -> dict[str, list[dict[str, Any]]]:
    """Rows of spans by run id, in order of step; full spans are asked again in halves."""
    pieces: dict[str, list[tuple[int, list[dict[str, Any]]]]] = {}

    def one(batch: Sequence[_Span]) -> list[list[dict[str, Any]]]:
        asked = [(s.extent.run_id, s.first, s.end, most) for s in batch]
        document, variables = queries.histories_of(asked)
        answer = project.ask(document, variables)
        return [
            decode.history_rows(
                (answer.get(f"r{n}") or {}).get("history") or (), span.extent.run_id
            )
            for n, span in enumerate(batch)
        ]

    while spans:
        groups = _groups(spans, most)
        halves: list[_Span] = []
        for batch, answers in zip(groups, in_parallel(one, groups), strict=True):
            for span, rows in zip(batch, answers, strict=True):
                if len(rows) >= most and span.end - span.first > 1 and most == ROWS:
                    halves += _halved(span, rows)
                else:
                    pieces.setdefault(span.extent.run_id, []).append((span.first, rows))
        spans = halves
    return {
        run_id: [row for _, rows in sorted(parts, key=lambda part: part[0]) for row in rows]
        for run_id, parts in pieces.items()
    }


def _halved(span: _Span, rows: Sequence[dict[str, Any]]) -> list[_Span]:
    """Two spans for one that was full; an open end is closed where its rows end."""
    steps = [int(row["_step"]) for row in rows if isinstance(row.get("_step"), int | float)]
    end = span.end
    middle = (span.first + end) // 2
    if steps and span.first < steps[len(steps) // 2] < end:
        middle = steps[len(steps) // 2]
    return [_Span(span.extent, span.first, middle), _Span(span.extent, middle, end)]


def _groups(spans: Sequence[_Span], most: int) -> list[list[_Span]]:
    """As many spans to a request as keep its answer small."""
    groups: list[list[_Span]] = []
    room = 0
    for span in spans:
        rows = min(span.extent.lines or most, most, span.end - span.first)
        if room < rows or len(groups[-1]) == queries.BATCH:
            groups.append([])
            room = _ROWS_PER_REQUEST
        groups[-1].append(span)
        room -= rows
    return groups
