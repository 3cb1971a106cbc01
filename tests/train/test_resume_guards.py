"""What a resumed run may change, and what it refuses."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_report.corpora import demo
from goemo_report.labels import EMOTIONS
from goemo_train.config import REQUEUE
from tests.train.forked import Forks, Trainer
from tests.train.resuming import ARGUMENTS, resumed, run_directory, start


def record(output: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((run_directory(output) / "run.json").read_text())
    return value


def interrupted(forks: Forks, output: Path, *arguments: str) -> None:
    trainer = start(forks, output, (*ARGUMENTS, *arguments))
    trainer.wait_until_it_says("epoch 2: ")
    trainer.send(signal.SIGTERM)
    assert trainer.wait() == REQUEUE, trainer.stderr()


def refused(trainer: Trainer) -> str:
    assert trainer.wait() == 1, trainer.stderr()
    last = trainer.stderr().splitlines()[-1]
    assert last.startswith("goemo-train: error: ")
    return last


def test_a_run_is_trained_by_one_process(tmp_path: Path, forks: Forks) -> None:
    trainer = start(forks, tmp_path, (*ARGUMENTS, "--num-epochs=500"))
    again = forks.start(*resumed(tmp_path), f"--output={tmp_path}")
    assert f"another process trains {run_directory(tmp_path)}" in refused(again)
    assert not trainer.has_ended()
    trainer.send(signal.SIGKILL)  # which leaves the lock's file, not the lock
    trainer.wait()
    trainer = start(forks, tmp_path, resumed(tmp_path))
    trainer.send(signal.SIGTERM)
    assert trainer.wait() == REQUEUE, trainer.stderr()


def test_other_data_are_refused(tmp_path: Path, forks: Forks) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "labels.txt").write_text("\n".join(EMOTIONS) + "\n")
    for split, rows in demo.generate().items():
        lines = (f"{text}\t{','.join(map(str, ids))}\tid\n" for text, ids in rows[:200])
        (data / f"{split}.tsv").write_text("".join(lines))
    output = tmp_path / "runs"
    interrupted(forks, output, f"--dataset={data}")
    before = record(output)
    with (data / "val.tsv").open("a") as file:
        file.write("one more text\t3\tid\n")
    last = refused(forks.start(*resumed(output), f"--output={output}"))
    assert f"began with dataset_version {before['config']['dataset_version']}" in last
    assert record(output) == before
    shutil.rmtree(data)
    assert "is neither" in refused(forks.start(*resumed(output), f"--output={output}"))


def test_what_changes_no_result_may_be_given_anew(tmp_path: Path, forks: Forks) -> None:
    interrupted(forks, tmp_path)
    assert len(list(run_directory(tmp_path).glob("state-*.pt"))) == 2
    options = ("--keep-checkpoints=1", "--micro-batch-size=9", "--checkpoint-every=2")
    trainer = start(forks, tmp_path, (*resumed(tmp_path), *options))
    trainer.wait_until_it_says("epoch 4: ")
    trainer.send(signal.SIGTERM)
    assert trainer.wait() in (0, REQUEUE)
    assert len(list(run_directory(tmp_path).glob("state-*.pt"))) <= 1
    settings = record(tmp_path)["settings"]
    assert (settings["micro_batch_size"], settings["checkpoint_every"]) == (9, 2)
    assert settings["learning_rate"] == 4e-3  # its own, not the recipe's


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": "x"}'])
def test_a_damaged_record_is_one_line(tmp_path: Path, forks: Forks, content: str) -> None:
    directory = tmp_path / "model-abcd1234"
    directory.mkdir()
    (directory / "run.json").write_text(content)
    last = refused(forks.start("--resume=abcd1234", f"--output={tmp_path}"))
    assert f"{directory / 'run.json'} is damaged. Start a new run" in last


def test_what_was_done_is_what_is_logged(tmp_path: Path, forks: Forks) -> None:
    interrupted(forks, tmp_path)
    config = record(tmp_path)["config"]
    settled = ("precision", "eval_precision", "compile", "embedding_updates")
    assert [config[name] for name in settled] == ["fp32", "fp32", "off", "batch"]


def test_what_is_no_number_is_null(tmp_path: Path, forks: Forks) -> None:
    trainer = forks.start(
        *("--dataset=demo", "--model=tiny-roberta", "--limit=3", "--num-epochs=2"),
        *("--wandb-mode=disabled", f"--output={tmp_path}"),
    )
    assert trainer.wait() == 0, trainer.stderr()
    text = (run_directory(tmp_path) / "run.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["summary"]["best_epoch"] >= 1
    assert np.isfinite(json.loads(text)["history"][0]["val/loss"])


def test_the_command_that_began_a_run_resumes_it(tmp_path: Path, forks: Forks) -> None:
    arguments = ("--pooling=auto", "--seeds=42", "--precision=auto", "--wandb-mode=disabled")
    interrupted(forks, tmp_path, *arguments)
    same = (*ARGUMENTS, *arguments, *resumed(tmp_path), f"--output={tmp_path}")
    for other, told in (
        ("--dropout=0.2", "has --dropout 0.1, not 0.2"),
        ("--loss=weighted-bce", "has --loss bce, not weighted-bce"),
        ("--pooling=default", "has --pooling auto, not default"),
    ):
        trainer = forks.start(*same, other)
        assert trainer.wait() == 2
        assert told in trainer.stderr()
    trainer = forks.start(*same, "--pooling=mean", "--status=experimental", "--limit=250")
    assert trainer.wait() == 0, trainer.stderr()


@pytest.mark.slow
def test_auto_goes_on_with_the_one_run_that_was_asked_for_alike(
    tmp_path: Path, forks: Forks
) -> None:
    arguments = (*ARGUMENTS, "--num-epochs=2", "--resume=auto", "--wandb-mode=disabled")

    def end(*more: str) -> set[str]:
        trainer = forks.start(*arguments, *more, f"--output={tmp_path}")
        assert trainer.wait() == 0, trainer.stderr()
        return {path.parent.name for path in tmp_path.glob("*/run.json")}

    trainer = forks.start(*arguments, f"--output={tmp_path}")
    trainer.wait_until_it_says("epoch 1: ")
    trainer.send(signal.SIGUSR1)
    assert trainer.wait() == REQUEUE, trainer.stderr()
    (cut,) = tmp_path.glob("*/run.json")
    assert len(end("--dropout=0.2")) == 2  # another run
    assert len(end("--checkpoint-every=4")) == 2  # the one that was cut
    assert "summary" in json.loads(cut.read_text())
    assert len(end()) == 3  # it is finished


def test_told_to_stop_before_the_first_step_it_begins_again(tmp_path: Path, forks: Forks) -> None:
    arguments = (*ARGUMENTS, "--num-epochs=1", "--wandb-mode=disabled", f"--output={tmp_path}")
    trainer = forks.start(*arguments)
    trainer.wait_until_it_says("reading ")
    trainer.send(signal.SIGTERM)
    assert trainer.wait() == REQUEUE, trainer.stderr()
    trainer = forks.start(*arguments, "--resume=auto")
    assert trainer.wait() == 0, trainer.stderr()
