"""Rows of a CSV that end in decimals, read without a string for every number.

The guide's files are of such rows; the csv module takes twice as long for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

_FIELD: Final = rb'("[^"]*(?:""[^"]*)*"|[^",\r\n]*),'


def plain_rows(
    data: bytes, at: int, fields: int, numbers: int, most: int
) -> Iterator[tuple[int, Sequence[Sequence[Any]]]]:
    """The rows from byte `at` on, at most `most` at once: where they end, and their columns.

    `fields` columns of text come first, then `numbers` columns of decimals from 0 to 1 as arrays.
    Stops before rows that are written in any other way: the csv module takes or refuses them.
    """
    match = re.compile(_FIELD * fields + rb"([0-9.eE+,-]+)\r?\n").match
    while True:
        found: list[Sequence[bytes]] = []
        end = at
        while len(found) < most and (row := match(data, end)):
            found.append(row.groups())
            end = row.end()
        if not found:
            return
        *texts, tails = zip(*found, strict=True)
        try:
            parts = b",".join(tails).split(b",")
            values = np.fromiter(map(float, parts), np.float64, len(parts))
            columns: list[Sequence[Any]] = [list(map(_text, column)) for column in texts]
        except ValueError:  # no number, or not UTF-8
            return
        whole = all(tail.count(b",") == numbers - 1 for tail in tails)
        if not whole or not ((values >= 0) & (values <= 1)).all():
            return
        yield end, (*columns, *np.ascontiguousarray(values.reshape(-1, numbers).T))
        at = end


def _text(field: bytes) -> str:
    if field[:1] == b'"':
        field = field[1:-1].replace(b'""', b'"')
    return field.decode()
