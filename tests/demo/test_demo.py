from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import goemo_report as gr
from goemo_report import errors
from goemo_report.api import demo
from goemo_report.api.demo import plan, train
from goemo_report.cli import goemo_report
from goemo_report.errors import GoemoError


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for Python: a script that gets the trainer's arguments; tests write its body."""
    script = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(demo, "_APART", 0.0)
    return script


def write_script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_the_plan_is_two_models_with_two_seeds_under_new_ids(tmp_path: Path) -> None:
    runs = plan(tmp_path)
    assert {(run.model, run.seed) for run in runs} == {
        (model, seed) for model in ("tiny-bert", "tiny-roberta") for seed in (1, 2)
    }
    again = plan(tmp_path)
    assert len({run.id for run in (*runs, *again)}) == 8
    assert all(re.fullmatch(r"[a-z0-9]+", run.id) for run in runs)


def test_every_run_is_started_offline_and_finished(trainer: Path, tmp_path: Path) -> None:
    write_script(trainer, 'echo "$WANDB_MODE $WANDB_RUN_ID $WANDB_API_KEY $*"')
    runs = plan(tmp_path / "runs")
    os.environ["WANDB_API_KEY"] = "secret"
    try:
        events = list(train(runs, tmp_path / "runs"))
    finally:
        del os.environ["WANDB_API_KEY"]
    assert [run for run, seconds in events if seconds is None] == runs
    assert {run for run, seconds in events if seconds is not None} == set(runs)
    for run in runs:
        said = run.log.read_text()
        assert said.startswith(f"offline {run.id}  -m goemo_train --dataset demo")
        assert f"--model {run.model} --random-seed {run.seed}" in said


def test_a_trainer_that_fails_stops_the_others(trainer: Path, tmp_path: Path) -> None:
    write_script(
        trainer, 'case "$*" in *"--random-seed 1"*) echo boom; exit 3;; esac; exec sleep 60'
    )
    began = time.monotonic()
    with pytest.raises(GoemoError) as caught:
        list(train(plan(tmp_path / "runs"), tmp_path / "runs"))
    assert time.monotonic() - began < 15
    assert "exit code 3: boom" in caught.value.what
    assert ".log" in caught.value.remedy


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "find_spec", lambda name: None if name == "torch" else object())


def test_without_the_trainer_made_up_predictions_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_torch(monkeypatch)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(goemo_report, ["demo"])
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("these predictions are made up: goemo[train]")
    assert done.stdout.splitlines()[0] == "reports/demo.html"
    assert (tmp_path / "reports" / "demo.html").stat().st_size > 100_000
    scores = gr.compare(*sorted((tmp_path / "runs/demo").iterdir())).leaderboard
    assert len(scores) == 3
    assert scores["value"].between(0.3, 0.8).all()


@pytest.mark.slow
def test_from_nothing_to_a_report(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "goemo_report", "demo"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "reports/demo.html"
    document = json.loads((tmp_path / "reports" / "demo.json").read_text("utf-8"))
    assert "schema_version" in document
    assert (tmp_path / "reports" / "demo.html").stat().st_size > 100_000
    assert done.stderr.count("trained in") == 5
