"""Runs from a W&B server.

Reads with the client's own GraphQL documents over `transport.py` rather than through
`wandb.Api`, whose lazy loads, sampled histories, unchecked downloads and opaque 19 s failures
cannot be configured away; of wandb itself only the login (key, host) is used.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from goemo_report.contract import PROJECT
from goemo_report.errors import GoemoError, NotFoundError, SourceError, argument, reading
from goemo_report.formats.text import printable
from goemo_report.settings import SourceChoice
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    Listing,
    LocalFile,
    LostFiles,
    RunRecord,
    SkippedRun,
    moment,
)
from goemo_report.sources.references import (
    Reference,
    choose,
    parse_reference,
    unknown,
)
from goemo_report.sources.store import Cache
from goemo_report.sources.wandb_api import decode, queries, remote_files
from goemo_report.sources.wandb_api import histories as online_histories
from goemo_report.sources.wandb_api.credentials import Credentials, find_credentials, stored_setting
from goemo_report.sources.wandb_api.faults import Notify
from goemo_report.sources.wandb_api.project import Project, batches, in_parallel
from goemo_report.sources.wandb_api.transport import Transport


def to_stderr(message: str) -> None:
    """Where notes go when the caller has no better place; names in them are hostile text."""
    print(printable(message), file=sys.stderr)


class ApiSource(RunSource):
    """A RunSource that reads one W&B project, and other projects where a RUN names one.

    `entity` None means the key's default entity, `project` None the guide's. `notify` is told
    of retries and of what is left out. Nothing is asked of the server before it is needed.
    """

    def __init__(
        self,
        *,
        entity: str | None = None,
        project: str | None = None,
        credentials: Credentials | None = None,
        cache: Cache | None = None,
        notify: Notify = to_stderr,
        timeout: float | None = None,
    ) -> None:
        self.credentials = credentials or find_credentials()
        self.transport = Transport(self.credentials, notify=notify, timeout=timeout)
        self.cache = cache or Cache()
        self.project_name = project or PROJECT
        self._entity = entity
        self._projects: dict[tuple[str, str], Project] = {}
        self._read: dict[online_histories.Identity, History] = {}
        self._owners: dict[str, Project] = {}  # of artifacts, by artifact id

    @property
    def entity(self) -> str:
        """The entity that was given, or the key's default."""
        if self._entity is None:
            stored = stored_setting("entity")
            viewer = {} if stored else self.transport.graphql(queries.DEFAULT_ENTITY, {})
            own = (viewer.get("viewer") or {}).get("entity")
            if not stored and not own:
                raise SourceError(
                    f"the key has no default entity on {self.credentials.host}",
                    f"Choose one with {argument('entity')} or WANDB_ENTITY",
                )
            self._entity = stored.value if stored else str(own)
        return self._entity

    @property
    def description(self) -> str:
        """Project and host."""
        return f"W&B project {self.entity}/{self.project_name} on {self.credentials.host}"

    def project(self, entity: str | None = None, name: str | None = None) -> Project:
        """A project of this server, by default the source's own."""
        place = (entity or self.entity, name or self.project_name)
        return self._projects.setdefault(place, Project(self.transport, *place))

    def viewer(self) -> decode.Node:
        """Whose key this is; empty where the server knows no user for it."""
        return self.transport.graphql(queries.VIEWER, {}).get("viewer") or {}

    def list_runs(self, query: RunQuery) -> Listing:
        """Runs of the project that match, ordered by creation, then id.

        Of a limited number of newest ones no older runs are asked for than it takes.
        """
        project, filters = self.project(), queries.run_filters(query)
        runs: list[RunRecord] = []
        skipped: list[SkippedRun] = []
        nodes: Iterable[decode.Node] = (
            project.newest_nodes(filters, query.newest + 1)
            if query.newest
            else project.run_nodes(filters)
        )
        for node in nodes:
            if query.is_settled(runs, moment(node.get("createdAt"))):
                break  # a run starts before it is created
            name = str(node.get("displayName") or node["name"])
            try:
                with reading(f"run {name}", "Look at its page on W&B"):
                    run = self._record(node, project)
            except SourceError as error:
                skipped.append(SkippedRun(name, str(error)))
                continue
            if query.matches(run):  # whatever the server made of the filter
                runs.append(run)
        runs.sort(key=lambda run: (run.created_at is not None, run.created_at, run.id))
        return Listing(tuple(runs), tuple(skipped))

    def newest_runs(self, count: int) -> list[RunRecord]:
        """The runs of the project that started last, newest first."""
        project = self.project()
        return [
            self._record(node, project) for node in islice(project.newest_nodes({}, count), count)
        ]

    def runs_by_id(self, project_name: str, ids: Sequence[str]) -> list[RunRecord]:
        """Those of some runs that a project has.

        Raises NotFoundError where there is no such project.
        """
        project = self.project(name=project_name)
        found: list[RunRecord] = []
        for group in batches(ids, queries.RUNS_PER_PAGE):
            filters = {"$or": [{"name": run_id} for run_id in group]}
            found += [self._record(node, project) for node in project.run_nodes(filters)]
        return found

    def find_run(self, reference: str) -> RunRecord:
        """The one run that an id, a name, a path or an address names.

        Raises NotFoundError when there is none and when a name fits several runs.
        """
        named = parse_reference(reference)
        self._check_host(named.host, reference)
        return self._find(self.project(named.entity, named.project), named)

    def find_artifact(self, reference: Reference) -> tuple[RunRecord, ArtifactRef]:
        """One version of an artifact, and the run that logged it.

        Raises NotFoundError where there is none, or its run is gone.
        """
        self._check_host(reference.host, reference.qualified_name)
        project = self.project(reference.entity, reference.project)
        node = project.ask(queries.FIND_ARTIFACT, {"name": reference.qualified_name}).get(
            "artifact"
        )
        if node is None:
            raise NotFoundError(
                f"no artifact {reference.qualified_name} in {project.path} on "
                f"{self.credentials.host}",
                "`goemo-report show RUN` lists what a run logged",
            )
        creator = node.get("createdBy") or {}
        if not creator.get("name"):
            raise NotFoundError(f"the run that logged {reference.qualified_name} was deleted", "")
        place = creator.get("project") or {}
        owner = self.project((place.get("entity") or {}).get("name"), place.get("name"))
        run = self._find(owner, Reference("", creator["name"]))
        found = decode.artifact_ref(node, run.id)
        self._owners[found.id] = project
        return run, found

    def _check_host(self, host: str | None, text: str) -> None:
        if host is not None and not self.credentials.serves(f"https://{host}"):
            raise SourceError(
                f"{text} is on {host}, but this is {self.credentials.host}",
                f"Set WANDB_BASE_URL to the API address of {host}",
            )

    def _find(self, project: Project, named: Reference) -> RunRecord:
        filters = json.dumps({"displayName": named.name})
        asked = {"name": named.name, "filters": filters, "perPage": 20, "order": queries.ORDER}
        answer = project.ask(queries.FIND_RUN, asked)
        if answer.get("run"):
            return self._record(answer["run"], project)
        found = [self._record(node, project) for node in decode.edges(answer.get("runs"))]
        fitting = {run.id: run for run in found if run.name == named.name}
        if not fitting:
            raise unknown(named, project.names(), f"{project.path} on {self.credentials.host}")
        return choose(named, list(fitting.values()), project.path)

    def histories(self, runs: Sequence[RunRecord]) -> Mapping[str, History]:
        """Complete, unsampled history of each run, by run id."""
        found, errors = self._histories(runs)
        for error in errors.values():
            raise error
        return found

    def faults(self, runs: Sequence[RunRecord]) -> Mapping[str, str]:
        """Why the history of some runs cannot be read whole, by run id."""
        return {run_id: str(error) for run_id, error in self._histories(runs)[1].items()}

    def _histories(
        self, runs: Sequence[RunRecord]
    ) -> tuple[dict[str, History], dict[str, SourceError]]:
        """Asked once of each run, until a listing says that there is more."""
        found: dict[str, History] = {}
        errors: dict[str, SourceError] = {}
        for project, members in self._by_project(runs):
            own, wrong = online_histories.histories(project, members, self.cache, self._read)
            found |= own
            errors |= wrong
        return found, errors

    def raw_histories(self, runs: Sequence[RunRecord]) -> dict[str, list[dict[str, Any]]]:
        """Every history row that the server holds now, repeated steps included, by run id."""
        found: dict[str, list[dict[str, Any]]] = {}
        for project, members in self._by_project(runs):
            rows, errors = online_histories.raw_rows(project, members)
            for error in errors.values():
                raise error
            found |= rows
        return found

    def artifacts(self, runs: Sequence[RunRecord]) -> Mapping[str, tuple[ArtifactRef, ...]]:
        """What each run logged, by run id; the newest version of each name comes last.

        Deleted and unfinished artifacts are left out. Predictions that a run kept as files
        under `predictions/` follow as references of their own.
        """
        asked = [
            (project, group)
            for project, members in self._by_project(runs)
            for group in batches(members, queries.BATCH)
        ]
        found: dict[str, tuple[ArtifactRef, ...]] = {}
        for part in in_parallel(self._artifacts_of, asked):
            found |= part
        return found

    def _artifacts_of(
        self, asked: tuple[Project, Sequence[RunRecord]]
    ) -> dict[str, tuple[ArtifactRef, ...]]:
        project, runs = asked
        answer = project.ask(*queries.artifacts_of([run.id for run in runs]))
        found = {}
        for number, run in enumerate(runs):
            node = answer.get(f"r{number}")
            if node is None:
                raise NotFoundError(
                    f"no run {run.id} in {project.path} any more", "List the runs again"
                )
            logged, files = project.logged(run.id, node)
            references = decode.artifact_refs(logged, run.id)
            references += decode.prediction_run_files(files, run.id)
            self._owners |= {reference.id: project for reference in references}
            found[run.id] = references
        return found

    def manifests(self, artifacts: Sequence[ArtifactRef]) -> list[tuple[ArtifactFile, ...]]:
        """The files of each artifact, in the order asked.

        Those of one that cannot be had among several are LostFiles, which is noted; alone, it is
        an error.
        """
        answers = remote_files.manifests(
            [(self._owner(reference), reference) for reference in artifacts], self.cache
        )
        failed = [answer for answer in answers if isinstance(answer, GoemoError)]
        if failed and len(failed) == len(answers):
            raise failed[0]
        for error in failed:
            self.transport.notify(str(error))
        return [LostFiles(str(one)) if isinstance(one, GoemoError) else one for one in answers]

    def fetch(
        self, wanted: Sequence[tuple[ArtifactRef, ArtifactFile]], progress: Progress = silent
    ) -> list[LocalFile]:
        """A digest-checked copy of each file in the cache, in order."""
        return remote_files.fetch(
            [(self._owner(reference), reference, file) for reference, file in wanted],
            self.cache,
            progress,
        )

    def _owner(self, reference: ArtifactRef) -> Project:
        return self._owners.get(reference.id) or self.project()

    def _record(self, node: decode.Node, project: Project) -> RunRecord:
        return decode.run_record(node, project.entity, project.name, self.credentials)

    def _by_project(
        self, runs: Sequence[RunRecord]
    ) -> Iterator[tuple[Project, Sequence[RunRecord]]]:
        groups: dict[tuple[str | None, str], list[RunRecord]] = {}
        for run in runs:
            groups.setdefault((run.entity, run.project), []).append(run)
        for (entity, name), members in groups.items():
            yield self.project(entity, name), members


def open_source(choice: SourceChoice) -> ApiSource:
    """The source of W&B's server."""
    return ApiSource(entity=choice.entity, project=choice.project)
