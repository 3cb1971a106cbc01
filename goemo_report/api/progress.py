"""What notebooks and scripts see of work that takes long; the command lines have bars of rich."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:  # a prediction file needs none of the sources
    from goemo_report.sources.base import Progress

Shown: TypeAlias = "bool | Progress"
"""Whether a bar is shown, or what is told instead."""
_WIDTH: Final = 30


class Bar:
    """A Progress that rewrites one line of standard error; silent unless `shown`, which may be
    a Progress that is told instead."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self._last = ""

    def __call__(self, description: str, done: int, total: int) -> None:
        """Take in that `done` of `total` are there."""
        if callable(self._shown):
            self._shown(description, done, total)
            return
        full = _WIDTH * done // total if total else _WIDTH
        line = f"{description[:30]:<30} [{'#' * full}{'.' * (_WIDTH - full)}]"
        if self._shown and line != self._last:
            self._last = line
            print(f"\r{line}", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._last:
            print(file=sys.stderr)
