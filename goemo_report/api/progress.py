"""A progress bar on standard error, in terminals and notebooks, where the caller wants one."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Final

from goemo_report.sources.base import Progress

_WIDTH: Final = 30


class Bar:
    """A Progress that rewrites one line of standard error; silent unless `shown`, which may be
    a Progress that is told instead."""

    def __init__(self, shown: bool | Progress) -> None:
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
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the line."""
        if self._last:
            print(file=sys.stderr)
