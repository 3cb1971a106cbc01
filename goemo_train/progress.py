"""What a person sees while a run trains: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

PLAIN_INTERVAL = 15.0  # seconds between plain lines
BAR_INTERVAL = 0.5


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
