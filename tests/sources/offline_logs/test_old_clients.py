"""Logs that clients from 0.13 to 0.31 wrote, one each, all of the same made-up run."""

from __future__ import annotations

from pathlib import Path

import pytest

from goemo_report.sources.offline_logs.source import LogSource

DATA = Path(__file__).with_name("data")
IDS = ["client013", "client016", "client019", "client022", "client027", "client031"]


def test_every_log_is_found() -> None:
    assert sorted(path.parent.name[-9:] for path in DATA.rglob("*.wandb")) == IDS


@pytest.mark.parametrize("run_id", IDS)
def test_they_are_read_alike(run_id: str) -> None:
    source = LogSource(DATA)
    run = source.find_run(run_id)
    assert (run.id, run.state, run.tags) == (run_id, "finished", ("distilbert-base", "final"))
    assert (run.job_type, run.group) == ("train", "clients")
    assert run.notes.startswith(f"Written by wandb 0.{run_id[-2:]}.")
    assert run.config["learning_rate"] == 2e-5
    assert run.config["random_seed"] == int(run_id[-2:])
    expected = {"best_epoch": 3, "epoch": 3, "test/macro_f1": 0.31, "val/auc": 0.8}
    assert expected.items() <= run.summary.items()
    history = source.histories([run])[run_id]
    assert [row["_step"] for row in history] == [1, 2, 3, 4]
    assert [row.get("val/auc") for row in history] == [0.6, 0.7, 0.8, None]
    [artifact] = source.artifacts([run])[run_id]
    assert (artifact.role, artifact.metadata) == ("test-predictions", {"split": "test"})
    [[file]] = source.manifests([artifact])
    assert (file.path, file.size) == ("test_predictions.csv", 113)
