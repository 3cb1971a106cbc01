"""Tables -> LaTeX with booktabs, as snippets to include.

They need T1 fonts (fontenc), textcomp, amssymb, booktabs and, for tables of more than a
page, longtable.
"""

from __future__ import annotations

from typing import Final

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
    Table,
)
from goemo_report.report.render.numbers import (
    MARKS,
    NUMERIC_KINDS,
    as_cell,
    fact_column,
    show,
    show_cell,
    show_interval,
)
from goemo_report.report.render.text import anchor, latex_text

LONG_FROM: Final = 45
_LONG_TEXT: Final = 36
_PACKAGES: Final = (
    "% Needs \\usepackage[T1]{fontenc} and the packages textcomp, amssymb, booktabs, longtable.\n"
)


def render_latex(report: Report) -> str:
    """Every table of a report, section by section."""
    parts = [_PACKAGES]
    for section in report.sections:
        blocks = [_block(block) for block in section.blocks]
        if any(blocks):
            parts.append(f"\\section{{{latex_text(section.title)}}}\n")
            parts += [text for text in blocks if text]
    return "\n".join(parts)


def render_latex_block(block: Block) -> str:
    """One block alone; figures are their tables."""
    return _PACKAGES + "\n" + _block(block)


def _block(block: Block) -> str:
    if isinstance(block, (Plot, Heatmap)):
        return _table(block.table, block.table.title or block.title)
    if isinstance(block, Table):
        return _table(block, block.title)
    if isinstance(block, Facts):
        return _facts(block)
    if isinstance(block, Callout):
        lines = "".join(f"\\item {latex_text(item)}\n" for item in block.items)
        items = f"\\begin{{itemize}}\n{lines}\\end{{itemize}}\n" if lines else ""
        return f"\\paragraph{{{block.level.capitalize()}}} {latex_text(block.text)}\n{items}"
    if isinstance(block, Code):
        lines = " \\\\\n".join(latex_text(line) for line in block.text.splitlines() or [""])
        return f"\\begin{{flushleft}}\\ttfamily\n{lines}\n\\end{{flushleft}}\n"
    return _prose(block)


def _prose(block: Prose) -> str:
    return "\n\n".join(latex_text(paragraph) for paragraph in block.paragraphs) + "\n"


def _facts(block: Facts) -> str:
    columns = (Column("name", ""), Column("value", "Value"), Column("how", "How it was made"))
    rows = tuple(
        (name, show_cell(as_cell(value), fact_column(as_cell(value).value)), how)
        for name, value, how in block.items
    )
    return _table(Table(block.id, "Key figures", columns, rows), "Key figures")


def _table(table: Table, title: str) -> str:
    notes: dict[str, str] = {}
    body = "\n".join(_lines(table, notes))
    head = " & ".join(latex_text(column.title) for column in table.columns) + r" \\"
    caption = ". ".join(text.rstrip(".") for text in (title, table.caption) if text)
    named = f"\\caption{{{latex_text(caption)}}}\\label{{tab:{_label(table.id)}}}"
    shape = "".join(_alignment(table, index) for index in range(len(table.columns)))
    told = "; ".join(f"\\textsuperscript{{{n}}} {latex_text(note)}" for note, n in notes.items())
    after = f"\\par\\smallskip{{\\footnotesize {told}}}\n" if told else ""
    if len(table.rows) > LONG_FROM:
        return (
            f"{{\\small\n\\begin{{longtable}}{{{shape}}}\n{named} \\\\\n\\toprule\n{head}\n"
            f"\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n{body}\n\\end{{longtable}}\n"
            f"{after}}}\n"
        )
    return (
        f"\\begin{{table}}[htbp]\n\\centering\\small\n{named}\n\\begin{{tabular}}{{{shape}}}\n"
        f"\\toprule\n{head}\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n"
        f"{after}\\end{{table}}\n"
    )


def _label(name: str) -> str:
    return anchor(name).encode("ascii", "ignore").decode("ascii").replace("_", "-")


def _alignment(table: Table, index: int) -> str:
    if table.columns[index].kind in NUMERIC_KINDS:
        return "r"
    values = (as_cell(row[index]).value for row in table.rows)
    long = any(isinstance(value, str) and len(value) > _LONG_TEXT for value in values)
    return "p{5cm}" if long else "l"


def _lines(table: Table, notes: dict[str, str]) -> list[str]:
    heads: dict[int, str] = {}
    start = 0
    for title, count in table.row_groups:
        heads[start] = title
        start += count
    lines = []
    for index, row in enumerate(table.rows):
        if index in heads:
            span = f"\\multicolumn{{{len(table.columns)}}}{{l}}"
            lines += [r"\addlinespace"] if index else []
            lines.append(f"{span}{{\\textit{{{latex_text(heads[index])}}}}} \\\\")
        cells = (
            _cell(as_cell(value), column, notes)
            for value, column in zip(row, table.columns, strict=True)
        )
        lines.append(" & ".join(cells) + r" \\")
    return lines


def _cell(cell: Cell, column: Column, notes: dict[str, str]) -> str:
    text = latex_text(show(cell.value, column))
    if column.kind == "code":
        text = f"\\texttt{{{text}}}"
    if cell.mark == "best":
        text = f"\\textbf{{{text}}}"
    if interval := show_interval(cell, column):
        text += f" {{\\scriptsize {latex_text(interval)}}}"
    if cell.mark in {"good", "bad"}:
        text += f" {latex_text(MARKS[cell.mark][0])}"
    elif cell.mark == "warning":
        text += r" \textbf{!}"
    if cell.note:
        text += f"\\textsuperscript{{{notes.setdefault(cell.note, str(len(notes) + 1))}}}"
    return text
