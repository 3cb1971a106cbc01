from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from goemo_report.errors import SettingsError
from goemo_train.__main__ import main
from goemo_train.config import PRESETS, TrainConfig, build_parser, parse, settle, short_name


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
    options = {item.dest: item.help or "" for item in build_parser()._actions}
    assert "(default: 16, or the model's recipe)" in options["batch_size"]
    assert "(default: 0.1)" in options["dropout"]
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = 1.0", "Did you mean --learning-rate"),
        ("seed = 1", "Did you mean --random-seed"),
        ('learning_rate = "fast"', "invalid float value: 'fast'"),
        ("batch_size = 1.5", "invalid int value: '1.5'"),
        ("batch_size = [1, 2]", "invalid int value"),
        ('exclude_neutral = "maybe"', "not true or false"),
        ('phase = "training "', "invalid choice: 'training '"),
        ("seeds = [1, 2]", "unrecognized arguments: --seeds"),
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
    assert settled("--model", str(telling)).pooling == "mean"  # the preset of MiniLM


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
    for wrong in ("dropuot=0.1,0.2", "dropout=high", "dropout=", "dropout", "seeds=1,2"):
        with pytest.raises(SettingsError):
            parse(("--ablate", wrong))
    with pytest.raises(SettingsError, match="argument --random-seed"):
        parse(("--seeds", "1,x"))
    with pytest.raises(SettingsError, match="names a seed twice"):
        parse(("--seeds", "1,2,1"))


def test_help_needs_no_torch() -> None:
    code = (
        "import sys\nfrom goemo_train.__main__ import main\n"
        "try: main(['--help'])\nexcept SystemExit as e: assert e.code == 0\n"
        "assert not {'torch', 'transformers', 'wandb', 'numpy', 'rich'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--warmup-steps" in done.stdout
