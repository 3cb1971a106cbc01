"""Downloads into the cache: in parallel, resumed where they broke off, checked by digest.

A file is written to `NAME.part` under a lock, compared with the manifest's digest and only
then renamed, so that a wrong or half file never carries the right name. A second process that
wants the same file waits for the first and takes over where it died.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

try:
    import fcntl
except ImportError:  # Windows has no flock: two processes may then fetch the same file twice
    fcntl = None  # type: ignore[assignment]  # the module or nothing, told apart below

from goemo_report.errors import ChangedFileError, GoemoError, SourceError
from goemo_report.sources.base import Progress
from goemo_report.sources.model import LocalFile, SkippedFile
from goemo_report.sources.store import Cache, discard, file_digest, make_private, private_cache
from goemo_report.sources.wandb_api.faults import RequestRefusedError, TransientError
from goemo_report.sources.wandb_api.transport import CONNECTIONS, Transport

_ROUNDS: Final = 3
"""How often a whole file with wrong bytes is fetched before it is given up."""


Address = Callable[[], tuple[str, bool]]
"""Asks where a file lies and whether that place wants the key."""


@dataclass(frozen=True, slots=True)
class Download:
    """One file that is wanted; `target` is its place in the cache.

    `addresses` say where it lies and whether that place wants the key; the next is asked
    when the server refuses the one before. `digest` may be empty where nobody knows it.
    `etag`: of a file that W&B does not hold, what its server must answer (its address, where
    that server has no ETags); such a file's size is no more than a hint.
    """

    path: str
    size: int
    digest: str
    target: Path
    addresses: Sequence[Address]
    etag: str = ""


class Meter:
    """Adds up the bytes of all downloads for one progress display."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """So many bytes more (or fewer, where a download starts over)."""
        with self._lock:
            self._done += count
            self._progress("downloading", self._done, self._total)


def is_cached(target: Path, size: int, digest: str) -> bool:
    """Whether the cache holds the right bytes, which nobody knows without a digest.

    What else has the place of a known file is removed.
    """
    if not digest:
        return False
    try:
        if target.stat().st_size == size and file_digest(target, digest):
            return True
    except (OSError, ValueError):
        pass
    discard(target)
    return False


def cached_files(targets: Sequence[tuple[Path, int, str]]) -> list[bool]:
    """`is_cached` of many files at once; hashing runs beside itself."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda target: is_cached(*target), targets))


def download_all(
    wanted: Sequence[Download], transport: Transport, progress: Progress
) -> list[LocalFile]:
    """Fetch files into the cache; one that cannot be had comes back with the reason."""
    if not wanted:
        return []
    meter = Meter(progress, sum(item.size for item in wanted))
    meter.add(0)
    stop = threading.Event()

    def one(item: Download) -> LocalFile:
        try:
            try:
                return _download(item, transport, meter, stop)
            except OSError as error:  # no room, or nothing may be written there
                Cache().note(error)
                discard(_part(item.target))
                elsewhere = private_cache().root / "files" / item.target.name
                return _download(replace(item, target=elsewhere), transport, meter, stop)
        except GoemoError as error:
            if item.etag and isinstance(error, RequestRefusedError):  # W&B is not to blame
                return SkippedFile(item.path, f"its server answers {error.status}")
            changed = isinstance(error, ChangedFileError)
            return SkippedFile(item.path, str(error), changed=changed)
        except OSError as error:
            return SkippedFile(item.path, f"cannot be written: {error}")

    pool = ThreadPoolExecutor(min(CONNECTIONS, len(wanted)))
    try:
        return list(pool.map(one, wanted))
    finally:
        stop.set()  # Ctrl-C: what is running stops at its next piece and keeps its .part
        pool.shutdown(cancel_futures=True)


def _download(item: Download, transport: Transport, meter: Meter, stop: threading.Event) -> Path:
    make_private(item.target.parent)
    part = _part(item.target)
    with _locked(part) as file:
        if is_cached(item.target, item.size, item.digest):  # another process was faster
            meter.add(item.size)
            part.unlink(missing_ok=True)
            return item.target
        if not item.digest:  # who knows what an earlier process left
            file.truncate(0)
        for _ in range(_ROUNDS):
            _fill(item, file, transport, meter, stop)
            file.flush()
            if not item.digest or file_digest(part, item.digest):
                os.fsync(file.fileno())
                if item.target.is_dir():
                    discard(item.target)
                part.chmod(0o400)  # shared with every later report
                part.replace(item.target)
                return item.target
            transport.notify(f"{item.path} arrived with wrong bytes; fetching it again")
            _start_over(file, meter)
    part.unlink(missing_ok=True)
    raise ChangedFileError(
        f"{item.path} does not have the digest of its manifest after {_ROUNDS} downloads",
        "The stored file is damaged: upload it again",
    )


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """The .part file, opened to append, held by this process and thread alone."""
    while True:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0)
        with os.fdopen(os.open(part, flags, 0o600), "ab") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not _same_file(part, file):  # renamed or removed while we waited
                    continue
            yield file
            return


def _same_file(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _fill(
    item: Download, file: BinaryIO, transport: Transport, meter: Meter, stop: threading.Event
) -> None:
    """Append until the file has its size; every byte that arrives restarts the clock."""
    backoff = transport.backoff()
    meter.add(file.seek(0, os.SEEK_END))
    addresses = iter(item.addresses)
    url, with_key = next(addresses)()
    starts = 0
    while True:
        offset = file.tell()
        try:
            with transport.open(
                url, transport.timeout, with_key=with_key, offset=offset
            ) as response:
                _check_etag(item, url, response.headers.get("ETag"))
                if offset and response.status != 206:  # this server only starts over
                    starts += 1
                    _start_over(file, meter)
                for piece in transport.pieces(response):
                    _stop_if(stop)
                    file.write(piece)
                    meter.add(len(piece))
                    backoff.restart()
            _check_length(file, item)
            return
        except RequestRefusedError as error:
            if error.status == 416 and offset:  # more is here than there
                starts += 1
                _start_over(file, meter)
            elif error.status in {400, 403, 404}:  # signed addresses expire
                following = next(addresses, None)
                if following is None:
                    raise
                url, with_key = following()
            else:
                raise
        except TransientError as fault:
            file.flush()
            if starts >= _ROUNDS:
                raise fault.lasting(transport.timeout) from None
            backoff.wait(fault)


def _stop_if(stop: threading.Event) -> None:
    if stop.is_set():
        raise SourceError("stopped", "Start the download again; it goes on from here")


def _check_etag(item: Download, url: str, found: str | None) -> None:
    """Compare as the client does; where it logged the address alone, nothing is known."""
    if item.etag not in {"", url, (found or url).strip('"')}:
        raise ChangedFileError("it is not the file that was logged: its ETag differs")


def _check_length(file: BinaryIO, item: Download) -> None:
    if not item.etag and file.tell() < item.size:
        raise TransientError(f"{item.path} broke off at {file.tell()} of {item.size} bytes")


def _start_over(file: BinaryIO, meter: Meter) -> None:
    meter.add(-file.tell())
    file.seek(0)
    file.truncate()
