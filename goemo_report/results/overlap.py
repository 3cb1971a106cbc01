"""Texts that stand in a split more than once, or in two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from goemo_report.contract import LEAK_LIMIT, Split
from goemo_report.formats.wording import plural
from goemo_report.results import RunResult, SplitResult


@dataclass(frozen=True, slots=True)
class Overlap:
    """Texts that occur more than once, by their exact characters.

    `repeated` rows of each split repeat an earlier row of it; `conflicting` of these carry
    other true labels than the first. `leaked` rows of the test split are also in validation.
    """

    repeated: Mapping[Split, int]
    conflicting: Mapping[Split, int]
    leaked: int | None
    leaked_with_labels: int | None


def overlap(splits: Mapping[Split, SplitResult]) -> Overlap:
    """Repeated texts within the splits of a run, and between them where both are there.

    `leaked_with_labels` counts the leaked rows that also carry the same labels in validation.
    """
    held = ((split, found.predictions) for split, found in splits.items())
    return _overlap(*((split, one.texts, one.truth.tobytes()) for split, one in held))


@lru_cache(maxsize=4)
def _overlap(*splits: tuple[Split, tuple[str, ...], bytes]) -> Overlap:
    """Count overlaps of texts and bytes of labels; cached, as many runs share their data."""
    repeated: dict[Split, int] = {}
    conflicting: dict[Split, int] = {}
    rows: dict[Split, list[tuple[str, bytes]]] = {}
    known: dict[Split, dict[str, set[bytes]]] = {}
    for split, texts, truth in splits:
        width = len(truth) // len(texts)
        keys = (truth[start : start + width] for start in range(0, len(truth), width))
        rows[split] = list(zip(texts, keys, strict=True))
        labels: dict[str, set[bytes]] = {}
        again = other = 0
        for text, key in rows[split]:
            if text in labels:
                again += 1
                other += key not in labels[text]
            labels.setdefault(text, set()).add(key)
        repeated[split], conflicting[split], known[split] = again, other, labels
    if len(known) < 2:
        return Overlap(repeated, conflicting, None, None)
    pairs = [(known["val"][text], key) for text, key in rows["test"] if text in known["val"]]
    return Overlap(repeated, conflicting, len(pairs), sum(key in seen for seen, key in pairs))


@dataclass(frozen=True, slots=True)
class Leak:
    """Rows of a split whose texts also stand in another one, `count` of `rows`."""

    split: Split
    other: str
    count: int
    rows: int

    @property
    def large(self) -> bool:
        """Whether it is more than the repeats that short comments bring."""
        return self.count > LEAK_LIMIT * self.rows

    def __str__(self) -> str:
        part = f"{self.count:,} of {plural(self.rows, f'{self.split} text')}"
        return f"{part} ({self.count / self.rows:.0%}) also stand in the {self.other} split"


def leaks(result: RunResult) -> tuple[Leak, ...]:
    """Texts between splits: test in validation as counted here, in training as a run logged it.

    No predictions tell which texts a run was trained on.
    """
    found = []
    for split, held in result.splits.items():
        count = result.run.config.get(f"leaked_{split}_texts")
        if type(count) is int and 0 <= count <= held.rows:
            found.append(Leak(split, "training", count, held.rows))
    return (*found, *leaks_between(result.splits))


def leaks_between(splits: Mapping[Split, SplitResult]) -> tuple[Leak, ...]:
    """Test texts in validation, where both splits are there."""
    between = overlap(splits).leaked
    return () if between is None else (Leak("test", "validation", between, splits["test"].rows),)
