"""Files brought into the cache: in parallel, resumed where they broke off, checked by digest.

A file is written to `NAME.part` under a lock, compared with the manifest's digest and only
then renamed, so that a wrong or half file never carries the right name. A second process that
wants the same file waits for the first and takes over where it died.

Files that an artifact names and does not hold are followed as the W&B client follows them. An
artifact may be anybody's: a `file://` reference is therefore read only where size and digest are
those of its manifest, and what is asked over the network is asked without the key.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import urlparse
from urllib.request import url2pathname

try:
    import fcntl
except ImportError:  # Windows has no flock: two processes may then fetch the same file twice
    fcntl = None  # type: ignore[assignment]  # the module or nothing, told apart below

from goemo_report.errors import ChangedFileError, GoemoError, SourceError
from goemo_report.sources.base import Progress
from goemo_report.sources.model import ArtifactFile, LocalFile, SkippedFile
from goemo_report.sources.store import (
    Cache,
    discard,
    file_digest,
    make_private,
    md5_of,
    private_cache,
)
from goemo_report.sources.wandb_api.faults import Backoff, RequestRefusedError, TransientError
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


def is_cached(item: Download) -> bool:
    """Whether the cache holds the right bytes, which nobody knows without a digest.

    What else has the place of a known file is removed.
    """
    if not item.digest:
        return False
    with contextlib.suppress(OSError, ValueError):
        if item.target.stat().st_size == item.size and file_digest(item.target, item.digest):
            return True
    discard(item.target)
    return False


def download_all(
    wanted: Sequence[Download], transport: Transport, progress: Progress
) -> list[LocalFile]:
    """Fetch files into the cache; one that cannot be had comes back with the reason."""
    if not wanted:
        return []
    fetching = _Fetching(transport, progress, sum(item.size for item in wanted))
    pool = ThreadPoolExecutor(min(CONNECTIONS, len(wanted)))
    try:
        return list(pool.map(fetching.one, wanted))
    finally:
        fetching.stopped.set()  # Ctrl-C: what is running stops at its next piece, keeps its .part
        pool.shutdown(cancel_futures=True)


class _Fetching:
    """Downloads at the same time, whose bytes add up in one progress display."""

    def __init__(self, transport: Transport, progress: Progress, total: int) -> None:
        self._transport = transport
        self._progress = progress
        self._total = total
        self._done = 0
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        self._count(0)

    def _count(self, more: int) -> None:
        """So many bytes more (or fewer, where a download starts over)."""
        with self._lock:
            self._done += more
            self._progress("downloading", self._done, self._total)

    def one(self, item: Download) -> LocalFile:
        """A file in the cache, or why it is not there."""
        try:
            try:
                return self._download(item)
            except OSError as error:  # no room, or nothing may be written there
                Cache().note(error)
                discard(_part(item.target))
                elsewhere = private_cache().root / "files" / item.target.name
                return self._download(replace(item, target=elsewhere))
        except GoemoError as error:
            if item.etag and isinstance(error, RequestRefusedError):  # W&B is not to blame
                return SkippedFile(item.path, f"its server answers {error.status}")
            changed = isinstance(error, ChangedFileError)
            return SkippedFile(item.path, str(error), changed=changed)
        except OSError as error:
            return SkippedFile(item.path, f"cannot be written: {error}")

    def _download(self, item: Download) -> Path:
        make_private(item.target.parent)
        part = _part(item.target)
        with _locked(part) as file:
            if is_cached(item):  # another process was faster
                self._count(item.size)
                part.unlink(missing_ok=True)
                return item.target
            if not item.digest:  # who knows what an earlier process left
                file.truncate(0)
            for _ in range(_ROUNDS):
                self._fill(item, file)
                file.flush()
                if not item.digest or file_digest(part, item.digest):
                    os.fsync(file.fileno())
                    if item.target.is_dir():
                        discard(item.target)
                    part.chmod(0o400)  # shared with every later report
                    part.replace(item.target)
                    return item.target
                self._transport.notify(f"{item.path} arrived with wrong bytes; fetching it again")
                self._start_over(file)
        part.unlink(missing_ok=True)
        raise ChangedFileError(
            f"{item.path} does not have the digest of its manifest after {_ROUNDS} downloads",
            "The stored file is damaged: upload it again",
        )

    def _fill(self, item: Download, file: BinaryIO) -> None:
        """Append until the file has its size; every byte that arrives restarts the clock."""
        transport = self._transport
        backoff = Backoff(transport.timeout, transport.notify)
        self._count(file.seek(0, os.SEEK_END))
        addresses = iter(item.addresses)
        url, with_key = next(addresses)()
        starts = 0
        while True:
            offset = file.tell()
            try:
                with transport.open(url, with_key=with_key, offset=offset) as response:
                    # As the client compares; of a file logged by its address nothing is known.
                    tag = (response.headers.get("ETag") or url).strip('"')
                    if item.etag not in {"", url, tag}:
                        raise ChangedFileError(
                            "it is not the file that was logged: its ETag differs"
                        )
                    if offset and response.status != 206:  # this server only starts over
                        starts += 1
                        self._start_over(file)
                    for piece in transport.pieces(response):
                        if self.stopped.is_set():
                            again = "Start the download again; it goes on from here"
                            raise SourceError("stopped", again)
                        file.write(piece)
                        self._count(len(piece))
                        backoff.restart()
                if item.etag or file.tell() >= item.size:
                    return
                what = f"{item.path} broke off at {file.tell()} of {item.size} bytes"
                raise TransientError(what)  # noqa: TRY301 - handled as the others are
            except RequestRefusedError as error:
                if error.status == 416 and offset:  # more is here than there
                    starts += 1
                    self._start_over(file)
                    continue
                expired = error.status in {400, 403, 404}  # as signed addresses do
                following = next(addresses, None) if expired else None
                if following is None:
                    raise
                url, with_key = following()
            except TransientError as fault:
                file.flush()
                if starts >= _ROUNDS:
                    raise fault.lasting(transport.timeout) from None
                backoff.wait(fault)

    def _start_over(self, file: BinaryIO) -> None:
        self._count(-file.tell())
        file.seek(0)
        file.truncate()


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


# --- What an artifact refers to ---------------------------------------------------------

_LIBRARIES: Final = {
    "s3": ("boto3", "boto3"),
    "gs": ("google.cloud.storage", "google-cloud-storage"),
}
"""By scheme of a bucket: what the client reads it with, as module and as distribution."""

_LONGEST: Final = 200  # characters of a reference in a message


def fetch_external(
    wanted: Sequence[ArtifactFile],
    connect: Callable[[], Transport],
    cache: Cache,
    progress: Progress,
) -> list[LocalFile]:
    """A local copy of what each reference names, or why there is none, in order."""
    found: dict[int, LocalFile] = {}
    asked: dict[int, Download] = {}
    for number, file in enumerate(wanted):
        if file.scheme in {"http", "https"}:
            asked[number] = _download_of(file, cache)
        elif file.scheme == "file":
            found[number] = _on_this_machine(file)
        elif file.scheme in _LIBRARIES:
            found[number] = _in_bucket(file)
        else:
            found[number] = unfollowed(file, "goemo-report cannot follow this kind")
    fetched = download_all(list(asked.values()), connect(), progress) if asked else []
    for number, local in zip(asked, fetched, strict=True):
        file = wanted[number]
        if isinstance(local, SkippedFile):
            local = unfollowed(file, local.reason, changed=local.changed)
        elif file.digest != file.reference:  # an ETag names one content
            known = [local.stat().st_size, md5_of(local)]
            cache.put("digests", (file.reference, file.digest), known)
        found[number] = local
    return [found[number] for number in range(len(wanted))]


def unfollowed(file: ArtifactFile, why: str, *, changed: bool = False) -> SkippedFile:
    """A reference that leads to no file, and why."""
    shown = file.reference[:_LONGEST] + ("..." if len(file.reference) > _LONGEST else "")
    reason = f"by reference to {shown}: {why}"
    return SkippedFile(file.path, reason, changed=changed, cause=f"by reference: {why}")


def _download_of(file: ArtifactFile, cache: Cache) -> Download:
    """A plain GET. The digest is the ETag, or the address itself where it had none: such a file
    may have changed, so it is fetched each time."""
    place, url = (file.reference, file.digest), file.reference
    size, digest = cache.get("digests", place) or (0, "")
    target = cache.named_file_path(*place)
    return Download(file.path, size, digest, target, [lambda: (url, False)], etag=file.digest)


def _on_this_machine(file: ArtifactFile) -> LocalFile:
    try:
        path = Path(url2pathname(urlparse(file.reference).path))
        if path.stat().st_size == file.size and file_digest(path, file.digest):
            return path
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return unfollowed(file, f"it cannot be read on this machine: {reason}")
    why = "the file there is not the one that was logged, or it was logged without a checksum"
    return unfollowed(file, why, changed=True)


def _in_bucket(file: ArtifactFile) -> LocalFile:
    """What the client's own reader of a bucket gives; it compares the ETag."""
    module, distribution = _LIBRARIES[file.scheme]
    try:
        import_module(module)
    except ImportError:
        return unfollowed(file, f"it needs `pip install {distribution}`")
    from wandb.sdk.artifacts.artifact_manifest_entry import ArtifactManifestEntry
    from wandb.sdk.artifacts.storage_handlers.gcs_handler import GCSHandler
    from wandb.sdk.artifacts.storage_handlers.s3_handler import S3Handler
    from wandb.sdk.lib.paths import LogicalPath

    extra = {"etag": file.digest} | ({"versionID": file.generation} if file.generation else {})
    try:
        entry = ArtifactManifestEntry(
            path=LogicalPath(file.path),
            digest=file.digest,
            ref=file.reference,
            size=file.size,
            extra=extra,
        )
        handler = S3Handler() if file.scheme == "s3" else GCSHandler()
        return Path(handler.load_path(entry, local=True))
    except Exception as error:  # noqa: BLE001 - whatever the cloud's library raises
        return unfollowed(file, " ".join(str(error).split()) or type(error).__name__)
