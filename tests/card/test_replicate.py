"""The command that trains a run again, as the trainer itself reads it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from typing import Any, get_args, get_type_hints

import pytest

from goemo_report.card.replicate import (
    LOSSES,
    SETTINGS,
    base_model,
    by_goemo_train,
    not_taken,
    replicate_command,
    without_private_paths,
)
from goemo_report.contract import CONFIG_KEYS, MEASURED_KEYS, SYSTEM_KEYS
from goemo_report.sources.model import ArtifactRef, RunRecord
from goemo_train.config import PRESETS, TrainConfig, parse, settle


def run(config: dict[str, Any], tags: tuple[str, ...] = ()) -> RunRecord:
    return RunRecord("id", "n", None, "p", None, "finished", tags, None, config, {}, "memory")


def trained(**settings: Any) -> tuple[TrainConfig, RunRecord]:
    config = settle({"model": "FacebookAI/roberta-large", **settings}, {})
    logged = {**config.hyperparameters(), "model_name": config.model_name}
    logged |= {"phase": config.phase, "status": config.status}
    return config, run(logged, config.tags)


def words_of(record: RunRecord, artifacts: Sequence[ArtifactRef] = ()) -> list[str]:
    return shlex.split(replicate_command(record, artifacts))


def another(name: str, value: Any) -> Any:
    """A valid value of a setting that is not this one."""
    hint, _, *bounds = get_args(get_type_hints(TrainConfig, include_extras=True)[name])
    if hint == tuple[str, ...]:
        return ("/of mine", "/of --others")
    nested = [choice for part in (hint, *get_args(hint)) for choice in get_args(part)]
    if choices := [choice for choice in nested if isinstance(choice, str) and choice != value]:
        return choices[0]
    if hint is bool:
        return not value
    if hint is str:
        return f"{value} of mine"
    low, high = bounds[0]
    return hint(low if low != value else high)


def checkpoint(config: TrainConfig) -> ArtifactRef:
    metadata = {"hyperparameters": config.hyperparameters()}
    return ArtifactRef("a", "c", "model", None, "d", 1, "checkpoint", "id", metadata)


@pytest.mark.parametrize("name", TrainConfig().hyperparameters())
def test_every_setting_that_decides_the_result_is_replicated(name: str) -> None:
    """Whether the settings come from the checkpoint's metadata or from the config alone."""
    default, _ = trained()
    config, record = trained(**{name: another(name, getattr(default, name))})
    assert getattr(config, name) != getattr(default, name)
    for artifacts in ((), (checkpoint(config),)):
        words = words_of(record, artifacts)
        assert asdict(settle(parse(words[1:])[0], {})) == asdict(config)


def test_what_the_trainer_no_longer_takes_is_left_out_and_named() -> None:
    config, _ = trained()
    assert set(config.hyperparameters()) == SETTINGS
    assert get_args(get_type_hints(TrainConfig)["loss"]) == LOSSES
    told = {**config.hyperparameters(), "loss": "focal", "label_smoothing": 0.1, "focal_gamma": 0.0}
    old = replace(checkpoint(config), metadata={"hyperparameters": told})
    _, record = trained()
    words = words_of(record, [old])
    assert not {"--loss", "--label-smoothing", "--focal-gamma"} & set(words)
    assert asdict(settle(parse(words[1:])[0], {})) == asdict(config)
    assert sorted(not_taken(record, [old])) == ["label_smoothing 0.1", "loss focal"]
    assert not_taken(record, [checkpoint(config)]) == not_taken(record) == []


def test_a_switch_that_is_off_needs_no_flag() -> None:
    switches = [item.name for item in fields(TrainConfig) if item.default in (True, False)
                and isinstance(item.default, bool)]  # fmt: skip
    assert switches
    assert not any(getattr(TrainConfig(), name) for name in switches)
    assert not any(name in recipe for name in switches for _, recipe in PRESETS)


def test_what_was_measured_and_odd_keys_are_no_settings() -> None:
    _, record = trained()
    found: dict[str, Any] = {key.name: "x" for key in (*CONFIG_KEYS, *SYSTEM_KEYS)}
    found |= dict.fromkeys(MEASURED_KEYS, 3)
    logged = {**found, **record.config, "_wandb": "x", "--debug": "x", "a b": "x"}
    words = words_of(replace(record, config=logged))
    assert words == words_of(record)


def test_the_checkpoint_says_what_is_a_setting() -> None:
    """What somebody added to the config in W&B is none."""
    config, record = trained(loss="weighted-bce")
    logged = {**record.config, "reviewed_by": "me"}
    words = words_of(replace(record, config=logged), (checkpoint(config),))
    assert "--reviewed-by" not in words
    assert words[words.index("--loss") + 1] == "weighted-bce"


def test_an_offline_run_is_replicated_offline() -> None:
    _, record = trained()
    assert "--wandb-mode" not in replicate_command(record)
    local = replace(record, origin="wandb/offline-run-20241210_143022-abc, wandb/offline-run-1-a")
    assert replicate_command(local).endswith("--wandb-mode offline")
    sent = replace(local, url="https://wandb.ai/me/p/runs/abc", origin="me/p/abc")
    assert "--wandb-mode" not in replicate_command(sent)


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("/home/me/.venv/models/best", "best"),
        ("../models/best", "best"),
        ("~/best", "best"),
        ("C:\\models\\best", "best"),
        ("my models/best", "best"),
        ("FacebookAI/roberta-large", None),
        ("roberta-large", None),
        ("tiny-bert", None),
    ],
)
def test_private_paths_have_public_names(model: str, shown: str | None) -> None:
    paths = {"dataset": "/home/me/texts", "teacher": ("/home/me/a/best", "/home/me/x.csv")}
    _, record = trained(model=model, model_name="best", **paths)
    for name, told in (("go_emotions", "go_emotions"), ("mine", "texts")):
        logged = replace(record, config={**record.config, "dataset_name": name})
        assert without_private_paths(logged)["dataset"] == told
    public = without_private_paths(record)
    public.pop("dataset")
    assert public.pop("teacher") == ["best", "x.csv"]
    assert public.get("model") == shown
    assert without_private_paths(record, base="me/mine").get("model") == (shown and "me/mine")
    assert "/home/me" not in replicate_command(record, (), without_private_paths(record))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"teacher": ("/a b", "/-c")},
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
    assert words == words_of(record)
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


def test_an_ensemble_is_made_again_from_its_members() -> None:
    record = run({"model": "x", "dataset": "demo", "ensemble": ["/home/me/a b", "p/m1"]})
    command = replicate_command(record)
    assert command == f"goemo-report ensemble '/home/me/a b' p/m1 -o {record.name}"
    public = replicate_command(record, (), without_private_paths(record))
    assert public == f"goemo-report ensemble 'a b' m1 -o {record.name}"
    other = run({"model": "x", "dataset": "demo", "ensemble": True})
    assert replicate_command(other).startswith("goemo-train")
