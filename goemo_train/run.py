"""A run while it trains: its state, what is saved and restored, its directory and its end."""

from __future__ import annotations

import errno
import json
import shlex
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from goemo_report import contract
from goemo_report.errors import GoemoError, NotFoundError
from goemo_train import checkpoint, model
from goemo_train.config import KEPT_ON_RESUME, TrainConfig
from goemo_train.optimiser import Optimiser
from goemo_train.progress import Interrupted, Progress
from goemo_train.sharding import cut_as, whole
from goemo_train.tracking import Tracker, new_run_id
from goemo_train.world import World, is_loss_of_a_process

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk, quota or file size limit


@dataclass
class State:
    """Where training stands. `batch` batches of epoch `epoch` (from 1) are done."""

    epoch: int = 1
    batch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_auc: float = -1.0
    training_time: float = 0.0
    peak: float = 0.0  # FLOPs a second that matrix products reach here
    epoch_time: float = 0.0
    losses: list[torch.Tensor] = field(default_factory=list)
    norms: list[torch.Tensor] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Run:
    """A run while it trains: what is saved, restored and logged together."""

    name: str
    config: TrainConfig
    directory: Path
    world: World
    progress: Progress
    tracker: Tracker
    classifier: model.Classifier
    optimiser: Optimiser
    state: State = field(default_factory=State)

    def warn(self, text: str) -> None:
        """Say once what may be wrong: on the screen, in W&B and in the summary."""
        if text not in self.state.warnings:
            self.state.warnings.append(text)
            self.progress.warn(text)
            self.tracker.alert(text)

    def save(self) -> None:
        """Keep all that `restore` needs, random states of all processes included."""
        cuda = self.world.device.type == "cuda"
        mine = (torch.get_rng_state(), torch.cuda.get_rng_state() if cuda else None)
        main = self.world.main
        kept = {
            "state": vars(self.state),
            "model": whole(self.classifier.state_dict(), keep=main),
            "optimiser": whole(self.optimiser.state_dict(), keep=main),
            "random": self.world.gather(mine),
        }
        if main:
            keep = self.config.keep_checkpoints
            checkpoint.save_state(self.directory, self.state.step, kept, keep)

    def restore(self) -> None:
        """Go back to the newest whole state; log again the epochs that it knows."""
        kept, damaged = checkpoint.load_newest_state(self.directory)
        self.world.wait()  # all have looked
        for path in damaged:
            self.progress.warn(f"{path.name} is damaged and was passed over")
            path.unlink(missing_ok=True)
        if kept is None:
            self.progress.warn("no whole training state is there: training starts again")
            return
        own = self.classifier.state_dict()
        self.classifier.load_state_dict({k: cut_as(own[k], v) for k, v in kept["model"].items()})
        self.optimiser.load_state_dict(kept["optimiser"])
        if len(kept["random"]) == self.world.size:
            cpu, cuda = kept["random"][self.world.rank]
            torch.set_rng_state(cpu)
            if cuda is not None and self.world.device.type == "cuda":
                torch.cuda.set_rng_state(cuda)
        else:
            processes = len(kept["random"])
            self.progress.warn(f"the run had {processes} processes: dropout goes on differently")
        self.state = state = State(**kept["state"])
        device = self.world.device
        state.losses, state.norms = (
            [value.to(device) for value in values] for values in (state.losses, state.norms)
        )
        for row in self.state.history:
            self.tracker.log(row, row["epoch"])

    def log_artifacts(self, evaluation: Mapping[str, Any]) -> None:
        """The guide's four artifacts; the first two alone while nothing is evaluated."""
        metadata = {
            "model_name": self.config.model_name,
            "final_test_auc": evaluation.get("test/auc"),
            "final_test_f1": evaluation.get("test/macro_f1"),
            "best_epoch": self.state.best_epoch,
            "training_time_hours": self.state.training_time / 3600,
            "hyperparameters": self.config.hyperparameters(),
            "random_seed": self.config.random_seed,
        }
        about = {"model_name": self.config.model_name, "threshold": self.config.threshold}
        self.tracker.artifact("checkpoint", self.directory / "checkpoint", metadata)
        self.tracker.artifact("val-predictions", self.directory / "val_predictions.csv", about)
        if evaluation:
            test, classes = "test_predictions.csv", "per_class_metrics.csv"
            self.tracker.artifact("test-predictions", self.directory / test, about)
            self.tracker.artifact("per-class-metrics", self.directory / classes, about)

    @contextmanager
    def marked(self) -> Iterator[None]:
        """Finish the run in W&B: as failed, with what was trained, where the block fails."""
        code = 1
        try:
            try:
                yield
                code = 0
            except Interrupted as stopped:  # between two steps: nothing is half done
                stopped.run = self.tracker.run_id
                self.save()
                code = 128 + stopped.signal
                raise
        except BaseException as error:
            again = f"--resume {self.tracker.run_id} --output {shlex.quote(self.config.output)}"
            if _is_full(error):
                raise GoemoError(
                    f"no room is left for {self.directory}", f"Make some, then: goemo-train {again}"
                ) from error
            if self.state.best_epoch and self.world.main:
                reached = {"best_epoch": self.state.best_epoch,
                           "final_epoch": len(self.state.history)}  # fmt: skip
                self.tracker.summarise({**reached, "warnings": self.state.warnings})
                self.log_artifacts({})
            if isinstance(error, torch.OutOfMemoryError):
                size = self.config.micro_batch_size or self.config.batch_size
                raise GoemoError(
                    f"out of GPU memory with {size} texts at once",
                    f"Try --micro-batch-size {max(1, size // 2)}, which trains the same, or let "
                    "--auto-batch-size find it",
                ) from error
            if is_loss_of_a_process(error):
                raise GoemoError(
                    "another process of the run was lost",
                    f"Start all of them again, with the same launcher: goemo-train {again}",
                ) from error
            raise
        finally:
            # From here on Ctrl-C ends the waiting; SIGTERM, as launchers send it to those that
            # are left when one process fails, does not.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self.tracker.finish(code)
            if self.tracker.unsent:
                where = shlex.quote(self.tracker.where)
                self.progress.warn(f"W&B did not get everything. Send it with: wandb sync {where}")
            if code > 128:  # a launcher that sees one process end ends the others
                self.world.wait()


def open_run(config: TrainConfig) -> tuple[TrainConfig, str, str, Path]:
    """Settings, id, name and directory of a new run, or of the one to be resumed."""
    output = Path(config.output)
    if not config.resume:
        name = contract.run_name(config.model_name, datetime.now().astimezone())
        run_id = new_run_id()
        return config, run_id, name, output / f"{name}-{run_id}"
    wanted = Path(config.resume).name  # an id, or the run's own directory
    found = [
        p.parent for p in output.glob("*/run.json") if f"-{p.parent.name}".endswith(f"-{wanted}")
    ]
    if len(found) != 1:
        raise NotFoundError(
            f"{len(found) or 'no'} runs below {output} have the id {config.resume}",
            "Give --resume the id that the run's summary named, and its --output",
        )
    record = json.loads((found[0] / "run.json").read_text("utf-8"))
    if "summary" in record:
        raise GoemoError(f"run {config.resume} is finished", "Start a new one without --resume")
    known = {item.name for item in fields(TrainConfig)}
    settings = {k: v for k, v in record["settings"].items() if k in known}
    # W&B's settings are the run's own where nothing else was asked for.
    kept = {name: getattr(config, name) or settings.get(name) for name in KEPT_ON_RESUME}
    settings["tag"] = tuple(settings["tag"])
    return TrainConfig(**{**settings, **kept}), record["id"], record["name"], found[0]


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    part.replace(path)


def check_shared(directory: Path, world: World) -> None:
    """Refuse to start where a process does not see what the main one writes."""
    world.wait()
    if not (directory / "run.json").exists():
        raise GoemoError(
            f"process {world.rank} does not see {directory}, which the first one made",
            "Give an --output on a disk that all machines share",
        )


def check_disk(directory: Path, weights: int, config: TrainConfig) -> None:
    """Refuse to start where states (3 x weights), checkpoint and staged copy do not fit."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GoemoError(
            f"--output {directory.parent} cannot be made: {error.strerror}", "Give another place"
        ) from error
    needed = weights * (3 * (config.keep_checkpoints + 1) + 3)
    free = shutil.disk_usage(directory.parent).free
    if free < needed:
        raise GoemoError(
            f"{directory.parent} has {free / 1e9:.1f} GB left, the checkpoints need "
            f"{needed / 1e9:.1f} GB",
            "Make room, give another --output, or lower --keep-checkpoints",
        )


def _is_full(error: BaseException | None) -> bool:
    """Whether an error came from a full disk; torch and tokenizers say it in their own way."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if any(f"(os error {number})" in str(error) for number in FULL):
            return True
        error = error.__cause__ or error.__context__
    return False
