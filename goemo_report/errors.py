"""Errors that a user meets. Each says what failed and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from shlex import quote
from typing import Final, Literal


class GoemoError(Exception):
    """What failed, and the remedy.

    As text it is one line: line breaks become spaces and other control characters their code,
    for it may repeat what a library or a file says. Command lines end with exit code 1.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return _one_line(sentences(self.what, self.remedy))


_typed = False
"""Whether arguments are typed in a command line, else given in Python."""
_FLAGS: Final = {"license_id": "license", "private=False": "public"}
"""Where a flag has another name than the argument."""


@contextmanager
def command_line() -> Iterator[None]:
    """Inside, messages name arguments by their flags."""
    global _typed
    outside, _typed = _typed, True
    try:
        yield
    finally:
        _typed = outside


def argument(name: str, value: object = None) -> str:
    """An argument as the user of a message gives it: `map_to='ekman'`, or `--map-to ekman`."""
    given = f"{name}=" if value is None else f"{name}={value!r}"
    if not _typed:
        return given
    flag = f"--{_FLAGS.get(given, _FLAGS.get(name, name)).replace('_', '-')}"
    return flag if value is None or isinstance(value, bool) else f"{flag} {quote(str(value))}"


def sentences(what: str, remedy: str) -> str:
    """Join what failed and the remedy into one line, with one mark between the two."""
    if not remedy:
        return what
    return f"{what} {remedy}" if what.endswith(("!", "?")) else f"{what.rstrip('., ')}. {remedy}"


def _one_line(text: str) -> str:
    if text.isprintable():
        return text
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def first_line(error: BaseException) -> str:
    """Cut a library's error to one line of at most 200 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")


def unexpected(error: BaseException) -> str:
    """Describe an error that was not foreseen."""
    return f"unexpected {type(error).__name__}" + (f": {error}" if str(error) else "")


Extra = Literal["figures", "hub", "mlflow", "onnx", "reports", "tables", "train", "trackio"]
"""The extras of the package."""


def missing_packages(*names: str) -> list[str]:
    """Those of the packages that are not installed; without names, of torch and transformers."""
    return [name for name in names or ("torch", "transformers") if find_spec(name) is None]


def require_extra(what: str, *packages: str, extra: Extra = "train") -> None:
    """Raise GoemoError, in one line, where packages that `what` needs are not installed.

    Without names those are torch and transformers.
    """
    if missing := missing_packages(*packages):
        *first, last = missing
        needed = f"{', '.join(first)} and {last}" if first else last
        remedy = f"Install the extra: pip install 'goemo[{extra}]'"
        raise GoemoError(f"{what} needs {needed}", remedy)


class DataError(GoemoError):
    """A file does not hold what it should; names the file, and row and column if known."""


class ChangedFileError(DataError):
    """A file is there, but its bytes are not those that were logged."""


class RunError(DataError):
    """Something about one run of several cannot be computed; `run_id` says of which."""

    def __init__(self, what: str, remedy: str = "", *, run_id: str = "", reason: str = "") -> None:
        super().__init__(what, remedy)
        self.run_id = run_id
        self.reason = reason


class NotFoundError(GoemoError):
    """A run, tag, artifact or file that was asked for does not exist."""


class PositionError(NotFoundError, IndexError):
    """A position is past the end; as an IndexError it ends a loop over positions."""


class SourceError(GoemoError):
    """W&B or a run log could not be read."""


@contextmanager
def reading(what: str, remedy: str = "Copy it again, or move it away") -> Iterator[None]:
    """Raise any error inside as a SourceError about `what`; a GoemoError stays itself.

    For input that others made: it fails in more ways than can be listed.
    """
    try:
        yield
    except GoemoError:
        raise
    except Exception as error:
        why = {RecursionError: "it is nested too deeply", MemoryError: "it is too large"}
        said = (error.strerror if isinstance(error, OSError) else "") or str(error)
        said = f"it has no {said}" if isinstance(error, KeyError) else said
        reason = why.get(type(error)) or said or type(error).__name__
        if isinstance(error, OSError):
            remedy = "Check the file and its permissions"
        raise SourceError(f"{what} cannot be read: {reason}", remedy) from error


class SettingsError(GoemoError):
    """An option, environment variable or configuration file has a value that cannot be used."""


class ArgumentError(SettingsError):
    """An argument has a value that it cannot have; command lines end with exit code 2."""
