"""Splits of labelled texts in the form of GoEmotions: TSV files, and the names of the labels.

    train.tsv dev.tsv test.tsv   a line a text: text, comma-separated label ids, comment id
    labels.txt                   the labels, in the order of their ids

Quotes are plain characters; the comment id may be missing, in all lines of a file. Labels may be
named instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from goemo_report.corpora.tables import LABEL_COLUMNS, TEXT_COLUMNS, Columns, RawSplit
from goemo_report.errors import DataError
from goemo_report.labels import known_set

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
