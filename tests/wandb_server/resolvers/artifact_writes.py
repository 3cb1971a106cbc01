"""Writing artifacts: create, manifest, files, commit, aliases, tags, use, delete."""

from __future__ import annotations

import json
from typing import Any

from tests.wandb_server.blobs import hex_of
from tests.wandb_server.errors import ApiError
from tests.wandb_server.resolvers.artifacts import tag_node
from tests.wandb_server.resolvers.collections import collection_by_id
from tests.wandb_server.resolvers.registry import Context, resolves
from tests.wandb_server.store import Artifact, Collection, Manifest, Project, Run
from tests.wandb_server.values import now, opaque

Json = dict[str, Any]
# The parameter `input` of this package's mutations has the schema's name.


@resolves("Mutation.createArtifact")
def create_artifact(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    store = context.store
    project = store.need_project(input["entityName"], input["projectName"])
    run = None
    if input.get("runName"):
        run = store.need_run(input["entityName"], input["projectName"], input["runName"])
    names = input.get("artifactCollectionNames") or [input.get("artifactCollectionName")]
    home = collection(project, names[0] or "", input["artifactTypeName"])
    aliases = [alias["alias"] for alias in input.get("aliases") or []]
    if input.get("enableDigestDeduplication"):
        for known in home.alive:
            if known.digest == input["digest"]:
                _point(known, aliases)
                _record_output(run, known)
                _remember(context, input, known)
                return {"artifact": known}
    artifact = add_artifact(context, home, input["digest"], run)
    artifact.description = input.get("description")
    artifact.metadata = input.get("metadata")
    artifact.history_step = input.get("historyStep")
    artifact.ttl = input.get("ttlDurationSeconds")
    artifact.tags = [tag["tagName"] for tag in input.get("tags") or []]
    artifact.wanted_aliases = aliases
    _remember(context, input, artifact)
    return {"artifact": artifact}


def collection(project: Project, name: str, type_name: str) -> Collection:
    known = project.collections.get(name)
    if known is None or known.deleted:
        known = project.collections[name] = Collection(project, name, type_name)
    elif known.type_name != type_name:
        raise ApiError(
            f"artifact collection {name} already exists with type {known.type_name}; "
            f"cannot create it with type {type_name}",
            400,
        )
    return known


def add_artifact(
    context: Context, collection: Collection, digest: str, run: Run | None
) -> Artifact:
    """A pending artifact."""
    artifact_id = opaque("Artifact", context.store.number())
    artifact = Artifact(artifact_id, collection, digest, run)
    context.store.artifacts[artifact_id] = artifact
    return artifact


def _remember(context: Context, given: Json, artifact: Artifact) -> None:
    if given.get("clientID"):
        context.store.client_ids[given["clientID"]] = artifact.id


def _record_output(run: Run | None, artifact: Artifact) -> None:
    if run is not None and artifact not in run.outputs:
        run.outputs.append(artifact)


def _point(artifact: Artifact, aliases: list[str]) -> None:
    """Move aliases to this version; the newest logged is always `latest`."""
    for alias in dict.fromkeys(["latest", *aliases]):
        artifact.collection.aliases[alias] = artifact


@resolves("Mutation.createArtifactManifest")
def create_manifest(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    artifact = context.store.need_artifact(input["artifactID"])
    return {"artifactManifest": add_manifest(context, artifact, input["name"], input["digest"])}


def add_manifest(context: Context, artifact: Artifact, name: str, digest: str | None) -> Manifest:
    """A manifest without content."""
    manifest = Manifest(opaque("ArtifactManifest", context.store.number()), artifact, name, digest)
    artifact.manifests.append(manifest)
    context.store.manifests[manifest.id] = manifest
    return manifest


@resolves("Mutation.updateArtifactManifest")
def update_manifest(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    manifest = context.store.manifests.get(input["artifactManifestID"])
    if manifest is None:
        raise ApiError("artifact manifest not found", 404)
    manifest.digest = input.get("digest") or manifest.digest
    return {"artifactManifest": manifest}


@resolves("Mutation.createArtifactFiles")
def create_artifact_files(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    edges = []
    for number, spec in enumerate(input["artifactFiles"]):
        digest = spec.get("digest") or spec.get("md5") or ""
        key = f"artifacts/{hex_of(digest)}"
        url = None
        if context.store.blobs.get(key) is None:
            path = f"/storage/{key}/{spec['name']}"
            url = context.signer.sign(context.storage_url, "PUT", path)
        headers = [f"Content-Md5:{digest}", f"Content-Type:{spec.get('mimetype') or ''}"]
        node = {
            "id": opaque("File", spec["artifactID"], spec["name"]),
            "name": spec["name"],
            "displayName": spec["name"],
            "storagePath": key,
            "uploadUrl": url,
            "uploadHeaders": headers,
            "uploadMultipartUrls": None,
            "artifact": context.store.need_artifact(spec["artifactID"]),
        }
        edges.append({"node": node, "cursor": str(number)})
    return {"files": {"edges": edges, "totalCount": len(edges)}}


@resolves("Mutation.commitArtifact")
def commit_artifact(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    artifact = context.store.need_artifact(input["artifactID"])
    if artifact.state == "PENDING":
        commit(context, artifact)
    return {"artifact": artifact}


def commit(context: Context, artifact: Artifact) -> None:
    """Read the manifest, give the next version number, move the aliases."""
    stored = [one for one in artifact.manifests if context.store.blobs.get(one.key)]
    if not stored:
        raise ApiError("cannot commit an artifact without a manifest", 400)
    document = json.loads(context.store.blobs.read(stored[-1].key))
    artifact.entries = document["contents"]
    artifact.version_index = len(artifact.collection.versions)
    artifact.collection.versions.append(artifact)
    artifact.state, artifact.updated_at = "COMMITTED", now()
    artifact.collection.updated_at = artifact.updated_at
    _point(artifact, artifact.wanted_aliases)
    _record_output(artifact.created_by, artifact)


@resolves("Mutation.updateArtifact")
def update_artifact(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    artifact = context.store.need_artifact(input["artifactID"])
    if input.get("description") is not None:
        artifact.description = input["description"]
    if input.get("metadata") is not None:
        artifact.metadata = input["metadata"]
    if input.get("ttlDurationSeconds") is not None:
        artifact.ttl = input["ttlDurationSeconds"]
    gone = {tag["tagName"] for tag in input.get("tagsToDelete") or []}
    added = [tag["tagName"] for tag in input.get("tagsToAdd") or []]
    artifact.tags = _with_tags(artifact.tags, added, gone)
    if input.get("aliases") is not None:
        kept = [alias["alias"] for alias in input["aliases"]]
        for alias in artifact.aliases:
            if alias not in kept:
                del artifact.collection.aliases[alias]
        for alias in kept:
            artifact.collection.aliases[alias] = artifact
    artifact.updated_at = now()
    return {"artifact": artifact}


def _with_tags(tags: list[str], added: list[str], gone: set[str]) -> list[str]:
    return [tag for tag in dict.fromkeys([*tags, *added]) if tag not in gone]


@resolves("Mutation.addAliases")
def add_aliases(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    artifact = context.store.need_artifact(input["artifactID"])
    for alias in input["aliases"]:
        artifact.collection.aliases[alias["alias"]] = artifact
    return {"success": True}


@resolves("Mutation.deleteAliases")
def delete_aliases(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    artifact = context.store.need_artifact(input["artifactID"])
    for alias in input["aliases"]:
        if artifact.collection.aliases.get(alias["alias"]) is artifact:
            del artifact.collection.aliases[alias["alias"]]
    return {"success": True}


@resolves("Mutation.deleteArtifact")
def delete_artifact(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    artifact = context.store.need_artifact(input["artifactID"])
    if artifact.aliases and not input.get("deleteAliases"):
        raise ApiError("cannot delete an artifact that has aliases", 409)
    for alias in artifact.aliases:
        del artifact.collection.aliases[alias]
    artifact.state = "DELETED"
    return {"artifact": artifact}


@resolves("Mutation.useArtifact")
def use_artifact(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    run = context.store.need_run(input["entityName"], input["projectName"], input["runName"])
    artifact = context.store.need_artifact(input["artifactID"])
    if artifact not in run.inputs:
        run.inputs.append(artifact)
        artifact.used_by.append(run)
    return {"artifact": artifact}


# --- Collections ----------------------------------------------------------------------------


@resolves("Mutation.updateArtifactSequence")
def update_sequence(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    collection = _need_collection(context, input["artifactSequenceID"])
    if input.get("description") is not None:
        collection.description = input["description"]
    name = input.get("name")
    if name and name != collection.name:
        if name in collection.project.collections:
            raise ApiError(f"artifact collection {name} already exists", 409)
        del collection.project.collections[collection.name]
        collection.name = name
        collection.project.collections[name] = collection
    collection.updated_at = now()
    return {"artifactCollection": collection}


@resolves("Mutation.deleteArtifactSequence")
def delete_sequence(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    collection = _need_collection(context, input["artifactSequenceID"])
    collection.deleted = True
    for artifact in collection.versions:
        artifact.state = "DELETED"
    return {"artifactCollection": collection}


def _need_collection(context: Context, collection_id: str) -> Collection:
    found = collection_by_id(None, context, collection_id)
    if not isinstance(found, Collection):
        raise ApiError(f"artifact collection {collection_id} not found", 404)
    return found


def _named_collection(context: Context, given: Json) -> Collection:
    project = context.store.need_project(given["entityName"], given["projectName"])
    found = project.collections.get(given["artifactCollectionName"])
    if found is None or found.deleted:
        raise ApiError(f"artifact collection {given['artifactCollectionName']} not found", 404)
    return found


@resolves("Mutation.createArtifactCollectionTagAssignments")
def add_collection_tags(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    collection = _named_collection(context, input)
    added = [tag["tagName"] for tag in input["tags"]]
    collection.tags = _with_tags(collection.tags, added, set())
    return {"tags": [tag_node(tag) for tag in collection.tags]}


@resolves("Mutation.deleteArtifactCollectionTagAssignments")
def delete_collection_tags(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    collection = _named_collection(context, input)
    gone = {tag["tagName"] for tag in input["tags"]}
    collection.tags = _with_tags(collection.tags, [], gone)
    return {"success": True}
