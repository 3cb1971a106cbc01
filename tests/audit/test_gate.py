"""Conditions of the quality gate, on results whose figures can be counted by hand."""

from __future__ import annotations

import dataclasses
import re
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from goemo_report.api.quality_checks import Gate
from goemo_report.audit.gate import Condition, Judge
from goemo_report.audit.limits import (
    Kind,
    Limit,
    UnknownMetricError,
    parse_limit,
    recomputed_key,
    resolve,
)
from goemo_report.contract import Split
from goemo_report.errors import SettingsError
from goemo_report.labels import EMOTIONS, WITHOUT_NEUTRAL
from goemo_report.metrics.table import OVERALL_KEYS
from goemo_report.results import RunResult, SplitResult
from goemo_report.statistics.intervals import analyse
from tests.offline_runs import OfflineRun
from tests.synthetic import run_result, split_result

JOY = EMOTIONS.index("joy")


def joyful(hits: int, misses: int, alarms: int, *, name: str = "run", total: int = 60) -> RunResult:
    """A run on `total` texts of which joy is true in hits + misses, predicted in hits + alarms."""
    truth = np.zeros((total, 28), dtype=bool)
    probabilities = np.full((total, 28), 0.1)
    truth[: hits + misses, JOY] = True
    probabilities[:hits, JOY] = 0.9
    probabilities[hits + misses : hits + misses + alarms, JOY] = 0.8
    texts = [f"text {number}" for number in range(total)]
    test = split_result("test", texts, truth, probabilities, EMOTIONS)
    made = run_result(OfflineRun(run_id=name, name=f"{name}-20241210-143022"), splits=())
    return dataclasses.replace(made, splits={"test": test})


def judge(
    result: RunResult,
    kind: Kind,
    metric: str,
    value: float,
    *,
    confidence: float | None = None,
    baseline: RunResult | None = None,
) -> Condition:
    limit = Limit(kind, metric, value)
    known = [result, *([baseline] if baseline else [])]
    judge = Judge(confidence=confidence, baseline=baseline)
    return judge.judge(result, resolve(limit, "test", known))


# --- What is typed --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        ("macro_f1=0.45", "macro_f1", 0.45),
        ("test/f1_joy = .5", "test/f1_joy", 0.5),
        ("a=b=1", "a=b", 1),
    ],
)
def test_limits(text: str, metric: str, value: float) -> None:
    assert parse_limit("fail-under", text) == Limit("fail-under", metric, value)


@pytest.mark.parametrize(
    "text", ["macro_f1", "macro_f1=", "=0.4", "macro_f1=x", "f1_joy=nan", "0.4", ""]
)
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(SettingsError, match="METRIC=VALUE"):
        parse_limit("fail-under", text)


@pytest.mark.parametrize(
    ("kind", "text", "remedy"),
    [
        ("fail-under", "macro_f1=45", "macro_f1=0.45?"),
        ("fail-under", "val/f1_joy=50", "val/f1_joy=0.5?"),
        ("fail-over", "hamming_loss=4.5", "hamming_loss=0.045?"),
        ("max-drop", "2", "macro_f1=0.02?"),
        ("fail-under", "auc=-0.1", "Correct VALUE"),
        ("fail-under", "auc=1e9", "Correct VALUE"),
    ],
)
def test_a_share_is_no_percentage(kind: Kind, text: str, remedy: str) -> None:
    with pytest.raises(SettingsError, match="lies between 0 and 1") as caught:
        parse_limit(kind, text)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize("text", ["support_joy=40", "total_training_time=60", "auc=1"])
def test_what_is_no_share_may_be_more_than_1(text: str) -> None:
    assert parse_limit("fail-over", text).value >= 1


def test_a_bare_drop_is_of_macro_f1() -> None:
    assert parse_limit("max-drop", "0.01") == Limit("max-drop", "macro_f1", 0.01)
    with pytest.raises(SettingsError, match="not negative"):
        parse_limit("max-drop", "macro_f1=-0.1")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("macro_f1", "macro_f1"),
        ("f1_macro", "macro_f1"),
        ("f1_weighted", "weighted_f1"),
        ("auc", "micro_auc"),
        ("auc_micro", "micro_auc"),
        ("micro_auc", "micro_auc"),
        ("auc_macro", "macro_auc"),
        ("average_precision_macro", "macro_average_precision"),
        ("mcc_macro", "macro_mcc"),
        ("brier_joy", "brier_joy"),
        ("f1_joy", "f1_joy"),
        ("auc_grief", "auc_grief"),
        ("support_fear", "support_fear"),
        ("f1_happiness", None),
        ("macro_f2", None),
    ],
)
def test_spellings(name: str, key: str | None) -> None:
    assert recomputed_key(name, EMOTIONS) == key


def test_every_overall_metric_can_be_named() -> None:
    assert all(recomputed_key(key, EMOTIONS) == key for key in OVERALL_KEYS)


def test_a_prefix_chooses_the_split() -> None:
    result = run_result()
    for name in ("val/f1_macro", "val/macro_f1"):
        metric = resolve(Limit("fail-under", name, 0.1), "test", [result])
        assert (metric.split, metric.key) == ("val", "macro_f1")
    metric = resolve(Limit("fail-under", "f1_joy", 0.1), "val", [result])
    assert metric.name == "val/f1_joy"


@pytest.mark.parametrize(
    ("name", "similar"),
    [("macro_f2", "macro_f1"), ("f1_joyy", "f1_joy"), ("tset/f1_joy", "f1_joy")],
)
def test_unknown_metrics_name_similar_ones(name: str, similar: str) -> None:
    with pytest.raises(UnknownMetricError) as caught:
        resolve(Limit("fail-under", name, 0.1), "test", [run_result()])
    assert name in caught.value.what
    assert similar in caught.value.remedy


def test_a_loss_has_no_lower_limit() -> None:
    with pytest.raises(SettingsError) as caught:
        resolve(Limit("fail-under", "hamming_loss", 0.1), "test", [run_result()])
    assert "fail_over='hamming_loss=0.1'" in caught.value.remedy


# --- What is judged -------------------------------------------------------------------


def test_point_values() -> None:
    run = joyful(6, 2, 4)  # precision 0.6, recall 0.75, F1 2 / 3
    for metric, value in (("precision_joy", 0.6), ("recall_joy", 0.75), ("f1_joy", 2 / 3)):
        assert judge(run, "fail-under", metric, value).passed
        assert not judge(run, "fail-under", metric, value + 1e-6).passed
        assert judge(run, "fail-over", metric, value).passed
        assert not judge(run, "fail-over", metric, value - 1e-6).passed
    assert judge(run, "fail-under", "support_joy", 8).detail == "8"
    assert judge(run, "fail-under", "macro_f1", 2 / 3 / 28).passed


def test_a_figure_shows_on_which_side_of_the_limit_it_is() -> None:
    condition = judge(joyful(6, 2, 4), "fail-under", "f1_joy", 0.6667)
    assert not condition.passed
    assert condition.detail == "0.66666667"


def test_interval_bounds() -> None:
    run = joyful(6, 2, 4)
    predictions = run.splits["test"].predictions
    bounds = analyse(predictions, predictions.probabilities >= 0.5).intervals["recall_joy"]
    assert bounds is not None
    assert bounds.low < 0.75 < bounds.high
    sides: list[tuple[Kind, float, float]] = [
        ("fail-under", bounds.low, 1e-6),
        ("fail-over", bounds.high, -1e-6),
    ]
    for kind, bound, worse in sides:
        assert judge(run, kind, "recall_joy", bound, confidence=0.95).passed
        failing = judge(run, kind, "recall_joy", bound + worse, confidence=0.95)
        assert not failing.passed
        assert "95% interval" in failing.detail
    assert (failing.low, failing.high) == bounds


def test_a_drop_at_the_limit_is_allowed() -> None:
    """0.75 - 0.65 is a little more than 0.1 in binary."""
    baseline, run = joyful(15, 5, 0, name="old"), joyful(13, 7, 0)
    assert judge(run, "max-drop", "recall_joy", 0.1, baseline=baseline).passed
    assert not judge(run, "max-drop", "recall_joy", 0.0999, baseline=baseline).passed
    assert judge(baseline, "max-drop", "recall_joy", 0, baseline=run).passed  # a gain
    failed = judge(run, "max-drop", "recall_joy", 0.05, baseline=baseline)
    assert failed.detail == "0.1000 below it"
    assert failed.condition.startswith("test/recall_joy at most 0.05 below old-")
    gain = judge(baseline, "max-drop", "recall_joy", 0, baseline=run)
    assert gain.detail == "0.1000 above it"
    counted = judge(run, "max-drop", "support_joy", 0, confidence=0.95, baseline=baseline)
    assert (counted.passed, counted.detail) == (True, "the same")


def test_a_loss_drops_when_it_rises() -> None:
    baseline, run = joyful(15, 5, 0, name="old"), joyful(10, 10, 0)
    rise = 5 / (60 * 28)
    assert judge(run, "max-drop", "hamming_loss", rise, baseline=baseline).passed
    assert not judge(run, "max-drop", "hamming_loss", rise * 0.99, baseline=baseline).passed


def test_a_drop_by_its_interval_must_be_shown_to_be_small() -> None:
    baseline, run = joyful(15, 5, 0, name="old"), joyful(14, 6, 0)
    assert judge(run, "max-drop", "recall_joy", 0.06, baseline=baseline).passed
    doubtful = judge(run, "max-drop", "recall_joy", 0.06, baseline=baseline, confidence=0.95)
    assert not doubtful.passed
    assert doubtful.low is not None
    assert doubtful.low < -0.06
    assert judge(
        run, "max-drop", "recall_joy", -doubtful.low, baseline=baseline, confidence=0.95
    ).passed


def test_another_confidence_judges_another_bound() -> None:
    """A higher one asks for more; every level is that of `analyse`."""
    baseline, run = joyful(15, 5, 0, name="old"), joyful(13, 7, 0)
    lows, drops = [], []
    for confidence in (0.6, 0.8, 0.95, 0.99):
        found = judge(run, "fail-under", "recall_joy", 0.1, confidence=confidence)
        assert f"{100 * confidence:g}% interval from" in found.detail
        predictions = run.splits["test"].predictions
        predicted = predictions.probabilities >= 0.5
        bounds = analyse(predictions, predicted, confidence=confidence).intervals["recall_joy"]
        assert (found.low, found.high) == bounds
        drop = judge(run, "max-drop", "recall_joy", 0.5, baseline=baseline, confidence=confidence)
        lows.append(found.low)
        drops.append(drop.low)
    assert lows == sorted(lows, key=lambda low: -(low or 0))
    assert drops == sorted(drops, key=lambda low: -(low or 0))
    assert len(set(lows)) == len(set(drops)) == 4


def test_a_drop_reads_in_words() -> None:
    baseline, run = joyful(15, 5, 0, name="old"), joyful(13, 7, 0)
    found = judge(run, "max-drop", "recall_joy", 0.05, baseline=baseline, confidence=0.95)
    assert re.fullmatch(
        r"0\.1000 below it, 95% interval from 0\.\d{4} below it to 0\.\d{4} (above|below) it",
        found.detail,
    )


def test_the_baseline_itself_does_not_drop() -> None:
    baseline = joyful(15, 5, 0)
    for confidence in (None, 0.95):
        same = judge(baseline, "max-drop", "f1_joy", 0, baseline=baseline, confidence=confidence)
        assert same.passed
        assert same.detail == "the same (it is the baseline)"


def test_predictions_that_are_alike_have_no_interval_to_show() -> None:
    one, other = joyful(15, 5, 0, name="one"), joyful(15, 5, 0, name="other")
    alike = judge(one, "max-drop", "f1_joy", 0.1, baseline=other, confidence=0.95)
    assert alike.passed
    assert alike.detail == "the same, as in every resample: the predictions hardly differ"


def test_runs_on_other_texts_cannot_be_compared() -> None:
    run, baseline = joyful(3, 1, 0), joyful(3, 1, 0, name="old")
    test = baseline.splits["test"]
    other = dataclasses.replace(
        test.predictions, texts=tuple(f"other {text}" for text in test.predictions.texts)
    )
    splits: dict[Split, SplitResult] = {"test": dataclasses.replace(test, predictions=other)}
    baseline = dataclasses.replace(baseline, splits=splits)
    condition = judge(run, "max-drop", "f1_joy", 1, baseline=baseline)
    assert not condition.passed
    assert condition.value is None
    assert condition.detail


def test_common_texts_and_labels_are_compared() -> None:
    """27 labels against 28: what both have counts."""
    run = run_result(OfflineRun(exclude_neutral=True, quality=0.9), number=1)
    baseline = run_result(OfflineRun(seed=2, quality=0.2, run_id="old"))
    assert run.splits["test"].labels == WITHOUT_NEUTRAL.labels
    assert judge(run, "max-drop", "macro_f1", 0.01, baseline=baseline).passed
    neutral = judge(run, "fail-under", "f1_neutral", 0)
    assert not neutral.passed
    assert neutral.detail == "the run has no label neutral"
    assert not judge(run, "max-drop", "f1_neutral", 0, baseline=baseline).passed


def test_without_predictions_a_run_fails() -> None:
    run = dataclasses.replace(
        run_result(splits=()), problems={"test": "logged no test predictions"}
    )
    for condition in (
        judge(run, "fail-under", "macro_f1", 0),
        judge(run, "max-drop", "macro_f1", 1, baseline=run_result(OfflineRun(run_id="old"))),
    ):
        assert not condition.passed
        assert condition.detail == "logged no test predictions"


def test_an_auc_without_positives_fails() -> None:
    condition = judge(joyful(3, 1, 0), "fail-under", "auc_grief", 0)
    assert not condition.passed
    assert "grief" in condition.detail


def test_other_figures_count_as_logged() -> None:
    run = run_result(logged={"total_training_time": 40.5, "test/macro_f1_tuned": 0.5})
    assert judge(run, "fail-over", "total_training_time", 60).detail == "40.5000 (as logged)"
    assert judge(run, "fail-under", "macro_f1_tuned", 0.5).passed
    without = run_result(OfflineRun(run_id="other"), logged={})
    limit = resolve(Limit("fail-over", "total_training_time", 60), "test", [run, without])
    condition = Judge(confidence=0.95).judge(without, limit)
    assert not condition.passed
    assert "did not log" in condition.detail


# --- What is written ------------------------------------------------------------------


def conditions() -> tuple[Condition, ...]:
    run = joyful(6, 2, 4)
    hostile = dataclasses.replace(run.run, id="hostile", name='<a href="x">&\x00\x1b[31m]]>\ud800')
    return (
        judge(run, "fail-under", "f1_joy", 0.5),
        judge(run, "fail-under", "f1_joy", 0.9),
        Condition(hostile, "audit", "the audit finds no error", False, "errors: <b>&\x07"),
    )


def test_junit_is_valid_xml_with_every_condition() -> None:
    root = ET.fromstring(Gate(conditions(), "test", None, None).render("junit").encode())
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures")) == ("3", "2")
    cases = list(root.iter("testcase"))
    assert [case.find("failure") is None for case in cases] == [True, False, False]
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.get("message") == "test/f1_joy at least 0.9: 0.6667"
    assert failure.get("type") == "fail-under"
    assert '<a href="x">&\\u0000' in str(cases[2].get("classname"))


def test_the_document_says_how_it_was_judged() -> None:
    found: Any = Gate(conditions(), "test", 0.9, None).document()
    assert found["passed"] is False
    assert found["confidence"] == 0.9
    assert "90% interval" in found["rule"]
    assert "lower one" in found["rule"]
    assert found["conditions"][1]["value"] == pytest.approx(2 / 3)
    assert Gate(conditions()[:1], "test", None, None).document()["passed"] is True


def test_a_metric_without_an_interval_is_not_judged_by_its_value() -> None:
    """Of 28 emotions joy alone is predicted, so that macro precision has no interval."""
    found = joyful(10, 0, 0)
    assert judge(found, "fail-under", "macro_precision", 0.01).passed
    for one in (
        judge(found, "fail-under", "macro_precision", 0.01, confidence=0.95),
        judge(
            joyful(9, 1, 0, name="other"),
            *("max-drop", "macro_precision", 0.5),
            confidence=0.95,
            baseline=found,
        ),
    ):
        assert not one.passed
        assert "no interval" in one.detail
