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
from typing import Any, Final, NamedTuple

from goemo_report.errors import SourceError, reading
from goemo_report.sources.model import History, RunRecord, flattened
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


Identity = tuple[object, ...]


class _Span(NamedTuple):
    run: RunRecord
    first: int
    end: int


def histories(
    project: Project, runs: Sequence[RunRecord], cache: Cache, read: dict[Identity, History]
) -> tuple[dict[str, History], dict[str, SourceError]]:
    """Complete histories by run id, one row a step, and why there is none of the other runs.

    What was `read` before is not asked for; histories of runs that have ended are in the cache.
    """
    keys = {run.id: _identity(project, run) for run in runs}
    for key in keys.values():
        if key not in read and (kept := cache.get("histories", key)) is not None:
            read[key] = tuple(kept)
    missing = [run for run in runs if keys[run.id] not in read]
    rows, errors = raw_rows(project, missing)
    for run in missing:
        if run.id not in errors and _is_short(run, rows[run.id]):
            errors[run.id] = SourceError(
                f"{project.transport.credentials.host} sent {len(rows[run.id]):,} of the "
                f"{run.step_count:,} rows in the history of run {run.id}, also when it was asked "
                "again",
                "Its answer is incomplete: try again later",
            )
        if run.id not in errors:
            read[keys[run.id]] = history = by_step(rows[run.id])
            if run.state not in _GOES_ON and run.step_count is not None:
                cache.put("histories", keys[run.id], history)
    return {run_id: read[key] for run_id, key in keys.items() if run_id not in errors}, errors


def _is_short(run: RunRecord, rows: Sequence[dict[str, Any]]) -> bool:
    return run.step_count is not None and len(rows) < run.step_count


def raw_rows(
    project: Project, runs: Sequence[RunRecord]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, SourceError]]:
    """Every row that the server gave, in its order, repeated steps included, by run id; and what
    went wrong. They may be fewer than the server says that there are."""
    errors: dict[str, SourceError] = {}
    rows: dict[str, list[dict[str, Any]]] = {run.id: [] for run in runs}
    rows |= _ask(project, [_whole(run) for run in runs if run.step_count != 0], errors)
    for number, ask_again in enumerate((_exported, _strict, _strict)):
        unsure = ask_again is _exported
        short = [
            run
            for run in runs
            if run.id not in errors
            and (_is_short(run, rows[run.id]) or (unsure and run.step_count is None))
        ]
        if short:
            time.sleep(_PAUSE if number == 2 else 0)
            for run_id, found in ask_again(project, short, rows, errors).items():
                rows[run_id] = max(rows[run_id], found, key=len)
    return rows, errors


_Rows = dict[str, list[dict[str, Any]]]
_Errors = dict[str, SourceError]


def _strict(project: Project, short: Sequence[RunRecord], _: _Rows, errors: _Errors) -> _Rows:
    """By spans in which there cannot be more rows than are asked for, where they are few enough."""
    spans: list[_Span] = []
    for run in short:
        starts = range(0, (run.last_step or 0) + 1, _STRICT_SPAN)
        if run.last_step is None or len(starts) > _MOST_SPANS:
            spans.append(_whole(run))
        else:
            spans += [_Span(run, first, first + _STRICT_SPAN) for first in starts]
    return _ask(project, spans, errors)


# --- Exported to Parquet --------------------------------------------------------------


def _exported(project: Project, short: Sequence[RunRecord], rows: _Rows, errors: _Errors) -> _Rows:
    """Rows of Parquet files, and after them those that are not exported yet, as the client reads
    them: from the first step of the live data on."""
    found: _Rows = {}
    for group in batches(short, queries.BATCH):
        try:
            answer = project.ask(*queries.exported_histories_of([run.id for run in group]))
        except RequestRefusedError:  # an older server, which exports nothing
            return {}
        for number, run in enumerate(group):
            export = (answer.get(f"r{number}") or {}).get("parquetHistory") or {}
            if not export.get("parquetUrls"):
                continue
            what = f"the exported history of run {run.id}"
            try:
                with reading(what, _REMEDY):
                    exported = _parquet_rows(project.transport, export["parquetUrls"])
            except SourceError as error:
                errors[run.id] = error
                continue
            known = {row.get("_step") for row in exported}
            steps = (row["_step"] for row in export.get("liveData") or ())
            first = min(steps, default=math.inf)
            live = (row for row in rows[run.id] if row.get("_step", -1) >= first)
            found[run.id] = [*exported, *(r for r in live if r["_step"] not in known)]
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


def _identity(project: Project, run: RunRecord) -> Identity:
    """What a history follows from: a run that has logged more since has another."""
    progress = run.step_count, run.last_step, run.heartbeat, run.state
    return project.transport.credentials.base_url, project.path, run.id, *progress


def _whole(run: RunRecord) -> _Span:
    return _Span(run, 0, _NO_END if run.last_step is None else run.last_step + 1)


def _ask(project: Project, spans: list[_Span], errors: _Errors) -> _Rows:
    """Rows of spans by run id, in order of step; full spans are asked again in halves."""
    pieces: dict[str, list[tuple[int, list[dict[str, Any]]]]] = {}

    def one(batch: Sequence[_Span]) -> list[list[dict[str, Any]]]:
        asked = [(s.run.id, s.first, s.end) for s in batch]
        answer = project.ask(*queries.histories_of(asked, ROWS))
        found: list[list[dict[str, Any]]] = []
        for number, span in enumerate(batch):
            run_id = span.run.id
            lines = (answer.get(f"r{number}") or {}).get("history") or ()
            found.append([])
            try:
                with reading(f"the history of run {run_id}", _REMEDY):
                    found[-1] = decode.history_rows(lines, run_id)
            except SourceError as error:
                errors[run_id] = error
        return found

    while spans:
        groups = _groups(spans)
        halves: list[_Span] = []
        for batch, answers in zip(groups, in_parallel(one, groups), strict=True):
            for span, rows in zip(batch, answers, strict=True):
                if len(rows) >= ROWS and span.end - span.first > 1:
                    halves += _halved(span, rows)
                else:
                    pieces.setdefault(span.run.id, []).append((span.first, rows))
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
    return [_Span(span.run, span.first, middle), _Span(span.run, middle, end)]


def _groups(spans: Sequence[_Span]) -> list[list[_Span]]:
    """Group spans into requests whose answers stay small."""
    groups: list[list[_Span]] = []
    room = 0
    for span in spans:
        rows = min(span.run.step_count or ROWS, ROWS, span.end - span.first)
        if room < rows or len(groups[-1]) == queries.BATCH:
            groups.append([])
            room = _ROWS_PER_REQUEST
        groups[-1].append(span)
        room -= rows
    return groups
