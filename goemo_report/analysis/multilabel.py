"""How predictions behave: labels together, confusions, text length, mistakes, what is odd."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from goemo_report.formats.wording import listed, plural
from goemo_report.labels import nearly_known
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.counts import count, text_metrics
from goemo_report.metrics.rankings import micro_roc_auc
from goemo_report.metrics.scores import Scores
from goemo_report.metrics.table import ratio
from goemo_report.predictions import Predictions
from goemo_report.thresholds.infer import infer_threshold

if TYPE_CHECKING:  # `metrics FILE` asks for `oddities` alone
    from goemo_report.analysis.common import Alignment

_NEARLY: Final = 3
"""Labels that may differ from those of a known set before a set is plainly another one."""
LENGTH_EDGES: Final = (0, 5, 10, 15, 20, 25)
"""Words at which a bin of text length starts."""


def cooccurrence(labels: BoolArray) -> IntArray:
    """(k, k) counts of texts with both labels; the diagonal counts each label."""
    one = labels.astype(np.float32)
    return (one.T @ one).round().astype(np.int64)


def confusion(truth: BoolArray, predicted: BoolArray) -> FloatArray:
    """Which label is predicted instead of which, (k, k): rows missed, columns wrongly given.

    A text that misses label i and wrongly gets label j counts 1 for (i, j), shared out so
    that each missed label adds up to 1: with m wrong labels each gets 1 / m. Labels that texts
    without a wrong label miss count nowhere.
    """
    wrong = predicted & ~truth
    shares = ratio(wrong, np.maximum(wrong.sum(axis=1), 1)[:, None])
    found: FloatArray = (truth & ~predicted).astype(np.float64).T @ shares
    return found


@dataclass(frozen=True, eq=False, slots=True)
class Combination:
    """A set of true labels: how many texts have exactly it, and how they are predicted.

    `exact` is the share predicted exactly, `partial` the share that gets at least one of
    its labels but not exactly the set, `jaccard` the mean overlap.
    """

    labels: tuple[int, ...]
    texts: int
    exact: float
    partial: float
    jaccard: float


def combinations(truth: BoolArray, predicted: BoolArray, limit: int = 20) -> list[Combination]:
    """The most frequent sets of true labels, most frequent first."""
    packed = np.packbits(truth, axis=1)
    _, first, inverse, counts = np.unique(
        packed, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    inverse = inverse.ravel()
    scores = text_metrics(truth, predicted)
    exact = np.bincount(inverse, scores["exact_match"]) / counts
    overlap = (truth & predicted).any(axis=1) & (scores["exact_match"] == 0)
    partial = np.bincount(inverse, overlap) / counts
    jaccard = np.bincount(inverse, scores["jaccard"]) / counts
    order = np.lexsort((first, -counts))[:limit]
    return [
        Combination(
            labels=tuple(np.flatnonzero(truth[first[i]]).tolist()),
            texts=int(counts[i]),
            exact=float(exact[i]),
            partial=float(partial[i]),
            jaccard=float(jaccard[i]),
        )
        for i in order
    ]


@dataclass(frozen=True, eq=False, slots=True)
class LengthBin:
    """Texts of `low` to `high` words (high None: and more) with their scores."""

    low: int
    high: int | None
    texts: int
    micro_f1: float
    macro_f1: float
    exact_match: float
    micro_auc: float | None
    classes: int
    """Labels that occur in the bin, over which its macro F1 is taken."""


def word_counts(texts: tuple[str, ...]) -> IntArray:
    """Words of each text, split at white space."""
    return np.fromiter((len(text.split()) for text in texts), np.int64, len(texts))


def by_length(
    words: IntArray, truth: BoolArray, probabilities: FloatArray, predicted: BoolArray
) -> list[LengthBin]:
    """Scores of texts by their number of words; empty bins are left out."""
    bins = []
    highs = (*(edge - 1 for edge in LENGTH_EDGES[1:]), None)
    for low, high in zip(LENGTH_EDGES, highs, strict=True):
        rows = (words >= low) & (words <= high) if high is not None else words >= low
        if not rows.any():
            continue
        present = truth[rows].any(axis=0)
        counts = count(truth[rows], predicted[rows])
        auc = micro_roc_auc(truth[rows], probabilities[rows])
        bins.append(
            LengthBin(
                low=low,
                high=high,
                texts=int(rows.sum()),
                micro_f1=float(counts.pooled.metric("f1")[0]),
                macro_f1=float(counts.metric("f1")[present].mean()) if present.any() else 0.0,
                exact_match=float(text_metrics(truth[rows], predicted[rows])["exact_match"].mean()),
                micro_auc=None if np.isnan(auc) else auc,
                classes=int(present.sum()),
            )
        )
    return bins


# --- Texts worth reading --------------------------------------------------------------


def mistakes(predictions: Predictions, predicted: BoolArray, limit: int) -> list[int]:
    """Rows of the `limit` most confident false positives and false negatives of each label.

    A run is confident of a false positive by p, of a false negative by 1 - p. Labels in order,
    false positives first, most confident first, rows break ties.
    """
    truth, p = predictions.truth, predictions.probabilities
    kinds = (predicted & ~truth, p), (truth & ~predicted, 1.0 - p)
    return [
        row
        for label in range(len(predictions.labels))
        for wrong, sure in kinds
        for row, _ in _most(wrong[:, [label]], sure[:, [label]], limit)
    ]


def disagreements(
    first: Predictions, other: Predictions, common: Alignment, threshold: float, limit: int
) -> tuple[list[int], list[int]]:
    """Rows of the first run that it gets right for a label and the other wrong, and the reverse.

    The `limit` widest disagreements of either kind over the common rows and labels, widest first.
    """
    ours, theirs = common.take(first, other)
    p, q = ours.probabilities, theirs.probabilities
    right, other_right = (p >= threshold) == ours.truth, (q >= threshold) == ours.truth
    better, worse = (
        [int(common.rows[row]) for row, _ in _most(differs, np.abs(p - q), limit)]
        for differs in (right & ~other_right, other_right & ~right)
    )
    return better, worse


class Suspect(NamedTuple):
    """A text whose true label looks wrong: the runs are sure of the opposite.

    `mean` is their mean probability for the label; `labelled` says whether the text carries it.
    """

    row: int
    label: int
    labelled: bool
    mean: float


def suspects(truth: BoolArray, probabilities: Sequence[FloatArray], limit: int) -> list[Suspect]:
    """Labels that contradict the model most, from (n, k) truth and each run's probabilities.

    The off-diagonal rule of confident learning (Northcutt et al., JAIR 2021), taken per label:
    a text is suspect if its mean probability is above the mean probability of texts that
    carry the label although it does not, or below that of texts that do not although it
    does. At most `limit` of either kind: labels that seem missing first, most confident first.
    """
    mean = reduce(np.add, probabilities) / len(probabilities)
    carried, support = (mean * truth).sum(axis=0), truth.sum(axis=0)
    missing, rest = (mean * ~truth).sum(axis=0), (~truth).sum(axis=0)
    high = np.divide(carried, support, out=np.full(truth.shape[1], np.inf), where=support > 0)
    low = np.divide(missing, rest, out=np.full(truth.shape[1], -np.inf), where=rest > 0)
    return [
        Suspect(row, label, labelled, float(mean[row, label]))
        for labelled, suspect, sure in (
            (False, ~truth & (mean > high), mean),
            (True, truth & (mean < low), 1.0 - mean),
        )
        for row, label in _most(suspect, sure, limit)
    ]


def _most(chosen: BoolArray, sure: FloatArray, limit: int) -> Iterator[tuple[int, int]]:
    """The chosen places of a matrix with the largest values, largest first, rows break ties."""
    order = np.argsort(-sure[chosen], kind="stable")[:limit]
    yield from map(tuple, np.argwhere(chosen)[order].tolist())


# --- What is odd ----------------------------------------------------------------------


def oddities(predictions: Predictions, scores: Scores) -> Iterator[str]:
    """One line each on rows and classes that a reader of the scores should know about.

    A row without a true label is odd only where there is a label for it, as neutral.
    """
    inferred = infer_threshold(predictions)
    if predictions.has_probabilities and (
        inferred.value != scores.threshold or inferred.contradictions
    ):
        yield f"the file's own pred_labels: {inferred.description}"
    has_rest = predictions.label_set.rest in predictions.labels
    is_known = bool(inferred.contradictions) and inferred.value is not None
    threshold = inferred.value if inferred.value is not None else np.inf
    contradicted = (predictions.probabilities >= threshold) != predictions.predicted
    for what, odd in (
        ("no true label", ~predictions.truth.any(axis=1) & has_rest),
        ("no text", np.array([not text.strip() for text in predictions.texts])),
        ("pred_labels that contradict it", contradicted.any(axis=1) & is_known),
    ):
        if rows := np.flatnonzero(odd).tolist():
            first = listed([f"{row + 1:,}" for row in rows], 5)
            yield f"{plural(len(rows), 'row')} with {what}: {first} (the first text is row 1)"
    near = nearly_known(predictions.labels, _NEARLY)
    if predictions.label_set.data is None and near is not None:
        lacking = [label for label in near.labels if label not in predictions.labels]
        more = [label for label in predictions.labels if label not in near.labels]
        lacks = f"lacks {listed(lacking)}" if lacking else ""
        besides = f"has {listed(more)} besides" if more else ""
        it = " and ".join(filter(None, (lacks, besides)))
        yield f"its labels count as its own, not as those of {near.name}: it {it}"
    if scores.has_probabilities and scores.without_auc:
        yield f"no AUC for lack of positives or negatives: {listed(scores.without_auc, 8)}"
    if scores.never_predicted:
        yield f"never predicted: {listed(scores.never_predicted, 8)}"
