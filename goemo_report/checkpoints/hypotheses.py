"""Why a checkpoint does not give the predictions of its run: the usual mistakes, tried out.

Each hypothesis predicts a sample of the texts as the mistake would have and is judged by how
far that is from the file. One explains the difference when it brings it below the tolerance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from goemo_report.checkpoints.checkpoint import Checkpoint, sigmoid
from goemo_report.sources.base import Progress, silent

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

SAMPLE: Final = 192
"""Texts on which hypotheses are tried."""
COUNT: Final = 10
_LENGTHS: Final = (32, 50, 64, 128, 256, 512)
_MUCH: Final = 5.0
_DROPOUT_PASSES: Final = 4
_SHOWN: Final = 4


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
        return {
            "hypothesis": self.name,
            "finding": self.finding,
            "max_difference": self.largest,
            "mean_difference": self.mean,
            "explains": self.explains,
            "helps": self.helps,
        }


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


def sampled(differences: FloatArray, size: int = SAMPLE) -> IntArray:
    """Rows to try hypotheses on, in order: the most different ones and an even spread."""
    rows = len(differences)
    if rows <= size:
        return np.arange(rows)
    worst = np.argsort(-differences, kind="stable")[: size // 2]
    spread = np.linspace(0, rows - 1, size - len(worst)).astype(np.int64)
    return np.unique(np.concatenate([worst, spread]))


def try_all(evidence: Evidence, progress: Progress = silent) -> list[Trial]:
    """Every hypothesis, those that explain the difference first, then by what they leave."""
    trials = []
    for done, trial in enumerate(_trials(evidence), start=1):
        progress("looking for what differs", done, COUNT)
        trials.append(trial)
    return sorted(trials, key=lambda trial: (not trial.explains, trial.mean))


def _trials(evidence: Evidence) -> Iterator[Trial]:
    differences = np.abs(sigmoid(evidence.logits) - evidence.stated)
    rows = sampled(differences.max(axis=1))
    stated, logits = evidence.stated[rows], evidence.logits[rows]
    texts = [evidence.texts[row] for row in rows.tolist()]
    judge = _Judge(stated, sigmoid(logits), evidence.tolerance)
    yield _label_order(judge, evidence.checkpoint.labels)
    yield _row_order(judge, evidence, rows)
    softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
    yield judge.trial(
        "softmax",
        "the file has softmax over the labels, not a sigmoid of each",
        softmax / softmax.sum(axis=1, keepdims=True),
    )

    def again(texts: Sequence[str] = texts, **settings: Any) -> FloatArray:
        settings = {"max_length": evidence.max_length, "batch_size": evidence.batch_size} | settings
        return sigmoid(evidence.checkpoint.predict(texts, **settings))

    yield _length(judge, evidence, again)
    yield judge.trial(
        "tokenizer: case",
        "the file's texts were lower-cased first",
        again([text.lower() for text in texts]),
    )
    yield judge.trial(
        "tokenizer: special tokens",
        "the file's texts had no special tokens",
        again(special_tokens=False),
    )
    yield judge.trial(
        "padding",
        f"the file's texts were padded to {evidence.max_length} tokens without attention mask",
        again(masked=False),
    )
    yield _dropout(judge, again)
    for precision in ("bf16", "fp16"):
        yield _half(judge, precision, evidence.tolerances[precision], again)


@dataclass(frozen=True, eq=False, slots=True)
class _Judge:
    stated: FloatArray
    now: FloatArray
    tolerance: float

    @property
    def before(self) -> FloatArray:
        return np.abs(self.now - self.stated)

    def trial(
        self, name: str, finding: str, probabilities: FloatArray, *, explains: bool | None = None
    ) -> Trial:
        left = np.abs(probabilities - self.stated)
        if explains is None:
            explains = bool(left.max() <= self.tolerance)
        helps = explains or bool(left.mean() * _MUCH <= self.before.mean())
        return Trial(name, finding, float(left.max()), float(left.mean()), explains, helps)


def _label_order(judge: _Judge, labels: tuple[str, ...]) -> Trial:
    """Which output each column of the file is most like; a mistake permutes them."""
    apart = np.abs(judge.stated[:, :, None] - judge.now[:, None, :]).mean(axis=0)
    likest = np.where(
        apart.diagonal() <= apart.min(axis=1), np.arange(len(labels)), apart.argmin(axis=1)
    )
    moved = [
        f"{labels[column]} holds {labels[output]}"
        for column, output in enumerate(likest.tolist())
        if column != output
    ]
    more = f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
    is_permutation = len(set(likest.tolist())) == len(labels)
    by_alphabet = [labels.index(name) for name in sorted(labels)]
    if not moved:
        finding = "the labels are in the same order"
    elif is_permutation and likest.tolist() == by_alphabet:
        finding = "the file's columns are in alphabetical order"
    else:
        finding = f"the file's columns are in another order: {', '.join(moved[:_SHOWN])}{more}"
    trial = judge.trial("label order", finding, judge.now[:, likest])
    if is_permutation and moved:
        return trial
    return Trial(trial.name, trial.finding, trial.largest, trial.mean, False, False)


def _row_order(judge: _Judge, evidence: Evidence, rows: IntArray) -> Trial:
    """The text whose probabilities each row of the file is most like."""
    everything = sigmoid(evidence.logits)
    nearest = np.array([int(np.abs(everything - row).max(axis=1).argmin()) for row in judge.stated])
    moved = int(np.count_nonzero(nearest != rows))
    finding = f"{moved} of {len(rows)} rows sampled hold the probabilities of another text"
    return judge.trial("row order", finding, everything[nearest])


def _length(judge: _Judge, evidence: Evidence, again: Callable[..., FloatArray]) -> Trial:
    """The length that leaves least; short texts may not tell it from longer ones."""
    limit = evidence.checkpoint.limit
    lengths = sorted({n for n in (*_LENGTHS, limit) if n <= limit} - {evidence.max_length})
    found = {n: again(max_length=n) for n in lengths or [limit]}
    left = {n: float(np.abs(p - judge.stated).mean()) for n, p in found.items()}
    best = min(found, key=lambda n: (left[n] > min(left.values()) + judge.tolerance / 10, n))
    alike = any(n > best and np.allclose(p, found[best], atol=1e-6) for n, p in found.items())
    more = " or more" if alike else ""
    finding = f"the file's texts were cut after {best} tokens{more}, not {evidence.max_length}"
    return judge.trial("maximum length", finding, found[best])


def _dropout(judge: _Judge, again: Callable[..., FloatArray]) -> Trial:
    """Dropout is noise: not to be repeated, but known by its size and by what is left of it
    on average over the texts, which is little."""
    noise = [again(dropout=True) - judge.now for _ in range(_DROPOUT_PASSES)]
    size = max(float(np.mean([np.abs(one).mean() for one in noise])), 1e-12)
    steady = float(np.mean([np.abs(one.mean(axis=0)).mean() for one in noise]))
    seen = judge.stated - judge.now
    ratio = float(judge.before.mean() / size)
    bias = float(np.abs(seen.mean(axis=0)).mean())
    finding = f"differences are {ratio:.2g} times as large as dropout left on would make them"
    fits = 0.7 < ratio < 1.4 and bias < 2 * steady and judge.before.max() > judge.tolerance
    mean = float(judge.before.mean())
    return Trial("dropout", finding, float(judge.before.max()), mean, bool(fits), bool(fits))


def _half(
    judge: _Judge, precision: str, tolerance: float, again: Callable[..., FloatArray]
) -> Trial:
    """Half precision rounds differently on each device: known by its size, or repeated."""
    found = again(precision=precision)
    size = float(np.abs(found - judge.now).mean())
    ratio = float(judge.before.mean()) / max(size, 1e-12)
    repeated = float(np.abs(found - judge.stated).max()) <= judge.tolerance
    alike = 0.3 < ratio < 3 and float(judge.before.max()) <= tolerance
    finding = f"differences are {ratio:.2g} times as large as {precision} makes them here"
    if repeated:
        finding = f"the file was predicted in {precision}"
    return judge.trial("half precision", finding, found, explains=repeated or alike)
