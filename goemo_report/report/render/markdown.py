"""Report -> Markdown as GitHub renders it.

Long tables fold; figures are their tables. The only HTML in it is a handful of fixed tags:
data never gets past `markdown_text`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
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
    Facts,
    Heatmap,
    Plot,
    Prose,
    Report,
    Section,
    Table,
)
from goemo_report.report.render.numbers import (
    MARKS,
    NUMERIC_KINDS,
    as_cell,
    fact_column,
    show,
    show_date,
    show_interval,
)
from goemo_report.report.render.text import (
    anchor,
    html_text,
    markdown_code,
    markdown_text,
    safe_link,
)

FOLD_FROM: Final = 32
"""Tables with more rows than this are folded."""
SUMMARY_ROWS: Final = 12
SUMMARY_ITEMS: Final = 6

_ALERTS: Final = {"verdict": "IMPORTANT", "note": "NOTE", "warning": "WARNING"}
_URL_SAFE: Final = "/:?#@!$&'*+,;=%-._~"


def render_markdown(report: Report) -> str:
    """The whole report."""
    targets = _targets(report)
    parts = [f"# {markdown_text(report.title)}"]
    if report.subtitle:
        parts.append(f"*{markdown_text(report.subtitle)}*")
    parts.append(f"Written {show_date(report.created_at)}.")
    if report.palette_names:
        parts.append(f"Runs: {'; '.join(map(markdown_text, report.palette_names))}.")
    chapter = ""
    for section in report.sections:
        if section.chapter != chapter:
            chapter = section.chapter
            parts.append(f"# {markdown_text(chapter)}")
        found = _section(section, targets)
        if section.folded:
            found = [_fold(section.title, "\n\n".join(part for part in found if part))]
        parts += found
    parts.append("---")
    if report.command:
        parts += ["Made with", _code(Code(report.command))]
    if report.signature:
        parts.append(f"Signature: {markdown_code(report.signature, in_table=False)}")
    return "\n\n".join(part for part in parts if part) + "\n"


def render_markdown_block(block: Block) -> str:
    """One block alone, never folded."""
    parts = _block(block, frozenset(), fold=False)
    return "\n\n".join(part for part in parts if part) + "\n"


def render_summary(report: Report) -> str:
    """A short form for `$GITHUB_STEP_SUMMARY` and comments on pull requests.

    Title, statements and facts of the first section, the report's first open table, and
    a line for every other warning.
    """
    parts = [f"## {markdown_text(report.title)}"]
    for block in report.sections[0].blocks if report.sections else ():
        if isinstance(block, Callout):
            parts += _block(_shortened(block), frozenset())
        elif isinstance(block, Facts):
            parts += _block(block, frozenset())
    table = next((one for one in _tables(report) if not (one.browse or one.collapsed)), None)
    if table is not None:
        parts += [f"**{markdown_text(table.title)}**", *_rows(table, SUMMARY_ROWS)]
    warnings = [
        f"- **{markdown_text(section.title)}**: {markdown_text(block.text)}"
        for section in report.sections[1:]
        for block in section.blocks
        if isinstance(block, Callout) and block.level == "warning"
    ]
    parts += ["\n".join(warnings)]
    parts.append(f"<sub>{html_text(report.signature)}</sub>" if report.signature else "")
    return "\n\n".join(part for part in parts if part) + "\n"


def _tables(report: Report) -> Iterator[Table]:
    return (one for section in report.sections for one in section.blocks if isinstance(one, Table))


def _shortened(block: Callout) -> Callout:
    """A callout with its first items."""
    if len(block.items) <= SUMMARY_ITEMS:
        return block
    more = f"{len(block.items) - SUMMARY_ITEMS + 1} more"
    return replace(block, items=(*block.items[: SUMMARY_ITEMS - 1], more))


def _targets(report: Report) -> frozenset[str]:
    """Anchors that the Markdown has: sections, tables and figures, but no rows."""
    blocks = (block for section in report.sections for block in section.blocks)
    ids = {anchor(block.id) for block in blocks if isinstance(block, (Table, Plot, Heatmap))}
    return frozenset(ids | {anchor(section.id) for section in report.sections})


def _section(section: Section, targets: frozenset[str]) -> list[str]:
    parts = [f'<a id="{anchor(section.id)}"></a>\n\n## {markdown_text(section.title)}']
    parts.append(markdown_text(section.lead))
    for block in section.blocks:
        parts += _block(block, targets)
    if section.method:
        parts.append(_fold("How these numbers were made", markdown_text(section.method)))
    return parts


def _block(block: Block, targets: frozenset[str], *, fold: bool = True) -> list[str]:
    if isinstance(block, Table):
        return _table(block, targets, fold=fold)
    if isinstance(block, (Plot, Heatmap)):
        head = f'<a id="{anchor(block.id)}"></a>\n\n### {markdown_text(block.title)}'
        text = [head, markdown_text(block.caption or block.alt)]
        folded = "\n\n".join(_rows(block.table, None, targets))
        return [*text, _fold(f"Table behind: {block.title}", folded) if fold else folded]
    if isinstance(block, Facts):
        return [_facts(block, targets)]
    if isinstance(block, Callout):
        lines = [f"[!{_ALERTS[block.level]}]", markdown_text(block.text)]
        lines += ["", *(f"- {markdown_text(item)}" for item in block.items)] if block.items else []
        return ["\n".join(f"> {line}".rstrip() for line in lines)]
    if isinstance(block, Code):
        return [_code(block)]
    return _prose(block)


def _prose(block: Prose) -> list[str]:
    return [markdown_text(paragraph) for paragraph in block.paragraphs]


def _code(block: Code) -> str:
    text = visible(block.text, lines=True)
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{block.language if block.language.isalnum() else ''}\n{text}\n{fence}"


def _fold(title: str, text: str) -> str:
    return f"<details><summary>{html_text(title)}</summary>\n\n{text}\n\n</details>"


def _facts(block: Facts, targets: frozenset[str]) -> str:
    lines = ["| | | |", "| --- | ---: | --- |"]
    for name, value, how in block.items:
        cell = as_cell(value)
        shown = _cell(cell, fact_column(cell.value), {}, targets)
        told = ". ".join(part for part in (cell.note.rstrip("."), how) if part)
        lines.append(f"| {markdown_text(name)} | {shown} | {markdown_text(told)} |")
    return "\n".join(lines)


def _table(table: Table, targets: frozenset[str], *, fold: bool) -> list[str]:
    head = f'<a id="{anchor(table.id)}"></a>'
    if table.title:
        head += f"\n\n### {markdown_text(table.title)}"
    limit = table.page_size if table.browse and fold else None
    rows = _rows(table, limit, targets)
    if fold and (table.collapsed or table.browse or len(table.rows) > FOLD_FROM):
        rows = [_fold(f"{table.title}: {plural(len(table.rows), 'row')}", "\n\n".join(rows))]
    return [head, markdown_text(table.caption), *rows]


def _rows(table: Table, limit: int | None, targets: frozenset[str] = frozenset()) -> list[str]:
    """The table itself, then its notes and what its columns are."""
    notes = _notes(table, limit)
    lines = [
        "| " + " | ".join(markdown_text(column.title) or " " for column in table.columns) + " |",
        "| " + " | ".join(_rule(column) for column in table.columns) + " |",
    ]
    heads = dict(_group_heads(table))
    for index, row in enumerate(table.rows[:limit]):
        if index in heads:
            lines.append(f"| **{heads[index]}** |" + " |" * (len(table.columns) - 1))
        cells = (
            _cell(as_cell(value), column, notes, targets)
            for value, column in zip(row, table.columns, strict=True)
        )
        lines.append("| " + " | ".join(cells) + " |")
    parts = ["\n".join(lines)]
    if limit is not None and len(table.rows) > limit:
        parts.append(
            f"{plural(len(table.rows) - limit, 'more row')} in the JSON and the HTML report."
        )
    if notes:
        told = [f"<sup>{letter}</sup> {markdown_text(note)}" for note, letter in notes.items()]
        parts.append("  \n".join(told))
    if helped := [column for column in table.columns if column.help]:
        about = [f"- **{markdown_text(one.title)}**: {markdown_text(one.help)}" for one in helped]
        parts.append(_fold("About the columns", "\n".join(about)))
    return parts


def _group_heads(table: Table) -> Iterator[tuple[int, str]]:
    start = 0
    for title, count in table.row_groups:
        yield start, markdown_text(title)
        start += count


def _rule(column: Column) -> str:
    return "---:" if column.kind in NUMERIC_KINDS else "---"


def _notes(table: Table, limit: int | None) -> dict[str, str]:
    """A number for every different note of a cell."""
    cells: Sequence[Cell] = [as_cell(value) for row in table.rows[:limit] for value in row]
    notes = dict.fromkeys(cell.note for cell in cells if cell.note)
    return {note: str(index) for index, note in enumerate(notes, start=1)}


def _cell(cell: Cell, column: Column, notes: dict[str, str], targets: frozenset[str]) -> str:
    shown = show(cell.value, column)
    text = markdown_code(shown) if column.kind == "code" else markdown_text(shown)
    if link := _link(cell.link, targets):
        text = f"[{text}]({link})"
    if cell.mark == "best":
        text = f"**{text}**"
    if interval := show_interval(cell, column):
        text += f" <sub>{interval}</sub>"
    if cell.mark is not None and MARKS[cell.mark][0]:
        text += f" {_sign(cell)}"
    if number := notes.get(cell.note):
        text += f"<sup>{number}</sup>"
    return text


def _sign(cell: Cell) -> str:
    sign, word = MARKS[cell.mark] if cell.mark else ("", "")
    return "**warning**" if cell.mark == "warning" else sign or word


def _link(link: str | None, targets: frozenset[str]) -> str | None:
    """A link that is safe and, inside the document, has a target."""
    safe = safe_link(link)
    if safe is None or (safe.startswith("#") and safe[1:] not in targets):
        return None
    return quote(safe, safe=_URL_SAFE)
