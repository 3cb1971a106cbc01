"""Reading a run's history: whole, sampled, by pages of steps."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, TypeVar

from tests.wandb_server.resolvers.registry import Context, resolves
from tests.wandb_server.store import Run

Row = dict[str, Any]
T = TypeVar("T")


def sampled(rows: Sequence[T], count: int | None) -> list[T]:
    """`count` rows at even distances, first and last among them; all where there are fewer."""
    if count is None or len(rows) <= count:
        return list(rows)
    if count < 2:
        return list(rows[:count])
    last = len(rows) - 1
    return [rows[round(number * last / (count - 1))] for number in range(count)]


@resolves("Run.historyLineCount")
def history_line_count(run: Run, context: Context) -> int:
    return len(run.history)


@resolves("Run.eventsLineCount")
def events_line_count(run: Run, context: Context) -> int:
    return len(run.events)


@resolves("Run.historyTail")
def history_tail(run: Run, context: Context) -> str:
    return json.dumps(run.history[-1:])


@resolves("Run.eventsTail")
def events_tail(run: Run, context: Context) -> str:
    return json.dumps(run.events[-1:])


@resolves("Run.history")
def history(
    run: Run,
    context: Context,
    min_step: int | None = None,
    max_step: int | None = None,
    samples: int | None = None,
) -> list[str]:
    rows = _between(run, min_step, None if max_step is None else max_step - 1)
    if samples is not None and len({row.get("_step") for row in rows}) > samples:
        rows = sampled(rows, samples)  # steps that were sent twice come back twice
    return [json.dumps(row) for row in rows]


@resolves("Run.events")
def events(run: Run, context: Context, samples: int | None = None) -> list[str]:
    return sampled(run.events, samples)


@resolves("Run.sampledHistory")
def sampled_history(run: Run, context: Context, specs: list[str]) -> list[list[Row]]:
    return [_spec_rows(run, json.loads(spec)) for spec in specs]


def _spec_rows(run: Run, spec: dict[str, Any]) -> list[Row]:
    """Rows that have all keys of the spec, those keys alone; `maxStep` is inclusive."""
    keys = spec.get("keys") or []
    found = []
    for row in _between(run, spec.get("minStep"), spec.get("maxStep")):
        values = {key: row.get(key) for key in keys}
        if all(value is not None for value in values.values()):
            found.append(values if keys else row)
    return sampled(found, spec.get("samples"))


def _between(run: Run, first: int | None, last: int | None) -> list[Row]:
    """Rows with nested dicts flattened, as the service returns them."""
    rows = []
    for row in map(_flat, run.rows[run.exported :]):
        step = row.get("_step", 0)
        if (first is None or step >= first) and (last is None or step <= last):
            rows.append(row)
    return rows


@resolves("Run.parquetHistory")
def parquet_history(run: Run, context: Context, live_keys: list[str]) -> dict[str, Any]:
    """Where exported rows lie, and the first row that is live."""
    first = run.rows[run.exported :][:1]
    return {
        "parquetUrls": [
            context.signer.sign(context.storage_url, "GET", f"/storage/{key}")
            for key in run.exports
        ],
        "liveData": [{key: row.get(key) for key in live_keys} for row in first],
    }


def export(run: Run, context: Context, rows: int | None = None, files: int = 1) -> None:
    """Do what the service does to the history of a run some time after it ended."""
    import pyarrow as pa
    from pyarrow import parquet

    run.exported = len(run.rows) if rows is None else rows
    numbers = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    done = [
        {key: numbers.get(value, value) if isinstance(value, str) else value
         for key, value in _flat(row).items()}
        for row in run.rows[: run.exported]
    ]  # fmt: skip
    for number in reversed(range(files)):  # their order means nothing
        part = done[number * len(done) // files : (number + 1) * len(done) // files]
        content = pa.BufferOutputStream()
        columns = list(dict.fromkeys(key for row in part for key in row))
        table = pa.table({key: [row.get(key) for row in part] for key in columns})
        parquet.write_table(table, content)
        run.exports.append(f"history/{run.name}.{number}")
        context.store.blobs.put(run.exports[-1], content.getvalue().to_pybytes())


@resolves("Run.historyKeys")
def history_keys(run: Run, context: Context) -> dict[str, Any] | None:
    if not run.rows:
        return None
    keys: dict[str, dict[str, Any]] = {}
    for row in run.rows:
        for key, value in _flat(row).items():
            _count(keys.setdefault(key, {"typeCounts": [], "monotonic": True}), value)
    return {"sets": [], "keys": keys, "lastStep": max(row.get("_step", 0) for row in run.rows)}


def _flat(row: Row, prefix: str = "") -> Row:
    flat: Row = {}
    for key, value in row.items():
        if isinstance(value, dict) and "_type" not in value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _count(known: dict[str, Any], value: Any) -> None:
    kind = _kind(value)
    for counted in known["typeCounts"]:
        if counted["type"] == kind:
            counted["count"] += 1
            break
    else:
        known["typeCounts"].append({"type": kind, "count": 1})
    before = known.get("previousValue")
    if kind == "number":
        known["monotonic"] = known["monotonic"] and (before is None or value >= before)
        known["previousValue"] = value
    else:
        known["monotonic"] = False


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return str(value.get("_type", "map"))
    return "nil" if value is None else "list"
