"""The directory of a run: found by its id, locked, checked, and its `run.json`."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shlex
import string
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from goemo_report import contract
from goemo_report.errors import GoemoError, NotFoundError
from goemo_train import best
from goemo_train.config import KEPT_ON_RESUME, TrainConfig

SAME_ON_RESUME = ("dataset_name", "dataset_version", "train_samples", "val_samples",
                  "test_samples", "num_labels", "model_params", "steps")  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A run before it trains; `logged` is the W&B config of one that is resumed."""

    config: TrainConfig
    id: str
    name: str
    directory: Path
    logged: Mapping[str, Any] = field(default_factory=dict)

    @property
    def again(self) -> str:
        """The command that goes on with it, or begins anew what had not begun."""
        if not (self.directory / "run.json").exists():
            return "the same command"
        return f"goemo-train --resume {self.id} --output {shlex.quote(self.config.output)}"


def new_run_id() -> str:
    """The id that a sweep agent chose, or eight random characters as W&B's own."""
    alphabet = string.ascii_lowercase + string.digits
    return os.environ.get("WANDB_RUN_ID") or "".join(secrets.choice(alphabet) for _ in range(8))


def open_run(config: TrainConfig, given: Collection[str]) -> Opened:
    """A new run, or the one to be resumed with its own settings but for those in `given`."""
    output = Path(config.output)
    if not config.resume:
        name = contract.run_name(config.model_name, datetime.now().astimezone())
        run_id = new_run_id()
        return Opened(config, run_id, name, output / f"{name}-{run_id}")
    wanted = Path(config.resume).name  # an id, or the run's own directory
    found = [
        p.parent for p in output.glob("*/run.json") if f"-{p.parent.name}".endswith(f"-{wanted}")
    ]
    if len(found) != 1:
        raise NotFoundError(
            f"{len(found) or 'no'} runs below {output} have the id {config.resume}",
            "Give --resume the id that the run's summary named, and its --output",
        )
    path = found[0] / "run.json"
    try:
        record = json.loads(path.read_text("utf-8"))
        settings = {**record["settings"], "tag": tuple(record["settings"]["tag"])}
        run_id, name, logged = record["id"], record["name"], record["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise GoemoError(f"{path} is damaged", "Start a new run without --resume") from error
    if "summary" in record:
        with suppress(GoemoError), hold(found[0]):  # or the process that ends it does that
            tidy(found[0], record["summary"]["best_epoch"])
        raise GoemoError(f"run {config.resume} is finished", "Start a new one without --resume")
    known = {item.name for item in fields(TrainConfig)}
    own = {key: value for key, value in settings.items() if key in known}
    asked = {key: getattr(config, key) for key in KEPT_ON_RESUME & {*given, "output", "resume"}}
    return Opened(TrainConfig(**{**own, **asked}), run_id, name, found[0], logged)


def hold(directory: Path) -> IO[str]:
    """The lock of a run, held as long as the file is open.

    Raises:
        GoemoError: another process has it.

    """
    lock = (directory / "run.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise GoemoError(
            f"another process trains {directory}", "Wait until it ends, or stop it first"
        ) from error
    except OSError:  # a file system without locks
        pass
    return lock


def tidy(directory: Path, best_epoch: int) -> None:
    """Leave of a run that came to its end what it came to; may be done again."""
    best.finish(directory, best_epoch)
    for pattern in ("state-*.pt", "*.part", ".*.part", "run.lock"):
        for path in directory.glob(pattern):
            path.unlink()


def check_same(run: Opened, logged: Mapping[str, Any]) -> None:
    """Refuse to resume a run with another model or other data than it began with."""
    for key in SAME_ON_RESUME:
        before = run.logged.get(key, logged[key])
        if before != logged[key]:
            raise GoemoError(
                f"run {run.id} began with {key} {before}, now it is {logged[key]}",
                "Resume it with the model and the data that it began with, or start a new run",
            )


def new_record(run: Opened, config: TrainConfig, logged: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.json` holds from the start on."""
    return {"id": run.id, "name": run.name, "settings": asdict(config), "config": logged}
