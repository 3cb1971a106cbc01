"""Losses against values counted by hand, and at the ends of the scale."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from goemo_report.errors import SettingsError
from goemo_train.config import TrainConfig
from goemo_train.optimiser import choose_loss

CPU = torch.device("cpu")
NAMES = ("bce", "balanced-bce", "weighted-bce")


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def loss_of(name: Any) -> Any:
    truth = np.array([[1, 0], [0, 0], [1, 1], [1, 0]], np.bool_)
    return choose_loss(TrainConfig(loss=name), truth, CPU)


def test_by_hand() -> None:
    logits, targets = tensor([[logit(0.8), logit(0.3)]]), tensor([[1.0, 0.0]])
    plain = -math.log(0.8) - math.log(0.7)
    assert loss_of("bce")(logits, targets).item() == pytest.approx(plain, abs=1e-12)
    # 3.5 and 1.5 positives: their roots' inverses are 1 on average
    common, rare = 3.5**-0.5, 1.5**-0.5
    balanced = 2 * (-common * math.log(0.8) - rare * math.log(0.7)) / (common + rare)
    assert loss_of("balanced-bce")(logits, targets).item() == pytest.approx(balanced, abs=1e-6)
    # 3.5 positives of 5, 1.5 of 5: roots of 1.5 / 3.5 and 3.5 / 1.5
    weighted = -math.sqrt(1.5 / 3.5) * math.log(0.8) - math.log(0.7)
    assert loss_of("weighted-bce")(logits, targets).item() == pytest.approx(weighted, abs=1e-6)


def test_a_run_with_a_loss_of_before_is_refused() -> None:
    with pytest.raises(SettingsError, match="--loss focal, which is gone"):
        loss_of("focal")


@pytest.mark.parametrize("name", NAMES)
def test_is_finite_at_large_logits(name: str) -> None:
    logits = torch.tensor([[-200.0, 200.0], [200.0, -200.0]], requires_grad=True)
    loss = loss_of(name)(logits, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    loss.backward()
    assert logits.grad is not None
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 0] < 0  # a sure miss is still pulled up
    assert abs(float(logits.grad[1, 1])) < 1e-6  # and what is right is left alone
