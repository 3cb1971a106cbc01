"""The one store of what was fetched or computed once; deleting it is always safe.

    files/ab/ab12...    downloaded files, by MD5 (or XXH128) of their bytes
    KIND/ab/ab12...     entries, by SHA-256 of all that they follow from:
                        manifests, histories, digests, scores, texts, statistics, tokens

An entry begins with a SHA-256 over its identity, its length and every byte that follows. What
does not fit it (damaged, cut, of something else, not even a file) counts as absent and is made
anew. Entries are written whole under another name and renamed, readable by their owner alone.
A store that cannot be used is no error: one note says so, and everything works without it.
"""

from __future__ import annotations

import atexit
import base64
import binascii
import contextlib
import hashlib
import json
import os
import shutil
import stat
import struct
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Final, Generic, NamedTuple, TypeVar

from goemo_report.formats.files import chunks, user_path, whole_file
from goemo_report.formats.text import printable

_HEAD: Final = struct.Struct("<32sQ")  # SHA-256, and how many bytes follow
_NOTED: Final[set[Path]] = set()
_PRIVATE: Final = Lock()

T = TypeVar("T")


class Codec(NamedTuple, Generic[T]):
    """How values of one kind become bytes, piece by piece, and come back.

    `unpack` gets a read-only view of the bytes; whatever it raises makes the value anew.
    """

    pack: Callable[[T], Iterable[bytes | memoryview]]
    unpack: Callable[[memoryview], T]


JSON: Final[Codec[Any]] = Codec(
    lambda value: [json.dumps(value).encode()], lambda data: json.loads(data.tobytes())
)
"""Values that JSON can write; floats keep every digit."""


class Cache:
    """One cache directory. Methods may be called from many threads and processes.

        store = Cache()
        numbers = store.cached("tokens", [FORMAT, texts, state], compute, CODEC)

    The identity of an entry is all that its value follows from (digests of files, options,
    versions, the keys that it holds), as values that JSON can write: a change of any of them
    is another entry. Without `root` the directory is that of `cache_directory`.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_directory()

    # --- Entries ------------------------------------------------------------------------

    def cached(
        self,
        kind: str,
        identity: Iterable[object],
        compute: Callable[[], T],
        codec: Codec[T] = JSON,
        *,
        most: int | None = None,
    ) -> T:
        """What `compute` gives, from the store where it was computed before.

        Raises only what `compute` and `codec.pack` raise. `most` bytes are kept of the kind:
        what was unused for the longest time goes first.
        """
        identity = tuple(identity)
        if (found := self.get(kind, identity, codec)) is None:
            self.put(kind, identity, found := compute(), codec, most=most)
        return found

    def get(self, kind: str, identity: Iterable[object], codec: Codec[T] = JSON) -> T | None:
        """The value of an entry, None where there is none that is whole."""
        path, key = self._entry(kind, identity)
        body = _read(path, key)
        with contextlib.suppress(Exception):  # whatever an entry holds, it cannot do harm
            return None if body is None else codec.unpack(body)
        return None

    def put(
        self,
        kind: str,
        identity: Iterable[object],
        value: T,
        codec: Codec[T] = JSON,
        *,
        most: int | None = None,
    ) -> None:
        """Keep a value; where that cannot be, a note says so once."""
        path, key = self._entry(kind, identity)
        parts = [memoryview(part).cast("B") for part in codec.pack(value)]
        head = _HEAD.pack(_digest(key, parts), sum(len(part) for part in parts))
        try:
            make_private(path.parent)
            if path.is_dir():
                discard(path)
            with whole_file(path, mode=0o600) as file:
                for part in (memoryview(head), *parts):
                    file.write(part)
            if most is not None:
                _make_room(self.root / kind, most)
        except OSError as error:
            self.note(error)

    def holds(self, kind: str, identity: Iterable[object]) -> bool:
        """Whether there is an entry, whole or not."""
        return _holds(self._entry(kind, identity)[0].is_file)

    def _entry(self, kind: str, identity: Iterable[object]) -> tuple[Path, bytes]:
        """The place of an entry, and what its digest covers beside its bytes."""
        text = json.dumps([kind, *identity], default=str)
        key = hashlib.sha256(text.encode()).digest()
        name = key.hex()[:40]
        return self.root / kind / name[:2] / name, key

    # --- Downloaded files ---------------------------------------------------------------

    def file_path(self, digest: str) -> Path:
        """Where the file with a manifest digest is kept.

        Raises ValueError for a digest that is none.
        """
        name = _hexadecimal(digest)
        kind = "" if ":" not in digest else ".xxh128"
        return self.root / "files" / name[:2] / f"{name}{kind}"

    def named_file_path(self, *identity: object) -> Path:
        """Where a file is kept whose digest nobody knows."""
        return self._entry("files", identity)[0]

    def note(self, error: OSError) -> None:
        """Say on standard error that the store cannot be used, once, unless nobody wants one."""
        if self.root not in {Path(os.devnull), *_NOTED} and sys.stderr is not None:
            _NOTED.add(self.root)
            text = f"note: nothing can be kept in the cache {self.root} ({error.strerror or error})"
            with contextlib.suppress(OSError, ValueError):
                print(f"{printable(text)}; GOEMO_CACHE_DIR chooses another place", file=sys.stderr)

    # --- What is there ------------------------------------------------------------------

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Files and bytes of each part of the cache."""
        found = {}
        for folder in sorted(self.root.iterdir()) if _holds(self.root.is_dir) else ():
            sizes = [status.st_size for _, status in _files(folder)]
            found[folder.name] = (len(sizes), sum(sizes))
        return found

    def free_bytes(self) -> int:
        """Free space on the disk that holds the cache."""
        folder = self.root
        while not _holds(folder.exists) and folder != folder.parent:
            folder = folder.parent
        return shutil.disk_usage(folder).free


def _holds(check: Callable[[], bool]) -> bool:
    """Check a path; False where its name is too long for the system."""
    try:
        return check()
    except OSError:
        return False


def cache_directory() -> Path:
    """GOEMO_CACHE_DIR, else `goemo` in XDG_CACHE_HOME, else in `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    place = user_path(os.environ.get("GOEMO_CACHE_DIR") or f"{base}/goemo")
    no_user = str(place).startswith("~")  # whose home it should be in: nothing can be kept
    return Path(os.devnull, place) if no_user else place


def private_cache() -> Cache:
    """A cache of this process alone, gone when it ends: for downloads where no other can be."""
    with _PRIVATE:  # threads share one
        return _private_cache()


@cache
def _private_cache() -> Cache:
    folder = tempfile.TemporaryDirectory(prefix="goemo-", ignore_cleanup_errors=True)
    atexit.register(folder.cleanup)
    return Cache(Path(folder.name))


def _read(path: Path, key: bytes) -> memoryview | None:
    """The body of an entry, None where it is not whole."""
    try:
        with open_regular(path) as file:
            digest, length = _HEAD.unpack(file.read(_HEAD.size))
            if os.fstat(file.fileno()).st_size == _HEAD.size + length:
                body = memoryview(file.read())
                if digest == _digest(key, [body]):
                    with contextlib.suppress(OSError):
                        os.utime(path)  # used last
                    return body
    except (OSError, ValueError, struct.error):
        pass
    return None


def make_private(folder: Path) -> None:
    """Make a folder of the store; nobody but the owner may look into it and the one above."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
    for place in (folder.parent, folder):
        if stat.S_IMODE(place.stat().st_mode) & 0o077:  # made by an earlier version
            with contextlib.suppress(OSError):
                place.chmod(0o700)


def _digest(key: bytes, parts: list[memoryview]) -> bytes:
    hasher = hashlib.sha256(key + sum(len(part) for part in parts).to_bytes(8, "little"))
    for part in parts:
        hasher.update(part)
    return hasher.digest()


def _make_room(folder: Path, most: int) -> None:
    """Remove what is beyond a limit, files that a killed process left behind included."""
    size = 0
    for path, status in sorted(_files(folder), key=lambda found: -found[1].st_mtime):
        size += status.st_size
        if size > most:
            path.unlink(missing_ok=True)
            size -= status.st_size


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for top, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # another process may have removed it
                yield (path := Path(top, name)), path.lstat()


def open_regular(path: Path) -> BinaryIO:
    """A regular file, opened to read bytes; what would block or never end is an OSError."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")


def discard(path: Path) -> None:
    """Remove what stands at the place of a file, as far as that can be."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


# --- Digests of manifests -------------------------------------------------------------


def hasher_for(digest: str) -> tuple[Any, str]:
    """A hasher for a manifest digest, and the digest without its algorithm's name."""
    algorithm, _, plain = digest.rpartition(":")
    if not algorithm:
        return hashlib.md5(usedforsecurity=False), digest
    if algorithm == "XXH128":
        import xxhash  # few artifacts need it

        return xxhash.xxh128(), plain
    raise ValueError(f"unknown digest algorithm {algorithm}")


def _hexadecimal(digest: str) -> str:
    _, plain = hasher_for(digest)
    try:
        value = base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 16:
        raise ValueError(f"{digest!r} is no digest")
    return value.hex()


def is_digest(text: str) -> bool:
    """Whether a text is a manifest digest: base64 of 128 bits, with or without an algorithm."""
    try:
        return bool(_hexadecimal(text))
    except ValueError:
        return False


def file_digest(path: Path, digest: str, count: Callable[[int], object] = bool) -> bool:
    """Whether a file's bytes have a manifest digest; `count` is told how many were read."""
    hasher, plain = hasher_for(digest)
    return _hashed(path, hasher, count) == plain


def md5_of(path: Path) -> str:
    """Digest of a file as manifests write it: base64 of the MD5."""
    return _hashed(path, hashlib.md5(usedforsecurity=False), bool)


def _hashed(path: Path, hasher: Any, count: Callable[[int], object]) -> str:
    with open_regular(path) as file:
        for piece in chunks(file):
            hasher.update(piece)
            count(file.tell())
    return base64.b64encode(hasher.digest()).decode("ascii")
