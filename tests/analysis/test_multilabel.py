"""Multi-label behaviour on cases counted by hand, and against plain loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_report.analysis.common import align
from goemo_report.analysis.multilabel import (
    by_length,
    combinations,
    confusion,
    cooccurrence,
    disagreements,
    mistakes,
    suspects,
    word_counts,
)
from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import BoolArray
from goemo_report.predictions import Predictions


def matrix(*rows: str) -> BoolArray:
    """Rows of 0 and 1."""
    return np.array([[cell == "1" for cell in row] for row in rows])


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=20))
def test_cooccurrence_counts_pairs(rows: list[list[bool]]) -> None:
    labels = np.array(rows)
    counts = cooccurrence(labels)
    for i in range(4):
        for j in range(4):
            assert counts[i, j] == sum(row[i] and row[j] for row in rows)


def test_confusions_are_shared_out() -> None:
    truth = matrix("100", "100", "100", "110")
    predicted = matrix("010", "011", "000", "101")
    found = confusion(truth, predicted)
    # Label 0 is missed three times: once for 1, once for 1 and 2 by halves, once for nothing.
    # Label 1 is missed once, for label 2.
    assert found.tolist() == [[0.0, 1.5, 0.5], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]


@given(st.integers(0, 1000))
def test_confusions_add_up_to_the_missed_labels(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth, predicted = generator.random((2, 30, 5)) < 0.3
    found = confusion(truth, predicted)
    instead = (predicted & ~truth).any(axis=1)
    missed = (truth & ~predicted)[instead].sum(axis=0)
    assert found.sum(axis=1) == pytest.approx(missed)
    assert not np.diag(found).any()


def test_combinations_most_frequent_first() -> None:
    truth = matrix("110", "001", "110", "110", "001", "100")
    predicted = matrix("110", "001", "100", "001", "000", "100")
    found = combinations(truth, predicted)
    assert [(item.labels, item.texts) for item in found] == [((0, 1), 3), ((2,), 2), ((0,), 1)]
    first = found[0]
    assert first.exact == pytest.approx(1 / 3)
    assert first.partial == pytest.approx(1 / 3)
    assert first.jaccard == pytest.approx((1 + 0.5 + 0) / 3)
    assert found[1].exact == 0.5
    assert found[1].partial == 0.0
    assert len(combinations(truth, predicted, limit=1)) == 1


def test_scores_by_length() -> None:
    texts = ("one", "one two", "one two three four five", "w " * 40)
    words = word_counts(texts)
    assert words.tolist() == [1, 2, 5, 40]
    truth = matrix("10", "01", "10", "11")
    predicted = matrix("10", "10", "10", "10")
    bins = by_length(words, truth, np.where(predicted, 0.9, 0.0), predicted)
    assert [(item.low, item.high, item.texts) for item in bins] == [
        (0, 4, 2),
        (5, 9, 1),
        (25, None, 1),
    ]
    assert bins[0].micro_f1 == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))
    assert bins[0].macro_f1 == pytest.approx((2 / 3 + 0) / 2)
    assert bins[0].exact_match == 0.5
    assert bins[1].classes == 1
    assert bins[2].micro_f1 == pytest.approx(2 / 3)


# --- Texts worth reading ------------------------------------------------------------


def table(truth: list[list[int]], probabilities: list[list[float]]) -> Predictions:
    true: BoolArray = np.array(truth, dtype=bool)
    p = np.array(probabilities)
    texts = tuple(f"text {row}" for row in range(len(true)))
    return Predictions(
        texts, true, p, p >= 0.5, LabelSet.of(("joy", "fear")[: true.shape[1]]), "memory"
    )


def test_mistakes_are_the_most_confident_of_each_kind() -> None:
    found = table([[0], [0], [0], [1], [1], [1]], [[0.9], [0.6], [0.1], [0.4], [0.2], [0.8]])
    assert mistakes(found, found.predicted, 10) == [0, 1, 4, 3]
    assert mistakes(found, found.predicted, 1) == [0, 4]
    assert mistakes(found, found.predicted, 0) == []


def test_disagreements_say_which_run_is_right() -> None:
    first = table([[1], [0], [1]], [[0.9], [0.8], [0.6]])
    other = table([[1], [0], [1]], [[0.1], [0.2], [0.7]])
    assert disagreements(first, other, align(first, other), 0.5, 5) == ([0], [1])
    assert disagreements(other, first, align(other, first), 0.5, 5) == ([1], [0])


def test_disagreements_follow_the_alignment() -> None:
    first = table([[1, 0], [0, 1]], [[0.9, 0.1], [0.1, 0.9]])
    other = table([[1], [0]], [[0.9], [0.1]])  # knows fear only, rows the other way round
    other = replace(other, label_set=LabelSet.of(["fear"]), texts=("text 1", "text 0"))
    common = align(first, other)
    assert common.matched == 2
    assert disagreements(first, other, common, 0.5, 5) == ([], [])


def test_suspects_contradict_the_mean_of_their_own_class() -> None:
    truth = np.array([[1], [1], [1], [0], [0], [0], [0]], dtype=bool)
    one = np.array([[0.9], [0.8], [0.04], [0.1], [0.2], [0.95], [0.1]])
    found = suspects(truth, [one, one], 10)
    assert [(s.row, s.labelled) for s in found] == [(5, False), (2, True)]
    assert [s.mean for s in found] == [0.95, 0.04]
    assert len(suspects(truth, [one], 1)) == 2
    assert suspects(truth, [one], 0) == []


def test_a_label_without_positives_has_no_suspects() -> None:
    truth = np.zeros((3, 1), dtype=bool)
    assert suspects(truth, [np.full((3, 1), 0.99)], 5) == []
