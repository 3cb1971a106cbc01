"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_CHUNK = 1 << 20


@contextmanager
def whole_file(target: Path) -> Iterator[IO[bytes]]:
    """A file to write in place of `target`; it takes that name only when the block succeeds.

    The part file lies beside the target under a name of its own, so that two processes
    that write the same target do not mix; a symlink at the target is replaced, not followed.
    """
    handle, part = tempfile.mkstemp(".part", f".{target.name[:100]}.", target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        Path(part).chmod(0o666 & ~_umask())  # mkstemp's own mode is for secrets
        Path(part).replace(target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def write_whole(target: Path, data: bytes) -> None:
    """Write all of `data`, or leave what was there; folders are made where missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as file:
        file.write(data)


def _umask() -> int:
    current = os.umask(0o022)  # can only be read by setting it
    os.umask(current)
    return current


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The rest of a file, a mebibyte at a time."""
    while chunk := file.read(_CHUNK):
        yield chunk
