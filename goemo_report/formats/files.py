"""Files written whole or not at all."""

from __future__ import annotations

import secrets
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
    # not tempfile, whose mode is for secrets: this one gets the mode that the umask leaves
    part = target.with_name(f".{target.name[:100]}.{secrets.token_hex(8)}.part")
    with part.open("xb") as file:
        try:
            yield file
            file.close()
            part.replace(target)
        except BaseException:
            file.close()
            part.unlink(missing_ok=True)
            raise


def write_whole(target: Path, data: bytes) -> None:
    """Write all of `data`, or leave what was there; folders are made where missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as file:
        file.write(data)


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The rest of a file, a mebibyte at a time."""
    while chunk := file.read(_CHUNK):
        yield chunk
