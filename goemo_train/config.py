"""Settings of a training run, and the recipes of models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from goemo_report.contract import DATASET_NAME, PROJECT
from goemo_report.errors import SettingsError

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
HUB_NAME = "google-research-datasets/go_emotions"
MADE = ("demo", "tiny-bert", "tiny-roberta")  # on the spot, whatever lies in the directory

Phase = Literal["training", "evaluation", "ablation"]
Status = Literal["baseline", "experimental", "final"]
Precision = Literal["auto", "fp32", "bf16"]
Pooling = Literal["default", "mean", "auto"]
Updates = Literal["auto", "batch", "all"]
LossName = Literal["bce", "weighted-bce", "focal", "asymmetric"]
Compile = Literal["auto", "on", "off"]
BiasStart = Literal["zero", "log-odds"]
Mode = Literal["online", "offline", "disabled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What a run does; logged with the run and kept beside its checkpoints."""

    model: Annotated[str, "hub name, directory, tiny-bert or tiny-roberta"] = DEFAULT_MODEL
    model_name: Annotated[
        str, "name in run and artifacts (default: last part of --model, or what its config says)"
    ] = ""
    dataset: Annotated[str, "go_emotions (hub), directory of TSV files, or demo"] = DATASET_NAME
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
    label_smoothing: Annotated[float, "targets are 1 - N/2 and N/2", (0, 0.9)] = 0.0
    layer_decay: Annotated[
        float, "learning rate times N for each layer below the head", (0.1, 1)
    ] = 1.0
    weight_decay: Annotated[float, "decoupled weight decay", (0, 10)] = 0.01
    max_grad_norm: Annotated[float, "gradients are clipped to this norm", (1e-9, 1e9)] = 1.0
    random_seed: Annotated[int, "seed of every random choice", (0, 2**32 - 1)] = 42
    pooling: Annotated[Pooling, "the model's own, or mean of tokens (auto: if a BERT)"] = "default"
    bias_start: Annotated[BiasStart, "output bias at the start: 0 or label log-odds"] = "zero"
    embedding_updates: Annotated[Updates, "word embeddings of the batch, or all"] = "auto"
    threshold: Annotated[float, "a label is predicted from this probability on", (0, 1)] = 0.5
    precision: Annotated[
        Precision, "of training (auto: accelerate's, else bf16 where a GPU has it)"
    ] = "auto"
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
    resume: Annotated[str, "continue the run with this id below --output"] = ""

    @property
    def tags(self) -> tuple[str, ...]:
        """The guide's three tags, model type, phase and status, then the user's."""
        return tuple(dict.fromkeys((self.model_name, self.phase, self.status, *self.tag)))

    def hyperparameters(self) -> dict[str, Any]:
        """The fields that decide the result, for the artifact's metadata."""
        return {k: v for k, v in asdict(self).items() if k not in NOT_HYPERPARAMETERS}


NOT_HYPERPARAMETERS = {
    *("model_name", "phase", "status", "tag", "wandb_mode", "entity", "project"),
    *("output", "resume", "checkpoint_every", "keep_checkpoints"),
}
KEPT_ON_RESUME = frozenset(
    {
        *("wandb_mode", "entity", "project", "output", "resume"),
        *("checkpoint_every", "keep_checkpoints", "micro_batch_size", "auto_batch_size"),
    }
)
"""Options that may be given with --resume; all others come from the run itself."""

# Recipes by the model's short name, first match wins. MiniLM and the tiny models were
# measured on two CPU cores; the others are the usual published fine-tuning settings.
PRESETS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("tiny-*", {"learning_rate": 3e-3, "batch_size": 32, "num_epochs": 8,
                "bias_start": "log-odds"}),
    ("*minilm*", {"learning_rate": 3e-4, "batch_size": 32, "num_epochs": 3, "pooling": "auto",
                  "bias_start": "log-odds"}),
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


def check(config: TrainConfig) -> None:
    """Refuse values that cannot train, naming the option and the range."""
    check_ranges({item.name: getattr(config, item.name) for item in fields(config)})
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", config.model_name):
        raise SettingsError(
            f"--model-name is {config.model_name!r}",
            "Use at most 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    for tag in config.tags:
        if not 1 <= len(tag) <= 64:
            raise SettingsError(f"the tag {tag[:70]!r} has {len(tag)} characters", "W&B takes 1-64")


def check_ranges(values: Mapping[str, Any]) -> None:
    """Refuse a number outside its range."""
    hints = get_type_hints(TrainConfig, include_extras=True)
    for name, value in values.items():
        for low, high in get_args(hints[name])[2:]:
            if not low <= value <= high:  # NaN fails too
                flag = "--" + name.replace("_", "-")
                raise SettingsError(f"{flag} is {value}", f"Give a value from {low} to {high}")


def check_model(name: str) -> None:
    """Refuse what can be no model, before data are read."""
    unknown = name.startswith("tiny-") and name not in MADE
    if (unknown or name.startswith(("/", "."))) and not Path(name).is_dir():
        raise SettingsError(
            f"--model {name}: there is no such model or directory",
            f"Give a hub name, a directory, {' or '.join(MADE[1:])}",
        )
