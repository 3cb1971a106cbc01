"""What belongs to the best epoch while a run trains, in the run's directory.

    best-3/checkpoint/
    best-3/val_predictions.csv

It appears whole and stays as long as a training state names its epoch, so that a run that was
killed goes on with the checkpoint of the epoch that it takes for the best. At the end the
checkpoint takes its own place.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from goemo_train.disk import flush


def of_epoch(directory: Path, epoch: int) -> Path:
    """Where it lies, or will lie."""
    return directory / f"best-{epoch}"


@contextmanager
def new(directory: Path, epoch: int) -> Iterator[Path]:
    """A directory to fill for this epoch."""
    part, place = directory / "best.part", of_epoch(directory, epoch)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    yield part
    flush(part)
    shutil.rmtree(place, ignore_errors=True)  # of an epoch that is done again
    part.rename(place)
    flush(directory)


def keep(directory: Path, epochs: Collection[int]) -> None:
    """Remove those of other epochs, and what was not whole."""
    named = {of_epoch(directory, epoch) for epoch in epochs}
    for path in directory.glob("best[.-]*"):
        if path not in named:
            shutil.rmtree(path)


def finish(directory: Path, epoch: int) -> None:
    """Give this epoch's checkpoint its own place, if that was not done before."""
    checkpoint = of_epoch(directory, epoch) / "checkpoint"
    if checkpoint.exists():
        shutil.rmtree(directory / "checkpoint", ignore_errors=True)
        checkpoint.rename(directory / "checkpoint")
    keep(directory, ())
