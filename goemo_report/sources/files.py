"""Prediction files as runs: a file, or a directory of them, that no tracker knows."""

from __future__ import annotations

import csv
import json
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from goemo_report.contract import ARTIFACTS, FILE_STEMS, Role
from goemo_report.errors import (
    DataError,
    GoemoError,
    NotFoundError,
    SourceError,
    argument,
    reading,
)
from goemo_report.formats.files import chunks, named_path, user_path
from goemo_report.formats.sniff import has_table_ending, stem
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
)
from goemo_report.sources.newest import PREDICTIONS
from goemo_report.sources.offline_logs.folders import is_run_directory
from goemo_report.sources.offline_logs.results import stands_alone
from goemo_report.sources.store import md5_of, private_cache

_STEMS: Final = {name: role for name, role in FILE_STEMS.items() if role in PREDICTIONS}
_CONFIGS: Final = ("config.json", "config.yaml", "config.yml", "config.toml")
_HISTORIES: Final = ("history.jsonl", "history.csv")
_MOST_PIPED: Final = 2 << 30  # bytes; a device such as /dev/zero never ends


def claim(reference: str) -> tuple[RunSource | None, str] | None:
    """The prediction files that a RUN argument names: `FILE`, `DIR`, `NAME=FILE` or `NAME=DIR`.

    Raises NotFoundError for NAME= or a known ending where no such file is.
    """
    name, text = named_path(reference)
    path = user_path(text)
    try:
        if name and path.is_dir() and stands_alone(path):
            from goemo_report.sources.offline_logs.source import LogSource

            return LogSource(path, results=True, name=name), str(path.absolute())
        files = _files(path)
    except (OSError, ValueError):  # too long for a path, a null byte
        files = {}
    if not files:
        if "*" in text and "://" not in text:
            raise NotFoundError(f"no file matches {text}", "Check the pattern")
        if name or (has_table_ending(text) and "://" not in text):
            raise NotFoundError(
                f"there is no prediction file {text}",
                "Give a file, or a directory with test_predictions.* or val_predictions.*",
            )
        return None
    return FileSource(path, files, name), reference


def is_bare(reference: str) -> bool:
    """Whether a RUN argument is a word that could name a run as well as a file."""
    return not has_table_ending(reference) and "/" not in reference and "=" not in reference


def _files(path: Path) -> dict[Role, Path]:
    """The prediction file of each split. A single file counts as the split that its name says,
    test where it says none."""
    if path.is_dir():
        if is_run_directory(path):
            return {}  # its log says more
        found: dict[Role, Path] = {}
        for file in sorted(path.iterdir()):
            role = _STEMS.get(stem(file.name))
            if role is not None and has_table_ending(file.name) and file.is_file():
                found.setdefault(role, file)
        return found
    return {_STEMS.get(stem(path.name), "test-predictions"): path} if path.exists() else {}


def tables_in(directory: Path) -> list[Path]:
    """The files of a directory that may hold predictions, by their endings, in order."""
    return sorted(one for one in directory.iterdir() if has_table_ending(one.name))


def _name(path: Path) -> str:
    """Name the run after the file, or after its directory where the file's name says nothing."""
    if path.is_dir() or stem(path.name) in _STEMS:
        return (path if path.is_dir() else path.parent).resolve().name or path.name
    return path.name.split(".", 1)[0] or path.name


class FileSource(RunSource):
    """A RunSource of one run: its prediction files, and what a directory says beside them."""

    def __init__(self, path: Path, files: Mapping[Role, Path], name: str) -> None:
        """`name` stands for the path's own; empty takes that."""
        self._path, self._files, self._given = path, dict(files), name
        self._kept: dict[str, Path] = {}
        self._error: GoemoError | None = None  # raised when it is read: other runs go on without it
        config: dict[str, Any] = {"model_name": name or _name(path)}
        try:
            config |= self._config()
        except GoemoError as error:
            self._error = SourceError(error.what, error.remedy)
        self._run = RunRecord(
            id=f"{name}={path}" if name else str(path),
            name=name or _name(path),
            entity=None,
            project="",
            url=None,
            state="finished",
            tags=(),
            created_at=None,
            config=config,
            summary={},
            origin=str(path),
        )
        self._refs = {
            role: ArtifactRef(
                id=str(file),
                name=str(file),
                type=ARTIFACTS[role].type,
                version=None,
                digest="",
                size=file.stat().st_size,
                role=role,
                run_id=self._run.id,
                kind="file",
                is_offline=True,
            )
            for role, file in self._files.items()
        }

    def with_validation(self, file: str) -> FileSource:
        """The same run with the validation predictions of a file."""
        path = user_path(file)
        if not path.exists() or path.is_dir():
            raise NotFoundError(f"there is no prediction file {file}", f"Check {argument('val')}")
        return FileSource(self._path, {**self._files, "val-predictions": path}, self._given)

    @property
    def is_named(self) -> bool:
        """Whether the user named it, as `NAME=FILE`."""
        return bool(self._given)

    def told_apart(self, others: Sequence[FileSource]) -> FileSource:
        """The same run under a name that none of the others has: its directory's, its file's or
        its path."""
        names = (lambda path: path.resolve().parent.name, lambda path: path.name, str)
        for name in names:
            own = name(self._path)
            if own and own not in {name(other._path) for other in others}:
                return FileSource(self._path, self._files, own)
        return self

    @property
    def description(self) -> str:
        """The path."""
        return str(self._path)

    def list_runs(self, query: RunQuery) -> Listing:
        """The one run, where it matches."""
        return Listing((self._run,) if query.matches(self._run) else ())

    def find_run(self, reference: str) -> RunRecord:  # noqa: ARG002 # there is one run
        """The one run."""
        return self._run

    def history_of(self, run: RunRecord) -> History:  # noqa: ARG002 # there is one run
        """Read `history.jsonl` or `history.csv` beside the files."""
        for name in _HISTORIES:
            path = self._path / name
            if self._path.is_dir() and path.is_file():
                with reading(str(path)):
                    text = path.read_text("utf-8-sig")
                    if name.endswith(".jsonl"):
                        rows = [json.loads(line) for line in text.splitlines() if line.strip()]
                    else:
                        rows = [_numbers(row) for row in csv.DictReader(text.splitlines())]
                    return tuple({"_step": step} | dict(row) for step, row in enumerate(rows))
        return ()

    def artifacts_of(self, run: RunRecord) -> tuple[ArtifactRef, ...]:  # noqa: ARG002 # there is one run
        """A reference for each file. Raises SourceError where the config beside is none."""
        if self._error is not None:
            raise self._error
        return tuple(self._refs.values())

    def files_of(self, artifact: ArtifactRef) -> tuple[ArtifactFile, ...]:
        """The one file, with the digest that it has now; LostFiles where it cannot be read."""
        try:
            with reading(artifact.id, "Check the path"):
                path = self._regular(artifact.id)
                size, digest = path.stat().st_size, md5_of(path)
        except GoemoError as error:
            return LostFiles(str(error))
        return (ArtifactFile(Path(artifact.id).name, size, digest),)

    def fetch(
        self,
        wanted: Sequence[tuple[ArtifactRef, ArtifactFile]],
        progress: Progress = silent,  # noqa: ARG002 # nothing is copied
    ) -> list[LocalFile]:
        """The files where they are; a pipe where its bytes were kept."""
        return [self._kept.get(artifact.id, Path(artifact.id)) for artifact, _ in wanted]

    def _regular(self, name: str) -> Path:
        """Where the bytes of a file can be read again: those of a pipe or a device
        (`<(...)`, `/dev/stdin`), which come once, are kept until this process ends."""
        path = self._kept.get(name, Path(name))
        if not stat.S_ISREG(path.stat().st_mode):
            kept = private_cache().named_file_path(name, id(self))
            kept.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as pipe, kept.open("wb") as file:
                for piece in chunks(pipe):
                    if file.tell() > _MOST_PIPED:
                        raise DataError(
                            f"{name} is larger than {_MOST_PIPED >> 30} GB",
                            "Give a file, or a pipe that ends",
                        )
                    file.write(piece)
            self._kept[name] = path = kept
        return path

    def _config(self) -> dict[str, Any]:
        """Read a `config.*` beside the files."""
        for name in _CONFIGS if self._path.is_dir() else ():
            path = self._path / name
            if path.is_file():
                with reading(str(path)):
                    data = path.read_bytes()
                    if name.endswith(".json"):
                        found = json.loads(data)
                    elif name.endswith(".toml"):
                        found = tomllib.loads(data.decode())
                    else:
                        import yaml

                        found = yaml.safe_load(data)
                    if not isinstance(found, dict):
                        raise DataError(f"{path} holds no settings", "Write keys and values")
                    return found
        return {}


def _numbers(row: Mapping[str, str]) -> dict[str, Any]:
    """A row of a CSV with numbers as numbers; empty cells are left out."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        if value:
            try:
                found[key] = float(value)
            except ValueError:
                found[key] = value
    return found
