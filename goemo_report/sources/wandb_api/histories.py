"""Complete histories from a server that would rather send samples.

The server sends every row of a span of steps as long as they are no more than were asked
for. So spans are asked whole, an alias each and many to a request, halved where they come
back full, and the rows are counted against the server's own count of them. What is missing may
have been exported: to Parquet files, which hold the rows that the server no longer sends.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from goemo_report.errors import SourceError, reading
from goemo_report.sources.logged import flattened
from goemo_report.sources.model import History
from goemo_report.sources.store import Cache
from goemo_report.sources.wandb_api import decode, queries
from goemo_report.sources.wandb_api.faults import RequestRefusedError
from goemo_report.sources.wandb_api.project import Project, batches, in_parallel
from goemo_report.sources.wandb_api.transport import Transport

ROWS: Final = 2000
"""Most rows of one alias; a span that fills it is halved."""

_ROWS_PER_REQUEST: Final = 10_000
_STRICT_SPAN: Final = 1000  # steps; as many rows at most, so nothing can be sampled away
_MOST_SPANS: Final = 500
_NO_END: Final = 1 << 40
_REMEDY: Final = "Try again, or look at the run's page on W&B"
_GOES_ON: Final = ("running", "preempting", "pending")
_PAUSE: Final = 0.5  # seconds before a short answer is asked a last time


@dataclass(frozen=True, slots=True)
class Extent:
    """How much history a run has, as its listing says."""

    run_id: str
    lines: int | None
    last_step: int | None
    heartbeat: str
    state: str

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


def histories(
    project: Project, extents: Sequence[Extent], cache: Cache
) -> dict[str, History | SourceError]:
    """Complete history of each run, or why there is none, by run id, one row a step.

    Histories of runs that have ended are kept in the cache.
    """
    found: dict[str, History | SourceError] = {}
    missing = []
    for extent in extents:
        rows = cache.get("histories", _identity(project, extent))
        if rows is None:
            missing.append(extent)
        else:
            found[extent.run_id] = tuple(rows)
    raw, errors = raw_rows(project, missing)
    for extent in missing:
        rows = raw[extent.run_id]
        if error := errors.get(extent.run_id) or _incomplete(project, extent, rows):
            found[extent.run_id] = error
            continue
        found[extent.run_id] = history = by_step(rows)
        if extent.state not in _GOES_ON and extent.lines is not None:
            cache.put("histories", _identity(project, extent), history)
    return found


def _incomplete(
    project: Project, extent: Extent, rows: Sequence[dict[str, Any]]
) -> SourceError | None:
    if not _is_short(extent, rows):
        return None
    host = project.transport.credentials.host
    return SourceError(
        f"{host} sent {len(rows):,} of the {extent.lines:,} rows in the history of run "
        f"{extent.run_id}, also when it was asked again",
        "Its answer is incomplete: try again later",
    )


def _is_short(extent: Extent, rows: Sequence[dict[str, Any]]) -> bool:
    return extent.lines is not None and len(rows) < extent.lines


def raw_rows(
    project: Project, extents: Sequence[Extent]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, SourceError]]:
    """Every row that the server gave, in its order, repeated steps included, by run id; and what
    went wrong. They may be fewer than the server says that there are."""
    errors: dict[str, SourceError] = {}
    rows: dict[str, list[dict[str, Any]]] = {extent.run_id: [] for extent in extents}
    rows |= _ask(project, [_Span(e, *_whole(e)) for e in extents if e.lines != 0], ROWS, errors)
    for ask_again in (_exported, _strict, _later):
        unsure = ask_again is _exported
        short = [e for e in extents if _is_short(e, rows[e.run_id]) or (unsure and e.lines is None)]
        short = [extent for extent in short if extent.run_id not in errors]
        if short:
            for run_id, found in ask_again(project, short, rows, errors).items():
                rows[run_id] = max(rows[run_id], found, key=len)
    return rows, errors


_Rows = dict[str, list[dict[str, Any]]]
_Errors = dict[str, SourceError]


def _strict(project: Project, short: Sequence[Extent], _: _Rows, errors: _Errors) -> _Rows:
    """By spans in which there cannot be more rows than are asked for, where they are few enough."""
    spans = {extent: _strict_spans(extent) for extent in short}
    sparse = [_Span(extent, *_whole(extent)) for extent in short if not spans[extent]]
    strict = [span for extent in short for span in spans[extent]]
    return _ask(project, sparse, ROWS, errors) | _ask(project, strict, _STRICT_SPAN, errors)


def _later(project: Project, short: Sequence[Extent], rows: _Rows, errors: _Errors) -> _Rows:
    time.sleep(_PAUSE)
    return _strict(project, short, rows, errors)


# --- Exported to Parquet --------------------------------------------------------------


def _exported(project: Project, short: Sequence[Extent], rows: _Rows, errors: _Errors) -> _Rows:
    """Rows of Parquet files, and after them those that are not exported yet, as the client reads
    them: from the first step of the live data on."""
    found: _Rows = {}
    for group in batches(short, queries.BATCH):
        try:
            answer = project.ask(*queries.exported_histories_of([e.run_id for e in group]))
        except RequestRefusedError:  # an older server, which exports nothing
            return {}
        for number, extent in enumerate(group):
            export = (answer.get(f"r{number}") or {}).get("parquetHistory") or {}
            if not export.get("parquetUrls"):
                continue
            what = f"the exported history of run {extent.run_id}"
            try:
                with reading(what, _REMEDY):
                    exported = _parquet_rows(project.transport, export["parquetUrls"])
            except SourceError as error:
                errors[extent.run_id] = error
                continue
            known = {row.get("_step") for row in exported}
            steps = (row["_step"] for row in export.get("liveData") or ())
            first = min(steps, default=math.inf)
            live = (row for row in rows[extent.run_id] if row.get("_step", -1) >= first)
            found[extent.run_id] = [*exported, *(r for r in live if r["_step"] not in known)]
    return found


def _parquet_rows(transport: Transport, addresses: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of all files in order of step, without the columns that a row has no value for."""
    try:
        from pyarrow import BufferReader, parquet
    except ImportError:
        raise SourceError(
            "the server keeps the history of this run in Parquet files, which pyarrow reads",
            "Install it: pip install 'goemo[tables]'",
        ) from None
    rows = [
        flattened({key: value for key, value in row.items() if value is not None})
        for content in in_parallel(transport.read, addresses)
        for row in parquet.read_table(BufferReader(content)).to_pylist()
    ]
    for row in rows:
        if isinstance(step := row.get("_step"), float) and step.is_integer():
            row["_step"] = int(step)
    return sorted(rows, key=lambda row: float(row.get("_step", math.inf)))


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
    starts = range(0, (extent.last_step or 0) + 1, _STRICT_SPAN)
    if extent.last_step is None or len(starts) > _MOST_SPANS:
        return []
    return [_Span(extent, first, first + _STRICT_SPAN) for first in starts]


def _ask(project: Project, spans: list[_Span], most: int, errors: _Errors) -> _Rows:
    """Rows of spans by run id, in order of step; full spans are asked again in halves."""
    pieces: dict[str, list[tuple[int, list[dict[str, Any]]]]] = {}

    def one(batch: Sequence[_Span]) -> list[list[dict[str, Any]]]:
        asked = [(s.extent.run_id, s.first, s.end) for s in batch]
        answer = project.ask(*queries.histories_of(asked, most))
        found: list[list[dict[str, Any]]] = []
        for number, span in enumerate(batch):
            run_id = span.extent.run_id
            lines = (answer.get(f"r{number}") or {}).get("history") or ()
            found.append([])
            try:
                with reading(f"the history of run {run_id}", _REMEDY):
                    found[-1] = decode.history_rows(lines, run_id)
            except SourceError as error:
                errors[run_id] = error
        return found

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
