"""One process by itself: its device, its share, and what it refuses to do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch.distributed as dist
from accelerate import DistributedType
from accelerate.state import AcceleratorState
from torch._C._distributed_c10d import HashStore

from goemo_report.errors import SettingsError
from goemo_train.config import TrainConfig
from goemo_train.processes import Distributed, is_loss_of_a_process


@pytest.fixture
def group() -> Iterator[None]:
    """A group of this process alone."""
    dist.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def fresh() -> Iterator[None]:
    """accelerate as in a process that has not asked it for anything."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_a_process_computes_its_share_at_once_or_less() -> None:
    processes = Distributed()
    assert processes.texts_at_once(TrainConfig(batch_size=25)) == 25
    assert processes.texts_at_once(TrainConfig(batch_size=25, micro_batch_size=8)) == 8
    assert processes.texts_at_once(TrainConfig(batch_size=25, micro_batch_size=64)) == 25
    processes.size = 2
    assert processes.texts_at_once(TrainConfig(batch_size=25)) == 13
    assert processes.texts_at_once(TrainConfig(batch_size=64, micro_batch_size=32)) == 32
    assert processes.texts_at_once(TrainConfig(batch_size=64, micro_batch_size=33)) == 32


@pytest.mark.parametrize(("value", "kind"), [("true", "cpu"), ("True", "cpu"), ("False", "cuda")])
def test_accelerate_may_ask_for_the_cpu(
    fresh: None, monkeypatch: pytest.MonkeyPatch, value: str, kind: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("ACCELERATE_USE_CPU", value)
    assert Distributed().device.type == kind


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


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("ACCELERATE_MIXED_PRECISION", "fp16", "NO, fp16 and 1 accumulated"),
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "NO, no and 4 accumulated"),
        ("ACCELERATE_USE_DEEPSPEED", "true", "accelerate: "),
    ],
)
def test_what_is_not_done_is_refused(
    fresh: None, monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=told):
        Distributed()


def test_sharding_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.Accelerator.distributed_type", DistributedType.FSDP)
    with pytest.raises(SettingsError, match="FSDP"):
        Distributed()
