"""Macro averages for other texts, drawn from what the counts of each class leave open.

A class with a handful of texts says little of its own F1, and a class that a run never predicts
has no spread at all in any resample of the texts. So the proportions of the outcomes of each class
are drawn from the Dirichlet distribution that its counts and a prior give (Goutte and Gaussier
2005, for F1). The prior is that of empirical Bayes (Casella 1985): PRIOR_TEXTS texts, spread over
the kinds of outcome as those of the average class are. So a class without texts is taken to be like
the others. A prior that is the same for all runs, such as Jeffreys', would make a run that hardly
predicts anything look better than it is.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.counts import ClassCounts
from goemo_report.metrics.table import Metric

PRIOR_TEXTS: Final = 1.0


class ClassDraws:
    """Draws of the counts of each class for one run, or for two runs on the same texts.

    `predicted` are the (n, k) labels of one run or of two. Every kind of outcome that a text may
    have is one cell; a text without the class that no run predicts to carry it is as many others.
    """

    def __init__(
        self, truth: BoolArray, *predicted: BoolArray, number: int, seed: list[int]
    ) -> None:
        code = truth.astype(np.int8)
        for one in predicted:
            code = 2 * code + one
        self._runs, kinds = len(predicted), 2 << len(predicted)
        cells = np.stack([np.count_nonzero(code == kind, axis=0) for kind in range(kinds)])
        texts = cells[1:].sum(axis=0)
        # beside the classes one with as many of every kind, so that none is impossible
        average = (cells[1:] / np.maximum(texts, 1)).sum(axis=1) + 1.0 / (kinds - 1)
        average /= np.count_nonzero(texts) + 1
        prior = PRIOR_TEXTS * np.append(0.0, average)[:, None]
        self._same = len(predicted) > 1 and np.array_equal(predicted[0], predicted[1])
        self._never = [~one.any(axis=0) for one in predicted]
        shape = (number, *cells.shape)
        self._drawn = np.random.default_rng(seed).standard_gamma(cells + prior, shape)

    def counts(self, run: int = 0) -> ClassCounts:
        """The counts of one run in each draw, (m, k)."""
        kinds = range(self._drawn.shape[1])
        true = np.array([bool(kind >> self._runs) for kind in kinds])
        called = np.array([bool(kind >> (self._runs - 1 - run) & 1) for kind in kinds])

        def total(chosen: BoolArray) -> FloatArray:
            found: FloatArray = self._drawn[:, chosen].sum(axis=1)
            return found

        return ClassCounts(
            total(true & called), total(~true & called), total(true & ~called),
            total(~true & ~called),
        )  # fmt: skip

    def macro(self, metric: Metric, resampled: FloatArray) -> FloatArray:
        """A macro average in each draw, (m,), or the difference of those of two runs.

        Classes are drawn one by one. Where bootstrap `resampled` values of the classes, (b, k),
        vary together, the draws are stretched about their median. What is 0 by convention, as the
        precision of a class that is never predicted, stays so.
        """
        values = [self.counts(run).of_metric(metric) for run in range(self._runs)]
        if metric.needs_predictions:
            values = [one * ~never for one, never in zip(values, self._never, strict=True)]
        drawn: FloatArray = values[0].mean(axis=1)
        if self._runs > 1:
            drawn = drawn - values[1].mean(axis=1)
        if self._same:
            return np.zeros_like(drawn)
        alone = float(resampled.var(axis=0).sum()) / resampled.shape[1] ** 2
        together = float(resampled.mean(axis=1).var())
        stretch = max(np.sqrt(together / alone), 1.0) if alone > 0.0 else 1.0
        middle = np.median(drawn)
        return middle + stretch * (drawn - middle)
