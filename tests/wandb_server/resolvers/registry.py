"""Which function answers which field of the schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.wandb_server.blobs import Signer
from tests.wandb_server.store import Store

Resolver = Callable[..., Any]

RESOLVERS: dict[str, Resolver] = {}
"""By `Type.field`; called with the parent, the context and the field's arguments in snake case.
A field that is not here is an attribute of its parent, or a key where that is a dict."""


@dataclass
class Context:
    """What resolvers need besides the parent."""

    store: Store
    signer: Signer
    base_url: str
    storage_url: str
    features: dict[str, bool]
    shuffled_pages: bool = False
    is_old: bool = False
    notes: list[str] = field(default_factory=list)


def resolves(*paths: str) -> Callable[[Resolver], Resolver]:
    """Register a function for fields of the schema."""

    def register(function: Resolver) -> Resolver:
        for path in paths:
            RESOLVERS[path] = function
        return function

    return register


def snake(name: str) -> str:
    """`artifactID` -> `artifact_id`, `runID` -> `run_id`, `displayName` -> `display_name`."""
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    return re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()
