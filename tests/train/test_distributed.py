"""Several processes that train one run, with gloo on CPU."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from transformers import XLNetConfig, XLNetForSequenceClassification, XLNetTokenizer
from transformers.models.bert.modeling_bert import BertIntermediate

from goemo_report.corpora import demo
from goemo_train.config import REQUEUE
from goemo_train.model import Classifier
from tests.train.conftest import environment, goemo_train
from tests.train.forked import Forks, Trainer

# The last batch of an epoch is one text: one of two processes has no share of it. Evaluation
# takes three batches, one process two of them.
SMALL = (
    *("--dataset=demo", "--model=tiny-bert", "--limit=301", "--batch-size=25"),
    *("--num-epochs=2", "--learning-rate=1e-3", "--wandb-mode=disabled"),
)
AS_ONE = (*SMALL, "--dropout=0")
TIMES = {"train/epoch_time", "train/samples_per_sec"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    forks: Forks,
    output: Path,
    *arguments: str,
    size: int = 2,
    extra: Mapping[str, str] = MappingProxyType({}),
) -> list[Trainer]:
    return forks.start_group(size, free_port(), *arguments, f"--output={output}", **extra)


def finish(group: list[Trainer]) -> None:
    codes = [process.wait() for process in group]
    assert codes == [0] * len(group), "".join(process.stderr() for process in group)


def record(output: Path) -> dict[str, Any]:
    (found,) = output.glob("*/run.json")  # one run, though several processes
    value: dict[str, Any] = json.loads(found.read_text())
    return value


def weights(output: Path) -> dict[str, torch.Tensor]:
    (found,) = output.glob("*/checkpoint/pytorch_model.bin")
    value: dict[str, torch.Tensor] = torch.load(found, weights_only=True)
    return value


def assert_as_one(one: Path, many: Path) -> None:
    mine, theirs = record(one), record(many)
    for row, other in zip(mine["history"], theirs["history"], strict=True):
        assert row.keys() == other.keys()
        for key in row.keys() - TIMES:
            assert row[key] == pytest.approx(other[key], rel=2e-4), key
    assert mine["summary"].keys() == theirs["summary"].keys()
    for key in ("test/auc", "test/macro_auc", "test/macro_f1_tuned"):
        assert mine["summary"][key] == pytest.approx(theirs["summary"][key], abs=1e-3)
    assert mine["summary"]["test/support_joy"] == theirs["summary"]["test/support_joy"]


def say_sizes() -> None:
    """A trainer that says how many texts it computes at once."""
    forward = Classifier.forward

    def said(self: Classifier, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        if self.training:
            sys.stderr.write(f"at once: {len(ids)}\n")
        return forward(self, ids, mask)

    Classifier.forward = said  # type: ignore[method-assign]  # in a process of its own


def run_out_once() -> None:
    """The same, whose first process runs out of memory once, in the model's second layer."""
    say_sizes()
    forward, calls = BertIntermediate.forward, [0]

    def failing(self: BertIntermediate, hidden_states: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        if calls[0] == 2 and os.environ["RANK"] == "0":
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, hidden_states)

    BertIntermediate.forward = failing  # type: ignore[method-assign]  # as above


def sizes(trainer: Trainer) -> list[int]:
    lines = trainer.stderr().splitlines()
    return [int(line.rpartition(" ")[2]) for line in lines if line.startswith("at once: ")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher",
    [
        ("torchrun", "--standalone", "--nproc-per-node=2"),
        ("accelerate", "launch", "--cpu", "--num_processes=2", "--num_machines=1"),
        ("accelerate", "launch", "--use_fsdp", "--num_processes=2", "--num_machines=1"),
    ],
)
def test_launchers_start_one_run(tmp_path: Path, launcher: tuple[str, ...]) -> None:
    alone = goemo_train(
        tmp_path, *AS_ONE, "--embedding-updates=all", f"--output={tmp_path / 'one'}"
    )
    assert alone.returncode == 0, alone.stderr
    program, *options = launcher
    port = [f"--main_process_port={free_port()}"] if program == "accelerate" else []
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *options, *port, "-m", "goemo_train",
         *AS_ONE, "--embedding-updates=all", "--wandb-mode=offline",
         f"--output={tmp_path / 'two'}"],
        env=environment(tmp_path), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best epoch") == 1
    assert done.stderr.count("epoch 2: ") == 1
    assert len(list((tmp_path / "two").glob("wandb/offline-run-*"))) == 1
    assert_as_one(tmp_path / "one", tmp_path / "two")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Path:
    """The run of one process."""
    output = tmp_path_factory.mktemp("alone")
    finish([forks.start(*AS_ONE, f"--output={output}")])
    return output


def test_two_processes_are_as_one(tmp_path: Path, forks: Forks, alone: Path) -> None:
    finish(start(forks, tmp_path, *AS_ONE))
    assert_as_one(alone, tmp_path)


@pytest.mark.slow
def test_micro_batches_are_of_each_process_and_change_nothing(
    tmp_path: Path, forks: Forks, alone: Path
) -> None:
    prepared = {"PREPARE": f"{__name__}:say_sizes"}
    group = start(forks, tmp_path, *AS_ONE, "--micro-batch-size=5", extra=prepared)
    finish(group)
    assert_as_one(alone, tmp_path)
    # Of 25 texts three parts, of 9, 8 and 8.
    assert [max(sizes(process)) for process in group] == [5, 4]


@pytest.mark.slow
def test_all_processes_halve_where_one_runs_out_of_memory(tmp_path: Path, forks: Forks) -> None:
    prepared = {"PREPARE": f"{__name__}:run_out_once"}
    group = start(forks, tmp_path, *SMALL, "--num-epochs=1", "--auto-batch-size", extra=prepared)
    finish(group)
    for process in group:
        assert sizes(process)[:2] == [13, 7]
        assert max(sizes(process)[2:]) <= 7


@pytest.mark.slow
def test_three_processes_are_as_one(tmp_path: Path, forks: Forks, alone: Path) -> None:
    finish(start(forks, tmp_path, *AS_ONE, size=3))
    assert_as_one(alone, tmp_path)


def xlnet(directory: Path) -> Path:
    """A small model whose mask embedding is a parameter that nothing uses here."""
    words = sorted({word for text, _ in demo.generate()["train"] for word in text.split()})
    pieces = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]
    pieces += ["\u2581", *(f"\u2581{word}" for word in words)]
    tokenizer = XLNetTokenizer(vocab=[(piece, -1.0) for piece in pieces])
    described = XLNetConfig(vocab_size=len(pieces), d_model=16, n_layer=1, n_head=2, d_inner=16,
                            summary_type="first")  # fmt: skip  # the last one may be padding
    XLNetForSequenceClassification(described).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.mark.slow
def test_unused_parameters_are_not_waited_for(tmp_path: Path, forks: Forks) -> None:
    arguments = (*AS_ONE, f"--model={xlnet(tmp_path / 'model')}", "--embedding-updates=all")
    finish([forks.start(*arguments, f"--output={tmp_path / 'one'}")])
    finish(start(forks, tmp_path / "two", *arguments))
    assert_as_one(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_a_terminated_group_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, forks: Forks
) -> None:
    arguments = (*SMALL, "--num-epochs=3", "--dropout=0.1", "--checkpoint-every=4")
    finish(start(forks, tmp_path / "whole", *arguments))
    group = start(forks, tmp_path / "cut", *arguments)
    group[0].wait_until_it_says("epoch 1: ")
    group[1].send(signal.SIGTERM)  # any one of them
    codes = [process.wait() for process in group]
    said = "".join(process.stderr() for process in group)
    assert codes == [REQUEUE] * 2, said
    (line,) = [line for line in said.splitlines() if line.startswith("goemo-train:")]
    run_id = line.split("goemo-train --resume ")[1].split()[0]
    resumed = (f"--resume={run_id}", "--wandb-mode=disabled")
    finish(start(forks, tmp_path / "cut", *resumed))
    mine, theirs = record(tmp_path / "whole"), record(tmp_path / "cut")
    for row, other in zip(mine["history"], theirs["history"], strict=True):
        assert {k: row[k] for k in row.keys() - TIMES} == {k: other[k] for k in row.keys() - TIMES}
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_killed_process_ends_the_others_with_one_line(tmp_path: Path, forks: Forks) -> None:
    group = start(forks, tmp_path / "runs", *SMALL, "--num-epochs=50")
    group[0].wait_until_it_says("epoch 2: ")  # the state after the first is kept
    group[1].send(signal.SIGKILL)
    assert [process.wait() for process in group] == [1, -signal.SIGKILL]
    *_, last = group[0].stderr().splitlines()
    assert "another process of the run was lost" in last
    assert "--resume" in last
    assert list((tmp_path / "runs").glob("*/state-*.pt"))


@pytest.mark.parametrize(
    ("arguments", "extra", "message"),
    [
        (("--dataset=/nowhere",), {}, "neither go_emotions nor demo"),  # in each of them
        ((), {}, "--output /proc/nowhere cannot be made"),  # in the main one
        (("--batch-size=0",), {}, "--batch-size is 0"),  # before they know each other
        ((), {"ACCELERATE_MIXED_PRECISION": "fp16"}, "asks for MULTI_CPU, fp16"),
    ],
)
def test_a_failure_is_told_once_and_ends_all(
    tmp_path: Path, forks: Forks, arguments: tuple[str, ...], extra: dict[str, str], message: str
) -> None:
    output = Path("/proc/nowhere") if "nowhere cannot" in message else tmp_path
    group = start(forks, output, *SMALL, *arguments, extra=extra)
    assert all(process.wait() in (1, 2) for process in group)
    said = "".join(process.stderr() for process in group).splitlines()
    (line,) = [line for line in said if line.startswith("goemo-train:")]
    assert message in line


@pytest.mark.slow
def test_a_series_is_trained_by_the_same_group(tmp_path: Path, forks: Forks) -> None:
    finish(start(forks, tmp_path, *SMALL, "--num-epochs=1", "--seeds=1,2,3"))
    assert len(list(tmp_path.glob("*/run.json"))) == 3
