"""Roll-ups: the same predictions at the level of Ekman's emotions or of sentiment.

A text has a group if it has any member; it is predicted to have one if any member is. The
group's probability is the largest of its members' (at one global threshold both rules for
what is predicted are the same).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from goemo_report.contract import DEFAULT_THRESHOLD
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.counts import ClassCounts, averages, count
from goemo_report.metrics.rankings import roc_auc
from goemo_report.predictions import Predictions


@dataclass(frozen=True, eq=False, slots=True)
class Grouped:
    """Truth and probabilities of g groups, (n, g); `members` names the labels in each."""

    groups: tuple[str, ...]
    members: tuple[tuple[str, ...], ...]
    truth: BoolArray
    probabilities: FloatArray


def roll_up(predictions: Predictions, grouping: Mapping[str, Sequence[str]]) -> Grouped:
    """Predictions at the level of a grouping; groups without a label of the run are left out."""
    position = {label: index for index, label in enumerate(predictions.labels)}
    members = {
        group: tuple(label for label in labels if label in position)
        for group, labels in grouping.items()
    }
    members = {group: labels for group, labels in members.items() if labels}
    columns = [[position[label] for label in labels] for labels in members.values()]
    return Grouped(
        groups=tuple(members),
        members=tuple(members.values()),
        truth=np.stack([predictions.truth[:, c].any(axis=1) for c in columns], axis=1),
        probabilities=np.stack(
            [predictions.probabilities[:, c].max(axis=1) for c in columns], axis=1
        ),
    )


@dataclass(frozen=True, eq=False, slots=True)
class GroupScores:
    """Counts of each group, (g,), and overall metrics by key, at one global threshold."""

    counts: ClassCounts
    overall: dict[str, float | None]


def score_groups(grouped: Grouped, threshold: float = DEFAULT_THRESHOLD) -> GroupScores:
    """Score groups like labels; macro AUC leaves out groups without positives or negatives."""
    predicted = grouped.probabilities >= threshold
    counts = count(grouped.truth, predicted)
    auc = roc_auc(grouped.truth, grouped.probabilities)
    known = auc[~np.isnan(auc)]
    overall: dict[str, float | None] = dict(averages(grouped.truth, predicted))
    overall["macro_auc"] = float(known.mean()) if known.size else None
    return GroupScores(counts, overall)
