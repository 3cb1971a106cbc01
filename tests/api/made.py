"""Made-up predictions for the tests of the API, the same every time."""

from __future__ import annotations

from typing import Any

import numpy as np

from goemo_report.labels import EMOTIONS


def made(seed: int, rows: int = 300, labels: tuple[str, ...] = EMOTIONS) -> tuple[Any, Any]:
    """Truth and probabilities, (rows, k); the truth is that of every other seed."""
    truth = np.random.default_rng(0).random((rows, len(labels))) < 0.15
    noise = np.random.default_rng(seed).normal(size=truth.shape)
    return truth, (1 / (1 + np.exp(2 - 2.5 * truth - noise))).round(4)
