"""Puts runs straight into the store, in the form that the client's own uploads leave there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.wandb_server.blobs import b64_md5, hex_of
from tests.wandb_server.resolvers.artifact_writes import add_artifact, add_manifest, commit
from tests.wandb_server.resolvers.artifact_writes import collection as find_collection
from tests.wandb_server.resolvers.registry import Context
from tests.wandb_server.store import Artifact, Run
from tests.wandb_server.values import JsonText, sanitized

FIRST_RUN_AT = datetime(2024, 12, 10, 14, 30, 22, tzinfo=UTC)


@dataclass(frozen=True)
class SeedArtifact:
    """An artifact to put there: files by path."""

    name: str
    type: str
    files: Mapping[str, bytes]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    aliases: Sequence[str] = ()
    description: str | None = None


@dataclass(frozen=True)
class SeedRun:
    """A run to put there.

    `history` holds what was logged, one mapping a step; `_step`, `_timestamp` and `_runtime`
    are added where they are missing, and the summary is made from it, with `summary` over it.
    `created_at` None: a minute after the run before, from 2024-12-10 on.
    """

    id: str
    name: str | None = None
    tags: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    history: Iterable[Mapping[str, Any]] = ()
    artifacts: Sequence[SeedArtifact] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    state: str = "finished"
    created_at: datetime | None = None
    group: str | None = None
    job_type: str | None = None
    notes: str | None = None


def seed(
    context: Context,
    runs: Iterable[SeedRun],
    project: str,
    entity: str | None,
) -> list[Run]:
    """Add runs to a project, making it where needed. Raises ApiError for an unknown entity."""
    store = context.store
    with store.lock:
        place, _ = store.make_project(entity, project)
        made = []
        for wanted in runs:
            run = store.new_run(place, wanted.id)
            _fill(context, run, wanted, FIRST_RUN_AT + timedelta(minutes=len(place.runs)))
            made.append(run)
    return made


def _fill(context: Context, run: Run, wanted: SeedRun, moment: datetime) -> None:
    run.created_at = wanted.created_at or moment
    run.heartbeat_at = run.created_at + timedelta(seconds=30)
    run.display_name = wanted.name or wanted.id
    run.tags, run.group, run.job_type = list(wanted.tags), wanted.group, wanted.job_type
    run.notes, run.state = wanted.notes, wanted.state
    run.exitcode = {"finished": 0, "failed": 1}.get(wanted.state)
    run.config = JsonText.of({key: {"value": value} for key, value in _config(wanted).items()})
    summary: dict[str, Any] = {}
    for step, row in enumerate(wanted.history):
        begun = run.created_at.timestamp()
        line = {"_step": step, "_runtime": float(step), "_timestamp": begun + step, **row}
        run.history.append(json.dumps(sanitized(line)))
        summary |= line
    if summary:
        summary["_wandb"] = {"runtime": int(summary["_runtime"])}
    run.summary = JsonText.of(sanitized(summary | dict(wanted.summary)))
    for name, content in wanted.files.items():
        context.store.blobs.put(run.file_key(name), content)
        run.uploaded.append(name)
    for artifact in wanted.artifacts:
        add(context, run, artifact)


def _config(wanted: SeedRun) -> dict[str, Any]:
    internal = {"cli_version": "0.31.0", "python_version": "3.11.7", "m": [],
                "t": {"4": "3.11.7", "5": "0.31.0"}}  # fmt: skip
    return {**wanted.config, "_wandb": internal}


def add(context: Context, run: Run, wanted: SeedArtifact) -> Artifact:
    """Log an artifact to a run; content that its collection has already makes no new version."""
    store = context.store
    contents: dict[str, dict[str, Any]] = {}
    for path, content in sorted(wanted.files.items()):
        digest = b64_md5(content)
        if store.blobs.get(f"artifacts/{hex_of(digest)}") is None:
            store.blobs.put(f"artifacts/{hex_of(digest)}", content)
        contents[path] = {"digest": digest, "size": len(content)}
    collection = find_collection(run.project, wanted.name, wanted.type)
    digest = manifest_digest(contents)
    known = next((one for one in collection.alive if one.digest == digest), None)
    if known is not None:
        if known not in run.outputs:
            run.outputs.append(known)
        return known
    artifact = add_artifact(context, collection, digest, run)
    artifact.created_at = run.created_at
    if wanted.metadata:
        artifact.metadata = json.dumps(dict(wanted.metadata), separators=(",", ":"))
    artifact.description = wanted.description
    artifact.wanted_aliases = list(wanted.aliases)
    for entry in contents.values():
        entry["birthArtifactID"] = artifact.id
    document = {
        "version": 1,
        "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": {"storageLayout": "V2"},
        "contents": contents,
    }
    text = json.dumps(document).encode()
    manifest = add_manifest(context, artifact, "wandb_manifest.json", b64_md5(text))
    store.blobs.put(manifest.key, text)
    commit(context, artifact)
    artifact.updated_at = collection.updated_at = run.created_at
    return artifact


def manifest_digest(contents: Mapping[str, Mapping[str, Any]]) -> str:
    """An artifact's digest as the client computes it: over sorted paths and file digests."""
    lines = ["wandb-artifact-manifest-v1\n"]
    lines += [f"{path}:{contents[path]['digest']}\n" for path in sorted(contents)]
    return hashlib.md5("".join(lines).encode(), usedforsecurity=False).hexdigest()
