"""What readers see: values in the kind of their column, and hostile text made harmless.

Decimals follow the column. Minus is the true minus sign; nothing is grouped by locale. Run names,
data-set texts and artifact names may hold anything: a function for each format shows what is
hidden, and escapes what the format would obey.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from goemo_report.formats.text import shortened, visible
from goemo_report.formats.wording import size
from goemo_report.report.document import MISSING, Cell, Column, Mark, Value

# --- Values -----------------------------------------------------------------------------

MINUS: Final = "\u2212"

MARKS: Final[dict[Mark, tuple[str, str]]] = {
    "best": ("\u2605", "best"),
    "good": ("\u25b2", "better"),
    "bad": ("\u25bc", "worse"),
    "warning": ("!", "warning"),
    "muted": ("", ""),
}
"""Sign and word of each mark; a muted value is only set back."""

_MOST_DECIMALS: Final = 6
_NOTHING: Final = 1e-12
"""A smaller difference is what rounding leaves of none."""

NUMERIC_KINDS: Final = frozenset(
    {"integer", "number", "percent", "delta", "pvalue", "duration", "bytes"}
)


def defined(value: Value) -> Value:
    """A value as data files have it: a number that is not finite is not defined, None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(value: Value, column: Column) -> str:
    """A value in its column's kind, e.g. `0.512`, `+0.010`, `51.2 %`, `<0.001`, `3 min 20 s`.

    Missing and undefined (NaN) values are a dash. A value of another type than the
    kind expects is shown as it is.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return show_date(value)
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isinf(value):
        return "\u221e" if value > 0 else f"{MINUS}\u221e"
    text = _show_number(value, column)
    return text.replace("-", MINUS) if column.kind in NUMERIC_KINDS else text


def show_cell(cell: Cell, column: Column) -> str:
    """A cell with its interval, e.g. `0.512 [0.494, 0.530]`, without mark and note."""
    text = show(cell.value, column)
    interval = show_interval(cell, column)
    return f"{text} {interval}" if interval else text


def show_interval(cell: Cell, column: Column) -> str:
    """The interval of a cell, e.g. `[0.494, 0.530]`; empty without one."""
    if cell.low is None or cell.high is None:
        return ""
    return f"[{show(cell.low, column)}, {show(cell.high, column)}]"


def show_date(value: datetime) -> str:
    """Date and time to the minute, in UTC where a time zone is known."""
    if value.tzinfo is None:
        return f"{value:%Y-%m-%d %H:%M}"
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _show_number(value: float, column: Column) -> str:
    kind, digits = column.kind, column.digits
    if kind == "integer":
        return f"{value:,.0f}"
    if kind == "number":
        return _fixed(value, digits)
    if kind == "percent":
        return f"{_fixed(100 * value, max(digits - 2, 0))}\u00a0%"
    if kind == "delta":
        return _fixed(value, digits, "+") if abs(value) > _NOTHING else f"{0:.{digits}f}"
    if kind == "pvalue":
        return "<0.001" if 0 <= value < 0.001 else f"{value:.3f}"
    if kind == "duration":
        return _duration(value)
    if kind == "bytes":
        return size(value)
    return f"{value:d}" if isinstance(value, int) else f"{value:.6g}"


def _fixed(value: float, digits: int, sign: str = "-") -> str:
    """Fixed decimals; as many more as it takes where the value would show as zero."""
    if value == 0 or abs(value) >= 0.5 * 10.0**-digits:
        return f"{value:{sign}.{digits}f}"
    more = math.ceil(-math.log10(abs(value)))
    return f"{value:{sign}.{more}f}" if more <= _MOST_DECIMALS else f"{value:{sign}.2g}"


def _duration(seconds: float) -> str:
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 1:
        return f"{sign}{1000 * seconds:.0f} ms"
    if seconds < 59.95:
        return f"{sign}{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{sign}{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{sign}{hours:,} h {minutes:02d} min"


# --- Text -------------------------------------------------------------------------------

_LINK_CONTROL: Final = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]")
_NOT_ANCHOR: Final = re.compile(r"[^\w.-]+")

_MARKDOWN_SPECIAL: Final = re.compile(r"([\\`*_\[\]~$])")
# What would start a heading, a list or a rule at the start of a line.
_BLOCK_START: Final = re.compile(
    r"^(#{0,5}(?=#)|\d+(?=[.)])|)([#+.)-](?=\s|$)|-(?=[- ]*$)|=(?=[= ]*$))"
)
_MARKDOWN_BREAK: Final = "\u200b"

_TEXT_SIGNS: Final = (
    "backslash asciicircum asciitilde less greater bar quotedbl quotesingle asciigrave"
)
_DASHES_AND_QUOTES: Final = "\u2212\u2013\u2014\u2018\u2019\u201c\u201d"
_MATHS_SIGNS: Final = "times pm le ge rightarrow star blacktriangle blacktriangledown Delta"
_LATEX: Final[dict[str, str]] = {
    **{sign: f"\\{sign}" for sign in "{}$&#%_"},
    **{sign: f"{{{sign}}}" for sign in "[]*"},
    **{s: f"\\text{name}{{}}" for s, name in zip("\\^~<>|\"'`", _TEXT_SIGNS.split(), strict=True)},
    **{
        sign: f"$\\{name}$"
        for sign, name in zip(
            "\u00d7\u00b1\u2264\u2265\u2192\u2605\u25b2\u25bc\u0394",
            _MATHS_SIGNS.split(),
            strict=True,
        )
    },
    "\u2026": r"\dots{}",
    "\u00a0": r"\nobreakspace{}",
    **dict(zip(_DASHES_AND_QUOTES, ["$-$", "--", "---", "`", "'", "``", "''"], strict=True)),
}


def safe_link(link: str | None) -> str | None:
    """The link if a reader can follow it without harm, else None.

    Only `#anchor` and absolute http and https addresses pass; white space and control
    characters, which browsers drop before they read the scheme, do not.
    """
    if not link or _LINK_CONTROL.search(link):
        return None
    if link.startswith("#"):
        return link
    try:
        parts = urlsplit(link)
    except ValueError:
        return None
    return link if parts.scheme in {"http", "https"} and parts.netloc else None


def anchor(text: str) -> str:
    """An id that works in HTML and behind `#`: word characters, dots and dashes."""
    return _NOT_ANCHOR.sub("-", text.strip()).strip("-") or "x"


def html_text(text: str) -> Markup:
    """Text for HTML content and quoted attributes."""
    return escape(visible(text))


def github_html(text: str) -> str:
    """Text for HTML in Markdown, where GitHub reads mentions and references too."""
    return _unreferred(html_text(text))


def _unreferred(text: str) -> str:
    text = text.replace("@", f"@{_MARKDOWN_BREAK}")
    return re.sub(r"#(?=\d)(?<!&#)", f"#{_MARKDOWN_BREAK}", text)


def plotly_text(text: str, limit: int = 44) -> str:
    """Text for a figure: Plotly reads a few tags and entities in it, so both are escaped.

    Long names are shortened in the middle; the table behind the figure has them whole.
    """
    text = shortened(visible(text), limit)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("$", "&#36;")  # or it would be TeX


def markdown_text(text: str) -> str:
    """Text for Markdown as GitHub reads it, also inside a table cell.

    Nothing in it is markup, a link, a mention (`@name`) or a reference (`#1`), and no line of
    it a command to GitHub Actions, which reads what a job prints (`::error::`).
    """
    text = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _MARKDOWN_SPECIAL.sub(r"\\\1", text)
    text = (
        _unreferred(text)
        .replace("://", "&#58;//")
        .replace("www.", "www&#46;")
        .replace("|", "&#124;")
    )
    text = text.strip()
    if text.startswith("::"):
        text = f"&#58;{text[1:]}"
    return _BLOCK_START.sub(r"\1\\\2", text)


def markdown_code(text: str, *, in_table: bool = True) -> str:
    """A code span that holds any text, also inside a table cell.

    A pipe ends a table cell even in a code span, so text with a pipe is no code span.
    """
    text = visible(text)
    if (in_table and "|" in text) or "##[" in text:  # the latter a command to GitHub Actions
        return markdown_text(text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if not text or text[0] in " `" or text[-1] in " `" else ""
    return f"{fence}{pad}{text}{pad}{fence}" if text else ""


def latex_text(text: str) -> str:
    """Text for LaTeX; characters that plain pdflatex lacks are shown by their code."""
    escaped = "".join(_latex_character(character) for character in visible(text))
    return re.sub(r"(?<![-{])-(?=-)", "-{}", escaped) if "--" in text else escaped


def _latex_character(character: str) -> str:
    known = _LATEX.get(character)
    if known is not None:
        return known
    if " " <= character < "\x7f" or (
        "\xc0" <= character <= "\u017f" and character not in "\xd7\xf7"
    ):
        return character
    return f"{{[}}U+{ord(character):04X}{{]}}"
