"""A data set by its name, from the hub, a directory or made up: its three splits as arrays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from goemo_report.contract import SPLIT_NAMES
from goemo_report.corpora import demo
from goemo_report.corpora.directory import Found, LabelledTexts, read_directory
from goemo_report.corpora.tables import LABEL_COLUMNS, Columns
from goemo_report.errors import DataError
from goemo_report.formats.wording import plural
from goemo_report.labels import LabelSet, known_data, known_set, known_sets, set_of
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.reading.names import TEXTS


@dataclass(frozen=True, slots=True)
class Split:
    """Texts and their (n, k) boolean truth; of raw ratings also the shares, (n, k), of the raters
    that chose each label."""

    texts: list[str]
    truth: BoolArray
    shares: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Corpus:
    """The three splits, their labels in canonical order, and where they come from.

    `notes` say what was dropped when they were read.

    `official`: the splits have the sizes of the official data set, neutral texts included.
    """

    train: Split
    val: Split
    test: Split
    labels: tuple[str, ...]
    name: str
    version: str
    official: bool
    notes: tuple[str, ...] = ()

    def leaked(self) -> dict[str, int]:
        """How many texts of `val` and of `test` stand in the training split as well."""
        known = {text.strip() for text in self.train.texts}
        parts = {"val": self.val, "test": self.test}
        return {name: sum(t.strip() in known for t in p.texts) for name, p in parts.items()}


def read_corpus(
    dataset: str,
    columns: Columns,
    *,
    taxonomy: str | None = None,
    exclude_neutral: bool = False,
    limit: int = 0,
) -> Corpus:
    """`demo`, a directory, a known data set as `go_emotions`, or `OWNER/NAME` and
    `OWNER/NAME:CONFIG` of the hub, as `corpus_of`.

    Raises:
        DataError: a file or row cannot be used, or the hub cannot be reached.

    """
    name, known = dataset, known_data(dataset)
    if name == "demo":
        found = Found(demo.generate(), tuple(demo.CUES), "1")
    elif Path(name).is_dir():
        found = read_directory(Path(name), columns)
        data = set_of(found.labels).data
        name = data.name if data else Path(name).resolve().name
    elif known is not None and name in (known.name, known.hub):
        found, name = read_hub(f"{known.hub}:{known.config}", columns), known.name
    elif re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w.-]+)?", name) and not name.startswith("."):
        found, name = read_hub(name, columns), name.partition(":")[0]
    else:
        names = dict.fromkeys(one.data.name for one in known_sets() if one.data)
        raise DataError(
            f"--dataset {name} is neither {' nor '.join(names)} nor demo nor a directory nor "
            "OWNER/NAME of the hub",
            "A directory holds train, validation and test as .tsv, .csv, .parquet or .jsonl",
        )
    return corpus_of(found, name, taxonomy=taxonomy, exclude_neutral=exclude_neutral, limit=limit)


def read_hub(name: str, columns: Columns) -> Found:
    """A data set of the hub, `owner/name` or `owner/name:config`, with class labels."""
    path, _, part = name.partition(":")
    try:
        import datasets

        found = datasets.load_dataset(path, part or None)
    except Exception as error:  # whatever the hub client raises: network, HTTP, cache, import
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise DataError(
            f"{path} could not be had from the hub: {reason}",
            "Give --dataset a directory of its files, set HF_HOME to a cache that holds it "
            "(HF_HUB_OFFLINE=1 keeps the network out), or try --dataset demo",
        ) from error
    first = next(iter(found.values()))
    classes = {k: n for k, f in first.features.items() if (n := _class_names(f))}
    label = columns.labels or next((k for k in (*LABEL_COLUMNS, *classes) if k in classes), "")
    texts = [k for k, f in first.features.items() if getattr(f, "dtype", "") == "string"]
    text = columns.text or next((k for k in (*TEXTS, *texts) if k in texts), "")
    splits: dict[str, LabelledTexts] = {}
    for split, names in SPLIT_NAMES.items():
        table = next((found[one] for one in names if one in found), None)
        if table is None or label not in classes or text not in texts:
            lacks = f"{split} split" if table is None else "column of texts and one of class labels"
            seen = f"splits {', '.join(found)}; columns {', '.join(first.features)}"
            raise DataError(f"{path} has no {lacks} ({seen})", "Name --text-column, --label-column")
        ids = ((one,) if isinstance(one, int) else tuple(one) for one in table[label][:])
        splits[split] = list(zip(table[text][:], ids, strict=True))
    version = str(first.version or first.info.version or "unknown")
    return Found(splits, classes[label], version)


def _class_names(feature: Any) -> tuple[str, ...]:
    """The names of a class label, or of a sequence of them; none for another feature."""
    return tuple(getattr(getattr(feature, "feature", feature), "names", None) or ())


def corpus_of(
    found: Found,
    name: str,
    *,
    taxonomy: str | None = None,
    exclude_neutral: bool = False,
    limit: int = 0,
) -> Corpus:
    """A corpus of the first `limit` (0: all) texts; `taxonomy` puts labels together first.

    A text all of whose labels are excluded is left out; one that never had any is kept.

    Raises:
        DataError: a split has no text, or the labels have no such taxonomy.

    """
    groups = _groups(found.labels, taxonomy)
    rest = LabelSet.of(groups).rest
    if exclude_neutral and rest not in groups:
        raise DataError(f"{name} has no label 'neutral'", "Leave out --exclude-neutral")
    labels = tuple(group for group in groups if not (exclude_neutral and group == rest))
    columns = [[found.labels.index(one) for one in groups[label]] for label in labels]
    parts = {
        split: _arrays(rows, len(found.labels), columns, limit, split == "train" and found.chosen)
        for split, rows in found.splits.items()
    }
    for split, part in parts.items():
        if not part.texts:
            raise DataError(f"the {split} split of {name} has no text", "Add some rows")
    sizes = {split: len(rows) for split, rows in found.splits.items()}
    meant = known_set(found.labels)
    data = meant.own_data if meant and meant.labels == found.labels and not meant.left_out else None
    return Corpus(
        **parts,
        labels=labels,
        name=name,
        version=found.version,
        official=data is not None and sizes == data.split_samples and not limit,
        notes=found.notes,
    )


def _groups(labels: tuple[str, ...], taxonomy: str | None) -> dict[str, tuple[str, ...]]:
    """What each label of a taxonomy is made of."""
    mapped = [
        one
        for one in known_sets()
        if taxonomy and (one.grouping(taxonomy) or one.name.lower() == taxonomy)
    ]
    held = set(labels)
    known = known_set(labels) or next((one for one in mapped if held <= set(one.labels)), None)
    if not taxonomy or (known is not None and known.name.lower().startswith(taxonomy)):
        return {label: (label,) for label in set_of(labels).labels}  # as readers order them
    grouping = known.grouping(taxonomy) if known is not None else None
    if grouping is None:
        fitting = mapped[0].name if mapped else "a set with one"
        more = ", ..." if len(labels) > 8 else ""
        raise DataError(
            f"{plural(len(labels), 'label')} cannot be mapped to {taxonomy}: they are not those of "
            f"{fitting} ({', '.join(labels[:8])}{more})",
            "Leave out --taxonomy",
        )
    return {
        group: members
        for group, names in grouping.groups.items()
        if (members := tuple(name for name in names if name in held))
    }


def _arrays(
    rows: LabelledTexts, labels: int, columns: Sequence[Sequence[int]], limit: int,
    chosen: Sequence[Sequence[tuple[int, ...]]] | Literal[False],
) -> Split:  # fmt: skip
    held = _marks([ids for _, ids in rows], labels)
    truth = np.stack([held[:, own].any(1) for own in columns], axis=1)
    kept = np.flatnonzero(truth.any(1) | ~held.any(1))[: limit or None]
    shares = None
    if chosen and kept.size:
        raters = [len(chosen[row]) for row in kept]
        marks = _marks([ids for row in kept for ids in chosen[row]], labels)
        grouped = np.stack([marks[:, own].any(1) for own in columns], axis=1)
        starts = np.concatenate(([0], np.cumsum(raters)[:-1]))
        shares = np.add.reduceat(grouped, starts, dtype=np.float64) / np.array(raters)[:, None]
    return Split([rows[row][0] for row in kept], truth[kept], shares)


def _marks(rows: Sequence[tuple[int, ...]], labels: int) -> BoolArray:
    """(n, labels), where the ids of each row are marked."""
    held = np.zeros((len(rows), labels), np.bool_)
    counts = list(map(len, rows))
    flat = np.fromiter(chain.from_iterable(rows), np.int64, sum(counts))
    if flat.size and flat.min() < 0:  # as `datasets` writes a text that nobody labelled
        row = next(row for row, ids in enumerate(rows, 1) if min(ids, default=0) < 0)
        raise DataError(f"row {row}: the label id is below 0", "Leave out texts without labels")
    held[np.repeat(np.arange(len(rows)), counts), flat] = True
    return held
