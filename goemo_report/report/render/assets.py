"""What a page is made of besides the report: templates, style and script."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import escape

from goemo_report.formats.text import visible
from goemo_report.report.render.numbers import show_date

_PACKAGE: Final = Path(__file__).resolve().parents[2]
SCRIPTS: Final = ("numbers.js", "report.js", "explore.js", "pair.js", "texts.js")
_IN_WHEEL: Final = _PACKAGE / "templates"
_IN_CHECKOUT: Final = _PACKAGE.parent / "templates"


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The Jinja environment: every text is made visible and escaped, an unknown name is an error.

    The filter `lines` keeps line breaks, `date` shows a date.
    """
    folder = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT
    made = Environment(
        loader=FileSystemLoader(folder),
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


def read_template(name: str) -> str:
    """A style sheet or script, packed: without indentation and empty lines."""
    loader = environment().loader
    assert loader is not None  # noqa: S101 # set in environment()
    lines = loader.get_source(environment(), name)[0].splitlines()
    return "\n".join(filter(None, map(str.strip, lines)))


def script() -> str:
    """What a page runs: the tables' part, and what computes from the page's data."""
    return "\n".join(map(read_template, SCRIPTS))


def source_hash(text: bytes) -> str:
    """The hash of a script as a Content-Security-Policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode('ascii')}"
