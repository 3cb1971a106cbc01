"""Reports, which the server keeps as views: a specification in JSON, and where it belongs."""

from __future__ import annotations

import json
from typing import Any

from tests.wandb_server.errors import ApiError
from tests.wandb_server.resolvers.registry import Context, resolves
from tests.wandb_server.values import now, opaque, stamp

Json = dict[str, Any]


@resolves("Mutation.upsertView")
def upsert_view(parent: Any, context: Context, input: Json) -> Json:  # noqa: A002 - GraphQL's name
    project = context.store.need_project(input.get("entityName"), input.get("projectName"))
    try:
        spec = json.loads(input["spec"])
    except ValueError as error:
        raise ApiError("invalid spec", 400) from error
    if not isinstance(spec.get("blocks"), list):
        raise ApiError("spec has no blocks", 400)
    known = context.store.views.get(input.get("id") or "", {})
    number = known.get("id") or opaque("View", context.store.number())
    moment = stamp(now())
    kept = {key: value for key, value in input.items() if value is not None}
    view = {"name": "", "displayName": "", "type": "runs", "createdAt": moment, **known, **kept}
    view |= {"id": number, "project": project, "updatedAt": moment}
    context.store.views[number] = view
    return {"view": view, "inserted": not known}
