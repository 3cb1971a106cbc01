"""Counts and lists as messages and reports say them."""

from __future__ import annotations

from collections.abc import Iterable


def plural(count: int, noun: str, nouns: str = "") -> str:
    """A count with its noun: `1 run`, `3 runs`; `nouns` is a plural that is irregular."""
    return f"{count:,} {noun if count == 1 else nouns or plural_of(noun)}"


def plural_of(noun: str) -> str:
    """Several of a regular noun: `emotions`, `toxicities`, `biases`."""
    if noun.endswith("y") and noun[-2:-1] not in (*"aeiou", ""):
        return f"{noun[:-1]}ies"
    hisses = noun.endswith(("s", "x", "z", "ch", "sh")) and not noun.endswith("epoch")
    return f"{noun}es" if hisses else f"{noun}s"


def listed(words: Iterable[str], limit: int | None = None) -> str:
    """Words as a list in a sentence: `a, b and c`, or `a, b and 5 more`."""
    items = list(words)
    if limit is not None and len(items) > limit:
        rest = len(items) - limit
        return f"{', '.join(items[:limit])} and {rest:,} more"
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def size(count: float) -> str:
    """A number of bytes with three digits: `512 B`, `1.23 MB`."""
    units = iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    while abs(count) >= 999.5 and unit != "TB":
        count /= 1000
        unit = next(units, "TB")
    return f"{count:.0f} {unit}" if unit == "B" or abs(count) >= 100 else f"{count:.3g} {unit}"
