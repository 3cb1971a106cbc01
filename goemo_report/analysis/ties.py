"""What ties between probabilities leave open about an AUC."""

from __future__ import annotations

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.rankings import Ranking
from goemo_report.predictions import Predictions


def tied_share(truth: BoolArray, scores: FloatArray) -> float:
    """Share of the pairs of a positive and a negative, both (n,), whose scores tie."""
    found = Ranking.of(truth, scores)
    pairs, gained = found.positives * found.negatives, found.gained
    return float(gained @ (found.sizes - gained)) / pairs if pairs else 0.0


def auc_slack(metric: str, predictions: Predictions) -> float:
    """The most that a ROC AUC can differ from that of the probabilities before rounding.

    A tie counts a half in an AUC; whichever way it falls when digits come back, the AUC moves
    by at most half the share of tied pairs. 0 for other metrics.
    """
    truth, scores = predictions.truth, predictions.probabilities
    if metric in ("auc", "micro_auc"):
        return tied_share(truth.ravel(), scores.ravel()) / 2
    if metric == "macro_auc":
        shares = [tied_share(truth[:, k], scores[:, k]) for k in range(truth.shape[1])]
        defined = truth.any(0) & ~truth.all(0)
        return float(np.mean(np.array(shares)[defined])) / 2 if defined.any() else 0.0
    return 0.0
