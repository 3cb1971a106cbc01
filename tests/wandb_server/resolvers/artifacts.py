"""Reading artifacts: types, collections, versions, files, lineage."""

from __future__ import annotations

from typing import Any

from tests.wandb_server import paging
from tests.wandb_server.blobs import hex_of
from tests.wandb_server.resolvers.registry import Context, resolves
from tests.wandb_server.store import Artifact, Collection, Manifest, Project, Run
from tests.wandb_server.values import opaque, stamp

Json = dict[str, Any]


# --- Nodes ------------------------------------------------------------------------------


def type_node(project: Project, name: str) -> Json:
    """An artifact type of a project."""
    return {
        "id": opaque("ArtifactType", project.id, name),
        "name": name,
        "description": None,
        "createdAt": stamp(project.created_at),
        "project": project,
    }


def tag_node(name: str) -> Json:
    """A tag."""
    return {"id": opaque("Tag", name), "name": name}


def alias_node(collection: Collection, alias: str) -> Json:
    """An alias of a collection."""
    return {
        "id": opaque("ArtifactAlias", collection.id, alias),
        "alias": alias,
        "artifactCollection": collection,
    }


def membership(collection: Collection, artifact: Artifact | None) -> Json | None:
    """That a version belongs to a collection."""
    if artifact is None or collection.deleted:
        return None
    return {
        "id": opaque("ArtifactCollectionMembership", collection.id, artifact.id),
        "versionIndex": artifact.version_index,
        "createdAt": stamp(artifact.created_at),
        "aliases": [alias_node(collection, alias) for alias in artifact.aliases],
        "artifactCollection": collection,
        "artifact": artifact,
    }


def file_node(artifact: Artifact, path: str, context: Context) -> Json:
    """One file of an artifact, with the URL to download it from: its own for a reference."""
    entry = artifact.entries[path]
    key, url = None, entry.get("ref")
    if url is None:
        key = f"artifacts/{hex_of(entry['digest'])}"
        url = context.signer.sign(context.storage_url, "GET", f"/storage/{key}/{path}")
    return {
        "id": opaque("File", artifact.id, path),
        "name": path,
        "displayName": path,
        "url": url,
        "directUrl": url,
        "sizeBytes": entry.get("size", 0),
        "mimetype": None,
        "updatedAt": stamp(artifact.created_at),
        "md5": entry["digest"],
        "digest": entry["digest"],
        "storagePath": key,
    }


def file_page(
    artifact: Artifact,
    context: Context,
    names: list[str] | None,
    after: str | None,
    first: int | None,
) -> Json:
    """One page of the files in the manifest."""
    paths = [path for path in artifact.entries if not names or path in names]
    page = paging.by_offset(paths, after, first)
    for edge in page["edges"]:
        edge["node"] = file_node(artifact, edge["node"], context)
    return page


# --- By name ----------------------------------------------------------------------------


def by_name(project: Project, name: str) -> Json | None:
    """`collection`, `collection:alias` or `collection:v0`."""
    collection_name, _, alias = name.partition(":")
    collection = project.collections.get(collection_name)
    if collection is None:
        return None
    return membership(collection, collection.find(alias or "latest"))


@resolves("Project.artifactCollectionMembership")
def membership_by_name(project: Project, context: Context, name: str) -> Json | None:
    return by_name(project, name)


@resolves("Project.artifact")
def artifact_by_name(project: Project, context: Context, name: str) -> Artifact | None:
    found = by_name(project, name)
    return found["artifact"] if found else None


@resolves("Query.artifact")
def artifact_by_id(parent: Any, context: Context, id: str) -> Artifact | None:  # noqa: A002 - GraphQL's name
    found = context.store.artifacts.get(id)
    return None if found is None or found.state == "DELETED" else found


@resolves("Query.clientIDMapping")
def client_id_mapping(parent: Any, context: Context, client_id: str) -> Json | None:
    found = context.store.client_ids.get(client_id)
    return {"serverID": found} if found else None


# --- Versions -----------------------------------------------------------------------------


@resolves("Artifact.artifactSequence")
def artifact_sequence(artifact: Artifact, context: Context) -> Collection:
    return artifact.collection


@resolves("Artifact.artifactType")
def type_of(artifact: Artifact, context: Context) -> Json:
    return type_node(artifact.collection.project, artifact.collection.type_name)


@resolves("Artifact.ttlDurationSeconds")
def ttl(artifact: Artifact, context: Context) -> int:
    return artifact.ttl if artifact.ttl is not None else -1


@resolves("Artifact.ttlIsInherited")
def ttl_is_inherited(artifact: Artifact, context: Context) -> bool:
    return artifact.ttl is None


@resolves("Artifact.commitHash")
def commit_hash(artifact: Artifact, context: Context) -> str | None:
    return artifact.manifests[-1].id if artifact.manifests else None


@resolves("Artifact.fileCount")
def file_count(artifact: Artifact, context: Context) -> int:
    return len(artifact.entries)


@resolves("Artifact.tags")
def artifact_tags(artifact: Artifact, context: Context) -> list[Json]:
    return [tag_node(tag) for tag in artifact.tags]


@resolves("Artifact.aliases")
def artifact_aliases(artifact: Artifact, context: Context) -> list[Json]:
    return [alias_node(artifact.collection, alias) for alias in artifact.aliases]


@resolves("Artifact.currentManifest")
def current_manifest(artifact: Artifact, context: Context) -> Manifest | None:
    return artifact.manifests[-1] if artifact.manifests else None


@resolves("ArtifactManifest.file")
def manifest_file(manifest: Manifest, context: Context) -> Json:
    path = f"/storage/{manifest.key}/{manifest.name}"
    blob = context.store.blobs.get(manifest.key)
    signer = context.signer
    return {
        "id": opaque("File", manifest.id),
        "name": manifest.name,
        "displayName": manifest.name,
        "directUrl": signer.sign(context.storage_url, "GET", path),
        "uploadUrl": signer.sign(context.storage_url, "PUT", path),
        "uploadHeaders": ["Content-Type:application/json"],
        "sizeBytes": blob.size if blob else 0,
    }


@resolves("Artifact.createdBy")
def created_by(artifact: Artifact, context: Context) -> Run | None:
    run = artifact.created_by
    return run if run is not None and run.name in run.project.runs else None


@resolves("Artifact.usedBy")
def used_by(artifact: Artifact, context: Context) -> Json:
    alive_runs = [run for run in artifact.used_by if run.name in run.project.runs]
    return {"edges": [{"node": run} for run in alive_runs]}


@resolves("Artifact.filesByManifestEntries")
def files_by_entries(
    artifact: Artifact,
    context: Context,
    storage_layout: str,
    manifest_version: str,
    entries: list[Json] | None = None,
    storage_region: str | None = None,
) -> Json:
    names = [entry["name"] for entry in entries or []]
    return file_page(artifact, context, names, None, None)


@resolves("ArtifactCollectionMembership.files", "Artifact.files")
def artifact_files(
    parent: Artifact | Json,
    context: Context,
    names: list[str] | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Json:
    artifact = parent if isinstance(parent, Artifact) else parent["artifact"]
    return file_page(artifact, context, names, after, first)


@resolves("Run.outputArtifacts")
def output_artifacts(
    run: Run, context: Context, after: str | None = None, first: int | None = None
) -> Json:
    found = [one for one in run.outputs if one.state == "COMMITTED"]
    return paging.by_offset(found, after, first)


@resolves("Run.inputArtifacts")
def input_artifacts(
    run: Run, context: Context, after: str | None = None, first: int | None = None
) -> Json:
    found = [one for one in run.inputs if one.state == "COMMITTED"]
    return paging.by_offset(found, after, first)
