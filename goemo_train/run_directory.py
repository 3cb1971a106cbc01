"""The directory of a run: found by its id, locked, filled, resumed from and tidied.

    run.json                        settings and W&B config; at the end history and summary
    state-00000120-00004-00003.pt   of training after 120 steps, in epoch 4, 3 being the best
    best-3/                         checkpoint and validation predictions of that epoch
    checkpoint/ *.csv               what is left at the end

All of it appears whole: it is written beside its place, flushed to the disk and renamed.
`best-3` stays as long as a state names its epoch, so that a run that was killed goes on with the
checkpoint of the epoch that it takes for the best.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shlex
import shutil
import string
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import torch
from click import UsageError

from goemo_report import contract
from goemo_report.errors import GoemoError, NotFoundError
from goemo_report.formats.files import whole_file
from goemo_report.formats.json_text import to_json
from goemo_train.config import KEPT_ON_RESUME, REPEATED, TrainConfig, flag

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk, quota or file size limit
SAME_ON_RESUME = ("dataset_name", "dataset_version", "train_samples", "val_samples",
                  "test_samples", "num_labels", "model_params", "steps")  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """A run before it trains: as it was `asked` for, and the W&B config of one that is resumed."""

    config: TrainConfig
    id: str
    name: str
    directory: Path
    asked: Mapping[str, Any]
    logged: Mapping[str, Any] = field(default_factory=dict)

    @property
    def again(self) -> str:
        """The command that goes on with it, or begins anew what had not begun."""
        if not (self.directory / "run.json").exists():
            return "the same command"
        return f"goemo-train --resume {self.id} --output {shlex.quote(self.config.output)}"

    def check_same(self, logged: Mapping[str, Any]) -> None:
        """Refuse to resume with another model or other data than it began with."""
        for key in SAME_ON_RESUME:
            before, now = self.logged.get(key, logged[key]), logged[key]
            if before != now:
                raise GoemoError(
                    f"run {self.id} began with {key} {before}, now it is {now}",
                    "Resume it with the model and the data that it began with, or start a new run",
                )


def open_run(config: TrainConfig, given: Collection[str]) -> Opened:
    """A new run, or the one to be resumed with its own settings.

    Of what was `given` with it, KEPT_ON_RESUME counts anew; all else has to be as it was.

    Raises:
        UsageError: another value was given than the run has.
        GoemoError: there is no such run, or it is finished or damaged.

    """
    output, asked = Path(config.output), json.loads(json.dumps(asdict(config)))
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"--output {output} cannot be made: {error.strerror}"
        raise GoemoError(what, "Give another place") from error
    wanted = f"-{Path(config.resume).name}"  # an id, or the run's own directory
    paths = sorted(output.glob("*/run.json")) if config.resume else []
    if config.resume == "auto":
        paths = [path for path in paths if _is_begun(path, asked)]
    else:
        paths = [path for path in paths if f"-{path.parent.name}".endswith(wanted)]
    if not paths and config.resume in ("", "auto"):
        name = contract.run_name(config.model_name, datetime.now().astimezone())
        alphabet = string.ascii_lowercase + string.digits  # as W&B's own; or a sweep agent chose
        chosen = "".join(secrets.choice(alphabet) for _ in range(8))
        run_id = os.environ.get("WANDB_RUN_ID") or chosen
        return Opened(replace(config, resume=""), run_id, name, output / f"{name}-{run_id}", asked)
    if len(paths) != 1:
        what = "are unfinished and as asked" if paths else f"have the id {config.resume}"
        raise NotFoundError(
            f"{len(paths) or 'no'} runs below {output} {what}",
            "Give --resume the id that the run's summary named, and its --output",
        )
    directory = paths[0].parent
    try:
        record = json.loads(paths[0].read_text("utf-8"))
        settings = {**record["settings"]}
        settings |= {key: tuple(settings[key]) for key in REPEATED & settings.keys()}
        run_id, name, logged = record["id"], record["name"], record["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise GoemoError(f"{paths[0]} is damaged", "Start a new run without --resume") from error
    if "summary" in record:
        with suppress(GoemoError), hold(directory):  # or the process that ends it does that
            tidy(directory, record["summary"]["best_epoch"])
        raise GoemoError(f"run {config.resume} is finished", "Start a new one without --resume")
    known = {item.name for item in fields(TrainConfig)}
    own = {key: value for key, value in settings.items() if key in known}
    before = record.get("asked", record["settings"])
    for key in sorted({*given} - KEPT_ON_RESUME):
        if asked[key] not in (before.get(key), record["settings"].get(key)):
            raise UsageError(
                f"run {run_id} has {flag(key)} {before.get(key)}, not {asked[key]}. "
                "A resumed run keeps its own settings: leave the option out"
            )
    anew = {key: getattr(config, key) for key in KEPT_ON_RESUME & {*given, "output", "resume"}}
    return Opened(TrainConfig(**{**own, **anew}), run_id, name, directory, before, logged)


def _is_begun(path: Path, asked: Mapping[str, Any]) -> bool:
    """Whether this is the record of an unfinished run that was asked for alike."""
    with suppress(OSError, ValueError, KeyError, AttributeError):
        record = json.loads(path.read_text("utf-8"))
        fixed = asked.keys() - KEPT_ON_RESUME
        return "summary" not in record and all(record["asked"].get(k) == asked[k] for k in fixed)
    return False


def hold(directory: Path) -> IO[str]:
    """The lock of a run, held as long as the file is open.

    Raises:
        GoemoError: another process has it.

    """
    lock = (directory / "run.lock").open("w")
    with suppress(OSError):  # a file system without locks
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            what = f"another process trains {directory}"
            raise GoemoError(what, "Wait until it ends, or stop it first") from error
    return lock


def tidy(directory: Path, best_epoch: int) -> None:
    """Leave of a run that came to its end what it came to; may be done again."""
    checkpoint = best_of(directory, best_epoch) / "checkpoint"
    if checkpoint.exists():
        shutil.rmtree(directory / "checkpoint", ignore_errors=True)
        checkpoint.rename(directory / "checkpoint")
    for path in (*_states(directory), directory / "run.lock"):
        path.unlink(missing_ok=True)
    keep_best(directory)


# --- States of training, and the best epoch --------------------------------------------


def save_state(
    directory: Path, step: int, epoch: int, best: int, state: Mapping[str, Any], keep: int
) -> None:
    """Write the state after `step` optimiser steps, and leave only the newest `keep`."""
    path = directory / f"state-{step:08d}-{epoch:05d}-{best:05d}.pt"
    with whole_file(path, flushed=True) as file:
        torch.save(state, file)
    flush(directory)
    for old in _states(directory)[keep:]:
        old.unlink()
    keep_best(directory)


def load_newest_state(directory: Path) -> tuple[dict[str, Any] | None, list[Path]]:
    """The newest whole state, None without one, and the damaged ones that were passed over."""
    damaged: list[Path] = []
    for path in _states(directory):
        try:
            with zipfile.ZipFile(path) as archive:
                whole = archive.testzip() is None  # torch itself looks at no checksum
            if whole:
                return torch.load(path, map_location="cpu", weights_only=True), damaged
        except Exception:  # noqa: BLE001, S110 - whatever they make of a file that is not whole
            pass
        damaged.append(path)
    return None, damaged


def _states(directory: Path) -> list[Path]:
    """All states, the newest first."""
    return sorted(directory.glob("state-????????-?????-?????.pt"), reverse=True)


def best_of(directory: Path, epoch: int) -> Path:
    """Where checkpoint and validation predictions of an epoch lie while it is the best."""
    return directory / f"best-{epoch}"


@contextmanager
def new_best(directory: Path, epoch: int) -> Iterator[Path]:
    """A directory to fill for this epoch."""
    part, place = directory / "best.part", best_of(directory, epoch)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    yield part
    flush(part)
    shutil.rmtree(place, ignore_errors=True)  # of an epoch that is done again
    part.rename(place)
    flush(directory)


def keep_best(directory: Path) -> None:
    """Remove those of epochs that no state names, and what was not whole."""
    named = {best_of(directory, int(path.stem.rpartition("-")[2])) for path in _states(directory)}
    for path in {*directory.glob("best[.-]*")} - named:
        shutil.rmtree(path)
    for path in directory.glob(".*.part"):
        path.unlink()


# --- Writing ----------------------------------------------------------------------------


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all, and to the disk."""
    write_whole(path, to_json(value).encode())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, and to the disk."""
    with whole_file(path, flushed=True) as file:
        file.write(data)
    flush(path.parent)


def flush(path: Path) -> None:
    """Have what was written, or for a directory renamed, on the disk before going on."""
    number = os.open(path, os.O_RDONLY)
    os.fsync(number)
    os.close(number)


def is_full(error: BaseException | None) -> bool:
    """Whether an error came from a full disk; torch and tokenizers say it in their own way."""
    if error is None:
        return False
    told = any(f"(os error {number})" in str(error) for number in FULL)
    known = isinstance(error, OSError) and error.errno in FULL
    return known or told or is_full(error.__cause__ or error.__context__)
