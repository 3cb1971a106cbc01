"""Reading runs: listing, fields, files, console logs."""

from __future__ import annotations

import fnmatch
import json
import mimetypes
import posixpath
import re
from typing import Any
from urllib.parse import quote

from tests.wandb_server import filters, paging
from tests.wandb_server.blobs import Blob
from tests.wandb_server.resolvers.registry import Context, resolves
from tests.wandb_server.store import Project, Run
from tests.wandb_server.values import opaque, stamp

Json = dict[str, Any]


@resolves("Project.runCount")
def run_count(project: Project, context: Context, filters: str | None = None) -> int:
    return len(matching(project, filters))


def matching(project: Project, text: str | None) -> list[Run]:
    """Runs of a project that a filter document lets through, in order of arrival."""
    wanted = filters.matcher(text)
    return [run for run in project.runs.values() if wanted(run)]


@resolves("Project.runs")
def runs(
    project: Project,
    context: Context,
    filters: str | None = None,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
) -> Json:
    return ordered_page(context, matching(project, filters), after, first, order)


def ordered_page(
    context: Context, found: list[Run], after: str | None, first: int | None, order: str | None
) -> Json:
    """One page of runs by `+field` or `-field`; ties go by order of arrival."""
    order = order or "+created_at"
    reverse, path = order.startswith("-"), order.lstrip("+-")

    def key(run: Run) -> list[Any]:
        if path in ("created_at", "createdAt"):
            value: Any = run.created_at.timestamp()
        elif path in ("heartbeat_at", "heartbeatAt"):
            value = run.heartbeat_at.timestamp()
        else:
            value = filters.field_of(run, path)
        if value is filters.MISSING or value is None:
            return [0, 0, run.number]
        if isinstance(value, (int, float)):
            return [1, value, run.number]
        return [2, str(value), run.number]

    if context.shuffled_pages:
        return paging.by_offset(sorted(found, key=key, reverse=reverse), after, first)
    return paging.by_key(found, after, first, key, reverse=reverse)


@resolves("Project.run")
def run(project: Project, context: Context, name: str, desc: str | None = None) -> Run | None:
    return project.runs.get(name)


@resolves("Project.bucket")
def bucket(
    project: Project,
    context: Context,
    name: str,
    missing_ok: bool | None = None,
) -> Run | None:
    return project.runs.get(name)


@resolves("Run.projectId")
def project_id(run: Run, context: Context) -> int:
    return run.project.number


@resolves("Run.config")
def config(run: Run, context: Context) -> str:
    return run.config.text


@resolves("Run.summaryMetrics")
def summary(run: Run, context: Context) -> str:
    return run.summary.text


@resolves("Run.systemMetrics")
def system(run: Run, context: Context) -> str:
    rows = [json.loads(line) for line in run.events[-1:]]
    return json.dumps({key: value for row in rows for key, value in row.items()})


@resolves("Run.readOnly")
def read_only(run: Run, context: Context) -> bool:
    return False


@resolves("Run.createdAt")
def created_at(run: Run, context: Context) -> str | None:
    return stamp(run.created_at)


@resolves("Run.heartbeatAt")
def heartbeat_at(run: Run, context: Context) -> str | None:
    return stamp(run.heartbeat_at)


@resolves("Run.failed", "Run.stopped", "Run.running")
def flags(run: Run, context: Context) -> bool:
    return False


@resolves("Run.wandbConfig")
def wandb_config(run: Run, context: Context, keys: list[str] | None = None) -> str:
    internal = run.config.value.get("_wandb", {}).get("value", {})
    return json.dumps({k: v for k, v in internal.items() if keys is None or k in keys})


# --- Files ------------------------------------------------------------------------------


@resolves("Run.fileCount")
def file_count(run: Run, context: Context) -> int:
    return len(context.store.blobs.keys(run.file_key("")))


@resolves("Run.files")
def files(
    run: Run,
    context: Context,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
    pattern: str | None = None,
) -> Json:
    blobs, prefix = context.store.blobs, run.file_key("")
    found = [key.removeprefix(prefix) for key in blobs.keys(prefix)]
    if names:
        wanted = {posixpath.normpath(name) for name in names}  # `wandb verify` asks for `./name`
        found = [name for name in found if name in wanted]
    if pattern:
        found = [name for name in found if like(name, pattern)]
    nodes = []
    for name in found:
        blob = blobs.get(prefix + name)
        if blob is not None:
            nodes.append(run_file(run, name, blob, context))
    return paging.by_offset(nodes, after, first)


def like(name: str, pattern: str) -> bool:
    """SQL's LIKE: `%` any text, `_` any one character."""
    glob = re.sub(r"([\[\]*?])", r"[\1]", pattern).replace("%", "*").replace("_", "?")
    return fnmatch.fnmatchcase(name, glob)


def run_file(run: Run, name: str, blob: Blob, context: Context) -> Json:
    """The node of a stored run file."""
    project = run.project
    path = "/".join(quote(part) for part in (project.entity_name, project.name, run.name, name))
    key = run.file_key(name)
    return {
        "id": opaque("File", run.id, name),
        "name": name,
        "displayName": name,
        "url": f"{context.base_url}/files/{path}",
        "directUrl": context.signer.sign(context.storage_url, "GET", f"/storage/{key}"),
        "sizeBytes": blob.size,
        "mimetype": mimetypes.guess_type(name)[0] or "",
        "updatedAt": blob.updated_at,
        "md5": blob.md5,
        "digest": blob.md5,
        "storagePath": key,
    }


# --- Console logs -----------------------------------------------------------------------


@resolves("Run.logLineCount")
def log_line_count(run: Run, context: Context) -> int:
    return len(run.log)


@resolves("Run.logLines")
def log_lines(
    run: Run,
    context: Context,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    use_improved_pagination: bool | None = None,
) -> Json:
    lines = [_log_line(number, line) for number, line in enumerate(run.log)]
    if last is not None:
        return paging.by_offset(lines[max(0, len(lines) - last) :], None, None)
    return paging.by_offset(lines, after, first)


def _log_line(number: int, line: str) -> Json:
    """The client prefixes a line with `ERROR ` where it went to stderr, and with the time."""
    found = re.match(r"(?:(ERROR) )?(\d{4}-\d\d-\d\dT[\d:.]+Z?) ?", line)
    level, at = (found.group(1), found.group(2)) if found else (None, None)
    return {
        "number": number,
        "timestamp": at,
        "level": "error" if level else None,
        "label": None,
        "line": line[found.end() :] if found else line,
    }
