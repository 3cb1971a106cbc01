"""Short labels of runs: the model, and what tells runs of one model apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from goemo_report.analysis.configs import (
    config_differences,
    exactly,
    model_title,
    recipe,
    seed_of,
    without_secrets,
)
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
