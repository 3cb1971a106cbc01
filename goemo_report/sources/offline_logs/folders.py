"""Finding run logs, staging folders and predictions kept as run files below a directory."""

from __future__ import annotations

import base64
import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final, NamedTuple

from goemo_report.contract import PREDICTIONS_FOLDER
from goemo_report.errors import NotFoundError, SourceError
from goemo_report.formats.files import user_path
from goemo_report.sources.base import silent
from goemo_report.sources.local_tracker import Count, Kept
from goemo_report.sources.model import ArtifactFile, LocalFile, SkippedFile
from goemo_report.sources.newest import ordered_predictions
from goemo_report.sources.offline_logs.results import RECORD, read_record, stands_alone
from goemo_report.sources.references import FORMS
from goemo_report.sources.store import file_digest, is_digest

LOG_PATTERN: Final = "run-*.wandb"
"""File name of a run log; the star stands for the run id."""

_NEVER_ENTERED: Final = frozenset({"node_modules", "site-packages", "__pycache__"})
_OF_A_RUN: Final = frozenset({"files", "logs", "tmp"})
"""What the client makes beside a log: it holds no other run."""
_HIDDEN_BUT_ENTERED: Final = ".wandb"  # the client takes it instead of `wandb` where it exists
_STAGING: Final = ("artifacts", "staging")


@dataclass(slots=True)
class Folders:
    """What lies below a directory; `unreadable` says of a folder why it was not entered, `results`
    are directories that may be all there is of a run."""

    logs: list[Path] = field(default_factory=list)
    results: list[Path] = field(default_factory=list)
    staging: list[Path] = field(default_factory=list)
    unreadable: dict[Path, str] = field(default_factory=dict)


def scan(root: Path) -> Folders:
    """Run logs and staging folders below `root`, which may be a log itself.

    Symbolic links to directories are not followed (`latest-run` is one) and hidden folders
    are not entered. Staging folders beside the logs' own `wandb` folder count too.
    """
    found = Folders()
    if root.is_file():
        found.logs.append(root)
    else:
        _walk(root, found)
    found.logs.sort()
    for wandb in {log.parent.parent for log in found.logs}:
        for base in (wandb, wandb.parent):
            staging = base.joinpath(*_STAGING)
            if staging not in found.staging and staging.is_dir():
                found.staging.append(staging)
    found.staging.sort()
    found.results.sort()
    return found


def _walk(root: Path, found: Folders) -> None:
    def refused(error: OSError) -> None:
        found.unreadable[Path(error.filename)] = error.strerror or "cannot be read"

    for name, directories, files in os.walk(root, onerror=refused):
        folder = Path(name)
        if RECORD in files:
            found.results.append(folder)
        logs = [folder / file for file in files if file.endswith(".wandb")]
        logs = [path for path in logs if path.match(LOG_PATTERN)]
        if logs:  # of one run, or a log that someone put beside run directories
            found.logs += logs
            directories[:] = [d for d in directories if _is_entered(d) and d not in _OF_A_RUN]
        elif folder.parts[-2:] == _STAGING:
            found.staging.append(folder)
            directories.clear()
        else:
            directories[:] = [d for d in directories if _is_entered(d)]


def _is_entered(name: str) -> bool:
    return name not in _NEVER_ENTERED and (not name.startswith(".") or name == _HIDDEN_BUT_ENTERED)


# --- What a RUN names on disk ---------------------------------------------------------


class OnDisk(NamedTuple):
    """A run that is named by a path: its log or a directory of logs, where there is one, and
    its id or, of a directory that holds several, the directory's name."""

    path: Path | None
    run: str


def on_disk(text: str) -> OnDisk | None:
    """The run that a RUN argument names by a path; None where it is none.

    A directory counts only if it holds a run log or is written as a path, so that a run may
    have the name of some folder. Raises NotFoundError for a path that leads to nothing.
    """
    text = text.strip()
    looks_like_a_path = text.startswith((".", "/", "~")) or text.endswith(".wandb")
    try:
        path = user_path(text)
        logs = [path] if path.is_file() and path.match(LOG_PATTERN) else []
        if path.is_dir():
            logs = list(path.glob(LOG_PATTERN))
        exists = path.exists()
    except (OSError, RuntimeError, ValueError):  # too long, no such home, a null byte
        logs, exists = [], False
    if exists and not logs and (results := _results(path)):
        return results
    if logs or (looks_like_a_path and exists):
        return OnDisk(path, log_run_id(logs[0]) if logs else path.name)
    if looks_like_a_path and not _server_path(text):
        raise NotFoundError(f"there is no run log or directory {text}", FORMS)
    return None


def is_run_directory(path: Path) -> bool:
    """Whether a directory holds a run log or what `goemo-train` left of a run."""
    return any(path.glob(LOG_PATTERN)) or _results(path) is not None


def _results(directory: Path) -> OnDisk | None:
    """The run whose results `goemo-train` keeps in a directory, its log beside that one. A run that
    was resumed has several logs, each of which begins anew: the last one is whole. A log that lies
    elsewhere, or of an online run, is left to a source to find. A run without W&B is the directory.
    """
    if stands_alone(directory):
        return OnDisk(directory, directory.name)
    try:
        record = read_record(directory)
    except SourceError:
        record = None
    if record is None:
        return None
    pattern = f"wandb/offline-run-*-{glob.escape(record.id)}/{LOG_PATTERN}"
    logs = sorted(directory.absolute().parent.glob(pattern))
    return OnDisk(logs[-1] if logs else None, record.id)


def _server_path(text: str) -> bool:
    """`/entity/project/runs/id` and `/entity/project/id`, as W&B writes them in places."""
    return text.startswith("/") and text.count("/") in {3, 4} and not text.endswith(".wandb")


def log_run_id(log: Path) -> str:
    """The run id that the file name of a run log carries."""
    return log.name.removeprefix("run-").removesuffix(".wandb")


# --- Predictions as run files ---------------------------------------------------------


def prediction_files(directories: Iterable[Path], recorded: Iterable[str]) -> list[str]:
    """Paths of the prediction files that a run kept, those recorded and those on disk."""
    paths = {path.replace("\\", "/") for path in recorded}
    for directory in directories:
        files = directory / "files"
        for folder, _, names in os.walk(files / PREDICTIONS_FOLDER):
            base = Path(folder).relative_to(files).as_posix()
            paths.update(f"{base}/{name}" for name in names)
    return ordered_predictions(paths)


def run_file(directories: Iterable[Path], path: str) -> Path | None:
    """Where a run file lies: in the last of the run's directories that has it.

    A path that leads out of `files/` is nowhere; a link that the client made there counts.
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        return None
    places = [directory.joinpath("files", *parts) for directory in directories]
    return next((place for place in reversed(places) if place.is_file()), None)


# --- Staged files ---------------------------------------------------------------------

LINK: Final = "wandb-client-artifact"
"""Scheme of a reference to a file of an artifact that the same process made."""


class StagedFiles:
    """Looks for files by name in the staging folders given, then where the client staged them,
    then by digest in wandb's cache. Nothing counts unless size and digest fit, and a file of
    that name in the folders given that does not fit is not made good by one from elsewhere.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(folders)

    def find(self, kept: Kept, count: Count) -> LocalFile:
        """The file with a digest, or why there is none."""
        name = PureWindowsPath(kept.logged).name  # takes both kinds of separator
        wrong: Path | None = None
        for place in self._by_name.get(name) or self._elsewhere(kept.logged, kept.digest):
            try:
                if not place.is_file():
                    continue
                if place.stat().st_size == kept.size and file_digest(place, kept.digest, count):
                    return place
            except (OSError, ValueError) as error:
                return SkippedFile(kept.path, f"{place} cannot be checked: {error}")
            wrong = wrong or place
        if wrong is not None:
            reason = f"{wrong} is not the file that was logged: size or MD5 differ"
            return SkippedFile(kept.path, reason, changed=True)
        staged = f"its staged copy {name} is gone" if name else "no staged copy was recorded"
        return SkippedFile(
            kept.path,
            f"{staged}: not where it was written, in no artifacts/staging folder beside the "
            "runs, not in wandb's cache",
        )

    def manifest_file(self, local_path: str) -> Path | None:
        """Where the manifest of a very large artifact lies, by path or by name."""
        name = PureWindowsPath(local_path).name
        places = (*self._by_name.get(name, ()), *self._elsewhere(local_path, ""))
        return next((place for place in places if place.is_file()), None)

    def _elsewhere(self, local_path: str, digest: str) -> Iterator[Path]:
        if Path(local_path).is_absolute() and "\0" not in local_path:
            yield Path(local_path)
        if (cached := _in_wandb_cache(digest)) is not None:
            yield cached

    @cached_property
    def _by_name(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for top in self._folders:
            for folder, _, names in os.walk(top):
                for name in names:
                    found.setdefault(name, []).append(Path(folder, name))
        return found


def _in_wandb_cache(digest: str) -> Path | None:
    """Where wandb's own cache keeps the bytes with an MD5."""
    if ":" in digest or not is_digest(digest):
        return None
    hexadecimal = base64.b64decode(digest).hex()
    chosen = os.environ.get("WANDB_CACHE_DIR")
    if not chosen:
        import platformdirs  # as wandb does

        chosen = platformdirs.user_cache_dir("wandb")
    return Path(chosen, "artifacts", "obj", "md5", hexadecimal[:2], hexadecimal[2:])


def fetch_elsewhere(file: ArtifactFile) -> LocalFile:
    """A file of which no log of this directory tells where it is staged."""
    from goemo_report.sources.store import Cache
    from goemo_report.sources.wandb_api.credentials import find_credentials
    from goemo_report.sources.wandb_api.transfer import fetch_external, unfollowed
    from goemo_report.sources.wandb_api.transport import Transport

    if file.scheme in {LINK, "wandb-artifact"}:
        why = "no log here tells of that artifact; upload the run and read it from W&B"
        return unfollowed(file, why)

    def connect() -> Transport:
        return Transport(find_credentials(), notify=lambda _: None)

    return fetch_external([file], connect, Cache(), silent)[0]
