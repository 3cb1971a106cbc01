"""Runs without predictions stand in the report as they logged themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import goemo_report as gr
from goemo_report.cli import goemo_report
from goemo_report.comparison import compare
from goemo_report.report.sections import _modules
from goemo_report.results import LoadedRuns
from tests.offline_runs import OfflineRun, write_prediction_file
from tests.sources.log_writer import (
    exit_record,
    history_record,
    new_record,
    run_record,
    write_run,
)
from tests.synthetic import run_result


def trainers(run_id: str, seed: int) -> Iterator[Any]:
    """What `transformers.Trainer(report_to="wandb")` logs: keys at different steps."""
    config = {"_name_or_path": "/models/minilm/model", "seed": seed, "learning_rate": 3e-4,
              "output_dir": f"out/{seed}"}  # fmt: skip
    record = run_record(run_id, display_name="trainer", project="p")
    for key, value in config.items():
        record.run.config.update.add(key=key, value_json=json.dumps(value))
    yield record
    for step, row in enumerate(
        (
            {"train/loss": 0.6, "train/epoch": 0.5, "train/global_step": 10},
            {"eval/loss": 0.5, "eval/macro_f1": 0.2, "train/epoch": 1, "train/global_step": 20},
            {"train/loss": 0.4, "train/epoch": 1.5, "train/global_step": 30},
            {"eval/loss": 0.3, "eval/macro_f1": 0.3, "train/epoch": 2, "train/global_step": 40},
            {"test/macro_f1": 0.25 + seed / 100, "test/loss": 0.35, "train/epoch": 2,
             "train/global_step": 40},
        )
    ):  # fmt: skip
        yield history_record(step, **{key: json.dumps(value) for key, value in row.items()})
    summary = new_record()
    summary.summary.update.add(key="test/macro_f1", value_json=str(0.25 + seed / 100))
    yield summary
    yield exit_record()


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for seed in (1, 2):
        write_run(tmp_path / "hf", f"t{seed}", trainers(f"t{seed}", seed))
    return tmp_path / "hf"


def test_only_logged_figures_where_no_run_has_predictions(logs: Path) -> None:
    done = CliRunner().invoke(goemo_report, ["compare", "--wandb-dir", str(logs)])
    assert done.exit_code == 0, done.stderr
    assert "No run has predictions" in done.stderr
    assert "log_predictions" in done.stderr
    report = json.loads(Path("reports/comparison.json").read_text())
    assert report["data"]["runs"] == []
    assert [run["id"] for run in report["data"]["logged"]] == ["t1", "t2"]
    assert report["data"]["logged"][0]["logged"]["val/macro_f1"] == 0.3
    (section,) = report["sections"]
    metrics = next(b for b in section["blocks"] if b.get("id") == "logged-metrics")
    row = metrics["rows"][1]
    assert row["model"] == "minilm"
    assert (row["seed"], row["test/macro_f1"], row["val/loss"]) == (2, 0.27, 0.3)
    loss = next(b for b in section["blocks"] if b.get("id") == "logged-loss")
    assert [one["x"] for one in loss["series"][:2]] == [[0.5, 1.5], [1.0, 2.0]]
    assert "as logged, not recomputed" in Path("reports/comparison.html").read_text()


def test_they_stand_beside_runs_with_predictions_and_in_no_ranking(logs: Path) -> None:
    write_prediction_file(Path("good.csv"), OfflineRun(run_id="good", texts=60), "test")
    found = gr.compare(gr.runs("good.csv", "t1", wandb_dir=logs))
    assert found.names == ("good",)
    assert [run.id for run in found.comparison.logged] == ["t1"]
    (skipped,) = found.skipped
    assert skipped.reason.endswith("it is shown as it logged itself")
    section = next(s for s in found.report().sections if s.id == "logged")
    assert "no ranking" in str(section.blocks[0])
    assert "t1" not in found.leaderboard["id"].tolist()


def test_the_api_says_that_there_are_only_logged_figures(logs: Path, tmp_path: Path) -> None:
    found = gr.compare(gr.runs(wandb_dir=logs))
    assert found.verdict.startswith("No run has predictions")
    assert found.verdict.numbers["p"] is None
    assert found.names == ("trainer", "trainer")
    assert found.leaderboard.empty
    assert found.save(tmp_path / "x.md").read_text().count("# Logged, not recomputed") == 1
    with pytest.raises(gr.GoemoError, match="No run has predictions"):
        found.publish("x")
    with pytest.raises(gr.GoemoError, match="there is no section 'overall'"):
        found.save(tmp_path / "x.md", sections="overall")


def test_a_run_with_the_other_split_alone_stands_among_the_logged() -> None:
    held = run_result(OfflineRun(run_id="a", texts=60), splits=("val",))
    none = run_result(OfflineRun(run_id="b", texts=60), splits=())
    found = compare(LoadedRuns((held,), logged=(none,)), split="test")
    assert {run.id for run in found.logged} == {"a", "b"}
    assert not found.runs


def test_chapters_follow_each_other_once() -> None:
    chapters = [module.CHAPTER for module in _modules().values()]
    assert [one for one, _ in groupby(chapters)] == list(dict.fromkeys(chapters))


def test_trainers_runs_differ_by_their_seed_alone(logs: Path) -> None:
    done = CliRunner().invoke(goemo_report, ["runs", "--wandb-dir", str(logs)])
    lines = done.stdout.splitlines()
    assert "differs by" in lines[0]
    assert [" seed 1 " in lines[1], " seed 2 " in lines[2], "output_dir" in done.stdout] == [
        True, True, False,
    ]  # fmt: skip


def test_a_run_with_predictions_of_another_split_is_no_reason_for_logged_figures() -> None:
    result = run_result(OfflineRun(run_id="a", texts=60), splits=("test",))
    with pytest.raises(gr.GoemoError, match="no run has usable val predictions"):
        compare([result], split="val")
