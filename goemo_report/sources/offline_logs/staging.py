"""Finding the bytes of a logged artifact file on this machine, and checking them."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PureWindowsPath
from typing import Final

from goemo_report.sources.base import silent
from goemo_report.sources.model import ArtifactFile, LocalFile, SkippedFile

LINK: Final = "wandb-client-artifact"
"""Scheme of a reference to a file of an artifact that the same process made."""


class StagedFiles:
    """Looks for files by name in the staging folders given, then where the client staged them,
    then by digest in wandb's cache. Nothing counts unless size and digest fit, and a file of
    that name in the folders given that does not fit is not made good by one from elsewhere.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(folders)
        self._by_name: dict[str, list[Path]] | None = None

    def add(self, folders: Iterable[Path]) -> None:
        """Look in more staging folders."""
        self._folders += [folder for folder in folders if folder not in self._folders]
        self._by_name = None

    def find(self, path: str, size: int, digest: str, local_path: str, read: Reader) -> LocalFile:
        """The file with this digest, or why there is none; `path` is its name in the artifact."""
        name = PureWindowsPath(local_path).name  # takes both kinds of separator
        wrong: Path | None = None
        for place in self._index().get(name) or self._elsewhere(local_path, digest):
            try:
                if not place.is_file():
                    continue
                if place.stat().st_size == size and read(place, digest):
                    return place
            except (OSError, ValueError) as error:
                return SkippedFile(path, f"{place} cannot be checked: {error}")
            wrong = wrong or place
        if wrong is not None:
            reason = f"{wrong} is not the file that was logged: size or MD5 differ"
            return SkippedFile(path, reason, changed=True)
        staged = f"its staged copy {name} is gone" if name else "no staged copy was recorded"
        return SkippedFile(
            path,
            f"{staged}: not where it was written, in no artifacts/staging folder beside the "
            "runs, not in wandb's cache",
        )

    def manifest_file(self, local_path: str) -> Path | None:
        """Where the manifest of a very large artifact lies, by path or by name."""
        name = PureWindowsPath(local_path).name
        places = (*self._index().get(name, ()), *self._elsewhere(local_path, ""))
        return next((place for place in places if place.is_file()), None)

    def _elsewhere(self, local_path: str, digest: str) -> Iterator[Path]:
        if Path(local_path).is_absolute() and "\0" not in local_path:
            yield Path(local_path)
        if (cached := _in_wandb_cache(digest)) is not None:
            yield cached

    def _index(self) -> dict[str, list[Path]]:
        if self._by_name is None:
            self._by_name = {}
            for top in self._folders:
                for folder, _, names in os.walk(top):
                    for name in names:
                        self._by_name.setdefault(name, []).append(Path(folder, name))
        return self._by_name


Reader = Callable[[Path, str], bool]
"""Reads a file and says whether it has a digest."""


def _in_wandb_cache(digest: str) -> Path | None:
    """Where wandb's own cache keeps the bytes with an MD5."""
    try:
        hexadecimal = base64.b64decode(digest, validate=True).hex()
    except (binascii.Error, ValueError):
        return None
    if len(hexadecimal) != 32:
        return None
    chosen = os.environ.get("WANDB_CACHE_DIR")
    if not chosen:
        import platformdirs  # as wandb does

        chosen = platformdirs.user_cache_dir("wandb")
    return Path(chosen, "artifacts", "obj", "md5", hexadecimal[:2], hexadecimal[2:])


def fetch_elsewhere(file: ArtifactFile) -> LocalFile:
    """A file of which no log of this directory tells where it is staged."""
    from goemo_report.sources.store import Cache
    from goemo_report.sources.wandb_api import external_files
    from goemo_report.sources.wandb_api.credentials import find_credentials
    from goemo_report.sources.wandb_api.transport import Transport

    if file.scheme in {LINK, "wandb-artifact"}:
        why = "no log here tells of that artifact; upload the run and read it from W&B"
        return external_files.unfollowed(file, why)

    def connect() -> Transport:
        return Transport(find_credentials(), notify=lambda _: None)

    return external_files.fetch_external([file], connect, Cache(), silent)[0]
