"""Reads built sections as a reader would: tables by id, columns by key, all text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from goemo_report.report.document import Callout, Cell, Heatmap, Plot, Section, Table


def tables(section: Section) -> Iterator[Table]:
    """Every table of a section, those behind figures included."""
    for block in section.blocks:
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Plot | Heatmap):
            yield block.table


def table(sections: Section | tuple[Section, ...], identifier: str) -> Table:
    """The table with an id."""
    for section in (sections,) if isinstance(sections, Section) else sections:
        for item in tables(section):
            if item.id == identifier:
                return item
    raise AssertionError(f"no table {identifier}")


def cells(found: Table, key: str) -> list[Cell]:
    """One column as cells, without the rows that stand for the seeds of a recipe."""
    index = [item.key for item in found.columns].index(key)
    nested = (*found.nested, False)
    heads = {at for at in range(len(found.nested)) if not nested[at] and nested[at + 1]}
    rows = [row[index] for at, row in enumerate(found.rows) if at not in heads]
    return [one if isinstance(one, Cell) else Cell(one) for one in rows]


def column(found: Table, key: str) -> list[object]:
    """One column as plain values."""
    return [cell.value for cell in cells(found, key)]


def callouts(section: Section) -> str:
    """All statements of a section as one text."""
    found = [block for block in section.blocks if isinstance(block, Callout)]
    return "\n".join([line for block in found for line in (block.text, *block.items)])


def texts(value: object) -> Iterator[str]:
    """Every string anywhere in a value."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        for item in fields(value):
            yield from texts(getattr(value, item.name))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(key)
            yield from texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts(item)
