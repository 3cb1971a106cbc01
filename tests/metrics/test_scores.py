"""Metrics: counted by hand, and equal to scikit-learn's."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goemo_report.contract import PER_CLASS_COLUMNS
from goemo_report.labels import EMOTIONS
from goemo_report.metrics.counts import ClassCounts, count
from goemo_report.metrics.rankings import micro_roc_auc, roc_auc
from goemo_report.metrics.scores import per_class_rows, score, score_predicted
from goemo_report.metrics.table import OVERALL, OVERALL_KEYS, canonical_metric
from tests.numbers import average_precision, make_predictions, make_probabilities

DATA = Path(__file__).parents[3] / "shared" / "data" / "goemotions"


def array(*rows: str) -> npt.NDArray[np.bool_]:
    return np.array([[mark == "x" for mark in row] for row in rows])


# Four texts, three classes.
TRUTH = array("x..", "xx.", ".x.", "...")
PREDICTED = array("x..", "x..", ".xx", "..x")


def test_counts_by_hand() -> None:
    counts = count(TRUTH, PREDICTED)
    assert counts.tp.tolist() == [2, 1, 0]
    assert counts.fp.tolist() == [0, 0, 2]
    assert counts.fn.tolist() == [0, 1, 0]
    assert counts.tn.tolist() == [2, 2, 2]
    assert counts.support.tolist() == [2, 2, 0]
    assert counts.predicted.tolist() == [2, 1, 2]
    assert counts.metric("precision").tolist() == [1.0, 1.0, 0.0]
    assert counts.metric("recall").tolist() == [1.0, 0.5, 0.0]
    assert counts.metric("f1").tolist() == [1.0, pytest.approx(2 / 3), 0.0]


def test_averages_by_hand() -> None:
    overall = score_predicted(
        TRUTH, PREDICTED.astype(np.float64), PREDICTED, ("a", "b", "c")
    ).overall
    assert overall["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert overall["micro_f1"] == pytest.approx(2 * 3 / (2 * 3 + 2 + 1))
    assert overall["weighted_f1"] == pytest.approx((2 * 1 + 2 * 2 / 3) / 4)
    # of the texts: 1, 2/3, 2/3 and 0, as a false label is predicted for the last
    assert overall["samples_f1"] == pytest.approx((1 + 2 / 3 + 2 / 3 + 0) / 4)
    assert overall["exact_match"] == 1 / 4
    assert overall["hamming_loss"] == pytest.approx(3 / 12)
    assert overall["jaccard"] == pytest.approx((1 + 1 / 2 + 1 / 2 + 0) / 4)


def test_auc_by_hand_with_ties() -> None:
    truth = array("x", "x", ".", ".", ".")
    scores = np.array([[0.9], [0.5], [0.5], [0.1], [0.7]])
    # 0.9 wins three pairs; 0.5 wins one, ties one, loses one
    assert roc_auc(truth, scores)[0] == (3 + 1.5) / 6
    # precision 1 at 0.9; at 0.5 four are as high, two of them true
    assert average_precision(truth, scores)[0] == pytest.approx(0.5 * 1 + 0.5 * 2 / 4)


def test_nothing_predicted_and_nothing_true() -> None:
    nothing = np.zeros((3, 2), np.bool_)
    overall = score(nothing, np.zeros((3, 2)), ("a", "b")).overall
    assert overall["macro_f1"] == 0.0
    assert overall["exact_match"] == 1.0
    assert overall["samples_f1"] == 0.0
    assert overall["macro_auc"] is None
    assert overall["micro_auc"] is None
    assert overall["macro_average_precision"] is None


def test_classes_without_auc_are_left_out_and_named() -> None:
    truth = array("x.x", "..x")
    scores = score(truth, np.array([[0.9, 0.2, 0.3], [0.1, 0.6, 0.4]]), ("a", "b", "c"))
    assert scores.without_auc == ("b", "c")  # no positive, no negative
    assert scores.overall["macro_auc"] == 1.0
    assert scores.overall["macro_average_precision"] == 1.0
    assert scores.never_predicted == ("c",)
    assert per_class_rows(scores)[1]["auc"] is None


def test_a_label_is_predicted_at_the_threshold() -> None:
    probabilities = np.array([[0.5, 0.4999999]])
    assert score(array("xx"), probabilities, ("a", "b")).counts.tp.tolist() == [1, 0]
    both = score(array("xx"), probabilities, ("a", "b"), np.array([0.6, 0.4]))
    assert both.counts.tp.tolist() == [0, 1]
    assert [row["threshold"] for row in per_class_rows(both)] == [0.6, 0.4]


def test_per_class_rows_begin_with_the_guides_columns() -> None:
    made = make_predictions()
    rows = per_class_rows(score(made.truth, made.probabilities, made.labels))
    guide = [key.name for key in PER_CLASS_COLUMNS]
    assert [list(row)[: len(guide)] for row in rows] == [guide] * 28
    assert [row["emotion"] for row in rows] == list(EMOTIONS)
    for row in rows:
        assert all(isinstance(row[key.name], key.type) for key in PER_CLASS_COLUMNS)


def test_counts_of_parts_add_up() -> None:
    made = make_predictions()
    whole = count(made.truth, made.predicted)
    parts = count(made.truth[:100], made.predicted[:100]) + count(
        made.truth[100:], made.predicted[100:]
    )
    for name in ("tp", "fp", "fn", "tn"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
    assert isinstance(parts, ClassCounts)


# --- Agreement with scikit-learn ------------------------------------------------------------


def expected_overall(
    truth: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float64],
    predicted: npt.NDArray[np.bool_],
) -> dict[str, float | None]:
    """The same numbers from scikit-learn."""
    metrics = pytest.importorskip("sklearn.metrics")
    expected: dict[str, float | None] = {}
    for average in ("macro", "micro", "weighted", "samples"):
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            truth, predicted, average=average, zero_division=0
        )
        expected |= {
            f"{average}_precision": precision,
            f"{average}_recall": recall,
            f"{average}_f1": f1,
        }
    expected["exact_match"] = metrics.accuracy_score(truth, predicted)
    expected["hamming_loss"] = metrics.hamming_loss(truth, predicted)
    expected["jaccard"] = metrics.jaccard_score(
        truth, predicted, average="samples", zero_division=0
    )
    has_both = truth.any(axis=0) & ~truth.all(axis=0)
    has_positive = truth.any(axis=0)
    expected["macro_auc"] = (
        metrics.roc_auc_score(truth[:, has_both], probabilities[:, has_both], average="macro")
        if has_both.any()
        else None
    )
    expected["macro_average_precision"] = (
        metrics.average_precision_score(truth[:, has_positive], probabilities[:, has_positive])
        if has_positive.any()
        else None
    )
    flat = truth.ravel(), probabilities.ravel()
    expected["micro_auc"] = metrics.roc_auc_score(*flat) if 0 < truth.sum() < truth.size else None
    expected["micro_average_precision"] = (
        metrics.average_precision_score(*flat) if truth.any() else None
    )
    columns = list(zip(truth.T, predicted.T, probabilities.T, strict=True))
    expected["macro_mcc"] = np.mean([metrics.matthews_corrcoef(t, y) for t, y, _ in columns])
    expected["micro_mcc"] = metrics.matthews_corrcoef(truth.ravel(), predicted.ravel())
    expected["macro_brier"] = np.mean([metrics.brier_score_loss(t, p) for t, _, p in columns])
    return expected


def assert_agreement(
    truth: npt.NDArray[np.bool_],
    probabilities: npt.NDArray[np.float64],
    threshold: float | npt.NDArray[np.float64],
) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    labels = tuple(f"class {j}" for j in range(truth.shape[1]))
    found = score(truth, probabilities, labels, threshold)
    predicted = probabilities >= threshold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of what is tested here
        expected = expected_overall(truth, probabilities, predicted)
        tn, fp, fn, tp = metrics.multilabel_confusion_matrix(truth, predicted).reshape(-1, 4).T
        per_class = metrics.precision_recall_fscore_support(truth, predicted, zero_division=0)
    assert expected.keys() <= set(OVERALL_KEYS) == set(found.overall)
    for key, value in expected.items():
        assert found.overall[key] == (value if value is None else pytest.approx(value, abs=1e-12))
    for name, values in zip(("tp", "fp", "fn", "tn"), (tp, fp, fn, tn), strict=True):
        assert np.array_equal(getattr(found.counts, name), values)
    for name, values in zip(("precision", "recall", "f1", "support"), per_class, strict=True):
        ours = [found.values[f"{name}_{label}"] for label in found.labels]
        assert np.allclose(np.array(ours, float), values, rtol=0, atol=1e-12)
    for j in range(truth.shape[1]):
        column = truth[:, j], probabilities[:, j]
        brier, mcc = found.per_class["brier"][j], found.per_class["mcc"][j]
        assert brier == pytest.approx(metrics.brier_score_loss(*column), abs=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected_mcc = metrics.matthews_corrcoef(truth[:, j], predicted[:, j])
        assert mcc == pytest.approx(expected_mcc, abs=1e-12)
        if truth[:, j].any() and not truth[:, j].all():
            auc = metrics.roc_auc_score(*column)
            assert found.per_class["auc"][j] == pytest.approx(auc, abs=1e-12)
        else:
            assert np.isnan(found.per_class["auc"][j])
        if truth[:, j].any():
            precision = metrics.average_precision_score(*column)
            assert found.per_class["average_precision"][j] == pytest.approx(precision, abs=1e-12)


@pytest.mark.parametrize("threshold", [0.5, 0.05, 0.999])
def test_scikit_learn_agrees(threshold: float) -> None:
    made = make_predictions(400)
    assert_agreement(made.truth, made.probabilities, threshold)


def test_scikit_learn_agrees_on_one_threshold_a_class() -> None:
    made = make_predictions(400)
    assert_agreement(made.truth, made.probabilities, np.linspace(0.1, 0.9, 28))


@settings(max_examples=25)
@given(st.integers(2, 12), st.integers(2, 4), st.integers(0, 10**6), st.integers(0, 2))
def test_scikit_learn_agrees_on_small_and_odd_data(
    rows: int, classes: int, seed: int, decimals: int
) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.random((rows, classes)) < generator.random(classes)
    probabilities = np.round(generator.random((rows, classes)), decimals)  # many ties
    assert_agreement(truth, probabilities, 0.5)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_scikit_learn_agrees_on_the_real_true_labels(split: str) -> None:
    file = DATA / f"{split}.tsv"
    if not file.exists():
        pytest.skip(f"the data set is not at {DATA}")
    lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    truth = np.zeros((len(lines), 28), np.bool_)
    for row, line in enumerate(lines):
        truth[row, list(map(int, line.split("\t")[1].split(",")))] = True
    assert_agreement(truth, make_probabilities(truth, np.random.default_rng(0)), 0.5)


# --- Properties ---------------------------------------------------------------------------------

truths = st.integers(0, 10**6).map(lambda seed: np.random.default_rng(seed).random((30, 4)) < 0.3)


@settings(max_examples=50)
@given(truths, truths)
def test_order_of_texts_changes_nothing(
    truth: npt.NDArray[np.bool_], predicted: npt.NDArray[np.bool_]
) -> None:
    scores = make_probabilities(truth, np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(len(truth))
    first = score_predicted(truth, scores, predicted, tuple("abcd"))
    second = score_predicted(truth[order], scores[order], predicted[order], tuple("abcd"))
    for key in OVERALL_KEYS:
        assert first.overall[key] == pytest.approx(second.overall[key], abs=1e-12)


@settings(max_examples=50)
@given(truths)
def test_auc_of_the_reverse_is_one_less_it(truth: npt.NDArray[np.bool_]) -> None:
    scores = make_probabilities(truth, np.random.default_rng(3))
    assert np.allclose(roc_auc(truth, -scores), 1 - roc_auc(truth, scores), equal_nan=True)
    assert np.allclose(roc_auc(~truth, scores), 1 - roc_auc(truth, scores), equal_nan=True)
    monotone = micro_roc_auc(truth, np.sqrt(scores))
    assert monotone == pytest.approx(micro_roc_auc(truth, scores), nan_ok=True)


def test_perfect_predictions_are_perfect() -> None:
    truth = make_predictions().truth
    overall = score(truth, truth.astype(np.float64), EMOTIONS).overall
    assert overall["hamming_loss"] == 0.0
    for key in ("f1", "precision", "recall", "mcc", "auc", "average_precision"):
        assert overall[f"macro_{key}"] == overall[f"micro_{key}"] == 1.0, key
    assert overall["weighted_f1"] == 1.0
    assert overall["macro_brier"] == 0.0
    assert overall["samples_f1"] == overall["jaccard"] == truth.any(axis=1).mean()


def test_without_probabilities_there_are_no_rankings() -> None:
    scores = score_predicted(TRUTH, None, PREDICTED, ("a", "b", "c"))
    for key, one in OVERALL.items():
        assert (scores.overall[key] is None) == one.metric.needs_probabilities, key
    assert not scores.has_probabilities
    assert per_class_rows(scores)[0]["auc"] is None
    assert per_class_rows(scores)[0]["f1_score"] == 1.0


@pytest.mark.parametrize(
    ("key", "canonical"),
    [
        ("test/auc_micro", "test/auc"),
        ("eval/macro_f1", "val/macro_f1"),
        ("test/auc_macro", "test/macro_auc"),
        ("test/micro_auc", "test/auc"),
        ("test/f1_macro", "test/macro_f1"),
        ("test/f1_weighted", "test/weighted_f1"),
        ("test/precision_macro", "test/macro_precision"),
        ("val/recall_micro", "val/micro_recall"),
        ("test/mcc_macro", "test/macro_mcc"),
        ("test/macro_f1", "test/macro_f1"),
        ("test/f1_joy", "test/f1_joy"),
        ("train/loss", "train/loss"),
        ("val/loss_macro", "val/loss_macro"),
        ("f1_macro", "f1_macro"),
        ("eval_f1_macro", "val/macro_f1"),
        ("eval_loss", "val/loss"),
        ("test_auc_micro", "test/auc"),
        ("eval_runtime", "eval_runtime"),
        ("test_f1_score", "test_f1_score"),
        ("train_samples", "train_samples"),
    ],
)
def test_metric_keys_of_other_dialects(key: str, canonical: str) -> None:
    assert canonical_metric(key) == canonical
