"""What is told while a run trains: to a person on the terminal, and to Weights & Biases.

W&B is logged to as the guide writes it; nothing else of the trainer imports it. Everything of
an experiment stays below one directory: run logs in `wandb/`, staged artifact files in
`artifacts/staging/`, results beside them. `WANDB_DIR` and `WANDB_DATA_DIR` move the first two.
"""

from __future__ import annotations

import atexit
import os
import platform
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import torch
import transformers
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from goemo_report import contract
from goemo_report.api.recording import log_artifact
from goemo_report.contract import Role
from goemo_report.errors import GoemoError
from goemo_train.config import Mode, TrainConfig

PLAIN_INTERVAL = 15.0  # seconds between plain lines
BAR_INTERVAL = 0.5


class Progress:
    """Notes, bars and lines on standard error: bars on a terminal, plain lines elsewhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, quiet=quiet)
        self.plain = not self.console.is_terminal or "NO_COLOR" in os.environ

    def note(self, text: str, style: str = "") -> None:
        """Say what is being done."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def warn(self, text: str) -> None:
        """Say what may be wrong."""
        self.note(f"warning: {text}", "yellow")

    @contextmanager
    def epoch(
        self, epoch: int, epochs: int, batches: int, done: int
    ) -> Iterator[Callable[[int, torch.Tensor], None]]:
        """Show the batches of an epoch; what it gives is called after each of them.

        The loss is fetched from the device only when it is shown.
        """
        started = shown = time.perf_counter()
        seen = 0
        label, interval = f"epoch {epoch}/{epochs}", PLAIN_INTERVAL if self.plain else BAR_INTERVAL
        columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(),
                   TextColumn("{task.description}"), TimeRemainingColumn())  # fmt: skip
        with Bars(*columns, console=self.console, disable=self.plain, transient=True) as bars:
            task = bars.add_task("", total=batches, completed=done)

            def show(texts: int, loss: torch.Tensor) -> None:
                nonlocal shown, seen, done
                seen, done, now = seen + texts, done + 1, time.perf_counter()
                if now - shown < interval:
                    return
                shown, rate = now, seen / (now - started)
                about = f"loss {loss.item():.4f}, {rate:.0f} texts/s"
                if self.plain:
                    left = (batches - done) * texts / rate
                    self.note(f"{label}: batch {done}/{batches}, {about}, {left:.0f} s left")
                bars.update(task, completed=done, description=about)

            yield show


def run_config(config: TrainConfig, measured: Mapping[str, Any]) -> dict[str, Any]:
    """The guide's whole config schema and system keys, then the trainer's other settings.

    `measured` holds what only the model and the data know: `model_params`, `num_labels`,
    the data set's name, version and sizes.
    """
    cuda = torch.cuda.is_available()
    system = {
        "system/platform": platform.platform(),
        "system/python_version": platform.python_version(),
        "system/pytorch_version": str(torch.__version__),
        "system/cuda_available": cuda,
        "system/cuda_version": torch.version.cuda if cuda else None,
        "system/gpu_count": torch.cuda.device_count() if cuda else 0,
        "system/gpu_name": torch.cuda.get_device_name(0) if cuda else None,
        "system/transformers_version": transformers.__version__,
    }
    known = {
        **config.hyperparameters(),
        **measured,
        "model_name": config.model_name,
        "gpu_type": system["system/gpu_name"] or "cpu",
        "cuda_version": system["system/cuda_version"] or "none",
        "pytorch_version": system["system/pytorch_version"],
        "transformers_version": system["system/transformers_version"],
    }
    schema = {key.name: key.type(known.pop(key.name)) for key in contract.CONFIG_KEYS}
    return {**schema, **system, **known, "phase": config.phase, "status": config.status}


class Tracker:
    """One W&B run, or with mode `disabled` none at all."""

    stuck: ClassVar[bool] = False  # wandb still waits, for this run or for one before

    def __init__(
        self, config: TrainConfig, logged: Mapping[str, Any], name: str, run_id: str
    ) -> None:
        """Begin a run, or continue the one with this id when the settings say so.

        Raises:
            GoemoError: W&B refuses it or cannot be reached.

        """
        self.run: Any = None
        self.config, self.run_id, self.unsent = config, run_id, False
        self._said: list[tuple[str, tuple[Any, ...]]] = []
        if config.wandb_mode == "disabled":
            return
        import wandb

        directory = Path(os.environ.get("WANDB_DIR") or config.output).resolve()
        directory.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("WANDB_DATA_DIR", str(directory))
        try:
            self.run = wandb.init(
                project=config.project, entity=config.entity or None, dir=directory, id=run_id,
                name=name, tags=config.tags, config=dict(logged), mode=config.wandb_mode,
                resume="allow" if config.resume else None, job_type=config.phase,
            )  # fmt: skip
        except wandb.Error as error:
            raise GoemoError(
                f"W&B cannot start the run: {' '.join(str(error).split()).rstrip('.')}",
                "Run `wandb login`, check host, entity and project, or use --wandb-mode offline "
                "(sync later) or disabled",
            ) from error
        if config.resume and self.run.offline:
            # The new log tells the whole run. Were the old one, cut off by the kill, synced as
            # well, its epochs would be there twice.
            for old in (directory / "wandb").glob(f"offline-run-*-{run_id}"):
                if old != Path(self.run.dir).parent:
                    old.rename(old.with_name(f"superseded-{old.name}"))

    def settled(self) -> TrainConfig:
        """The settings with the mode, entity and project that W&B took, to resume in."""
        if self.run is None:
            return replace(self.config, wandb_mode="disabled")
        mode: Mode = "offline" if self.run.offline else "online"
        entity = self.config.entity if self.run.offline else str(self.run.entity)
        return replace(self.config, wandb_mode=mode, entity=entity)

    @property
    def offline(self) -> bool:
        """Whether the run is logged to disk for a later sync."""
        return self.run is not None and (self.unsent or bool(self.run.offline))

    @property
    def where(self) -> str:
        """The run's page, or the directory of its log; empty when disabled."""
        if self.run is None or not self.offline:
            return "" if self.run is None else str(self.run.url)
        own = Path(self.run.dir).parent
        written = own.parent.glob(f"offline-run-*-{self.run_id}") if self.unsent else ()
        return str(max(written, default=own))

    def log(self, row: Mapping[str, Any], step: int) -> None:
        """Log one step, and commit it at once so that a kill afterwards cannot lose it.

        A resumed run may hold the step already: it is not logged twice.
        """
        self._said.append(("log", (row, step)))
        if self.run is not None and (self.offline or step >= self.run.starting_step):
            self.run.log(dict(row), step=step, commit=True)

    def summarise(self, values: Mapping[str, Any]) -> None:
        """Set summary values."""
        self._said.append(("summarise", (values,)))
        if self.run is not None:
            self.run.summary.update(dict(values))

    def artifact(self, role: Role, path: Path, metadata: Mapping[str, Any]) -> None:
        """Log a file, or all files of a directory, as the guide's artifact of this role."""
        self._said.append(("artifact", (role, path, metadata)))
        if self.run is not None and not self.unsent:
            import wandb

            try:
                log_artifact(self.run, role, path, metadata)
            except wandb.Error:
                self.unsent = True

    def alert(self, text: str) -> None:
        """Send a warning through W&B."""
        if self.run is not None:
            self.run.alert(f"goemo-train: {self.run.name}", text, level="WARN")

    def finish(self, exit_code: int) -> None:
        """End the run: 0 is finished, anything else failed.

        wandb waits for ever for a server that is gone, and its log of an online run has no
        artifacts. Here, after WANDB_FINISH_TIMEOUT seconds (60) without answer, or at Ctrl-C,
        the whole run is written once more as an offline run, and `unsent` is set.
        """
        if self.run is None:
            return
        done = Thread(target=self.run.finish, kwargs={"exit_code": exit_code}, daemon=True)
        done.start()
        patience = float(os.environ.get("WANDB_FINISH_TIMEOUT") or 60)
        answered = time.monotonic()
        try:
            while done.is_alive() and time.monotonic() - answered < patience:
                done.join(5)
                if self.run.offline or _answers(self.run.settings.base_url):
                    answered = time.monotonic()
        except KeyboardInterrupt:
            pass
        if done.is_alive():
            self.unsent = Tracker.stuck = True
            atexit.register(leave, 1)  # should a traceback come; wandb's own would wait again
        if self.unsent:  # in a process of its own, where the run's id is not in use
            os.environ.pop("WANDB_SERVICE", None)
            config = replace(self.config, wandb_mode="offline", resume="")
            said = (dict(self.run.config.as_dict()), self.run.name, self.run_id, self._said)
            writer = get_context("spawn").Process(
                target=_write_offline, args=(config, *said, exit_code)
            )
            writer.start()
            writer.join()
            if writer.exitcode:
                raise GoemoError(
                    "W&B did not get everything, and no offline run could be written",
                    f"The results lie in {self.config.output}",
                )


def _write_offline(
    config: TrainConfig, logged: Mapping[str, Any], name: str, run_id: str,
    said: list[tuple[str, tuple[Any, ...]]], exit_code: int,
) -> None:  # fmt: skip
    copy = Tracker(config, logged, name, run_id)
    for method, arguments in said:
        getattr(copy, method)(*arguments)
    copy.finish(exit_code)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - the user's own setting
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


def leave(exit_code: int) -> None:
    """End the process at once, whatever threads and clients wait for."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
