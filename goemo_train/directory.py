"""The directory of a run: found by its id, locked, checked, and its `run.json`."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import secrets
import shlex
import shutil
import string
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from goemo_report import contract
from goemo_report.errors import GoemoError, NotFoundError
from goemo_train.config import KEPT_ON_RESUME, TrainConfig

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk, quota or file size limit
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


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all, and to the disk; what is no number is null."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(_finite(value), indent=2, allow_nan=False) + "\n", "utf-8")
    flush(part)
    part.replace(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Have what was written, or for a directory renamed, on the disk before going on."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_disk(directory: Path, weights: int, config: TrainConfig) -> None:
    """Refuse to start where not all fits: states of 3 times the weights (bytes), one of them
    half written; for each a checkpoint, should every one have its own; one staged copy."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GoemoError(
            f"--output {directory.parent} cannot be made: {error.strerror}", "Give another place"
        ) from error
    needed = weights * (4 * (config.keep_checkpoints + 1) + 1)
    own = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    free = shutil.disk_usage(directory.parent).free + own
    if free < needed:
        raise GoemoError(
            f"{directory.parent} has {free / 1e6:,.0f} MB for the run, its checkpoints need "
            f"{needed / 1e6:,.0f} MB",
            "Make room, give another --output, or lower --keep-checkpoints",
        )


def is_full(error: BaseException | None) -> bool:
    """Whether an error came from a full disk; torch and tokenizers say it in their own way."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if any(f"(os error {number})" in str(error) for number in FULL):
            return True
        error = error.__cause__ or error.__context__
    return False
