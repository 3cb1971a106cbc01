"""The three splits of a data set as arrays, from rows of texts and label ids."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from goemo_report.corpora.tsv import LabelledTexts, check_labels, read_labelled_texts
from goemo_report.errors import DataError
from goemo_report.labels import GOEMOTIONS, SPLIT_SAMPLES, WITHOUT_NEUTRAL
from goemo_report.metrics.arrays import BoolArray

SPLIT_FILES = {"train": "train.tsv", "val": "dev.tsv", "test": "test.tsv"}


@dataclass(frozen=True, slots=True)
class Split:
    """Texts and their (n, k) boolean truth."""

    texts: list[str]
    truth: BoolArray


@dataclass(frozen=True, slots=True)
class Corpus:
    """The three splits, their labels in canonical order, and where they come from.

    `official`: the splits have the sizes of the official data set, neutral texts included.
    """

    train: Split
    val: Split
    test: Split
    labels: tuple[str, ...]
    name: str
    version: str
    official: bool

    def leaked(self) -> dict[str, int]:
        """How many texts of `val` and of `test` stand in the training split as well."""
        known = {text.strip() for text in self.train.texts}
        parts = {"val": self.val, "test": self.test}
        return {name: sum(t.strip() in known for t in p.texts) for name, p in parts.items()}


def read_directory(directory: Path) -> tuple[dict[str, LabelledTexts], str]:
    """The splits below a directory, and a version that follows from their bytes.

    Raises:
        DataError: a file cannot be used; names it and the line.

    """
    check_labels(directory / "labels.txt", GOEMOTIONS.labels)
    splits, digest = {}, hashlib.sha256()
    for split, file in SPLIT_FILES.items():
        splits[split], data = read_labelled_texts(directory / file, len(GOEMOTIONS.labels))
        digest.update(data)
    return splits, f"sha256:{digest.hexdigest()[:16]}"


def corpus_of(
    splits: Mapping[str, LabelledTexts],
    name: str,
    version: str,
    *,
    exclude_neutral: bool = False,
    limit: int = 0,
) -> Corpus:
    """A corpus of the first `limit` (0: all) texts that have a label.

    Raises:
        DataError: a split has no text.

    """
    labels = (WITHOUT_NEUTRAL if exclude_neutral else GOEMOTIONS).labels
    parts = {split: _arrays(rows, len(labels), limit) for split, rows in splits.items()}
    for split, part in parts.items():
        if not part.texts:
            raise DataError(f"the {split} split of {name} has no text", "Add some rows")
    official = {split: len(rows) for split, rows in splits.items()} == SPLIT_SAMPLES and not limit
    return Corpus(**parts, labels=labels, name=name, version=version, official=official)


def _arrays(rows: LabelledTexts, k: int, limit: int) -> Split:
    counts = [len(ids) for _, ids in rows]
    truth = np.zeros((len(rows), len(GOEMOTIONS.labels)), np.bool_)
    flat = np.fromiter(chain.from_iterable(ids for _, ids in rows), np.int64, sum(counts))
    truth[np.repeat(np.arange(len(rows)), counts), flat] = True
    # Neutral is the last label: with k = 27 a text that has nothing else is dropped.
    kept = np.flatnonzero(truth[:, :k].any(1))[: limit or None]
    return Split([rows[row][0] for row in kept], truth[kept, :k])
