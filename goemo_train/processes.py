"""The processes of one run, as accelerate knows them, and the signals that stop them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import broadcast_object_list, gather_object
from accelerate.utils.environment import parse_flag_from_env

from goemo_report.errors import SettingsError
from goemo_train.config import REQUEUE, TrainConfig

PATIENCE = timedelta(hours=1)  # with the main process, which sends a run before the next starts
LAUNCHER_DELAY = 1.0  # seconds after Ctrl-C in which torchrun passes it on once more
_GROUP: list[Any] = []
"""DDP must not be the last to know its group: the destructor would wait for threads that want
the interpreter, which it holds."""


class Distributed:
    """One process alone, or one of as many as `torchrun` or `accelerate launch` started.

    Every process sees the same global batch and takes its share of it, so that a run is the
    same on one machine and on many. Only the main one writes files and talks to W&B. What the
    host knows goes over gloo, which never waits for a GPU and says at once who is gone.
    """

    noted_signal = 0  # the first that came of those that are noted

    def __init__(self) -> None:
        cuda = torch.cuda.is_available() and not parse_flag_from_env("ACCELERATE_USE_CPU")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
            dist.init_process_group(timeout=PATIENCE)  # gloo, and NCCL for what is on GPUs
            _GROUP.append(dist.group.WORLD)
        if not cuda:  # accelerate shards on GPUs alone; on CPUs each process has all weights
            os.environ |= {"ACCELERATE_USE_FSDP": "0", "FSDP_CPU_RAM_EFFICIENT_LOADING": "0"}
        # Static: a layer that the head does not use gets no gradient, and nobody waits for it.
        wrapping = DistributedDataParallelKwargs(static_graph=True)
        try:
            # Training and evaluation have a precision each, so that it is not accelerate's.
            found = Accelerator(cpu=not cuda, mixed_precision="no", kwargs_handlers=[wrapping])
        except (ImportError, ValueError) as error:  # it needs more for what it is asked
            raise SettingsError(f"accelerate: {error}", "Launch without it") from error
        kind, steps = found.distributed_type.value, found.gradient_accumulation_steps
        precision = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
        known = kind in ("NO", "MULTI_CPU", "MULTI_GPU") and precision in ("no", "bf16")
        if not known or steps > 1:
            raise SettingsError(
                f"accelerate asks for {kind}, {precision} and {steps} accumulated steps",
                "Launch DDP in no or bf16 mixed precision; --micro-batch-size saves memory",
            )
        self.accelerator, self.device = found, torch.device(found.device)
        self.rank, self.size = int(found.process_index), int(found.num_processes)
        self.main = self.rank == 0

    def share(self, value: Any) -> Any:
        """The main process's value, in all of them."""
        return broadcast_object_list([value])[0]

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in all of them."""
        return list(gather_object([value]))

    def wait(self) -> None:
        """Until all processes are here."""
        self.gather(None)

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor summed over the processes."""
        total: torch.Tensor = self.accelerator.reduce(tensor, "sum")
        return total

    @contextmanager
    def noting_signals(self) -> Iterator[None]:
        """Note signals in the block instead of ending the process.

        SIGTERM and SIGUSR1 are what Kubernetes and SLURM send before they take a machine. A second
        one interrupts at once, but not the copy of the first that a launcher sends.
        """
        came = 0.0

        def note(number: int, _frame: FrameType | None) -> None:
            nonlocal came
            now = time.monotonic()
            if self.noted_signal and now - came > LAUNCHER_DELAY:
                raise KeyboardInterrupt
            self.noted_signal, came = self.noted_signal or number, came or now

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
        before = [signal.signal(number, note) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def check_signals(self) -> None:
        """Raise Interrupted, in all processes after the same step, once a signal came to one."""
        if number := int(self.accelerator.reduce(torch.tensor(self.noted_signal), "max")):
            raise Interrupted(number)

    def texts_at_once(self, config: TrainConfig) -> int:
        """The most texts of a step that a process computes at once."""
        share = -(-config.batch_size // self.size)
        return min(config.micro_batch_size or share, share)

    def close(self) -> None:
        """Leave the group, once all are done with it."""
        self.wait()
        self.accelerator.end_training()


def is_first_to_fail() -> bool:
    """Whether this process should say why the run failed: the others fail because it did."""
    if not dist.is_initialized():
        return os.environ.get("LOCAL_RANK", "0") == "0"
    try:
        return dist.distributed_c10d._get_default_store().add("goemo-train failed", 1) == 1
    except RuntimeError:  # the store went with the process that failed first
        return False


def is_loss_of_a_process(error: BaseException) -> bool:
    """Whether an error says that another process is gone; gloo's name its place in the source."""
    known = isinstance(error, dist.DistError) or "gloo/transport/" in str(error)
    return dist.is_initialized() and isinstance(error, RuntimeError) and known


class Interrupted(Exception):  # noqa: N818 - what happened, not what is wrong
    """A signal came while training; `again` is the command to go on, `code` the exit code."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code, self.again = 130 if number == signal.SIGINT else REQUEUE, ""
