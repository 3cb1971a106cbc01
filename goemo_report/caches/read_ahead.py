"""Processes that read prediction files ahead, on cores that the caller leaves free.

Parsing a CSV holds the interpreter's lock, so that threads would not help. A helper fills the
score cache from the end of the list while the caller works from its beginning, until they
meet. It decides nothing: what it could not read or keep, the caller reads and reports itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from goemo_report.caches.score_cache import cached_scores, is_kept, read_unchanged
from goemo_report.errors import GoemoError
from goemo_report.sources.store import is_digest

BYTES_PER_HELPER: Final = 24 << 20
"""A helper takes as long to start as 12 MB take to read."""
MOST_HELPERS: Final = 3
_PAUSE: Final = 0.02

# Our own import path, not the working directory: nothing that lies there is run.
_START: Final = """
import json, sys
job = json.load(sys.stdin)
sys.path[:] = job["path"]
from goemo_report.caches.read_ahead import fill
fill(job["files"])
"""


class Unread(NamedTuple):
    """A file that is on disk or will be, whole: its digest, its bytes, and its name in messages."""

    path: Path
    digest: str
    name: str
    size: int


@contextmanager
def reading_ahead(
    files: Iterable[Unread], *, cores: int | None = None, per_helper: int = BYTES_PER_HELPER
) -> Iterator[None]:
    """Let helpers read those of the files, last ones first, that were never scored.

    They wait for files that are still to come. None starts where there are few bytes to read
    or only one core.
    """
    unread = [file for file in files if is_digest(file.digest) and not is_kept(file.digest)]
    size = sum(file.size for file in unread)
    free = (cores or _cores()) - 1
    number = max(min(free, MOST_HELPERS, size // per_helper, len(unread) - 1), 0)
    backwards = unread[::-1]
    helpers = []
    try:
        for first in range(number):
            with contextlib.suppress(OSError):
                helpers.append(_start(backwards[first::number]))
        yield
    finally:
        for helper in helpers:
            helper.terminate()
        for helper in helpers:
            helper.wait()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(files: Sequence[Unread]) -> subprocess.Popen[bytes]:
    job = {"path": sys.path, "files": [[str(f.path), f.digest, f.name] for f in files]}
    helper = subprocess.Popen(  # this interpreter, and a program that is constant
        [sys.executable, "-P", "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert helper.stdin is not None  # noqa: S101 # it was asked for
    with contextlib.suppress(OSError), helper.stdin as pipe:  # it may be gone already
        pipe.write(json.dumps(job).encode())
    return helper


def fill(files: Sequence[tuple[str, str, str]]) -> None:
    """Read and keep (path, digest, name) files, each when it is there; what a helper does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that no part file stays behind
    waiting = list(files)
    while waiting:
        found = next((file for file in waiting if Path(file[0]).is_file()), None)
        if found is None:
            time.sleep(_PAUSE)
            continue
        waiting.remove(found)
        path, digest, name = found
        if not is_kept(digest):
            with contextlib.suppress(GoemoError):
                read = partial(read_unchanged, Path(path), digest, name)
                cached_scores(digest, read, name=name)
