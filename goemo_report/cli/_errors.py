"""Errors become one line, what failed and what to do about it, and an exit code."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable
from typing import TypeVar

import click

from goemo_report.errors import GoemoError, sentences, unexpected
from goemo_report.formats.text import printable, shortened

FAILED, FOUND_SOMETHING, INTERRUPTED, PIPE_CLOSED = 1, 3, 130, 141
"""Exit codes; 3 is that of a check that worked and found fault, the last two
are the shell's own for SIGINT and SIGPIPE."""

_API_KEY = re.compile(r"wandb_v\d+_\w+|\bhf_[A-Za-z0-9]{20,}")
_LONGEST = 1000
"""Characters of what went wrong: a list of runs or a value of a file may be of any length."""
DEBUG = "goemo.debug"
"""Key in a context's `meta`: whether `--debug` was given."""
_ERROR = click.style("error:", fg="red", bold=True)
_REMEDIES = {
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS), "Check the permissions, or choose another place"
    ),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space, or choose another place"),
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTDIR, errno.EISDIR), "Choose another place, or move what is there"
    ),
    errno.ENOENT: "Check the spelling, or choose another place: this one does not exist",
    errno.ELOOP: "Links lead in a circle: check them, or choose another place",
}
_Command = TypeVar("_Command", bound=Callable[..., object])


def _remember_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[DEBUG] = True  # shared by a command and its group


def debug_option(command: _Command) -> _Command:
    """`--debug`, on the group and on every command."""
    return click.option(
        "--debug",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_remember_debug,
        help="Show the traceback of an error.",
    )(command)


def report(error: BaseException, *, debug: bool) -> int:
    """Say on standard error what went wrong; gives the exit code."""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        _say("interrupted")
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        _silence_standard_output()
        return PIPE_CLOSED
    if debug:
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            _say(one_line(line))
    what, remedy = _explain(error)
    _say(f"{_ERROR} {one_line(sentences(shortened(what, _LONGEST), remedy))}")
    if isinstance(error, OSError):
        _silence_standard_output()  # what is buffered would fail again at exit
    return FAILED


def report_usage(error: click.UsageError, group: click.Context, remedy: str = "") -> int:
    """Say on standard error what was typed wrongly, the remedy and where help is; gives the exit
    code."""
    at = (error.ctx or group).command_path
    if error.ctx in {None, group} and group.invoked_subcommand:
        at = f"{group.command_path} {group.invoked_subcommand}"
    what = sentences(shortened(error.format_message(), _LONGEST), remedy)
    _say(f"{_ERROR} {one_line(sentences(what, f'See `{at} --help`'))}")
    return error.exit_code


def one_line(text: str) -> str:
    """Printable text on one line, without any API key of W&B or token of the hub."""
    for name in ("WANDB_API_KEY", "HF_TOKEN"):
        if key := os.environ.get(name):
            text = text.replace(key, "[API key]")
    text = _API_KEY.sub("[API key]", text)
    return printable(re.sub(r"[\r\n\t]+", " ", text.rstrip()))


def _explain(error: BaseException) -> tuple[str, str]:
    if isinstance(error, GoemoError):
        return error.what, error.remedy
    if isinstance(error, OSError) and error.errno == errno.EBADF and not error.filename:
        return "standard output is closed", "Open it, or write to a file with --output"
    if isinstance(error, OSError) and error.strerror:
        name = error.filename if isinstance(error.filename, str | os.PathLike) else None
        where = f"{os.fspath(name)}: " if name else ""
        return f"{where}{error.strerror}", _REMEDIES.get(
            error.errno or 0, "Run again with --debug to see where"
        )
    if isinstance(error, MemoryError):
        return "not enough memory", "Compare fewer runs at once"
    remedy = "This is a fault of goemo-report: run again with --debug and report the traceback"
    return unexpected(error), remedy


def _say(text: str) -> None:
    """A line on standard error; nothing where nobody listens there any more."""
    try:
        if "NO_COLOR" in os.environ:
            text = click.unstyle(text)
        click.echo(text, err=True)
    except OSError:
        pass


def _silence_standard_output() -> None:
    """Point standard output at nothing, so that flushing it at exit cannot fail."""
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)
    except (OSError, ValueError):  # not a real file, as in tests
        pass
