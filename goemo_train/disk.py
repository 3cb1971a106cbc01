"""What is written to the disk: whole or not at all, flushed, and with room for it."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goemo_report.errors import GoemoError
from goemo_train.config import TrainConfig

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # disk, quota or file size limit


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file; what is no number is null."""
    write_whole(path, json.dumps(_finite(value), indent=2, allow_nan=False) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file, whole or not at all, and to the disk."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, "utf-8", newline="")
    flush(part)
    part.replace(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Have what was written, or for a directory renamed, on the disk before going on."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_disk(directory: Path, weights: int, config: TrainConfig) -> None:
    """Refuse to start where not all fits: states of 3 times the weights (bytes), one of them
    half written; for each a checkpoint, should every one have its own; one staged copy."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GoemoError(
            f"--output {directory.parent} cannot be made: {error.strerror}", "Give another place"
        ) from error
    needed = weights * (4 * (config.keep_checkpoints + 1) + 1)
    own = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    free = shutil.disk_usage(directory.parent).free + own
    if free < needed:
        raise GoemoError(
            f"{directory.parent} has {free / 1e6:,.0f} MB for the run, its checkpoints need "
            f"{needed / 1e6:,.0f} MB",
            "Make room, give another --output, or lower --keep-checkpoints",
        )


def is_full(error: BaseException | None) -> bool:
    """Whether an error came from a full disk; torch and tokenizers say it in their own way."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        if any(f"(os error {number})" in str(error) for number in FULL):
            return True
        error = error.__cause__ or error.__context__
    return False
