"""Hostile text made harmless, once for each format.

Run names, data-set texts and artifact names may hold anything: each function shows what
is hidden, and escapes what one format would obey.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from goemo_report.formats.text import shortened, visible

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
