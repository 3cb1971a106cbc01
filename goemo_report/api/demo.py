"""Four small runs, trained offline on the generated corpus, each in a process of its own.

Where no trainer is installed, prediction files of models that do not exist.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from goemo_report.errors import GoemoError

MODELS: Final = ("tiny-bert", "tiny-roberta")
SEEDS: Final = (1, 2)
_MADE_UP: Final = {"made-up-a": 3.0, "made-up-b": 3.3, "made-up-c": 3.4}
_APART: Final = 1.2  # seconds: run names carry the second at which a run started
_LAST_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One run of the demo and where its trainer's output goes."""

    number: int
    model: str
    seed: int
    id: str
    log: Path


def plan(directory: Path) -> list[DemoRun]:
    """Two models with two seeds each, under ids that no earlier demo has."""
    pairs = [(model, seed) for model in MODELS for seed in SEEDS]
    mark = secrets.token_hex(2)
    return [
        DemoRun(i, model, seed, run_id := f"{model.removeprefix('tiny-')}{seed}{mark}",
                directory / "logs" / f"{run_id}.log")
        for i, (model, seed) in enumerate(pairs, start=1)
    ]  # fmt: skip


def make_up(directory: Path) -> list[Path]:
    """Write validation and test predictions of three models that do not exist, a folder each.

    Texts and labels are those of the demo corpus. A logit is the label's base rate, a push
    towards the truth, which is what tells the models apart, and noise.
    """
    import numpy as np

    from goemo_report.corpora.demo import CUES, generate
    from goemo_report.predictions import write_predictions

    for split, rows in generate().items():
        if split == "train":
            continue
        texts = [text for text, _ in rows]
        truth = np.array([[label in ids for label in range(len(CUES))] for _, ids in rows])
        rates = np.log(truth.mean(axis=0) / (1 - truth.mean(axis=0)))
        for seed, (name, push) in enumerate(_MADE_UP.items()):
            noise = np.random.default_rng([seed, len(split)]).normal(size=truth.shape)
            likely = (1 / (1 + np.exp(-(rates + push * truth + noise)))).astype(np.float32)
            (directory / name).mkdir(parents=True, exist_ok=True)
            path = directory / name / f"{split}_predictions.csv"
            write_predictions(path, texts, truth, likely, 0.5, list(CUES))
    return [directory / name for name in _MADE_UP]


def train(runs: Sequence[DemoRun], directory: Path) -> Iterator[tuple[DemoRun, float | None]]:
    """Train all runs, as many at once as there are cores for, at most two.

    Yields each run when it is started and, with the seconds that it took, when it is trained.
    Raises GoemoError for a trainer that fails; the other trainers are stopped then, and also when
    the caller stops listening.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    at_once = min(2, cores or 1)
    environment = _environment(os.environ, threads=max(1, (cores or 1) // at_once))
    waiting = list(runs)
    running: dict[DemoRun, tuple[subprocess.Popen[bytes], float]] = {}
    last_start = 0.0
    try:
        while waiting or running:
            if waiting and len(running) < at_once and time.monotonic() - last_start > _APART:
                run = waiting.pop(0)
                last_start = time.monotonic()
                running[run] = _start(run, directory, environment), last_start
                yield run, None
            for run, (process, began) in list(running.items()):
                if process.poll() is not None:
                    del running[run]
                    _check(run, process.returncode)
                    yield run, time.monotonic() - began
            time.sleep(0.05)
    finally:
        _stop([process for process, _ in running.values()])


def _start(
    run: DemoRun, directory: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    run.log.parent.mkdir(parents=True, exist_ok=True)
    with run.log.open("wb") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "goemo_train", "--dataset", "demo"),
                *("--model", run.model, "--random-seed", str(run.seed)),
                *("--wandb-mode", "offline", "--status", "final", "--output", str(directory)),
            ],
            env={**environment, "WANDB_RUN_ID": run.id},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def _environment(environ: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment without the user's own W&B settings: no account, no network."""
    kept = {name: value for name, value in environ.items() if not name.startswith("WANDB_")}
    return kept | {
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
    }


def _check(run: DemoRun, exit_code: int) -> None:
    if exit_code == 0:
        return
    lines = run.log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = " / ".join(line for line in lines[-_LAST_LINES:] if line.strip()) or "nothing"
    raise GoemoError(
        f"training {run.model} with seed {run.seed} ended with exit code {exit_code}: {said}",
        f"Its whole output is in {run.log}",
    )


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        with suppress(OSError):
            process.terminate()
    for process in processes:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
