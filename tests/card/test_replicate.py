"""The command that trains a run again, as the trainer itself reads it."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import asdict
from typing import Any

import pytest

from goemo_report.card.replicate import (
    SETTINGS,
    base_model,
    by_goemo_train,
    replicate_arguments,
    replicate_command,
)
from goemo_report.model import RunRecord
from goemo_train.config import TrainConfig, parse, settle


def run(config: dict[str, Any], tags: tuple[str, ...] = ()) -> RunRecord:
    return RunRecord("id", "n", None, "p", None, "finished", tags, None, config, {}, "memory")


def trained(**settings: Any) -> tuple[TrainConfig, RunRecord]:
    config = settle({"model": "FacebookAI/roberta-large", **settings}, {})
    logged = {**config.hyperparameters(), "model_name": config.model_name}
    logged |= {"phase": config.phase, "status": config.status}
    return config, run(logged, config.tags)


def test_every_setting_that_decides_the_result_is_replicated() -> None:
    config, _ = trained()
    assert set(SETTINGS) == {*config.hyperparameters(), "model_name", "phase", "status"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            "model": "my models/it's \"best\"", "model_name": "x", "dataset": "-data; rm -rf $HOME",
            "exclude_neutral": True, "limit": 7, "learning_rate": 1.25e-7, "dropout": 0.0,
            "random_seed": 0, "phase": "ablation", "status": "final",
            "tag": ("a b", "--odd", "$(x)"),
        },
    ],
)  # fmt: skip
def test_the_trainer_reads_back_what_the_run_was(settings: dict[str, Any]) -> None:
    config, record = trained(**settings)
    command = replicate_command(record)
    words = shlex.split(command)
    assert words == replicate_arguments(record)
    assert words[0] == "goemo-train"
    again = settle(parse(words[1:])[0], {})
    assert asdict(again) == asdict(config)


def test_control_characters_reach_no_terminal_and_no_other_word() -> None:
    record = run({"model": "a\x1b[2J\nb'\\ é\u202e", "dataset": "demo"})
    command = replicate_command(record)
    assert command.isprintable()
    script = command.replace("goemo-train", "printf '%s|'", 1)
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode("utf-8").split("|")[1] == "a\x1b[2J\nb'\\ é\u202e"


def test_a_run_of_another_trainer_gets_what_the_guide_logs() -> None:
    record = run(
        {"model_name": "roberta-large", "num_labels": 27, "learning_rate": 1e-5, "dropout": [1]},
        ("roberta-large", "training", "final", "mine"),
    )
    assert not by_goemo_train(record)
    assert replicate_command(record) == (
        "goemo-train --model FacebookAI/roberta-large --model-name roberta-large "
        "--dataset go_emotions --exclude-neutral --learning-rate 1e-05 --phase training "
        "--status final --tag mine"
    )


@pytest.mark.parametrize(
    ("model", "hub"),
    [
        ("FacebookAI/roberta-large", "FacebookAI/roberta-large"),
        ("distilbert-base", "distilbert/distilbert-base-uncased"),
        ("tiny-bert", None),
        ("/home/me/models/best", None),
        ("../models/best", None),
        ("a/b\nlicense: mit", None),
    ],
)
def test_the_base_model_is_a_hub_name_or_nothing(model: str, hub: str | None) -> None:
    assert base_model(run({"model": model})) == hub
