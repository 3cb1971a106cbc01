"""The group of commands: found by file, loaded when needed, errors mapped in one place."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from goemo_report import __version__
from goemo_report.cli import _errors
from goemo_report.errors import ArgumentError, command_line

ARGUMENTS = "goemo.arguments"
"""Key in a context's `meta`: the arguments as they were typed."""


class LazyGroup(click.Group):
    """Commands are the modules beside this one; each is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Names of all commands, in the order of their modules' `ORDER`."""
        names = [
            path.stem.replace("_", "-")
            for path in Path(__file__).parent.glob("[a-z]*.py")
            if not path.stem.startswith("_")
        ]
        return sorted(names, key=lambda name: (self._module(name).ORDER, name))

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """The command of that name, None where there is none."""
        stem = cmd_name.replace("-", "_")
        if not stem.isidentifier() or stem.startswith("_"):
            return None
        if not Path(__file__).with_name(f"{stem}.py").is_file():
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
            ctx.exit(_errors.report_usage(click.UsageError(str(error)), ctx))
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - nothing gets past here
            ctx.exit(_errors.report(error, debug=_errors.wants_traceback(ctx)))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a wrong name gets the one that was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if getattr(error, "possibilities", None):
                raise
            meant = closest(args[0], self.list_commands(ctx))
            if meant:
                raise click.UsageError(f"{error.message} Did you mean {meant!r}?", ctx) from error
            raise


def closest(word: str, known: Sequence[str]) -> str | None:
    """The known word most like a mistyped one, None where none is like it."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, known, n=1)), None)


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
