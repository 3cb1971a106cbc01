"""How far rounding can move an AUC, counted by hand and tried on random figures."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from goemo_report.analysis.truth import auc_slack, tied_share
from goemo_report.labels import EMOTIONS
from tests.synthetic import split_result


def test_by_hand() -> None:
    truth = np.array([True, True, False, False, False])
    scores = np.array([0.9, 0.5, 0.5, 0.5, 0.1])  # two of six pairs tie
    assert tied_share(truth, scores) == pytest.approx(2 / 6)
    assert tied_share(truth, np.arange(5.0)) == 0
    assert tied_share(np.ones(3, bool), np.zeros(3)) == 0


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_rounding_moves_no_auc_further(digits: int) -> None:
    chance = np.random.default_rng(digits)
    truth = chance.random((300, 28)) < 0.15
    exact = np.clip(0.2 * truth + 0.8 * chance.random((300, 28)), 0, 1)
    rounded = exact.round(digits)
    found = split_result("test", [f"text {i}" for i in range(300)], truth, rounded, EMOTIONS)
    for metric, average in (("auc", "micro"), ("macro_auc", "macro")):
        moved = roc_auc_score(truth, exact, average=average) - roc_auc_score(
            truth, rounded, average=average
        )
        slack = auc_slack(metric, found.predictions)
        assert 0 < slack < 0.06
        assert abs(moved) <= slack
    assert auc_slack("micro_f1", found.predictions) == 0
