"""Options that commands share, each declared once."""

from __future__ import annotations

import functools
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from goemo_report.cli._errors import debug_option
from goemo_report.contract import RUN_FIELDS, RUN_STATES, SPLITS
from goemo_report.errors import GoemoError
from goemo_report.settings import read_project_file

_Command = TypeVar("_Command", bound=Callable[..., Any])

_TRACKER_OPTION = click.option(
    "--source",
    metavar="NAME[:PLACE]",
    help="Read runs of wandb, offline:DIR, mlflow:PLACE (a tracking directory, an mlflow.db or a "
    "server) or trackio:DIR.",
)
_SOURCE_OPTIONS = (
    click.option("--entity", metavar="NAME", help="W&B user or team.  [env: WANDB_ENTITY]"),
    click.option("--project", metavar="NAME", help="W&B project.  [env: WANDB_PROJECT]"),
    click.option(
        "--wandb-dir",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="Read the offline runs below DIR instead of W&B.  [env: WANDB_MODE=offline]",
    ),
)
FILTERS: dict[str, tuple[str, str, str, Any]] = {
    "tag": ("--tag", "TAG", "Runs with this tag; all, if repeated.", str),
    "any_tag": ("--any-tag", "TAG", "Runs with one of these tags.", str),
    "not_tag": ("--not-tag", "TAG", "Runs without this tag.", str),
    "state": ("--state", "STATE", f"Runs in this state: {', '.join(RUN_STATES)}.",
              click.Choice(RUN_STATES)),
    "model": ("--model", "NAME", "Runs of this model, by its name or its name after the last /.",
              str),
    "sweep": ("--sweep", "ID", "Runs of this sweep.", str),
    "group": ("--group", "NAME", "Runs of this group.", str),
    "where": ("--where", "EXPRESSION", ("Runs for which this holds, as 'config.learning_rate > "
              "1e-5'; all, if repeated. Keys: config.KEY, summary.KEY, "
              f"{', '.join(RUN_FIELDS)}; operators: == != < <= > >= in ~ (regular expression)."),
              str),
    "sort": ("--sort", "KEY", "By a key of --where, smallest first; -KEY: largest first.", str),
    "limit": ("--limit", "N", "The first N runs of --sort, without it the newest N.",
              click.IntRange(min=1)),
}  # fmt: skip
"""Option, placeholder, help and type of what chooses runs, by the name of `runs`'s argument."""


def _filter_options(meanings: Mapping[str, str]) -> tuple[Callable[[_Command], _Command], ...]:
    return tuple(
        click.option(
            *(option, name),
            metavar=metavar,
            multiple=name not in {"sort", "limit"},
            type=kind,
            help=meanings.get(name, meaning),
        )
        for name, (option, metavar, meaning, kind) in FILTERS.items()
    )


_HEADINGS = {
    "Where runs come from": ("entity", "project", "wandb_dir", "source"),
    "Which runs": tuple(FILTERS),
}


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
            name: (str(one.flag_value), one.type.choices)
            for one in self.params
            if isinstance(one, click.Option)
            and not one.is_flag
            and isinstance(one.flag_value, str)
            and isinstance(one.type, click.Choice)
            for name in one.opts
        }
        for word, following in pairwise([*args, ""]):
            value, choices = alone.get(word, ("", ()))
            yield f"{word}={value}" if value and following not in choices else word

    def _check_folders(self, ctx: click.Context) -> None:
        """Refuse files in a folder that is neither there nor made by another option.

        A mistyped path would become a tree of folders.
        """
        made = {
            Path(ctx.params[one.name or ""]).resolve()
            for one in self.params
            if isinstance(one.type, OutputDirectory) and ctx.params.get(one.name or "")
        }
        for one in self.params:
            path = ctx.params.get(one.name or "")
            if not isinstance(one.type, OutputFile) or path is None or path.parent.is_dir():
                continue
            if path.parent.resolve() not in made:
                what = f"there is no directory {path.parent} for {path.name}"
                raise click.BadParameter(what, ctx, one)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, then the shared ones."""
        headed = {name: title for title, names in _HEADINGS.items() for name in names}
        blocks: dict[str, list[tuple[str, str]]] = {"Options": [], **{t: [] for t in _HEADINGS}}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                name = parameter.name or ""
                own = name in FILTERS and parameter.help != FILTERS[name][2]
                blocks["Options" if own else headed.get(name, "Options")].append(record)
        for title, records in blocks.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def report_command(short_help: str, *examples: str) -> Callable[[Callable[..., Any]], Command]:
    """A command of `goemo-report`, with examples at the end of its help."""
    shown = "".join(f"  {example}\n" for example in examples)
    return click.command(cls=Command, short_help=short_help, epilog=f"\b\nExamples:\n{shown}")


_OPTIONAL: Final = ("val", "predictions", "alias")
"""What only some commands ask for beside the source."""


def validation_option(command: _Command) -> _Command:
    """`--val`, which goes with what a command asks for."""
    return click.option(
        "--val",
        metavar="[NAME=]FILE",
        multiple=True,
        help="Validation predictions of the run that is the file NAME; repeatable.",
    )(command)


def artifact_options(command: _Command) -> _Command:
    """`--predictions` and `--alias`, which go with what a command asks for."""
    wrapped = click.option(
        "--alias",
        metavar="NAME",
        help="Of predictions logged several times, the version with this alias, as best.  "
        "[default: the newest]",
    )(command)
    return click.option(
        "--predictions",
        metavar="ARTIFACT[:ALIAS][/FILE]",
        multiple=True,
        help="The artifact that holds the predictions, where it has another name than the guide's, "
        "without the run's id at its end or with *; val=ARTIFACT for validation.",
    )(wrapped)


def asks(
    *, filters: bool, trackers: bool = True, meanings: Mapping[str, str] = {}
) -> Callable[[_Command], _Command]:
    """Options of a command that reads runs, given to it as `asked`: arguments of `runs`, or of
    `run` without the filters. `trackers`: whether runs may come from other trackers than W&B;
    `meanings`: help texts of filters that mean more in this command.

    Options that were not typed take their value from `[tool.goemo]` where it has one.
    """
    place = ("entity", "project", "wandb_dir", *(("source",) if trackers else ()))
    names = (*place, *(FILTERS if filters else ()), *_OPTIONAL)

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def settled(**values: Any) -> Any:
            asked = {
                name: values.pop(name)
                for name in (*names, "val", "predictions", "alias")
                if name in values
            }
            file = read_project_file(Path.cwd()).values
            values |= _from_file(click.get_current_context(), file, values)
            try:
                return command(asked=asked, **values)
            except GoemoError as error:
                for name, option in (("wandb_dir", "--wandb-dir"), ("source", "--source")):
                    if asked.get(name) is not None:
                        error.remedy = _with_option(error.remedy, option, str(asked[name]))
                raise

        tracker = (_TRACKER_OPTION,) if trackers else ()
        options = (*_SOURCE_OPTIONS, *tracker, *(_filter_options(meanings) if filters else ()))
        wrapped: Any = debug_option(settled)
        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped  # type: ignore[no-any-return] # click's decorators keep the function

    return decorate


_COLUMN_OPTIONS = {
    "true": ("COL", "Column of the true labels in files; COL_{label} for one of 0 and 1 a label."),
    "pred": ("COL", "Column of the predicted labels, likewise."),
    "prob": ("PATTERN", "Columns of the probabilities, as prob_{label}, or one column of lists."),
}


def label_options(*, rolls_up: bool) -> Callable[[_Command], _Command]:
    """`--labels`, the columns of files and, if asked, `--map-to`, given as `labels`: arguments of
    the API."""

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def chosen(labels: str | None, map_to: str | None = None, **values: Any) -> Any:
            from goemo_report.api.arguments import chosen_labels

            columns = {name: values.pop(name) for name in _COLUMN_OPTIONS}
            found = {"labels": chosen_labels(labels, map_to, **columns)}
            return command(labels=found, **values)

        wrapped: Any = chosen
        for name, (metavar, meaning) in reversed(_COLUMN_OPTIONS.items()):
            wrapped = click.option(f"--{name}", metavar=metavar, help=meaning)(wrapped)
        if rolls_up:
            wrapped = click.option(
                "--map-to",
                metavar="GROUPING",
                help="Roll labels up first: ekman, sentiment, or one of [tool.goemo.groups].",
            )(wrapped)
        return click.option(  # type: ignore[no-any-return] # click's decorators keep the function
            "--labels",
            metavar="SET",
            help="The labels that files must have: goemotions, ekman, sentiment, or a file of "
            "names, one a line.",
        )(wrapped)

    return decorate


def _with_option(remedy: str, option: str, value: str) -> str:
    """A remedy whose command lines read the source that was read."""
    return re.sub(
        r"`(goemo-report (?:runs|show|compare|audit)\b[^`]*)`",
        lambda found: (
            found[0] if option in found[1] else f"`{found[1]} {option} {shlex.quote(value)}`"
        ),
        remedy,
    )


def _from_file(
    ctx: click.Context, file: Mapping[str, Any], values: dict[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in file.items():
        option = name.replace("-", "_")
        if option in values and ctx.get_parameter_source(option) is ParameterSource.DEFAULT:
            if option == "reports":
                found[option] = Path(value)
            else:
                found[option] = tuple(value) if isinstance(value, list) else value
    return found


def format_option(*choices: str) -> Callable[[_Command], _Command]:
    """`--format` for a command that prints one document; the first choice is the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="What to print.",
    )


def split_option(meaning: str) -> Callable[[_Command], _Command]:
    """`--split`, test where it is not given."""
    return click.option(
        "--split", type=click.Choice(SPLITS), default="test", show_default=True, help=meaning
    )


def prediction_options(command: _Command) -> _Command:
    """Options of a command that predicts with a checkpoint."""
    options = (
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            default=32,
            show_default=True,
            metavar="N",
            help="Texts at once.",
        ),
        click.option(
            "--device",
            metavar="NAME",
            default="auto",
            show_default=True,
            help="cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.",
        ),
        click.option(
            "--max-seq-length",
            type=click.IntRange(min=3),
            metavar="N",
            help="Cut texts after N tokens.  [default: as the run's config says]",
        ),
    )
    return functools.reduce(lambda wrapped, option: option(wrapped), options[::-1], command)


class OutputFile(click.Path):
    """A file to write, `-` for standard output; its directory is there before work begins, or is
    one that another option names to write to."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False, readable=False, allow_dash=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path; whether a directory can take it is known when all options are."""
        return Path(os.fsdecode(super().convert(value, param, ctx)))


class OutputDirectory(click.Path):
    """A directory to write to, made where it is missing."""


def file_option(*names: str, meaning: str, **more: Any) -> Callable[[_Command], _Command]:
    """An option that names a file to write."""
    return click.option(*names, metavar="FILE", type=OutputFile(), help=meaning, **more)


output_option = file_option(
    "--output", "-o", default="-", meaning="Write to FILE instead of standard output."
)
"""`--output`, for a command that prints one document."""

open_option = click.option(
    "--open", "open_report", is_flag=True, help="Open the report when it is written."
)
"""`--open`, for a command that writes a report."""


def directory_option(
    *names: str,
    default: str,
    meaning: str,
    allow_dash: bool = False,
) -> Callable[[_Command], _Command]:
    """An option that names a directory to write to."""
    kind = OutputDirectory(path_type=Path, file_okay=False, allow_dash=allow_dash)
    return click.option(
        *names, metavar="DIR", type=kind, default=default, show_default=True, help=meaning
    )


def file_name(value: str) -> str:
    """A bare file name, of a file in a directory chosen elsewhere; usage error for a path."""
    if not re.fullmatch(r"[^/\\\x00-\x1f]{1,200}", value) or value.startswith("."):
        raise click.BadParameter(f"{value!r} is not a plain file name")
    return value
