"""One project on one server: asking it, and saying what is wrong when it is not there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from goemo_report.errors import NotFoundError, argument
from goemo_report.sources.wandb_api import decode, queries
from goemo_report.sources.wandb_api.faults import RequestRefusedError
from goemo_report.sources.wandb_api.transport import CONNECTIONS, Transport

_MISSING: Final = ("not found", "could not find", "does not exist")  # in a server's own words
_NAMES_SHOWN: Final = 8
_LISTING_ROUNDS: Final = 3
"""How often a listing is asked again when runs came or went meanwhile."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Project:
    """Entity and project, and the way to ask for what is in it."""

    transport: Transport
    entity: str
    name: str

    @property
    def path(self) -> str:
        """`entity/project`."""
        return f"{self.entity}/{self.name}"

    def ask(self, document: str, variables: Mapping[str, Any]) -> decode.Node:
        """The project's node of an answer.

        Raises NotFoundError where the server knows no such entity or project.
        """
        own = {"entity": self.entity, "project": self.name}
        try:
            answer = self.transport.graphql(document, own | dict(variables))
        except RequestRefusedError as error:
            if error.status == 404 or any(one in error.reason.lower() for one in _MISSING):
                raise self._missing() from None
            raise
        node = answer.get("project")
        if node is None:
            raise self._missing()
        return node  # type: ignore[no-any-return]  # what JSON holds is for the reader to check

    def run_nodes(self, filters: Mapping[str, Any]) -> list[decode.Node]:
        """Every run that fits a filter, in full, in order of creation, each once.

        Pages follow a cursor in order of creation, so runs that start meanwhile only add to
        the end; where the server counts more runs than arrived, one was missed and the
        listing starts again.
        """
        for _ in range(_LISTING_ROUNDS):
            found: dict[str, decode.Node] = {}
            count = 0
            for page in self._pages(queries.RUNS, queries.RUNS_PER_PAGE, filters):
                found |= {str(node["name"]): node for node in decode.edges(page.get("runs"))}
                count = int(page.get("runCount") or 0)
            if len(found) >= count:
                return list(found.values())
        self.transport.notify(f"runs of {self.path} come and go while they are listed")
        return list(found.values())

    def tags(self) -> dict[str, int]:
        """Every tag of the project, with the number of runs that carry it."""
        counted = Counter(tag for node in self._tagged() for tag in node.get("tags") or ())
        return dict(sorted(counted.items()))

    def names(self) -> dict[str, str]:
        """Name and path of each run, by every name and id by which it can be asked for."""
        named: dict[str, str] = {}
        for node in self._tagged():
            run_id = str(node["name"])
            name = str(node.get("displayName") or run_id)
            named |= dict.fromkeys((name, run_id), f"{name} ({self.path}/{run_id})")
        return named

    def _tagged(self) -> Iterator[decode.Node]:
        """Id, name and tags of every run."""
        for page in self._pages(queries.TAGS, queries.TAGS_PER_PAGE, {}):
            yield from decode.edges(page.get("runs"))

    def _pages(
        self, document: str, size: int, filters: Mapping[str, Any], order: str = queries.ORDER
    ) -> Iterator[decode.Node]:
        variables: dict[str, Any] = {
            "filters": json.dumps(filters),
            "order": order,
            "perPage": size,
            "cursor": None,
        }
        while True:
            page = self.ask(document, variables)
            yield page
            runs = page.get("runs") or {}
            following = runs.get("pageInfo") or {}
            cursor = following.get("endCursor") or next(
                (edge.get("cursor") for edge in reversed(runs.get("edges") or [])), None
            )
            if not following.get("hasNextPage") or cursor in {None, variables["cursor"]}:
                return
            variables["cursor"] = cursor

    def logged(self, run_id: str, node: decode.Node) -> tuple[list[decode.Node], list[decode.Node]]:
        """All artifacts that a run logged, and its prediction files; `node` has the first pages."""
        found: dict[str, list[decode.Node]] = {"outputArtifacts": [], "files": []}
        cursors: dict[str, str | None] = dict.fromkeys(found)
        going_on = list(found)
        while going_on:
            for field in tuple(going_on):
                connection = node.get(field) or {}
                found[field] += decode.edges(connection)
                page = connection.get("pageInfo") or {}
                cursors[field] = page.get("endCursor")
                if not page.get("hasNextPage") or not cursors[field]:
                    going_on.remove(field)
            if going_on:
                answer = self.ask(*queries.artifacts_of([run_id], *cursors.values()))
                node = answer.get("r0") or {}
        return found["outputArtifacts"], found["files"]

    def newest_nodes(self, filters: Mapping[str, Any], size: int) -> Iterator[decode.Node]:
        """The runs that fit a filter, the last created first, in pages of at most `size`."""
        size = min(size, queries.RUNS_PER_PAGE)
        for page in self._pages(queries.RUNS, size, filters, queries.NEWEST_FIRST):
            yield from decode.edges(page.get("runs"))

    def count_runs(self) -> int:
        """How many runs the project has."""
        return int(self.ask(queries.COUNT, {"filters": "{}"}).get("runCount") or 0)

    def neighbours(self) -> list[str] | None:
        """The entity's projects, at most 50; None where the server knows no such entity."""
        try:
            answer = self.transport.graphql(
                queries.PROJECTS, {"entity": self.entity, "perPage": 50}
            )
        except RequestRefusedError as error:
            if error.status == 401:
                raise
            return None
        found = answer.get("models")
        names = sorted(str(node["name"]) for node in decode.edges(found))
        return None if found is None else names

    def _missing(self) -> NotFoundError:
        """Which of the two is not there, and what is."""
        names = self.neighbours()
        host = self.transport.credentials.host
        if not names:
            return NotFoundError(
                f"no project {self.name} of {self.entity} on {host}"
                if names is not None
                else f"no entity {self.entity} on {host}",
                f"Check {argument('entity')} and {argument('project')}, and that the key may see "
                "them",
            )
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        return NotFoundError(
            f"no project {self.name} of {self.entity} on {host}",
            f"Choose with {argument('project')}; {self.entity} has: {shown}",
        )


def batches(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Items in groups of at most `size`."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def in_parallel(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Results in order, the calls beside each other; the first error is raised."""
    if len(items) < 2:
        return [function(item) for item in items]
    pool = ThreadPoolExecutor(min(CONNECTIONS, len(items)))
    try:
        return list(pool.map(function, items))
    finally:
        pool.shutdown(cancel_futures=True)
