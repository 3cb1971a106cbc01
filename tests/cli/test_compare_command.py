"""What `compare` writes of the command that made the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import goemo_report as gr
from goemo_report.cli import goemo_report
from goemo_report.cli.compare import _tell
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.offline_logs.source import LogSource


def test_a_login_in_an_address_stays_out_of_the_report(offline_root: Path) -> None:
    run = LogSource(offline_root).list_runs(RunQuery()).runs[0]
    address = f"https://bob:hunter2@wandb.example/team/{run.project}/runs/{run.id}"
    words = ["compare", address, "--wandb-dir", str(offline_root), "--resamples", "100"]
    result = CliRunner().invoke(goemo_report, [*words, "--format", "json", "-o", "-"])
    assert result.exit_code == 0, result.output
    assert f"https://wandb.example/team/{run.project}/runs/{run.id}" in result.stdout
    assert "hunter2" not in result.output


def test_labels_alone_are_ranked_as_predicted(tmp_path: Path) -> None:
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for path, last in zip(paths, ("joy", "love"), strict=True):
        rows = f"a,joy,joy\nb,grief,joy\nc,love,{last}\n"
        path.write_text(f"text,true_labels,pred_labels\n{rows}", encoding="utf-8")
    words = ["compare", *map(str, paths), "--resamples", "100", "--format", "md", "-o", "-"]
    result = CliRunner().invoke(goemo_report, words)
    assert result.exit_code == 0, result.output
    assert "Ranked by macro F1 as predicted" in result.stdout
    for claim in ("at 0.5", "hreshold 0.5", "threshold:0.5", "\u2265 0.5", "tuned"):
        assert claim not in result.stdout, claim


def test_a_terminal_lists_runs_by_the_metric_that_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = "text,true_labels,pred_prob_joy,pred_prob_grief\n"
    for run, high in (("one", 0.4), ("two", 0.3)):  # nothing is predicted at 0.5
        rows = [
            f"text {n},{label},{p if label == 'joy' else 0.1},{0.1 if label == 'joy' else p}\n"
            for n in range(40)
            for label, p in [(("joy", "grief")[n % 2], high if n % 5 or run == "one" else 0.05)]
        ]
        (tmp_path / run).mkdir()
        for split in ("test", "val"):
            path = tmp_path / run / f"{split}_predictions.csv"
            path.write_text(header + "".join(rows), encoding="utf-8")
    found = gr.compare(tmp_path / "one", tmp_path / "two", resamples=100)
    _tell(found)
    verdict, *best = capsys.readouterr().out.splitlines()
    assert "tuned thresholds" in verdict
    assert best[0] == "1.000  one"
    assert best[1].endswith("  two")
    assert not best[1].startswith(("0.000", "1.000"))
