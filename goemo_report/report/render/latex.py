r"""Report -> LaTeX: two pages that compile as they are, or all of it.

The file is a document of its own and can be taken into another with `\input`: the first lines
see which. Tables and figures that are wider than the text are scaled down to it, so that no box
is overfull; a long table is cut into parts that each fit on a page. Figures are TikZ.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final

from goemo_report.formats.wording import plural
from goemo_report.report.document import (
    Block,
    Callout,
    Cell,
    Column,
    Heatmap,
    Plot,
    Report,
    Section,
    Table,
    Value,
)
from goemo_report.report.render.extent import Extent, cut, page_sized
from goemo_report.report.render.figures import figure
from goemo_report.report.render.numbers import (
    MARKS,
    NUMERIC_KINDS,
    show,
    show_date,
    show_interval,
)
from goemo_report.report.render.svg import svg
from goemo_report.report.render.text import anchor, latex_text
from goemo_report.report.render.tikz import tikz

_PAGE: Final = 44  # lines of a table that fit on a page
_LONG_TEXT: Final = 36
_LONG_WORD: Final = 16
_LETTERS: Final = 44  # of a line in a column of long text
_BROWSED: Final = 100  # rows of a table that is there to be searched
_PACKAGES: Final = (
    "fontenc[T1]", "textcomp", "amssymb", "booktabs", "graphicx", "tikz", "geometry[margin=2cm]",
)  # fmt: skip
_USED: Final = "".join(
    f"\\usepackage{f'[{options[:-1]}]' if options else ''}{{{name}}}\n"
    for name, _, options in (one.partition("[") for one in _PACKAGES)
)
_HEAD: Final = rf"""% Compile it as it is, or \input it into a document with the packages below.
\makeatletter
\ifx\@nodocument\relax\let\goemoend\relax\else
\def\goemoend{{\end{{document}}}}
\documentclass[10pt,a4paper]{{article}}
{_USED}\IfFileExists{{lmodern.sty}}{{\usepackage{{lmodern}}}}{{}}
\frenchspacing
\begin{{document}}
\fi
\makeatother
\ifdefined\goemobox\else\newsavebox\goemobox\fi
\providecommand\goemofit[2][.85]{{\sbox\goemobox{{#2}}%
\ifdim\wd\goemobox>\linewidth\sbox\goemobox{{\resizebox{{\linewidth}}{{!}}{{\usebox\goemobox}}}}\fi
\ifdim\dimexpr\ht\goemobox+\dp\goemobox>#1\textheight
\resizebox*{{!}}{{#1\textheight}}{{\usebox\goemobox}}\else\usebox\goemobox\fi}}
\providecommand\goemotype[1]{{\expandafter\def\csname @captype\endcsname{{#1}}}}
\sloppy\emergencystretch=3em
"""


def render_latex(report: Report, extent: Extent = "usual") -> str:
    """The first two chapters on two pages; all chapters where `extent` is full."""
    whole = extent == "full"
    report, left_out = (page_sized(report), "") if whole else cut(report)
    under = " \\textperiodcentered{} ".join(
        (_broken(report.subtitle), latex_text(show_date(report.created_at)))
    )
    title = f"\\noindent{{\\Large\\bfseries {_broken(report.title)}}}\\\\\n"
    parts = [_HEAD, f"{title}{{\\small {under}}}\\par\n"]
    for chapter, found in groupby(report.sections, key=lambda one: one.chapter or one.title):
        parts.append(f"\\section*{{{_broken(chapter)}}}\n")
        for number, section in enumerate(found):
            titled = section.chapter and (number or whole) and section.title != chapter
            parts.append(_section(section, titled=bool(titled), whole=whole))
    if left_out:
        parts.append(f"{{\\footnotesize {_broken(left_out)}\\par}}\n")
    if report.signature:
        parts.append(
            f"{{\\footnotesize\\ttfamily\\raggedright {_broken(report.signature)}\\par}}\n"
        )
    return "\n".join([*parts, "\\goemoend\n"])


def render_latex_block(block: Block) -> str:
    """One block alone; figures are their tables."""
    table = block.table if isinstance(block, Plot | Heatmap) else block
    return f"{_HEAD}\n{_block(table)}\n\\goemoend\n"


def _section(section: Section, *, titled: bool, whole: bool) -> str:
    parts = [f"\\subsection*{{{_broken(section.title)}}}\n"] if titled else []
    parts += [f"{_broken(section.lead)}\n"] if section.lead else []
    for block in section.blocks:
        parts.append(_block(block))
        if whole and isinstance(block, Plot | Heatmap):
            parts.append(_table(block.table, block.table.title or block.title))
    parts += [f"{_broken(section.method)}\n"] if section.method else []
    return "\n".join(part for part in parts if part)


def _block(block: Block) -> str:
    if isinstance(block, (Plot, Heatmap)):
        drawn = svg(figure(block), "figure", block.title, block.alt)
        return _boxed("figure", _caption(block.title, block.caption), block.id, tikz(drawn))
    if isinstance(block, Table):
        return _table(block, block.title)
    if isinstance(block, Callout):
        return _callout(block)
    lines = " \\\\\n".join(_broken(line) for line in block.text.splitlines() or [""])
    return f"\\begin{{flushleft}}\\ttfamily\n{lines}\n\\end{{flushleft}}\n"


def _callout(block: Callout) -> str:
    lines = "".join(f"\\item {_broken(item)}\n" for item in block.items)
    items = f"\\begin{{itemize}}\\setlength\\itemsep{{0pt}}\n{lines}\\end{{itemize}}\n"
    head = "" if block.level == "verdict" else f"\\textbf{{{block.level.capitalize()}.}} "
    text = _broken(block.text)
    if block.level == "verdict":
        text = f"{{\\large {text}}}"
    return f"\\par\\medskip\\noindent {head}{text}\\par\n{items if lines else ''}"


# --- Figures and tables: boxes that keep with their caption --------------------------------


def _boxed(kind: str, caption: str, name: str, inner: str, after: str = "") -> str:
    plain = anchor(name).encode("ascii", "ignore").decode("ascii").replace("_", "-")
    label = f"\\label{{{kind[:3]}:{plain}}}" if name else ""
    most = "[.55]" if kind == "figure" else ""  # of the height of a page
    return (
        f"\\par\\medskip\\noindent\\begin{{minipage}}{{\\linewidth}}\\goemotype{{{kind}}}\\centering"
        f"\\small\n\\caption{{{caption}}}{label}\\smallskip\n"
        f"\\goemofit{most}{{{inner}}}\n\\end{{minipage}}\\par\n{after}"
    )


def _caption(*texts: str) -> str:
    return _broken(". ".join(text.rstrip(".") for text in texts if text))


def _table(table: Table, title: str) -> str:
    notes: dict[str, str] = {}
    rows, said = table.cells(), table.caption
    if table.browse and len(rows) > _BROWSED:
        rows = rows[:_BROWSED]
        said = f"{said} The first {_BROWSED} of {plural(len(table.rows), 'row')}.".strip()
    head = " & ".join(latex_text(column.title) for column in table.columns) + r" \\"
    shape = "".join(
        _alignment(column, (row[at].value for row in table.cells()))
        for at, column in enumerate(table.columns)
    )
    parts = []
    for number, part in enumerate(_parts(rows, table.heads)):
        body = "\n".join(line for at in part for line in _lines(table, at, rows[at], notes))
        inner = (
            f"\\begin{{tabular}}{{{shape}}}\n\\toprule\n{head}\n\\midrule\n{body}\n\\bottomrule\n"
            "\\end{tabular}"
        )
        caption = _caption(f"{title} (continued)" if number else title, "" if number else said)
        parts.append((caption, "" if number else table.id, inner))
    told = "; ".join(f"\\textsuperscript{{{n}}} {_broken(note)}" for note, n in notes.items())
    after = f"{{\\footnotesize\\noindent {told}\\par}}\n" if told else ""
    return "".join(
        _boxed("table", *part, after if number == len(parts) else "")
        for number, part in enumerate(parts, 1)
    )


def _parts(rows: Sequence[Sequence[Cell]], heads: Container[int]) -> Iterator[list[int]]:
    """Indices of the rows of each part, as many as fit on a page."""
    part: list[int] = []
    used = 0
    for at, row in enumerate(rows):
        longest = max((len(str(cell.value)) for cell in row), default=1)
        lines = -(-longest // _LETTERS) if longest > _LONG_TEXT else 1
        lines += 2 if at in heads else 0
        if part and used + lines > _PAGE:
            yield part
            part, used = [], 0
        part.append(at)
        used += lines
    yield part


def _alignment(column: Column, values: Iterable[Value]) -> str:
    if column.kind in NUMERIC_KINDS:
        return "r"
    is_long = any(isinstance(value, str) and len(value) > _LONG_TEXT for value in values)
    return "p{7cm}" if is_long else "l"


def _lines(table: Table, at: int, row: Sequence[Cell], notes: dict[str, str]) -> Iterator[str]:
    if (title := table.heads.get(at)) is not None:
        if at:
            yield r"\addlinespace"
        yield f"\\multicolumn{{{len(row)}}}{{l}}{{\\textit{{{latex_text(title)}}}}} \\\\"
    cells = (_cell(cell, column, notes) for cell, column in zip(row, table.columns, strict=True))
    yield " & ".join(cells) + r" \\"


def _cell(cell: Cell, column: Column, notes: dict[str, str]) -> str:
    shown = show(cell.value, column)
    text = _broken(shown) if len(shown) > _LONG_TEXT else latex_text(shown)
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


def _broken(text: str) -> str:
    """A text whose long words, such as names of runs, may go on in the next line."""
    return " ".join(
        r"\allowbreak{}".join(latex_text(word[at : at + 5]) for at in range(0, len(word), 5))
        if len(word) > _LONG_WORD
        else latex_text(word)
        for word in text.split(" ")
    )
