"""`goemo-report check` the way a user and a CI system type it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from goemo_report.cli import goemo_report


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(goemo_report, ["check", *map(str, arguments)])


def test_one_line_a_condition(offline_root: Path) -> None:
    result = invoke(
        *("robertalarges1", "--wandb-dir", offline_root, "--require-artifacts", "--require-audit"),
        *("--fail-under", "macro_f1=0.1", "--fail-under", "test/f1_joy=0.999"),
    )
    assert result.exit_code == 3, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok", "failed", "ok", "ok"]
    assert "test/macro_f1 at least 0.1: 0." in lines[0]
    assert result.stderr == "1 of 4 conditions failed\n"


def test_all_met_is_exit_code_0(offline_root: Path) -> None:
    result = invoke("--tag", "final", "--wandb-dir", offline_root, "--fail-under", "auc=0.5")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 4


def test_a_drop_below_the_baseline(offline_root: Path, tmp_path: Path) -> None:
    runs = ("distilbertbases1", "--baseline", "robertalarges1", "--wandb-dir", offline_root)
    assert invoke(*runs, "--max-drop", "macro_f1=0.9").exit_code == 0
    result = invoke(*runs, "--max-drop", "0.01", "--format", "json", "--confidence", "0.95")
    assert result.exit_code == 3
    document: Any = json.loads(result.stdout)
    (condition,) = document["conditions"]
    assert document["baseline"]["id"] == "robertalarges1"
    assert condition["metric"] == "test/macro_f1"
    assert condition["low"] < condition["value"] < condition["high"]
    (tmp_path / "pyproject.toml").write_text('[tool.goemo]\nbaseline = "robertalarges1"\n')
    asked = ("distilbertbases1", "--wandb-dir", offline_root, "--max-drop", "macro_f1=1")
    assert "below roberta-large" in invoke(*asked).stdout


def test_any_confidence(offline_root: Path) -> None:
    runs = ("robertalarges1", "--wandb-dir", offline_root, "--fail-under", "macro_f1=0.1")
    for level, words in (("0.8", "80%"), ("0.99", "99%")):
        result = invoke(*runs, "--confidence", level)
        assert f"{words} interval from" in result.stdout
        assert f"bounds of the {words} interval" in result.stderr
    document: Any = json.loads(invoke(*runs, "--confidence", "0.9", "--format", "json").stdout)
    assert document["confidence"] == 0.9


def test_a_confidence_says_its_rule(offline_root: Path) -> None:
    runs = ("robertalarges1", "--wandb-dir", offline_root, "--confidence", "0.95")
    result = invoke(*runs, "--fail-under", "macro_f1=0.1")
    assert "95% interval" in result.stdout
    assert "the lower one against --fail-under" in result.stderr
    assert "the lower one" in invoke(*runs, "--fail-under", "auc=0.1", "--format", "md").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Give a condition"),
        (["--fail-under", "f1_joy"], "METRIC=VALUE"),
        (["--fail-under", "f1_yoy=0.4"], "Similar: f1_joy"),
        (["--fail-under", "f1_happy=0.4"], "The emotions are admiration, amusement"),
        (["--max-drop", "0.1"], "--baseline RUN"),
        (["--baseline", "robertalarges2", "--require-audit"], "--max-drop METRIC=VALUE"),
        (["--fail-under", "auc=0.1", "--confidence", "95"], "0.5<x<=0.999"),
        (["--fail-under", "auc=0.1", "--confidence", "0.5"], "0.5<x<=0.999"),
        (["--fail-under", "auc=0.1", "--confidence", "nan"], "above 0.5 and at most 0.999"),
        (["--fail-under", "macro_f1=45"], "Did you mean macro_f1=0.45?"),
        (["--fail-under", "hamming_loss=0.1"], "--fail-over hamming_loss=0.1"),
    ],
)
def test_wrong_usage(offline_root: Path, arguments: list[str], said: str) -> None:
    result = invoke("robertalarges1", "--wandb-dir", offline_root, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_runs_that_cannot_be_judged_fail(mixed_root: Path) -> None:
    result = invoke("killed", "--wandb-dir", mixed_root, "--fail-under", "macro_f1=0")
    assert result.exit_code == 3
    assert "logged no test predictions" in result.stdout
    runs = ("failed", "--baseline", "killed", "--wandb-dir", mixed_root)
    result = invoke(*runs, "--max-drop", "macro_f1=0.5")
    assert result.exit_code == 1
    assert "the baseline cannot be used" in result.stderr


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("null=0.5", "the run did not log a number as null"),
        ("text=0.5", "the run did not log a number as text"),
        ("train/loss_std=1", "the run did not log train/loss_std"),
        ("best_epoch=1", "the run did not log best_epoch"),
        ("inner.deep.x=6", "5.0000 (as logged)"),
    ],
)
def test_a_figure_that_is_null_or_absent_is_a_failed_condition(
    odd_root: Path, condition: str, said: str
) -> None:
    kind = "--fail-over" if "loss" in condition else "--fail-under"
    result = invoke("odd", "--wandb-dir", odd_root, kind, condition)
    assert result.exit_code == 3
    assert said in result.stdout


def test_requirements_name_the_rules_that_are_broken(mixed_root: Path) -> None:
    runs = ("otherdialect", "--wandb-dir", mixed_root, "--require-artifacts", "--require-audit")
    result = invoke(*runs)
    assert result.exit_code == 3
    assert result.stdout.count("errors: artifact-per-class-metrics") == 2
    Path("pyproject.toml").write_text(
        '[tool.goemo.waive]\nartifact-per-class-metrics = "recomputed"\n'
    )
    assert invoke(*runs).exit_code == 0


def test_junit_and_output_do_not_overwrite_each_other(offline_root: Path) -> None:
    run = ("robertalarges1", "--wandb-dir", offline_root, "--fail-under", "macro_f1=0")
    for place in (("--junit", "-"), ("--junit", "gate.xml", "-o", "gate.xml")):
        result = invoke(*run, *place)
        assert result.exit_code == 2
        assert "give each its own" in result.stderr
    assert not Path("gate.xml").exists()


def test_junit_and_summary(offline_root: Path, tmp_path: Path) -> None:
    result = invoke(
        *("--tag", "final", "--wandb-dir", offline_root, "--fail-under", "macro_f1=0.6"),
        *("--junit", "gate.xml", "--format", "md"),
    )
    assert result.exit_code == 3
    assert "### Quality gate: 2 of 4 failed" in result.stdout
    assert "(robertalarges1)" in result.stdout
    suites = ET.parse(tmp_path / "gate.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("4", "2")
