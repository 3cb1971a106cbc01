"""Why a checkpoint does not give the predictions of its run: the usual mistakes, tried out.

Each hypothesis predicts a sample of the texts as the mistake would have and is judged by how
far that is from the file. One explains the difference when it brings it below the tolerance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from goemo_report.checkpoints.checkpoint import Checkpoint, sigmoid
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.sources.base import Progress, silent

SAMPLE: Final = 192
"""Texts on which hypotheses are tried."""
_COUNT: Final = 10
_MUCH: Final = 5.0
_SHORTEST: Final = 3  # tokens; two of them are special
_SAME: Final = 1e-5
"""Below this no probability counts as another one, however small the tolerance."""
_SHOWN: Final = 4
_UNRELATED: Final = 0.5
_FEW: Final = 0.2


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


@dataclass(eq=False)
class Evidence:
    """What was predicted in the file (n, k) and again (n, k), and how.

    `tolerances` by precision. Mistakes are tried on `sample`, s of the texts: those in `rows`, with
    the probabilities `file` and `now` (s, k). `even` (s,) marks those of the even spread: sizes are
    judged on them, since the others were chosen for theirs.
    """

    checkpoint: Checkpoint
    texts: Sequence[str]
    stated: FloatArray
    logits: FloatArray
    tolerance: float
    tolerances: Mapping[str, float]
    max_length: int
    batch_size: int

    def __post_init__(self) -> None:
        self.predicted = sigmoid(self.logits)
        self.rows = sampled(_by_text(self.predicted - self.stated))
        self.even: BoolArray = np.isin(self.rows, spread(len(self.texts), SAMPLE // 2))
        self.file, self.now = self.stated[self.rows], self.predicted[self.rows]
        self.sample = [self.texts[row] for row in self.rows.tolist()]

    def again(self, texts: Sequence[str] | None = None, **settings: Any) -> FloatArray:
        """Probabilities of them, or of the texts given, predicted with other settings."""
        settings = {"max_length": self.max_length, "batch_size": self.batch_size} | settings
        return sigmoid(self.checkpoint.predict(self.sample if texts is None else texts, **settings))

    def trial(
        self, name: str, finding: str, probabilities: FloatArray, explains: bool | None = None
    ) -> Trial:
        """Compute what is left if these were the probabilities; whether that explains it may be
        known otherwise."""
        left, before = np.abs(probabilities - self.file), np.abs(self.now - self.file)
        helps = explains
        if explains is None:
            explains = bool(left.max() <= self.tolerance)
            helps = explains or left.mean() * _MUCH <= before.mean()
        return Trial(name, finding, float(left.max()), float(left.mean()), explains, bool(helps))


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


# --- The usual mistakes ---------------------------------------------------------------------


def try_all(evidence: Evidence, progress: Progress = silent) -> list[Trial]:
    """Every hypothesis, those that explain the difference first, then by what they leave."""
    trials = []
    for done, trial in enumerate(_trials(evidence), start=1):
        progress("looking for what differs", done, _COUNT)
        trials.append(trial)
    exact = [trial.explains and trial.largest <= evidence.tolerance for trial in trials]
    if any(exact):  # then size proves nothing
        trials = [
            trial if repeats else replace(trial, explains=False, helps=False)
            for trial, repeats in zip(trials, exact, strict=True)
        ]
    return sorted(trials, key=lambda trial: (not trial.explains, trial.mean))


def unexplained(evidence: Evidence) -> str:
    """Name what to suspect when no hypothesis explains the difference."""
    none = "none of the usual mistakes explains it"
    differs = _by_text(evidence.predicted - evidence.stated) > evidence.tolerance
    if differs.mean() <= _FEW:
        return (
            f"{none}, and it is in {np.count_nonzero(differs)} of {len(differs)} rows only: "
            "probably their texts or probabilities were changed in the file"
        )
    together = correlation(evidence.predicted, evidence.stated)
    if together >= _UNRELATED:
        return f"{none}: the checkpoint is probably of another epoch or run than the predictions"
    unknown = evidence.checkpoint.unknown(evidence.texts[:SAMPLE])
    tokens = f", to which {unknown:.0%} of the tokens are unknown" if unknown >= 0.01 else ""
    return (
        f"{none}, and the checkpoint's predictions have little to do with the file's (correlation "
        f"{together:.2f}): suspect the tokenizer{tokens}, whose vocabulary may be another "
        "model's, then weights of another model"
    )


def _trials(evidence: Evidence) -> Iterator[Trial]:
    yield _label_order(evidence)
    yield _row_order(evidence)
    logits = evidence.logits[evidence.rows]
    softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
    yield evidence.trial(
        "softmax",
        "the file has softmax over the labels, not a sigmoid of each",
        softmax / softmax.sum(axis=1, keepdims=True),
    )
    yield _length(evidence)
    yield evidence.trial(
        "tokenizer: case",
        "the file's texts were lower-cased first",
        evidence.again([text.lower() for text in evidence.sample]),
    )
    yield evidence.trial(
        "tokenizer: special tokens",
        "the file's texts had no special tokens",
        evidence.again(special_tokens=False),
    )
    yield evidence.trial(
        "padding",
        f"the file's texts were padded to {evidence.max_length} tokens without attention mask",
        evidence.again(masked=False),
    )
    yield _dropout(evidence)
    for precision in ("bf16", "fp16"):
        yield _half(evidence, precision)


def _label_order(evidence: Evidence) -> Trial:
    """Which output each column of the file is most like; a mistake permutes them."""
    labels = evidence.checkpoint.labels
    apart = np.abs(evidence.file[:, :, None] - evidence.now[:, None, :]).mean(axis=0)
    likest = np.where(
        apart.diagonal() <= apart.min(axis=1), np.arange(len(labels)), apart.argmin(axis=1)
    )
    moved = [
        f"{labels[column]} holds {labels[output]}"
        for column, output in enumerate(likest.tolist())
        if column != output
    ]
    is_permutation = len(set(likest.tolist())) == len(labels)
    if not moved:
        finding = "the labels are in the same order"
    elif likest.tolist() == [labels.index(name) for name in sorted(labels)]:
        finding = "the file's columns are in alphabetical order"
    else:
        more = f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else ""
        finding = f"the file's columns are in another order: {', '.join(moved[:_SHOWN])}{more}"
    explains = None if is_permutation and moved else False
    return evidence.trial("label order", finding, evidence.now[:, likest], explains)


def _row_order(evidence: Evidence) -> Trial:
    """The text whose probabilities each row of the file holds: another one for each row.

    Whatever is wrong, some text is nearer than the row's own; so nothing counts but a
    permutation that leaves no difference.
    """
    everything, file, tolerance = evidence.predicted, evidence.file, evidence.tolerance
    nearest = evidence.rows.copy()
    for place in np.flatnonzero(_by_text(evidence.now - file) > tolerance).tolist():
        nearest[place] = _by_text(everything - file[place]).argmin()
    taken, times = np.unique(nearest, return_counts=True)
    alike = [
        np.count_nonzero(_by_text(everything - everything[row]) <= tolerance)
        for row in taken.tolist()
    ]
    moved = int(np.count_nonzero(nearest != evidence.rows))
    finding = f"{moved} of {len(nearest)} rows sampled hold the probabilities of another text"
    same = _by_text(everything[nearest] - file).max() <= tolerance
    explains = bool(moved and same and (times <= np.asarray(alike)).all())
    return evidence.trial("row order", finding, everything[nearest], explains)


def _length(evidence: Evidence) -> Trial:
    """The length that leaves least.

    Texts that fit into the file's maximum are predicted alike when whole. So it is below the
    length of the shortest text that is not, and the search goes down from there.
    """
    limit = evidence.checkpoint.limit
    asked = min(evidence.max_length, limit)
    lengths = np.minimum(evidence.checkpoint.lengths(evidence.sample), limit)

    def cut(length: int) -> FloatArray:
        found = evidence.now.copy()
        rows = np.flatnonzero(lengths > min(length, asked))
        if len(rows):
            texts = [evidence.sample[row] for row in rows.tolist()]
            found[rows] = evidence.again(texts, max_length=length)
        return found

    whole = cut(limit)
    differs = _by_text(whole - evidence.file) > max(evidence.tolerance, _SAME)
    if not differs.any():
        longest = int(lengths.max())
        finding = f"the file's texts were cut after {longest} tokens or more, not {asked}"
        return evidence.trial("maximum length", finding, whole)
    best, least = asked, evidence.now
    left = float(np.abs(least - evidence.file).mean())
    for length in range(int(lengths[differs].min()) - 1, _SHORTEST - 1, -1):
        if length == asked:
            continue
        found = cut(length)
        mean = float(np.abs(found - evidence.file).mean())
        if mean < left:
            best, least, left = length, found, mean
        elif mean > 2 * left:  # texts are cut that were not
            break
    finding = f"the file's texts were cut after {best} tokens, not {asked}"
    return evidence.trial("maximum length", finding, least)


# --- Mistakes that are noise: known by the size of the differences, not by repeating them ------

_PASSES: Final = 4  # with dropout, each another one
_DROPOUT_RATIO: Final = (0.7, 1.4)
_HALF_RATIO: Final = (0.5, 2.0)  # bf16 weights differ 1.1 times as much as bf16 sums alone
_MOVED: Final = 0.8
_SMALL: Final = 0.25


def _dropout(evidence: Evidence) -> Trial:
    """Dropout is not to be repeated, but known by its size, by what is left of it on average
    over the texts, which is little, and by how far it leaves the order of the texts alone."""
    even = evidence.even
    noise = [(evidence.again(dropout=True) - evidence.now)[even] for _ in range(_PASSES)]
    now, seen = evidence.now[even], (evidence.file - evidence.now)[even]
    size = max(float(np.mean([np.abs(one).mean() for one in noise])), 1e-12)
    steady = float(np.mean([np.abs(one.mean(axis=0)).mean() for one in noise]))
    disorder = max(1.0 - correlation(now + one, now) for one in noise)
    ratio = float(np.abs(seen).mean()) / size
    finding = f"differences are {ratio:.2g} times as large as dropout left on would make them"
    fits = (
        _DROPOUT_RATIO[0] < ratio < _DROPOUT_RATIO[1]
        and float(np.abs(seen.mean(axis=0)).mean()) < 2 * steady
        and 1.0 - correlation(now + seen, now) < 4 * disorder
        and _moves_as_many(seen, noise[0])
        and float(np.abs(evidence.now - evidence.file).max()) > evidence.tolerance
    )
    return evidence.trial("dropout", finding, evidence.now, fits)  # everything is left


def _half(evidence: Evidence, precision: str) -> Trial:
    """Half precision rounds differently on each device: known by its size, or repeated."""
    found = evidence.again(precision=precision)
    trial = evidence.trial("half precision", f"the file was predicted in {precision}", found)
    if trial.explains:
        return trial
    even = evidence.even
    made, seen = (found - evidence.now)[even], (evidence.file - evidence.now)[even]
    ratio = float(np.median(_by_text(seen)) / max(float(np.median(_by_text(made))), 1e-12))
    finding = f"differences are {ratio:.2g} times as large as {precision} makes them here"
    fits = (
        _HALF_RATIO[0] < ratio < _HALF_RATIO[1]
        and float(np.abs(evidence.now - evidence.file).max()) <= evidence.tolerances[precision]
        and _moves_as_many(seen, made)
    )
    return replace(trial, finding=finding, explains=fits, helps=fits or trial.helps)


def _by_text(differences: FloatArray) -> FloatArray:
    """The largest difference of each text, (n,)."""
    largest: FloatArray = np.abs(differences).max(axis=1)
    return largest


def _moves_as_many(seen: FloatArray, made: FloatArray) -> bool:
    """Whether about as many texts moved as the mistake moves, that is nearly all."""
    floor = _SMALL * float(np.median(_by_text(made)))
    moved, expected = (float((_by_text(one) > floor).mean()) for one in (seen, made))
    return moved >= _MOVED * expected
