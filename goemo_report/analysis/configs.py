"""Configs of runs: what differs, what is a seed or an environment, which runs share a recipe.

And the short labels of runs that follow: the model, and what tells runs of one model apart.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from goemo_report.formats.wording import plural
from goemo_report.sources.model import RunRecord

MEMBERS: Final = "ensemble"
"""Key of an ensemble's config that names the runs averaged."""
SEED_KEYS: Final = ("random_seed", "seed")
ENVIRONMENT_KEYS: Final = frozenset(
    {"gpu_type", "cuda_version", "pytorch_version", "transformers_version"}
    # transformers' Trainer logs where it writes, and what it was called
    | {"output_dir", "logging_dir", "run_name", "hub_model_id", "local_rank"}
)


_SECRET_KEY: Final = re.compile(
    r"((api|access|private|secret)[_-]?key|secret|passw(or)?d|passphrase|credentials?)$",
    re.IGNORECASE,
)
_TOKEN_KEY: Final = re.compile(r"token$", re.IGNORECASE)
_SECRET: Final = re.compile(
    r"\b(hf_[A-Za-z0-9]{20,}|wandb_v\d+_\w{20,}|gh[opsu]_\w{20,}|sk-[\w-]{20,})"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
)
_HIDDEN: Final = "[hidden]"


def flat_config(run: RunRecord) -> dict[str, Any]:
    """A run's config for readers, nested mappings joined by dots, W&B's own entries left out.

    Reports are published: what looks like a password or a key of a service is hidden.
    """
    return {key: without_secrets(key, value) for key, value in _flat(run).items()}


def _flat(run: RunRecord) -> dict[str, Any]:
    flat: dict[str, Any] = {}

    def add(prefix: str, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, Mapping) and value:
                add(f"{prefix}{key}.", value)
            else:
                flat[f"{prefix}{key}"] = value

    add("", {key: value for key, value in run.config.items() if not key.startswith("_wandb")})
    return flat


def hide_secrets(run: RunRecord) -> RunRecord:
    """A run for readers: what looks like a password or a key of a service is hidden."""
    config, summary = (without_secrets("", one) for one in (run.config, run.summary))
    return replace(run, config=config, summary=summary)


def without_secrets(key: str, value: Any) -> Any:
    """A config value for readers: passwords, and keys of services, are hidden."""
    if isinstance(value, Mapping):
        return {
            name: one if isinstance(one, int | float) else without_secrets(f"{key}.{name}", one)
            for name, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(key, one) for one in value]
    if not isinstance(value, str):
        return value
    if _SECRET_KEY.search(key) and value:
        return _HIDDEN
    if _TOKEN_KEY.search(key) and re.fullmatch(r"[\w./+=~-]{8,}", value):  # [PAD] is a token too
        return _HIDDEN
    return _SECRET.sub(_HIDDEN, value)


def is_environment(key: str) -> bool:
    """Whether a config key says where a run ran and not what it did."""
    return key in ENVIRONMENT_KEYS or key.startswith("system/")


def recipe(run: RunRecord) -> dict[str, Any]:
    """The config without seeds and environment: runs of one recipe differ by chance alone.

    Where the data set is told by name and version, the path that it was read from is left out.
    """
    config = _flat(run)
    path = {"dataset"} if {"dataset_name", "dataset_version"} <= config.keys() else set()
    return {
        key: value
        for key, value in config.items()
        if key not in SEED_KEYS and key not in path and not is_environment(key)
    }


def by_recipe(runs: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Runs whose config differs only in the random seed together, in the order of their first run;
    a run without a config is alone."""
    members: dict[str, list[RunRecord]] = {}
    for run in runs:
        key = exactly(recipe(run)) if recipe(run) else run.id
        members.setdefault(key, []).append(run)
    return list(members.values())


def model_title(run: RunRecord) -> str:
    """The run's model; that of an ensemble says too of how many members it is the mean."""
    members = run.config.get(MEMBERS)
    if not isinstance(members, list):
        return run.model_name
    return f"{run.model_name}, mean of {plural(len(members), 'run')}"


def seed_of(run: RunRecord) -> Any:
    """The random seed that a run logged; None if it logged none."""
    return next((run.config[key] for key in SEED_KEYS if key in run.config), None)


def seed_key(run: RunRecord) -> str | None:
    """What is the same for runs of one logged seed: 7, 7.0 and "7" are one. None without a seed."""
    seed = seed_of(run)
    if seed is None:
        return None
    return str(int(seed) if isinstance(seed, float) and seed.is_integer() else seed).strip()


def config_columns(runs: Sequence[RunRecord]) -> dict[str, tuple[Any, ...]]:
    """The value of each config key in every run, None where it was not logged."""
    flat = [flat_config(run) for run in runs]
    keys = dict.fromkeys(key for config in flat for key in config)
    return {key: tuple(config.get(key) for config in flat) for key in keys}


def config_differences(runs: Sequence[RunRecord]) -> dict[str, tuple[Any, ...]]:
    """Config keys whose values differ between runs, with the value of each (None: not set)."""
    columns = config_columns(runs).items()
    return {key: values for key, values in columns if len(set(map(exactly, values))) > 1}


def exactly(value: Any) -> str:
    """A config value as text that is the same for equal values alone."""
    return json.dumps(value, sort_keys=True, default=str)


# --- Short labels ---------------------------------------------------------------------

_FIRST: Final = {
    "learning_rate": "lr",
    "lr": "lr",
    "batch_size": "batch",
    "num_epochs": "epochs",
    "epochs": "epochs",
    "dropout": "dropout",
    "max_length": "length",
    "weight_decay": "decay",
}
"""Keys that say most about a recipe, in this order, with their short names."""
_LAST: Final = ("model_params", "steps", "truncated_texts", "warmup_steps")
"""Keys that follow from other settings and tell nothing by themselves."""
_MOST_KEYS: Final = 2
_MOST_LETTERS: Final = 20


def run_labels(runs: Sequence[RunRecord]) -> dict[str, str]:
    """The model of each run, with what differs where several runs share it, by run id.

    Recipes of one model are told apart by up to two config keys, runs of one recipe by their
    seed. What is still the same after that carries the run's id.
    """
    models: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        models[model_title(run)].append(run)
    return {
        run_id: label
        for model, members in models.items()
        for run_id, label in _of_model(model, members).items()
    }


def _of_model(model: str, runs: list[RunRecord]) -> dict[str, str]:
    if len(runs) == 1:
        return {runs[0].id: model}
    recipes = [recipe(run) for run in runs]
    keys = _telling(runs, recipes)
    seeds = len(set(map(exactly, recipes))) < len(runs)  # of one recipe
    labels = []
    for run, own in zip(runs, recipes, strict=True):
        shown = [(key, _short(without_secrets(key, own.get(key)))) for key in keys]
        words = [f"{_FIRST.get(key, key)} {value}" for key, value in shown]
        if seeds and seed_of(run) is not None:
            words.append(f"seed {_short(seed_of(run))}")
        labels.append(", ".join(words))
    return {
        run.id: f"{model} {label}" if label and labels.count(label) == 1 else f"{model} {run.id}"
        for run, label in zip(runs, labels, strict=True)
    }


def _telling(runs: list[RunRecord], recipes: list[dict[str, Any]]) -> list[str]:
    """The fewest leading config keys that tell the recipes apart, at most `_MOST_KEYS`."""
    order = list(_FIRST)
    differing = [key for key in config_differences(runs) if any(key in found for found in recipes)]
    differing.sort(
        key=lambda key: order.index(key) if key in _FIRST else len(order) + (key in _LAST)
    )
    chosen: list[str] = []
    kinds = 1
    for key in differing:
        if len(chosen) == _MOST_KEYS or not all(_is_short(one.get(key)) for one in recipes):
            continue
        split = len({exactly([one.get(k) for k in (*chosen, key)]) for one in recipes})
        if split > kinds:
            chosen.append(key)
            kinds = split
    return chosen


def _is_short(value: Any) -> bool:
    return value is None or (
        isinstance(value, str | bool | int | float) and len(_short(value)) <= _MOST_LETTERS
    )


def _short(value: Any) -> str:
    if value is None:
        return "not set"
    return f"{value:g}" if isinstance(value, float) else str(value)
