"""Multi-label behaviour on cases counted by hand, and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goemo_report.analysis.multilabel import (
    by_length,
    combinations,
    confusion,
    cooccurrence,
    labels_per_text,
    word_counts,
)
from goemo_report.metrics.arrays import BoolArray


def matrix(*rows: str) -> BoolArray:
    """Rows of 0 and 1."""
    return np.array([[cell == "1" for cell in row] for row in rows])


def test_labels_per_text() -> None:
    assert labels_per_text(matrix("000", "100", "011", "010")).tolist() == [1, 2, 1]


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
    assert found.counts.tolist() == [[0.0, 1.5, 0.5], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    assert found.nothing.tolist() == [1, 0, 0]
    assert (found.counts.sum(axis=1) + found.nothing).tolist() == [3, 1, 0]


@given(st.integers(0, 1000))
def test_confusions_add_up_to_the_missed_labels(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth, predicted = generator.random((2, 30, 5)) < 0.3
    found = confusion(truth, predicted)
    missed = (truth & ~predicted).sum(axis=0)
    assert found.counts.sum(axis=1) + found.nothing == pytest.approx(missed)
    assert not np.diag(found.counts).any()


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
