"""What tells runs of one model apart in labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from goemo_report.analysis.configs import run_labels
from tests.offline_runs import OfflineRun
from tests.synthetic import run_result


def labels(*configs: dict[str, Any]) -> list[str]:
    base = run_result(OfflineRun(run_id="r"), splits=()).run
    runs = [
        replace(base, id=f"r{n}", config={**base.config, "model_name": "m", **config})
        for n, config in enumerate(configs)
    ]
    return list(run_labels(runs).values())


def test_a_setting_comes_before_what_follows_from_it() -> None:
    mean = {"model_params": 24_498_460, "pooling": "mean"}
    own = {"model_params": 22_723_996, "pooling": "default"}
    assert labels(mean, own) == ["m pooling mean", "m pooling default"]
    zero, odds = {"bias_start": "zero"}, {"bias_start": "log-odds"}
    assert labels({**mean, **zero}, {**own, **zero}, {**mean, **odds}) == [
        "m pooling mean, bias_start zero",
        "m pooling default, bias_start zero",
        "m pooling mean, bias_start log-odds",
    ]


def test_what_follows_is_better_than_nothing() -> None:
    assert labels({"model_params": 1}, {"model_params": 2}) == [
        "m model_params 1",
        "m model_params 2",
    ]


def test_an_ensemble_is_called_the_mean_of_its_members() -> None:
    one, other = {"learning_rate": 1e-5}, {"learning_rate": 3e-5}
    mean: dict[str, Any] = {"ensemble": ["a", "b"]}
    assert labels(one, other, mean) == ["m lr 1e-05", "m lr 3e-05", "m, mean of 2 runs"]
    assert labels(one, mean)[0] == "m"


def test_no_password_tells_runs_apart() -> None:
    one, other = {"password": "word one"}, {"password": "word two"}
    assert labels(one, other) == ["m r0", "m r1"]
    assert labels(one, {}) == ["m password [hidden]", "m password not set"]
