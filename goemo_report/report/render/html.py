"""Report -> one HTML file that needs no network; and that page printed, and a page of figures.

The page reads without JavaScript: every table and every figure is in it, drawn. With JavaScript
tables sort and filter. The Content-Security-Policy allows one script, by its hash, and no
connection at all, so that nothing a report holds can run or call out.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from goemo_report.errors import DataError, NotFoundError
from goemo_report.formats.text import visible
from goemo_report.report.document import Block, Callout, Heatmap, Plot, Report, Section, Table
from goemo_report.report.render import Extent, cut, page_sized
from goemo_report.report.render.cells import table_view
from goemo_report.report.render.figures import FIGURE_CSS, figure, heat_page_css, transposed
from goemo_report.report.render.svg import SMALL, WIDE, plotly_figure, svg
from goemo_report.report.render.text import anchor, show_date

if TYPE_CHECKING:
    from jinja2 import Environment

View = dict[str, Any]
_HEAD: Final = "TITLE"  # of printed pages, in the style sheet
_NARROW: Final = 20  # columns of a heat map that fit beside each other on a phone
_TOLD: Final = 6  # columns that have room for their values there


def render_html(report: Report, extent: Extent = "usual") -> str:
    """The report as a page; printed, a short one takes two sheets, a full one has the appendix."""
    page = _Page(is_short=extent == "short", is_full=extent == "full")
    report, left_out = cut(report) if page.is_short else (page_sized(report), "")
    by_chapter = groupby(report.sections, key=lambda section: section.chapter or f"#{section.id}")
    return page.render(
        title=report.title,
        cover=report,
        chapters=[page.chapter(list(sections)) for _, sections in by_chapter],
        signature=report.signature,
        command=report.command,
        data="" if page.is_short else _data(report),
        left_out=left_out,
    )


def render_html_block(block: Block) -> str:
    """One block as a page of its own."""
    page = _Page()
    section = {"id": "", "title": "", "lead": "", "method": "", "blocks": [page.block(block)]}
    alone = {"id": "", "number": 0, "title": "", "folded": False, "sections": [section]}
    empty = dict.fromkeys(("signature", "command", "data", "left_out"), "")
    title = getattr(block, "title", "") or "Report"
    return page.render(title=title, cover=None, chapters=[alone], **empty)


def _data(report: Report) -> str:
    """Encode the script's data: JSON, compressed, in base64; empty without any."""
    found = report.explore()
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":")) if found else ""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode() if found else ""


@dataclass(slots=True)
class _Page:
    """Views of everything on one page: unique ids and running numbers."""

    is_short: bool = False
    is_full: bool = False
    ids: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    columns: int = 1

    def render(self, **context: Any) -> str:
        """The page, given its cover and chapters."""
        script = "\n".join(map(_packed, _SCRIPTS))
        words = re.sub(r"[^\w,.()-]+", " ", str(context["title"]))  # a string of the style sheet
        style = _packed("report.css").replace(_HEAD, words.strip()) + FIGURE_CSS + heat_page_css()
        template = _environment().get_template("report.html.j2")
        return template.render(
            **context,
            policy=f"default-src 'none'; script-src '{_source_hash(script.encode())}'; "
            "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'",
            style=Markup(style),  # noqa: S704 # the project's own
            script=Markup(script),  # noqa: S704 # the project's own
            columns=self.columns,
            short=self.is_short,
            full=self.is_full,
        )

    def chapter(self, sections: Sequence[Section]) -> View:
        """One chapter, numbered, with its sections; a section by itself gives it its name."""
        first = sections[0]
        return {
            "id": self._id(f"chapter-{first.chapter}") if first.chapter else "",
            "number": self._number("chapter"),
            "title": first.chapter or first.title,
            "folded": first.folded,
            "open": self.is_full,
            "sections": [self._section(section) for section in sections],
        }

    def _section(self, section: Section) -> View:
        """One section; figures that are small stand in rows."""
        return {
            "id": self._id(section.id),
            "title": section.title if section.chapter else "",
            "lead": section.lead,
            "method": section.method,
            "blocks": list(_rows([self.block(block) for block in section.blocks])),
        }

    def block(self, block: Block) -> View:
        """One block as its template wants it."""
        if isinstance(block, Table):
            return {"kind": "table", "number": self._number("table"), **self._table(block)}
        if isinstance(block, (Plot, Heatmap)):
            return self._figure(block)
        return {"kind": "callout" if isinstance(block, Callout) else "code", "of": block}

    def _table(self, table: Table, name: str = "") -> View:
        table_id = self._id(name or table.id)
        self.columns = max(self.columns, len(table.columns))
        return {"id": table_id, "of": table, "view": table_view(table, table_id)}

    def _figure(self, block: Plot | Heatmap) -> View:
        number, table = self._number("figure"), block.table
        behind = self._table(table, table.id if table.id != block.id else f"{table.id}-table")
        name = self._id(block.id)
        return {
            "kind": "figure",
            "id": name,
            "number": number,
            "of": block,
            "small": isinstance(block, Plot) and block.shape != "wide",
            "drawings": [Markup(text) for text in _drawings(block, name)],  # noqa: S704 # escaped
            "table": None if self.is_short else behind,
        }

    def _number(self, kind: str) -> int:
        self.numbers[kind] += 1
        return self.numbers[kind]

    def _id(self, wanted: str) -> str:
        name = anchor(wanted)
        self.ids[name] += 1
        return name if self.ids[name] == 1 else f"{name}-{self.ids[name]}"


def _rows(blocks: Sequence[View]) -> Iterator[View]:
    """Blocks, with neighbouring small figures in a row."""
    for small, found in groupby(blocks, key=lambda block: bool(block.get("small"))):
        if small:
            yield {"kind": "row", "blocks": list(found)}
        else:
            yield from found


def _drawings(block: Plot | Heatmap, name: str) -> Iterator[str]:
    """The figure; of a wide one another for a phone, where a heat map has the fewer columns."""
    drawing = figure(block)
    wide = isinstance(block, Heatmap) or block.shape == "wide"
    yield svg(drawing, name, block.title, block.alt, width=WIDE if wide else SMALL)
    if isinstance(block, Heatmap):
        columns, rows = len(block.columns), len(block.rows)
        if min(columns, rows) > _NARROW:
            return
        drawing = figure(transposed(block) if columns > rows else block)
        if min(columns, rows) > _TOLD:
            drawing["data"][0].pop("texttemplate", None)
    if wide:
        yield svg(drawing, f"{name}-phone", block.title, block.alt, width=SMALL)


# --- Templates, style and script ----------------------------------------------------------

_PACKAGE: Final = Path(__file__).resolve().parents[2]
_IN_WHEEL: Final = _PACKAGE / "templates"
_TEMPLATES: Final = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent / "templates"
_SCRIPTS: Final = ("numbers.js", "report.js", "explore.js", "pair.js", "texts.js")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    """The Jinja environment: every text is made visible and escaped, an unknown name is an error.

    The filter `lines` keeps line breaks, `date` shows a date.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # tables need none

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    made.filters["date"] = show_date
    made.filters["lines"] = lambda text: escape(visible(text, lines=True))
    return made


def render_plain(name: str, filters: Mapping[str, Callable[..., str]], **values: Any) -> str:
    """A template of another text than HTML: nothing is escaped but by its filters."""
    made = _environment().overlay(autoescape=False, finalize=None, keep_trailing_newline=True)
    made.filters = {**made.filters, **filters}
    return made.get_template(name).render(values)


def _packed(name: str) -> str:
    """A style sheet or script, packed: without indentation and empty lines."""
    lines = (_TEMPLATES / name).read_text(encoding="utf-8").splitlines()
    return "\n".join(filter(None, map(str.strip, lines)))


def _source_hash(text: bytes) -> str:
    """The hash of a script as a Content-Security-Policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode('ascii')}"


# --- A page of all figures, drawn by plotly.js from one file beside it ------------------

LIBRARY: Final = "plotly.min.js"
"""The file that every page of figures in a directory shares."""


def render_figures(report: Report) -> str:
    """The figures of a report by chapter; a figure is drawn when it comes into view."""
    script = _packed("figures.js")
    report = page_sized(report)
    chapters: dict[str, list[dict[str, Any]]] = {}
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Plot | Heatmap):
                drawn = {"of": block, "id": anchor(block.id), "json": _plotly_json(block)}
                chapters.setdefault(section.chapter or section.title, []).append(drawn)
    template = _environment().get_template("figures.html.j2")
    return template.render(
        report=report,
        chapters=chapters,
        library=LIBRARY,
        script=Markup(script),  # noqa: S704 # the project's own
        policy=f"default-src 'none'; script-src '{_source_hash(script.encode())}' 'self' "
        "file:; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'",
    )


def _plotly_json(block: Plot | Heatmap) -> Markup:
    drawn = json.loads(plotly_figure(block).to_json())
    drawn["layout"].pop("title", None)
    text = json.dumps(drawn, separators=(",", ":")).replace("<", "\\u003c")
    return Markup(text)  # noqa: S704 # no tag can begin in it


def library() -> bytes:
    """plotly.js as the plotly package brings it."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).encode()


# --- The page as Chromium prints it ---------------------------------------------------------

BROWSER_VARIABLE: Final = "GOEMO_CHROMIUM"
_NAMES: Final = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome",
    "microsoft-edge", "msedge", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)  # fmt: skip
_FLAGS: Final = (
    "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-extensions", "--no-pdf-header-footer",
)  # fmt: skip
_SECONDS: Final = 120


def find_chromium(named: str | os.PathLike[str] | None = None) -> Path:
    """The browser that prints: the one named, that of GOEMO_CHROMIUM, or one found on PATH.

    Raises NotFoundError where there is none.
    """
    wanted = os.fspath(named) if named else os.environ.get(BROWSER_VARIABLE)
    for name in (wanted,) if wanted else _NAMES:
        if found := shutil.which(name):
            return Path(found)
    what = f"there is no browser {wanted} that can be run" if wanted else "there is no Chromium"
    raise NotFoundError(
        f"{what}, which PDF is printed with",
        f"Install Chromium or Chrome, name it with --chromium or {BROWSER_VARIABLE}, or print the "
        "HTML report from a browser",
    )


def render_pdf(report: Report, extent: Extent = "usual", browser: Path | None = None) -> bytes:
    """The report as a browser prints it: with `extent` short two pages, full with the appendix.

    Raises NotFoundError without a browser, DataError where it does not print.
    """
    browser = browser or find_chromium()
    with tempfile.TemporaryDirectory(prefix="goemo-pdf-") as name:
        folder = Path(name)
        page, target = folder / "report.html", folder / "report.pdf"
        page.write_text(render_html(report, extent), encoding="utf-8")
        root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium has no sandbox for root
        command = [
            str(browser), *_FLAGS, *(["--no-sandbox"] if root else []),
            f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={target}", page.as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=_SECONDS, check=False
            )  # chosen by the user
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        except subprocess.TimeoutExpired:
            said = [f"it took longer than {_SECONDS} s"]
        except OSError as error:
            said = [str(error.strerror)]
        if not target.is_file() or not (data := target.read_bytes()).startswith(b"%PDF"):
            why = said[-1] if said else "it said nothing"
            raise DataError(
                f"{browser} printed no PDF: {why}",
                f"Name another browser with --chromium or {BROWSER_VARIABLE}, or print the HTML "
                "report from one",
            )
    return data
