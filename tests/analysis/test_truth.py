"""Logged figures against recomputed ones, and what explains a difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from goemo_report.analysis.truth import (
    LoggedCheck,
    best_epoch,
    check_logged,
    not_checkable,
    recomputed_metrics,
    sample_problems,
)
from goemo_report.contract import SPLITS, Split
from goemo_report.metrics.arrays import BoolArray
from goemo_report.metrics.scores import score
from goemo_report.metrics.table import OVERALL_KEYS
from goemo_report.results import RunResult, SplitResult
from goemo_report.results.overlap import overlap
from goemo_report.sources.model import ArtifactRef
from goemo_report.thresholds.tune import Tuned
from tests.offline_runs import OfflineRun, predictions
from tests.synthetic import run_result, split_result

RUN = OfflineRun(texts=200)


def checks(result: RunResult) -> dict[str, LoggedCheck]:
    return {check.key: check for check in check_logged(result)}


def test_true_figures_all_agree() -> None:
    result = run_result(RUN)
    found = check_logged(result)
    assert {check.key for check in found} >= {"test/auc", "test/macro_f1", "test/f1_joy"}
    test = [check for check in found if check.key.startswith("test/")]
    assert all(check.agrees for check in test)
    assert len(test) == len(OVERALL_KEYS) + 4 * 28


def test_rounded_figures_agree_and_wrong_ones_do_not() -> None:
    macro_f1 = run_result(RUN).splits["test"].scores.overall["macro_f1"]
    assert macro_f1 is not None
    assert checks(run_result(RUN, logged={"test/macro_f1": round(macro_f1, 3)}))[
        "test/macro_f1"
    ].agrees
    wrong = checks(run_result(RUN, logged={"test/macro_f1": macro_f1 + 0.02}))["test/macro_f1"]
    assert not wrong.agrees
    assert wrong.difference == pytest.approx(0.02)
    assert wrong.explanation == ""


def test_a_macro_figure_under_the_bare_name_is_explained() -> None:
    texts, truth, probabilities = predictions(RUN, "test")
    scaled = probabilities * np.linspace(0.2, 1.0, 28)  # classes rank apart: micro is not macro
    found = split_result("test", texts, truth, scaled, RUN.labels)
    overall = found.scores.overall
    macro_auc, micro_f1 = overall["macro_auc"], overall["micro_f1"]
    assert macro_auc is not None
    assert micro_f1 is not None
    result = run_result(RUN, logged={"test/auc": macro_auc, "test/macro_f1": micro_f1})
    compared = checks(replace(result, splits={"test": found}))
    assert compared["test/auc"].explanation == "equals the macro AUC"
    assert compared["test/macro_f1"].explanation == "equals the micro F1"


def test_figures_follow_the_threshold_of_the_file_and_another_one_is_explained() -> None:
    result = run_result(RUN, threshold=0.3, logged={})
    at_half = result.splits["test"].scores.overall["macro_f1"]
    as_logged = result.splits["test"].as_logged.overall["macro_f1"]
    assert at_half is not None
    assert as_logged is not None
    assert checks(replace(result, logged={"test/macro_f1": as_logged}))["test/macro_f1"].agrees
    found = checks(replace(result, logged={"test/macro_f1": at_half}))["test/macro_f1"]
    assert found.explanation == "equals the macro F1 at threshold 0.5"


def test_validation_figures_are_those_of_the_best_epoch() -> None:
    result = run_result(RUN)
    auc = result.splits["val"].scores.overall["micro_auc"]
    history = (
        {"_step": 1, "epoch": 1, "val/auc": auc},
        {"_step": 2, "epoch": 2, "val/auc": 0.1},
    )
    result = replace(result, history=history, logged={"val/auc": 0.1, "best_epoch": 1.0})
    assert checks(result)["val/auc"].agrees
    assert best_epoch(replace(result, logged={})) == 1


def test_metadata_of_the_checkpoint_is_checked() -> None:
    result = run_result(RUN)
    macro_f1 = recomputed_metrics(result.splits["test"])["macro_f1"]
    artifact = ArtifactRef(
        "c", "m-checkpoint-r", "model", "v2", "d", 1, "checkpoint", "r",
        metadata={"final_test_f1": macro_f1, "final_test_auc": 0.123, "best_epoch": 3},
    )  # fmt: skip
    found = checks(replace(result, artifacts=(artifact,)))
    assert found["final_test_f1"].agrees
    assert not found["final_test_auc"].agrees
    assert found["final_test_auc"].place == "m-checkpoint-r:v2"
    assert found["best_epoch"].agrees


def test_a_figure_of_the_other_split_is_explained() -> None:
    result = run_result(RUN)
    val = recomputed_metrics(result.splits["val"])
    logged = {"test/macro_f1": val["macro_f1"], "test/exact_match": val["exact_match"]}
    logged |= {"test/micro_f1": val["weighted_f1"], "test/f1_joy": val["f1_joy"]}
    found = checks(replace(result, logged={k: v for k, v in logged.items() if v is not None}))
    for key in ("test/macro_f1", "test/exact_match", "test/f1_joy"):
        assert not found[key].agrees
        assert found[key].explanation == "equals the figure on validation"
    assert found["test/micro_f1"].explanation == "equals the weighted F1 on validation"


def test_figures_at_tuned_thresholds_are_tuned_again() -> None:
    result = replace(run_result(RUN), history=())
    val, test = (result.splits[split].predictions for split in SPLITS)
    thresholds = Tuned(val.truth, val.probabilities).thresholds
    logged = {}
    for split, made in (("val", val), ("test", test)):
        value = score(made.truth, made.probabilities, made.labels, thresholds).overall["macro_f1"]
        assert value is not None
        logged[f"{split}/macro_f1_tuned"] = value
    found = checks(replace(result, logged=logged))
    assert set(found) == set(logged)
    assert all(check.agrees for check in found.values())
    untuned = result.splits["test"].as_logged.overall["macro_f1"]
    assert untuned is not None
    wrong = checks(replace(result, logged={"test/macro_f1_tuned": untuned}))
    assert wrong["test/macro_f1_tuned"].explanation == "equals the macro F1"
    alone = replace(result, logged=logged, splits={"test": result.splits["test"]})
    assert checks(alone) == {}
    assert not_checkable(alone) == tuple(logged)


def test_what_predictions_cannot_confirm_is_named() -> None:
    logged = {"val/loss": 0.1, "test/auc": 0.9, "train/loss": 0.2, "test/latency": 3.0}
    assert not_checkable(run_result(RUN, logged=logged)) == ("val/loss", "test/latency")


def test_metadata_that_repeats_the_summary_is_explained() -> None:
    result = run_result(RUN, logged={"test/auc": 0.123})
    artifact = ArtifactRef(
        "c", "m-checkpoint-r", "model", "v2", "d", 1, "checkpoint", "r",
        metadata={"final_test_auc": 0.123},
    )  # fmt: skip
    found = checks(replace(result, artifacts=(artifact,)))
    assert found["final_test_auc"].explanation == "equals the logged test/auc"


def test_repeated_and_leaked_texts_are_counted() -> None:
    labels = RUN.labels
    joy, fear = (np.array([label == wanted for label in labels]) for wanted in ("joy", "fear"))

    def made(split: Split, rows: list[tuple[str, BoolArray]]) -> SplitResult:
        truth = np.stack([truth for _, truth in rows])
        return split_result(
            split, [text for text, _ in rows], truth, np.where(truth, 0.6, 0.1), labels
        )

    val = made("val", [("a", joy), ("b", joy), ("a", fear), ("a", joy)])
    test = made("test", [("a", fear), ("b", fear), ("c", joy)])
    found = overlap({"val": val, "test": test})
    assert found.repeated == {"val": 2, "test": 0}
    assert found.conflicting == {"val": 1, "test": 0}
    assert (found.leaked, found.leaked_with_labels) == (2, 1)
    assert overlap({"val": val}).leaked is None


def test_what_does_not_fit_the_config_is_named() -> None:
    assert sample_problems(run_result(RUN)) == []
    wrong = run_result(replace(RUN, config={"num_labels": 27, "test_samples": 5427}))
    assert sample_problems(wrong) == [
        "config says 27 labels, the val predictions hold 28",
        "config says 5,427 test texts, the predictions hold 200",
        "config says 27 labels, the test predictions hold 28",
    ]
