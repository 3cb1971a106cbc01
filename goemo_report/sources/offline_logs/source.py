"""Runs from offline run logs on disk, read in place: no account, no sync, nothing written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

from goemo_report.errors import NotFoundError, SourceError, argument
from goemo_report.formats.files import user_path
from goemo_report.settings import SourceChoice
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.local_tracker import Count, Kept, TrackedSource
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    LocalFile,
    RunRecord,
    SkippedFile,
    SkippedRun,
)
from goemo_report.sources.offline_logs.folders import (
    LINK,
    LOG_PATTERN,
    Folders,
    StagedFiles,
    fetch_elsewhere,
    log_run_id,
    on_disk,
    scan,
)
from goemo_report.sources.offline_logs.offline_run import BEFORE_ALL, OfflineRun, began, by_run
from goemo_report.sources.offline_logs.results import ResultsRun, stands_alone
from goemo_report.sources.offline_logs.run_log import RunLog, peek, read_run_log
from goemo_report.sources.references import ambiguous, choose, parse_reference

_MOST_LINKS: Final = 8
_Run: TypeAlias = OfflineRun | ResultsRun


class LogSource(TrackedSource):
    """A RunSource of the run logs below a directory, or of one log.

    `project` limits it to the runs of one project. Every log is read once, when it is first
    needed; an object shows the runs as they were then. With `results` directories of results that
    are all there is of a run are runs too; `name` stands for that of one.
    """

    def __init__(
        self, root: Path, *, project: str | None = None, results: bool = False, name: str = ""
    ) -> None:
        super().__init__()
        self._with_results, self._name = results, name
        self._given = root
        self.root = user_path(root, real=True)
        self.project = project
        self._joined: dict[str, tuple[list[_Run], list[SkippedRun]]] = {}  # by run id
        self._damage: dict[Path, SourceError] = {}

    @property
    def description(self) -> str:
        """The directory, as it was given."""
        where = "this directory" if str(self._given) in {"", "."} else self._given
        return f"offline runs below {where}"

    def newest_first(self, query: RunQuery) -> Iterator[RunRecord | SkippedRun]:  # noqa: ARG002 # conditions are on what is read
        """Runs from the newest on; of those that share an id, in several projects, the newest.

        Raises SourceError where the directory does not exist.
        """
        for folder, reason in self._below.unreadable.items():
            yield SkippedRun(str(folder), f"the folder cannot be read: {reason}")
        for run_id in self._logs:
            runs, skipped = self._join(run_id)
            yield from skipped
            for wrong in (run.error for run in runs if isinstance(run, ResultsRun)):
                if wrong is not None:
                    yield SkippedRun(runs[-1].record.name, str(wrong))
                    runs = []
            records = [r.record for r in runs if self.project in {None, r.record.project}]
            for older in records[:-1]:
                reason = f"its id {run_id} is also that of a newer run in {records[-1].project!r}"
                yield SkippedRun(older.name, f"{reason}. Choose with {argument('project')}")
            yield from records[-1:]

    def find_run(self, reference: str) -> RunRecord:
        """The one run that an id, a name, a path, an address or a directory names.

        Raises NotFoundError for none and for several, SourceError where the run's log is damaged.
        """
        here = on_disk(reference)
        every = (run for run_id in self._logs for run in self._join(run_id)[0])
        runs = sorted(every, key=lambda run: run.record.by_creation)
        if here is not None and here.path is not None:
            return self._at(user_path(here.path, real=True), reference, runs)
        named = parse_reference(reference if here is None else here.run)
        for log, error in self._damage.items():
            if named.name in {log_run_id(log), log.parent.name}:
                raise error
        records = [run.record for run in runs if named.text.strip("/") in run.places]
        if len(records) != 1:
            one = self.project if named.project is None else None
            records = [run.record for run in runs if one in {None, run.record.project}]
            return choose(named, records, self.description)
        return records[0]

    def _at(self, path: Path, text: str, runs: Iterable[_Run]) -> RunRecord:
        """The one run whose log lies at or below a path."""
        for log, error in self._damage.items():
            if log.is_relative_to(path):
                raise error
        found = [r.record for r in runs if any(one.is_relative_to(path) for one in r.paths)]
        if len(found) > 1:
            raise ambiguous(text, found, "that directory")
        if not found:
            raise NotFoundError(f"there is no run log below {text}", "Give a run directory")
        return found[0]

    def history_of(self, run: RunRecord) -> History:
        """Complete, unsampled history of one run."""
        return self._known(run).history

    def logs_of(self, run: RunRecord) -> tuple[Path, ...]:
        """The logs of one run, oldest first."""
        return tuple(self._known(run).paths)

    def logged_files(self, run: RunRecord) -> Iterable[tuple[ArtifactRef, Sequence[Kept]]]:
        """What one run logged; the newest of each name comes last.

        Versions are None: W&B gives them out when a run is uploaded.
        """
        return self._known(run).references

    def files_of(self, artifact: ArtifactRef) -> tuple[ArtifactFile, ...]:
        """The files of one artifact, in order of path, with the digests that were logged; what
        another artifact holds has the size that it has there."""
        if any(kept.local is not None for kept in self.held(artifact).values()):
            return super().files_of(artifact)
        return tuple(self._known_file(kept) for _, kept in sorted(self.held(artifact).items()))

    def local_copy(self, artifact: ArtifactRef, kept: Kept, count: Count = bool) -> LocalFile:
        """The staged copy, once its bytes have the logged digest. Nothing is copied."""
        if kept.local is not None:
            return super().local_copy(artifact, kept, count)
        if artifact.kind == "run-files" and not kept.logged:
            return SkippedFile(kept.path, f"files/{kept.path} is not in the run's directory")
        held = self._followed(kept)
        if held.reference:
            return fetch_elsewhere(held)
        return self._staged.find(replace(held, path=kept.path), count)

    # --- Reading ----------------------------------------------------------------------

    @cached_property
    def _below(self) -> Folders:
        if not self.root.exists():
            raise SourceError(
                f"there is no directory {self._given}", f"Check {argument('wandb_dir')}"
            )
        if self.root.is_file() and not self.root.match(LOG_PATTERN):
            raise SourceError(f"{self._given} is no run log", "Give a directory, or a run-*.wandb")
        return scan(self.root)

    @cached_property
    def _staged(self) -> StagedFiles:
        return StagedFiles(self._below.staging)

    @cached_property
    def _logs(self) -> dict[str, list[Path]]:
        """The logs of each run by its id, the newest run first, as their beginnings tell."""
        begun: dict[str, list[RunLog]] = defaultdict(list)
        for log in map(peek, self._below.logs):
            begun[log.id].append(log)

        def newest(run_id: str) -> datetime:
            runs = by_run(begun[run_id])
            if self.project is not None:
                runs = [logs for logs in runs if self.project in {log.run.project for log in logs}]
            return max((began(logs[0]) for logs in runs), default=BEFORE_ALL)

        found = {run_id: (newest(run_id), [log.path for log in begun[run_id]]) for run_id in begun}
        for run_id, runs in self._results.items():
            found.setdefault(run_id, (max(run.record.by_creation for run in runs)[0], []))
        return {
            one: found[one][1] for one in sorted(found, key=lambda i: found[i][0], reverse=True)
        }

    @cached_property
    def _results(self) -> dict[str, list[ResultsRun]]:
        """The directories that are all there is of a run, by its id."""
        found: dict[str, list[ResultsRun]] = defaultdict(list)
        for path in self._below.results if self._with_results else ():
            if stands_alone(path):
                run = ResultsRun(path, self._name)
                found[run.record.id].append(run)
        return found

    def _join(self, run_id: str) -> tuple[list[_Run], list[SkippedRun]]:
        """The runs with an id, one of each project, the newest last; none if a log is damaged."""
        if run_id not in self._joined:
            logs, runs, wrong, name = [], list[_Run](), dict[Path, SourceError](), run_id
            if not self._logs[run_id]:  # of a run with a log that says more
                runs += self._results[run_id]
            for path in self._logs[run_id]:
                try:
                    label = path.name if path == self.root else str(path.relative_to(self.root))
                    logs.append(read_run_log(path, label))
                except SourceError as error:
                    wrong[path] = error
            for own in by_run(logs):
                run = OfflineRun(own, self.root, self._staged)
                try:
                    name = run.record.name
                    runs.append(run)
                except SourceError as error:
                    wrong[own[-1].path] = error
            runs.sort(key=lambda run: run.record.by_creation)
            self._damage |= wrong
            why = "; ".join(map(str, wrong.values()))
            self._joined[run_id] = ([], [SkippedRun(name, why)]) if wrong else (runs, [])
        return self._joined[run_id]

    def _known(self, run: RunRecord) -> _Run:
        known = self._join(run.id)[0] if run.id in self._logs else []
        for one in known:
            if one.record.project == run.project:
                return one
        raise NotFoundError(f"no run {run.id} in {self.description}", "Give its id")

    # --- Files ------------------------------------------------------------------------

    def _known_file(self, kept: Kept) -> Kept:
        """A file of a manifest; what another artifact holds has the size that it has there."""
        if not kept.reference:
            return kept
        held = self._followed(kept)
        return replace(held, path=kept.path, reference=held.reference or kept.reference)

    def _followed(self, kept: Kept) -> Kept:
        """The entry that holds the bytes, where an artifact of the same logs does."""
        for _ in range(_MOST_LINKS):
            place = kept.reference.split("/", 3)
            if kept.scheme != LINK or len(place) < 4:
                break
            runs = (run for run_id in self._logs for run in self._join(run_id)[0])
            found = (run.held.get((place[2], place[3])) for run in runs)
            held = next(filter(None, found), None)
            if held is None:
                break
            kept = held
        return kept


def open_source(choice: SourceChoice) -> LogSource:
    """The source of the run logs below a directory."""
    return LogSource(Path(choice.where), project=choice.project, results=True)
