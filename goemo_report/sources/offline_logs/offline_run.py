"""One offline run: the logs with its id, joined."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from goemo_report.contract import artifact_role
from goemo_report.errors import reading
from goemo_report.sources.local_tracker import Kept
from goemo_report.sources.model import ArtifactRef, History, RunRecord, metadata
from goemo_report.sources.newest import run_file_reference
from goemo_report.sources.offline_logs.folders import (
    StagedFiles,
    prediction_files,
    run_file,
)
from goemo_report.sources.offline_logs.results import TrainerRecord, record_beside, results_beside
from goemo_report.sources.offline_logs.run_log import (
    RunLog,
    Updates,
    entries_of,
    history_rows,
    mapping,
    update,
)
from goemo_report.sources.store import md5_of

_DIRECTORY_TIME: Final = re.compile(r"(?:superseded-)?(?:offline-)?run-(\d{8}_\d{6})-")
_CONFIG_OF_THE_CLIENT: Final = ("_wandb", "wandb_version")
BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)
_TYPES_OF_THE_CLIENT: Final = "wandb-"  # artifacts that nobody logged, such as wandb-history


@dataclass(frozen=True, eq=False)
class OfflineRun:
    """The logs of one run, oldest first: more than one where it was resumed.

    Config and summary are joined key by key and the history step by step, the later value
    winning; of name, tags and the like the last that is not empty holds. The state is the
    last log's. Where no log got to a name, the trainer's own record stands in.
    """

    logs: Sequence[RunLog]
    root: Path
    """Directories are named relative to it."""
    staged: StagedFiles

    @property
    def directories(self) -> list[Path]:
        """The run directories, oldest first."""
        return [log.directory for log in self.logs]

    @property
    def paths(self) -> list[Path]:
        """The logs' files."""
        return [log.path for log in self.logs]

    @property
    def places(self) -> set[str]:
        """The run directories by name and by path below the root."""
        return {
            name for path in self.directories for name in (path.name, _relative(path, self.root))
        }

    def _last(self, name: str) -> Any:
        return next((v for log in reversed(self.logs) if (v := getattr(log.run, name))), None)

    def _mapping(self, name: str) -> dict[str, Any]:
        joined: Updates = {}
        for log in self.logs:
            update(joined, getattr(log, name).items())
        return mapping(joined, f"{name} in {self.logs[-1].label}")

    @cached_property
    def record(self) -> RunRecord:
        """The run as every source shows it. Raises SourceError where it cannot be read."""
        with reading(self.logs[-1].label):
            return self._record()

    def _record(self) -> RunRecord:
        last = self.logs[-1]
        noted = None if self._last("display_name") else record_beside(last.directory, last.id)
        noted = noted or TrainerRecord(last.id)
        config = _without_empty(self._mapping("config") or noted.config or {})
        for key in _CONFIG_OF_THE_CLIENT:
            config.pop(key, None)
        name = self._last("display_name") or noted.name or last.id
        return RunRecord(
            id=last.id,
            name=name,
            entity=self._last("entity") or noted.entity,
            project=self._last("project") or noted.project,
            url=None,
            state=_state(last),
            tags=tuple(dict.fromkeys(self._last("tags") or noted.tags)),
            created_at=_started(self.logs[0]),
            config=config,
            summary=self._mapping("summary"),
            origin=", ".join(_relative(directory, self.root) for directory in self.directories),
            job_type=self._last("job_type"),
            group=self._last("run_group"),
            notes=self._last("notes") or "",
            sweep=self._last("sweep_id"),
            step_count=len(last.history) if len(self.logs) == 1 else len(self.history),
            results=results_beside(last.directory, last.id, name),
        )

    @cached_property
    def history(self) -> History:
        """Every step once, in order of step. Raises SourceError where it cannot be read."""
        steps: dict[int, dict[str, Any]] = {}
        with reading(f"the history in {self.logs[-1].label}"):
            for log in self.logs:
                for row in history_rows(log):
                    steps.setdefault(row["_step"], {}).update(row)
        return tuple(steps[step] for step in sorted(steps))

    def _logged(self) -> list[tuple[Any, list[str]]]:
        """Records of artifacts in the order logged, one of a name and digest, with their aliases,
        each of which has one holder."""
        kept: dict[tuple[str, str], Any] = {}
        holders: dict[tuple[str, str], tuple[str, str]] = {}  # by artifact name and alias
        for artifact in self._artifacts():
            if artifact.type.startswith(_TYPES_OF_THE_CLIENT):
                continue
            key = artifact.name, artifact.digest
            kept.pop(key, None)  # what is logged again moves to the end
            kept[key] = artifact
            holders.update(((artifact.name, alias), key) for alias in artifact.aliases)
        aliases: dict[tuple[str, str], list[str]] = defaultdict(list)
        for (_, alias), key in sorted(holders.items()):
            aliases[key].append(alias)
        return [(artifact, aliases[key]) for key, artifact in kept.items()]

    def _artifacts(self) -> Iterator[Any]:
        return (artifact for log in self.logs for artifact in log.artifacts)

    @cached_property
    def references(self) -> list[tuple[ArtifactRef, Sequence[Kept]]]:
        """What the run logged, the newest of each name last, then predictions as run files.

        Offline artifacts have no version: W&B gives one out when the run is uploaded. Raises
        SourceError where they cannot be read.
        """
        with reading(f"what {self.logs[-1].label} says of artifacts"):
            return self._references()

    def _references(self) -> list[tuple[ArtifactRef, Sequence[Kept]]]:
        run = self.record
        found: list[tuple[ArtifactRef, Sequence[Kept]]] = []
        for artifact, aliases in self._logged():
            entries = self._entries(artifact)
            reference = ArtifactRef(
                id=f"{run.path}/{artifact.name}@{artifact.digest}",
                name=artifact.name,
                type=artifact.type,
                version=None,
                digest=artifact.digest,
                size=sum(entry.size for entry in entries),
                role=artifact_role(artifact.name, run.id) or artifact_role(artifact.name),
                run_id=run.id,
                metadata=metadata(artifact.metadata),
                aliases=tuple(aliases),
                description=artifact.description,
                is_offline=True,
            )
            found.append((reference, entries))
        recorded = (path for log in self.logs for path in log.files)
        return found + [self._run_file(p) for p in prediction_files(self.directories, recorded)]

    def _entries(self, artifact: Any) -> Sequence[Kept]:
        if file := artifact.manifest.manifest_file_path:  # too large for the log
            return _large_manifest(self.staged.manifest_file(file))
        return tuple(entries_of(artifact))

    @cached_property
    def held(self) -> dict[tuple[str, str], Kept]:
        """Every file of the run's artifacts, by the id that the client gave one, and path."""
        every = ((one.client_id, self._entries(one)) for one in self._artifacts())
        return {(holder, entry.path): entry for holder, entries in every for entry in entries}

    def _run_file(self, path: str) -> tuple[ArtifactRef, Sequence[Kept]]:
        """A prediction file that the run kept as it is; digest and size are today's."""
        run, local = self.record, run_file(self.directories, path)
        entry = Kept(
            path,
            local.stat().st_size if local else 0,
            md5_of(local) if local else "",
            logged=str(local or ""),
        )
        place = f"{run.path}/files/{path}"
        about = (run.id, path, place, entry.digest, entry.size)
        return run_file_reference(*about, is_offline=True), (entry,)


def _state(log: RunLog) -> str:
    if log.exit_code is None:
        return "unfinished"
    failed = "preempted" if log.is_preempting else "failed"  # as the server has it
    return "finished" if log.exit_code == 0 else failed


def _started(log: RunLog) -> datetime | None:
    """The start that the log tells, else the one in its directory's name (local time)."""
    if log.started is None and (match := _DIRECTORY_TIME.match(log.directory.name)):
        try:
            return datetime.strptime(match[1], "%Y%m%d_%H%M%S").astimezone(UTC)
        except (ValueError, OverflowError):
            return None
    return log.started


def began(log: RunLog) -> datetime:
    """When a log began, before all others if nobody knows."""
    return _started(log) or BEFORE_ALL


def _without_empty(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config without empty mappings, which the client does not send either."""
    kept = ((k, _without_empty(v) if isinstance(v, dict) else v) for k, v in config.items())
    return {key: value for key, value in kept if value != {}}


def _relative(directory: Path, root: Path) -> str:
    """A directory as reports name it, without the machine's own path."""
    if directory != root and directory.is_relative_to(root):
        return directory.relative_to(root).as_posix()
    return directory.name


def _large_manifest(path: Path | None) -> tuple[Kept, ...]:
    """Entries of a manifest that the client wrote as compressed lines of JSON. Without the file
    there are none. Raises SourceError for one that cannot be read."""
    if path is None:
        return ()
    with reading(f"the artifact manifest {path.name}", "Copy it again"):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        return tuple(
            Kept.of(str(line["path"]), line, logged=str(line.get("local_path") or ""))
            for line in lines
        )


def by_run(logs: Iterable[RunLog]) -> list[list[RunLog]]:
    """Logs by project and id, those of a run oldest first; one that was cut before it named its
    project goes by its id."""
    groups: dict[tuple[str, str], list[RunLog]] = {}
    unnamed: list[RunLog] = []
    for log in logs:
        if log.run.project or log.started:
            groups.setdefault((log.run.project, log.id), []).append(log)
        else:
            unnamed.append(log)
    for log in unnamed:
        same = [group for (_, run_id), group in groups.items() if run_id == log.id]
        if len(same) == 1:
            same[0].append(log)
        else:
            groups.setdefault(("", log.id), []).append(log)
    return [sorted(own, key=lambda log: (began(log), log.path)) for own in groups.values()]
