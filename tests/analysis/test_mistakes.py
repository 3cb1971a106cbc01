"""Which texts are worth reading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from goemo_report.analysis.alignment import align
from goemo_report.analysis.mistakes import disagreements, mistakes, suspects
from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import BoolArray
from goemo_report.predictions import Predictions


def table(truth: list[list[int]], probabilities: list[list[float]]) -> Predictions:
    true: BoolArray = np.array(truth, dtype=bool)
    p = np.array(probabilities)
    texts = tuple(f"text {row}" for row in range(len(true)))
    return Predictions(
        texts, true, p, p >= 0.5, LabelSet.of(("joy", "fear")[: true.shape[1]]), "memory"
    )


def test_mistakes_are_the_most_confident_of_each_kind() -> None:
    found = table([[0], [0], [0], [1], [1], [1]], [[0.9], [0.6], [0.1], [0.4], [0.2], [0.8]])
    every = mistakes(found, found.predicted, 10)
    assert [(m.row, m.kind) for m in every] == [
        (0, "false positive"),
        (1, "false positive"),
        (4, "false negative"),
        (3, "false negative"),
    ]
    assert [m.confidence for m in every] == [0.9, 0.6, 0.8, 0.6]
    assert [m.row for m in mistakes(found, found.predicted, 1)] == [0, 4]
    assert mistakes(found, found.predicted, 0) == []


def test_disagreements_say_which_run_is_right() -> None:
    first = table([[1], [0], [1]], [[0.9], [0.8], [0.6]])
    other = table([[1], [0], [1]], [[0.1], [0.2], [0.7]])
    found = disagreements(first, other, align(first, other), 0.5, 5)
    assert [(d.row, d.better) for d in found] == [(0, "first"), (1, "other")]
    assert [(d.probability, d.other_probability) for d in found] == [(0.9, 0.1), (0.8, 0.2)]
    swapped = disagreements(other, first, align(other, first), 0.5, 5)
    assert [(d.row, d.better) for d in swapped] == [(1, "first"), (0, "other")]


def test_disagreements_follow_the_alignment() -> None:
    first = table([[1, 0], [0, 1]], [[0.9, 0.1], [0.1, 0.9]])
    other = table([[1], [0]], [[0.9], [0.1]])  # knows fear only, rows the other way round
    other = replace(other, label_set=LabelSet.of(["fear"]), texts=("text 1", "text 0"))
    common = align(first, other)
    assert common.matched == 2
    assert disagreements(first, other, common, 0.5, 5) == []


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
