"""Groups of seeds: which runs count as seeds, and which repeat one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from goemo_report.analysis.compared_runs import Recipe
from goemo_report.analysis.configs import flat_config, recipe, without_secrets
from goemo_report.comparison import compare
from tests.offline_runs import OfflineRun
from tests.synthetic import run_result


def group(*seeds: Any) -> Recipe:
    run = run_result(splits=["val"])
    runs = [
        replace(run, run=replace(run.run, id=f"r{number}", config={"model": "m", "seed": seed}))
        for number, seed in enumerate(seeds)
    ]
    (found,) = compare(runs, split="val").recipes
    return found


@pytest.mark.parametrize(
    ("seeds", "replicas"),
    [
        ((1, 2, 3), ("r0", "r1", "r2")),
        ((1, 1, 2, 1), ("r0 r1 r3", "r2")),
        ((1, 1.0, "1", " 1 "), ("r0 r1 r2 r3",)),
        ((None, 4, None, 5), ("r1", "r3")),
        ((None, None), ("r0 r1",)),
        ((0, None), ("r0",)),
        (([1, 2], [1, 2]), ("r0 r1",)),
    ],
)
def test_runs_of_one_logged_seed_stand_together(
    seeds: tuple[Any, ...], replicas: tuple[str, ...]
) -> None:
    found = group(*seeds).seeds
    assert tuple(" ".join(run.id for run in runs) for runs in found) == replicas


def test_runs_are_listed_by_seed() -> None:
    found = group(7, 8, 7, None).by_seed.items()
    assert {seed: [run.id for run in runs] for seed, runs in found} == {
        "7": ["r0", "r2"], "8": ["r1"]
    }  # fmt: skip


def test_secrets_of_a_config_are_hidden_and_still_tell_recipes_apart() -> None:
    key, url = "hf_" + "a1" * 12, "https://ada:word@host/data.csv"
    config: dict[str, Any] = {
        "pad_token": "[PAD]", "max_token": 128, "api": {"wandb_api_key": "0123456789abcdef"},
        "note": f"push with {key}", "data": [url], "hub_token": key, "db": {"password": "a!b c"},
        "aws_secret_access_key": "x/y+z", "secret": "", "sep_token": "</s>",
    }  # fmt: skip
    run = replace(run_result(OfflineRun(), splits=()).run, config=config)
    assert flat_config(run) == {
        "pad_token": "[PAD]", "max_token": 128, "api.wandb_api_key": "[hidden]",
        "note": "push with [hidden]", "data": ["https://[hidden]@host/data.csv"],
        "hub_token": "[hidden]", "db.password": "[hidden]", "aws_secret_access_key": "[hidden]",
        "secret": "", "sep_token": "</s>",
    }  # fmt: skip
    other = replace(run, config={**config, "hub_token": key[:-1]})
    assert recipe(run) != recipe(other)
    written = str(without_secrets("config", config))  # nested, as the report's JSON has it
    assert not any(word in written for word in (key, "ada:word", "a!b c", "x/y+z", "0123456789ab"))
