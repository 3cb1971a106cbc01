"""Splits of labelled texts in the form of GoEmotions: TSV files, and the names of the labels.

    train.tsv dev.tsv test.tsv   a line a text: text, comma-separated label ids, comment id
    labels.txt                   the labels, in the order of their ids

Quotes are plain characters; the comment id may be missing, in all lines of a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from goemo_report.errors import DataError

LabelledTexts = list[tuple[str, tuple[int, ...]]]
"""Texts with their label ids."""


def check_labels(path: Path, labels: Sequence[str]) -> None:
    """Refuse a list of labels that is not this one.

    Raises:
        DataError: it names the first line that differs.

    """
    try:
        names = tuple(path.read_text("utf-8-sig").split())
    except (OSError, UnicodeDecodeError) as error:
        what = f"{path} cannot be read: {error}"
        raise DataError(what, f"It lists the {len(labels)} labels") from error
    if names != tuple(labels):
        pairs = zip((*names, *["nothing"] * len(labels)), labels, strict=False)
        line = next((n for n, (a, b) in enumerate(pairs, 1) if a != b), len(labels) + 1)
        raise DataError(
            f"{path}, line {line}: the labels are not the {len(labels)} that are expected, "
            "in their order",
            "Ids in the splits index this file, so that its order matters",
        )


def read_labelled_texts(path: Path, labels: int) -> tuple[LabelledTexts, bytes]:
    """The rows of a TSV file whose ids are below `labels`, and its bytes.

    Raises:
        DataError: it names file and line.

    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "Check --dataset") from error
    rows: LabelledTexts = []
    ids = {str(number): number for number in range(labels)}
    known: dict[str, tuple[int, ...]] = {}  # there are some hundred different sets of labels
    widths: tuple[int, ...] = (2, 3)  # of the first row; that of all others is the same
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if not (line := line.rstrip(b"\r")):
            continue
        try:
            rows.append(_row(line, widths, ids, known))
            widths = (line.count(b"\t") + 1,)
        except DataError as error:
            raise DataError(f"{path}, line {number}: {error.what}", error.remedy) from error
    return rows, raw


def _row(
    line: bytes, widths: tuple[int, ...], ids: Mapping[str, int], known: dict[str, tuple[int, ...]]
) -> tuple[str, tuple[int, ...]]:
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
            found = tuple(ids[part] for part in labels.split(","))
        except KeyError as error:
            what = f"unknown label id {error.args[0][:20]!r}"
            raise DataError(what, f"Ids go from 0 to {len(ids) - 1}") from error
        if len(set(found)) < len(found):
            raise DataError(f"a label id is listed twice in {labels!r}", "Name each label once")
        known[labels] = found
    return text, known[labels]
