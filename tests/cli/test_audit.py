"""`goemo-report audit` the way a user types it, on offline runs and against a server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from goemo_report.audit import RULES
from goemo_report.cli import goemo_report
from tests.sources.log_writer import exit_record, run_record, write_run
from tests.train.conftest import RUN_ID, Finished, finished
from tests.wandb_server import WandbServer
from tests.wandb_server.fixtures import wandb_server

__all__ = ["finished", "wandb_server"]

COMMAND = str(Path(sys.executable).with_name("goemo-report"))


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(goemo_report, ["audit", *map(str, arguments)])


def test_a_run_of_the_trainer_passes(finished: Finished) -> None:
    result = invoke("--tag", "mine", "--wandb-dir", finished.output, "--strict")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"({RUN_ID}): {len(RULES)} rules, all kept\n")
    github = invoke(RUN_ID, "--wandb-dir", finished.output, "--format", "github")
    assert github.stdout == "::notice::goemo-report audit: 1 run checked, nothing found\n"


def staged_weights(copied: Path) -> Path:
    files = (p for p in copied.glob("artifacts/staging/**/*") if p.is_file())
    return max(files, key=lambda path: path.stat().st_size)


def test_weights_of_a_copy_are_judged_where_the_copy_is(finished: Finished, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(finished.output, copied)
    gate = ("check", RUN_ID, "--wandb-dir", str(copied), "--require-artifacts")
    assert invoke(RUN_ID, "--wandb-dir", copied, "--strict").exit_code == 0
    assert CliRunner().invoke(goemo_report, gate).exit_code == 0
    weights = staged_weights(copied)
    content = bytearray(weights.read_bytes())
    content[-9] ^= 1
    weights.write_bytes(content)
    result = invoke(RUN_ID, "--wandb-dir", copied)
    assert result.exit_code == 3
    assert "artifact-files" in result.stdout
    assert f"{weights} is not the file that was logged" in " ".join(result.stdout.split())
    failed = CliRunner().invoke(goemo_report, gate)
    assert failed.exit_code == 3
    assert "artifact-files" in failed.stdout


def test_files_keep_the_rules_about_predictions_and_about_their_config() -> None:
    rows = "text,true_a,true_b,pred_probs_a,pred_probs_b\nx,1,0,0.9,0.2\ny,0,1,0.4,0.7\n"
    Path("held").mkdir()
    file = Path("held/test_predictions.csv")
    file.write_text(rows, "utf-8")
    whole = invoke(file)
    asked = len([rule for rule in RULES if rule.of_files]) + 1  # the file's name is model_name
    assert f": {asked} rules, all kept" in whole.stdout
    assert f"predictions alone: {len(RULES) - asked} rules left out" in whole.stderr
    assert whole.exit_code == 0
    Path("held/config.yaml").write_text("learning_rate: 5\nnum_labels: 2\n", "utf-8")
    assert "is 5, not between 0 and 1" in invoke("held", "--format", "md").stdout
    file.write_text(rows.replace("0.7", "1.7"), "utf-8")
    broken = json.loads(invoke(file, "--format", "json").stdout)["runs"][0]
    assert broken["counts"]["error"] == 1
    assert broken["rules"] + broken["left_out"] == len(RULES)
    gate = ("check", str(file), "--require-audit")
    assert CliRunner().invoke(goemo_report, gate).exit_code == 3


def test_findings_make_exit_code_3(mixed_root: Path) -> None:
    result = invoke("otherdialect", "--wandb-dir", mixed_root)
    assert result.exit_code == 3
    assert "Errors (1)" in result.stdout
    assert "artifact-per-class-metrics" in result.stdout
    assert result.stdout.index("Errors (1)") < result.stdout.index("Notes (")


def test_strict_makes_warnings_findings(offline_root: Path) -> None:
    run = ("distilbertbases1", "--wandb-dir", offline_root)
    assert invoke(*run).exit_code == 0
    assert invoke(*run, "--strict").exit_code == 3


def test_every_format_has_every_finding(mixed_root: Path, tmp_path: Path) -> None:
    run = ("killed", "failed", "--wandb-dir", mixed_root)
    document: Any = json.loads(invoke(*run, "--format", "json").stdout)
    assert [one["run"]["id"] for one in document["runs"]] == ["killed", "failed"]
    rules = {finding["rule"] for one in document["runs"] for finding in one["findings"]}
    number = sum(len(one["findings"]) for one in document["runs"])
    github = invoke(*run, "--format", "github")
    assert github.exit_code == 3
    assert len(github.stdout.splitlines()) == number
    markdown = invoke(*run, "--format", "md").stdout
    written = invoke(*run, "--output", tmp_path / "audit.txt")
    assert written.exit_code == 3
    text = (tmp_path / "audit.txt").read_text()
    for rule in rules:
        assert f"{rule}" in markdown
        assert rule in text


def test_waivers_come_from_pyproject(mixed_root: Path, tmp_path: Path) -> None:
    settings = tmp_path / "pyproject.toml"
    settings.write_text(
        '[tool.goemo]\nwaive = { "artifact-per-class-metrics" = "reports recompute it" }\n'
    )
    result = invoke("otherdialect", "--wandb-dir", mixed_root)
    assert result.exit_code == 0
    assert "Waived (1)" in result.stdout
    assert "reports recompute it" in result.stdout
    settings.write_text('[tool.goemo.waive]\ntag-status = "a slip"\nrun-name = "x"\n')
    result = invoke("otherdialect", "--wandb-dir", mixed_root)
    assert result.exit_code == 1
    assert "tags-status" in result.stderr
    settings.write_text('[tool.goemo.waive]\nrun-name = "never needed"\n')
    assert "run-name" in invoke("otherdialect", "--wandb-dir", mixed_root).stderr
    settings.write_text('[tool.goemo.waive]\nrun-name = ""\n')
    result = invoke("otherdialect", "--wandb-dir", mixed_root)
    assert result.exit_code == 1
    assert "reason" in result.stderr


def test_the_same_verdict_from_a_server(
    finished: Finished, wandb_server: WandbServer, tmp_path: Path
) -> None:
    """A synced run is judged as its log was; the weights stay where they are."""
    shutil.copytree(finished.output, tmp_path / "runs", symlinks=True)
    environment = wandb_server.env(tmp_path / "home")
    environment["GOEMO_CACHE_DIR"] = str(tmp_path / "cache")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments], env=environment, cwd=tmp_path, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    sent = run("sync", "runs/wandb")
    assert sent.returncode == 0, sent.stdout + sent.stderr
    audited = run("audit", "--tag", "mine", "--strict", "--format", "json")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    (found,) = json.loads(audited.stdout)["runs"]
    assert found["findings"] == []
    weights = next(finished.directory.glob("checkpoint/pytorch_model.bin")).stat().st_size
    cached = [path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert cached
    assert weights not in cached


def test_the_runs_that_publishing_made_are_not_audited(finished: Finished, tmp_path: Path) -> None:
    copied = tmp_path / "copied"
    shutil.copytree(finished.output, copied)
    offline = {"WANDB_MODE": "offline", "WANDB_DIR": str(copied), "WANDB_SILENT": "true"}
    report = [COMMAND, "compare", "--wandb-dir", str(copied), "--publish", "-o", "out",
              "--format", "json", "--resamples", "100"]  # fmt: skip
    done = subprocess.run(report, env={**os.environ, **offline}, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    for more, number in (((), 1), (("--with-reports",), 2)):
        line = ["runs", "--wandb-dir", str(copied), "--format", "json", *more]
        listed = CliRunner().invoke(goemo_report, line)
        assert len(json.loads(listed.stdout)["runs"]) == number
    assert invoke("--wandb-dir", copied).exit_code == 0
    gate = ("check", "--wandb-dir", str(copied), "--fail-under", "macro_f1=0")
    assert CliRunner().invoke(goemo_report, gate).exit_code == 0


@pytest.mark.parametrize("form", ["table", "md", "json"])
def test_a_run_name_is_no_command_to_github(tmp_path: Path, form: str) -> None:
    hostile = run_record("hostile", display_name="::error title=x::y", project="##[group]z")
    write_run(tmp_path, "hostile", [hostile, exit_record()])
    for command in (["audit", "--format", form], ["runs"], ["show", "hostile"]):
        done = CliRunner().invoke(goemo_report, [*command, "--wandb-dir", str(tmp_path)])
        assert "error title=x" in done.stdout, done.output
        assert not [line for line in done.stdout.splitlines() if line.lstrip().startswith("::")]
        assert "##[" not in done.stdout
    listed = CliRunner().invoke(
        goemo_report, ["runs", "--format", "json", "--wandb-dir", str(tmp_path)]
    )
    assert json.loads(listed.stdout)["runs"][0]["project"] == "##[group]z"
