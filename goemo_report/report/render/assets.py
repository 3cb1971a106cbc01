"""What a page is made of besides the report: templates, style, script and plotly.js."""

from __future__ import annotations

import base64
import gzip
import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from goemo_report.report.render.plotly_js import plotly_source

_PACKAGE: Final = Path(__file__).resolve().parents[2]
_IN_WHEEL: Final = _PACKAGE / "templates"
_IN_CHECKOUT: Final = _PACKAGE.parent / "templates"

# RFC 1924's base 85 is a fifth denser than base 64 counts; its three characters that mean
# something in HTML are swapped for three that it leaves free.
_TO_HTML: Final = bytes.maketrans(b"<>&", b",.:")


class Packed(NamedTuple):
    """Compressed text that is safe inside a script element; `sha256` is of the original."""

    text: str
    sha256: str


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
    """A style sheet or script as it is."""
    loader = environment().loader
    assert loader is not None  # noqa: S101 # set in environment()
    return loader.get_source(environment(), name)[0]


def pack(text: bytes) -> Packed:
    """Compressed: gzip without a time stamp, then base 85 without `<`, `>` and `&`."""
    packed = base64.b85encode(gzip.compress(text, compresslevel=9, mtime=0))
    return Packed(packed.translate(_TO_HTML).decode("ascii"), source_hash(text))


def source_hash(text: bytes) -> str:
    """The hash of a script as a Content-Security-Policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode('ascii')}"


@lru_cache(maxsize=1)
def packed_plotly() -> Packed:
    """plotly.js, compressed once a process."""
    return pack(plotly_source())
