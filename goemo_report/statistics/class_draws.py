"""Macro averages for other texts, estimated and drawn from the counts of each class.

A class with a handful of texts says little of its own F1, and a class that a run never predicts
has no spread at all in any resample of the texts. F1 is also concave in the share of hits, and 0
where a rare class is missed, so that the macro average of few texts is too low: by more than its
standard error where a run predicts little.

So the shares of outcomes of each class are moved towards those of the average class, as if by a
few texts more (empirical Bayes, Casella 1985). A class without texts is then taken to be like the
others. How alike rare classes and others are does not show in few texts: the interval reaches from
where they are taken to be hardly alike to where they are taken to be much alike, PRIOR_TEXTS.
Classes that a run never predicts are like others only as far as their texts leave open: if many of
them have no hit, and hardly any class is predicted once, they stay unpredicted on other texts.
The errors are those of the same estimate from counts that are drawn from these shares (the
parametric bootstrap of Laird and Louis 1987).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.counts import ClassCounts
from goemo_report.metrics.table import Metric
from goemo_report.statistics.distributions import CONFIDENCE, normal_p, normal_quantile

PRIOR_TEXTS: Final = (0.25, 2.0)
"""Texts of each class that are spread like those of the average class, at least and at most."""
GROUP_TEXTS: Final = 2.0
"""The same of all classes together that are never predicted."""


class MacroDraws(NamedTuple):
    """A macro average or a difference of two, estimated, and the errors of the estimate, (m,)."""

    estimate: float
    errors: FloatArray

    def ends(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """The wider one, on each side, of the normal interval and that of the quantiles."""
        margin, tail = normal_quantile(confidence) * float(self.errors.std()), (1 - confidence) / 2
        low, high = np.quantile(self.errors, [tail, 1 - tail], method="weibull").tolist()
        return self.estimate + min(low, -margin), self.estimate + max(high, margin)

    @property
    def p(self) -> float:
        """The p of no difference: of the confidence at which an end of the interval is 0."""
        error = float(self.errors.std())
        if not error or not self.estimate:
            return 1.0 if not self.estimate else 0.0
        beyond = np.count_nonzero(self.errors * -np.sign(self.estimate) >= abs(self.estimate))
        by_draws = 2.0 * (1 + beyond) / (1 + len(self.errors)) if beyond else 0.0
        return min(max(normal_p(self.estimate / error), by_draws), 1.0)


class ClassDraws:
    """Draws of the counts of each class for one run, or for two runs on the same texts.

    `predicted` are the (n, k) labels of one run or of two. Every kind of outcome that a text may
    have is one cell; a text without the class that no run predicts to carry it is as many others.
    Clusters of texts leave as many times fewer of them as their design `effects` say, (k,).
    """

    def __init__(
        self,
        truth: BoolArray,
        *predicted: BoolArray,
        number: int,
        seed: list[int],
        effects: FloatArray | float = 1.0,
    ) -> None:
        code = truth.astype(np.int8)
        for one in predicted:
            code = 2 * code + one
        self._runs, kinds = len(predicted), 2 << len(predicted)
        cells = np.array(
            [np.count_nonzero(code == kind, axis=0) for kind in range(1, kinds)], np.float64
        )
        cells, size = cells / effects, len(truth) / effects
        self._same = len(predicted) > 1 and np.array_equal(predicted[0], predicted[1])
        self._never = [~one.any(axis=0) for one in predicted]
        generator, texts = np.random.default_rng(seed), cells.sum(axis=0)
        self._drawn: list[FloatArray] = []
        for prior in PRIOR_TEXTS:
            estimate = cells + self._added(cells[None], prior)[0]
            expected = estimate * (texts / estimate.sum(axis=0))
            found = generator.poisson(expected, (number, *cells.shape)).astype(np.float64)
            drawn = np.concatenate([estimate[None], found + self._added(found, prior)])
            rest = np.maximum(size - drawn.sum(axis=1, keepdims=True), 0.0)
            self._drawn.append(np.concatenate([rest, drawn], axis=1))

    def _added(self, cells: FloatArray, prior: float) -> FloatArray:
        """Give what `prior` texts of the average class add to counts (m, kinds, k).

        Classes that no run predicts are one class too: their texts are moved towards the average as
        if by GROUP_TEXTS. On other texts they are predicted, together, about as often as there are
        classes that are predicted once (Good 1953), if that is more. So are those that one of two
        runs never predicts.
        """
        kind, either = np.arange(1, cells.shape[1] + 1), (1 << self._runs) - 1
        added = np.repeat(prior * _average(cells), cells.shape[2], axis=2)
        positive = cells[:, kind > either].sum(axis=1)
        done = np.zeros(positive.shape, np.bool_)
        for run in dict.fromkeys((either, *(1 << run for run in range(self._runs)))):
            called = kind & run > 0
            times = cells[:, called].sum(axis=1)
            never = (times == 0.0) & ~done
            once = (times > 0.0) & (times < 1.5)  # clusters leave no whole numbers
            done |= never
            if not never.any():
                continue
            texts = (positive * never).sum(axis=1, keepdims=True)
            seen = once.sum(axis=1, keepdims=True) / np.maximum(never.sum(axis=1, keepdims=True), 1)
            mass = added[:, called].sum(axis=1)
            left = np.maximum(GROUP_TEXTS / (GROUP_TEXTS + texts), seen / mass)
            lost = added[:, called] * (never * np.maximum(1.0 - left, 0.0))[:, None]
            added[:, called] -= lost
            for place, instead in enumerate(kind[called] & ~run):
                if instead:  # else a text that has nothing to do with the class
                    added[:, instead - 1] += lost[:, place]
        return added

    def counts(self, drawn: FloatArray, run: int = 0) -> ClassCounts:
        """The counts of one run, (m, k), from those of each kind of outcome, (m, kinds, k)."""
        kinds = range(drawn.shape[1])
        true = np.array([bool(kind >> self._runs) for kind in kinds])
        called = np.array([bool(kind >> (self._runs - 1 - run) & 1) for kind in kinds])
        chosen = (true & called, ~true & called, true & ~called, ~true & ~called)
        return ClassCounts(*(drawn[:, one].sum(axis=1) for one in chosen))

    def macro(self, metric: Metric, resampled: FloatArray) -> list[MacroDraws]:
        """A macro average, or the difference of those of two runs, for each of PRIOR_TEXTS.

        Classes are drawn one by one. Where bootstrap `resampled` values of the classes, (b, k),
        vary together, the errors are stretched. What is 0 by convention, as the precision of a
        class that is never predicted, stays so.
        """
        alone = float(resampled.var(axis=0).sum()) / resampled.shape[1] ** 2
        together = float(resampled.mean(axis=1).var())
        stretch = max(np.sqrt(together / alone), 1.0) if alone > 0.0 else 1.0
        found = []
        for drawn in self._drawn:
            values = [self.counts(drawn, run).of_metric(metric) for run in range(self._runs)]
            if metric.needs_predictions:
                values = [one * ~never for one, never in zip(values, self._never, strict=True)]
            means: FloatArray = values[0].mean(axis=1)
            if self._runs > 1:
                means = (means - values[1].mean(axis=1)) * (not self._same)
            found.append(MacroDraws(float(means[0]), stretch * (means[1:] - means[1:].mean())))
        return found


def _average(cells: FloatArray) -> FloatArray:
    """The shares of outcomes of the average class, (m, kinds, 1), from counts (m, kinds, k).

    Beside the classes there is one with as many of every kind, so that none is impossible.
    """
    texts, kinds = cells.sum(axis=1, keepdims=True), cells.shape[1]
    shares = (cells / np.maximum(texts, 1)).sum(axis=2, keepdims=True) + 1.0 / kinds
    average: FloatArray = shares / ((texts > 0).sum(axis=2, keepdims=True) + 1)
    return average


def widest(found: list[MacroDraws], confidence: float) -> tuple[float, float]:
    """The interval that holds those of all priors."""
    lows, highs = zip(*(one.ends(confidence) for one in found), strict=True)
    return min(lows), max(highs)
