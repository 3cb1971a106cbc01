"""Two processes that train one run, with gloo on CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import environment, goemo_train

ARGUMENTS = (
    *("-m", "goemo_train", "--dataset=demo", "--model=tiny-bert", "--limit=250", "--dropout=0"),
    *("--num-epochs=2", "--batch-size=25", "--wandb-mode=disabled", "--learning-rate=1e-3"),
)
LAUNCHERS = {
    "torchrun": ("torchrun", "--nproc-per-node=2", "--master-port=29517"),
    "accelerate": ("accelerate", "launch", "--cpu", "--num_processes=2",
                   "--num_machines=1", "--main_process_port=29518"),
}  # fmt: skip


def record(output: Path) -> dict[str, Any]:
    (found,) = output.glob("*/run.json")  # one run, though two processes
    value: dict[str, Any] = json.loads(found.read_text())
    return value


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_are_as_one(tmp_path: Path, launcher: str) -> None:
    alone = goemo_train(tmp_path, *ARGUMENTS[2:], f"--output={tmp_path / 'one'}")
    assert alone.returncode == 0, alone.stderr
    program, *options = LAUNCHERS[launcher]
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *options, *ARGUMENTS,
         f"--output={tmp_path / 'two'}"],
        env=environment(tmp_path), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("best epoch") == 1
    one, two = record(tmp_path / "one"), record(tmp_path / "two")
    for mine, theirs in zip(one["history"], two["history"], strict=True):
        for key in ("train/loss", "val/loss", "val/auc", "train/auc", "train/grad_norm"):
            assert mine[key] == pytest.approx(theirs[key], rel=2e-4), key
    assert one["summary"]["test/auc"] == pytest.approx(two["summary"]["test/auc"], abs=1e-3)
    assert two["summary"]["test/support_joy"] == one["summary"]["test/support_joy"]
