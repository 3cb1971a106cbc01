"""Losses of multi-label classification, from logits (b, k) and targets (b, k), summed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from goemo_train.config import TrainConfig

FOCAL = (2.0, 2.0, 0.0)  # gamma of positives, of negatives, and clip: Lin et al., ICCV 2017
ASYMMETRIC = (0.0, 4.0, 0.05)  # Ridnik et al., ICCV 2021

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def focused(
    logits: torch.Tensor, targets: torch.Tensor, positive: float, negative: float, clip: float
) -> torch.Tensor:
    """BCE with p^gamma on negatives, (1 - p)^gamma on positives; negatives below `clip` are left.

    All by log-sigmoids, so that neither it nor its gradient overflows at large logits.
    """
    log_p, log_q = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    loss = targets * (positive * log_q).exp() * log_p
    if clip:
        shifted = (log_p.exp() - clip).clamp(min=0.0)
        loss = loss + (1 - targets) * shifted**negative * torch.log1p(-shifted)
    else:
        loss = loss + (1 - targets) * (negative * log_p).exp() * log_q
    return -loss.sum()


def choose(config: TrainConfig, truth: npt.NDArray[np.bool_], device: torch.device) -> Loss:
    """The loss that the settings name; `truth` (n, k) of the training split gives the weights.

    `weighted-bce` weighs positives by the root of negatives over positives: the whole ratio,
    several hundred for the rarest emotion, would drown everything else.
    """
    smooth = config.label_smoothing
    weights = None
    if config.loss == "weighted-bce":
        positives = truth.sum(0) + 0.5
        roots = np.sqrt((len(truth) + 1 - positives) / positives)
        weights = torch.from_numpy(roots).float().to(device)

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        targets = targets * (1 - smooth) + smooth / 2 if smooth else targets
        if config.loss == "focal":
            return focused(logits, targets, *FOCAL)
        if config.loss == "asymmetric":
            return focused(logits, targets, *ASYMMETRIC)
        return functional.binary_cross_entropy_with_logits(
            logits, targets, reduction="sum", pos_weight=weights
        )

    return loss
