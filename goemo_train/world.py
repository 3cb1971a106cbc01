"""The processes of one run: one alone, or as many as torchrun or accelerate started."""

from __future__ import annotations

import os
from copy import deepcopy
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from goemo_report.errors import SettingsError
from goemo_train import launcher, sharding
from goemo_train.config import TrainConfig
from goemo_train.interruption import Interruption
from goemo_train.model import Classifier

_GROUPS: list[Any] = []
"""All groups there were, the newest one that of the hosts. DDP must not be the last to know one:
its destructor would wait, with the interpreter in its hands, for threads of the group that want
the interpreter."""

PATIENCE = timedelta(hours=1)  # with the main process, which sends a run before the next starts


class World:
    """Rank and size by the launcher's environment; the first process is the main one.

    Every process sees the same global batch and takes its share of it, so that a run is the
    same on one machine and on many. Only the main one writes files and talks to W&B.

    There is a group for tensors, and one of the hosts for all else: it has more patience, never
    waits for a GPU, and says at once that a process is gone. A series of runs has the same two:
    others would read, in the launcher's store, the addresses that the first ones left there.
    """

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.main = self.rank == 0
        cuda = torch.cuda.is_available() and not launcher.asks("ACCELERATE_USE_CPU")
        self.sharded = launcher.sharded() and self.size > 1
        if self.size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if cuda else "gloo")
            _GROUPS.append(dist.group.WORLD)
            _GROUPS.append(dist.new_group(backend="gloo", timeout=PATIENCE))
        self._hosts = _GROUPS[-1] if self.size > 1 else None
        local, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if cuda and local >= gpus:
            raise SettingsError(
                f"process {local + 1} of this machine has no GPU", f"Start at most {gpus} here"
            )
        self.device = torch.device(f"cuda:{local}" if cuda else "cpu")
        if cuda:
            torch.cuda.set_device(self.device)
        self._unsharded: Classifier | None = None

    def share(self, value: Any) -> Any:
        """The main process's value, in all of them."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self._hosts)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in all of them."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self._hosts)
        return values

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor, in place, summed over the processes."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier(self._hosts)

    def texts_at_once(self, config: TrainConfig) -> int:
        """The most texts of a step that a process computes at once."""
        share = -(-config.batch_size // self.size)
        return min(config.micro_batch_size or share, share)

    def place(self, classifier: Classifier) -> None:
        """Move it to the device; with FSDP layer by layer, leaving each process its part."""
        if not self.sharded:
            classifier.to(self.device)
            return
        empty = {id(p): nn.Parameter(torch.empty_like(p, device="meta"))
                 for p in classifier.parameters()}  # fmt: skip
        self._unsharded = deepcopy(classifier, empty)  # no weight is copied
        sharding.shard(classifier, self.device, self.size)

    def whole(self, classifier: Classifier) -> Classifier:
        """The classifier as the main process can save it; all processes have to ask for it."""
        if self._unsharded is None:
            return classifier
        weights = sharding.gathered(classifier.state_dict(), keep=self.main)
        if self.main:
            self._unsharded.load_state_dict(weights, assign=True)
        return self._unsharded

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over the processes."""
        if self.size == 1 or self.sharded:  # FSDP averages by itself
            return module
        ids = [self.device.index] if self.device.type == "cuda" else None
        # Static: a layer that the head does not use gets no gradient, and nobody waits for it.
        return nn.parallel.DistributedDataParallel(module, device_ids=ids, static_graph=True)

    def stops(self, stop: Interruption) -> int:
        """The signal that came to any process; all of them stop after the same step."""
        if self.size == 1:
            return stop.signal
        flag = torch.tensor(stop.signal)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX, group=self._hosts)
        return int(flag)

    def close(self) -> None:
        """Leave the group, once all are done with it."""
        if self.size > 1:
            self.wait()
            dist.destroy_process_group()


def speaks() -> bool:
    """Whether this process should say why the run failed: one line is enough for all.

    Whoever fails first says it; the others fail because they lost it, or for the same reason.
    """
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
