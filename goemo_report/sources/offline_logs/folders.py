"""Finding run logs, staging folders and predictions kept as run files below a directory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from goemo_report.contract import PREDICTIONS_FOLDER
from goemo_report.sources.newest import ordered_predictions
from goemo_report.sources.references import LOG_PATTERN

_NEVER_ENTERED: Final = frozenset({"node_modules", "site-packages", "__pycache__"})
_HIDDEN_BUT_ENTERED: Final = ".wandb"  # the client takes it instead of `wandb` where it exists
_STAGING: Final = ("artifacts", "staging")


@dataclass(slots=True)
class Folders:
    """What lies below a directory; `unreadable` says of a folder why it was not entered."""

    logs: list[Path] = field(default_factory=list)
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
    return found


def _walk(root: Path, found: Folders) -> None:
    def refused(error: OSError) -> None:
        found.unreadable[Path(error.filename)] = error.strerror or "cannot be read"

    for name, directories, files in os.walk(root, onerror=refused):
        folder = Path(name)
        logs = [folder / file for file in files if _is_log(file)]
        if logs:
            found.logs += logs
            directories.clear()  # a run directory holds no other run
        elif folder.parts[-2:] == _STAGING:
            found.staging.append(folder)
            directories.clear()
        else:
            directories[:] = [d for d in directories if _is_entered(d)]


def _is_log(name: str) -> bool:
    return name.endswith(".wandb") and PurePosixPath(name).match(LOG_PATTERN)


def _is_entered(name: str) -> bool:
    return name not in _NEVER_ENTERED and (not name.startswith(".") or name == _HIDDEN_BUT_ENTERED)


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
