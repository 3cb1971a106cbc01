"""The group of commands: found by file, loaded when needed, errors mapped in one place."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from goemo_report import __version__
from goemo_report.cli import _errors
from goemo_report.errors import ArgumentError, command_line

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
        """Refuse null characters, which no path or name has, and options with an empty value.

        An unset variable would mean this directory.
        """
        if any("\0" in word for word in args):
            raise click.UsageError("An argument holds a null character: leave it out", ctx)
        takes = {
            name
            for one in self.params
            if isinstance(one, click.Option) and not one.is_flag
            for name in one.opts
        }
        for option, value in pairwise([*args, "-"]):
            name, given, inline = option.partition("=")
            if name in takes and (inline if given else value) == "":
                raise click.UsageError(f"{name} is empty: give a value, or leave it out", ctx)
        rest = super().parse_args(ctx, list(self._with_values(args)))
        self._check_folders(ctx)
        return rest

    def _with_values(self, args: list[str]) -> Iterator[str]:
        """The arguments, an option that may stand alone with its value: what follows it may be
        a RUN."""
        alone = {
            name: one
            for one in self.params
            if isinstance(one, click.Option) and isinstance(one.flag_value, str)
            for name in one.opts
        }
        for word, following in pairwise([*args, ""]):
            one = alone.get(word)
            lacks = one is not None and following not in getattr(one.type, "choices", ())
            yield f"{word}={one.flag_value}" if one and lacks else word

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


def report_command(short_help: str, *examples: str) -> Callable[[Callable[..., Any]], Command]:
    """A command of `goemo-report`, with examples at the end of its help."""
    shown = "".join(f"  {example}\n" for example in examples)
    return click.command(cls=Command, short_help=short_help, epilog=f"\b\nExamples:\n{shown}")


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
            ctx.exit(_errors.report_usage(error, ctx, "Options of a command go after it"))
        except click.UsageError as error:
            ctx.exit(_errors.report_usage(error, ctx))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; every error becomes one line and an exit code."""
        try:
            try:
                with command_line():
                    return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # a full disk or a closed pipe is met here, not at exit
        except click.UsageError as error:
            ctx.exit(_errors.report_usage(error, ctx))
        except ArgumentError as error:
            ctx.exit(_errors.report_usage(click.UsageError(error.what), ctx, error.remedy))
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - nothing gets past here
            ctx.exit(_errors.report(error, debug=_errors.DEBUG in ctx.meta))

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
@_errors.debug_option
def goemo_report() -> None:
    """Honest reports from the W&B runs of multi-label emotion classification.

    Runs come from W&B or, with --wandb-dir, from offline run logs on disk, read in place.
    Numbers are recomputed from the runs' predictions.
    """
