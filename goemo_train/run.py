"""A run while it trains: its state, what is saved and restored, and its end."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from goemo_report.errors import GoemoError
from goemo_train import best, model, states
from goemo_train.config import TrainConfig
from goemo_train.directory import Opened
from goemo_train.disk import is_full
from goemo_train.interruption import Interrupted
from goemo_train.optimiser import Optimiser
from goemo_train.progress import Progress
from goemo_train.sharding import gathered, own_part
from goemo_train.tracking import Tracker
from goemo_train.world import World, is_loss_of_a_process


@dataclass
class State:
    """Where training stands. `batch` batches of epoch `epoch` (from 1) are done."""

    epoch: int = 1
    batch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_auc: float = -1.0
    training_time: float = 0.0  # seconds
    peak_flops: float = 0.0  # a second, that matrix products reach here
    epoch_time: float = 0.0  # seconds
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

    @property
    def best(self) -> Path:
        """The directory of what belongs to the best epoch: its checkpoint and predictions."""
        return best.of_epoch(self.directory, self.state.best_epoch)

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
        main, state = self.world.main, self.state
        kept = {
            "state": vars(state),
            "model": gathered(self.classifier.state_dict(), keep=main),
            "optimiser": gathered(self.optimiser.state_dict(), keep=main),
            "random": self.world.gather(mine),
        }
        if main:
            place = (state.step, state.epoch, state.best_epoch)
            states.save_state(self.directory, *place, kept, self.config.keep_checkpoints)
            best.keep(self.directory, states.best_epochs(self.directory))
        self.world.wait()  # for the disk, as long as it takes

    def restore(self) -> None:
        """Go back to the newest whole state; log again the epochs that it knows."""
        kept, damaged = states.load_newest_state(self.directory)
        self.world.wait()  # all have looked
        for path in damaged:
            self.progress.warn(f"{path.name} is damaged and was passed over")
            path.unlink(missing_ok=True)
        if self.world.main:  # not the best of an epoch whose state was not written
            best.keep(self.directory, states.best_epochs(self.directory))
        if kept is None:
            self.progress.warn("no whole training state is there: training starts again")
            return
        own = self.classifier.state_dict()
        self.classifier.load_state_dict({k: own_part(own[k], v) for k, v in kept["model"].items()})
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
        place = self.directory if evaluation else self.best
        self.tracker.artifact("checkpoint", self.best / "checkpoint", metadata)
        self.tracker.artifact("val-predictions", place / "val_predictions.csv", about)
        if evaluation:
            self.tracker.artifact("test-predictions", place / "test_predictions.csv", about)
            self.tracker.artifact("per-class-metrics", place / "per_class_metrics.csv", about)

    @contextmanager
    def ended(self) -> Iterator[None]:
        """End the run in W&B after the block: as failed, with what was trained, if it failed."""
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
            if self.world.main and not is_full(error):
                reached: dict[str, Any] = {"warnings": self.state.warnings}
                if self.best.exists():
                    reached |= {"best_epoch": self.state.best_epoch,
                                "final_epoch": len(self.state.history)}  # fmt: skip
                    self.log_artifacts({})
                self.tracker.summarise(reached)
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


@contextmanager
def explained(run: Opened, world: World) -> Iterator[None]:
    """Say in one line what to do about a full disk, too little memory or a lost process."""
    try:
        yield
    except (GoemoError, Interrupted):
        raise
    except BaseException as error:
        if is_full(error):
            raise GoemoError(
                f"no room is left for {run.directory}", f"Make some, then: {run.again}"
            ) from error
        if isinstance(error, torch.OutOfMemoryError):
            size = world.texts_at_once(run.config)
            raise GoemoError(
                f"out of GPU memory with {size} texts at once",
                f"Try --micro-batch-size {max(1, size // 2)}, which trains the same"
                + ("" if run.config.auto_batch_size else ", or let --auto-batch-size find it"),
            ) from error
        if is_loss_of_a_process(error):
            raise GoemoError(
                "another process of the run was lost",
                f"Start all of them again, with the same launcher: {run.again}",
            ) from error
        raise


def check_shared(directory: Path, world: World) -> None:
    """Refuse to start where a process does not see what the main one writes."""
    world.wait()
    if not (directory / "run.json").exists():
        raise GoemoError(
            f"process {world.rank} does not see {directory}, which the first one made",
            "Give an --output on a disk that all machines share",
        )
