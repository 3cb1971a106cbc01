"""A whole offline run, read back with wandb's own reader."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from goemo_report import contract
from goemo_report.labels import EMOTIONS, WITHOUT_NEUTRAL
from goemo_report.predictions import read_predictions
from tests.train.conftest import RUN_ID, Finished, goemo_train, log_records
from tests.train.forked import Forks


def of_type(finished: Finished, kind: str) -> list[dict[str, Any]]:
    return [record[kind] for record in finished.records if record["type"] == kind]


def history(finished: Finished) -> list[dict[str, Any]]:
    return [record["item"] for record in of_type(finished, "history")]


def is_a(value: Any, key: contract.Key) -> bool:
    if value is None:
        return key.optional
    if key.type is float:  # JSON does not keep 1.0 apart from 1
        return type(value) in (float, int)
    return type(value) is key.type


def test_config_holds_the_whole_schema(finished: Finished) -> None:
    config = of_type(finished, "run")[0]["config"]["update"]
    for key in (*contract.CONFIG_KEYS, *contract.SYSTEM_KEYS):
        assert key.name in config, key.name
        assert is_a(config[key.name], key), (key.name, config[key.name])
    assert (config["num_labels"], config["train_samples"], config["val_samples"]) == (28, 900, 600)
    assert config["warmup_steps"] == config["steps"] // 10
    assert config["cuda_version"] == "none" or config["system/cuda_available"]


def test_name_tags_and_project(finished: Finished) -> None:
    run = of_type(finished, "run")[0]
    assert re.fullmatch(r"tiny-roberta-\d{8}-\d{6}", run["display_name"])
    assert run["tags"] == ["tiny-roberta", "training", "final", "mine"]
    assert run["project"] == contract.PROJECT
    assert run["run_id"] == RUN_ID


def test_every_epoch_is_one_step(finished: Finished) -> None:
    rows = history(finished)
    assert [row["_step"] for row in rows] == [1, 2, 3]
    for row in rows[:2]:
        assert row["epoch"] == row["_step"]
        macro = [key for key in contract.MACRO_AUC_METRICS if not key.name.startswith("test/")]
        for key in (*contract.EPOCH_METRICS, *macro):
            assert is_a(row[key.name], key), key.name
    assert rows[1]["train/learning_rate"] < rows[0]["train/learning_rate"]
    assert "train/loss" not in rows[2]


def test_evaluation_is_in_the_history_and_in_the_summary(finished: Finished) -> None:
    summary: dict[str, Any] = {}
    for record in of_type(finished, "summary"):
        summary.update(record["update"])
    last = history(finished)[-1]
    keys = (*contract.evaluation_metrics(EMOTIONS), contract.MACRO_AUC_METRICS[2])
    assert len(keys) == 7 + 28 * 4 + 3 + 1
    for key in keys:
        assert is_a(summary[key.name], key), key.name
        assert last[key.name] == summary[key.name]
    best = max(history(finished)[:2], key=lambda row: row["val/auc"])
    assert (summary["final_epoch"], summary["best_epoch"]) == (2, best["epoch"])
    exits = [record for record in finished.records if record["type"] == "exit"]
    assert exits[0]["exit"].get("exit_code", 0) == 0


def test_logged_numbers_are_the_numbers_of_the_file(finished: Finished) -> None:
    found = read_predictions(finished.directory / "test_predictions.csv")
    summary = history(finished)[-1]
    p, y = found.probabilities, found.truth
    assert summary["test/auc"] == pytest.approx(roc_auc_score(y, p, average="micro"), abs=1e-12)
    assert summary["test/macro_auc"] == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    expected = f1_score(y, p >= 0.5, average="macro", zero_division=0)
    assert summary["test/macro_f1"] == pytest.approx(expected, abs=1e-12)
    assert summary["test/support_grief"] == int(y[:, EMOTIONS.index("grief")].sum())


def test_four_artifacts_are_staged_below_the_output(finished: Finished) -> None:
    artifacts = {a["name"]: a for a in of_type(finished, "artifact")}
    kinds = {k.name("tiny-roberta", RUN_ID): k for k in contract.ARTIFACTS.values()}
    assert set(artifacts) == set(kinds)
    staging = finished.output / "artifacts" / "staging"
    for name, kind in kinds.items():
        artifact = artifacts[name]
        assert artifact["type"] == kind.type
        entries = {entry["path"]: entry for entry in artifact["manifest"]["contents"]}
        for content in kind.contents:
            choices = {content} if isinstance(content, str) else set(content)
            assert choices & set(entries)
        for entry in entries.values():
            path = Path(entry["local_path"])
            assert path.parent == staging
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).digest()
            assert base64.b64encode(digest).decode() == entry["digest"]


def test_checkpoint_metadata(finished: Finished) -> None:
    found = next(a for a in of_type(finished, "artifact") if "-checkpoint-" in a["name"])
    metadata = json.loads(found["metadata"])
    for key in contract.CHECKPOINT_METADATA:
        assert is_a(metadata[key.name], key), key.name
    assert metadata["hyperparameters"]["num_epochs"] == 2


def test_files_have_the_columns_of_the_guide(finished: Finished) -> None:
    with (finished.directory / "val_predictions.csv").open(encoding="utf-8", newline="") as file:
        assert tuple(next(csv.reader(file))) == contract.prediction_columns(EMOTIONS)
    with (finished.directory / "per_class_metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [key.name for key in contract.PER_CLASS_COLUMNS]
    assert [row["emotion"] for row in rows] == list(EMOTIONS)
    for row in rows:
        assert sum(int(row[c]) for c in ("tp", "fp", "fn", "tn")) == 600


def test_plain_lines_and_a_summary(finished: Finished) -> None:
    assert "\x1b" not in finished.stderr
    assert finished.stderr.count("texts/s") == 2
    assert f"goemo-report compare {RUN_ID} --wandb-dir {finished.output}" in finished.stdout
    assert str(finished.directory) in finished.stdout
    assert not list(finished.directory.glob("state-*"))  # nothing to resume


def test_disabled_writes_the_same_files_without_wandb(tmp_path: Path, forks: Forks) -> None:
    code, said = forks.run(
        *("--dataset=demo", "--model=tiny-bert", "--num-epochs=1", "--limit=160"),
        *("--wandb-mode=disabled", "--exclude-neutral", f"--output={tmp_path / 'runs'}"),
    )
    assert code == 0, said
    (directory,) = (tmp_path / "runs").iterdir()
    assert {path.name for path in directory.iterdir()} == {
        *("checkpoint", "run.json", "per_class_metrics.csv"),
        *("val_predictions.csv", "test_predictions.csv"),
    }
    found = read_predictions(directory / "test_predictions.csv")
    assert found.labels == WITHOUT_NEUTRAL.labels
    record = json.loads((directory / "run.json").read_text())
    assert record["config"]["num_labels"] == 27
    assert np.isfinite(record["summary"]["test/auc"])


def test_a_series_makes_runs_of_their_own(tmp_path: Path, forks: Forks) -> None:
    code, said = forks.run(
        *("--dataset=demo", "--model=tiny-roberta", "--num-epochs=1", "--limit=100"),
        *("--wandb-mode=offline", "--seeds=1,2", f"--output={tmp_path / 'runs'}"),
    )
    assert code == 0, said
    paths = sorted((tmp_path / "runs").glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    ids = " ".join(json.loads(path.read_text())["id"] for path in paths)
    last = said.splitlines()[-1]
    assert last == f"series     goemo-report compare {ids} --wandb-dir {tmp_path / 'runs'}"
    records = [json.loads(p.read_text()) for p in (tmp_path / "runs").glob("*/run.json")]
    assert sorted(record["config"]["random_seed"] for record in records) == [1, 2]
    assert records[0]["history"][0]["train/loss"] != records[1]["history"][0]["train/loss"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--batch-size=0",), 2, "--batch-size is 0"),
        (("--dataset=/nowhere",), 1, "neither go_emotions nor demo"),
        (("--resume=abc",), 1, "no runs below"),
        (("--resume=",), 2, "--resume is empty"),
        (("--dataset=demo", "--model=tiny-bret"), 1, "a directory, tiny-bert or tiny-roberta"),
        (("--dataset=demo", "--model=./nowhere/x"), 1, "no such model or directory"),
        (("--model=", "--dataset=demo"), 2, "--model is empty"),
        (("--seeds=3,4", "--ablate=random-seed=1,2"), 2, "--random-seed is given more than once"),
        (("--seeds=3,4", "--random-seed=1"), 2, "--random-seed is given more than once"),
        (("--ablate=output=a,b",), 2, "--output changes no result"),
        (("--random-seed=-1",), 2, "Give a value from 0 to 4294967295"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, forks: Forks, arguments: tuple[str, ...], code: int, message: str
) -> None:
    ended, said = forks.run(*arguments, f"--output={tmp_path}", WANDB_MODE="disabled")
    assert ended == code
    assert message in said.splitlines()[-1]
    assert "Traceback" not in said


def test_without_network_the_hub_is_not_asked_again_and_again(tmp_path: Path) -> None:
    done = goemo_train(
        tmp_path, "--dataset=demo", "--model=roberta-base", "--wandb-mode=disabled",
        HF_HUB_OFFLINE="", HF_ENDPOINT="http://127.0.0.1:9",
    )  # fmt: skip
    assert done.returncode == 1
    first, _, last = done.stderr.splitlines()  # no line of a retry
    assert first.startswith("http://127.0.0.1:9 cannot be reached")
    assert "roberta-base cannot be loaded" in last
    assert "HF_HOME must hold it" in last


def test_a_loss_that_is_not_finite_fails_the_run_with_the_remedy(
    tmp_path: Path, forks: Forks
) -> None:
    code, said = forks.run(
        *("--dataset=demo", "--model=tiny-bert", "--num-epochs=2", "--limit=100"),
        *("--learning-rate=10", "--max-grad-norm=1e9", "--warmup-steps=0", "--bias-start=zero"),
        *("--weight-decay=10", "--wandb-mode=offline", f"--output={tmp_path / 'runs'}"),
    )
    assert code == 1
    assert "Lower --learning-rate" in said.splitlines()[-1]
    (log,) = (tmp_path / "runs").glob("wandb/offline-run-*/run-*.wandb")
    (ended,) = (record["exit"] for record in log_records(log) if record["type"] == "exit")
    assert ended["exit_code"] == 1
