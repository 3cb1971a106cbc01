"""What `compare` writes of the command that made the report."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from goemo_report.cli import goemo_report
from goemo_report.sources.model import RunQuery
from goemo_report.sources.offline_logs.source import LogSource


def test_a_login_in_an_address_stays_out_of_the_report(offline_root: Path) -> None:
    run = LogSource(offline_root).list_runs(RunQuery()).runs[0]
    address = f"https://bob:hunter2@wandb.example/team/{run.project}/runs/{run.id}"
    words = ["compare", address, "--wandb-dir", str(offline_root), "--resamples", "100"]
    result = CliRunner().invoke(goemo_report, [*words, "--format", "json", "-o", "-"])
    assert result.exit_code == 0, result.output
    assert f"https://wandb.example/team/{run.project}/runs/{run.id}" in result.stdout
    assert "hunter2" not in result.output
