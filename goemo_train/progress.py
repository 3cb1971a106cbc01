"""What a person sees while a run trains: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

PLAIN_INTERVAL = 15.0  # seconds between plain lines
BAR_INTERVAL = 0.5
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


class Progress:
    """Notes, bars and lines on standard error."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False, quiet=quiet)
        self.plain = not self.console.is_terminal or "NO_COLOR" in os.environ

    def note(self, text: str) -> None:
        """Say what is being done."""
        self._print(text)

    def warn(self, text: str) -> None:
        """Say what may be wrong."""
        self._print(f"warning: {text}", "yellow")

    def epoch_done(self, row: Mapping[str, Any], *, best: bool) -> None:
        """One line for a finished epoch."""
        self._print(
            f"epoch {row['epoch']}: train loss {row['train/loss']:.4f}, "
            f"val loss {row['val/loss']:.4f}, val AUC {row['val/auc']:.4f} micro "
            f"{row['val/macro_auc']:.4f} macro, {row['train/epoch_time']:.1f} s, "
            f"{row['train/samples_per_sec']:.0f} texts/s, MFU {row['train/mfu']:.0%}"
            f"{' (best so far)' if best else ''}"
        )

    @contextmanager
    def epoch(
        self, epoch: int, epochs: int, batches: int, done: int
    ) -> Iterator[Callable[[int, torch.Tensor], None]]:
        """Show the batches of an epoch; what it gives is called after each of them.

        The loss is fetched from the device only when it is shown.
        """
        started = shown = time.perf_counter()
        seen = 0
        columns = (
            TextColumn("epoch {task.fields[epoch]}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]} {task.fields[rate]}"), TimeRemainingColumn(),
        )  # fmt: skip
        label = f"{epoch}/{epochs}"
        with Bars(*columns, console=self.console, disable=self.plain, transient=True) as bars:
            task = bars.add_task("", total=batches, completed=done, epoch=label, loss="", rate="")

            def show(texts: int, loss: torch.Tensor) -> None:
                nonlocal shown, seen, done
                seen, done = seen + texts, done + 1
                now = time.perf_counter()
                if now - shown < (PLAIN_INTERVAL if self.plain else BAR_INTERVAL):
                    return
                shown, rate = now, seen / (now - started)
                value = f"{loss.item():.4f}"
                if self.plain:
                    left = (batches - done) * (now - started) * (texts / seen)
                    self._print(
                        f"epoch {label}: batch {done}/{batches}, loss {value}, "
                        f"{rate:.0f} texts/s, {left:.0f} s left in this epoch"
                    )
                bars.update(task, completed=done, loss=value, rate=f"{rate:.0f} texts/s")

            yield show

    def _print(self, text: str, style: str = "") -> None:
        self.console.print(Text(text, style=style), soft_wrap=True)
