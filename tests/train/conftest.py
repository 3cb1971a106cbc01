"""Runs of the trainer that several tests look at."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.train.forked import Forks

RUN_ID = "demo1234"


def environment(directory: Path, **extra: str) -> dict[str, str]:
    """No account, no network, nothing of the user's own W&B settings."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    return {
        **clean,
        "HOME": str(directory),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_X_DISABLE_MACHINE_INFO": "true",
        "WANDB_DISABLE_GIT": "true",
        "WANDB_CACHE_DIR": str(directory / "cache"),
        **extra,
    }


def goemo_train(
    directory: Path, *arguments: str, timeout: float = 180, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "goemo_train", *arguments],
        env=environment(directory, **extra),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def log_records(log: Path) -> list[dict[str, Any]]:
    """Every record of a run log, as wandb's own reader prints them."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("wandb")), "leet", "inspect", "--json", str(log)],
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@dataclass(frozen=True)
class Finished:
    """An offline run of the demo corpus, made through the command line."""

    output: Path
    stdout: str
    stderr: str

    @property
    def directory(self) -> Path:
        return next(self.output.glob(f"*-{RUN_ID}"))

    @property
    def records(self) -> list[dict[str, Any]]:
        return log_records(next(self.output.glob(f"wandb/offline-run-*/run-{RUN_ID}.wandb")))


@pytest.fixture(scope="session")
def finished(session_directory: Path) -> Finished:
    """Two epochs of tiny-roberta, tagged `final`; made once, whichever worker asks first."""
    root = session_directory / "trained"
    streams = root / "streams.json"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not streams.exists():
            done = goemo_train(
                root,
                *("--dataset=demo", "--model=tiny-roberta", "--num_epochs=2", "--limit=900"),
                *("--wandb-mode=offline", "--status=final", "--tag=mine"),
                f"--output={root / 'runs'}",
                WANDB_RUN_ID=RUN_ID,  # as a sweep agent gives it
            )
            assert done.returncode == 0, done.stderr
            streams.write_text(json.dumps([done.stdout, done.stderr]))
    stdout, stderr = json.loads(streams.read_text())
    return Finished(root / "runs", stdout, stderr)


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """A process that has imported the trainer and forks at once, as often as asked."""
    from tests.train.forked import Forks  # which imports this file

    with Forks(tmp_path_factory.mktemp("forks")) as found:
        yield found
