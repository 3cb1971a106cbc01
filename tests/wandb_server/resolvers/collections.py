"""Reading artifact types and collections."""

from __future__ import annotations

import json
from typing import Any

from tests.wandb_server import paging
from tests.wandb_server.errors import ApiError
from tests.wandb_server.resolvers.artifacts import alias_node, membership, tag_node, type_node
from tests.wandb_server.resolvers.registry import Context, resolves
from tests.wandb_server.store import Artifact, Collection, Project
from tests.wandb_server.values import stamp

Json = dict[str, Any]


@resolves("Query.artifactCollection")
def collection_by_id(parent: Any, context: Context, id: str) -> Collection | None:  # noqa: A002 - GraphQL's name
    for project in context.store.projects.values():
        for collection in alive(project):
            if collection.id == id:
                return collection
    return None


def alive(project: Project) -> list[Collection]:
    """Collections that are not deleted."""
    return [one for one in project.collections.values() if not one.deleted]


@resolves("Project.artifactTypes")
def artifact_types(
    project: Project, context: Context, after: str | None = None, first: int | None = None
) -> Json:
    names = list(dict.fromkeys(one.type_name for one in alive(project)))
    return paging.by_offset([type_node(project, name) for name in names], after, first)


@resolves("Project.artifactType")
def artifact_type(project: Project, context: Context, name: str) -> Json | None:
    known = any(one.type_name == name for one in alive(project))
    return type_node(project, name) if known else None


@resolves("Project.artifactCollections", "ArtifactType.artifactCollections")
def artifact_collections(
    parent: Project | Json,
    context: Context,
    after: str | None = None,
    first: int | None = None,
    filters: str | None = None,
    order: str | None = None,
) -> Json:
    if filters and json.loads(filters):
        raise ApiError(f"filters of artifact collections are not supported: {filters}", 400)
    found = alive(parent["project"]) if isinstance(parent, dict) else alive(parent)
    if isinstance(parent, dict):
        found = [one for one in found if one.type_name == parent["name"]]
    return paging.by_offset(found, after, first)


@resolves("Project.artifactCollection", "ArtifactType.artifactCollection")
def artifact_collection(parent: Project | Json, context: Context, name: str) -> Collection | None:
    if isinstance(parent, dict):
        found = parent["project"].collections.get(name)
        if found is not None and found.type_name != parent["name"]:
            return None
    else:
        found = parent.collections.get(name)
    return None if found is None or found.deleted else found


@resolves("ArtifactSequence.state")
def collection_state(collection: Collection, context: Context) -> str:
    return "DELETED" if collection.deleted else "READY"


@resolves("ArtifactSequence.createdAt", "Artifact.createdAt")
def created_at(parent: Collection | Artifact, context: Context) -> str | None:
    return stamp(parent.created_at)


@resolves("ArtifactSequence.updatedAt", "Artifact.updatedAt")
def updated_at(parent: Collection | Artifact, context: Context) -> str | None:
    return stamp(parent.updated_at)


@resolves("ArtifactSequence.defaultArtifactType")
def collection_type(collection: Collection, context: Context) -> Json:
    return type_node(collection.project, collection.type_name)


@resolves("ArtifactSequence.tags")
def collection_tags(collection: Collection, context: Context) -> Json:
    return {"edges": [{"node": tag_node(tag)} for tag in collection.tags]}


@resolves("ArtifactSequence.aliases")
def collection_aliases(
    collection: Collection, context: Context, after: str | None = None, first: int | None = None
) -> Json:
    nodes = [alias_node(collection, alias) for alias in collection.aliases]
    return paging.by_offset(nodes, after, first)


@resolves("ArtifactSequence.digestAlgorithm", "Artifact.digestAlgorithm")
def digest_algorithm(parent: Any, context: Context) -> str:
    return "MANIFEST_MD5"


@resolves("ArtifactSequence.latestArtifact")
def latest_artifact(collection: Collection, context: Context) -> Artifact | None:
    return collection.aliases.get("latest")


@resolves("ArtifactSequence.artifactMembership")
def collection_membership(collection: Collection, context: Context, alias_name: str) -> Json | None:
    return membership(collection, collection.find(alias_name))


@resolves("ArtifactSequence.artifacts")
def collection_artifacts(
    collection: Collection,
    context: Context,
    after: str | None = None,
    first: int | None = None,
    order: str | None = None,
    filters: str | None = None,
) -> Json:
    wanted = json.loads(filters or "{}") or {}
    if not set(wanted) <= {"state", "alias", "tag"}:
        raise ApiError(f"filters of artifacts are not supported: {filters}", 400)
    found = collection.alive if wanted.get("state") != "PENDING" else []
    if "alias" in wanted:
        found = [one for one in found if wanted["alias"] in one.aliases]
    if "tag" in wanted:
        found = [one for one in found if wanted["tag"] in one.tags]
    if not (order or "").startswith("+"):
        found = found[::-1]  # newest first is the service's own order
    page = paging.by_offset(found, after, first)
    for edge in page["edges"]:
        edge["version"] = f"v{edge['node'].version_index}"
    return page
