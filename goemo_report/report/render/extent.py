"""How much of a report a document holds: two pages, the usual, or all of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal

from goemo_report.formats.wording import plural
from goemo_report.report.document import Block, Callout, Heatmap, Plot, Report, Section, Table
from goemo_report.report.render.page import page_sized

Extent = Literal["short", "usual", "full"]
_CHAPTERS: Final = 2  # the answer, and where the runs differ
_ROWS: Final = 13  # of a table
_FEWEST: Final = 5  # of one that is cut to fit
_PAGE: Final = 1090  # pixels
_TALLEST: Final = 600  # a figure that is taller is drawn smaller
_NAMES: Final = 100  # below or above a heat map
_ROW: Final = 20
_CAPTION: Final = 50
_LINE: Final = 20
_LETTERS: Final = 70  # of a line


def cut(report: Report) -> tuple[Report, str]:
    """The first two chapters, each cut to a page, and a sentence on what was left out.

    Tables to be opened or searched stay out, as does what no longer fits; tables are cut to their
    first rows, details of warnings to their sum.
    """
    report = page_sized(report)
    names = list(dict.fromkeys(one.chapter or one.id for one in report.sections))[:_CHAPTERS]
    left: list[str] = []
    sections = []
    for number, name in enumerate(names):
        room = _PAGE - (0 if number else sum(map(_height, report.brief)))
        for section in report.sections:
            if (section.chapter or section.id) == name:
                fitting, room = _fitting(section, room, left)
                sections.append(fitting)
        if sections and not number:
            sections[-1] = replace(sections[-1], blocks=(*sections[-1].blocks, *report.brief))
    kept = tuple(one for one in sections if one.blocks)
    others = dict.fromkeys(one.chapter or one.title for one in report.sections)
    chapters = [one for one in others if one not in {s.chapter or s.title for s in sections}]
    said = [*left, *(f"chapter {one}" for one in chapters)]
    sentence = f"Left out here, in the whole report: {'; '.join(said)}." if said else ""
    return replace(report, sections=kept), sentence


def _fitting(section: Section, room: int, left: list[str]) -> tuple[Section, int]:
    """A section with the blocks that there is room for, the others named in `left`."""
    kept: list[Block] = []
    room -= _of_text(section.lead)
    for whole in section.blocks:
        block = _shorter(whole)
        needed = _height(block)
        if (
            isinstance(whole, Table)
            and isinstance(block, Table)
            and len(block.rows) < len(whole.rows)
        ):
            fit = len(block.rows) - max(0, needed - room + _ROW - 1) // _ROW
            block = _first_rows(whole, max(_FEWEST, fit))
            needed = _height(block)
        if needed <= room and not (isinstance(block, Table) and (block.browse or block.collapsed)):
            kept.append(block)
            room -= needed
        elif isinstance(block, Table | Plot | Heatmap):
            left.append(block.title)
    return replace(section, blocks=tuple(kept), method=""), room


def _shorter(block: Block) -> Block:
    if isinstance(block, Callout) and block.level != "verdict" and block.items:
        return replace(block, items=())
    return _first_rows(block) if isinstance(block, Table) and not block.collapsed else block


def _first_rows(table: Table, most: int = _ROWS) -> Table:
    if any(table.nested):
        rows = tuple(row for row, below in zip(table.rows, table.nested, strict=True) if not below)
        table = replace(table, rows=rows, nested=())
    if len(table.rows) <= most:
        return table
    said = f"The first {most} of {plural(len(table.rows), 'row')}."
    groups, left = [], most
    for title, count in table.row_groups:
        groups.append((title, min(count, left)))
        left -= groups[-1][1]
    return replace(
        table,
        rows=table.rows[:most],
        nested=table.nested[:most],
        row_groups=tuple(group for group in groups if group[1]),
        caption=" ".join(filter(None, (table.caption, said))),
    )


def _height(block: Block) -> int:
    """Pixels that a block takes, about."""
    if isinstance(block, Plot | Heatmap):
        from goemo_report.report.render.figures import figure

        names = 0 if isinstance(block, Plot) else _NAMES
        drawn = int(figure(block)["layout"]["height"]) + names
        return min(drawn, _TALLEST) + _CAPTION + _of_text(block.title, block.caption)
    if isinstance(block, Table):
        rows = len(block.rows) + len(block.row_groups)
        return _ROW * rows + _CAPTION + _of_text(block.title, block.caption)
    if isinstance(block, Callout):
        return _of_text(block.text, *block.items) + 40
    return 60


def _of_text(*texts: str) -> int:
    """Pixels of paragraphs."""
    return sum(_LINE * (1 + len(text) // _LETTERS) for text in texts if text)
