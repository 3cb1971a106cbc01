r"""Report -> LaTeX: two pages that compile as they are, or all of it.

The file is a document of its own and can be taken into another with `\input`: the first lines
see which. Tables and figures that are wider than the text are scaled down to it, so that no box
is overfull; a long table is cut into parts that each fit on a page. Figures are TikZ.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

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
from goemo_report.report.render import Extent, cut, page_sized
from goemo_report.report.render.figures import LIGHT, PALETTE, figure, heat_colours
from goemo_report.report.render.svg import svg
from goemo_report.report.render.text import (
    MARKS,
    NUMERIC_KINDS,
    anchor,
    latex_text,
    show,
    show_date,
    show_interval,
)

_PAGE: Final = 44  # lines of a table that fit on a page
_LONG_TEXT: Final = 36
_LONG_WORD: Final = 16
_OF_RUNS: Final = "Means over seeds; CSV and HTML have every run."
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
    alone = _recipes_alone(table)
    said = f"{table.caption} {_OF_RUNS}".strip() if alone is not table else table.caption
    table = alone
    rows = table.cells()
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


def _recipes_alone(table: Table) -> Table:
    """The table without the rows of single seeds, where those of the recipes say as much."""
    alone = table.unnested()
    for own, column in zip(
        zip(*alone.cells(), strict=True), zip(*table.cells(), strict=True), strict=True
    ):
        known = any(cell.value not in {None, ""} for cell in column)
        if known and all(cell.value in {None, ""} for cell in own):
            return table
    return alone


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


# --- Figures as TikZ, turned from the SVG that the report draws -----------------------------

_SVG: Final = "{http://www.w3.org/2000/svg}"
_SCALE: Final = 0.66  # points a pixel: 720 pixels are the text of a page
_LETTER: Final = 11.5 * _SCALE
_STEP: Final = re.compile(r"([MLHVhvlzZ])([^MLHVhvlzZ]*)")
_NUMBER: Final = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")
_MOVED: Final = re.compile(r"(\w+)\(([^)]*)\)")


class _Place(NamedTuple):
    """Where a shape that is drawn around 0 stands, and how large."""

    x: float = 0.0
    y: float = 0.0
    size: float = 1.0

    def at(self, x: float, y: float) -> str:
        """A point as TikZ writes it."""
        return f"({self.x + self.size * x:.2f},{self.y + self.size * y:.2f})"


def tikz(drawing: str) -> str:
    """A `tikzpicture` of an SVG that `svg` made; colours are those of a light page."""
    root = ET.fromstring(drawing)  # noqa: S314 # the report's own
    width, height = root.attrib["width"], root.attrib["height"]
    known = {**LIGHT, **{f"c{at}": one for at, one in enumerate(PALETTE)}, **heat_colours()}
    colours = "".join(
        f"\\definecolor{{goemo{name}}}{{HTML}}{{{value[1:].upper()}}}"
        for name, value in known.items()
    )
    style = f"\\sffamily\\fontsize{{{_LETTER:.1f}}}{{{1.2 * _LETTER:.1f}}}\\selectfont"
    opened = f"\\begin{{tikzpicture}}[x={_SCALE}pt,y=-{_SCALE}pt,line join=round,font={style}]"
    parts = [
        f"{{{colours}{opened}",
        f"\\useasboundingbox (0,0) rectangle ({width},{height});",
        *_drawn(root, "neutral"),
        "\\end{tikzpicture}}",
    ]
    return "\n".join(parts)


def _drawn(element: ET.Element, colour: str) -> Iterator[str]:
    for child in element:
        tag, names = child.tag.removeprefix(_SVG), child.get("class", "").split()
        if tag == "g":
            own = next((name for name in names if re.fullmatch(r"c\d", name)), "neutral")
            yield from _drawn(child, own)
        elif tag == "text":
            yield _text(child, names, colour)
        elif tag in {"path", "circle", "rect"} and (look := _look(child, names, colour)):
            yield f"\\path[{look}] {_outline(child, tag)};"


def _outline(element: ET.Element, tag: str) -> str:
    number = {key: float(element.get(key, "0")) for key in ("cx", "cy", "r", "x", "y")}
    if tag == "circle":
        return f"({number['cx']},{number['cy']}) circle[radius={number['r'] * _SCALE:.2f}pt]"
    if tag == "rect":
        right = number["x"] + float(element.attrib["width"])
        bottom = number["y"] + float(element.attrib["height"])
        return f"({number['x']},{number['y']}) rectangle ({right:.2f},{bottom:.2f})"
    return " ".join(_steps(element.attrib["d"], _place(element)))


def _place(element: ET.Element) -> _Place:
    moves = {name: _numbers(inner) for name, inner in _MOVED.findall(element.get("transform", ""))}
    x, y = (*moves.get("translate", ()), 0.0, 0.0)[:2]
    return _Place(x, y, next(iter(moves.get("scale", ())), 1.0))


def _numbers(text: str) -> list[float]:
    return [float(one) for one in _NUMBER.findall(text)]


def _steps(path: str, place: _Place) -> Iterator[str]:
    """Each step of an SVG path."""
    x = y = 0.0
    for command, inner in _STEP.findall(path):
        numbers = _numbers(inner)
        if command in "zZ":
            yield "-- cycle"
        elif command in "HVhv":
            for value in numbers:
                x = {"H": value, "h": x + value}.get(command, x)
                y = {"V": value, "v": y + value}.get(command, y)
                yield f"-- {place.at(x, y)}"
        else:
            for number, (a, b) in enumerate(zip(numbers[::2], numbers[1::2], strict=True)):
                x, y = (x + a, y + b) if command == "l" else (a, b)
                moves = command == "M" and not number
                yield place.at(x, y) if moves else f"-- {place.at(x, y)}"


def _look(element: ET.Element, names: list[str], colour: str) -> str:
    """Lines and fill of a mark, as the style sheet of figures has them."""
    dashed = ",dashed" if element.get("stroke-dasharray") else ""
    looks = {
        "g": "draw=goemogrid,line width=.5pt",
        "a": f"draw=goemoneutral,line width=.5pt{dashed}",
        "l": f"draw=goemo{colour},line width=1.2pt{dashed}",
        "l1": f"draw=goemo{colour},line width=.5pt,draw opacity=.5",
        "w": f"draw=goemo{colour},line width=.9pt",
        "p": f"fill=goemo{colour}",
        "o": f"draw=goemo{colour},fill=white,line width=.9pt",
        "b": f"fill=goemo{colour},fill opacity=.16",
        "h": "draw=goemoline,line width=1.2pt",
    }
    name = names[0] if names else ""
    if re.fullmatch(r"h[spq]\d+", name):
        return f"fill=goemo{name}"
    return looks.get(name, "")


def _text(element: ET.Element, names: list[str], colour: str) -> str:
    ends = {"e": "base east", "m": "base"}
    end = next((ends[name] for name in names if name in ends), "base west")
    ink = "white" if "z" in names else "goemoink" if "i" in names else "goemosoft"
    if "style" in element.attrib:
        ink = f"goemo{colour}"
    moves = dict(_MOVED.findall(element.get("transform", "")))
    turned = f",rotate={-_numbers(moves['rotate'])[0]:g}" if "rotate" in moves else ""
    words = latex_text("".join(element.itertext()))
    place = f"({element.attrib['x']},{element.attrib['y']})"
    return f"\\node[anchor={end},inner sep=0pt,text={ink}{turned}] at {place} {{{words}}};"
