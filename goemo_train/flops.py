"""How well the device is used: the model's own FLOPs over what its matrix products reach."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

MEASURED_FOR = 0.3  # seconds


def training_flops(plain: Any, lengths: npt.NDArray[np.int64]) -> float:
    """FLOPs of training once on texts of these lengths in tokens, padding not counted.

    6 a parameter and token for the linear layers, forward and backward, and 12 x layers x width
    x length^2 for attention: Chowdhery et al. 2022 (PaLM), appendix B. The head counts as if it
    saw every token, which is under 1%.
    """
    linear: int = sum(m.weight.numel() for m in plain.modules() if isinstance(m, nn.Linear))
    layers, width = int(plain.config.num_hidden_layers), int(plain.config.hidden_size)
    squared = float((lengths.astype(np.float64) ** 2).sum())
    return 6.0 * linear * float(lengths.sum()) + 12.0 * layers * width * squared


@torch.inference_mode()
def matmul_flops(device: torch.device, kind: torch.dtype) -> float:
    """FLOPs a second of a large matrix product on this device, best of many.

    Measured, since data sheets leave out most devices and all CPUs; a GPU reaches some 80% of
    its sheet. The best of short products is what the device can do, though others use it too.
    """
    n = 8192 if device.type == "cuda" else 512
    a, b = torch.ones(n, n, dtype=kind, device=device), torch.ones(n, n, dtype=kind, device=device)
    (a @ b)[0, 0].item()  # warms up
    best, begun = float("inf"), time.perf_counter()
    while (started := time.perf_counter()) < begun + MEASURED_FOR:
        (a @ b)[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - started)
    return 2.0 * n**3 / best
