"""What clusters of texts do to intervals and tests, with and without `--cluster`.

    python -m benchmarks.clusters [--samples 200]

Made-up texts come in clusters of several (an author, a thread). How well each of two systems does
differs from cluster to cluster, and they are equally good on average. Samples of clusters are
drawn; intervals of macro and micro F1 are held against the values of a large sample, and p-values
of their differences below 0.05 are counted.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace

import numpy as np

from goemo_report.labels import LabelSet
from goemo_report.predictions import Predictions
from goemo_report.statistics.differences import paired
from goemo_report.statistics.intervals import analyse

LABELS = tuple(f"l{number}" for number in range(8))
RATES = np.array([0.30, 0.15, 0.10, 0.08, 0.06, 0.04, 0.03, 0.02])
CASES = ((1000, 1, 2.0), (200, 5, 2.0), (60, 20, 2.0), (200, 5, 0.0))
"""Clusters, texts of each, and how far they are apart."""
KEYS = ("macro_f1", "micro_f1")


def drawn(seed: int, clusters: int, size: int, spread: float) -> tuple[Predictions, Predictions]:
    """Two systems on `clusters` clusters of `size` texts; `spread` tells clusters apart."""
    generator = np.random.default_rng(seed)
    texts = clusters * size
    truth = generator.random((texts, len(LABELS))) < RATES
    names = tuple(f"c{number // size}" for number in range(texts))
    found = []
    for _ in range(2):
        skill = np.repeat(generator.normal(0.0, spread, clusters), size)[:, None]
        scores = generator.logistic(-2.5, 1.0, truth.shape) + truth * (3.0 + skill)
        probabilities = 1.0 / (1.0 + np.exp(-scores))
        found.append(
            Predictions(
                tuple(map(str, range(texts))), truth, probabilities, probabilities >= 0.5,
                LabelSet.of(LABELS), "made up", has_probabilities=False, clusters=names,
            )
        )  # fmt: skip
    return found[0], found[1]


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description="coverage and level with clusters of texts")
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    print("| clusters x texts | spread | metric | covers: texts | clusters | p: texts | clusters |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |")
    for clusters, size, spread in CASES:
        truth = analyse(drawn(0, 8_000, 5, spread)[0], resamples=100).point.overall
        held: Counter[tuple[str, bool, str]] = Counter()
        for seed in range(1, options.samples + 1):
            both = drawn(seed, clusters, size, spread)
            for together in (False, True):
                one, other = (
                    analyse(run if together else replace(run, clusters=()), resamples=300)
                    for run in both
                )
                differences = paired(one, other, randomisations=300).differences
                for key in KEYS:
                    interval, difference = one.intervals[key], differences[key]
                    assert interval is not None
                    assert difference is not None
                    inside = interval.low <= truth[key][0] <= interval.high
                    held[key, together, "covered"] += bool(inside)
                    held[key, together, "found"] += difference.p < 0.05
        for key in KEYS:
            cells = [
                f"{100 * held[key, together, what] / options.samples:.1f}"
                for what in ("covered", "found")
                for together in (False, True)
            ]
            print(f"| {clusters} x {size} | {spread:g} | {key} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
