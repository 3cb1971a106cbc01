"""Several sources as one: runs named by directory, beside runs of W&B or of another folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

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

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


class JoinedSource(RunSource):
    """Runs that were already found, each asked of the source it came from."""

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
        return self._by_id(runs, lambda source, own: source.histories(own))

    def faults(self, runs: Sequence[RunRecord]) -> Mapping[str, str]:
        """Why the history or the artifacts of some runs cannot be read, by run id."""
        return self._by_id(runs, lambda source, own: source.faults(own))

    def artifacts(self, runs: Sequence[RunRecord]) -> Mapping[str, tuple[ArtifactRef, ...]]:
        """What each run logged, by run id."""
        return self._by_id(runs, lambda source, own: source.artifacts(own))

    def manifests(self, artifacts: Sequence[ArtifactRef]) -> list[tuple[ArtifactFile, ...]]:
        """The files of each artifact, in the order asked."""
        owners = [artifact.run_id for artifact in artifacts]
        return self._in_order(artifacts, owners, lambda source, own: source.manifests(own))

    def fetch(
        self, wanted: Sequence[tuple[ArtifactRef, ArtifactFile]], progress: Progress = silent
    ) -> list[LocalFile]:
        """A local copy of each file, in the order asked."""
        owners = [artifact.run_id for artifact, _ in wanted]
        return self._in_order(wanted, owners, lambda source, own: source.fetch(own, progress))

    def _by_id(
        self,
        runs: Sequence[RunRecord],
        ask: Callable[[RunSource, list[RunRecord]], Mapping[str, _Answer]],
    ) -> dict[str, _Answer]:
        found: dict[str, _Answer] = {}
        for source, _ in self._parts:
            own = [run for run in runs if self._owner[run.id] is source]
            found |= ask(source, own) if own else {}
        return found

    def _in_order(
        self,
        items: Sequence[_Asked],
        run_ids: Sequence[str],
        ask: Callable[[RunSource, list[_Asked]], Sequence[_Answer]],
    ) -> list[_Answer]:
        found: dict[int, _Answer] = {}
        for source, _ in self._parts:
            own = [n for n, run_id in enumerate(run_ids) if self._owner[run_id] is source]
            if own:
                found |= zip(own, ask(source, [items[n] for n in own]), strict=True)
        return [found[number] for number in range(len(items))]
