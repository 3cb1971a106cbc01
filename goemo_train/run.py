"""A run while it trains: its state, what is saved and restored, and how it ends."""

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
from goemo_train import run_directory
from goemo_train.processes import Distributed, Interrupted, is_loss_of_a_process
from goemo_train.run_directory import Opened, is_full
from goemo_train.setup import Setup
from goemo_train.tracking import Progress, Tracker


@dataclass
class State:
    """Where training stands. `batch` batches of epoch `epoch` (from 1) are done."""

    epoch: int = 1
    batch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_auc: float = -1.0
    training_time: float = 0.0  # seconds
    epoch_time: float = 0.0  # seconds
    losses: list[torch.Tensor] = field(default_factory=list)
    norms: list[torch.Tensor] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Run:
    """A run while it trains: what is saved, restored and logged together."""

    name: str
    directory: Path
    setup: Setup
    distributed: Distributed
    progress: Progress
    tracker: Tracker
    state: State = field(default_factory=State)
    evaluation: dict[str, Any] = field(default_factory=dict)  # what the summary holds of it

    @property
    def best(self) -> Path:
        """The directory of what belongs to the best epoch: its checkpoint and predictions."""
        return run_directory.best_of(self.directory, self.state.best_epoch)

    def warn(self, text: str) -> None:
        """Say once what may be wrong: on the screen, in W&B and in the summary."""
        if text not in self.state.warnings:
            self.state.warnings.append(text)
            self.progress.warn(text)
            self.tracker.alert(text)

    def save(self) -> None:
        """Keep all that `restore` needs, random states of all processes included."""
        cuda = self.distributed.device.type == "cuda"
        mine = (torch.get_rng_state(), torch.cuda.get_rng_state() if cuda else None)
        state, setup, randoms = self.state, self.setup, self.distributed.gather(mine)
        if self.distributed.main:
            kept = {
                "state": vars(state),
                "model": setup.classifier.state_dict(),
                "optimiser": setup.optimiser.state_dict(),
                "random": randoms,
            }
            place, keep = (state.step, state.epoch, state.best_epoch), setup.config.keep_checkpoints
            run_directory.save_state(self.directory, *place, kept, keep)
        self.distributed.wait()  # for the disk, as long as it takes

    def restore(self) -> None:
        """Go back to the newest whole state; log again the epochs that it knows."""
        kept, damaged = run_directory.load_newest_state(self.directory)
        self.distributed.wait()  # all have looked
        for path in damaged:
            self.progress.warn(f"{path.name} is damaged and was passed over")
            path.unlink(missing_ok=True)
        if self.distributed.main:  # not the best of an epoch whose state was not written
            run_directory.keep_best(self.directory)
        if kept is None:
            self.progress.warn("no whole training state is there: training starts again")
            return
        device = self.distributed.device
        self.setup.classifier.load_state_dict(kept["model"])
        self.setup.optimiser.load_state_dict(kept["optimiser"])
        if len(kept["random"]) == self.distributed.size:
            cpu, cuda = kept["random"][self.distributed.rank]
            torch.set_rng_state(cpu)
            if cuda is not None and device.type == "cuda":
                torch.cuda.set_rng_state(cuda)
        else:
            processes = len(kept["random"])
            self.progress.warn(f"the run had {processes} processes: dropout goes on differently")
        self.state = state = State(**kept["state"])
        for values in (state.losses, state.norms):
            values[:] = [value.to(device) for value in values]
        for row in state.history:
            self.tracker.log(row, row["epoch"])

    def log_artifacts(self, evaluation: Mapping[str, Any]) -> None:
        """The guide's four artifacts; the first two alone while nothing is evaluated."""
        config, log = self.setup.config, self.tracker.artifact
        metadata = {
            "model_name": config.model_name,
            "final_test_auc": evaluation.get("test/auc"),
            "final_test_f1": evaluation.get("test/macro_f1"),
            "best_epoch": self.state.best_epoch,
            "training_time_hours": self.state.training_time / 3600,
            "hyperparameters": config.hyperparameters(),
            "random_seed": config.random_seed,
        }
        about = {"model_name": config.model_name, "threshold": config.threshold}
        place = self.directory if evaluation else self.best
        log("checkpoint", self.best / "checkpoint", metadata)
        log("val-predictions", place / "val_predictions.csv", about)
        if evaluation:
            log("test-predictions", place / "test_predictions.csv", about)
            log("per-class-metrics", place / "per_class_metrics.csv", about)

    @contextmanager
    def ended(self) -> Iterator[None]:
        """End the run in W&B after the block: as failed, with what was trained, if it failed."""
        code = 1
        try:
            try:
                yield
                code = 0
            except Interrupted as stopped:  # between two steps: nothing is half done
                self.save()
                code = stopped.code
                raise
        except BaseException as error:
            if self.distributed.main and not is_full(error):
                reached: dict[str, Any] = {"warnings": self.state.warnings}
                if self.best.exists():
                    epochs = len(self.state.history)
                    reached |= {"best_epoch": self.state.best_epoch, "final_epoch": epochs}
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
            if code > 1:  # a launcher that sees one process end ends the others
                self.distributed.wait()


@contextmanager
def explained(run: Opened, distributed: Distributed) -> Iterator[None]:
    """Say in one line what to do about a full disk, too little memory or a lost process."""
    try:
        yield
    except GoemoError:
        raise
    except Interrupted as stopped:
        stopped.again = run.again
        raise
    except BaseException as error:
        if is_full(error):
            what, remedy = f"no room is left for {run.directory}", f"Make some, then: {run.again}"
        elif isinstance(error, torch.OutOfMemoryError):
            size = distributed.texts_at_once(run.config)
            what = f"out of GPU memory with {size} texts at once"
            remedy = f"Try --micro-batch-size {max(1, size // 2)}, which trains the same" + (
                "" if run.config.auto_batch_size else ", or let --auto-batch-size find it"
            )
        elif is_loss_of_a_process(error):
            what = "another process of the run was lost"
            remedy = f"Start all of them again, with the same launcher: {run.again}"
        else:
            raise
        raise GoemoError(what, remedy) from error
