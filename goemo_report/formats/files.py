"""Files written whole or not at all, and paths as users write them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from goemo_report.errors import ArgumentError
from goemo_report.formats.text import shown

_CHUNK = 1 << 20
_IN_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY)
"""Why a file cannot be replaced that can be written: its directory is closed, or it is a mount."""


@contextmanager
def whole_file(
    target: Path, like: os.stat_result | None = None, *, mode: int = 0o666, flushed: bool = False
) -> Iterator[IO[bytes]]:
    """A file to write in place of `target`; it takes that name only when the block succeeds, and,
    `flushed`, once all is on the disk.

    The part file lies beside the target under a name of its own, so that two processes
    that write the same target do not mix; a symlink at the target is replaced, not followed.
    Mode and owner are those of `like`, else `mode` less what the umask takes away.
    """
    part = target.with_name(f".{target.name[:50]}.{os.urandom(8).hex()}.part")
    mode = mode if like is None else stat.S_IMODE(like.st_mode) & 0o700
    with open(part, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as file:
        try:
            if like is not None:
                _take_after(file.fileno(), like)
            yield file
            if flushed:
                file.flush()
                os.fsync(file.fileno())
            file.close()
            part.replace(target)
        except BaseException:
            file.close()
            part.unlink(missing_ok=True)
            raise


def _take_after(number: int, like: os.stat_result) -> None:
    if hasattr(os, "fchown"):
        if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
            with suppress(PermissionError):
                os.fchown(number, like.st_uid, like.st_gid)
        os.fchmod(number, stat.S_IMODE(like.st_mode))


def write_whole(target: Path, data: bytes) -> None:
    """Write all of `data`, or leave what was there; folders are made where missing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as file:
        file.write(data)


def write_output(target: Path, data: bytes) -> None:
    """Write to the place that a user named, as a shell would, but a regular file whole.

    A symlink is followed, and a file keeps its mode. What is not a regular file is written to
    directly: a device, a pipe, `/dev/stdout`, `/dev/fd/63`. Folders are made where missing.
    """
    number = _open_descriptor(target)
    if number is not None:
        return _write_all(os.dup(number), data)
    try:
        there: os.stat_result | None = target.stat()
    except FileNotFoundError:
        there = None
    if there is not None and not stat.S_ISREG(there.st_mode):
        return _write_all(os.open(target, os.O_WRONLY), data)
    if there is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(target))
    real = Path(os.path.realpath(target))
    real.parent.mkdir(parents=True, exist_ok=True)
    try:
        with whole_file(real, there) as file:
            file.write(data)
    except OSError as error:
        if there is None or error.errno not in _IN_PLACE:
            raise
        _write_all(os.open(target, os.O_WRONLY | os.O_TRUNC), data)


def _write_all(number: int, data: bytes) -> None:
    with os.fdopen(number, "wb") as stream:
        stream.write(data)


def _open_descriptor(path: Path) -> int | None:
    """The descriptor that a path such as `/dev/stdout` names, None where it names none. To open it
    by its path would begin a file anew that the shell has open at its end."""
    folders = {"/dev/fd", os.path.realpath("/proc/self/fd")}
    for _ in range(8):
        if path.name.isdecimal() and os.path.realpath(path.parent) in folders:
            return int(path.name)
        if not path.is_symlink():
            return None
        path = path.parent / path.readlink()
    return None


def user_path(text: str | Path, *, real: bool = False) -> Path:
    """A path with `~` as the home directory; that of an unknown user stays as it is.

    `real` makes it absolute and follows links, as far as there are any to follow.
    """
    path = os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises for it
    return Path(os.path.realpath(path) if real else path)  # Path.resolve raises for a circle


def named_path(argument: str) -> tuple[str, str]:
    """The name and the path of `NAME=PATH`; an empty name for a path alone.

    A name with a slash, such as `roberta/large`, is one where no path of that name is.
    Raises ArgumentError for `=PATH`.
    """
    name, equals, path = argument.partition("=")
    if not equals:
        return "", argument
    if not name:
        if path_exists(argument):
            return "", argument
        raise ArgumentError(f"{shown(argument)} has no name before =", "Write NAME=FILE")
    if "/" in name and ("://" in name or path_exists(argument) or not path_exists(path)):
        return "", argument
    return name, path


def path_exists(text: str) -> bool:
    """Whether a text, whatever it is, is the path of something that is there."""
    try:
        return user_path(text).exists()
    except (OSError, ValueError):  # too long for a path, a null byte
        return False


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    """The rest of a file, a mebibyte at a time."""
    while chunk := file.read(_CHUNK):
        yield chunk
