"""A report as values: sections of prose, tables and figures.

Sections build these, renderers turn them into text; neither knows the other. Strings are
plain text: every renderer escapes them for its own format.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Literal

Value = str | int | float | bool | datetime | None

ColumnKind = Literal[
    "text", "code", "integer", "number", "percent", "delta", "pvalue", "duration", "bytes", "date",
    "strip",
]  # fmt: skip
MISSING: Final = "\u2013"
"""Shown where there is no value."""
PAGE_ROWS: Final = 100
"""Rows that a page holds of a table; one to browse is there whole."""
Mark = Literal["best", "good", "bad", "warning", "muted"]
"""A meaning that renderers show by more than colour: a sign or a word stands beside it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value with what is known about it: 95% interval, link, mark, a longer note."""

    value: Value
    low: float | None = None
    high: float | None = None
    link: str | None = None
    mark: Mark | None = None
    note: str = ""

    @classmethod
    def of(cls, value: Value | Cell) -> Cell:
        """A Cell, made of a plain value where needed."""
        return value if isinstance(value, Cell) else cls(value)


Row = tuple[Value | Cell, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One column, declared once: key for JSON and CSV, title for readers.

    `digits` is the number of decimals of number-like kinds; `help` says how the values
    were made; `shade` asks for a background that follows the value (a heat column).
    """

    key: str
    title: str
    kind: ColumnKind = "text"
    digits: int = 3
    help: str = ""
    shade: bool = False
    run: int | None = None
    """Index in the palette of the run that the whole column is of."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of values or Cells, one for each column.

    `browse` asks for filter and paging in formats that can (`page_size` rows at once).
    `row_groups` names spans of consecutive rows: (title, number of rows).
    """

    id: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""
    row_header: int = 0
    row_groups: tuple[tuple[str, int], ...] = ()
    nested: tuple[bool, ...] = ()
    """Whether each row belongs to the last row above that is not nested."""
    browse: bool = False
    page_size: int = 25
    scripted: bool = False
    """Whether the script of a page writes the rows anew, from the data of the page."""
    cut: str = ""
    """The note of a page on rows that it leaves out."""
    collapsed: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.id}: {len(row)} cells, {len(self.columns)} columns")

    @property
    def heads(self) -> dict[int, str]:
        """Titles of the spans in `row_groups`, by the row that each begins with."""
        starts = itertools.accumulate((count for _, count in self.row_groups), initial=0)
        return {at: title for at, (title, _) in zip(starts, self.row_groups, strict=False)}

    def cells(self) -> list[tuple[Cell, ...]]:
        """The rows with a Cell for every value."""
        return [tuple(map(Cell.of, row)) for row in self.rows]

    def unnested(self) -> Table:
        """The same without the rows that another row stands for."""
        if not any(self.nested):
            return self
        rows = tuple(row for row, below in zip(self.rows, self.nested, strict=True) if not below)
        return replace(self, rows=rows, nested=())

    def first(self, most: int) -> Table:
        """Keep the first rows alone."""
        groups, left = [], most
        for title, count in self.row_groups:
            groups.append((title, min(count, left)))
            left -= groups[-1][1]
        return replace(
            self,
            rows=self.rows[:most],
            nested=self.nested[:most],
            row_groups=tuple(group for group in groups if group[1]),
        )


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis: title, scale, fixed bounds and, for categories, their order."""

    title: str
    scale: Literal["linear", "category"] = "linear"
    low: float | None = None
    high: float | None = None
    categories: tuple[str, ...] = ()
    percent: bool = False
    ticks: tuple[tuple[float, str], ...] = ()
    """Places with a name of their own, instead of round numbers."""


@dataclass(frozen=True, slots=True)
class Series:
    """One named line, set of points or set of bars; `low` and `high` are 95% intervals.

    `colour` is an index into the palette, so that a recipe keeps its colour in every figure;
    None takes the neutral colour. `group` makes series switchable together. A `band` has `low`
    and `high` alone; a `thin` line is one seed behind the mean of its recipe; `hollow` points
    stand back, all of them or one by one; `ticks` are small points.
    """

    name: str
    x: tuple[Value, ...]
    y: tuple[Value, ...]
    style: Literal["line", "thin", "dashed", "points", "ticks", "bars", "band"] = "line"
    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    notes: tuple[str, ...] = ()
    colour: int | None = None
    group: str = ""
    hollow: bool | tuple[bool, ...] = False


@dataclass(frozen=True, slots=True)
class Plot:
    """Series on two axes, x across and y up. `horizontal` lays bars and points on their
    side: y holds the categories, first on top, x the values and their intervals."""

    id: str
    title: str
    alt: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    table: Table
    caption: str = ""
    horizontal: bool = False
    diagonal: bool = False
    shape: Literal["wide", "small", "square"] = "wide"
    """Small and square figures stand beside each other where there is room."""
    legend: bool = True
    zero: bool = False
    """Draw a line where the values are 0."""
    height: int = 0
    """Pixels of a row of categories, or of a wide figure; 0: as usual."""


@dataclass(frozen=True, slots=True)
class Heatmap:
    """A matrix of values; `scale` diverging is centred on zero. None cells stay empty."""

    id: str
    title: str
    alt: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    table: Table
    caption: str = ""
    scale: Literal["sequential", "diverging"] = "sequential"
    digits: int = 2
    bound: float | None = None
    """Where the scale ends; values beyond are drawn like it."""
    ends: tuple[str, str] = ("", "")
    """Names of the two ends of the scale, where their values do not say it."""
    hatched: frozenset[tuple[int, int]] = frozenset()
    """Cells (row, column) that rest on too little to be read."""
    dots: bool = False
    """Draw a dot for every cell that has a value, instead of a shade."""


@dataclass(frozen=True, slots=True)
class Callout:
    """One statement that must not be missed."""

    level: Literal["verdict", "note", "warning"]
    text: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Code:
    """Text to copy as it is: a command line, a signature."""

    text: str
    language: str = "text"


Block = Table | Plot | Heatmap | Callout | Code


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report; `method` says how its numbers were made."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    lead: str = ""
    method: str = ""
    chapter: str = ""
    """Title of the chapter that it is a part of; sections of one chapter follow each other."""
    folded: bool = False
    """Whether a page shows it only when asked."""

    @classmethod
    def of(
        cls, name: str, title: str, *blocks: Block | None, lead: str = "", method: str = ""
    ) -> Section:
        """A section of those blocks that have something to say."""
        return cls(name, title, tuple(one for one in blocks if one is not None), lead, method)


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report. `data` is what JSON holds beyond the sections."""

    title: str
    subtitle: str
    created_at: datetime
    sections: tuple[Section, ...]
    signature: str
    command: str = ""
    brief: tuple[Block, ...] = ()
    """Blocks that the two-page form alone shows below its first chapter."""
    palette_names: tuple[str, ...] = ()
    """Names of the runs."""
    featured: frozenset[int] = frozenset()
    """Runs, by index in the palette, that a page has lines and columns of; empty: all."""
    data: Mapping[str, Any] = field(default_factory=dict)
    explore: Callable[[], Mapping[str, Any] | None] = field(default=dict, compare=False)
    """Makes the data of a page's script, when a page is written."""
    faults: tuple[str, ...] = ()
    """Sections that cannot be made, with the reason."""

    def blocks(self) -> Iterator[Block]:
        """Every block of every section."""
        return (block for section in self.sections for block in section.blocks)

    def figures(self) -> Iterator[Plot | Heatmap]:
        """Every figure."""
        return (block for block in self.blocks() if isinstance(block, Plot | Heatmap))

    def tables(self) -> dict[str, Table]:
        """Every table by its id, those behind figures among them, in the order of the report."""
        found = (one.table if isinstance(one, Plot | Heatmap) else one for one in self.blocks())
        return {one.id: one for one in found if isinstance(one, Table)}
