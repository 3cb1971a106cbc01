"""What a hypothesis about a difference is tried on, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from goemo_report.checkpoints.checkpoint import Checkpoint
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray

Again: TypeAlias = Callable[..., FloatArray]
"""Predicts the sampled texts, or those given, with other settings: probabilities (n, k)."""

SAMPLE: Final = 192
"""Texts on which hypotheses are tried."""
_MUCH: Final = 5.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One hypothesis: the differences that are left under it, and what it comes to.

    `explains`: what is left is below the tolerance, or, for noise, of the size expected.
    `helps`: it is a fifth or less of what it was.
    """

    name: str
    finding: str
    largest: float
    mean: float
    explains: bool
    helps: bool

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        about = {"hypothesis": self.name, "finding": self.finding}
        left = {"max_difference": self.largest, "mean_difference": self.mean}
        return {**about, **left, "explains": self.explains, "helps": self.helps}


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """What was predicted in the file (n, k) and again (n, k), and how.

    `tolerances` by precision.
    """

    checkpoint: Checkpoint
    texts: Sequence[str]
    stated: FloatArray
    logits: FloatArray
    tolerance: float
    tolerances: Mapping[str, float]
    max_length: int
    batch_size: int


def spread(rows: int, size: int) -> IntArray:
    """At most `size` rows, evenly spread over all."""
    return np.unique(np.linspace(0, rows - 1, min(rows, size)).astype(np.int64))


def sampled(differences: FloatArray, size: int = SAMPLE) -> IntArray:
    """Rows to try hypotheses on, in order: the most different ones and an even spread."""
    rows = len(differences)
    if rows <= size:
        return np.arange(rows)
    worst = np.argsort(-differences, kind="stable")[: size // 2]
    return np.unique(np.concatenate([worst, spread(rows, size - len(worst))]))


def correlation(first: FloatArray, second: FloatArray) -> float:
    """How the probabilities (n, k) of two predictions go together over the texts: Pearson's r
    of all labels at once, each about its own mean; 0 where one of them never changes."""
    first, second = first - first.mean(axis=0), second - second.mean(axis=0)
    size = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / size if size > 0 else 0.0


@dataclass(frozen=True, eq=False, slots=True)
class Judge:
    """The sampled rows in the file and predicted again (n, k).

    `even` (n,) marks those of the even spread: sizes are judged on them, since the others were
    chosen for theirs.
    """

    stated: FloatArray
    now: FloatArray
    tolerance: float
    even: BoolArray

    @property
    def before(self) -> FloatArray:
        """What is to be explained, (n, k)."""
        return np.abs(self.now - self.stated)

    def trial(
        self, name: str, finding: str, probabilities: FloatArray, *, explains: bool | None = None
    ) -> Trial:
        """What is left if the file's probabilities were these."""
        left = np.abs(probabilities - self.stated)
        if explains is None:
            explains = bool(left.max() <= self.tolerance)
        helps = explains or bool(left.mean() * _MUCH <= self.before.mean())
        return Trial(name, finding, float(left.max()), float(left.mean()), explains, helps)

    def by_size(self, name: str, finding: str, explains: bool) -> Trial:
        """A mistake that cannot be repeated, so that everything is left."""
        before = self.before
        return Trial(
            name, finding, float(before.max()), float(before.mean()), bool(explains), bool(explains)
        )
