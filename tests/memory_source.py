"""A run source over files that a test wrote: every answer is what the test put there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from goemo_report.errors import NotFoundError
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    Listing,
    LocalFile,
    RunRecord,
    SkippedFile,
)

Logged = tuple[ArtifactRef, Mapping[str, Path | None]]


class MemorySource(RunSource):
    """Runs with their artifacts; a file maps to a path on disk, or to None where it is lost."""

    description = "memory"

    def __init__(self) -> None:
        self.runs: list[RunRecord] = []
        self.logged: dict[str, list[ArtifactRef]] = {}
        self.files: dict[str, dict[str, Path | None]] = {}
        self.history: dict[str, History] = {}
        self.requests = 0

    def add(
        self, run: RunRecord, *artifacts: tuple[ArtifactRef, Mapping[str, Path | None]]
    ) -> None:
        self.runs.append(run)
        self.logged[run.id] = [artifact for artifact, _ in artifacts]
        self.files.update((artifact.id, dict(files)) for artifact, files in artifacts)

    def list_runs(self, query: RunQuery) -> Listing:
        return Listing(tuple(run for run in self.runs if query.matches(run)))

    def find_run(self, reference: str) -> RunRecord:
        for run in self.runs:
            if reference in {run.id, run.name}:
                return run
        raise NotFoundError(f"no run {reference}")

    def histories(self, runs: Sequence[RunRecord]) -> Mapping[str, History]:
        self.requests += 1
        return {run.id: self.history.get(run.id, ()) for run in runs}

    def faults(self, runs: Sequence[RunRecord]) -> Mapping[str, str]:
        return {}

    def artifacts(self, runs: Sequence[RunRecord]) -> Mapping[str, tuple[ArtifactRef, ...]]:
        self.requests += 1
        return {run.id: tuple(self.logged[run.id]) for run in runs}

    def manifests(self, artifacts: Sequence[ArtifactRef]) -> list[tuple[ArtifactFile, ...]]:
        self.requests += 1
        return [
            tuple(
                ArtifactFile(path, place.stat().st_size if place else 0, "digest")
                for path, place in self.files[artifact.id].items()
            )
            for artifact in artifacts
        ]

    def fetch(
        self, wanted: Sequence[tuple[ArtifactRef, ArtifactFile]], progress: Progress = silent
    ) -> list[LocalFile]:
        self.requests += 1
        progress("files", len(wanted), len(wanted))
        return [
            self.files[artifact.id][file.path] or SkippedFile(file.path, "gone from the disk")
            for artifact, file in wanted
        ]
