"""A directory as a data set: which file is which split, and which labels there are."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

from goemo_report.contract import SPLIT_NAMES
from goemo_report.corpora.tables import Columns, LabelledTable
from goemo_report.errors import DataError
from goemo_report.formats.files import chunks
from goemo_report.formats.sniff import has_table_ending, stem
from goemo_report.formats.wording import plural
from goemo_report.labels import (
    check_label,
    guess,
    known_set,
    set_of,
)

_SHARD: Final = re.compile(r"-\d+-of-\d+$")
_LABELS: Final = "labels.txt"
AGREEING: Final = 2
"""Raters that must have chosen a label of a text: the rule of Demszky et al., ACL 2020."""

Ids: TypeAlias = tuple[int, ...]
LabelledTexts: TypeAlias = list[tuple[str, Ids]]
"""Texts with their label ids."""
Row: TypeAlias = tuple[str, str, Ids]
"""Key, text and labels."""


@dataclass(frozen=True, slots=True)
class Found:
    """The splits of a data set, with ids of `labels`; a version that follows from its bytes, and
    what is to be said of how it was read. `chosen`, of raw ratings: for each training text the ids
    that each rater chose."""

    splits: Mapping[str, LabelledTexts]
    labels: tuple[str, ...]
    version: str
    notes: tuple[str, ...] = ()
    chosen: Sequence[Sequence[tuple[int, ...]]] = ()


def read_directory(directory: Path, columns: Columns | None = None) -> Found:
    """The splits below a directory.

    Each is a table with a header (CSV, TSV, Parquet, JSON, JSONL; also in parts, as
    `train-00000-of-00002.parquet`), or a TSV file without one, as GoEmotions has them. A table of
    raters that is not split is split by its ids.

    Raises:
        DataError: a file cannot be used; names it and the row.

    """
    files, columns = _files(directory), columns or Columns()
    names = read_label_names(directory / _LABELS) if (directory / _LABELS).is_file() else ()
    parts = {s: [LabelledTable(path, columns) for path in paths] for s, paths in files.items()}
    missing = SPLIT_NAMES.keys() - parts.keys()
    is_split = set(parts) != {"train"} or not parts["train"][0].is_rated
    if missing and is_split:
        split = min(missing)
        tried = ", ".join(f"{name}.*" for name in SPLIT_NAMES[split])
        raise DataError(f"{directory} has no {split} split ({tried})", "Add the file")
    every = list(chain.from_iterable(parts.values()))
    names = names or _names(every, directory)
    if len(names) < 2:
        raise DataError(f"{directory} has {plural(len(names), 'label')}", "At least two are needed")
    for label in names:
        check_label(label, str(directory))
    labels = set_of(names)
    rows = {s: [row for one in own for row in one.rows(labels, names)] for s, own in parts.items()}
    chosen: dict[str, list[Ids]] = {}
    notes = []
    for split, own in parts.items():
        if own[0].is_rated:
            count, (rows[split], of_raters, dropped) = len(rows[split]), _agreed(rows[split])
            chosen |= of_raters if split == "train" else {}
            texts = len(rows[split]) + dropped
            notes.append(
                f"{split}: {count:,} ratings of {texts:,} texts; a text has the labels that two "
                f"raters chose; {dropped:,} texts without one are dropped"
            )
    if not is_split:
        rows = _split_by_key(rows["train"])
        notes.append("there is no split: each text goes to one by a digest of its id, 80:10:10")
    digest = hashlib.sha256()
    for path in chain.from_iterable(files.values()):
        with path.open("rb") as file:
            for part in chunks(file):
                digest.update(part)
    return Found(
        {split: [(text, ids) for _, text, ids in own] for split, own in rows.items()},
        labels.labels,
        f"sha256:{digest.hexdigest()[:16]}",
        tuple(notes),
        [chosen[key] for key, *_ in rows["train"]] if chosen else (),
    )


def _files(directory: Path) -> dict[str, list[Path]]:
    """The files of each split; all tables as `train` where no name says which they are."""
    places = [folder for folder in (directory, directory / "data") if folder.is_dir()]
    tables = [path for folder in places for path in sorted(folder.iterdir()) if _is_table(path)]
    found: dict[str, list[Path]] = {}
    for split, names in SPLIT_NAMES.items():
        groups = {
            name: [path for path in tables if _SHARD.sub("", stem(path.name)) == name]
            for name in names
        }
        for folder in places:
            for name in names:
                if not groups[name] and (folder / name).is_dir():
                    groups[name] = sorted(filter(_is_table, (folder / name).iterdir()))
        groups = {name: paths for name, paths in groups.items() if paths}
        alike = next(iter(groups.values()), [])
        if len(groups) > 1 or (
            len(alike) > 1 and not all(_SHARD.search(stem(p.name)) for p in alike)
        ):
            listed = ", ".join(str(path) for paths in groups.values() for path in paths)
            raise DataError(f"several files may be the {split} split: {listed}", "Keep one")
        if alike:
            found[split] = alike
    if not found and tables:
        return {"train": tables}
    if not found:
        raise DataError(
            f"{directory} holds no data set",
            "Expected train, validation and test as .tsv, .csv, .parquet or .jsonl",
        )
    return found


def _is_table(path: Path) -> bool:
    infos = {_LABELS, "dataset_info.json", "dataset_infos.json", "dataset_dict.json"}
    return path.is_file() and path.name not in infos and has_table_ending(path.name)


def _agreed(rows: Sequence[Row]) -> tuple[list[Row], dict[str, list[Ids]], int]:
    """A row for each text, with the labels that AGREEING raters chose; what each rater chose who
    chose any, by key; and how many texts are left without a label, which go."""
    texts: dict[str, str] = {}
    chosen: dict[str, list[Ids]] = {}
    for key, text, ids in rows:
        texts.setdefault(key, text)
        chosen.setdefault(key, []).extend([ids] if ids else [])
    agreed = []
    for key, own in chosen.items():
        counts = Counter(chain.from_iterable(own))
        ids = tuple(sorted(one for one, count in counts.items() if count >= AGREEING))
        agreed += [(key, texts[key], ids)] if ids else []
    return agreed, chosen, len(texts) - len(agreed)


def _split_by_key(rows: Sequence[Row]) -> dict[str, list[Row]]:
    split: dict[str, list[Row]] = {"train": [], "val": [], "test": []}
    for row in rows:
        tenth = int.from_bytes(hashlib.sha256(row[0].encode()).digest()[:8], "big") % 10
        split[{0: "test", 1: "val"}.get(tenth, "train")].append(row)
    return split


# --- Labels ---------------------------------------------------------------------------


def _names(parts: Sequence[LabelledTable], directory: Path) -> tuple[str, ...]:
    """The labels that all files name, in the order of their ids; else those that occur, in that of
    a known set or of the alphabet."""
    bare = next((one for one in parts if not one.has_header), None)
    if bare is not None:
        what = f"{directory / _LABELS} cannot be read: there is no such file"
        raise DataError(what, f"Name the labels there, one a line: {bare.path.name} has no header")
    named = [(one, names) for one in parts if (names := one.own_names)]
    for one, names in named:
        first, noted = named[0]
        if names != noted and not (one.names and first.names and set(names) == set(noted)):
            what = f"{one.source} and {first.source} name other labels, or in another order"
            raise DataError(what, "Write all files with the same labels: ids count by their order")
    if named:
        return named[0][1]
    held = {name: None for one in parts for name in one.names_in_cells()}
    meant = guess(held)
    return meant.labels if meant is not None else tuple(sorted(held))


def read_label_names(path: Path) -> tuple[str, ...]:
    """The labels of a file, one a line.

    Raises:
        DataError: known labels are in another order than the known one.

    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", "Give one label a line, in UTF-8"
        ) from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path} lists {twice!r} twice", "Name each label once")
    known = known_set(names)
    if known is not None and names != known.labels:
        line = next(
            n for n, (a, b) in enumerate(zip(names, known.labels, strict=True), 1) if a != b
        )
        raise DataError(
            f"{path}, line {line}: the labels are not the {len(names)} of {known.name} in their "
            "order",
            "Ids in the splits index this file, so that its order matters",
        )
    return names
