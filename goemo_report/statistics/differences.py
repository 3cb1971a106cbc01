"""Paired differences between two runs: intervals, p-values, verdicts."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.counts import ClassCounts, CountMetrics, count_metrics, text_metrics
from goemo_report.metrics.table import CLASS_METRICS, HEADLINE, OF_TEXTS, OVERALL, Metric, titles
from goemo_report.statistics.class_draws import ClassDraws, widest
from goemo_report.statistics.distributions import (
    TIED,
    holm,
    normal_p,
    normal_quantile,
    p_value,
    sign_test,
    wilson,
)
from goemo_report.statistics.influence import NO_SPREAD, Influence
from goemo_report.statistics.intervals import Analysis, Bounds, percentiles
from goemo_report.statistics.resampling import weighted_sums

Verdict = Literal["win", "tie", "loss"]

RANDOMISATIONS: Final = 2000
MOST_RANDOMISATIONS: Final = 20_000
"""Where a p-value at the floor of RANDOMISATIONS is not below ALPHA once it is adjusted."""
ALPHA: Final = 0.05
PRIOR_TEXTS: Final = 5
"""Weight of no correlation beside the correlation seen, in texts that involve the class."""
MINIMUM_POSITIVES: Final = 3
"""With fewer positives (or negatives) of a class there is no test of its AUC or average
precision: one or two texts show no spread, and a small error would be chance."""

VERDICT_RULE: Final = (
    "win (loss): the difference is in favour of the run (the baseline), its 95% interval "
    "excludes zero and p < 0.05, adjusted over the classes for per-class metrics and over the runs "
    "for macro F1; otherwise tie"
)
_COUNTED, _OTHERS = titles(lambda one: one.counts), titles(lambda one: not one.counts)
_RANKED = titles(lambda one: one.ranking)
_CONVENTIONAL = titles(lambda one: one.needs_predictions)
DIFFERENCE_METHODS: Final[Mapping[str, str]] = {
    "overall": (
        f"difference of micro, weighted and samples averages, {OF_TEXTS}: "
        "percentile bootstrap on the same resamples, Wilson's interval where all of them are alike"
    ),
    "macro": (
        f"difference of macro {_COUNTED}: outcomes of both runs estimated together, as for one "
        "run, and the bootstrap's standard error; the interval that holds all"
    ),
    "precision": (
        f"difference of macro and weighted {_CONVENTIONAL}: none where a run never predicts a "
        f"class, as its {_CONVENTIONAL} is 0 by convention and not by measurement"
    ),
    "class": (
        f"difference of {_COUNTED} of a class: margins of both runs combined "
        "with their bootstrap correlation (MOVER)"
    ),
    "ranking": (
        f"difference of {_OTHERS}: influence of each text on both, normal; for {_RANKED} of a "
        f"class with fewer than {MINIMUM_POSITIVES} positives the intervals of both runs combined "
        "as if independent, without a test (p = 1, tie)"
    ),
    "p": (
        "p: paired randomisation test (the two runs' outputs are swapped text by text at random), "
        "for exact match of all swaps (McNemar's exact test); "
        f"for {_OTHERS} the normal test of the interval; for other overall metrics the larger one "
        "of the swaps' p and the interval's, which reaches to zero where p does not tell the runs "
        "apart"
    ),
    "p_adjusted": (
        "adjusted p: Holm over the classes, for each per-class metric, without classes that are "
        "the same on every text or have too few positives for a test; for macro F1 over the runs "
        "that are compared with one baseline, by the maximum over runs of the same swaps "
        "(Westfall and Young)"
    ),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """Run minus baseline of one metric, its interval, p-values and the verdict.

    low <= value <= high, no further from 0 than the metric's range is wide. `p_adjusted` is `p`
    for overall metrics, but for macro F1 where several runs are compared with one baseline; `p`
    is never 0, and 1 where too few positives allow no test. `at_most`: no swap was as extreme,
    and with more of them both p could be smaller. A metric that is undefined for either run, or
    not measured, has no Difference.
    """

    value: float
    low: float
    high: float
    p: float
    p_adjusted: float
    verdict: Verdict
    at_most: bool = False

    @property
    def same(self) -> bool:
        """Whether the two runs are alike on every text, so that there is nothing to estimate."""
        return self.value == self.low == self.high == 0.0


PairedDifferences: TypeAlias = Mapping[str, Difference | None]
"""Differences by metric key; None where undefined."""


class Paired(NamedTuple):
    """Differences of two runs, and what else is known of that of macro F1.

    `swaps` (m,) are those that swaps of the outputs gave, `shares` (k,) those of the classes in its
    variance over texts.
    """

    differences: PairedDifferences
    swaps: FloatArray
    shares: FloatArray


def paired(run: Analysis, baseline: Analysis, *, randomisations: int = RANDOMISATIONS) -> Paired:
    """Run minus baseline for every metric, on the same texts, true labels and labels.

    Raises ValueError when the two are not aligned row by row or were resampled differently.
    Verdicts are at the confidence of the intervals.
    """
    pair, alpha = _Pair(run, baseline), round(1 - run.confidence, 12)
    by_chance = swapped(run, baseline, randomisations)
    parts = pair.of_counts(by_chance) | pair.of_probabilities()
    floor = 1.0 / (1 + randomisations)
    found: dict[str, Difference | None] = {}
    never = bool(((run.counts.predicted == 0) | (baseline.counts.predicted == 0)).any())
    never &= not pair.same_labels.all()
    for key, one in OVERALL.items():
        unknown = never and one.over_classes and one.metric.needs_predictions
        part = _UNDEFINED if unknown else parts.get(key, _UNDEFINED)
        value, low, high, p = (float(np.squeeze(number)) for number in part)
        at_most = one.metric.counts is not None and key != "exact_match" and p <= floor
        found[key] = _difference(one.metric, (value, low, high, p, p), at_most, alpha)
    more: CountMetrics | None = None
    for key, metric in CLASS_METRICS.items():
        counted, tested, least = metric.counts is not None, pair.tested(metric), floor
        part = parts.get(key, _UNDEFINED)
        values, lows, highs, ps = (np.broadcast_to(one, len(run.labels)) for one in part)
        adjusted = holm(np.where(tested, ps, np.nan))
        if counted and (tested & (ps <= floor) & (adjusted >= alpha)).any():
            more = more or swapped(run, baseline, MOST_RANDOMISATIONS)
            least = 1.0 / (1 + MOST_RANDOMISATIONS)
            ps = np.where(ps <= floor, p_value(more.per_class[key], values), ps)
            adjusted = holm(np.where(tested, ps, np.nan))
        columns = values, lows, highs, ps, np.nan_to_num(adjusted, nan=1.0)
        for label, *numbers in zip(run.labels, *columns, strict=True):
            at_most = counted and bool(numbers[3] <= least)
            found[f"{key}_{label}"] = _difference(metric, map(float, numbers), at_most, alpha)
    shares = variance_shares((run.resampled - baseline.resampled).per_class["f1"])
    return Paired(found, by_chance.overall[HEADLINE], shares)


def swapped(run: Analysis, baseline: Analysis, randomisations: int) -> CountMetrics:
    """Differences of the metrics after each of many random swaps of the two runs' outputs.

    Under no difference each text's two outputs could as well be swapped (Noreen 1989; Yeh 2000).
    Only texts with different outputs matter: a swap moves the difference of their counts from
    one run to the other, so that all swaps are one matrix product.
    """
    k = len(run.labels)
    apart = np.flatnonzero((run.predicted != baseline.predicted).any(axis=1))
    swaps = run.clusters.coin_flips(randomisations, run.seed, apart)
    moved = baseline.outcomes.columns[apart, : 2 * k] - run.outcomes.columns[apart, : 2 * k]
    shifts = weighted_sums(swaps, moved)
    tp, predicted = shifts[:, :k], shifts[:, k:]
    truths = np.zeros(k)  # no swap moves them
    found = count_metrics(run.counts + ClassCounts.of(tp, predicted, truths, 0))
    found -= count_metrics(baseline.counts + ClassCounts.of(-tp, -predicted, truths, 0))
    truth = run.predictions.truth[apart]
    scores = text_metrics(truth, run.predicted[apart])
    others = text_metrics(truth, baseline.predicted[apart])
    gaps = np.stack([scores[key] - others[key] for key in scores], axis=1)
    means = (gaps.sum(axis=0) - 2.0 * weighted_sums(swaps, gaps)) / len(run)
    found.overall.update(zip(scores, means.T, strict=True))
    return found


def variance_shares(differences: FloatArray) -> FloatArray:
    """The part of each column in the variance of their mean, (k,), of (m, k) replicates.

    They add up to 1, unless there is no variance; classes that offset others have a negative one.
    """
    centred = differences - differences.mean(axis=0)
    mean = centred.mean(axis=1)
    total = float(mean @ mean) * differences.shape[1]
    shares: FloatArray = centred.T @ mean / (total if total > 0.0 else 1.0)
    return shares


def _difference(
    metric: Metric, numbers: Iterable[float], at_most: bool, alpha: float
) -> Difference | None:
    """From value, low, high, p and adjusted p."""
    value, low, high, p, adjusted = numbers
    if np.isnan(value):
        return None
    # resampling and corrections for bias may leave out what was seen, or the possible
    widest = metric.high - metric.low
    low, high = max(min(low, value), -widest), min(max(high, value), widest)
    verdict: Verdict = "tie"
    if adjusted < alpha and (low > 0.0 or high < 0.0):
        verdict = "win" if (value > 0.0) != metric.lower_is_better else "loss"
    return Difference(value, low, high, p, adjusted, verdict, at_most)


def widened(found: Difference, error: float) -> Difference:
    """A difference whose standard error is at least `error`: its interval, p and verdict."""
    margin = normal_quantile() * error
    low, high = min(found.low, found.value - margin), max(found.high, found.value + margin)
    p = max(found.p, _normal_p(found.value, error) if found.value else 1.0)
    clear = p < ALPHA and (low > 0.0 or high < 0.0)
    verdict, at_most = found.verdict if clear else "tie", found.at_most and p == found.p
    return Difference(found.value, low, high, p, p, verdict, at_most)


_Part: TypeAlias = tuple[Any, Any, Any, Any]
"""Value, low, high and p: scalars of an overall metric, (k,) of one of classes."""
_UNDEFINED: Final = (np.nan,) * 4


class _Pair:
    """Two runs on the same texts, and which classes have nothing, or too little, to be tested.

    `same_labels` and `same_probabilities` (k,) are alike on every text, `few` (k,) have fewer than
    MINIMUM_POSITIVES positives or negatives.
    """

    def __init__(self, run: Analysis, baseline: Analysis) -> None:
        ours, theirs = run.predictions, baseline.predictions
        if ours.labels != theirs.labels or ours.texts != theirs.texts:
            raise ValueError("the runs do not have the same texts and labels in the same order")
        if not np.array_equal(run.clusters.codes, baseline.clusters.codes):
            raise ValueError("the runs do not have the same clusters of texts")
        if not np.array_equal(ours.truth, theirs.truth):
            raise ValueError("the runs do not agree on the true labels")
        how = [(one.resamples, one.seed, one.confidence) for one in (run, baseline)]
        if how[0] != how[1]:
            raise ValueError("the runs were not resampled alike")
        self.run, self.baseline = run, baseline
        positives = np.count_nonzero(ours.truth, axis=0)
        self.few: BoolArray = np.minimum(positives, len(ours) - positives) < MINIMUM_POSITIVES
        self.same_labels: BoolArray = (run.predicted == baseline.predicted).all(axis=0)
        same: BoolArray = (ours.probabilities == theirs.probabilities).all(axis=0)
        self.same_probabilities = same

    def tested(self, metric: Metric) -> BoolArray:
        """Classes of which a test of the metric can be made, (k,)."""
        if metric.counts is not None:
            return ~self.same_labels
        return ~(self.same_probabilities | (self.few & (metric.ranking is not None)))

    def of_counts(self, by_chance: CountMetrics) -> dict[str, _Part]:
        """Metrics that follow from counts, with the p of swaps."""
        run, baseline = self.run, self.baseline
        point, replicates = run.point - baseline.point, run.resampled - baseline.resampled
        # the better run comes first, so that the other direction is the mirror image
        sign = -1.0 if point.overall[HEADLINE][0] < 0.0 else 1.0
        f1 = CLASS_METRICS["f1"]
        draws = ClassDraws(
            run.predictions.truth,
            *[run.predicted, baseline.predicted][:: int(sign)],
            number=run.resamples,
            seed=[run.seed, len(run), 4],
            effects=run.clusters.effects(run.linearised(f1) - baseline.linearised(f1)),
        )
        keys = list(point.overall)
        values = np.array([point.overall[key][0] for key in keys])
        stacked = np.stack([replicates.overall[key] for key in keys], axis=1)
        beyond = np.count_nonzero(stacked * np.sign(values) <= 0.0, axis=0)
        by_resamples = np.where(beyond, 2.0 * (1 + beyond) / (1 + len(stacked)), 0.0)
        p_values = {
            key: np.clip(p_value(by_chance.overall[key], value), p, 1.0)
            for key, value, p in zip(keys, values, by_resamples, strict=True)
        }
        if run.clusters.alone:
            p_values["exact_match"] = sign_test(run.exact.astype(int) - baseline.exact)
        bounds = dict(zip(keys, np.transpose(percentiles(stacked, run.confidence)), strict=True))
        parts: dict[str, _Part] = {}
        for name, (classes,) in point.per_class.items():
            p = p_value(by_chance.per_class[name], classes)
            parts[name] = (classes, *self.class_bounds(name), p)
            key = f"macro_{name}"
            if key not in bounds:
                continue
            value, error = point.overall[key][0], float(replicates.overall[key].std())
            found = draws.macro(CLASS_METRICS[name], replicates.per_class[name])
            margin = normal_quantile(run.confidence) * error
            bounds[key] = np.array([*(sign * np.array(widest(found, run.confidence))),
                                    value - margin, value + margin])  # fmt: skip
            one_side = all(one.estimate * sign * value > 0.0 for one in found)
            by_draws = max(one.p for one in found) if one_side else 1.0
            by_error = _normal_p(value, error) if value else 1.0
            p_values[key] = np.max([p_value(by_chance.overall[key], value), by_draws, by_error])
        differ, alpha = not self.same_labels.all(), round(1 - run.confidence, 12)
        for key, value in zip(keys, values, strict=True):
            ends = list(bounds[key])
            if differ and np.ptp(ends) <= TIED:  # no resample and no swap shows another
                trials = min(one.share_of(OVERALL[key])[1] for one in (run, baseline))
                widest_one = OVERALL[key].metric.span
                ends = list(_signed_wilson(np.array(value), trials, run.confidence, widest_one))
            # an interval does not exclude zero where the test does not tell the runs apart
            ends += [0.0] * int(p_values[key] >= alpha)
            parts[key] = value, min(ends), max(ends), p_values[key]
        return parts

    def class_bounds(self, name: str) -> Bounds:
        """MOVER for the difference of two correlated proportions (Zou and Donner 2008).

        The correlation is moved towards none: on few texts, resamples show too high a one.
        """
        run, baseline = self.run, self.baseline
        ours, theirs = run.point.per_class[name][0], baseline.point.per_class[name][0]
        value = ours - theirs
        (low, high), (other_low, other_high) = run.class_bounds[name], baseline.class_bounds[name]
        first, second = run.resampled.per_class[name], baseline.resampled.per_class[name]
        first, second = first - first.mean(axis=0), second - second.mean(axis=0)
        scale = np.sqrt(np.square(first).sum(axis=0) * np.square(second).sum(axis=0))
        related = (first * second).sum(axis=0) / np.where(scale > 1e-12, scale, np.inf)
        involved = np.minimum(run.class_texts, baseline.class_texts)
        related *= involved / (involved + PRIOR_TEXTS)

        def combined(margin: FloatArray, other: FloatArray) -> FloatArray:
            squared = margin**2 + other**2 - 2.0 * related * margin * other
            return np.where(self.same_labels, 0.0, np.sqrt(np.maximum(squared, 0.0)))

        below, above = (
            combined(ours - low, other_high - theirs),
            combined(high - ours, theirs - other_low),
        )
        return value - below, value + above

    def of_probabilities(self) -> dict[str, _Part]:
        """Metrics that need probabilities, by the influence of each text on both runs."""
        parts: dict[str, _Part] = {}
        ours, theirs = self.run.influences, self.baseline.influences
        same, confidence = self.same_probabilities, self.run.confidence
        whole = np.array([same.all()])
        for key in ours.keys() & theirs.keys() & CLASS_METRICS.keys():
            classes = ours[key] - theirs[key]
            parts[key] = _normal_part(classes, same, confidence)
            if CLASS_METRICS[key].ranking is not None:
                parts[key] = self.without_few(key, *parts[key])
            parts[f"macro_{key}"] = _normal_part(classes.mean(), whole, confidence)
            micro = f"micro_{key}"
            if micro in ours:
                parts[micro] = _normal_part(ours[micro] - theirs[micro], whole, confidence)
        return parts

    def without_few(
        self, name: str, value: FloatArray, low: FloatArray, high: FloatArray, p: FloatArray
    ) -> _Part:
        """Differences of the classes, those with too few positives or negatives untested."""
        few = self.few & ~self.same_probabilities
        first, second = self.run.influences[name], self.baseline.influences[name]
        our_low, our_high = first.intervals(self.run.confidence)
        their_low, their_high = second.intervals(self.run.confidence)
        below = np.hypot(first.estimates - our_low, their_high - second.estimates)
        above = np.hypot(our_high - first.estimates, second.estimates - their_low)
        return (
            value,
            np.where(few, value - below, low),
            np.where(few, value + above, high),
            np.where(few & ~np.isnan(value), 1.0, p),
        )


def _normal_part(difference: Influence, same: BoolArray, confidence: float) -> _Part:
    """From the influence of each text, (n, c); `same` (c,) are alike on every text.

    Where all texts move a difference alike its interval is Wilson's, for so many texts. No p is
    below that of the swaps of n texts, 2 in 2**n.
    """
    values, errors, texts = difference.estimates, difference.standard_errors, len(difference.values)
    centre = values - difference.bias
    least = 2.0 ** (1 - texts)
    p_values = np.array(
        [
            float("nan") if np.isnan(c) else 1.0 if c == 0.0 else max(_normal_p(c, e), least)
            for c, e in zip(centre, errors, strict=True)
        ]
    )
    margin = normal_quantile(confidence) * errors
    alike = (errors <= NO_SPREAD) & ~same
    wilsons = _signed_wilson(values, texts, confidence, difference.high)
    ends = zip((centre - margin, centre + margin), wilsons, strict=True)
    low, high = (np.where(alike, wide, end) for end, wide in ends)
    untold = p_values >= round(1 - confidence, 12)
    low[untold], high[untold] = np.minimum(low, 0.0)[untold], np.maximum(high, 0.0)[untold]
    return values, low, high, p_values


def _signed_wilson(values: FloatArray, trials: float, confidence: float, widest: float) -> Bounds:
    """Wilson intervals of differences, read as shares of so many trials with a sign.

    They are shares of the `widest` difference; where that is infinite, only the values are known.
    """
    if math.isinf(widest):
        return values, values
    shares = np.minimum(np.abs(values) / widest, 1.0)
    low, high = (widest * end for end in wilson(shares, np.array(trials), confidence))
    low = np.where(np.abs(values) <= TIED, -high, low)
    return np.where(values < 0.0, -high, low), np.where(values < 0.0, -low, high)


def _normal_p(centre: float, error: float) -> float:
    """Never 0, which no sample could show."""
    tiny = sys.float_info.min
    return max(normal_p(centre / error), tiny) if error > 0.0 else tiny
