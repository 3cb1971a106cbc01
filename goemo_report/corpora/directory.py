"""A directory as a data set: which file is which split, and which labels there are."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from goemo_report.contract import SPLIT_NAMES
from goemo_report.corpora.tables import (
    LABEL_COLUMNS,
    SAME_NAMES,
    TEXT_COLUMNS,
    Columns,
    RawSplit,
    read_split,
)
from goemo_report.errors import DataError
from goemo_report.formats.files import chunks
from goemo_report.formats.sniff import has_table_ending, stem
from goemo_report.formats.wording import plural
from goemo_report.labels import EKMAN, EMOTIONS, GOEMOTIONS, NEUTRAL, check_label, known_set

_SHARD: Final = re.compile(r"-\d+-of-\d+$")
_LABELS: Final = "labels.txt"


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
    raw: dict[str, RawSplit] = {}
    for split, paths in files.items():
        if is_headless(paths[0], columns):
            if not names:
                raise DataError(
                    f"{directory / _LABELS} cannot be read: there is no such file",
                    f"It lists the labels, one a line; {paths[0].name} has no header",
                )
            raw[split] = read_rows(paths[0], names)
        else:
            raw[split] = read_split(paths, columns)
    notes = [_ratings(split, part) for split, part in raw.items() if part.ratings]
    if set(raw) == {"train"} and raw["train"].ratings:
        raw = _split_by_key(raw["train"])
        notes.append("there is no split: each text goes to one by a digest of its id, 80:10:10")
    missing = SPLIT_NAMES.keys() - raw.keys()
    if missing:
        split = min(missing)
        tried = ", ".join(f"{name}.*" for name in SPLIT_NAMES[split])
        raise DataError(f"{directory} has no {split} split ({tried})", "Add the file")
    digest = hashlib.sha256()
    for path in chain.from_iterable(files.values()):
        with path.open("rb") as file:
            for part in chunks(file):
                digest.update(part)
    splits, labels, chosen = _with_ids(raw, names, directory)
    return Found(splits, labels, f"sha256:{digest.hexdigest()[:16]}", tuple(notes), chosen)


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


def _ratings(split: str, part: RawSplit) -> str:
    return (
        f"{split}: {part.ratings:,} ratings of {len(part.texts) + part.dropped:,} texts; a text "
        f"has the labels that two raters chose; {part.dropped:,} texts without one are dropped"
    )


def _split_by_key(part: RawSplit) -> dict[str, RawSplit]:
    rows: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for row, key in enumerate(part.keys):
        tenth = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % 10
        rows[{0: "test", 1: "val"}.get(tenth, "train")].append(row)
    return {
        split: RawSplit(
            [part.texts[r] for r in own],
            [part.labels[r] for r in own],
            part.names,
            chosen=[part.chosen[r] for r in own],
        )
        for split, own in rows.items()
    }


# --- Labels ---------------------------------------------------------------------------


def _with_ids(
    raw: Mapping[str, RawSplit], names: Sequence[str], directory: Path
) -> tuple[dict[str, LabelledTexts], tuple[str, ...], Sequence[Sequence[tuple[int, ...]]]]:
    """The splits with ids, the labels in canonical order or that of the data set, and the ids that
    each rater of the training texts chose."""
    held = dict.fromkeys(name for part in raw.values() for row in part.labels for name in row)
    noted = tuple(names) or next((part.names for part in raw.values() if part.names), ())
    if noted:  # what one rater alone chose is a label as well
        choices = chain.from_iterable(chain(*part.chosen) for part in raw.values())
        held |= dict.fromkeys(chain.from_iterable(choices))
    for split, part in raw.items() if not names else ():
        order = bool(part.names) and part.names != noted and any(map(_is_id, held))
        if order or set(part.names) not in (set(), set(noted)):
            what = f"{directory}: {split} has other labels than other splits, or in another order"
            raise DataError(what, SAME_NAMES)
    if noted and not held.keys() <= set(noted) and all(map(_is_id, held)):
        wrong = next((one for one in held if int(one) >= len(noted)), None)
        if wrong is not None:
            what = f"{directory}: the label id {wrong} is not among the {len(noted)} labels"
            raise DataError(what, f"Ids go from 0 to {len(noted) - 1}")
        meant = {one: noted[int(one)] for one in held}
    elif noted:
        for one in held:
            if one not in noted:
                raise DataError(
                    f"{directory}: the label {one!r} is not among the {len(noted)} labels",
                    f"They are {', '.join(noted[:8])}{', ...' if len(noted) > 8 else ''}",
                )
        meant = {one: one for one in held}
    elif held and all(map(_is_id, held)):
        raise DataError(
            f"{directory}: the labels are ids, and nothing says what they mean",
            f"Put {_LABELS} there, a name a line in the order of the ids",
        )
    else:
        noted, meant = _order(held), {one: one for one in held}
    known = known_set(noted)
    labels = known.labels if known is not None else tuple(noted)
    if len(labels) < 2:
        what = f"{directory} has {plural(len(labels), 'label')}"
        raise DataError(what, "At least two are needed")
    for label in labels:
        check_label(label, str(directory))
    place = {one: labels.index(label) for one, label in meant.items()}
    splits = {
        split: [
            (text, tuple(sorted(place[one] for one in row)))
            for text, row in zip(part.texts, part.labels, strict=True)
        ]
        for split, part in raw.items()
    }
    chosen = [
        [tuple(place[one] for one in choice if one in place) for choice in text]
        for text in raw["train"].chosen
    ]
    return splits, labels, chosen


def _order(held: Mapping[str, object]) -> tuple[str, ...]:
    """The known set that names belong to, GoEmotions where one of them is no Ekman emotion; else
    the names in alphabetical order."""
    if held.keys() <= set(EMOTIONS) and not held.keys() <= set(EKMAN.labels):
        return GOEMOTIONS.labels if NEUTRAL in held else GOEMOTIONS.labels[:-1]
    return tuple(sorted(held))


def _is_id(label: str) -> bool:
    return label.isascii() and label.isdigit()


# --- The three TSV files --------------------------------------------------------------

LabelledTexts = list[tuple[str, tuple[int, ...]]]
"""Texts with their label ids."""


def read_label_names(path: Path) -> tuple[str, ...]:
    """The labels of a file, one a line.

    Raises:
        DataError: known labels are in another order than the known one.

    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", "It lists the labels") from error
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


def is_headless(path: Path, columns: Columns) -> bool:
    """Whether a file is a TSV whose first line is a text and not names of columns."""
    if path.suffix.lower() != ".tsv":
        return False
    with path.open("rb") as file:
        fields = file.readline(1 << 20).decode("utf-8-sig", "replace").strip().split("\t")
    known = {*TEXT_COLUMNS, *LABEL_COLUMNS, columns.text, *columns.labels.split(",")} - {""}
    return known.isdisjoint(fields)


def read_rows(path: Path, names: tuple[str, ...]) -> RawSplit:
    """The rows of a TSV file without a header, with names or ids of these labels.

    Raises:
        DataError: it names file and line.

    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "Check --dataset") from error
    found = RawSplit([], [], names)
    meant = {**{str(number): name for number, name in enumerate(names)}, **{n: n for n in names}}
    known: dict[str, tuple[str, ...]] = {}  # there are some hundred different sets of labels
    widths: tuple[int, ...] = (2, 3)  # of the first row; that of all others is the same
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not (line := line.rstrip(b"\r")):
            continue
        try:
            text, labels = _row(line, widths, meant, known)
            widths = (line.count(b"\t") + 1,)
        except DataError as error:
            raise DataError(f"{path}, line {number}: {error.what}", error.remedy) from error
        found.texts.append(text)
        found.labels.append(labels)
    return found


def _row(
    line: bytes, widths: tuple[int, ...], meant: Mapping[str, str],
    known: dict[str, tuple[str, ...]],
) -> tuple[str, tuple[str, ...]]:  # fmt: skip
    try:
        columns = line.decode("utf-8").split("\t")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 ({error.reason})", "Save as UTF-8") from error
    if len(columns) not in widths:
        raise DataError(
            f"{len(columns)} columns, not {' or '.join(map(str, widths))}",
            "All rows are text, label ids, comment id, or all are without the last",
        )
    text, labels = columns[:2]
    if not text.strip():
        raise DataError("the text is empty", "Remove the row")
    if "\0" in text:
        raise DataError("the text holds a NUL byte", "The file is damaged: get it again")
    if labels not in known:
        try:
            found = tuple(meant[part] for part in labels.split(","))
        except KeyError as error:
            what = f"unknown label id {error.args[0][:20]!r}"
            remedy = f"Ids go from 0 to {len(set(meant.values())) - 1}"
            raise DataError(what, remedy) from error
        if len(set(found)) < len(found):
            raise DataError(f"a label id is listed twice in {labels!r}", "Name each label once")
        known[labels] = found
    return text, known[labels]
