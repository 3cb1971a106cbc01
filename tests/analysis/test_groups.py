"""Roll-ups to Ekman's emotions and to sentiment."""

from __future__ import annotations

import numpy as np

from goemo_report import labels
from goemo_report.labels import EMOTIONS, GOEMOTIONS, LabelSet
from goemo_report.predictions import Predictions
from tests.offline_runs import OfflineRun, predictions

SENTIMENT, EKMAN = GOEMOTIONS.groupings


def made(run: OfflineRun) -> Predictions:
    texts, truth, probabilities = predictions(run, "test")
    return Predictions(
        tuple(texts), truth, probabilities, probabilities >= 0.5, LabelSet.of(run.labels), "x"
    )


def test_a_group_is_there_if_any_member_is() -> None:
    found = made(OfflineRun())
    grouped = found.rolled_up(EKMAN)
    assert grouped.labels == tuple(EKMAN.groups)
    for g, group in enumerate(grouped.labels):
        columns = [EMOTIONS.index(member) for member in EKMAN.groups[group]]
        for row in range(len(found)):
            assert grouped.truth[row, g] == any(found.truth[row, c] for c in columns)
            assert grouped.probabilities[row, g] == max(
                found.probabilities[row, c] for c in columns
            )
        at_half = (found.probabilities[:, columns] >= 0.5).any(axis=1)
        assert np.array_equal(grouped.probabilities[:, g] >= 0.5, at_half)
        assert np.array_equal(grouped.predicted[:, g], at_half)
    assert grouped.label_set is labels.EKMAN
    assert grouped.change == (
        "rolled up from 28 emotions to 7 by ekman: true and predicted labels by union, "
        "probabilities by the maximum"
    )


def test_a_run_without_neutral_has_no_neutral_group() -> None:
    grouped = made(OfflineRun(exclude_neutral=True)).rolled_up(SENTIMENT)
    assert grouped.labels == ("positive", "negative", "ambiguous")
    assert (grouped.label_set.noun, grouped.label_set.name) == ("sentiment", "3 sentiments")


def test_every_emotion_has_one_group() -> None:
    sentiment, ekman = GOEMOTIONS.groupings
    for grouping in (ekman, sentiment):
        assert all(grouping.group_of(emotion) in grouping.groups for emotion in EMOTIONS)
    assert ekman.group_of("grief") == "sadness"
    assert ekman.group_of("nothing") == ""
