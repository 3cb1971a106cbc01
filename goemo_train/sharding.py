"""Sharded training (FSDP).

Torch's `fully_shard` does the work: FSDP version 2, of which version 1 is the older form of the
same. Each layer of the encoder is gathered when it is needed; what is left, as embeddings and
head, is one more unit.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from goemo_train import launcher
from goemo_train.model import Classifier


def shard(classifier: Classifier, device: torch.device, processes: int) -> None:
    """Leave each process its part of every parameter; its forward gathers what it needs."""
    named = os.environ.get("FSDP_TRANSFORMER_CLS_TO_WRAP", "").split(",")
    lists = [m for m in classifier.modules() if isinstance(m, nn.ModuleList)]
    layers = [m for m in classifier.modules() if type(m).__name__ in named]
    layers = layers or [layer for modules in lists for layer in modules]
    if launcher.asks("FSDP_ACTIVATION_CHECKPOINTING"):
        classifier.plain.gradient_checkpointing_enable({"use_reentrant": False})
    mesh = init_device_mesh(device.type, (processes,))
    for layer in reversed(layers):  # inner ones first
        fully_shard(layer, mesh=mesh, reshard_after_forward=launcher.reshard())
    fully_shard(classifier, mesh=mesh)


def gathered(value: Any, *, keep: bool) -> Any:
    """A state with each sharded tensor gathered on the CPU; None in its place without `keep`.

    All processes have to call it, as one tensor after the other is put together.
    """
    if isinstance(value, DTensor):
        tensor = value.full_tensor()
        return tensor.cpu() if keep else None
    if isinstance(value, dict):
        return {name: gathered(part, keep=keep) for name, part in value.items()}
    if isinstance(value, list):
        return [gathered(part, keep=keep) for part in value]
    return value


def own_part(own: Any, value: Any) -> Any:
    """The part of a whole tensor that this process keeps, where `own` is sharded."""
    if isinstance(own, DTensor) and isinstance(value, torch.Tensor) and value.shape == own.shape:
        return distribute_tensor(value, own.device_mesh, own.placements, src_data_rank=None)
    return value
