"""What was fetched once is kept, named by what it is, and can be deleted at any time.

    files/ab/ab12...      downloaded files, by MD5 (or XXH128) of their bytes
    manifests/ab/ab12...  artifact manifests, by the artifact's digest
    histories/ab/ab12...  histories of runs that have ended, by run and extent
    scores/ab/ab12...     scores and statistics (goemo_report.caches)
    tokens/ab12...        tokenised texts (goemo_train.token_cache)

Every entry is written whole under another name and then renamed; nothing is ever changed in
place. What cannot be read is treated as absent.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from goemo_report.formats.files import write_whole

PIECE: Final = 1 << 20
_SUBFOLDERS: Final = ("files", "manifests", "histories", "scores", "tokens")


class Hasher(Protocol):
    """What hashlib and xxhash have in common."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""

    def digest(self) -> bytes:
        """The digest of all bytes so far."""
        ...


def cache_directory() -> Path:
    """GOEMO_CACHE_DIR, else `goemo` in XDG_CACHE_HOME, else in `~/.cache`."""
    if chosen := os.environ.get("GOEMO_CACHE_DIR"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "goemo"


def hasher_for(digest: str) -> tuple[Hasher, str]:
    """A hasher for a manifest digest, and the digest without its algorithm's name."""
    algorithm, _, plain = digest.rpartition(":")
    if not algorithm:
        return hashlib.md5(usedforsecurity=False), digest
    if algorithm == "XXH128":
        import xxhash  # comes with wandb; few artifacts need it

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


def file_digest(path: Path, digest: str) -> bool:
    """Whether a file's bytes have a manifest digest."""
    hasher, plain = hasher_for(digest)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            hasher.update(piece)
    return base64.b64encode(hasher.digest()).decode() == plain


class Cache:
    """One cache directory. Methods may be called from many threads and processes."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_directory()

    def file_path(self, digest: str) -> Path:
        """Where the file with a manifest digest is kept.

        Raises ValueError for a digest that is none.
        """
        name = _hexadecimal(digest)
        kind = "" if ":" not in digest else ".xxh128"
        return self.root / "files" / name[:2] / f"{name}{kind}"

    def named_file_path(self, *identity: object) -> Path:
        """Where a file is kept whose digest nobody knows."""
        return self._path("files", *identity)

    def load(self, kind: str, *identity: object) -> Any | None:
        """A stored JSON value, None where there is none or it is damaged."""
        try:
            stored = json.loads(self._path(kind, *identity).read_bytes())
            if stored["identity"] == _identity(identity):
                return stored["value"]
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def store(self, kind: str, value: Any, *identity: object) -> None:
        """Keep a JSON value; a cache that cannot be written to is no error."""
        text = json.dumps({"identity": _identity(identity), "value": value})
        with contextlib.suppress(OSError):
            write_whole(self._path(kind, *identity), text.encode())

    def _path(self, kind: str, *identity: object) -> Path:
        name = hashlib.sha256(_identity(identity).encode()).hexdigest()[:40]
        return self.root / kind / name[:2] / name

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Files and bytes of each part of the cache."""
        found = {}
        for kind in _SUBFOLDERS:
            sizes = [entry.stat().st_size for entry in _files(self.root / kind)]
            found[kind] = (len(sizes), sum(sizes))
        return found

    def free_bytes(self) -> int:
        """Free space on the disk that holds the cache."""
        folder = self.root
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return shutil.disk_usage(folder).free


def _identity(parts: tuple[object, ...]) -> str:
    return json.dumps([str(part) for part in parts])


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in folder.rglob("*") if path.is_file())
