"""Training states on disk: written beside, renamed, and read back only when whole.

    state-00000120-00004-00003-0123456789abcdef.pt

was written after 120 optimiser steps, in epoch 4, when epoch 3 was the best; then comes the
digest of its bytes, so that a file cut short by a full disk or a power loss is recognised and
the one before it is used.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import IO, Any

import torch

from goemo_train.disk import flush

_NAME = re.compile(r"state-\d{8}-\d{5}-(?P<best>\d{5})-(?P<digest>[0-9a-f]{16})\.pt")


class _Digesting:
    """A file to write to, and the digest of what it should hold."""

    def __init__(self, file: IO[bytes]) -> None:
        self.digest = hashlib.sha256()
        self.flush = file.flush
        self._file = file

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self._file.write(data)


def save_state(
    directory: Path, step: int, epoch: int, best: int, state: dict[str, Any], keep: int
) -> None:
    """Write the state after `step` optimiser steps, and remove all but the newest `keep`."""
    part = directory / "state.part"
    with part.open("wb") as file:
        whole = _Digesting(file)
        torch.save(state, whole)  # type: ignore[arg-type]  # write and flush are all that it needs
    flush(part)
    digest = whole.digest.hexdigest()[:16]
    part.rename(directory / f"state-{step:08d}-{epoch:05d}-{best:05d}-{digest}.pt")
    flush(directory)  # before an older one goes
    for old in _states(directory)[keep:]:
        old.unlink()


def load_newest_state(directory: Path) -> tuple[dict[str, Any] | None, list[Path]]:
    """The newest whole state, None without one, and the damaged ones that were passed over."""
    damaged: list[Path] = []
    for path in _states(directory):
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if f"-{digest[:16]}." in path.name:
                return torch.load(path, map_location="cpu", weights_only=True), damaged
        except Exception:  # noqa: BLE001, S110 - whatever torch makes of a file that is not whole
            pass
        damaged.append(path)
    return None, damaged


def best_epochs(directory: Path) -> set[int]:
    """The best epochs that the states name."""
    return {int(match["best"]) for p in _states(directory) if (match := _NAME.fullmatch(p.name))}


def _states(directory: Path) -> list[Path]:
    """All states, the newest first."""
    return sorted(
        (p for p in directory.glob("state-*.pt") if _NAME.fullmatch(p.name)), reverse=True
    )
