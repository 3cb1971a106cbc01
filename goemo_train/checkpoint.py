"""Training states on disk: written beside, renamed, and read back only when whole.

The name of a state holds the digest of its bytes, so that a file cut short by a full disk
or a power loss is recognised and the one before it is used.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import torch

_NAME = re.compile(r"state-(?P<step>\d+)-(?P<digest>[0-9a-f]{16})\.pt")


def save_state(directory: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write the state after `step` optimiser steps, and remove all but the newest `keep`."""
    part = directory / "state.part"
    with part.open("wb") as file:
        torch.save(state, file)
    flush(part)
    target = directory / f"state-{step:08d}-{_digest(part)}.pt"
    part.rename(target)
    flush(directory)  # before an older one goes
    for old in _states(directory)[keep:]:
        old.unlink()
    return target


def load_newest_state(directory: Path) -> tuple[dict[str, Any] | None, list[Path]]:
    """The newest whole state, None without one, and the damaged ones that were passed over."""
    damaged: list[Path] = []
    for path in _states(directory):
        match = _NAME.fullmatch(path.name)
        if match and match["digest"] == _digest(path):
            return torch.load(path, map_location="cpu", weights_only=True), damaged
        damaged.append(path)
    return None, damaged


def flush(path: Path) -> None:
    """Have what was written, or for a directory renamed, on the disk before going on."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def remove_states(directory: Path) -> None:
    """Remove all states of a run that has come to its end."""
    for path in _states(directory):
        path.unlink()


def _states(directory: Path) -> list[Path]:
    return sorted(
        (p for p in directory.glob("state-*.pt") if _NAME.fullmatch(p.name)), reverse=True
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
