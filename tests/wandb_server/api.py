"""Runs GraphQL documents against the schema."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    NoUnusedVariablesRule,
    OperationDefinitionNode,
    build_schema,
    execute,
    parse,
    specified_rules,
    validate,
)

from tests.wandb_server import resolvers as _resolvers
from tests.wandb_server.errors import ApiError
from tests.wandb_server.resolvers.registry import RESOLVERS, Context, Resolver, snake
from tests.wandb_server.store import Run

assert _resolvers.MODULES  # importing them has filled RESOLVERS

# The client declares variables that it does not use, and the service does not mind.
RULES = [rule for rule in specified_rules if rule is not NoUnusedVariablesRule]

Answer = tuple[int, dict[str, Any]]


def _bind(function: Resolver) -> Callable[..., Any]:
    def resolve(parent: Any, info: Any, **arguments: Any) -> Any:
        given = {snake(name): value for name, value in arguments.items()}
        return function(parent, info.context, **given)

    return resolve


def _attribute(parent: Any, info: Any, **arguments: Any) -> Any:
    """A key or an attribute; one that is missing is a bug of this server, not a null."""
    if isinstance(parent, dict):
        return parent[info.field_name]
    return getattr(parent, snake(info.field_name))


@functools.cache
def schema(*, is_old: bool = False) -> GraphQLSchema:
    """The schema with its resolvers; an old server's lacks what came with 0.70."""
    text = Path(__file__).with_name("schema.graphql").read_text(encoding="utf-8")
    built = build_schema(text)
    left = dict(RESOLVERS)
    for name, kind in built.type_map.items():
        if isinstance(kind, GraphQLObjectType) and not name.startswith("__"):
            for field_name, field in kind.fields.items():
                function = left.pop(f"{name}.{field_name}", None)
                field.resolve = _bind(function) if function else _attribute
    if is_old:
        membership: Any = built.type_map["ArtifactCollectionMembership"]
        del membership.fields["files"]
    if left:
        raise LookupError(f"resolvers without a field in the schema: {sorted(left)}")
    collection: Any = built.type_map["ArtifactCollection"]
    collection.resolve_type = lambda value, info, kind: "ArtifactSequence"
    creator: Any = built.type_map["Creator"]
    creator.resolve_type = lambda value, info, kind: "Run" if isinstance(value, Run) else "User"
    return built


@functools.lru_cache(maxsize=512)
def _checked(
    query: str, is_old: bool = False
) -> tuple[DocumentNode | None, tuple[GraphQLError, ...]]:
    try:
        document = parse(query)
    except GraphQLError as error:
        return None, (error,)
    return document, tuple(validate(schema(is_old=is_old), document, RULES))


def operation_name(query: str, given: str | None) -> str:
    """The operation's name as requests are counted by: given, declared, or its first field."""
    if given:
        return given
    document, _ = _checked(query)
    for definition in document.definitions if document else ():
        if isinstance(definition, OperationDefinitionNode):
            if definition.name:
                return definition.name.value
            first = definition.selection_set.selections[0]
            return first.name.value if isinstance(first, FieldNode) else ""
    return ""


def run_query(body: bytes, context: Context) -> Answer:
    """HTTP status and answer of a request body. Schema errors are 400, as on the service."""
    request = json.loads(body)
    document, errors = _checked(request["query"], context.is_old)
    if document is None or errors:
        if not context.is_old:
            context.notes.extend(error.message for error in errors)
        return 400, {"errors": [{"message": error.message} for error in errors]}
    with context.store.lock:
        result = execute(
            schema(is_old=context.is_old),
            document,
            context_value=context,
            variable_values=request.get("variables") or {},
            operation_name=request.get("operationName") or None,
        )
    if not isinstance(result, ExecutionResult):
        raise TypeError("a resolver is asynchronous")
    answer: dict[str, Any] = {"data": result.data}
    status = 200
    if result.errors:
        answer["errors"] = [
            {"message": error.message, "path": error.path} for error in result.errors
        ]
        status = _status(result.errors, context)
    return status, answer


def _status(errors: list[GraphQLError], context: Context) -> int:
    cause = errors[0].original_error
    if isinstance(cause, ApiError):
        return cause.status
    context.notes.extend(repr(error.original_error or error.message) for error in errors)
    return 400 if cause is None else 500
