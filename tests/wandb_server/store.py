"""What the server has been given: projects, runs, artifacts, sweeps. All in memory."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.wandb_server.blobs import Blobs
from tests.wandb_server.errors import ApiError
from tests.wandb_server.values import JsonText, now, opaque


@dataclass(eq=False)
class Run:
    """One run; `name` is what users call the id, `id` is the service's own."""

    project: Project
    name: str
    number: int  # order of arrival
    created_at: datetime = field(default_factory=now)
    heartbeat_at: datetime = field(default_factory=now)
    display_name: str = ""
    description: str | None = None
    notes: str | None = None
    tags: list[str] = field(default_factory=list)
    state: str = "running"
    config: JsonText = field(default_factory=JsonText)
    summary: JsonText = field(default_factory=JsonText)
    group: str | None = None
    job_type: str | None = None
    commit: str | None = None
    host: str | None = None
    sweep_name: str | None = None
    exitcode: int | None = None
    should_stop: bool = False
    history: list[str] = field(default_factory=list)
    exported: int = 0  # so many rows of it are in Parquet files and no longer sent
    exports: list[str] = field(default_factory=list)  # where those are stored
    events: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    uploaded: list[str] = field(default_factory=list)
    alerts: list[tuple[str, str]] = field(default_factory=list)  # severity and text
    outputs: list[Artifact] = field(default_factory=list)
    inputs: list[Artifact] = field(default_factory=list)
    rows_at: int = -1  # what `rows` was computed for
    rows_cache: list[dict[str, Any]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The storage id."""
        return opaque("Run", self.name, self.project.name, self.project.entity_name)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The history, parsed, in order."""
        if self.rows_at != len(self.history):
            texts = JsonText("[" + ",".join(line for line in self.history if line) + "]")
            self.rows_cache, self.rows_at = texts.value, len(self.history)
        return self.rows_cache

    def file_key(self, name: str) -> str:
        """Where a run file is stored."""
        return f"runs/{self.id}/{name}"


@dataclass(eq=False)
class Artifact:
    """One version of an artifact, or one that is still being uploaded."""

    id: str
    collection: Collection
    digest: str
    created_by: Run | None
    created_at: datetime = field(default_factory=now)
    updated_at: datetime | None = None
    state: str = "PENDING"
    version_index: int | None = None
    description: str | None = None
    metadata: str | None = None
    tags: list[str] = field(default_factory=list)
    history_step: int | None = None
    ttl: int | None = None
    wanted_aliases: list[str] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the manifest
    used_by: list[Run] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return sum(int(entry.get("size") or 0) for entry in self.entries.values())

    @property
    def aliases(self) -> list[str]:
        """Aliases that point here now."""
        return [name for name, at in self.collection.aliases.items() if at is self]


@dataclass(eq=False)
class Manifest:
    """The list of files of an artifact; the last one counts."""

    id: str
    artifact: Artifact
    name: str
    digest: str | None

    @property
    def key(self) -> str:
        """Where its JSON is stored."""
        return f"manifests/{self.id}"


@dataclass(eq=False)
class Collection:
    """An artifact's name: its versions in order and its aliases."""

    project: Project
    name: str
    type_name: str
    created_at: datetime = field(default_factory=now)
    updated_at: datetime | None = None
    description: str | None = None
    tags: list[str] = field(default_factory=list)
    versions: list[Artifact] = field(default_factory=list)  # deleted ones included
    aliases: dict[str, Artifact] = field(default_factory=dict)
    deleted: bool = False

    @property
    def id(self) -> str:
        """The collection's opaque id."""
        return opaque("ArtifactCollection", self.project.id, self.name)

    @property
    def alive(self) -> list[Artifact]:
        """Versions that are committed and not deleted, oldest first."""
        return [artifact for artifact in self.versions if artifact.state == "COMMITTED"]

    def find(self, alias: str) -> Artifact | None:
        """The version that an alias or `v<n>` means."""
        if alias in self.aliases:
            return self.aliases[alias]
        for artifact in self.alive:
            if alias == f"v{artifact.version_index}":
                return artifact
        return None


@dataclass(eq=False)
class Agent:
    """One `wandb agent`."""

    id: str
    host: str
    created_at: datetime = field(default_factory=now)
    runs: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Sweep:
    """A sweep: its YAML and the parameters that agents have not had yet."""

    project: Project
    name: str
    config: str
    parsed: dict[str, Any]
    created_at: datetime = field(default_factory=now)
    state: str = "RUNNING"
    display_name: str | None = None
    suggestions: Iterator[dict[str, Any]] = field(default_factory=lambda: iter(()))
    agents: list[Agent] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The sweep's opaque id."""
        return opaque("Sweep", self.name, self.project.name, self.project.entity_name)


@dataclass(eq=False)
class Project:
    """One project of an entity."""

    number: int
    entity_name: str
    name: str
    created_at: datetime = field(default_factory=now)
    description: str | None = None
    runs: dict[str, Run] = field(default_factory=dict)  # in order of arrival
    deleted_runs: set[str] = field(default_factory=set)
    collections: dict[str, Collection] = field(default_factory=dict)
    sweeps: dict[str, Sweep] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The project's opaque id."""
        return opaque("Project", self.name, self.entity_name)


class Store:
    """Everything; hold `lock` while reading or writing."""

    def __init__(self, directory: Path, username: str, entities: list[str]) -> None:
        self.username = username
        self.entities = entities  # the first is the default one
        self.blobs = Blobs(directory)
        self.lock = threading.RLock()
        self.projects: dict[tuple[str, str], Project] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.manifests: dict[str, Manifest] = {}
        self.client_ids: dict[str, str] = {}  # artifact ids by the client's own
        self.agents: dict[str, tuple[Sweep, Agent]] = {}
        self.views: dict[str, dict[str, Any]] = {}  # reports, by id
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """The next number, for ids and orders of arrival."""
        return next(self._numbers)

    def entity(self, name: str | None) -> str | None:
        """The entity's name, the default one for none; None where there is no such entity."""
        if not name:
            return self.entities[0]
        return name if name in self.entities else None

    def project(self, entity: str | None, name: str | None) -> Project | None:
        """The project, or None where it or its entity does not exist."""
        found = self.entity(entity)
        return self.projects.get((found, name or "uncategorized")) if found else None

    def need_project(self, entity: str | None, name: str | None) -> Project:
        """The project. Raises ApiError (404) where it does not exist."""
        project = self.project(entity, name)
        if project is None:
            raise ApiError(f"project {entity or self.entities[0]}/{name} not found", 404)
        return project

    def make_project(self, entity: str | None, name: str | None) -> tuple[Project, bool]:
        """The project, made where it is missing, and whether it was made."""
        found = self.entity(entity)
        if found is None:
            raise ApiError(f"entity {entity} not found during upsertBucket", 404)
        key = (found, name or "uncategorized")
        if key in self.projects:
            return self.projects[key], False
        self.projects[key] = Project(self.number(), *key)
        return self.projects[key], True

    def run_by_id(self, storage_id: str) -> Run:
        """The run of a storage id. Raises ApiError (404)."""
        for project in self.projects.values():
            for run in project.runs.values():
                if run.id == storage_id:
                    return run
        raise ApiError(f"run {storage_id} not found", 404)

    def need_run(self, entity: str | None, project: str | None, name: str | None) -> Run:
        """The run of a path. Raises ApiError (404)."""
        run = self.need_project(entity, project).runs.get(name or "")
        if run is None:
            raise ApiError(f"run {entity}/{project}/{name} not found", 404)
        return run

    def need_artifact(self, artifact_id: str) -> Artifact:
        """The artifact of an id. Raises ApiError (404)."""
        artifact = self.artifacts.get(artifact_id)
        if artifact is None:
            raise ApiError(f"artifact {artifact_id} not found", 404)
        return artifact

    def new_run(self, project: Project, name: str) -> Run:
        """A run that was not there. Raises ApiError (409) for the id of a deleted one."""
        if name in project.deleted_runs:
            raise ApiError(
                f"run {name} was previously created and deleted; try a new run name", 409
            )
        run = Run(project, name, self.number(), display_name=name)
        project.runs[name] = run
        return run
