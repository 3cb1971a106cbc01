"""The command of a real run trains the same again."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, replace

import pytest
from click.testing import CliRunner

from goemo_report import contract
from goemo_report.card.replicate import replicate_command
from goemo_report.cli import goemo_report
from goemo_report.sources.offline_logs.source import LogSource
from goemo_train.config import REPEATED, TrainConfig, parse, settle
from tests.train.conftest import RUN_ID, Finished


def settings(finished: Finished) -> TrainConfig:
    """The run's own, but for what says where it was written."""
    stated = json.loads((finished.directory / "run.json").read_text("utf-8"))["settings"]
    return replace(
        TrainConfig(**{**stated, **{key: tuple(stated[key]) for key in REPEATED}}), output="runs"
    )


def test_show_replicate_prints_the_settings_of_the_run(finished: Finished) -> None:
    arguments = ["show", RUN_ID, "--wandb-dir", str(finished.output), "--replicate"]
    done = CliRunner().invoke(goemo_report, arguments)
    assert done.exit_code == 0, done.output
    words = shlex.split(done.stdout)
    assert asdict(settle(parse(words[1:])[0], {})) == asdict(settings(finished))


@pytest.mark.parametrize("missing", [(), contract.MEASURED_KEYS])
def test_a_run_without_a_checkpoint_has_its_config(
    finished: Finished, missing: tuple[str, ...]
) -> None:
    record = LogSource(finished.output).find_run(RUN_ID)
    assert set(contract.MEASURED_KEYS) <= set(record.config)
    kept = {key: value for key, value in record.config.items() if key not in missing}
    words = shlex.split(replicate_command(replace(record, config=kept)))
    assert asdict(settle(parse(words[1:])[0], {})) == asdict(settings(finished))


def test_a_card_without_a_base_model_says_so(finished: Finished) -> None:
    arguments = ["card", RUN_ID, "--wandb-dir", str(finished.output), "--license", "mit"]
    done = CliRunner().invoke(goemo_report, arguments)
    assert done.stderr == "note: the card names no base model; give --base-model\n"
    done = CliRunner().invoke(goemo_report, [*arguments, "--base-model", "me/mine"])
    assert done.stderr == ""
