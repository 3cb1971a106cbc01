"""What trackers that keep runs in a database or in folders have in common: a source made of runs,
their rows and their files."""

from __future__ import annotations

import os
import re
import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from goemo_report.contract import FILE_STEMS, Role, artifact_role
from goemo_report.errors import NotFoundError, SourceError, argument, first_line, reading
from goemo_report.formats.sniff import has_table_ending, stem
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed, plural_of
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
    SkippedFile,
    SkippedRun,
)
from goemo_report.sources.newest import FOLDER, PREDICTIONS
from goemo_report.sources.references import choose, parse_reference
from goemo_report.sources.store import md5_of

_CONFIG: Final = "config.json"


Count: TypeAlias = Callable[[int], object]
"""Told how many bytes of a file are read."""


@dataclass(frozen=True, slots=True)
class Kept(ArtifactFile):
    """A file of a run: `local` is its place on this machine if it is known, and `logged` where its
    tracker says that it is."""

    local: Path | None = None
    logged: str = ""


class TrackedSource(RunSource):
    """A source of which a subclass says runs, histories and files; names and roles follow."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, Kept]] = {}  # by artifact id and path in it
        self._unread: set[str] = set()  # ids of runs whose artifacts could not be read

    @abstractmethod
    def newest_first(self, query: RunQuery) -> Iterator[RunRecord | SkippedRun]:
        """Runs from the newest on; the query may spare some that do not match."""

    @abstractmethod
    def logged_files(self, run: RunRecord) -> Iterable[tuple[ArtifactRef, Sequence[Kept]]]:
        """What a run logged, the newest version of each name last."""

    def local_copy(self, artifact: ArtifactRef, kept: Kept, count: Count = bool) -> LocalFile:  # noqa: ARG002 # others ask
        """A file on this machine. Its path is checked by whoever listed it."""
        if kept.local is None or not kept.local.is_file():
            return SkippedFile(kept.path, f"{kept.local or kept.path} is not there")
        return kept.local

    def list_runs(self, query: RunQuery) -> Listing:
        """Runs that match, ordered by creation, then id; read no further than the limit asks."""
        found: list[RunRecord] = []
        skipped: list[SkippedRun] = []
        for run in self.newest_first(query):
            if isinstance(run, SkippedRun):
                skipped.append(run)
            elif query.is_settled(found, run.created_at):
                break
            elif query.matches(run):
                found.append(run)
        found.sort(key=lambda run: run.by_creation)
        return Listing(tuple(found), tuple(skipped))

    def find_run(self, reference: str) -> RunRecord:
        """The one run that an id, a name, project/id or project/name names."""
        for lost in self._everything.skipped:
            if lost.name == reference.rpartition("/")[2]:
                raise SourceError(lost.reason, lost.remedy)
        return choose(parse_reference(reference), self._everything.runs, self.description)

    @cached_property
    def _everything(self) -> Listing:
        return self.list_runs(RunQuery())

    def histories(self, runs: Sequence[RunRecord]) -> Mapping[str, History]:
        """Complete history of each run, by run id; none of one whose artifacts cannot be read."""
        return {run.id: () if run.id in self._unread else self.history_of(run) for run in runs}

    def artifacts(self, runs: Sequence[RunRecord]) -> Mapping[str, tuple[ArtifactRef, ...]]:
        """What each run logged, by run id; of one whose artifacts cannot be read, why its
        predictions are unread. Raises SourceError where that is every run."""
        found: dict[str, tuple[ArtifactRef, ...]] = {}
        failed: list[SourceError] = []
        for run in runs:
            try:
                found[run.id] = self.artifacts_of(run)
            except SourceError as error:
                failed.append(error)
                self._unread.add(run.id)
                about = ("", None, "", 0)
                found[run.id] = tuple(
                    ArtifactRef(f"{run.path}/{role}", role, *about, role, run.id, unread=str(error))
                    for role in PREDICTIONS
                )
        if failed and len(failed) == len(found):
            raise failed[0]
        return found

    def artifacts_of(self, run: RunRecord) -> tuple[ArtifactRef, ...]:
        """What one run logged."""
        found = list(self.logged_files(run))
        for artifact, files in found:
            self._files[artifact.id] = {kept.path: kept for kept in files}
        return tuple(artifact for artifact, _ in found)

    def held(self, artifact: ArtifactRef) -> Mapping[str, Kept]:
        """The files of an artifact by their paths in it."""
        if artifact.id not in self._files:
            what = f"no artifact {artifact.qualified_name} in {self.description}"
            raise NotFoundError(what, "`goemo-report show RUN` lists the artifacts of a run")
        return self._files[artifact.id]

    def files_of(self, artifact: ArtifactRef) -> tuple[ArtifactFile, ...]:
        """The files of one artifact with the digests that they have now; of tables also those
        that have to be fetched for it."""
        found = []
        for path, kept in sorted(self.held(artifact).items()):
            digest = ""
            if kept.local is not None or artifact.role in FILE_STEMS.values():
                local = self.local_copy(artifact, kept)
                if isinstance(local, SkippedFile):
                    return LostFiles(f"{artifact.name}: {local.path}: {local.reason}")
                digest = md5_of(local)
            found.append(ArtifactFile(path, kept.size, digest))
        return tuple(found)

    def fetch(
        self, wanted: Sequence[tuple[ArtifactRef, ArtifactFile]], progress: Progress = silent
    ) -> list[LocalFile]:
        """The files where they are, or copies of them; one that is gone or differs is a
        SkippedFile."""
        total, before = sum(file.size for _, file in wanted), 0  # bytes
        found: list[LocalFile] = []
        for artifact, file in wanted:
            count = partial(_report, progress, file, before, total)
            kept = self.held(artifact).get(file.path)
            missing = SkippedFile(file.path, f"it is not in the manifest of {artifact.name}")
            found.append(missing if kept is None else self.local_copy(artifact, kept, count))
            before += file.size
        return found


def read_each(
    made: Iterable[tuple[str, Callable[[], RunRecord | None]]],
) -> Iterator[RunRecord | SkippedRun]:
    """Runs, each made by a function, None for what is none; one that cannot be made is left out
    under the name beside it."""
    for name, make in made:
        found: RunRecord | SkippedRun | None
        try:
            with reading(f"run {name}"):
                found = make()
        except SourceError as error:
            found = SkippedRun(name, first_line(error))
        if found is not None:
            yield found


def from_newest(found: Iterable[RunRecord | SkippedRun]) -> Iterator[RunRecord | SkippedRun]:
    """What cannot be read, then the runs from the newest on."""
    every = list(found)
    yield from (one for one in every if isinstance(one, SkippedRun))
    runs = (one for one in every if isinstance(one, RunRecord))
    yield from sorted(runs, key=lambda run: run.by_creation, reverse=True)


def _report(progress: Progress, file: ArtifactFile, before: int, total: int, read: int) -> None:
    progress(f"reading {file.path}", min(before + read, total), total)


def grouped(run: RunRecord, files: Sequence[Kept]) -> list[tuple[ArtifactRef, list[Kept]]]:
    """Files that a run logged by path alone, as artifacts: each table with a name of the guide's,
    each folder with a config.json as a checkpoint, the rest by its first folder."""
    files = list(_as_saved(files))
    folders = sorted(
        (kept.path.removesuffix(_CONFIG) for kept in files if kept.path.endswith(f"/{_CONFIG}")),
        key=len,
    )
    groups: dict[tuple[str, Role | None], list[Kept]] = {}
    for kept in files:
        folder = next((one for one in folders if kept.path.startswith(one)), "")
        role = role_of_path(kept.path)
        name = kept.path if role else kept.path.split("/", 1)[0]
        if folder and role is None:
            name, role = folder.rstrip("/"), "checkpoint"
        groups.setdefault((name, role), []).append(kept)
    found = []
    for (name, role), own in groups.items():
        reference = ArtifactRef(
            id=f"{run.id}/{name}",
            name=name.replace("/", "-"),
            type="model" if role == "checkpoint" else "dataset" if role else FOLDER,
            version=None,
            digest="",
            size=sum(kept.size for kept in own),
            role=role or artifact_role(name, run.id),
            run_id=run.id,
            is_offline=True,
        )
        inner = f"{name}/"
        found.append((reference, [_within(kept, inner, role) for kept in own]))
    return found


def _as_saved(files: Sequence[Kept]) -> Iterator[Kept]:
    """Model and tokenizer in one folder, as transformers saves them: `mlflow.transformers` gives
    each a folder of its own."""
    models = [kept.path.removesuffix("MLmodel") for kept in files if kept.path.endswith("/MLmodel")]
    for kept in files:
        for folder in models:
            found = re.fullmatch(
                "(model|components/tokenizer)/(.+)", kept.path.removeprefix(folder)
            )
            if kept.path.startswith(folder) and found:
                logged = kept.logged or kept.path
                kept = replace(kept, path=f"{folder}{found[2]}", logged=logged)
        yield kept


def _within(kept: Kept, folder: str, role: Role | None) -> Kept:
    """A file by its path in the artifact."""
    path = kept.path.removeprefix(folder)
    if role not in {None, "checkpoint"} or kept.path + "/" == folder:
        path = kept.path.rsplit("/", 1)[-1]
    return replace(kept, path=path, logged=kept.logged or kept.path)


def role_of_path(path: str) -> Role | None:
    """What a logged file is by its name: `test_predictions.csv`, whatever its folder."""
    name = path.rsplit("/", 1)[-1]
    return FILE_STEMS.get(stem(name)) if has_table_ending(name) else None


def files_below(root: Path, within: str = "") -> list[Kept]:
    """Every regular file below a folder that is called `within`; links are not followed, since they
    may lead elsewhere."""
    found = []
    for folder, _, names in () if root.is_symlink() else os.walk(root):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink() and path.is_file():
                name = Path(within, path.relative_to(root)).as_posix()
                found.append(Kept(name, path.stat().st_size, local=path))
    return sorted(found, key=lambda kept: kept.path)


def shown_place(path: Path) -> str:
    """A directory as messages name it; `.` alone would be lost at the end of a sentence."""
    return "this directory" if path == Path() else str(path)


def unknown_project(noun: str, name: str, place: str, known: Iterable[str]) -> NotFoundError:
    """Make the error that a tracker has no such project, with those that it has."""
    return NotFoundError(
        f"there is no {noun} {shown(name)} in {place}",
        f"{plural_of(noun).capitalize()}: {listed(map(shown, sorted(known)), 8)}",
    )


def database_rows(path: Path, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
    """Rows of a query of an SQLite file, which is never written, one at a time.

    Raises SourceError where the file is no such database.
    """
    if not path.is_file():
        raise SourceError(f"there is no database {path}", f"Check {argument('source')}")
    log = path.with_name(f"{path.name}-wal")
    # What is in no use is opened so that SQLite puts no files of its own beside it.
    still = "" if log.is_file() and log.stat().st_size else "&immutable=1"
    address = f"file:{quote(str(path.resolve()))}?mode=ro{still}"
    try:
        with closing(sqlite3.connect(address, uri=True)) as connection:
            yield from connection.execute(query, values)
    except sqlite3.DatabaseError as error:
        remedy = "Check that it is the tracker's database, and of a version that is known here"
        raise SourceError(f"{path} cannot be read: {error}", remedy) from error
