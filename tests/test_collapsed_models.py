"""Models that learned nothing, and data with nothing to learn, go through every command."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from goemo_report.audit import audit
from goemo_report.audit.evidence import Evidence
from goemo_report.audit.gate import Judge
from goemo_report.audit.limits import parse_limit, resolve
from goemo_report.card.body import render_card
from goemo_report.card.facts import Card
from goemo_report.cli import goemo_report
from goemo_report.comparison import Options, compare
from goemo_report.contract import prediction_columns
from goemo_report.formats.table import to_csv
from goemo_report.labels import EMOTIONS, GOEMOTIONS
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.predictions import Predictions
from goemo_report.report.render import FORMATS, render
from goemo_report.report.sections import build_report
from goemo_report.results import RunResult, SplitResult
from goemo_report.results.score_cache import score_both
from tests.synthetic import CREATED, run_result

ROWS, K = 30, len(EMOTIONS)
RANDOM = np.random.default_rng(0)
TRUTH: BoolArray = RANDOM.random((ROWS, K)) < 0.1
P: FloatArray = 0.5 * TRUTH + 0.02 + 0.45 * RANDOM.random((ROWS, K))
NOTHING, EVERYTHING = np.zeros_like(TRUTH), np.ones_like(TRUTH)


def only(*columns: int) -> BoolArray:
    """Every text has these labels and no other."""
    chosen = NOTHING.copy()
    chosen[:, columns] = True
    return chosen


def one_positive() -> BoolArray:
    chosen = NOTHING.copy()
    chosen[0, 3] = True
    return chosen


CASES: Mapping[str, tuple[BoolArray, FloatArray, BoolArray]] = {
    "healthy": (TRUTH, P, P >= 0.5),
    "majority": (TRUTH, P, only(27)),
    "two-always": (TRUTH, P, only(3, 27)),
    "never": (TRUTH, P, NOTHING),
    "always": (TRUTH, P, EVERYTHING),
    "equal": (TRUTH, np.full_like(P, 0.3), NOTHING),
    "zero": (TRUTH, np.zeros_like(P), NOTHING),
    "one": (TRUTH, np.ones_like(P), EVERYTHING),
    "perfect": (TRUTH, TRUTH.astype(float), TRUTH),
    "inverse": (TRUTH, np.where(TRUTH, 0.0, 1.0), ~TRUTH),
    "noise": (TRUTH, P, RANDOM.random((ROWS, K)) < 0.5),
    "tiny": (TRUTH, P * 5e-324, NOTHING),
    "no-truth": (NOTHING, P, P >= 0.5),
    "all-true": (EVERYTHING, P, P >= 0.5),
    "one-class": (only(27), P, P >= 0.5),
    "one-positive": (one_positive(), P, P >= 0.5),
    "single-row": (TRUTH[:1], P[:1], P[:1] >= 0.5),
}


def result(name: str) -> RunResult:
    truth, probabilities, predicted = CASES[name]
    texts = tuple(f"text {row}" for row in range(len(truth)))
    table = Predictions(texts, truth, probabilities, predicted, GOEMOTIONS, name)
    made = run_result(logged={"test/auc": math.nan})
    splits = {
        split: SplitResult.of(split, score_both(table), found.artifact, found.file)
        for split, found in made.splits.items()
    }
    return replace(made, run=replace(made.run, id=name, name=name), splits=splits)


@pytest.mark.parametrize("name", CASES)
def test_metrics_of_a_file(name: str, tmp_path: Path) -> None:
    def words(row: BoolArray) -> str:
        return ",".join(itertools.compress(EMOTIONS, row))

    rows = zip(*CASES[name], strict=True)
    lines = [["t", words(t), words(predicted), *p.tolist()] for t, p, predicted in rows]
    path = tmp_path / "x.csv"
    path.write_text(to_csv([prediction_columns(EMOTIONS), *lines]))
    for form in ("table", "json", "csv", "md"):
        done = CliRunner().invoke(goemo_report, ["metrics", str(path), "--format", form])
        assert (done.exit_code, "unexpected" in done.stderr) == (0, False), done.stderr
        if form == "json":
            f1 = json.loads(done.stdout)["overall"]["macro_f1"]
            assert f1 == result(name).splits["test"].scores.overall["macro_f1"]


def test_a_comparison_with_a_healthy_run_says_everything() -> None:
    comparison = compare([result(name) for name in CASES], options=Options(resamples=100))
    comparison.prepare()
    report = build_report(comparison, created_at=CREATED, command="x")
    for form in FORMATS:
        assert len(render(report, form)) > 10_000
    assert sorted(run.id for run in comparison.runs) == sorted(CASES)


@pytest.mark.parametrize("name", CASES)
def test_audit_card_and_gate_judge_every_run(name: str) -> None:
    found = result(name)
    evidence = Evidence(found, {}, {}, {}, {})
    assert not [one for one in audit(evidence).findings if "cannot be judged" in one.detail]
    assert "# " in render_card(Card(found, "mit", None, None))
    judge = Judge(confidence=0.95, baseline=result("healthy"))
    for limit in parse_limit("fail-under", "macro_auc=0.5"), parse_limit("max-drop", "f1_joy=0.1"):
        condition = judge.judge(found, resolve(limit, "test", [found]))
        assert condition.detail


def test_labels_that_no_threshold_made_are_called_so() -> None:
    def said(name: str) -> str:
        return result(name).splits["test"].threshold.description

    assert said("majority") == "the same labels for every text, whatever its probabilities"
    assert said("two-always") == said("majority")
    assert said("noise") == "no threshold fits the probabilities of any row"
