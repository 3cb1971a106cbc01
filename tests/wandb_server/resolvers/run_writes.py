"""Writing runs: upsert, delete, stop, files."""

from __future__ import annotations

import secrets
from typing import Any

from tests.wandb_server.errors import ApiError
from tests.wandb_server.resolvers.registry import Context, resolves
from tests.wandb_server.store import Run
from tests.wandb_server.values import JsonText, now, opaque

Json = dict[str, Any]
# The parameter `input` of this package's mutations has the schema's name.

_PLAIN = {
    "displayName": "display_name",
    "description": "description",
    "notes": "notes",
    "groupName": "group",
    "jobType": "job_type",
    "commit": "commit",
    "host": "host",
    "sweep": "sweep_name",
    "state": "state",
    "tags": "tags",
}


@resolves("Mutation.upsertBucket")
def upsert_bucket(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    store, inserted = context.store, False
    if input.get("id"):
        run = store.run_by_id(input["id"])
    else:
        project, _ = store.make_project(input.get("entityName"), input.get("modelName"))
        name = input.get("name") or secrets.token_hex(4)
        inserted = name not in project.runs
        run = store.new_run(project, name) if inserted else project.runs[name]
        run.state, run.exitcode = "running", None
    for field, attribute in _PLAIN.items():
        if input.get(field) is not None:
            setattr(run, attribute, input[field])
    if input.get("config") is not None:
        run.config = JsonText(input["config"])
    if input.get("summaryMetrics") is not None:
        run.summary = JsonText(input["summaryMetrics"])
    run.heartbeat_at = now()
    return {"bucket": run, "inserted": inserted}


@resolves("Mutation.deleteRun")
def delete_run(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    run = context.store.run_by_id(input["id"])
    del run.project.runs[run.name]
    run.project.deleted_runs.add(run.name)
    for key in context.store.blobs.keys(run.file_key("")):
        context.store.blobs.delete(key)
    if input.get("deleteArtifacts"):
        for artifact in run.outputs:
            artifact.state = "DELETED"
            for alias in artifact.aliases:
                del artifact.collection.aliases[alias]
    return {"clientMutationId": None}


@resolves("Mutation.stopRun")
def stop_run(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    context.store.run_by_id(input["id"]).should_stop = True
    return {"success": True}


@resolves("Mutation.notifyScriptableRunAlert")
def alert(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    run = context.store.need_run(input["entityName"], input["projectName"], input["runName"])
    run.alerts.append((input.get("severity") or "INFO", input["text"]))
    return {"success": True}


@resolves("Mutation.updateRunState")
def update_run_state(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    allowed = {
        "pending": ("running", "failed", "crashed", "preempted"),
        "failed": ("pending", "running"),
    }
    run = context.store.run_by_id(input["id"])
    if run.state not in allowed.get(input["state"], ()):
        raise ApiError(f"cannot change state from {run.state} to {input['state']}", 400)
    run.state = input["state"]
    return {"success": True}


@resolves("Mutation.createRunFiles")
def create_run_files(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    run = _run(context, input)
    nodes = []
    for name in input["files"]:
        path = f"/storage/{run.file_key(name)}"
        url = context.signer.sign(context.storage_url, "PUT", path)
        nodes.append({"id": opaque("File", run.id, name), "name": name, "uploadUrl": url})
    return {"runID": run.id, "uploadHeaders": [], "files": nodes}


@resolves("Mutation.markRunFilesUploaded")
def mark_uploaded(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    _run(context, input).uploaded.extend(input["files"])
    return {"success": True}


@resolves("Mutation.deleteFiles")
def delete_files(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    wanted, blobs = set(input["files"]), context.store.blobs
    for project in context.store.projects.values():
        for run in project.runs.values():
            for key in blobs.keys(run.file_key("")):
                if opaque("File", run.id, key.removeprefix(run.file_key(""))) in wanted:
                    blobs.delete(key)
    return {"success": True}


def _run(context: Context, given: Json) -> Run:
    return context.store.need_run(given["entityName"], given["projectName"], given["runName"])
