"""The group of commands: found by file, loaded when needed; errors become one line, what failed and
what to do about it, and an exit code."""

from __future__ import annotations

import errno
import importlib
import os
import re
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import click

from goemo_report import __version__
from goemo_report.errors import ArgumentError, GoemoError, command_line, sentences, unexpected
from goemo_report.formats.text import printable, shortened

FAILED, FOUND_SOMETHING, INTERRUPTED, PIPE_CLOSED = 1, 3, 130, 141
"""Exit codes; 3 is that of a check that worked and found fault, the last two
are the shell's own for SIGINT and SIGPIPE."""

_API_KEY = re.compile(r"wandb_v\d+_\w+|\bhf_[A-Za-z0-9]{20,}")
_LONGEST = 1000
_ALIKE = 0.75  # how much, of 1, another option is like the one typed
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
    if isinstance(error, click.NoSuchOption) and error.possibilities:
        from difflib import get_close_matches

        alike = get_close_matches(error.option_name, error.possibilities, cutoff=_ALIKE)
        if alike:
            error = click.NoSuchOption(error.option_name, possibilities=alike, ctx=error.ctx)
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


# --- Commands -------------------------------------------------------------------------

ARGUMENTS = "goemo.arguments"
"""Key in a context's `meta`: the arguments as they were typed."""


class SharedOption(click.Option):
    """An option that help shows under a heading."""

    def __init__(self, *args: Any, heading: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self.heading = heading


class OutputFile(click.Path):
    """A file to write, `-` for standard output; its directory is there before work begins, or is
    one that another option names to write to."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False, readable=False, allow_dash=True)


class OutputDirectory(click.Path):
    """A directory to write to, made where it is missing."""


class Command(click.Command):
    """A command whose help lists shared options under headings of their own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse null characters, which no path or name has, and options with an empty value, as
        an unset variable gives: it would mean this directory."""
        if any("\0" in word for word in args):
            raise click.UsageError("An argument holds a null character: leave it out", ctx)
        options = {
            name: one for one in self.params if isinstance(one, click.Option) for name in one.opts
        }
        words = []
        for word, following in pairwise([*args, "-"]):
            name, given, inline = word.partition("=")
            one = options.get(name)
            if one and not one.is_flag and (inline if given else following) == "":
                raise click.UsageError(f"{name} is empty: give a value, or leave it out", ctx)
            alone = one.flag_value if one and not given else None
            if one and isinstance(alone, str) and following not in getattr(one.type, "choices", ()):
                word = f"{word}={alone}"  # what follows an option that may stand alone may be a RUN
            words.append(word)
        rest = super().parse_args(ctx, words)
        self._check_folders(ctx)
        return rest

    def _check_folders(self, ctx: click.Context) -> None:
        """Refuse files in a folder that is neither there nor made by another option.

        A mistyped path would become a tree of folders.
        """
        made = {
            os.path.realpath(ctx.params[one.name or ""])
            for one in self.params
            if isinstance(one.type, OutputDirectory) and ctx.params.get(one.name or "")
        }
        for one in self.params:
            path = ctx.params.get(one.name or "")
            if not isinstance(one.type, OutputFile) or path is None or path.parent.is_dir():
                continue
            if os.path.realpath(path.parent) not in made:
                what = f"there is no directory {path.parent} for {path.name}"
                raise click.BadParameter(what, ctx, one)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, then the shared ones."""
        blocks: dict[str, list[tuple[str, str]]] = {"Options": []}
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx)
            if record is not None and isinstance(one, click.Option):
                blocks.setdefault(getattr(one, "heading", "Options"), []).append(record)
        for title, records in blocks.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


_ELSEWHERE = {"help": "--help", "version": "--version", "list": "runs", "ls": "runs"}
"""Words that are commands of other programs."""


class LazyGroup(click.Group):
    """Commands are the modules beside this one; each is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of all commands, in the order of their modules' `ORDER`."""
        modules = Path(__file__).parent.glob("[a-z]*.py")
        names = (path.stem.replace("_", "-") for path in modules)
        return sorted(names, key=lambda name: (self._module(name).ORDER, name))

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """The command of that name, None where there is none."""
        stem = cmd_name.replace("-", "_")
        known = stem.isidentifier() and not stem.startswith("_")
        if not known or not Path(__file__).with_name(f"{stem}.py").is_file():
            return None
        command: click.Command = self._module(cmd_name).command
        return command

    @staticmethod
    def _module(name: str) -> Any:
        return importlib.import_module(f"goemo_report.cli.{name.replace('-', '_')}")

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep what was typed: reports carry the command that made them."""
        ctx.meta[ARGUMENTS] = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.NoSuchOption as error:
            ctx.exit(report_usage(error, ctx, "Options of a command go after it"))
        except click.UsageError as error:
            ctx.exit(report_usage(error, ctx))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; every error becomes one line and an exit code."""
        try:
            try:
                with command_line():
                    return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # a full disk or a closed pipe is met here, not at exit
        except click.UsageError as error:
            ctx.exit(report_usage(error, ctx))
        except ArgumentError as error:
            ctx.exit(report_usage(click.UsageError(error.what), ctx, error.remedy))
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - nothing gets past here
            ctx.exit(report(error, debug=DEBUG in ctx.meta))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a wrong name gets the one that was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if getattr(error, "possibilities", None):
                raise
            from difflib import get_close_matches

            alike = get_close_matches(args[0], self.list_commands(ctx), n=1)
            for meant in filter(None, (_ELSEWHERE.get(args[0]), *alike)):
                raise click.UsageError(f"{error.message} Did you mean {meant!r}?", ctx) from error
            raise


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Exit codes: 0 done, 1 an error, 2 wrong usage, 3 a check found something.
Shell completion: eval "$(_GOEMO_REPORT_COMPLETE=bash_source goemo-report)"
(zsh_source and fish_source for those shells)
""",
)
@click.version_option(__version__, prog_name="goemo-report", message="%(prog)s %(version)s")
@debug_option
def goemo_report() -> None:
    """Honest reports from the W&B runs of multi-label emotion classification.

    Runs come from W&B or, with --wandb-dir, from offline run logs on disk, read in place.
    Numbers are recomputed from the runs' predictions.
    """
