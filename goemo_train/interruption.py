"""SIGINT and SIGTERM while a run trains."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any, Self

LAUNCHER_DELAY = 1.0  # seconds after Ctrl-C in which torchrun passes it on once more


class Interrupted(Exception):  # noqa: N818 - what happened, not what is wrong
    """SIGINT or SIGTERM came while training; `run` is the id to go on with."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number
        self.run = ""


class Interruption:
    """Notes the first SIGINT or SIGTERM, so that training stops between two steps.

    The second one interrupts at once, but not the copy of the first that a launcher sends.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._came = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.signal and now - self._came > LAUNCHER_DELAY:
            raise KeyboardInterrupt
        self.signal, self._came = self.signal or number, self._came or now
