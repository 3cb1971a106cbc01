"""The file stream: history, events, summary and console lines of a running run."""

from __future__ import annotations

import json
from typing import Any

from tests.wandb_server.store import Run
from tests.wandb_server.values import JsonText, now, sanitized

_LINES = {
    "wandb-history.jsonl": "history",
    "wandb-events.jsonl": "events",
    "output.log": "log",
}


def receive(run: Run, body: dict[str, Any]) -> dict[str, Any]:
    """Write one POST's lines to the run; the answer may ask the client to stop."""
    for name, chunk in (body.get("files") or {}).items():
        content = chunk.get("content") or []
        if name == "wandb-summary.json":
            if content:
                run.summary = JsonText(content[-1])
        elif name in _LINES:
            if name != "output.log":
                content = [_clean(line) for line in content]
            _write(getattr(run, _LINES[name]), chunk.get("offset") or 0, content)
    if "wandb-history.jsonl" in (body.get("files") or {}):
        run.rows_at = -1  # lines may have been written over
    run.uploaded.extend(body.get("uploaded") or [])
    run.heartbeat_at = now()
    if body.get("complete"):
        run.exitcode = body.get("exitcode") or 0
        run.state = "failed" if run.exitcode else "finished"
    elif run.state in ("crashed", "pending"):
        run.state = "running"
    return {"stopped": True} if run.should_stop else {"limits": {}}


def _clean(line: str) -> str:
    return json.dumps(sanitized(json.loads(line))) if "N" in line or "I" in line else line


def _write(lines: list[str], offset: int, content: list[str]) -> None:
    """A line has its place: sending it again changes nothing."""
    if len(lines) < offset:
        lines.extend([""] * (offset - len(lines)))
    lines[offset : offset + len(content)] = content
