"""Sharded training (FSDP), as `accelerate launch` and its configuration file ask for it.

They do so by environment variables. Torch's `fully_shard` does the work: FSDP version 2, of
which version 1 is the older form of the same. Each layer of the encoder is gathered when it
is needed; what is left, as embeddings and head, is one more unit.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from goemo_report.errors import SettingsError
from goemo_train.model import Classifier

_OTHER = ("DEEPSPEED", "MEGATRON_LM", "PARALLELISM_CONFIG")
_NOT_DONE = ("FSDP_OFFLOAD_PARAMS", "FSDP_ACTIVATION_CHECKPOINTING_OFFLOAD", "FSDP_IGNORED_MODULES")
_RESHARD = {"full_shard": True, "1": True, "true": True,
            "shard_grad_op": False, "2": False, "false": False}  # fmt: skip


def wanted() -> bool:
    """Whether accelerate asks for FSDP.

    Raises:
        SettingsError: it asks for what is not done here.

    """
    sharded = asks("ACCELERATE_USE_FSDP")
    names = [name for name in (f"ACCELERATE_USE_{part}" for part in _OTHER) if asks(name)]
    names += [name for name in _NOT_DONE if sharded and asks(name)]
    strategy = _strategy()
    if sharded and _value(strategy, "true") not in _RESHARD:
        names.append(strategy)
    if _value("ACCELERATE_MIXED_PRECISION", "no") not in ("no", "bf16"):
        names.append("ACCELERATE_MIXED_PRECISION")
    if names:
        raise SettingsError(
            f"accelerate sets {names[0]}={os.environ[names[0]]}, which goemo-train does not do",
            "Launch without it: DDP, fully sharded FSDP and bf16 are supported",
        )
    if sharded:  # or transformers would leave the weights of all but the first process empty
        os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    return sharded


def shard(classifier: Classifier, device: torch.device, processes: int) -> None:
    """Leave each process its part of every parameter; its forward gathers what it needs."""
    named = os.environ.get("FSDP_TRANSFORMER_CLS_TO_WRAP", "").split(",")
    lists = [m for m in classifier.modules() if isinstance(m, nn.ModuleList)]
    layers = [m for m in classifier.modules() if type(m).__name__ in named]
    layers = layers or [layer for modules in lists for layer in modules]
    if asks("FSDP_ACTIVATION_CHECKPOINTING"):
        classifier.plain.gradient_checkpointing_enable({"use_reentrant": False})
    mesh = init_device_mesh(device.type, (processes,))
    for layer in reversed(layers):  # inner ones first
        fully_shard(layer, mesh=mesh, reshard_after_forward=_RESHARD[_value(_strategy(), "true")])
    fully_shard(classifier, mesh=mesh)


def whole(value: Any, *, keep: bool) -> Any:
    """A state with each sharded tensor gathered on the CPU; None in its place without `keep`.

    All processes have to call it, as one tensor after the other is put together.
    """
    if isinstance(value, DTensor):
        tensor = value.full_tensor()
        return tensor.cpu() if keep else None
    if isinstance(value, dict):
        return {name: whole(part, keep=keep) for name, part in value.items()}
    if isinstance(value, list):
        return [whole(part, keep=keep) for part in value]
    return value


def cut_as(own: Any, value: Any) -> Any:
    """The part of a whole tensor that this process keeps, where `own` is sharded."""
    if isinstance(own, DTensor) and isinstance(value, torch.Tensor) and value.shape == own.shape:
        return distribute_tensor(value, own.device_mesh, own.placements, src_data_rank=None)
    return value


def _strategy() -> str:
    old = _value("FSDP_VERSION", "1") == "1"
    return "FSDP_SHARDING_STRATEGY" if old else "FSDP_RESHARD_AFTER_FORWARD"


def _value(name: str, default: str) -> str:
    return os.environ.get(name, default).lower()


def asks(name: str) -> bool:
    """Whether accelerate sets this variable to yes."""
    return _value(name, "") not in ("", "0", "false", "no", "none")
