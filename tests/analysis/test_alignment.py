"""Pairing rows of two prediction files."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from goemo_report.analysis.common import align
from goemo_report.labels import EMOTIONS, WITHOUT_NEUTRAL, LabelSet
from goemo_report.predictions import Predictions

TEXTS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12)


def table(rows: list[tuple[str, str]], labels: tuple[str, ...] = EMOTIONS) -> Predictions:
    """Texts with their comma-separated emotions."""
    truth = np.array([[e in names.split(",") for e in labels] for _, names in rows], dtype=bool)
    truth = truth.reshape(len(rows), len(labels))
    texts = tuple(text for text, _ in rows)
    return Predictions(texts, truth, truth * 0.8, truth, LabelSet.of(labels), "memory")


def test_equal_files_are_paired_row_by_row() -> None:
    rows = [("a", "joy"), ("b", "anger,fear"), ("a", "joy")]
    alignment = align(table(rows), table(rows))
    assert alignment.paired
    assert alignment.complete
    assert alignment.rows.tolist() == alignment.other_rows.tolist() == [0, 1, 2]
    assert alignment.note == "paired on all 3 texts"


def test_another_order_is_matched_by_text() -> None:
    one = table([("a", "joy"), ("b", "fear"), ("c", "love")])
    two = table([("c", "love"), ("a", "joy"), ("b", "fear")])
    alignment = align(one, two)
    assert alignment.paired
    assert alignment.complete
    assert [one.texts[i] for i in alignment.rows] == [two.texts[i] for i in alignment.other_rows]


def test_repeated_texts_are_matched_with_their_own_labels_first() -> None:
    one = table([("thanks", "joy"), ("thanks", "gratitude"), ("x", "fear")])
    two = table([("x", "fear"), ("thanks", "gratitude"), ("thanks", "joy")])
    alignment = align(one, two)
    assert alignment.disagreeing == 0
    assert alignment.other_rows.tolist() == [2, 1, 0]


def test_one_text_with_other_labels_forbids_pairing() -> None:
    one = table([("a", "joy"), ("b", "fear"), ("c", "love")])
    two = table([("a", "joy"), ("b", "anger"), ("c", "love")])
    alignment = align(one, two)
    assert not alignment.paired
    assert alignment.note == "not paired: 2 of 3 common texts carry the same true labels"


def test_a_subset_is_paired_on_the_common_texts() -> None:
    one = table([("a", "joy"), ("b", "fear"), ("c", "love")])
    alignment = align(one, table([("c", "love"), ("a", "joy")]))
    assert alignment.paired
    assert not alignment.complete
    assert alignment.note == "paired on 2 common texts of 3 and 2"
    assert align(one, table([("c", "love")])).paired  # all of the smaller one


def test_too_little_in_common_is_not_paired() -> None:
    one = table([("a", "joy"), ("b", "fear"), ("c", "love")])
    alignment = align(one, table([("a", "joy"), ("y", "fear"), ("z", "love")]))
    assert not alignment.paired
    assert "only 1 text in common" in alignment.note


def test_labels_that_only_one_has_are_left_out() -> None:
    one = table([("a", "joy,neutral"), ("b", "fear")])
    two = table([("a", "joy"), ("b", "fear")], WITHOUT_NEUTRAL.labels)
    alignment = align(one, two)
    assert alignment.paired
    assert alignment.labels == WITHOUT_NEUTRAL.labels
    assert alignment.columns.tolist() == list(range(27))


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=12), st.randoms(use_true_random=False)
)
def test_a_shuffled_copy_is_always_complete(texts: list[str], random: object) -> None:
    rows = [(text, EMOTIONS[(position * 7) % 28]) for position, text in enumerate(texts)]
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a Random
    one, two = table(rows), table(shuffled)
    alignment = align(one, two)
    assert alignment.complete
    assert alignment.paired
    assert sorted(alignment.rows.tolist()) == list(range(len(rows)))
    assert sorted(alignment.other_rows.tolist()) == list(range(len(rows)))
    assert (one.truth[alignment.rows] == two.truth[alignment.other_rows]).all()
