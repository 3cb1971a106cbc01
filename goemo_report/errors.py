"""Errors that a user meets. Each says what failed and what to do about it."""

from __future__ import annotations


class GoemoError(Exception):
    """What failed, and the remedy.

    Command lines print both in one line and end with exit code 1.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return sentences(self.what, self.remedy)


def sentences(what: str, remedy: str) -> str:
    """What failed and the remedy in one line, with one mark between the two."""
    if not remedy:
        return what
    return f"{what} {remedy}" if what.endswith(("!", "?")) else f"{what.rstrip('., ')}. {remedy}"


class DataError(GoemoError):
    """A file does not hold what it should; names the file, and row and column if known."""


class ChangedFileError(DataError):
    """A file is there, but its bytes are not those that were logged."""


class NotFoundError(GoemoError):
    """A run, tag, artifact or file that was asked for does not exist."""


class SourceError(GoemoError):
    """W&B or a run log could not be read."""


class SettingsError(GoemoError):
    """An option, environment variable or configuration file has a value that cannot be used."""
