"""Several sources as one: runs named by directory, beside runs of W&B or of another folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from goemo_report.errors import NotFoundError
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    Listing,
    LocalFile,
    RunQuery,
    RunRecord,
)


class JoinedSource:
    """A RunSource of runs that were already found, each asked of the source it came from."""

    def __init__(self, parts: Sequence[tuple[RunSource, Sequence[RunRecord]]]) -> None:
        """`parts` are sources with their runs; a run id belongs to one source only."""
        self._parts: Final = tuple((source, tuple(runs)) for source, runs in parts)
        self._owner = {run.id: source for source, runs in self._parts for run in runs}

    @property
    def description(self) -> str:
        """The descriptions of all sources."""
        return " and ".join(dict.fromkeys(source.description for source, _ in self._parts))

    def list_runs(self, query: RunQuery) -> Listing:
        """The runs that match, in the order in which they were found."""
        return Listing(tuple(r for _, runs in self._parts for r in runs if query.matches(r)))

    def find_run(self, reference: str) -> RunRecord:
        """The one run with this id, name or path."""
        fitting = [
            run
            for run in self.list_runs(RunQuery()).runs
            if reference in {run.id, run.name, run.path}
        ]
        if len(fitting) != 1:
            problem = f"names {len(fitting)} runs" if fitting else "is not among the runs"
            raise NotFoundError(f"{reference} {problem} of {self.description}", "Give its id")
        return fitting[0]

    def histories(self, runs: Sequence[RunRecord]) -> Mapping[str, History]:
        """Complete history of each run, by run id."""
        found: dict[str, History] = {}
        for source, _ in self._parts:
            own = [run for run in runs if self._owner[run.id] is source]
            found |= source.histories(own) if own else {}
        return found

    def faults(self, runs: Sequence[RunRecord]) -> Mapping[str, str]:
        """What cannot be read of the runs, by run id."""
        found: dict[str, str] = {}
        for source, _ in self._parts:
            found |= source.faults([run for run in runs if self._owner[run.id] is source])
        return found

    def artifacts(self, runs: Sequence[RunRecord]) -> Mapping[str, tuple[ArtifactRef, ...]]:
        """What each run logged, by run id."""
        found: dict[str, tuple[ArtifactRef, ...]] = {}
        for source, _ in self._parts:
            own = [run for run in runs if self._owner[run.id] is source]
            found |= source.artifacts(own) if own else {}
        return found

    def manifests(self, artifacts: Sequence[ArtifactRef]) -> list[tuple[ArtifactFile, ...]]:
        """The files of each artifact, in the order asked."""
        found: dict[int, tuple[ArtifactFile, ...]] = {}
        for source, _ in self._parts:
            own = [i for i, ref in enumerate(artifacts) if self._owner[ref.run_id] is source]
            if own:
                found.update(zip(own, source.manifests([artifacts[i] for i in own]), strict=True))
        return [found[i] for i in range(len(artifacts))]

    def fetch(
        self, wanted: Sequence[tuple[ArtifactRef, ArtifactFile]], progress: Progress = silent
    ) -> list[LocalFile]:
        """A local copy of each file, in the order asked."""
        found: dict[int, LocalFile] = {}
        for source, _ in self._parts:
            own = [i for i, (ref, _) in enumerate(wanted) if self._owner[ref.run_id] is source]
            if own:
                files = source.fetch([wanted[i] for i in own], progress)
                found.update(zip(own, files, strict=True))
        return [found[i] for i in range(len(wanted))]
