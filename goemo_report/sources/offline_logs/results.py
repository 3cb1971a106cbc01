"""What `goemo-train` leaves of a run in its directory of results, and that directory as a run.

W&B's client keeps an offline run's records in memory for a while: a run that was killed before it
wrote any has an empty log, and its trainer's record says what it was. With `--wandb-mode disabled`
the directory is all there is of the run.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from goemo_report.contract import ARTIFACTS, RUN_NAME_PATTERN, Role, artifact_model
from goemo_report.errors import GoemoError, SourceError, first_line
from goemo_report.formats.json_text import parsed
from goemo_report.sources.local_tracker import Kept, files_below, role_of_path
from goemo_report.sources.model import ArtifactRef, History, RunRecord, as_number, flattened

RECORD: Final = "run.json"
_REMEDY: Final = "Copy it again, or move it away"
_ID: Final = re.compile(r"[^\s/\\#?%:\x00-\x1f]{1,128}")


@dataclass(frozen=True, slots=True)
class TrainerRecord:
    """A run as its trainer noted it: at its beginning, at its end with history and summary."""

    id: str
    name: str = ""
    project: str = ""
    entity: str | None = None
    tags: tuple[str, ...] = ()
    config: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] | None = None
    history: History = ()
    summary: Mapping[str, Any] | None = None
    """None until training has ended."""

    @property
    def tracked(self) -> bool:
        """Whether W&B or a log knows it: else its results are all there is."""
        return (self.settings or {}).get("wandb_mode") != "disabled"


def read_record(directory: Path) -> TrainerRecord | None:
    """The record in a results directory; None where there is none of `goemo-train`.

    Raises SourceError for one that is damaged.
    """
    path = directory / RECORD
    try:
        if not path.is_file():
            return None
        found = parsed(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {first_line(error)}", _REMEDY) from error
    if not isinstance(found, dict) or not {"id", "settings", "config"} & found.keys():
        return None  # some other program's

    def part(key: str, kind: type, within: Mapping[str, Any] = found) -> Any:
        value = within.get(key)
        if value is not None and not isinstance(value, kind):
            raise SourceError(f"{path} is damaged: {key} is no {_KINDS[kind]}", _REMEDY)
        return value

    run_id, name = part("id", str) or "", part("name", str) or ""
    if not _ID.fullmatch(run_id):
        raise SourceError(f"{path} is damaged: {run_id[:40]!r} is no run id", _REMEDY)
    config, settings = part("config", dict) or {}, part("settings", dict) or {}
    own = (config.get("model_name"), config.get("phase"), config.get("status"))
    tags = (*own, *(part("tag", list, settings) or ()))
    rows = part("history", list) or []
    if not all(isinstance(row, dict) for row in rows):
        raise SourceError(f"{path} is damaged: history is no list of epochs", _REMEDY)
    return TrainerRecord(
        id=run_id,
        name=name,
        project=part("project", str, settings) or "",
        entity=part("entity", str, settings) or None,
        tags=tuple(dict.fromkeys(str(tag) for tag in tags if tag)),
        config=config,
        settings=settings,
        history=tuple(_step(row, place) for place, row in enumerate(rows, 1)),
        summary=part("summary", dict),
    )


_KINDS: Final[dict[type, str]] = {str: "text", dict: "mapping", list: "list"}


def _step(row: Mapping[str, Any], place: int) -> dict[str, Any]:
    """A row of the history; the epoch is its step, as it is in W&B."""
    epoch = as_number(row.get("epoch"))
    return {"_step": int(epoch) if epoch is not None and epoch == place else place} | flattened(row)


def results_beside(log_directory: Path, run_id: str, name: str) -> Path | None:
    """The results directory of the run whose log lies in `<output>/wandb/<log_directory>`."""
    found = log_directory.parent.parent / f"{name}-{run_id}"
    return found if "/" not in f"{name}{run_id}" and os.path.isdir(found) else None  # noqa: PTH112 # no name is too long


def record_beside(log_directory: Path, run_id: str) -> TrainerRecord | None:
    """The record of the run whose log lies in `<output>/wandb/<log_directory>`."""
    for path in sorted(log_directory.parent.parent.glob(f"*-{glob.escape(run_id)}/{RECORD}")):
        with suppress(SourceError):
            found = read_record(path.parent)
            if found is not None and found.id == run_id:
                return found
    return None


def stands_alone(directory: Path) -> bool:
    """Whether a directory is all there is of a run, or would be if its record were whole."""
    try:
        record = read_record(directory)
    except SourceError:
        return (directory / "checkpoint").is_dir() or bool(_tables(directory))
    return record is not None and not record.tracked


def _tables(directory: Path) -> dict[Role, Path]:
    """The guide's tables in a directory, of several formats the first."""
    found: dict[Role, Path] = {}
    for file in sorted(directory.iterdir()):
        role = role_of_path(file.name)
        if role is not None and file.is_file():
            found.setdefault(role, file)
    return found


class ResultsRun:
    """One directory of results as a run, as `OfflineRun` is one of logs. What a damaged record
    hides is raised by everything but the run itself, so that others go on without it."""

    def __init__(self, directory: Path, name: str = "") -> None:
        """`name` stands for the run's own; empty takes that."""
        self.directory = directory
        self.error: GoemoError | None = None
        try:
            self._noted = read_record(directory) or TrainerRecord("")
        except SourceError as error:
            self._noted, self.error = TrainerRecord(""), error
        noted, history = self._noted, self._noted.history
        named = name or noted.name or directory.resolve().name
        summary = {key: value for row in history for key, value in row.items() if key != "_step"}
        self.record = RunRecord(
            id=noted.id or str(directory),
            name=named,
            entity=noted.entity,
            project=noted.project,
            url=None,
            state="unfinished" if noted.summary is None else "finished",
            tags=noted.tags,
            created_at=_started(noted.name),
            config={"model_name": named, **(noted.config or {})},
            summary=summary | flattened(noted.summary or {}),
            origin=str(directory),
            step_count=len(history),
        )

    @property
    def paths(self) -> list[Path]:
        """Its record, in place of logs."""
        return [self.directory / RECORD]

    @property
    def places(self) -> set[str]:
        """What names the directory."""
        return {self.directory.name}

    @property
    def held(self) -> Mapping[tuple[str, str], Kept]:
        """Nothing that a client gave an id."""
        return {}

    @property
    def history(self) -> History:
        """Every epoch in order. Raises SourceError where the record is damaged."""
        self._require_whole()
        return self._noted.history

    @cached_property
    def references(self) -> list[tuple[ArtifactRef, Sequence[Kept]]]:
        """The guide's four artifacts, as far as they are there, as the trainer would have logged
        them. Raises SourceError where the record is damaged."""
        self._require_whole()
        run = self.record
        about = {"model_name": run.config["model_name"], "threshold": run.config.get("threshold")}
        found = []
        held: dict[Role, Sequence[Kept]] = {
            "checkpoint": files_below(self.directory / "checkpoint")
        }
        for role, path in _tables(self.directory).items():
            held[role] = [Kept(path.name, path.stat().st_size, local=path)]
        for role, files in held.items():
            if files:
                reference = ArtifactRef(
                    id=f"{self.directory}/{role}",
                    name=ARTIFACTS[role].name(artifact_model(run.config), run.id),
                    type=ARTIFACTS[role].type,
                    version=None,
                    digest="",
                    size=sum(file.size for file in files),
                    role=role,
                    run_id=run.id,
                    metadata=self._of_checkpoint() if role == "checkpoint" else about,
                    description=ARTIFACTS[role].description,
                    is_offline=True,
                )
                found.append((reference, files))
        return found

    def _of_checkpoint(self) -> dict[str, Any]:
        """What the trainer notes on the checkpoint."""
        config, summary = self.record.config, self.record.summary
        seconds = as_number(summary.get("total_training_time"))
        settings = self._noted.settings or {}
        decisive = settings.keys() & config.keys() - {"model_name", "phase", "status"}
        return {
            "model_name": config["model_name"],
            "final_test_auc": summary.get("test/auc"),
            "final_test_f1": summary.get("test/macro_f1"),
            "best_epoch": summary.get("best_epoch"),
            "training_time_hours": None if seconds is None else seconds / 3600,
            "hyperparameters": {key: settings[key] for key in settings if key in decisive},
            "random_seed": config.get("random_seed"),
        }

    def _require_whole(self) -> None:
        if self.error is not None:
            raise self.error


def _started(name: str) -> datetime | None:
    """The start that a run's name tells, which is local time."""
    found = RUN_NAME_PATTERN.fullmatch(name)
    with suppress(ValueError, OverflowError):
        if found is not None:
            at = datetime.strptime(found["date"] + found["time"], "%Y%m%d%H%M%S")  # noqa: DTZ007, RUF100 # local
            return at.astimezone(UTC)
    return None
