"""How commands are declared, and the arguments and options that they share, each declared once."""

from __future__ import annotations

import functools
import math
import operator
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from goemo_report.cli._group import Command, OutputDirectory, OutputFile, SharedOption, debug_option
from goemo_report.contract import RUN_FIELDS, RUN_STATES, SPLITS, Tuning
from goemo_report.errors import GoemoError
from goemo_report.settings import (
    GROUPING_NAMES,
    LABEL_SET_NAMES,
    NUMBERS,
    read_project_file,
    source_forms,
)

_Command = TypeVar("_Command", bound=Callable[..., Any])
Option = Callable[[_Command], _Command]

_PLACE: Final = functools.partial(
    click.option, cls=SharedOption, heading="Where runs come from", metavar="NAME"
)
_SOURCE_OPTIONS = (
    _PLACE("--entity", help="W&B user or team.  [env: WANDB_ENTITY]"),
    _PLACE("--project", help="W&B project.  [env: WANDB_PROJECT]"),
    _PLACE(
        "--wandb-dir",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="Read the offline runs below DIR instead of W&B.  [env: WANDB_MODE=offline]",
    ),
)
_TRACKER_OPTION = _PLACE(
    "--source",
    metavar="NAME[:PLACE]",
    help=f"Read runs of {source_forms(explained=True)}.",
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


def _filters(meanings: Mapping[str, str]) -> tuple[Option[Any], ...]:
    return tuple(
        click.option(
            *(option, name),
            cls=SharedOption,
            heading="Options" if name in meanings else "Which runs",
            metavar=metavar,
            multiple=name not in {"sort", "limit"},
            type=kind,
            help=meanings.get(name, meaning),
        )
        for name, (option, metavar, meaning, kind) in FILTERS.items()
    )


def each(*options: Option[Any]) -> Callable[[_Command], _Command]:
    """Several options as one decorator, in their order."""
    return lambda command: functools.reduce(
        lambda wrapped, option: option(wrapped), options[::-1], command
    )


def command(short_help: str, *examples: str) -> Callable[[Callable[..., Any]], Command]:
    """A command of `goemo-report`, with examples at the end of its help."""
    shown = "".join(f"  {example}\n" for example in examples)
    return click.command(cls=Command, short_help=short_help, epilog=f"\b\nExamples:\n{shown}")


# --- Which runs -----------------------------------------------------------------------------


def run(metavar: str = "RUN", **options: Any) -> Callable[[_Command], _Command]:
    """The argument that names a run, or several with `nargs=-1`."""
    name = "runs" if options.get("nargs") == -1 else "run"
    return click.argument(name, metavar=metavar, shell_complete=complete_runs, **options)


def complete_runs(ctx: click.Context, _: click.Parameter, typed: str) -> list[CompletionItem]:
    """Paths, and ids below the directory of offline runs, from file names alone, that may stand in
    a command line as they are; W&B is not asked."""
    from goemo_report.api.setup import offline_ids

    found = [CompletionItem(typed, type="file")]
    try:
        ids = offline_ids(ctx.params.get("wandb_dir"))
    except Exception:  # noqa: BLE001 - a completion that fails would print into the line typed
        return found
    fitting = (one for one in ids if one.startswith(typed) and re.fullmatch(r"[\w.-]+", one))
    return [*found, *map(CompletionItem, fitting)]


def source(
    *, filters: bool, trackers: bool = True, meanings: Mapping[str, str] = {}
) -> Callable[[_Command], _Command]:
    """Options of a command that reads runs, given to it as `asked`: arguments of `runs`, or of
    `run` without the filters. `trackers`: whether runs may come from other trackers than W&B;
    `meanings`: help texts of filters that mean more in this command.

    Options that were not typed take their value from `[tool.goemo]` where it has one.
    """
    place = ("entity", "project", "wandb_dir", *(("source",) if trackers else ()))
    names = (*place, *(FILTERS if filters else ()), "val", "predictions", "alias")

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def settled(**values: Any) -> Any:
            asked = {name: values.pop(name) for name in names if name in values}
            values |= _from_file(values)
            try:
                return command(asked=asked, **values)
            except GoemoError as error:
                for name, option in (("wandb_dir", "--wandb-dir"), ("source", "--source")):
                    if asked.get(name) is not None:
                        error.remedy = _with_option(error.remedy, option, str(asked[name]))
                raise

        tracker = (_TRACKER_OPTION,) if trackers else ()
        options = (*_SOURCE_OPTIONS, *tracker, *(_filters(meanings) if filters else ()))
        return each(*options)(debug_option(settled))  # type: ignore[return-value] # wrapped

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


_FROM_FILE: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "no-text": ("texts", operator.not_),
    "reports": ("reports", Path),
    "formats": ("formats", tuple),
    **{key: (key.replace("-", "_"), lambda value: value)
       for key in ("split", "baseline", "resamples", "seed", "max-errors")},
}  # fmt: skip
"""Keys of `[tool.goemo]` that are options of commands: the argument, and how it is made."""


def _from_file(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `[tool.goemo]` says of options that were not typed, by the names of their arguments."""
    file, typed = read_project_file(Path.cwd()), click.get_current_context()
    return {
        name: make(file[key])
        for key, (name, make) in _FROM_FILE.items()
        if key in file and name in values
        if typed.get_parameter_source(name) is ParameterSource.DEFAULT
    }


# --- Which predictions ----------------------------------------------------------------------

validation = click.option(
    "--val",
    metavar="[NAME=]FILE",
    multiple=True,
    help="Validation predictions of the run that is the file NAME; repeatable.",
)
"""`--val`, which goes with what a command asks for."""

artifact = each(
    click.option(
        "--predictions",
        metavar="ARTIFACT[:ALIAS][/FILE]",
        multiple=True,
        help="The artifact that holds the predictions, where it has another name than the guide's, "
        "without the run's id at its end or with *; val=ARTIFACT for validation.",
    ),
    click.option(
        "--alias",
        metavar="NAME",
        help="Of predictions logged several times, the version with this alias, as best.  "
        "[default: the newest]",
    ),
)
"""`--predictions` and `--alias`, which go with what a command asks for."""

_COLUMNS: Final = {
    "true": ("COL", "Column of the true labels in files; COL_{label} for one of 0 and 1 a label."),
    "pred": ("COL", "Column of the predicted labels, likewise."),
    "prob": ("PATTERN", "Columns of the probabilities, as prob_{label}, or one column of lists."),
}
_LABELS: Final = click.option(
    "--labels",
    metavar="SET",
    help=f"The labels that files must have: {', '.join(LABEL_SET_NAMES)}, or a file of names, one "
    "a line.",
)
_MAP_TO: Final = click.option(
    "--map-to",
    metavar="GROUPING",
    help=f"Roll labels up first: {', '.join(GROUPING_NAMES)}, or one of [tool.goemo.groups].",
)


def labels(*, rolls_up: bool) -> Callable[[_Command], _Command]:
    """`--labels`, the columns of files and, if asked, `--map-to`, all of it given as `labels`."""

    def decorate(command: _Command) -> _Command:
        @functools.wraps(command)
        def chosen(labels: str | None, map_to: str | None = None, **values: Any) -> Any:
            from goemo_report.api.arguments import chosen_labels

            columns = {name: values.pop(name) for name in _COLUMNS}
            return command(labels=chosen_labels(labels, map_to, **columns), **values)

        columns = (click.option(f"--{k}", metavar=m, help=h) for k, (m, h) in _COLUMNS.items())
        options = (_LABELS, *((_MAP_TO,) if rolls_up else ()), *columns)
        return each(*options)(chosen)  # type: ignore[return-value] # as the command, wrapped

    return decorate


def split(meaning: str) -> Callable[[_Command], _Command]:
    """`--split`, test where it is not given."""
    return click.option(
        "--split", type=click.Choice(SPLITS), default="test", show_default=True, help=meaning
    )


protocol = functools.partial(
    click.option,
    "--protocol",
    type=click.Choice(get_args(Tuning)),
    default="per-class",
    show_default=True,
)
"""`--protocol`: how thresholds are tuned."""


# --- Numbers and flags ----------------------------------------------------------------------


def number(
    name: str, meaning: str, default: float | None = None, *, metavar: str = "N", **more: Any
) -> Callable[[_Command], _Command]:
    """An option that takes a number within the bounds of its name."""
    bounds = NUMBERS[name.removeprefix("--").replace("-", "_")]
    kind: click.IntRange | click.FloatRange = click.IntRange(int(bounds.least))
    if bounds.real:
        most = None if bounds.most == math.inf else bounds.most
        kind = click.FloatRange(bounds.least, most, min_open=bounds.above)
    given = {"metavar": metavar, "show_default": default is not None, **more}
    return click.option(name, default=default, help=meaning, type=kind, **given)


def no(option: str, name: str, meaning: str) -> Callable[[_Command], _Command]:
    """A flag that makes `name`, which is true without it, false."""
    return click.option(option, name, flag_value=False, default=True, help=meaning)


predicting = each(
    number("--batch-size", "Texts at once.", 32),
    click.option(
        "--device",
        metavar="NAME",
        default="auto",
        show_default=True,
        help="cpu, cuda, cuda:1, mps; auto takes a GPU where there is one.",
    ),
    number("--max-seq-length", "Cut texts after N tokens.  [default: as the run's config says]"),
)
"""Options of a command that predicts with a checkpoint."""


# --- What is written ------------------------------------------------------------------------


def form(*choices: str) -> Callable[[_Command], _Command]:
    """`--format` for a command that prints one document; the first choice is the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="What to print.",
    )


def file(*names: str, meaning: str, **more: Any) -> Callable[[_Command], _Command]:
    """An option that names a file to write."""
    return click.option(*names, metavar="FILE", type=OutputFile(), help=meaning, **more)


def directory(
    *names: str, default: str, meaning: str, allow_dash: bool = False
) -> Callable[[_Command], _Command]:
    """An option that names a directory to write to."""
    kind = OutputDirectory(path_type=Path, file_okay=False, allow_dash=allow_dash)
    return click.option(
        *names, metavar="DIR", type=kind, default=default, show_default=True, help=meaning
    )


output = file("--output", "-o", default="-", meaning="Write to FILE instead of standard output.")
"""`--output`, for a command that prints one document."""

open_report = click.option(
    "--open", "open_report", is_flag=True, help="Open the report when it is written."
)
"""`--open`, for a command that writes a report."""
