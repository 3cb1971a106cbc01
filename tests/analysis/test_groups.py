"""Roll-ups to Ekman's emotions and to sentiment."""

from __future__ import annotations

import numpy as np
import pytest

from goemo_report.analysis.groups import roll_up, score_groups
from goemo_report.labels import EMOTIONS, GOEMOTIONS, WITHOUT_NEUTRAL, LabelSet
from goemo_report.metrics.scores import score
from goemo_report.predictions import Predictions
from tests.offline_runs import OfflineRun, predictions

SENTIMENT, EKMAN = (grouping.groups for grouping in GOEMOTIONS.groupings)


def made(run: OfflineRun) -> Predictions:
    texts, truth, probabilities = predictions(run, "test")
    return Predictions(
        tuple(texts), truth, probabilities, probabilities >= 0.5, LabelSet.of(run.labels), "x"
    )


def test_a_group_is_there_if_any_member_is() -> None:
    found = made(OfflineRun())
    grouped = roll_up(found, EKMAN)
    assert grouped.groups == tuple(EKMAN)
    for g, group in enumerate(grouped.groups):
        columns = [EMOTIONS.index(member) for member in EKMAN[group]]
        for row in range(len(found)):
            assert grouped.truth[row, g] == any(found.truth[row, c] for c in columns)
            assert grouped.probabilities[row, g] == max(
                found.probabilities[row, c] for c in columns
            )
        at_half = (found.probabilities[:, columns] >= 0.5).any(axis=1)
        assert np.array_equal(grouped.probabilities[:, g] >= 0.5, at_half)


def test_a_run_without_neutral_has_no_neutral_group() -> None:
    grouped = roll_up(made(OfflineRun(exclude_neutral=True)), SENTIMENT)
    assert grouped.groups == ("positive", "negative", "ambiguous")
    assert sum(map(len, grouped.members)) == len(WITHOUT_NEUTRAL.labels)


def test_groups_are_scored_like_labels() -> None:
    grouped = roll_up(made(OfflineRun(quality=0.5)), EKMAN)
    found = score_groups(grouped)
    expected = score(grouped.truth, grouped.probabilities, grouped.groups)
    assert found.counts.f1.tolist() == expected.counts.f1.tolist()
    for key, value in found.overall.items():
        assert value == pytest.approx(expected.overall[key], abs=1e-12)


def test_every_emotion_has_one_group() -> None:
    sentiment, ekman = GOEMOTIONS.groupings
    for grouping in (ekman, sentiment):
        assert all(grouping.group_of(emotion) in grouping.groups for emotion in EMOTIONS)
    assert ekman.group_of("grief") == "sadness"
    assert ekman.group_of("nothing") == ""
