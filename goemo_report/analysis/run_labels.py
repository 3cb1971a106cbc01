"""Short labels of runs: the model, and what tells runs of one model apart."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from goemo_report.analysis.configs import config_differences, recipe, seed_of
from goemo_report.sources.model import RunRecord

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
        models[run.model_name].append(run)
    return {
        run_id: label
        for model, members in models.items()
        for run_id, label in _of_model(model, members).items()
    }


def _of_model(model: str, runs: list[RunRecord]) -> dict[str, str]:
    if len(runs) == 1:
        return {runs[0].id: model}
    words: dict[str, list[str]] = {run.id: [] for run in runs}
    for key in _telling(runs):
        for run in runs:
            words[run.id].append(f"{_FIRST.get(key, key)} {_short(_value(run, key))}")
    if len({_known(recipe(run)) for run in runs}) < len(runs):  # seeds of one recipe
        for run in runs:
            if seed_of(run) is not None:
                words[run.id].append(f"seed {_short(seed_of(run))}")
    labels = {run_id: ", ".join(found) for run_id, found in words.items()}
    taken = list(labels.values())
    return {
        run_id: f"{model} {label}" if label and taken.count(label) == 1 else f"{model} {run_id}"
        for run_id, label in labels.items()
    }


def _telling(runs: list[RunRecord]) -> list[str]:
    """The fewest leading config keys that tell the recipes apart, at most `_MOST_KEYS`."""
    recipes = [recipe(run) for run in runs]
    differing = [key for key in config_differences(runs) if any(key in found for found in recipes)]
    order = list(_FIRST)
    differing.sort(
        key=lambda key: order.index(key) if key in _FIRST else len(order) + (key in _LAST)
    )
    chosen: list[str] = []
    kinds = 1
    for key in differing:
        if len(chosen) == _MOST_KEYS or not all(_is_short(_value(run, key)) for run in runs):
            continue
        split = len({_known([_value(run, k) for k in (*chosen, key)]) for run in runs})
        if split > kinds:
            chosen.append(key)
            kinds = split
    return chosen


def _value(run: RunRecord, key: str) -> Any:
    return recipe(run).get(key)


def _is_short(value: Any) -> bool:
    return value is None or (
        isinstance(value, str | bool | int | float) and len(_short(value)) <= _MOST_LETTERS
    )


def _short(value: Any) -> str:
    if value is None:
        return "not set"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _known(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
