"""A report cut to what a page can show: with hundreds of runs, not everything of every run.

JSON and CSV hold all of it; each table and figure that was cut says so.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TypeVar

from goemo_report.report.document import PAGE_ROWS, Block, Heatmap, Plot, Report, Table

_Figure = TypeVar("_Figure", Plot, Heatmap)


def page_sized(report: Report) -> Report:
    """The same report with lines and columns of the featured runs alone, and shorter tables."""
    fit = partial(_block, report.featured)
    sections = (
        replace(section, blocks=tuple(map(fit, section.blocks))) for section in report.sections
    )
    return replace(report, sections=tuple(sections))


def _block(featured: frozenset[int], block: Block) -> Block:
    if isinstance(block, Table):
        return _table(featured, block)
    if isinstance(block, Plot):
        return _plot(featured, _with_table(featured, block))
    return _with_table(featured, block) if isinstance(block, Heatmap) else block


def _plot(featured: frozenset[int], plot: Plot) -> Plot:
    series = tuple(one for one in plot.series if _is_shown(featured, one.colour))
    if len(series) == len(plot.series):
        return plot
    axes = (
        replace(axis, categories=tuple(name for name in axis.categories if name in drawn))
        for axis, drawn in (
            (plot.x, {value for one in series for value in one.x}),
            (plot.y, {value for one in series for value in one.y}),
        )
    )
    x, y = axes
    caption = f"{plot.caption} {_runs(featured)}".strip()
    return replace(plot, series=series, x=x, y=y, caption=caption)


def _with_table(featured: frozenset[int], block: _Figure) -> _Figure:
    return replace(block, table=_table(featured, block.table))


def _table(featured: frozenset[int], table: Table) -> Table:
    kept = [at for at, one in enumerate(table.columns) if _is_shown(featured, one.run)]
    rows, said = table.rows, [table.caption]
    if len(kept) < len(table.columns):
        rows = tuple(tuple(row[at] for at in kept) for row in rows)
        said.append(_runs(featured))
    if len(rows) > PAGE_ROWS and not table.browse:
        said.append(f"The first {PAGE_ROWS} of {len(rows):,} rows; JSON and CSV have all.")
        rows = rows[:PAGE_ROWS]
    left, groups = len(rows), []
    for title, number in table.row_groups:
        groups.append((title, min(number, left)))
        left -= groups[-1][1]
    return replace(
        table,
        columns=tuple(table.columns[at] for at in kept),
        rows=rows,
        row_groups=tuple(group for group in groups if group[1]),
        caption=" ".join(filter(None, said)),
        collapsed=table.collapsed or len(rows) < len(table.rows),
    )


def _is_shown(featured: frozenset[int], run: int | None) -> bool:
    return run is None or not featured or run in featured


def _runs(featured: frozenset[int]) -> str:
    return f"The {len(featured)} best runs, the baseline among them; JSON and CSV have all."
