"""What every run source offers. Others ask for many runs at once, so that a source can ask its
server in parallel or in one request."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from goemo_report.errors import NotFoundError, SourceError
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    Listing,
    LocalFile,
    RunRecord,
    SkippedRun,
)
from goemo_report.sources.references import Reference

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is done, and how many bytes of how many are there; command lines draw it."""


def silent(description: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""


class RunSource(ABC):
    """Where runs come from. Errors are GoemoError; nothing is ever written to a source.

    A source defines `history_of`, `artifacts_of` and `files_of`, or their plurals where it can
    ask for many runs at once; everyone else asks for many.
    """

    @property
    @abstractmethod
    def description(self) -> str:
        """The source in a few words, for reports: host and project, or the directory."""

    @abstractmethod
    def list_runs(self, query: RunQuery) -> Listing:
        """Runs of the project that match, ordered by creation, then id."""

    @abstractmethod
    def find_run(self, reference: str) -> RunRecord:
        """The one run that a RUN argument names.

        Raises NotFoundError when there is none and when a name fits several runs.
        """

    def find_artifact(self, reference: Reference) -> tuple[RunRecord, ArtifactRef]:
        """The newest artifact of a name with the version or alias, and the run that logged it.

        `latest` is the newest of all. Raises NotFoundError where there is none.
        """
        runs = self.list_runs(RunQuery()).runs
        runs = tuple(run for run in runs if reference.project in {None, run.project})
        logged = self.artifacts(runs)
        named = [(r, one) for r in runs for one in logged[r.id] if one.name == reference.name]
        for run, one in reversed(named):
            if reference.version in {"latest", one.version, *one.aliases}:
                return run, one
        what = f"no artifact {reference.qualified_name} in {self.description}"
        if not named:
            raise NotFoundError(what, "`goemo-report show RUN` lists the artifacts of a run")
        names = (name for _, one in named for name in (one.version, *sorted(one.aliases)))
        known = dict.fromkeys(("latest", *filter(None, names)))
        raise NotFoundError(what, f"Its versions and aliases are {', '.join(known)}")

    def histories(self, runs: Sequence[RunRecord]) -> Mapping[str, History]:
        """Complete, unsampled history of each run, by run id."""
        return {run.id: self.history_of(run) for run in runs}

    def artifacts(self, runs: Sequence[RunRecord]) -> Mapping[str, tuple[ArtifactRef, ...]]:
        """What each run logged, by run id; the newest version of each name comes last."""
        return {run.id: self.artifacts_of(run) for run in runs}

    def manifests(self, artifacts: Sequence[ArtifactRef]) -> list[tuple[ArtifactFile, ...]]:
        """The files of each artifact, in the order asked; LostFiles where nobody knows them."""
        return [self.files_of(artifact) for artifact in artifacts]

    def faults(self, runs: Sequence[RunRecord]) -> Mapping[str, str]:
        """Why the history or the artifacts of some runs cannot be read, by run id."""
        found: dict[str, str] = {}
        for run in runs:
            try:
                self.history_of(run)
                self.artifacts_of(run)
            except SourceError as error:
                found[run.id] = str(error)
        return found

    def history_of(self, run: RunRecord) -> History:
        """Complete, unsampled history of one run."""
        raise NotImplementedError

    def artifacts_of(self, run: RunRecord) -> tuple[ArtifactRef, ...]:
        """What one run logged; the newest version of each name comes last."""
        raise NotImplementedError

    def files_of(self, artifact: ArtifactRef) -> tuple[ArtifactFile, ...]:
        """The files of one artifact, in order of path."""
        raise NotImplementedError

    @abstractmethod
    def fetch(
        self, wanted: Sequence[tuple[ArtifactRef, ArtifactFile]], progress: Progress = silent
    ) -> list[LocalFile]:
        """A local, digest-checked copy of each file (read-only for the caller), in order.

        A file that cannot be had comes back as a SkippedFile with the reason.
        """


def readable(source: RunSource, listing: Listing) -> Listing:
    """A listing without the runs whose history or artifacts cannot be read, which are skipped.

    Raises SourceError where that is every run.
    """
    faults = source.faults(listing.runs)
    runs = tuple(run for run in listing.runs if run.id not in faults)
    if faults and not runs:
        raise SourceError("; ".join(faults.values()), "")
    lost = (SkippedRun(run.name, faults[run.id]) for run in listing.runs if run.id in faults)
    return Listing(runs, (*listing.skipped, *lost))
