from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from goemo_report.errors import SettingsError
from goemo_train.__main__ import main
from goemo_train.config import COMMAND, PRESETS, TrainConfig, parse, settle, short_name

ROOT = Path(__file__).parents[2]


def settled(*arguments: str, **environment: str) -> TrainConfig:
    (flags,) = parse(arguments)
    return settle(flags, environment)


def test_flag_over_file_over_preset_over_default(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('model = "roberta-large"\nlearning-rate = 3e-5\nnum_epochs = 7\ntag = ["x"]\n')
    config = settled("--config", str(file), "--num-epochs", "9")
    assert config.num_epochs == 9  # flag
    assert config.learning_rate == 3e-5  # file, though the preset has 1e-5
    assert config.bias_start == "log-odds"  # preset
    assert config.batch_size == 16  # default
    assert config.tags == ("roberta-large", "training", "experimental", "x")


def test_help_says_which_defaults_a_recipe_replaces() -> None:
    options = {str(item.name): str(vars(item)["help"]) for item in COMMAND.params}
    assert "(default: 16, or the model's recipe)" in options["batch_size"]
    assert "(default: 0.01)" in options["weight_decay"]
    named = {key for key, text in options.items() if "recipe" in text}
    assert named == {key for _, recipe in PRESETS for key in recipe}


def test_sweeps_write_underscores_equals_signs_and_booleans() -> None:
    config = settled("--learning_rate=2e-5", "--exclude_neutral=False", "--tag=a_b")
    assert (config.learning_rate, config.exclude_neutral, config.tag) == (2e-5, False, ("a_b",))
    assert settled("--exclude-neutral").exclude_neutral
    assert settled("--exclude_neutral=true").exclude_neutral


def test_environment_is_what_it_is_to_wandb() -> None:
    config = settled(WANDB_MODE="dryrun", WANDB_PROJECT="p", WANDB_ENTITY="e")
    assert (config.wandb_mode, config.project, config.entity) == ("offline", "p", "e")
    assert settled("--wandb-mode", "disabled", WANDB_MODE="offline").wandb_mode == "disabled"
    assert settled().wandb_mode is None
    assert settled().project == "goemotions-emotion-classification"
    with pytest.raises(SettingsError, match="WANDB_MODE is on"):
        settled(WANDB_MODE="on")


def test_a_resumed_run_takes_nothing_from_the_environment() -> None:
    shell = {"WANDB_MODE": "offline", "WANDB_PROJECT": "p", "WANDB_ENTITY": "e"}
    config = settled("--resume=abc", **shell)
    assert (config.wandb_mode, config.project, config.entity) == (None, "", "")
    config = settled("--resume=abc", "--project=mine", "--wandb-mode=online", **shell)
    assert (config.wandb_mode, config.project, config.entity) == ("online", "mine", "")


def test_an_empty_mode_is_none_to_wandb_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb

    for name in ("WANDB_MODE", "WANDB_RUN_ID"):
        monkeypatch.setenv(name, "")
    assert settle({}).wandb_mode is None
    wandb.Settings().update_from_env_vars(dict(os.environ))  # which raises where one is empty


@pytest.mark.parametrize(
    "typed",
    [
        ("--teacher", "a", "b.csv", "--limit=3", "--teacher=c"),
        ("--teacher=a", "--limit", "3", "--teacher", "b.csv", "c"),
        ("--config=t.toml",),
    ],
)
def test_teachers_are_a_list_of_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.toml").write_text('limit = 3\nteacher = ["a", "b.csv", "c"]\n')
    config = settled(*typed)
    assert config.limit == 3
    assert config.teacher == tuple(str(tmp_path / name) for name in ("a", "b.csv", "c"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = 1.0", "Did you mean '--learning-rate'"),
        ("seed = 1", "Did you mean .*'--random-seed'"),
        ('learning_rate = "fast"', "'--learning-rate': 'fast' is not a valid float"),
        ("batch_size = 1.5", "'1.5' is not a valid integer"),
        ("batch_size = [1, 2]", "is not a valid integer"),
        ('exclude_neutral = "maybe"', "'maybe' is not a valid boolean"),
        ('phase = "training "', "'training ' is not one of"),
        ("seeds = [1, 2]", "No such option '--seeds'"),
        ("[train]\ndropout = 0.3", r"has a table \[train\]. All keys stand at the top level"),
        ("phase = ", "not valid TOML"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        settled("--config", str(file))
    assert "bad.toml" in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--learning-rate", "nan"),
        ("--learning-rate", "0"),
        ("--batch-size", "0"),
        ("--dropout", "1.5"),
        ("--model-name", "a/b"),
        ("--model-name=-rf",),
        ("--model-name", ".."),
        ("--tag", ""),
        ("--threshold", "-0.1"),
    ],
)
def test_values_out_of_range_are_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError):
        settled(*arguments)


@pytest.mark.parametrize(
    "arguments", [("--learning-rat", "1"), ("--phase", "final"), ("--batch-size", "x"), ("extra",)]
)
def test_usage_errors_are_one_line_and_exit_code_2(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_short_names(tmp_path: Path) -> None:
    assert short_name("microsoft/deberta-v3-base") == "deberta-v3-base"
    (tmp_path / "My model (v2)").mkdir()
    assert short_name(str(tmp_path / "My model (v2)")) == "My-model-v2"
    telling = tmp_path / "encoder" / "model"
    telling.mkdir(parents=True)
    assert short_name(str(telling)) == "encoder"
    (telling / "config.json").write_text('{"_name_or_path": "owner/MiniLM-L6"}')
    assert short_name(str(telling) + "/") == "MiniLM-L6"
    assert settled("--model", str(telling)).pooling == "auto"  # the preset of MiniLM


def test_a_recipe_goes_by_the_given_name_then_by_the_model(tmp_path: Path) -> None:
    (tmp_path / "encoder").mkdir()
    named = settled("--model", str(tmp_path / "encoder"), "--model-name", "all-MiniLM-L6-v2")
    assert (named.learning_rate, named.pooling) == (5e-4, "auto")
    assert settled("--model=roberta-large", "--model-name=mine").learning_rate == 1e-5


def test_directories_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("encoder", "data", "demo", "tiny-bert"):
        (tmp_path / name).mkdir()
    (tmp_path / "a.toml").write_text('model = "~/encoder"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "data")
    config = settled("--config=~/a.toml", "--dataset=.", "--output=~/runs")
    assert config.model == str(tmp_path / "encoder")
    assert config.dataset == str(tmp_path / "data")
    assert config.output == str(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    made = settled("--model=tiny-bert", "--dataset=demo")
    assert (made.model, made.dataset) == ("tiny-bert", "demo")  # as the trainer reads them
    assert settled("--model=roberta-base", "--dataset=nope").dataset == "nope"


@pytest.mark.parametrize("dataset", ["demoo", "./nope"])
def test_what_no_hub_has_is_refused_without_asking_one(
    dataset: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert main([f"--dataset={dataset}", "--wandb-mode=disabled"]) == 1
    said = capsys.readouterr().err
    assert f"--dataset {dataset} is neither go_emotions nor demo" in said
    assert "cannot be reached" not in said


def test_a_series_is_every_seed_with_every_value() -> None:
    series = parse(
        ("--seeds", "13,42", "--ablate", "dropout=0.0,0.3", "--ablate=pooling=mean", "--tag=a")
    )
    configs = [settle(flags, {}) for flags in series]
    found = [(c.random_seed, c.dropout, c.tag, c.phase) for c in configs]
    assert found == [
        (13, 0.0, ("a", "dropout=0.0", "pooling=mean"), "ablation"),
        (13, 0.3, ("a", "dropout=0.3", "pooling=mean"), "ablation"),
        (42, 0.0, ("a", "dropout=0.0", "pooling=mean"), "ablation"),
        (42, 0.3, ("a", "dropout=0.3", "pooling=mean"), "ablation"),
    ]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("ablate", "dropuot=0.1,0.2", ": No such option '--dropuot'. (Did you mean"),
        ("ablate", "dropout=high", ": Invalid value for '--dropout': 'high' is not a valid float"),
        ("ablate", "dropout=0.1,2", ": --dropout is 2.0. Give a value from 0 to 0.999"),
        ("ablate", "dropout=", " names no values"),
        ("ablate", "dropout", " names no values"),
        ("ablate", "seeds=1,2", ": No such option '--seeds'"),
        ("ablate", "dropout=0.1,0.1", " names a value twice"),
        ("seeds", "1,x", ": Invalid value for '--random-seed': 'x' is not a valid integer"),
        ("seeds", "1,2,1", " names a value twice"),
        ("seeds", ",", " names no values"),
    ],
)
def test_a_series_is_refused_in_the_words_that_were_typed(
    option: str, value: str, message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        parse((f"--{option}", value))
    assert str(caught.value).startswith(f"--{option} {value}{message}")


def test_the_sweep_searches_what_the_command_line_has_and_no_seed() -> None:
    sweep = yaml.safe_load((ROOT / "sweep.yaml").read_text())
    searched: dict[str, Any] = {}
    for name, choice in sweep["parameters"].items():
        values = choice.get("values") or [choice[k] for k in ("value", "min", "max") if k in choice]
        searched[name] = {getattr(settled(f"--{name}={value}"), name) for value in values}
        assert searched[name] == set(values)
    assert len(searched["random_seed"]) == 1
    assert len(searched["learning_rate"]) == 2


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\nfrom goemo_train.__main__ import main\n"
        "try: main(['--help'])\nexcept SystemExit as e: assert e.code == 0\n"
        "assert not {'torch', 'transformers', 'wandb', 'numpy', 'rich'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--warmup-steps" in done.stdout
