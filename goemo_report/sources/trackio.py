"""Runs of trackio: its SQLite databases, or the Parquet files that it writes of them. Read only.

trackio itself is not needed. A project is `NAME.db` in its directory, or `NAME.parquet` with
`NAME_configs.parquet` and so on, as in a data set on the hub; Parquet needs `goemo[tables]`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from goemo_report.contract import artifact_role
from goemo_report.errors import SourceError, reading, require_extra
from goemo_report.formats.files import user_path, write_whole
from goemo_report.settings import SourceChoice
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.local_tracker import (
    Count,
    Kept,
    TrackedSource,
    database_rows,
    from_newest,
    read_each,
    role_of_path,
    shown_place,
    unknown_project,
)
from goemo_report.sources.model import (
    ArtifactRef,
    History,
    LocalFile,
    RunRecord,
    SkippedFile,
    SkippedRun,
    metadata,
    moment,
)
from goemo_report.sources.newest import RUN_TABLE, split_role
from goemo_report.sources.store import private_cache

_SIDECARS: Final = (
    "_configs", "_system", "_traces", "_artifacts", "_artifact_versions", "_artifact_aliases",
    "_run_artifact_links", "_external_run_artifact_links",
)  # fmt: skip
_OWN: Final = frozenset({"id", "run_id", "timestamp", "run_name", "step", "log_id", "space_id",
                         "created_at"})  # fmt: skip
"""Columns of trackio's tables; the others of a Parquet file are what was logged."""
_Row = Mapping[str, Any]
_TABLE: Final = "trackio.table"


def open_source(choice: SourceChoice) -> TrackioSource:
    """The source of `trackio:PLACE`, a directory or a project's file; without a place TRACKIO_DIR,
    or where trackio keeps its projects."""
    home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    place = choice.where or os.environ.get("TRACKIO_DIR") or f"{home}/trackio"
    return TrackioSource(user_path(place), choice.project)


class TrackioSource(TrackedSource):
    """Runs of all projects in a directory, or of one."""

    def __init__(self, path: Path, project: str | None = None) -> None:
        super().__init__()
        self._folder = path if path.is_dir() else path.parent
        named = None if path.is_dir() else path
        found = [named] if named else [*path.glob("*.db"), *path.glob("*.parquet")]
        files = {one.stem: one for one in reversed(found) if one.is_file()}  # the database first
        beside = {f"{name}{end}" for name in files for end in _SIDECARS}
        files = {n: one for n, one in files.items() if n not in beside and _may_be_project(one)}
        if not files:
            raise SourceError(
                f"there are no trackio projects in {shown_place(path)}",
                "Give trackio's directory, or the .db or .parquet of a project",
            )
        wanted = {project, _as_file(project or "")}
        self._projects = {
            name: file for name, file in sorted(files.items()) if not project or name in wanted
        }
        if not self._projects:
            raise unknown_project("project", str(project), f"trackio in {shown_place(path)}", files)
        self._path, self._project = path, project
        self.table = cache(self._table)
        self.logged = cache(self._logged)

    @property
    def description(self) -> str:
        """The directory."""
        within = f", project {self._project}" if self._project else ""
        return f"trackio in {shown_place(self._path)}{within}"

    def _table(self, project: str, table: str) -> list[dict[str, Any]]:
        """The rows of a table of a project; none where it has no such table."""
        file = self._projects[project]
        if file.suffix == ".db":
            names = [row[1] for row in database_rows(file, f"pragma table_info({table})")]
            query = f"select * from {table} order by rowid"  # noqa: S608 # names are here
            rows = database_rows(file, query) if names else ()
            return [dict(zip(names, row, strict=True)) for row in rows]
        own = file if table == "metrics" else file.with_name(f"{file.stem}_{table}.parquet")
        if not own.is_file():
            return []
        with reading(str(own)):
            found: list[dict[str, Any]] = _parquet().read_table(own).to_pylist()
            return found

    def _logged(self, project: str) -> dict[str, list[_Row]]:
        """The rows of metrics of each run, by its id, in the order logged."""
        found: dict[str, list[_Row]] = defaultdict(list)
        for row in self.table(project, "metrics"):
            found[_run_id(row)].append(row)
        return found

    def newest_first(self, query: RunQuery) -> Iterator[RunRecord | SkippedRun]:  # noqa: ARG002 # all are read
        """Runs of the projects from the newest on."""
        made = []
        for project in self._projects:
            configs = {_run_id(row): row for row in self.table(project, "configs")}
            logged = self.logged(project)
            for run_id in dict.fromkeys((*configs, *logged)):
                config, rows = configs.get(run_id, {}), logged.get(run_id, [])
                names = (row["run_name"] for row in (config, *rows) if row.get("run_name"))
                about = project, run_id, str(next(names, run_id))
                made.append((about[-1], partial(_record, *about, config, rows)))
        yield from from_newest(read_each(made))

    def history_of(self, run: RunRecord) -> History:
        """Every step with all that was logged at it."""
        steps: dict[int, dict[str, Any]] = defaultdict(dict)
        with reading(f"the history of run {run.name}"):
            for row in self.logged(run.project).get(run.id, []):
                steps[int(row["step"])].update(_values(row, "metrics"))
        return tuple({"_step": step, **steps[step]} for step in sorted(steps))

    def logged_files(self, run: RunRecord) -> Iterable[tuple[ArtifactRef, Sequence[Kept]]]:
        """The artifacts that the run logged."""
        links = self.table(run.project, "run_artifact_links")
        versions = {row["id"]: row for row in self.table(run.project, "artifact_versions")}
        artifacts = {row["id"]: row for row in self.table(run.project, "artifacts")}
        aliases = self.table(run.project, "artifact_aliases")
        yield from self._tables(run)
        with reading(f"the artifacts of run {run.name}"):
            own = [
                row["artifact_version_id"]
                for row in links
                if _run_id(row) == run.id and row["direction"] == "output"
            ]
            for number in sorted(set(own)):
                version = versions[number]
                about = artifacts[version["artifact_id"]]
                files = json.loads(version["manifest"])
                kept = [self._kept(run.project, one) for one in files]
                role = artifact_role(about["name"], run.id) or artifact_role(about["name"])
                if role is None and any(one.path.endswith("config.json") for one in kept):
                    role = "checkpoint"
                if role is None and len(kept) == 1:
                    role = role_of_path(kept[0].path)
                if role is None and "prediction" in about["name"]:
                    role = split_role(about["name"])
                yield (
                    ArtifactRef(
                        id=f"{run.project}/{number}",
                        name=str(about["name"]).replace("/", "-"),
                        type=str(about["type"]),
                        version=f"v{version['version']}",
                        digest=str(version["manifest_digest"]),
                        size=int(version["size_bytes"]),
                        role=role,
                        run_id=run.id,
                        metadata=metadata(version["metadata"]),
                        aliases=tuple(
                            str(row["alias"])
                            for row in aliases
                            if row["artifact_version_id"] == number
                        ),
                        description=str(about["description"] or ""),
                        is_offline=True,
                    ),
                    kept,
                )

    def _tables(self, run: RunRecord) -> Iterator[tuple[ArtifactRef, list[Kept]]]:
        """Predictions that the run logged as a `trackio.Table`, each as a file of its own."""
        tables: dict[str, list[Any]] = {}
        for row in self.logged(run.project).get(run.id, []):
            tables |= {key: value["_value"] for key, value in _raw(row).items() if _is_table(value)}
        for key, rows in tables.items():
            if "pred" not in key.lower():
                continue
            role = split_role(key) or "test-predictions"
            data = json.dumps(rows).encode()
            name = f"{key.replace('/', '-')}.json"
            local = private_cache().named_file_path("trackio", str(self._folder), run.path, key)
            write_whole(local, data)
            about = ArtifactRef(f"{run.path}/{key}", key.replace("/", "-"), RUN_TABLE, None, "",
                                len(data), role, run.id, is_offline=True)  # fmt: skip
            yield about, [Kept(name, len(data), local=local)]

    def _kept(self, project: str, entry: Mapping[str, Any]) -> Kept:
        """A file of a manifest; its bytes lie under their SHA-256, which is checked on reading."""
        digest = str(entry.get("digest") or "")
        local = None
        if len(digest) == 64 and digest.isalnum():
            blobs = self._folder / "artifacts" / project / "blobs" / "sha256"
            local = blobs / digest[:2] / digest
        return Kept(str(entry["path"]), int(entry.get("size") or 0), local=local, logged=digest)

    def local_copy(self, artifact: ArtifactRef, kept: Kept, count: Count = bool) -> LocalFile:
        """The file where trackio keeps it, if its bytes are those that were logged."""
        local = super().local_copy(artifact, kept, count)
        if isinstance(local, Path) and artifact.type != RUN_TABLE:
            with local.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != kept.logged:
                return SkippedFile(kept.path, "its bytes are not those logged", changed=True)
        return local


def _may_be_project(file: Path) -> bool:
    """Whether trackio may have written a file: other Parquet files do not hold steps of runs."""
    if file.suffix != ".parquet":
        return True
    with reading(str(file)):
        return {"run_name", "step", "timestamp"} <= set(_parquet().read_schema(file).names)


def _parquet() -> Any:
    require_extra("reading Parquet", "pyarrow", extra="trackio")
    import pyarrow.parquet

    return pyarrow.parquet


def _as_file(project: str) -> str:
    """The name of a project's file, as trackio makes it."""
    return "".join(one for one in project if one.isalnum() or one in "-_")


def _run_id(row: _Row) -> str:
    """The id of a row's run; its name in databases from before runs had ids."""
    return str(row.get("run_id") or row.get("run_name") or "")


def _record(
    project: str, run_id: str, name: str, config: _Row, logged: Sequence[_Row]
) -> RunRecord:
    settings = _values(config, "config")
    summary: dict[str, Any] = {}
    for row in sorted(logged, key=lambda row: int(row["step"])):
        summary |= {
            key: value for key, value in _values(row, "metrics").items() if value is not None
        }
    started = settings.get("_Created") or config.get("created_at")
    started = started or (logged[0]["timestamp"] if logged else None)
    tags = settings.get("tags")
    return RunRecord(
        id=run_id,
        name=name,
        entity=None,
        project=project,
        url=None,
        state="finished",  # trackio notes no other
        tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
        created_at=moment(started),
        config={key: value for key, value in settings.items() if not key.startswith("_")},
        summary=summary,
        origin=f"{project}/{run_id}",
        group=str(settings["_Group"]) if settings.get("_Group") else None,
        step_count=len(logged),
    )


def _is_table(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("_type") == _TABLE
        and isinstance(value.get("_value"), list)
    )


def _values(row: _Row, column: str) -> dict[str, Any]:
    """What a row logged, of a table how many rows it has."""
    return {
        key: {"_type": _TABLE, "rows": len(value["_value"])} if _is_table(value) else value
        for key, value in _raw(row, column).items()
    }


def _raw(row: _Row, column: str = "metrics") -> dict[str, Any]:
    """JSON in one column of a database, a column each in a Parquet file."""
    if column not in row:
        return {key: value for key, value in row.items() if key not in _OWN and value is not None}
    value = row[column]
    found = value if isinstance(value, dict) or not value else json.loads(value)
    return found if isinstance(found, dict) else {}
