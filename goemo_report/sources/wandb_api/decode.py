"""The server's answers -> the package's frozen values."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from goemo_report.contract import CONFIG_KEYS, ROLES, SYSTEM_KEYS, artifact_role
from goemo_report.errors import SourceError, reading
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    RunRecord,
    flattened,
    metadata,
    moment,
)
from goemo_report.sources.newest import ordered_predictions, run_file_reference
from goemo_report.sources.wandb_api.credentials import Credentials

Node = Mapping[str, Any]

_INTERNAL_CONFIG: Final = {"_wandb", "wandb_version"}
_GUIDE_ORDER: Final = {key.name: n for n, key in enumerate((*CONFIG_KEYS, *SYSTEM_KEYS))}
_INTERNAL_TYPES: Final = "wandb-"  # types of the server's own exports, such as wandb-history
_HEX_MD5: Final = re.compile(r"[0-9a-f]{32}")


def edges(connection: Node | None) -> Iterator[Node]:
    """The nodes of a connection, null ones left out."""
    for edge in (connection or {}).get("edges") or ():
        if edge and edge.get("node"):
            yield edge["node"]


def run_record(node: Node, entity: str, project: str, credentials: Credentials) -> RunRecord:
    """One run of a listing."""
    run_id = str(node["name"])
    summary = _parsed(node.get("summaryMetrics"), f"summary of run {run_id}")
    lines = node.get("historyLineCount")
    last = _parsed(node.get("historyKeys"), f"history keys of run {run_id}").get("lastStep")
    return RunRecord(
        id=run_id,
        name=node.get("displayName") or run_id,
        entity=entity,
        project=project,
        url=credentials.run_url(entity, project, run_id),
        state=str(node.get("state") or "unfinished"),
        tags=tuple(node.get("tags") or ()),
        created_at=_started(moment(node.get("createdAt")), summary),
        config=plain_config(_parsed(node.get("config"), f"config of run {run_id}")),
        summary=summary,
        origin=f"{entity}/{project}/{run_id}",
        job_type=node.get("jobType") or None,
        group=node.get("group") or None,
        notes=node.get("notes") or "",
        description=node.get("description") or "",
        sweep=node.get("sweepName") or None,
        step_count=lines if isinstance(lines, int) else None,
        last_step=int(last) if isinstance(last, int | float) else None,
        heartbeat=str(node.get("heartbeatAt") or ""),
    )


def _started(created: datetime | None, summary: Mapping[str, Any]) -> datetime | None:
    """When a run started: a run that was uploaded later was created then, but logged before. Good
    to a second for uploaded runs, whose summary holds whole seconds of running time."""
    logged, lasted = summary.get("_timestamp"), summary.get("_runtime")
    if created is None or not isinstance(logged, int | float) or isinstance(logged, bool):
        return created
    if not isinstance(lasted, int | float) or not 0 < logged - lasted < created.timestamp():
        return created
    return datetime.fromtimestamp(logged - lasted, UTC)


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """`{"lr": {"value": 1}}` as `{"lr": 1}`, without wandb's own entries.

    In the guide's order, then by name: uploads shuffle the keys.
    """
    return {
        key: value["value"] if isinstance(value, dict) and "value" in value else value
        for key, value in sorted(
            config.items(), key=lambda item: (_GUIDE_ORDER.get(item[0], math.inf), item[0])
        )
        if key not in _INTERNAL_CONFIG
    }


def _parsed(text: Any, what: str) -> dict[str, Any]:
    """A JSON object, which the server sends as a string."""
    if isinstance(text, dict):
        return text
    try:
        value = json.loads(text, strict=False) if text else {}
    except ValueError:
        raise SourceError(f"the {what} is no JSON", "Open the run's page on W&B") from None
    return value if isinstance(value, dict) else {}


def history_rows(lines: Sequence[Any], run_id: str) -> list[dict[str, Any]]:
    """Rows of a run's history, flattened; the server sends them as JSON strings."""
    return [flattened(_parsed(line, f"history of run {run_id}")) for line in lines]


def artifact_refs(nodes: Sequence[Node], run_id: str) -> tuple[ArtifactRef, ...]:
    """The committed artifacts of one run: the guide's own in its order, then others by name, for
    uploads race each other; the newest version of a name last."""
    kept = [
        node
        for node in nodes
        if node.get("state") in {None, "COMMITTED"}
        and not str((node.get("artifactType") or {}).get("name", "")).startswith(_INTERNAL_TYPES)
    ]
    kept.sort(key=lambda node: (node.get("versionIndex") or 0, node.get("createdAt") or ""))
    references = [artifact_ref(node, run_id) for node in kept]
    order = {role: number for number, role in enumerate(ROLES)}
    references.sort(key=lambda one: (order[one.role] if one.role else len(ROLES), one.name))
    return tuple(references)


def artifact_ref(node: Node, run_id: str) -> ArtifactRef:
    """One version of an artifact; `run_id` is of the run that logged it."""
    name = str(node["artifactSequence"]["name"])
    version = node.get("versionIndex")
    aliases = (
        alias["alias"]
        for alias in node.get("aliases") or ()
        if (alias.get("artifactCollection") or {}).get("name") in {None, name}
    )
    return ArtifactRef(
        id=str(node["id"]),
        name=name,
        type=str((node.get("artifactType") or {}).get("name") or ""),
        version=None if version is None else f"v{version}",
        digest=str(node.get("digest") or ""),
        size=int(node.get("size") or 0),
        role=artifact_role(name, run_id) or artifact_role(name),
        run_id=run_id,
        metadata=metadata(node.get("metadata")),
        aliases=tuple(sorted(set(aliases))),
        description=node.get("description") or "",
    )


def prediction_run_files(nodes: Sequence[Node], run_id: str) -> tuple[ArtifactRef, ...]:
    """Predictions that a run kept as plain files under `predictions/`, one reference each."""
    by_path = {str(node.get("name") or ""): node for node in nodes}
    found = []
    for path in ordered_predictions(by_path):
        node = by_path[path]
        digest, size = base64_md5(node.get("md5")), int(node.get("sizeBytes") or 0)
        place = f"{run_id}/{path}@{node.get('updatedAt') or ''}"
        found.append(run_file_reference(run_id, path, place, digest, size))
    return tuple(found)


def manifest_files(manifest: Any) -> tuple[ArtifactFile, ...]:
    """The files of a manifest in order of path. Raises SourceError for what is no manifest."""
    with reading("the manifest", "Try again, or upload the artifact again"):
        entries = sorted(manifest["contents"].items())
        return tuple(ArtifactFile.of(path, entry) for path, entry in entries)


def base64_md5(text: str | None) -> str:
    """An MD5 as manifests write it, from either spelling; empty where there is none."""
    if not text:
        return ""
    if _HEX_MD5.fullmatch(text):
        return base64.b64encode(bytes.fromhex(text)).decode()
    try:
        return text if len(base64.b64decode(text, validate=True)) == 16 else ""
    except binascii.Error:
        return ""
