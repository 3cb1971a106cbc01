"""Rows of a CSV that end in decimals, read without a string for every number.

The guide's files are of such rows; the csv module takes twice as long for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

_ZERO, _POINT = b"0."
_ZEROS: Final = np.uint64(0x3030303030303030)
_HIGH: Final = np.uint64(0xF0F0F0F0F0F0F0F0)
_TO_HIGH: Final = np.uint64(0x0606060606060606)
"""Adding it lifts all bytes beyond the digits to the next sixteen."""
_PAIRS: Final = [
    (bits, np.uint64(mask))
    for bits, mask in ((8, 0x00FF00FF00FF00FF), (16, 0x0000FFFF0000FFFF), (32, 0xFFFFFFFF))
]
"""How far apart the halves of pairs are, then of pairs of pairs, and what is left of them."""
_NUMBERS_AT_ONCE: Final = 1 << 13
_POWERS: Final = np.array([10**power for power in range(20)], np.uint64)
_Floats: TypeAlias = npt.NDArray[np.float64]
_Places: TypeAlias = npt.NDArray[np.int64]
_FIELD: Final = rb'("[^"]*(?:""[^"]*)*"|[^",\r\n]*),'


def plain_rows(
    data: bytes, at: int, fields: int, numbers: int
) -> tuple[int, Sequence[Sequence[Any]]]:
    """The rows from byte `at` on: where they end, and their columns; 0 and none where one of them
    cannot be taken.

    `fields` columns of text come first, then `numbers` columns of decimals from 0 to 1 as arrays.
    Stops before rows that are written in any other way: the csv module takes or refuses them.
    """
    match = re.compile(_FIELD * fields + rb"([0-9.eE+,-]+)\r?\n").match
    found: list[Sequence[bytes]] = []
    while row := match(data, at):
        found.append(row.groups())
        at = row.end()
    *texts, tails = zip(*found, strict=True) if found else [()]
    try:
        values = decimals(b",".join(tails))
        columns: list[Sequence[Any]] = list(map(_texts, texts))
    except ValueError:  # no number, or not UTF-8
        return 0, ()
    whole = all(tail.count(b",") == numbers - 1 for tail in tails)
    if not whole or not ((values >= 0) & (values <= 1)).all():
        return 0, ()
    return at, (*columns, *np.ascontiguousarray(values.reshape(-1, numbers).T))


def decimals(data: bytes) -> _Floats:
    """The numbers between commas as float64, as `float` reads them; ValueError for what is none.

    Numbers `0.` and at most 19 digits are read together, eight digits at once (Lemire 2021): digits
    and power of ten are exact in extended precision, and so is the quotient's rounding but where it
    falls midway between two float64. Those and others, or all without that precision, take `float`.
    """
    if np.finfo(np.longdouble).nmant != 63:
        parts = data.split(b",")
        return np.fromiter(map(float, parts), np.float64, len(parts))
    marks = np.frombuffer(data + b"," + bytes(32), np.uint8)  # words begin up to 18 bytes on
    ends = np.flatnonzero(marks[: len(data) + 1] == ord(","))
    starts = np.append(0, ends[:-1] + 1)
    values = np.empty(len(ends))
    for at in range(0, len(ends), _NUMBERS_AT_ONCE):
        part = slice(at, at + _NUMBERS_AT_ONCE)
        values[part], odd = _plain_decimals(marks, starts[part], ends[part])
        bounds = zip(starts[part][odd].tolist(), ends[part][odd].tolist(), strict=True)
        values[at + odd] = [float(data[start:end]) for start, end in bounds]
    return values


def _plain_decimals(
    marks: npt.NDArray[np.uint8], starts: _Places, ends: _Places
) -> tuple[_Floats, _Places]:
    """The numbers from byte to byte, and which of them are to be read by `float`."""
    digits = ends - starts - 2
    odd = (digits < 1) | (digits > 19) | (marks[starts] != _ZERO) | (marks[starts + 1] != _POINT)
    words = np.ndarray(len(marks) - 7, "<u8", marks, strides=(1,))
    number, wrong = np.zeros(len(starts), np.uint64), np.zeros(len(starts), np.uint64)
    for first in range(0, min(int(digits.max(initial=0)), 19), 8):
        count = np.clip(digits - first, 0, 8).astype(np.uint64)
        bits = count << 3
        word = words[starts + (2 + first)] << (64 - bits) | _ZEROS >> bits
        wrong |= (word & _HIGH ^ _ZEROS) | ((word + _TO_HIGH) & _HIGH ^ _ZEROS)
        word -= _ZEROS
        for half, mask in _PAIRS:
            word = (word * 10 ** (half // 8) + (word >> half)) & mask
        number = number * _POWERS[count] + word
    exact = number.astype(np.longdouble) / _POWERS[np.where(odd, 0, digits)]
    midway = exact.view(np.uint64)[::2] & 0x7FF == 0x400  # the bits that float64 lacks
    return exact.astype(np.float64), np.flatnonzero(odd | (wrong != 0) | midway)


def _texts(fields: Sequence[bytes]) -> list[str]:
    """Fields as text, without the quotes around them."""
    joined = b"\0".join(fields)
    if joined.count(b"\0") >= len(fields):  # one is in a text
        whole = [field.decode() for field in fields]
    else:
        whole = joined.decode().split("\0")
    return [one[1:-1].replace('""', '"') if one[:1] == '"' else one for one in whole]
