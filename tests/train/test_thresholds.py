"""One run has one set of tuned thresholds, whoever is asked for them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.card.facts import Card
from goemo_report.cli import goemo_report
from goemo_report.comparison import compare
from goemo_report.contract import SPLITS
from goemo_report.labels import EMOTIONS
from goemo_report.results import RunResult
from goemo_report.results.loading import load_results
from goemo_report.sources.offline_logs.source import LogSource
from goemo_report.thresholds.tune import MINIMUM_SUPPORT
from tests.train.conftest import RUN_ID, Finished


@pytest.fixture(scope="module")
def result(finished: Finished) -> RunResult:
    source = LogSource(finished.output)
    return load_results(source, [source.find_run(RUN_ID)], SPLITS)[0]


@pytest.fixture
def kept(finished: Finished) -> dict[str, Any]:
    path = finished.directory / "checkpoint" / "thresholds.json"
    return dict(json.loads(path.read_text("utf-8")))


def command(finished: Finished, *arguments: str) -> str:
    options = ["--wandb-dir", str(finished.output)]
    done = CliRunner().invoke(goemo_report, [*arguments, *options])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_checkpoint_the_summary_and_the_commands_agree(
    finished: Finished, result: RunResult, kept: dict[str, Any]
) -> None:
    (entry,) = json.loads(command(finished, "thresholds", RUN_ID))["entries"]
    exported = dict(zip(entry["labels"], entry["thresholds"], strict=True))
    assert exported == kept["thresholds"]
    summary = result.run.summary
    assert exported == {label: summary[f"threshold/{label}"] for label in EMOTIONS}
    card = command(finished, "card", RUN_ID)
    (code,) = re.findall(r"^thresholds = (\{.+\})$", card, re.MULTILINE)
    assert json.loads(code) == exported


def test_rare_classes_follow_one_rule(
    finished: Finished, result: RunResult, kept: dict[str, Any]
) -> None:
    """Validation of the demo corpus has classes that are too rare to be tuned alone."""
    support = result.splits["val"].scores.counts.support.tolist()
    rare = [label for label, n in zip(EMOTIONS, support, strict=True) if n < MINIMUM_SUPPORT]
    assert rare
    (entry,) = json.loads(command(finished, "thresholds", RUN_ID, "--protocol", "global"))[
        "entries"
    ]
    assert {kept["thresholds"][label] for label in rare} == {entry["thresholds"][0]}
    assert f"fewer than {MINIMUM_SUPPORT} positives" in kept["method"]


def test_the_logged_figures_are_the_figures_of_the_report(
    result: RunResult, kept: dict[str, Any]
) -> None:
    for split in SPLITS:
        assert result.run.summary[f"{split}/macro_f1_tuned"] == kept[f"{split}/macro_f1"]
    logged = result.run.summary["test/macro_f1_tuned"]
    assert compare([result]).best.value(TUNED_F1) == pytest.approx(logged, abs=1e-12)
    tuned = Card(result).tuned
    assert tuned is not None
    assert tuned.overall["macro_f1"] == pytest.approx(logged, abs=1e-12)
