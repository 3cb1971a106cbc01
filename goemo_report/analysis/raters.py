"""Runs beside human raters: how well a rater who is held out agrees with the others.

Each rating of a text is held out in turn and judged, like a run, by the labels that at least two
of the text's other raters chose; the ratings of one text count as one text together. A run is
judged by those very labels, so that both can be compared. The references rest on one rater fewer
than the data set's own labels do, which makes both figures a little low.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from goemo_report.corpora.directory import AGREEING
from goemo_report.corpora.ratings import Ratings
from goemo_report.errors import DataError
from goemo_report.formats.wording import listed
from goemo_report.labels import Grouping, LabelSet
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.table import F1_SHARE, f1_of, ratio
from goemo_report.predictions import Predictions
from goemo_report.statistics.distributions import wilson
from goemo_report.statistics.intervals import Interval, percentiles
from goemo_report.statistics.resampling import Clusters, WeightArray, weighted_sums

_SURE: Final = float(np.finfo(np.float64).eps)
RATERS_METHOD: Final = (
    "held-out rater: each rating is judged by the labels that at least "
    f"{AGREEING} of the text\u2019s other raters chose, texts on which no two others agree left "
    "out; the ratings of a text weigh as one text; runs are judged by the same labels. Macro and "
    "micro F1: percentile and basic bootstrap over texts; F1 of a label: Wilson. Cross-entropy of "
    "the shares of raters that chose each label: mean over pairs, in nats; its floor is their "
    "entropy"
)


@dataclass(frozen=True, eq=False, slots=True)
class Agreement:
    """F1 against the other raters, with 95% intervals; `per_class` (k,) of the labels."""

    macro_f1: float
    micro_f1: float
    macro: Interval
    micro: Interval
    per_class: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class SoftScore:
    """Cross-entropy of probabilities and the shares of raters, and by how much it is above its
    floor, with the 95% interval of the latter."""

    cross_entropy: float
    above: float
    interval: Interval


@dataclass(frozen=True, eq=False, slots=True)
class RunBesideRaters:
    """A run and the held-out rater on the texts of the run that have raters.

    `texts` were compared; of the others `unrated` have no rater and `open` no two who agree beside
    the one that is held out. `rated` have a share of raters, whose entropy is `floor`. `gap` is
    the run's macro F1 minus the rater's. `as_true` is the share of the rated texts whose true
    labels are those that two of all raters chose.
    """

    texts: int
    unrated: int
    open: int
    rated: int
    rater: Agreement
    run: Agreement
    gap: float
    gap_interval: Interval
    floor: float
    soft: SoftScore | None
    as_true: float


def beside_raters(
    predictions: Predictions, predicted: BoolArray, ratings: Ratings, resamples: int, seed: int
) -> RunBesideRaters:
    """Judge labels `predicted`, (n, k), and each rater, by the other raters.

    Raises DataError where ratings lack labels, or rate none of the texts.
    """
    marks = _on_labels(ratings, predictions)
    units, of_rating = _units(ratings, predictions)
    rated = np.flatnonzero(units >= 0)
    if not rated.size:
        raise DataError(
            f"{ratings.source} rates none of the {len(predictions):,} texts of "
            f"{predictions.source}",
            "Give the ratings of these texts: they are matched by id, else by text",
        )
    here = of_rating >= 0
    marks, of_rating = marks[here], of_rating[here]
    number = int(units.max()) + 1
    votes, raters = _sums(of_rating, marks, number), np.bincount(of_rating, minlength=number)
    hits, chosen, wanted = _held_out(marks, of_rating, votes)
    rows = rated[wanted[units[rated]].any(axis=1)]
    if not rows.size:
        raise DataError(
            f"{ratings.source}: no text has two raters that agree beside another one",
            "The agreement of raters takes three ratings of a text or more",
        )
    wanted, found = wanted[units[rows]], predicted[rows].astype(np.float64)
    clusters = [predictions.clusters[row] for row in rows] if predictions.clusters else []
    weights = Clusters.of(clusters, len(rows)).weights(resamples, seed)
    rater, drawn = _agreement(hits[units[rows]], chosen[units[rows]], wanted, weights)
    run, others = _agreement(found * wanted, found, wanted, weights)
    shares = (votes / np.maximum(raters, 1)[:, None])[units[rated]]
    agreed = (votes >= AGREEING)[units[rated]] == predictions.truth[rated]
    entropy = _cross_entropy(shares, shares)
    return RunBesideRaters(
        len(rows),
        len(predictions) - len(rated),
        len(rated) - len(rows),
        len(rated),
        rater,
        run,
        run.macro_f1 - rater.macro_f1,
        _both_ways(run.macro_f1 - rater.macro_f1, others - drawn),
        float(entropy.mean()),
        _soft(predictions, rated, shares, entropy) if predictions.has_probabilities else None,
        float(agreed.all(axis=1).mean()),
    )


def _sums(place: IntArray, values: BoolArray | FloatArray, number: int) -> FloatArray:
    """Sums of (m, k) values by their place, (number, k)."""
    total = np.zeros((number, values.shape[1]))
    np.add.at(total, place, values)
    return total


def _held_out(
    marks: BoolArray, of_rating: IntArray, votes: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Hits and chosen labels of the held-out raters, and the labels wanted of them, by text.

    Each is the mean over the ratings of the text for which two others agree on a label.
    """
    reference = votes[of_rating] - marks >= AGREEING
    valid = reference.any(axis=1)
    number = np.bincount(of_rating, valid, len(votes))
    weight = (valid / np.maximum(number, 1.0)[of_rating])[:, None]
    hits, chosen, wanted = (
        _sums(of_rating, weight * part, len(votes))
        for part in (marks & reference, marks, reference)
    )
    return hits, chosen, wanted


def _agreement(
    hits: FloatArray, chosen: FloatArray, wanted: FloatArray, weights: WeightArray
) -> tuple[Agreement, FloatArray]:
    """Score (n, k) hits, chosen and wanted labels; also macro F1 of each resample."""
    resampled = [weighted_sums(weights, part) for part in (hits, chosen + wanted)]
    macro = f1_of(*resampled).mean(axis=1)
    micro = f1_of(*(part.sum(axis=1) for part in resampled))
    tp, total = hits.sum(axis=0), (chosen + wanted).sum(axis=0)
    bounds = map(F1_SHARE.value, wilson(ratio(tp, total - tp), total - tp))
    per_class = f1_of(tp, total)
    values = float(per_class.mean()), float(f1_of(tp.sum(), total.sum()))
    of_macro, of_micro = (
        _both_ways(value, drawn, least=0.0)
        for value, drawn in zip(values, (macro, micro), strict=True)
    )
    return Agreement(*values, of_macro, of_micro, per_class, *bounds), macro


def _both_ways(value: float, drawn: FloatArray, least: float = -1.0) -> Interval:
    """The percentiles of resamples (b,), and the same turned round about the value.

    Resamples of few texts lack rare labels, as the texts do: F1 is too low in both, so that the
    percentiles err twice and the basic bootstrap not at all (Davison and Hinkley 1997, ch. 5).
    """
    low, high = (float(end[0]) for end in percentiles(drawn[:, None]))
    low, high = min(low, 2.0 * value - high), max(high, 2.0 * value - low)
    return Interval(max(low, least), min(high, 1.0))


def _cross_entropy(shares: FloatArray, probabilities: FloatArray) -> FloatArray:
    """Compute the cross-entropy of each text, (n,), as the mean over its labels."""
    sure = np.clip(probabilities, _SURE, 1.0 - _SURE)
    found: FloatArray = -(shares * np.log(sure) + (1.0 - shares) * np.log1p(-sure)).mean(axis=1)
    return found


def _soft(
    predictions: Predictions, rated: IntArray, shares: FloatArray, entropy: FloatArray
) -> SoftScore:
    texts = _cross_entropy(shares, predictions.probabilities[rated])
    above = texts - entropy
    cells = [predictions.clusters[row] for row in rated] if predictions.clusters else []
    clusters = Clusters.of(cells, len(rated))
    mean, *ends = clusters.mean(above)
    return SoftScore(float(texts.mean()), mean, Interval(*ends))


def keys_of(predictions: Predictions, ratings: Ratings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Get the keys that match rows to ratings: ids where both share some, else texts."""
    ids = predictions.texts if predictions.row_key == "id" else predictions.ids
    if set(ids) & set(ratings.ids):
        return ids, ratings.ids
    return tuple(map(str.strip, predictions.texts)), ratings.texts


def _units(ratings: Ratings, predictions: Predictions) -> tuple[IntArray, IntArray]:
    """The text of each row and of each rating as a number, -1 where it has no counterpart.

    By ids where the rows have ids that ratings know, else by the words of the text.
    """
    keys, rated = keys_of(predictions, ratings)
    wanted = set(keys)
    numbers: dict[str, int] = {}
    of_rating = [numbers.setdefault(key, len(numbers)) if key in wanted else -1 for key in rated]
    return np.array([numbers.get(key, -1) for key in keys]), np.array(of_rating)


def _on_labels(ratings: Ratings, predictions: Predictions) -> BoolArray:
    """The ratings on the labels of a run, rolled up where these are groups of theirs."""
    place = {label: at for at, label in enumerate(ratings.labels)}
    rated = LabelSet.of(ratings.labels)
    rolled = [one for one in rated.groupings if _is_rolled_up(predictions, one, rated.rest)]
    groups = dict(rolled[0].groups) if rolled else {}
    members = {label: groups.get(label, (label,)) for label in predictions.labels}
    unknown = [one for label in members for one in members[label] if one not in place]
    if unknown:
        raise DataError(
            f"{ratings.source} does not rate {listed(dict.fromkeys(unknown), 4)}",
            "Give ratings of the labels that the runs have",
        )
    columns = [[place[one] for one in held] for held in members.values()]
    return np.stack([ratings.marks[:, held].any(axis=1) for held in columns], axis=1)


def _is_rolled_up(predictions: Predictions, grouping: Grouping, rest: str) -> bool:
    """Whether labels are groups, `rest` aside: some labels are called as a group is."""
    labels, groups = set(predictions.labels), set(grouping.groups)
    return groups - {rest} <= labels <= groups or (
        predictions.change.startswith("rolled up") and labels <= groups
    )
