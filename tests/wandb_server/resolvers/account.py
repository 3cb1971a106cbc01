"""Viewer, features, entities, projects."""

from __future__ import annotations

from typing import Any

from tests.wandb_server import paging
from tests.wandb_server.resolvers.registry import Context, resolves
from tests.wandb_server.store import Project
from tests.wandb_server.values import opaque, stamp

Json = dict[str, Any]


def user(context: Context) -> Json:
    """The one user of this server."""
    store = context.store
    return {
        "id": opaque("User", store.username),
        "name": store.username,
        "username": store.username,
        "email": f"{store.username}@example.com",
        "admin": False,
        "flags": "{}",
        "entity": store.entities[0],
        "deletedAt": None,
        "photoUrl": None,
        "apiKeys": {"edges": []},
        "teams": {"edges": [{"node": _entity(context, name)} for name in store.entities]},
        "organizations": [],
    }


def _entity(context: Context, name: str) -> Json:
    person = name == context.store.username
    return {
        "id": opaque("Entity", name),
        "name": name,
        "isTeam": not person,
        "entityType": "user" if person else "team",
        "available": False,
        "organization": None,
        "user": None,
        "xxhashDigestsEnabled": False,
    }


@resolves("Query.viewer", "Project.user", "Run.user")
def viewer(parent: Any, context: Context) -> Json:
    return user(context)


@resolves("Query.users")
def users(parent: Any, context: Context, query: str | None = None) -> Json:
    me = user(context)
    found = not query or query in (me["username"], me["email"])
    return {"edges": [{"node": me}] if found else []}


@resolves("Query.serverInfo")
def server_info(parent: Any, context: Context) -> Json:
    features = [{"name": name, "isEnabled": on} for name, on in context.features.items()]
    versions = {"max_cli_version": "0.31.0", "min_cli_version": "0.20.0"}
    return {"features": features, "cliVersionInfo": versions, "latestLocalVersionInfo": None}


@resolves("Query.entity")
def entity(parent: Any, context: Context, name: str | None = None) -> Json | None:
    found = context.store.entity(name)
    return _entity(context, found) if found else None


@resolves("Project.entity")
def project_entity(project: Project, context: Context) -> Json:
    return _entity(context, project.entity_name)


@resolves("Query.project", "Query.model")
def project(
    parent: Any, context: Context, name: str | None = None, entity_name: str | None = None
) -> Project | None:
    return context.store.project(entity_name, name)


@resolves("Query.models")
def models(
    parent: Any,
    context: Context,
    entity_name: str | None = None,
    after: str | None = None,
    first: int | None = None,
) -> Json | None:
    owner = context.store.entity(entity_name)
    if owner is None:
        return None
    projects = [one for one in context.store.projects.values() if one.entity_name == owner]
    return paging.by_offset(projects, after, first)


@resolves("Mutation.upsertModel")
def upsert_model(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    made, inserted = context.store.make_project(input.get("entityName"), input.get("name"))
    if input.get("description") is not None:
        made.description = input["description"]
    return {"project": made, "model": made, "inserted": inserted}


@resolves("Project.internalId")
def internal_id(project: Project, context: Context) -> str:
    return str(project.number)


@resolves("Project.access", "Project.views")
def nothing(parent: Any, context: Context) -> None:
    return None


@resolves("Project.isBenchmark", "Project.readOnly")
def no(parent: Any, context: Context) -> bool:
    return False


@resolves("Project.createdAt")
def project_created(project: Project, context: Context) -> str | None:
    return stamp(project.created_at)
