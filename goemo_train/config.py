"""The settings of a run: one table, from the command line to W&B's config.

Every field of `TrainConfig` is one option of the command line and one key of the TOML file;
flag > TOML file > recipe of the model > default. Nothing here imports torch, so that `--help`
answers at once.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import Field, asdict, dataclass, fields
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import click
from click.core import ParameterSource

from goemo_report.contract import DATASET_NAME, PROJECT
from goemo_report.errors import SettingsError
from goemo_report.formats.files import user_path

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
REQUEUE = 75  # exit code of a run that was told to stop (EX_TEMPFAIL): the same command goes on
MADE = ("demo", "tiny-bert", "tiny-roberta")  # on the spot, whatever lies in the directory

Phase = Literal["training", "evaluation", "ablation"]
Status = Literal["baseline", "experimental", "final"]
Precision = Literal["auto", "fp32", "bf16"]
Pooling = Literal["default", "mean", "auto"]
Updates = Literal["auto", "batch", "all"]
LossName = Literal["bce", "balanced-bce", "weighted-bce"]
Compile = Literal["auto", "on", "off"]
Taxonomy = Literal["goemotions", "ekman", "sentiment"]
BiasStart = Literal["zero", "log-odds"]
HeadStart = Literal["random", "label-names"]
Mode = Literal["online", "offline", "disabled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What a run does; logged with the run and kept beside its checkpoints."""

    model: Annotated[str, "hub name, directory, tiny-bert or tiny-roberta"] = DEFAULT_MODEL
    model_name: Annotated[str, "name in run and artifacts (default: that of --model)"] = ""
    dataset: Annotated[str, "go_emotions or OWNER/NAME of the hub, directory, demo"] = DATASET_NAME
    text_column: Annotated[str, "column of the texts (default: text, or one like it)"] = ""
    label_column: Annotated[str, "column of the labels; A,B,C: one column a label"] = ""
    taxonomy: Annotated[Taxonomy | None, "map labels first (default: as they are)"] = None
    exclude_neutral: Annotated[bool, "27 labels; texts with neutral alone are dropped"] = False
    limit: Annotated[int, "use only the first N texts of each split (0: all)", (0, 10**9)] = 0
    learning_rate: Annotated[float, "peak learning rate", (1e-12, 10)] = 2e-5
    batch_size: Annotated[int, "texts per optimiser step, over all processes", (1, 65536)] = 16
    micro_batch_size: Annotated[int, "texts computed at once on a process (0: all)", (0, 65536)] = 0
    auto_batch_size: Annotated[bool, "find the largest micro batch that fits"] = False
    num_epochs: Annotated[int, "passes over the training split", (1, 10000)] = 4
    dropout: Annotated[float, "dropout probability where the model uses dropout", (0, 0.999)] = 0.1
    max_seq_length: Annotated[int, "texts are cut after so many tokens", (3, 131072)] = 128
    warmup_steps: Annotated[int, "steps of linear warm-up (-1: a tenth of all)", (-1, 10**9)] = -1
    loss: Annotated[LossName, "what is minimised"] = "bce"
    teacher: Annotated[tuple[str, ...], "learn what this checkpoint directory or prediction "
                       "file says of the training texts; of several, the mean"] = ()  # fmt: skip
    soft_labels: Annotated[bool, "learn the share of raters who chose a label, of ratings"] = False
    layer_decay: Annotated[float, "learning rate times N a layer below the head", (0.1, 1)] = 1.0
    weight_decay: Annotated[float, "decoupled weight decay", (0, 10)] = 0.01
    max_grad_norm: Annotated[float, "gradients are clipped to this norm", (1e-9, 1e9)] = 1.0
    random_seed: Annotated[int, "seed of every random choice", (0, 2**32 - 1)] = 42
    pooling: Annotated[Pooling, "the model's own, or mean of tokens (auto: if a BERT)"] = "default"
    bias_start: Annotated[BiasStart, "output bias at the start: 0 or label log-odds"] = "zero"
    head_start: Annotated[HeadStart, "output weights at the start: random, or the direction "
                          "of each label's name"] = "random"  # fmt: skip
    embedding_updates: Annotated[Updates, "word embeddings of the batch, or all"] = "auto"
    threshold: Annotated[float, "a label is predicted from this probability on", (0, 1)] = 0.5
    precision: Annotated[Precision, "of training (auto: as launched, or bf16 on GPU)"] = "auto"
    eval_precision: Annotated[Precision, "of evaluation and exported predictions"] = "fp32"
    compile: Annotated[Compile, "torch.compile of the encoder's layers (auto: on GPU)"] = "auto"
    patience: Annotated[int, "stop after N epochs without a better one (0: no)", (0, 10**9)] = 0
    checkpoint_every: Annotated[int, "save every N steps as well (0: no)", (0, 10**9)] = 0
    keep_checkpoints: Annotated[int, "training states that are kept", (1, 10**6)] = 2
    phase: Annotated[Phase, "phase tag"] = "training"
    status: Annotated[Status, "status tag"] = "experimental"
    tag: Annotated[tuple[str, ...], "one more tag; may be given again"] = ()
    wandb_mode: Annotated[Mode | None, "default: WANDB_MODE, else online"] = None
    entity: Annotated[str, "W&B entity (default: WANDB_ENTITY, else your own)"] = ""
    project: Annotated[str, f"W&B project (default: WANDB_PROJECT, else {PROJECT})"] = ""
    output: Annotated[str, "directory of run logs, staged artifacts and results"] = "runs"
    resume: Annotated[str, "continue the run of this id; auto: the unfinished one, or begin"] = ""

    @property
    def tags(self) -> tuple[str, ...]:
        """The guide's three tags, model type, phase and status, then the user's."""
        return tuple(dict.fromkeys((self.model_name, self.phase, self.status, *self.tag)))

    def hyperparameters(self) -> dict[str, Any]:
        """The fields that decide the result, for the artifact's metadata."""
        return {k: v for k, v in asdict(self).items() if k not in NOT_HYPERPARAMETERS}


_PLACES = {"wandb_mode", "entity", "project", "output", "resume"}
_STATES = {"checkpoint_every", "keep_checkpoints"}
NOT_HYPERPARAMETERS = {"model_name", "phase", "status", "tag"} | _PLACES | _STATES
KEPT_ON_RESUME = {"micro_batch_size", "auto_batch_size"} | _PLACES | _STATES
"""Options that may be given with --resume; all others come from the run itself."""

# Recipes by the model's short name, first match wins. MiniLM and the tiny models were
# measured on two CPU cores; the others are the usual published fine-tuning settings.
PRESETS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tiny-*", {"learning_rate": 3e-3, "batch_size": 32, "num_epochs": 8,
                "bias_start": "log-odds"}),
    ("*minilm*", {"learning_rate": 5e-4, "batch_size": 32, "num_epochs": 2, "pooling": "auto",
                  "bias_start": "log-odds", "head_start": "label-names",
                  "loss": "balanced-bce", "layer_decay": 0.75}),
    ("roberta-large*", {"learning_rate": 1e-5, "bias_start": "log-odds"}),
    ("roberta-base*", {"learning_rate": 3e-5, "bias_start": "log-odds"}),
    ("distilbert-*", {"learning_rate": 5e-5, "batch_size": 32, "bias_start": "log-odds"}),
    ("bert-base-*", {"learning_rate": 5e-5, "bias_start": "log-odds"}),
    ("deberta-v3-large*", {"learning_rate": 8e-6, "bias_start": "log-odds"}),
    ("deberta-v3-*", {"learning_rate": 2e-5, "bias_start": "log-odds"}),
    ("modernbert-*", {"learning_rate": 5e-5, "batch_size": 32, "bias_start": "log-odds",
                      "dropout": 0.0}),
)  # fmt: skip
IN_RECIPES = frozenset(key for _, recipe in PRESETS for key in recipe)

_UNTELLING = {"model", "checkpoint", "best", "final", "weights", "snapshot", "0_transformer"}


def short_name(model: str) -> str:
    """Short name of a model in W&B's artifact characters: last part of its hub name or path.

    A directory called `model` or the like is named by its own config's `_name_or_path`.
    """
    path = Path(model).resolve() if Path(model).is_dir() else Path(model)
    name = path.name
    if name.lower() in _UNTELLING and path.is_dir():
        try:
            origin = json.loads((path / "config.json").read_text("utf-8")).get("_name_or_path")
        except (OSError, ValueError):
            origin = None
        name = Path(origin or path.parent).name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"


def preset(name: str) -> dict[str, Any]:
    """The recipe for a model of this short name; empty where there is none."""
    return next((r for pattern, r in PRESETS if fnmatch(name.lower(), pattern)), {})


def check_model(name: str) -> None:
    """Refuse what can be no model, before data are read."""
    unknown = name.startswith("tiny-") and name not in MADE
    if (unknown or name.startswith(("/", "."))) and not Path(name).is_dir():
        raise SettingsError(
            f"--model {name}: there is no such model or directory",
            f"Give a hub name, a directory, {' or '.join(MADE[1:])}",
        )


# --- The command line and the TOML file ------------------------------------------------

_HINTS = get_type_hints(TrainConfig, include_extras=True)
REPEATED = {name for name, hint in _HINTS.items() if get_origin(get_args(hint)[0]) is tuple}
"""Settings that are lists, in TOML and on the command line: the option is given again."""


def flag(name: str) -> str:
    """The option of a field: `--learning-rate` of `learning_rate`."""
    return "--" + name.replace("_", "-")


def _option(item: Field[Any]) -> click.Option:
    hint, meaning, *ranges = get_args(_HINTS[item.name])
    choices = [c for p in (hint, *get_args(hint)) for c in get_args(p) if isinstance(c, str)]
    if item.default not in (None, "", (), False):
        recipe = ", or the model's recipe" if item.name in IN_RECIPES else ""
        meaning += f" (default: {item.default}{recipe})"

    def checked(_context: click.Context, _option: click.Parameter, value: Any) -> Any:
        for part in value if isinstance(value, tuple) else (value,):
            if part == "":
                raise SettingsError(f"{flag(item.name)} is empty", "Give a value, or leave it out")
            for low, high in ranges if part is not None else ():
                if not low <= part <= high:  # NaN fails too
                    remedy = f"Give a value from {low} to {high}"
                    raise SettingsError(f"{flag(item.name)} is {part}", remedy)
        return value

    more: dict[str, Any] = {"type": click.Choice(choices) if choices else hint}
    if hint is bool:  # `--exclude-neutral` and, as sweeps write, `--exclude-neutral=False`
        more = {"type": bool, "is_flag": False, "flag_value": True, "metavar": "[BOOL]"}
    elif get_origin(hint) is tuple:
        more = {"type": str, "multiple": True}
    return click.Option([flag(item.name)], help=meaning, callback=checked, **more)


def _command(*more: click.Option) -> click.Command:
    return click.Command(
        "goemo-train",
        params=[*map(_option, fields(TrainConfig)), *more],
        help="Fine-tune an encoder on GoEmotions and track the run in Weights & Biases.",
        epilog="Underscores work as well as dashes: --learning_rate=2e-5, as W&B sweeps write.",
        context_settings={
            "token_normalize_func": lambda name: name.replace("_", "-"),
            "help_option_names": ["-h", "--help"],
        },
    )


SETTINGS = _command()
COMMAND = _command(
    click.Option(["--seeds"], metavar="A,B,C", help="one run for each seed"),
    click.Option(["--ablate"], metavar="OPTION=A,B,C", multiple=True,
                 help="one run for each value of an option; may be given again"),
    click.Option(["--config"], metavar="FILE.toml", help="read settings from this file"),
    click.Option(["--debug"], is_flag=True, help="show tracebacks"),
)  # fmt: skip


def _given(arguments: Iterable[str], command: click.Command = SETTINGS) -> dict[str, Any]:
    """The options that are given, and only those."""
    try:
        with command.make_context("goemo-train", list(arguments)) as context:
            source = context.get_parameter_source
            names = [key for key in context.params if source(key) is ParameterSource.COMMANDLINE]
            return {key: context.params[key] for key in names}
    except click.UsageError as error:
        raise SettingsError(error.format_message(), "See --help") from error


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
    lists = {key: table.pop(key) for key in REPEATED & table.keys()}
    lists = {key: value if isinstance(value, list) else [value] for key, value in lists.items()}
    settings = [*table.items(), *((key, value) for key in lists for value in lists[key])]
    try:
        return _given(f"--{key}={value}" for key, value in settings)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.what}", error.remedy) from error


def settle(
    flags: Mapping[str, Any], environment: MutableMapping[str, str] | None = None
) -> TrainConfig:
    """The settings of a run from its flags.

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
    given = {"model": DEFAULT_MODEL, "dataset": DATASET_NAME, "output": "runs", **flags}
    given["output"] = str(user_path(given["output"]))
    teachers = given.get("teacher", ())
    given["teacher"] = tuple(str(user_path(path).absolute()) for path in teachers)
    for name in ("model", "dataset"):  # so that the run resumes from any directory
        if given[name] not in MADE and (path := user_path(given[name])).is_dir():
            given[name] = str(path.absolute())
    if given.get("resume", "auto") == "auto":  # a resumed run has its own
        given["wandb_mode"] = given.get("wandb_mode") or mode
        given["project"] = given.get("project") or environment.get("WANDB_PROJECT") or PROJECT
        given["entity"] = given.get("entity") or environment.get("WANDB_ENTITY", "")
    found = short_name(given["model"])
    name = given["model_name"] = given.get("model_name") or found
    config = TrainConfig(**{**(preset(name) or preset(found)), **given})
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise SettingsError(
            f"--model-name is {name!r}",
            "Use at most 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    for tag in config.tags:
        if not 1 <= len(tag) <= 64:
            raise SettingsError(f"the tag {tag[:70]!r} has {len(tag)} characters", "W&B takes 1-64")
    return config


def parse(arguments: Sequence[str]) -> list[dict[str, Any]]:
    """The settings that were given, those of the TOML file included: one mapping a run.

    `--seeds` and `--ablate` make a series: every seed with every value. A run of an ablation
    is tagged with what it changes, and its phase is ablation unless another is given.

    Raises:
        SettingsError: an option is unknown or its value of the wrong kind.

    """
    flags = _given(_spread(arguments), COMMAND)
    seeds, ablated = flags.pop("seeds", None), flags.pop("ablate", ())
    file = flags.pop("config", None)
    below = read_toml(user_path(file)) if file else {}
    ways = [] if seeds is None else [_option_values(f"--seeds {seeds}", "random-seed", seeds)]
    ways += [_option_values(f"--ablate {text}", *text.partition("=")[::2]) for text in ablated]
    if ablated:
        flags = {"phase": "ablation", **flags}
    varied = [next(iter(_given(way[:1]))) for way in ways]
    for name in varied:
        if name in NOT_HYPERPARAMETERS:
            raise SettingsError(f"{flag(name)} changes no result", "Ablate a setting of the method")
        if varied.count(name) > 1 or name in flags:
            raise SettingsError(
                f"{flag(name)} is given more than once", "Give it once, or vary it once"
            )
    series = []
    for extra in product(*ways):
        tags = [option.removeprefix("--") for option in extra if "random-seed" not in option]
        tagged = {"tag": (*flags.get("tag", below.get("tag", ())), *tags)} if tags else {}
        series.append({**below, **flags, **_given(extra), **tagged})
    return series


def _spread(arguments: Sequence[str]) -> Iterator[str]:
    """`--teacher A B` as `--teacher A --teacher B`."""
    option, values = "", 0
    for word in arguments:
        if word.startswith("-"):
            option, values = word, 0
        elif option == "--teacher":
            values += 1
            if values > 1:
                yield option
        yield word


def _option_values(typed: str, name: str, values: str) -> list[str]:
    """An option with each of its values; errors say what was typed."""
    parts = [value.strip() for value in values.split(",") if value.strip()]
    if not parts:
        raise SettingsError(f"{typed} names no values", "List them with commas: A,B,C")
    if len(set(parts)) < len(parts):
        raise SettingsError(f"{typed} names a value twice", "Name each value once")
    way = [f"{flag(name)}={value}" for value in parts]
    try:
        for option in way:
            _given([option])
    except SettingsError as error:
        raise SettingsError(f"{typed}: {error.what}", error.remedy) from error
    return way
