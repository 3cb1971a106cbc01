"""The command line and the TOML file: flag > TOML file > preset of the model > default.

Every field of `TrainConfig` is one option of the command line and one key of the TOML
file. Nothing here imports torch, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from goemo_report.contract import DATASET_NAME, PROJECT
from goemo_report.errors import SettingsError
from goemo_train.config import (
    DEFAULT_MODEL,
    IN_RECIPES,
    MADE,
    NOT_HYPERPARAMETERS,
    Mode,
    TrainConfig,
    check,
    check_ranges,
    preset,
    short_name,
)


def read_toml(path: Path) -> dict[str, Any]:
    """Settings of a TOML file; keys are the option names, with `-` or `_`."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}", "Check --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}", "Correct the file") from error
    for name in (key for key, value in table.items() if isinstance(value, dict)):
        raise SettingsError(f"{path} has a table [{name}]", "All keys stand at the top level")
    if "resume" in table:
        raise SettingsError(f"{path} names a run to resume", "Give --resume on the command line")
    tags = table.pop("tag", [])
    settings = [*table.items(), *(("tag", t) for t in (tags if isinstance(tags, list) else [tags]))]
    try:
        given = build_parser(series=False).parse_args(
            normalise(f"--{key}={value}" for key, value in settings)
        )
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.what}", error.remedy) from error
    _check_empty(vars(given))
    return vars(given)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        """One line, as all errors."""
        if unknown := re.search(r"unrecognized arguments: (--[\w-]+)", message):
            typed, known = unknown[1], self._option_string_actions
            close = [name for name in known if name.endswith(typed[1:])]  # --seed: --random-seed
            close += difflib.get_close_matches(typed, known, 1)
            hint = f"Did you mean {close[0]}?" if close else "See --help"
            raise SettingsError(f"there is no option {typed}", hint)
        raise SettingsError(message, "See --help")


def _boolean(text: str) -> bool:
    values = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is not true or false")
    return values[text.lower()]


def build_parser(*, series: bool = True) -> argparse.ArgumentParser:
    """The command line: one option a field, then those that say which runs to make."""
    parser = _Parser(
        prog="goemo-train",
        description="Fine-tune an encoder on GoEmotions and track the run in Weights & Biases.",
        epilog="Underscores work as well as dashes: --learning_rate=2e-5, as W&B sweeps write.",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    hints = get_type_hints(TrainConfig, include_extras=True)
    for item in fields(TrainConfig):
        hint, meaning, *_ = get_args(hints[item.name])
        flag = "--" + item.name.replace("_", "-")
        choices = [c for p in (hint, *get_args(hint)) for c in get_args(p) if isinstance(c, str)]
        if item.default not in (None, "", (), False):
            recipe = ", or the model's recipe" if item.name in IN_RECIPES else ""
            meaning += f" (default: {item.default}{recipe})"
        if hint is bool:
            parser.add_argument(flag, type=_boolean, nargs="?", const=True, help=meaning,
                                metavar="BOOL")  # fmt: skip
        elif get_origin(hint) is tuple:
            parser.add_argument(flag, action="append", help=meaning, metavar="TEXT")
        elif choices:
            parser.add_argument(flag, choices=choices, help=meaning)
        else:
            parser.add_argument(flag, type=hint, help=meaning, metavar=hint.__name__.upper())
    if not series:
        return parser
    parser.add_argument("--seeds", metavar="A,B,C", help="one run for each seed")
    parser.add_argument("--ablate", action="append", metavar="OPTION=A,B,C",
                        help="one run for each value of an option; may be given again")  # fmt: skip
    parser.add_argument("--config", metavar="FILE.toml", help="read settings from this file")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def normalise(arguments: Iterable[str]) -> list[str]:
    """Options with underscores become options with dashes; values stay as they are."""
    return [re.sub("^--[^=]+", lambda name: name[0].replace("_", "-"), a) for a in arguments]


def settle(
    flags: dict[str, Any], environment: MutableMapping[str, str] | None = None
) -> TrainConfig:
    """The settings of a run from its flags; `config` names a TOML file.

    An empty mode or run id in the environment is taken out of it: wandb would refuse it.

    Raises:
        SettingsError: a value cannot be used.

    """
    environment = os.environ if environment is None else environment
    for name in ("WANDB_MODE", "WANDB_RUN_ID"):
        if environment.get(name) == "":
            del environment[name]
    mode = environment.get("WANDB_MODE")
    mode = {"dryrun": "offline", "run": "online"}.get(mode or "", mode)
    if mode not in (None, *get_args(Mode)):
        raise SettingsError(f"WANDB_MODE is {mode}", f"Give one of {', '.join(get_args(Mode))}")
    toml = flags.get("config")
    given: dict[str, Any] = {
        "model": DEFAULT_MODEL,
        "dataset": DATASET_NAME,
        "output": "runs",
        "tag": (),
    }
    given |= {**(read_toml(_expanded(toml)) if toml else {}), **flags}
    given.pop("config", None)
    given |= {"tag": tuple(given["tag"]), "output": str(_expanded(given["output"]))}
    for name in ("model", "dataset"):  # so that the run resumes from any directory
        if given[name] not in MADE and (path := _expanded(given[name])).is_dir():
            given[name] = str(path.absolute())
    if not given.get("resume"):  # a resumed run has its own
        given["wandb_mode"] = given.get("wandb_mode") or mode
        given["project"] = given.get("project") or environment.get("WANDB_PROJECT") or PROJECT
        given["entity"] = given.get("entity") or environment.get("WANDB_ENTITY", "")
    found = short_name(given["model"])
    name = given["model_name"] = given.get("model_name") or found
    config = TrainConfig(**{**(preset(name) or preset(found)), **given})
    check(config)
    return config


def _expanded(path: str) -> Path:
    return Path(os.path.expanduser(path))  # noqa: PTH111 - it leaves the ~ of an unknown user


def parse(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The flags that were given, and only those: one mapping a run.

    `--seeds` and `--ablate` make a series: every seed with every value. A run of an ablation
    is tagged with what it changes, and its phase is ablation unless another is given.

    Raises:
        SettingsError: an option is unknown or its value of the wrong kind.

    """
    flags = vars(build_parser().parse_args(normalise(arguments)))
    _check_empty(flags)
    seeds, ablated = flags.pop("seeds", None), flags.pop("ablate", ())
    ways = [] if seeds is None else [_way(f"--seeds {seeds}", "random-seed", seeds)]
    ways += [_way(f"--ablate {text}", *text.partition("=")[::2]) for text in ablated]
    if ablated:
        flags = {"phase": "ablation", **flags}
    varied = [way[0].partition("=")[0].removeprefix("--").replace("-", "_") for way in ways]
    for name in varied:
        option = "--" + name.replace("_", "-")
        if name in NOT_HYPERPARAMETERS:
            raise SettingsError(f"{option} changes no result", "Ablate a setting of the method")
        if varied.count(name) > 1 or name in flags:
            raise SettingsError(
                f"{option} is given more than once", "Give it once, or vary it once"
            )
    series = []
    for extra in product(*ways):
        changed = vars(build_parser(series=False).parse_args(extra))
        tags = [e.removeprefix("--") for e in extra if "random-seed" not in e]
        if tags:
            changed["tag"] = [*flags.get("tag", ()), *tags]
        series.append({**flags, **changed})
    return series


def _check_empty(flags: Mapping[str, Any]) -> None:
    for name, value in flags.items():
        if value == "":
            option = "--" + name.replace("_", "-")
            raise SettingsError(f"{option} is empty", "Give a value, or leave it out")


def _way(typed: str, name: str, values: str) -> list[str]:
    """An option with each of its values; errors say what was typed."""
    parts = [value.strip() for value in values.split(",") if value.strip()]
    if not parts:
        raise SettingsError(f"{typed} names no values", "List them with commas: A,B,C")
    if len(set(parts)) < len(parts):
        raise SettingsError(f"{typed} names a value twice", "Name each value once")
    way = [f"--{name.replace('_', '-')}={value}" for value in parts]
    try:
        for option in way:
            check_ranges(vars(build_parser(series=False).parse_args([option])))
    except SettingsError as error:
        raise SettingsError(f"{typed}: {error.what}", error.remedy) from error
    return way
