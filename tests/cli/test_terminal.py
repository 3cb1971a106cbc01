"""What a terminal of 80 columns shows, what is listed, and which folders may be named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import goemo_report as gr
from goemo_report.cli import goemo_report
from goemo_report.cli._output import cut, narrowed, plain
from goemo_report.report.document import Cell, Column, Table
from tests.offline_runs import OfflineRun, write_prediction_file

WIDE = Table(
    "artifacts",
    "Artifacts",
    (
        Column("name", "artifact"),
        Column("type", "type"),
        Column("size", "size", "bytes"),
        Column("digest", "MD5", "code"),
    ),
    (
        ("roberta-large-per-class-metrics-robertalarges1", "dataset", 1490, "a" * 32),
        (Cell("two words that go on and on, longer than a line of 80 is", mark="warning"),
         "model", 5, "b" * 32),
    ),
)  # fmt: skip


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(goemo_report, list(map(str, arguments)))


def test_no_line_is_wider_than_the_terminal() -> None:
    shown = cut(narrowed(WIDE, 80, ("type",), folds=False), 80)
    title, *lines = plain(shown).splitlines()
    table, hints = lines[:3], lines[3:]
    assert title == "Artifacts"
    assert max(map(len, table)) <= 80
    assert "a" * 32 in table[1]
    assert table[1].startswith("roberta-large-per-")
    assert "\u2026" in table[1]
    assert "robertalarges1 " in table[1]  # the end tells names apart
    assert table[2].startswith("! two words that go on")
    assert hints[0] == "Not shown at this width: type."
    assert "--format json has all" in hints[1]
    assert cut(WIDE, 200) is WIDE


def test_what_a_client_keeps_for_itself_is_not_shown(offline_root: Path) -> None:
    found = gr.runs(wandb_dir=offline_root)[0]
    assert "_wandb" in found.summary
    assert "_wandb" not in invoke("show", found.id, "--wandb-dir", offline_root).stdout
    document = json.loads(
        invoke("show", found.id, "--wandb-dir", offline_root, "--format", "json").stdout
    )
    assert "_wandb" in document["run"]["summary"]


def test_published_reports_are_listed_when_asked_for(
    offline_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(offline_root, tmp_path / "runs", symlinks=True)
    monkeypatch.setenv("WANDB_MODE", "offline")
    gr.compare(gr.runs(wandb_dir=tmp_path / "runs")).publish("mine", wandb_dir=tmp_path / "runs")
    where = ("--wandb-dir", tmp_path / "runs", "--format", "csv")
    assert "report-mine" not in invoke("runs", *where).stdout
    assert "report-mine" in invoke("runs", "--with-reports", *where).stdout
    asked = invoke("runs", "--where", "job_type == 'report'", *where).stdout
    assert asked.count("\n") == 2


def test_a_file_may_lie_in_the_directory_that_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_prediction_file(Path("good.csv"), OfflineRun(run_id="good", texts=60), "test")
    line = ["compare", "good.csv", "--format", "json", "--summary"]
    refused = invoke(*line, "handin/s.md")
    assert refused.exit_code == 2
    assert "there is no directory handin for s.md" in refused.stderr
    for output, summary in ((("-o", "handin"), "./handin/s.md"), ((), "reports/s.md")):
        assert invoke(*line, summary, *output).exit_code == 0
        assert Path(summary).is_file()


def test_runs_are_sorted_with_and_without_a_limit(offline_root: Path) -> None:
    line = ("runs", "--wandb-dir", offline_root, "--sort", "-summary.test/macro_f1", "--format")
    whole = invoke(*line, "json")
    assert whole.exit_code == 0, whole.stderr
    values = [run["summary"]["test/macro_f1"] for run in json.loads(whole.stdout)["runs"]]
    assert values == sorted(values, reverse=True)
    assert "may be more" not in whole.stderr
    two = invoke(*line, "json", "--limit", "2")
    assert [run["summary"]["test/macro_f1"] for run in json.loads(two.stdout)["runs"]] == values[:2]
    assert "the first 2 by summary.test/macro_f1 of the runs" in two.stderr
