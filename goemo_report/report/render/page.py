"""A report cut to what a page can show: with hundreds of runs, not everything of every run.

JSON and CSV hold all of it; each table and figure that was cut says so.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from goemo_report.formats.wording import plural
from goemo_report.report.document import PAGE_ROWS, Block, Heatmap, Plot, Report, Table


def page_sized(report: Report) -> Report:
    """The same report with columns of the featured runs alone, and shorter tables."""
    fit = partial(_block, report.featured)
    sections = (
        replace(section, blocks=tuple(map(fit, section.blocks))) for section in report.sections
    )
    return replace(report, sections=tuple(sections))


def _block(featured: frozenset[int], block: Block) -> Block:
    if isinstance(block, Plot | Heatmap):
        return replace(block, table=_table(featured, block.table))
    return _table(featured, block) if isinstance(block, Table) else block


def _table(featured: frozenset[int], table: Table) -> Table:
    kept = [at for at, one in enumerate(table.columns) if _is_shown(featured, one.run)]
    rows, said, cut = table.rows, [table.caption], ""
    if len(kept) < len(table.columns):
        rows = tuple(tuple(row[at] for at in kept) for row in rows)
        said.append(_runs(featured))
    if len(rows) > PAGE_ROWS and (table.scripted or not table.browse):
        cut = f"The first {PAGE_ROWS} of {len(rows):,} rows; JSON and CSV have all."
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
        nested=table.nested[: len(rows)],
        caption=" ".join(filter(None, [*said, "" if table.scripted else cut])),
        cut=cut if table.scripted else "",
        collapsed=table.collapsed or (len(rows) < len(table.rows) and not table.scripted),
    )


def _is_shown(featured: frozenset[int], run: int | None) -> bool:
    return run is None or not featured or run in featured


def _runs(featured: frozenset[int]) -> str:
    return f"The best run of each of {plural(len(featured), 'recipe')}; JSON and CSV have all."
