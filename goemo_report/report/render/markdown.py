"""Report -> Markdown as GitHub renders it.

The answer and where the runs differ stand open, on about two screens, all else is folded; figures
are SVG files beside it. The only HTML in it is a handful of fixed tags: data never gets past
`markdown_text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final
from urllib.parse import quote

from goemo_report.formats.text import visible
from goemo_report.formats.wording import plural
from goemo_report.report.document import (
    Block,
    Callout,
    Cell,
    Code,
    Column,
    Heatmap,
    Plot,
    Report,
    Section,
    Table,
)
from goemo_report.report.render import Extent, cut
from goemo_report.report.render.figures import figure
from goemo_report.report.render.svg import svg
from goemo_report.report.render.text import (
    MARKS,
    NUMERIC_KINDS,
    anchor,
    github_html,
    markdown_code,
    markdown_text,
    safe_link,
    show,
    show_date,
    show_interval,
)

FOLD_FROM: Final = 32
"""Tables with more rows than this are folded."""
SUMMARY_ROWS: Final = 12
SUMMARY_ITEMS: Final = 6

_ALERTS: Final = {"verdict": "IMPORTANT", "note": "NOTE", "warning": "WARNING"}
_URL_SAFE: Final = "/:?#@!$&'*+,;=%-._~"


def render_markdown(report: Report, extent: Extent = "usual", folder: str = "") -> str:
    """The report; its first two chapters on two screens, the rest folded, unless `extent` is full.

    `folder` is where the figures lie that `drawings` makes; without it figures are their tables.
    """
    with_id = (block for block in report.blocks() if isinstance(block, Table | Plot | Heatmap))
    targets = frozenset(anchor(one.id) for one in (*report.sections, *with_id))  # rows have none
    writer = _Writer(targets, folder, is_lean=extent != "full")
    lean = report if extent == "short" else replace(report, brief=())
    said = {"warned": 0} if extent == "usual" else {}  # the rest has the details, folded
    opened, left_out = (report, "") if extent == "full" else cut(lean, **said)
    parts = [f"# {markdown_text(report.title)}"]
    under = [markdown_text(text) for text in (report.subtitle, show_date(report.created_at))]
    parts.append(f"*{' · '.join(filter(None, under))}*")
    chapter = ""
    for section in opened.sections:
        if section.chapter != chapter:
            chapter = section.chapter
            parts.append(f"## {markdown_text(chapter)}")
        found = writer.section(section)
        parts += [_fold(section.title, _joined(found))] if section.folded else found
    if extent == "usual":
        parts += writer.rest(report, opened)
    elif left_out:
        parts.append(markdown_text(left_out))
    parts.append("---")
    if report.command:
        parts += ["Made with", _code(Code(report.command))]
    if report.signature:
        parts.append(f"Signature: {markdown_code(report.signature, in_table=False)}")
    return _joined(parts) + "\n"


def drawings(report: Report) -> Iterator[tuple[str, str]]:
    """Name and text of the SVG file of each figure that the Markdown shows."""
    for block in report.figures():
        name = anchor(block.id)
        yield (
            f"{name}.svg",
            svg(figure(block), name, block.title, block.alt, standalone=True) + "\n",
        )


def render_markdown_block(block: Block) -> str:
    """One block alone, never folded."""
    return _joined(_Writer().block(block, fold=False)) + "\n"


def render_summary(report: Report) -> str:
    """A short form for `$GITHUB_STEP_SUMMARY` and comments on pull requests.

    Title and statements of the first section, the report's first open table, and
    a line for every other warning.
    """
    parts = [f"## {markdown_text(report.title)}"]
    for block in report.sections[0].blocks if report.sections else ():
        if isinstance(block, Callout):
            items = block.items
            if len(items) > SUMMARY_ITEMS:
                more = f"{len(items) - SUMMARY_ITEMS + 1} more"
                items = (*items[: SUMMARY_ITEMS - 1], more)
            parts += _Writer().block(replace(block, items=items))
    tables = (block for block in report.blocks() if isinstance(block, Table))
    if table := next((one for one in tables if not (one.browse or one.collapsed)), None):
        parts += [f"**{markdown_text(table.title)}**", *_rows(table, SUMMARY_ROWS)]
    warnings = [
        f"- **{markdown_text(section.title)}**: {markdown_text(block.text)}"
        for section in report.sections[1:]
        for block in section.blocks
        if isinstance(block, Callout) and block.level == "warning"
    ]
    parts += ["\n".join(warnings)]
    parts.append(f"<sub>{github_html(report.signature)}</sub>" if report.signature else "")
    return _joined(parts) + "\n"


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, parts))


@dataclass(slots=True)
class _Writer:
    """What the parts of one document share: anchors, where figures lie, and what is there."""

    targets: frozenset[str] = frozenset()
    folder: str = ""
    is_lean: bool = False  # tables behind figures come later
    shown: set[str] = field(default_factory=set)

    def section(self, section: Section) -> list[str]:
        """A section under its heading, which a chapter of the same name has already."""
        parts = [self._anchor(section.id)]
        if section.title != section.chapter:
            parts.append(f"{'###' if section.chapter else '##'} {markdown_text(section.title)}")
        parts.append(markdown_text(section.lead))
        for block in section.blocks:
            parts += self.block(block)
        if section.method:
            parts.append(_fold("How these numbers were made", markdown_text(section.method)))
        return parts

    def rest(self, report: Report, opened: Report) -> Iterator[str]:
        """Chapter by chapter, folded, what a document that shows `opened` does not."""
        there = [block for section in opened.sections for block in section.blocks]
        begun = {section.chapter or section.title for section in opened.sections}
        self.is_lean = False
        for name, found in groupby(report.sections, key=lambda one: one.chapter or one.title):
            parts: list[str] = []
            for section in found:
                parts += self._left(section, there)
            if parts:
                more = ": the rest" if name in begun else ""
                yield _fold(f"{name}{more}", _joined(parts))

    def _left(self, section: Section, there: Sequence[Block]) -> list[str]:
        if anchor(section.id) not in self.shown:
            return self.section(section)
        parts = []
        for block in section.blocks:
            if block not in there:  # a statement stands there already, without its details
                parts += [_items(block)] if isinstance(block, Callout) else self.block(block)
        if self.folder:
            drawn = (one for one in section.blocks if one in there)
            parts += [self._behind(one) for one in drawn if isinstance(one, Plot | Heatmap)]
        if section.method:
            parts.append(_fold("How these numbers were made", markdown_text(section.method)))
        titled = parts and section.title != (section.chapter or section.title)
        return [f"### {markdown_text(section.title)}", *parts] if titled else parts

    def block(self, block: Block, *, fold: bool = True) -> list[str]:
        """One block; tables that are long fold unless `fold` forbids it."""
        if isinstance(block, Table):
            return self._table(block, fold=fold)
        if isinstance(block, (Plot, Heatmap)):
            return self._figure(block, fold=fold)
        if isinstance(block, Callout):
            lines = [f"[!{_ALERTS[block.level]}]", markdown_text(block.text)]
            lines += ["", *_items(block).splitlines()] if block.items else []
            return ["\n".join(f"> {line}".rstrip() for line in lines)]
        return [_code(block)]

    def _figure(self, block: Plot | Heatmap, *, fold: bool) -> list[str]:
        title = markdown_text(block.title)
        parts = [self._anchor(block.id), f"#### {title}", markdown_text(block.caption or block.alt)]
        if not fold:
            return [*parts, *_rows(block.table, None, self.targets)]
        if self.folder:
            place = quote(f"{self.folder}/{anchor(block.id)}.svg")
            parts.append(f"![{title}]({place})")
        return parts if self.folder and self.is_lean else [*parts, self._behind(block)]

    def _behind(self, block: Plot | Heatmap) -> str:
        rows = _joined(_rows(block.table, None, self.targets))
        return _fold(f"Table behind: {block.title}", rows)

    def _table(self, table: Table, *, fold: bool) -> list[str]:
        head = [self._anchor(table.id), f"#### {markdown_text(table.title)}" if table.title else ""]
        limit = table.page_size if table.browse and fold else None
        rows = _rows(table, limit, self.targets)
        if fold and (table.collapsed or table.browse or len(table.rows) > FOLD_FROM):
            rows = [_fold(f"{table.title}: {plural(len(table.rows), 'row')}", _joined(rows))]
        return [*head, markdown_text(table.caption), *rows]

    def _anchor(self, identifier: str) -> str:
        name = anchor(identifier)
        if name in self.shown:
            return ""
        self.shown.add(name)
        return f'<a id="{name}"></a>'


def _items(block: Callout) -> str:
    return "\n".join(f"- {markdown_text(item)}" for item in block.items)


def _code(block: Code) -> str:
    text, fence = visible(block.text, lines=True), "```"
    while fence in text:
        fence += "`"
    return f"{fence}{block.language if block.language.isalnum() else ''}\n{text}\n{fence}"


def _fold(title: str, text: str) -> str:
    return f"<details><summary>{github_html(title)}</summary>\n\n{text}\n\n</details>"


def _rows(table: Table, limit: int | None, targets: frozenset[str] = frozenset()) -> list[str]:
    """The table itself, then its notes and what its columns are."""
    rows, columns = table.cells()[:limit], table.columns
    told = dict.fromkeys(cell.note for row in rows for cell in row if cell.note)
    notes = {note: str(number) for number, note in enumerate(told, start=1)}
    lines = [
        "| " + " | ".join(markdown_text(column.title) or " " for column in columns) + " |",
        "| " + " | ".join("---:" if c.kind in NUMERIC_KINDS else "---" for c in columns) + " |",
    ]
    for index, row in enumerate(rows):
        if index in table.heads:
            lines.append(f"| **{markdown_text(table.heads[index])}** |" + " |" * (len(columns) - 1))
        cells = (
            _cell(cell, column, notes, targets) for cell, column in zip(row, columns, strict=True)
        )
        lines.append("| " + " | ".join(cells) + " |")
    parts = ["\n".join(lines)]
    if limit is not None and len(table.rows) > limit:
        parts.append(
            f"{plural(len(table.rows) - limit, 'more row')} in the JSON and the HTML report."
        )
    if notes:
        parts.append(
            "  \n".join(f"<sup>{n}</sup> {markdown_text(note)}" for note, n in notes.items())
        )
    if helped := [column for column in columns if column.help]:
        about = [f"- **{markdown_text(one.title)}**: {markdown_text(one.help)}" for one in helped]
        parts.append(_fold("About the columns", "\n".join(about)))
    return parts


def _cell(cell: Cell, column: Column, notes: dict[str, str], targets: frozenset[str]) -> str:
    shown = show(cell.value, column)
    text = markdown_code(shown) if column.kind == "code" else markdown_text(shown)
    if link := _link(cell.link, targets):
        text = f"[{text}]({link})"
    if cell.mark == "best":
        text = f"**{text}**"
    if interval := show_interval(cell, column):
        text += f" <sub>{interval}</sub>"
    if cell.mark is not None and (sign := MARKS[cell.mark][0]):
        text += " **warning**" if cell.mark == "warning" else f" {sign}"
    if number := notes.get(cell.note):
        text += f"<sup>{number}</sup>"
    return text


def _link(link: str | None, targets: frozenset[str]) -> str | None:
    """A link that is safe and, inside the document, has a target."""
    safe = safe_link(link)
    if safe is None or (safe.startswith("#") and safe[1:] not in targets):
        return None
    return quote(safe, safe=_URL_SAFE)
