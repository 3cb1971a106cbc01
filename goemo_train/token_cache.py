"""Token ids that are kept between runs; the folder can be deleted at any time.

    tokens/3f9c...    a SHA-256 of the entry, then its numbers

An entry is named by the digest of all that it follows from. One that is damaged or cannot
be read counts as absent, and a folder that cannot be written to is no error.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int32]

FORMAT = 1  # of the entries, and of what their numbers mean
MOST_BYTES = 256 << 20  # of all entries; the one unused for the longest time goes first
_STORED = np.dtype("<i4")


def kept(compute: Callable[[], Numbers], *identity: object) -> Numbers:
    """What `compute` gives, from the cache where it was computed before.

    `identity` holds all that it depends on, as values that JSON can write.
    """
    key = hashlib.sha256(json.dumps([FORMAT, *identity]).encode()).hexdigest()
    with suppress(OSError, RuntimeError):  # RuntimeError: there is no home directory
        path = _directory() / key
        data = path.read_bytes()
        if data[:32] == _digest(key, data[32:]):
            with suppress(OSError):
                os.utime(path)  # used last
            return np.frombuffer(data, _STORED, offset=32).astype(np.int32)
    numbers = compute()
    with suppress(OSError, RuntimeError):
        _store(_directory() / key, numbers.astype(_STORED).tobytes())
    return numbers


def _directory() -> Path:
    """`tokens` in the directory that goemo-report keeps its downloads and scores in."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("GOEMO_CACHE_DIR") or f"{base}/goemo").expanduser() / "tokens"


def _digest(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + body).digest()


def _store(path: Path, body: bytes) -> None:
    """Write an entry beside its place, rename it, and remove what is beyond the limit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{secrets.token_hex(8)}.part")  # two processes do not mix
    try:
        with part.open("xb") as file:
            file.write(_digest(path.name, body) + body)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    size = 0
    # Files that a killed process left behind count as well.
    for entry in sorted(path.parent.iterdir(), key=lambda entry: -entry.stat().st_mtime):
        size += (more := entry.stat().st_size)
        if size > MOST_BYTES:
            entry.unlink()
            size -= more
