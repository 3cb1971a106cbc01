"""All 95% intervals of one run beside a loop over scikit-learn that resamples the same metrics.

    python benchmarks/bootstrap.py [--loops 5]

5,427 texts x 28 emotions, 1,000 resamples. The loop draws texts and computes every overall
and per-class metric again with scikit-learn; it is run `--loops` times and scaled to 1,000.
Nothing is kept between the rounds of ours, the resampling weights included. Target: at least
100 times as fast.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from sklearn import metrics

from goemo_report.labels import GOEMOTIONS
from goemo_report.predictions import Predictions
from goemo_report.statistics.differences import paired
from goemo_report.statistics.intervals import RESAMPLES, analyse
from goemo_report.statistics.resampling import bootstrap_weights

TEXTS = 5427
TARGET = 100


def make_predictions(seed: int) -> Predictions:
    generator = np.random.default_rng(0)
    truth = generator.random((TEXTS, 28)) < np.geomspace(0.002, 0.3, 28)
    logits = np.random.default_rng(seed).normal(size=truth.shape) - 3 + 3 * truth
    probabilities = 1 / (1 + np.exp(-logits))
    texts = tuple(f"text {row}" for row in range(TEXTS))
    return Predictions(texts, truth, probabilities, probabilities >= 0.5, GOEMOTIONS, "made up")


def one_loop(made: Predictions, generator: np.random.Generator) -> None:
    """One resample as a script would do it."""
    drawn = generator.integers(TEXTS, size=TEXTS)
    truth, probabilities = made.truth[drawn], made.probabilities[drawn]
    predicted = made.predicted[drawn]
    for average in ("macro", "micro", "weighted", "samples", None):
        metrics.precision_recall_fscore_support(truth, predicted, average=average, zero_division=0)
    metrics.accuracy_score(truth, predicted)
    metrics.hamming_loss(truth, predicted)
    metrics.jaccard_score(truth, predicted, average="samples", zero_division=0)
    for average in (None, "micro"):  # the macro average is the mean of the classes
        metrics.roc_auc_score(truth, probabilities, average=average)
        metrics.average_precision_score(truth, probabilities, average=average)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--loops", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    made, other = make_predictions(1), make_predictions(2)
    generator = np.random.default_rng(0)
    ours, theirs, differences = [], [], []
    one_loop(made, generator)
    for _ in range(chosen.rounds):
        bootstrap_weights.cache_clear()
        start = time.perf_counter()
        analysis = analyse(made)
        found = analysis.intervals
        ours.append(time.perf_counter() - start)
        baseline = analyse(other)
        _ = baseline.intervals
        start = time.perf_counter()
        paired(analysis, baseline)
        differences.append(time.perf_counter() - start)
        start = time.perf_counter()
        for _ in range(chosen.loops):
            one_loop(made, generator)
        theirs.append((time.perf_counter() - start) / chosen.loops * RESAMPLES)
    first, second = statistics.median(ours), statistics.median(theirs)
    print(f"{len(found)} intervals, {RESAMPLES} resamples    {first:8.3f} s")
    print(f"scikit-learn loop, {chosen.loops} scaled     {second:8.1f} s")
    print(f"{second / first:.0f} times as fast (target {TARGET})")
    print(f"paired with a baseline, 2,000 swaps  {statistics.median(differences):8.3f} s")


if __name__ == "__main__":
    main()
