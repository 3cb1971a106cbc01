"""Runs from offline run logs on disk, read in place: no account, no sync, nothing written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from goemo_report.errors import NotFoundError, SourceError, argument
from goemo_report.formats.files import user_path
from goemo_report.settings import SourceChoice
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
    SkippedRun,
)
from goemo_report.sources.offline_logs.folders import (
    LINK,
    LOG_PATTERN,
    Folders,
    Reader,
    StagedFiles,
    fetch_elsewhere,
    log_run_id,
    on_disk,
    scan,
)
from goemo_report.sources.offline_logs.offline_run import OfflineRun, by_run
from goemo_report.sources.offline_logs.run_log import ManifestEntry, RunLog, peek, read_run_log
from goemo_report.sources.references import (
    RunReference,
    ambiguous,
    choose,
    parse_reference,
)
from goemo_report.sources.store import file_digest

_MOSTLINKS: Final = 8
_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)
_AFTER_ALL: Final = datetime.max.replace(tzinfo=UTC)


class LogSource(RunSource):
    """A RunSource of the run logs below a directory, or of one log.

    `project` limits it to the runs of one project. Every log is read once, when it is first
    needed; an object shows the runs as they were then.
    """

    def __init__(self, root: Path, *, project: str | None = None) -> None:
        self._given = root
        self.root = user_path(root, real=True)
        self.project = project
        self._scanned = False
        self._logs: dict[Path, RunLog | SourceError] = {}
        self._unreadable: dict[Path, str] = {}
        self._all: list[OfflineRun] = []  # in every project
        self._by_path: dict[tuple[str, str], OfflineRun] = {}
        self._runs: list[OfflineRun] = []  # those that are listed
        self._skipped: list[SkippedRun] = []
        self._staged = StagedFiles(())
        self._entries: dict[str, dict[str, ManifestEntry]] = {}  # by artifact id and path

    @property
    def description(self) -> str:
        """The directory, as it was given."""
        where = "this directory" if str(self._given) in {"", "."} else self._given
        return f"offline runs below {where}"

    def list_runs(self, query: RunQuery) -> Listing:
        """Runs that match, ordered by start, then id. Damaged ones are left out, and say so.

        Of a limited number of newest ones no older logs are read than it takes.
        Raises SourceError where the directory does not exist.
        """
        if query.newest is None:
            self._load()
        else:
            self._load_newest(query)
        return Listing(
            tuple(run.record for run in self._runs if query.matches(run.record)),
            tuple(self._skipped),
        )

    def find_run(self, reference: str) -> RunRecord:
        """The one run that an id, a name, a path, an address or a directory names.

        A directory may lie elsewhere too. Raises NotFoundError for none and for several,
        SourceError where the run's log is damaged.
        """
        here = on_disk(reference)
        if here is not None and here.path is not None:
            return self._at(here.path, reference)
        named = parse_reference(reference if here is None else here.run)
        self._load()
        by_directory = [run for run in self._all if named.text.strip("/") in run.places]
        if len(by_directory) == 1:
            return by_directory[0].record
        records = [run.record for run in self._all]
        if named.project is None and self.project is not None:
            records = [run for run in records if run.project == self.project]
        try:
            return choose(named, records, self.description)
        except NotFoundError:
            self._raise_damage(named)
            raise

    def history_of(self, run: RunRecord) -> History:
        """Complete, unsampled history of one run."""
        return self._known(run).history

    def logs_of(self, run: RunRecord) -> tuple[Path, ...]:
        """The logs of one run, oldest first."""
        return tuple(log.path for log in self._known(run).logs)

    def artifacts_of(self, run: RunRecord) -> tuple[ArtifactRef, ...]:
        """What one run logged; the newest of each name comes last.

        Versions are None: W&B gives them out when a run is uploaded.
        """
        references = self._known(run).references
        for reference, entries in references:
            self._entries[reference.id] = {entry.path: entry for entry in entries}
        return tuple(reference for reference, _ in references)

    def files_of(self, artifact: ArtifactRef) -> tuple[ArtifactFile, ...]:
        """The files of one artifact, in order of path."""
        entries = sorted(self._entries_of(artifact).items())
        return tuple(self._known_file(entry) for _, entry in entries)

    def fetch(
        self, wanted: Sequence[tuple[ArtifactRef, ArtifactFile]], progress: Progress = silent
    ) -> list[LocalFile]:
        """The staged copy of each file, in order, once its bytes have the logged digest.

        Nothing is copied. A file that is gone or differs is a SkippedFile with the reason.
        """
        total = sum(file.size for _, file in wanted)
        before = 0  # bytes of the files that are done
        found: list[LocalFile] = []
        for artifact, file in wanted:
            count = partial(_report, progress, file, before, total)
            read = partial(file_digest, count=count)
            found.append(self._fetch_one(artifact, file, read))
            before += file.size
        return found

    # --- Reading ----------------------------------------------------------------------

    def _load_newest(self, query: RunQuery) -> None:
        """Read logs, those of the newest runs first, until the query is settled."""
        if self._scanned:
            return
        found = self._folders()
        self._read(replace(found, logs=[]))
        logs: dict[str, list[Path]] = defaultdict(list)
        starts: dict[str, datetime] = {}
        for path in found.logs:
            run_id, start = peek(path)
            logs[run_id].append(path)
            starts[run_id] = max(start or _AFTER_ALL, starts.get(run_id, _BEFORE_ALL))
        waiting = sorted(starts, key=starts.__getitem__)
        while waiting:
            matching = [run.record for run in self._runs if query.matches(run.record)]
            if query.is_settled(matching, starts[waiting[-1]]):
                return
            more = [waiting.pop() for _ in range(min(len(waiting), query.newest or 1))]
            self._read(replace(found, logs=[path for run_id in more for path in logs[run_id]]))
        self._scanned = True

    def _load(self) -> None:
        if not self._scanned:
            self._read(self._folders())
            self._scanned = True

    def _folders(self) -> Folders:
        if not self.root.exists():
            raise SourceError(
                f"there is no directory {self._given}", f"Check {argument('wandb_dir')}"
            )
        if self.root.is_file() and not self.root.match(LOG_PATTERN):
            raise SourceError(f"{self._given} is no run log", "Give a directory, or a run-*.wandb")
        return scan(self.root)

    def _read(self, folders: Folders) -> None:
        """Read the logs that are not known yet, and join all by run."""
        for path in folders.logs:
            if path not in self._logs:
                label = str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)
                try:
                    self._logs[path] = read_run_log(path, label)
                except SourceError as error:
                    self._logs[path] = error
        self._staged.add(folders.staging)
        self._unreadable |= folders.unreadable
        self._join()

    def _join(self) -> None:
        damage: dict[str, list[SourceError]] = defaultdict(list)
        for path, log in self._logs.items():
            if isinstance(log, SourceError):
                damage[log_run_id(path)].append(log)
        runs: list[OfflineRun] = []
        names: dict[str, str] = {}
        for logs in by_run(log for log in self._logs.values() if isinstance(log, RunLog)):
            run = OfflineRun.of(logs, self.root, self._staged)
            try:
                record = run.record
            except SourceError as error:
                damage[logs[0].id].append(error)
                continue
            names.setdefault(record.id, record.name)
            if record.id not in damage:
                runs.append(run)
        self._skipped = [
            SkippedRun(names.get(run_id, run_id), "; ".join(map(str, errors)))
            for run_id, errors in damage.items()
        ]
        self._skipped += [
            SkippedRun(str(folder), f"the folder cannot be read: {reason}")
            for folder, reason in self._unreadable.items()
        ]
        runs.sort(key=lambda run: (run.record.created_at or _BEFORE_ALL, run.record.id))
        self._all = runs
        self._by_path = {(run.record.project, run.record.id): run for run in reversed(runs)}
        self._runs = self._one_of_an_id(
            [run for run in runs if self.project in {None, run.record.project}]
        )

    def _one_of_an_id(self, runs: list[OfflineRun]) -> list[OfflineRun]:
        """Runs whose ids differ: of those that share one, in several projects, the newest."""
        newest = {run.record.id: run for run in runs}
        for run in runs:
            kept = newest[run.record.id].record
            if kept is not run.record:
                reason = f"its id {kept.id} is also that of a newer run in {kept.project!r}"
                self._skipped.append(
                    SkippedRun(run.record.name, f"{reason}. Choose with {argument('project')}")
                )
        return list(newest.values())

    # --- Finding ----------------------------------------------------------------------

    def _at(self, path: Path, text: str) -> RunRecord:
        """The one run whose log lies at or below a path, which need not be below the root."""
        path = user_path(path, real=True)
        if path == self.root or path.is_relative_to(self.root):
            self._load()
        if not any(log == path or log.is_relative_to(path) for log in self._logs):
            self._read(scan(path))
        fitting = [
            run.record
            for run in self._all
            if any(log.path == path or log.path.is_relative_to(path) for log in run.logs)
        ]
        if not fitting:
            for log_path, log in self._logs.items():
                if isinstance(log, SourceError) and log_path.is_relative_to(path):
                    raise log
            raise NotFoundError(f"there is no run log below {text}", "Give a run directory")
        if len(fitting) == 1:
            return fitting[0]
        raise ambiguous(text, fitting, "that directory")

    def _raise_damage(self, named: RunReference) -> None:
        for path, log in self._logs.items():
            if isinstance(log, SourceError) and named.run in {log_run_id(path), path.parent.name}:
                raise log

    def _known(self, run: RunRecord) -> OfflineRun:
        if (run.project, run.id) not in self._by_path:
            self._load()
        known = self._by_path.get((run.project, run.id))
        if known is None:
            raise NotFoundError(f"no run {run.id} in {self.description}", "Give its id")
        return known

    def _entries_of(self, artifact: ArtifactRef) -> Mapping[str, ManifestEntry]:
        if artifact.id not in self._entries:
            self._load()
            self.artifacts([run.record for run in self._all if run.record.id == artifact.run_id])
        if artifact.id not in self._entries:
            raise NotFoundError(
                f"no artifact {artifact.qualified_name} in {self.description}",
                "`goemo-report show RUN` lists the artifacts of a run",
            )
        return self._entries[artifact.id]

    def _fetch_one(self, artifact: ArtifactRef, file: ArtifactFile, read: Reader) -> LocalFile:
        entry = self._entries_of(artifact).get(file.path)
        if entry is None:
            return SkippedFile(file.path, f"it is not in the manifest of {artifact.name}")
        if artifact.kind == "run-files" and not entry.local_path:
            return SkippedFile(file.path, f"files/{file.path} is not in the run's directory")
        held = self._followed(entry)
        if held.reference:
            return fetch_elsewhere(held)
        return self._staged.find(file.path, held.size, held.digest, held.local_path, read)

    def _known_file(self, entry: ManifestEntry) -> ArtifactFile:
        """A file of a manifest; what another artifact holds has the size that it has there."""
        if not entry.reference:
            return entry
        held = self._followed(entry)
        return replace(held, path=entry.path, reference=held.reference or entry.reference)

    def _followed(self, entry: ManifestEntry) -> ManifestEntry:
        """The entry that holds the bytes, where an artifact of the same logs does."""
        for _ in range(_MOSTLINKS):
            place = entry.reference.split("/", 3)
            if entry.scheme != LINK or len(place) < 4:
                break
            found = (run.held.get((place[2], place[3])) for run in self._all)
            held = next(filter(None, found), None)
            if held is None:
                break
            entry = held
        return entry


def _report(progress: Progress, file: ArtifactFile, before: int, total: int, read: int) -> None:
    progress(f"checking {file.path}", min(before + read, total), total)


def open_source(choice: SourceChoice) -> LogSource:
    """The source of the run logs below a directory."""
    return LogSource(Path(choice.where), project=choice.project)
