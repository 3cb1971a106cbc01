"""What is odd about one prediction file, and about scores that do not tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from goemo_report.formats.wording import listed, plural
from goemo_report.labels import GOEMOTIONS, NEUTRAL
from goemo_report.metrics.scores import Scores
from goemo_report.predictions import Predictions
from goemo_report.thresholds.infer import infer_threshold

_NEARLY: Final = 3
"""Labels that may differ from those of GoEmotions before a set is plainly another one."""


def oddities(predictions: Predictions, scores: Scores) -> Iterator[str]:
    """One line each on rows and classes that a reader of the scores should know about.

    A row without a true label is odd only where there is a label for it, neutral.
    """
    inferred = infer_threshold(predictions)
    if predictions.has_probabilities and (
        inferred.value != scores.threshold or inferred.contradictions
    ):
        yield f"the file's own pred_labels: {inferred.description}"
    has_neutral = NEUTRAL in predictions.labels
    is_known = bool(inferred.contradictions) and inferred.value is not None
    threshold = inferred.value if inferred.value is not None else np.inf
    contradicted = (predictions.probabilities >= threshold) != predictions.predicted
    for what, odd in (
        ("no true label", ~predictions.truth.any(axis=1) & has_neutral),
        ("no text", np.array([not text.strip() for text in predictions.texts])),
        ("pred_labels that contradict it", contradicted.any(axis=1) & is_known),
    ):
        if rows := np.flatnonzero(odd).tolist():
            first = listed([f"{row + 1:,}" for row in rows], 5)
            yield f"{plural(len(rows), 'row')} with {what}: {first} (the first text is row 1)"
    lacking = [label for label in GOEMOTIONS.labels if label not in predictions.labels]
    more = [label for label in predictions.labels if label not in GOEMOTIONS.labels]
    if predictions.label_set.data is None and len(lacking) + len(more) <= _NEARLY:
        lacks = f"lacks {listed(lacking)}" if lacking else ""
        besides = f"has {listed(more)} besides" if more else ""
        it = " and ".join(filter(None, (lacks, besides)))
        yield f"its labels count as its own, not as those of {GOEMOTIONS.name}: it {it}"
    if scores.has_probabilities and scores.without_auc:
        yield f"no AUC for lack of positives or negatives: {listed(scores.without_auc, 8)}"
    if scores.never_predicted:
        yield f"never predicted: {listed(scores.never_predicted, 8)}"
