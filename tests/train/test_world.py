"""One process by itself: its device, its share, and how it places a model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch._C._distributed_c10d import HashStore
from torch.distributed.tensor import DTensor

from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.world import World, is_loss_of_a_process


@pytest.fixture
def group() -> Iterator[None]:
    """A group of this process alone."""
    dist.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_a_process_computes_its_share_at_once_or_less() -> None:
    world = World()
    assert world.texts_at_once(TrainConfig(batch_size=25)) == 25
    assert world.texts_at_once(TrainConfig(batch_size=25, micro_batch_size=8)) == 8
    assert world.texts_at_once(TrainConfig(batch_size=25, micro_batch_size=64)) == 25
    world.size = 2
    assert world.texts_at_once(TrainConfig(batch_size=25)) == 13
    assert world.texts_at_once(TrainConfig(batch_size=64, micro_batch_size=32)) == 32
    assert world.texts_at_once(TrainConfig(batch_size=64, micro_batch_size=33)) == 32


@pytest.mark.parametrize(("value", "kind"), [("true", "cpu"), ("True", "cpu"), ("False", "cuda")])
def test_accelerate_may_ask_for_the_cpu(
    monkeypatch: pytest.MonkeyPatch, value: str, kind: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.set_device", lambda device: None)
    monkeypatch.setenv("ACCELERATE_USE_CPU", value)
    assert World().device.type == kind


LOST = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer"


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError(LOST), True),
        (dist.DistBackendError("NCCL communicator was aborted"), True),
        (RuntimeError("Parent directory /home/igloo/runs does not exist."), False),
        (FileNotFoundError(2, "No such file", "/home/gloo/transport/state.part"), False),
    ],
)
def test_a_lost_process_is_told_from_other_errors(
    group: None, error: Exception, lost: bool
) -> None:
    assert is_loss_of_a_process(error) == lost


def test_who_is_alone_loses_nobody() -> None:
    assert not is_loss_of_a_process(RuntimeError(LOST))


def test_a_sharded_model_is_neither_copied_nor_moved_as_a_whole(
    group: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(model="tiny-bert", dataset="demo", limit=9)
    classifier, _ = model.load(config, data.load_corpus(config).labels)
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    world = World()
    world.sharded = True

    def refuse(*_: object) -> None:
        raise AssertionError("the whole model at once")

    monkeypatch.setattr(nn.Module, "to", refuse)
    monkeypatch.setattr(nn.Parameter, "__deepcopy__", refuse)
    world.place(classifier)
    assert all(isinstance(parameter, DTensor) for parameter in classifier.parameters())
    after = world.whole(classifier).export().state_dict()
    assert {f"plain.{name}" for name in after} == before.keys()
    assert all(torch.equal(after[name.removeprefix("plain.")], before[name]) for name in before)
