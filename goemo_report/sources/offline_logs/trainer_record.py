"""What `goemo-train` notes of a run beside its log: all there is where the run was killed.

W&B's client keeps an offline run's records in memory for a while. A run that was killed before
it wrote any has an empty log; its trainer had written `<output>/<name>-<id>/run.json`.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from goemo_report.formats.json_text import parsed

RECORD: Final = "run.json"


@dataclass(frozen=True, slots=True)
class TrainerRecord:
    """A run as its trainer began it."""

    id: str
    name: str = ""
    project: str = ""
    entity: str | None = None
    tags: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


def read_record(directory: Path) -> TrainerRecord | None:
    """The record in a results directory; None where there is none that is whole."""
    path = directory / RECORD
    try:
        found = parsed(path.read_text("utf-8") if path.is_file() else "")
        config, settings = found.get("config") or {}, found.get("settings") or {}
        tags = (config.get("model_name"), config.get("phase"), config.get("status"))
        return TrainerRecord(
            id=str(found["id"]),
            name=str(found.get("name") or ""),
            project=str(settings.get("project") or ""),
            entity=settings.get("entity") or None,
            tags=tuple(dict.fromkeys(str(tag) for tag in (*tags, *settings.get("tag", ())) if tag)),
            config=dict(config),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def results_beside(log_directory: Path, run_id: str, name: str) -> Path | None:
    """The results directory of the run whose log lies in `<output>/wandb/<log_directory>`."""
    found = log_directory.parent.parent / f"{name}-{run_id}"
    return found if "/" not in f"{name}{run_id}" and os.path.isdir(found) else None  # noqa: PTH112 # no name is too long


def record_beside(log_directory: Path, run_id: str) -> TrainerRecord | None:
    """The record of the run whose log lies in `<output>/wandb/<log_directory>`."""
    for path in sorted(log_directory.parent.parent.glob(f"*-{glob.escape(run_id)}/{RECORD}")):
        found = read_record(path.parent)
        if found is not None and found.id == run_id:
            return found
    return None
