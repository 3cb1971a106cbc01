"""What a page is made of besides the report: templates, style and script."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_PACKAGE: Final = Path(__file__).resolve().parents[2]
SCRIPTS: Final = ("numbers.js", "report.js", "explore.js", "pair.js", "texts.js")
_INDENTATION: Final = re.compile("^ +", re.MULTILINE)
_IN_WHEEL: Final = _PACKAGE / "templates"
_IN_CHECKOUT: Final = _PACKAGE.parent / "templates"


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The Jinja environment: everything is escaped, an unknown name is an error."""
    folder = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def read_template(name: str) -> str:
    """A style sheet or script, without its indentation: a report carries it each time."""
    loader = environment().loader
    assert loader is not None  # noqa: S101 # set in environment()
    return _INDENTATION.sub("", loader.get_source(environment(), name)[0])


def script() -> str:
    """What a page runs: the tables' part, and what computes from the page's data."""
    return packed("\n".join(map(read_template, SCRIPTS)))


def packed(text: str) -> str:
    """A style sheet or script without indentation and empty lines, which a page need not carry."""
    return "\n".join(filter(None, map(str.strip, text.splitlines())))


def source_hash(text: bytes) -> str:
    """The hash of a script as a Content-Security-Policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode('ascii')}"
