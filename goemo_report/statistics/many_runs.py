"""What changes when there are many runs: more tests, and a best run that had luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from goemo_report.metrics.arrays import FloatArray
from goemo_report.statistics.differences import HEADLINE, Paired, PairedDifferences
from goemo_report.statistics.distributions import CONFIDENCE, holm
from goemo_report.statistics.randomisation import max_t


def adjusted_over_runs(
    found: Mapping[str, Paired], *, together: bool, confidence: float = CONFIDENCE
) -> dict[str, PairedDifferences]:
    """Differences of several runs to one baseline, macro F1 tested for all of them at once.

    `together` says that all were compared on the same texts, so that their swaps are the same;
    else the p-values are adjusted by Holm. Runs without a difference leave the family.
    """
    result = {key: dict(one.differences) for key, one in found.items()}
    keys = [key for key, one in result.items() if (held := one[HEADLINE]) and not held.same]
    tested = [one for key in keys if (one := result[key][HEADLINE]) is not None]
    if len(keys) < 2:
        return {**result}
    adjusted = holm(np.array([one.p for one in tested]))
    if together:
        swaps = np.stack([found[key].swaps for key in keys])
        adjusted = max_t(np.array([one.value for one in tested]), swaps)
    for key, one, p in zip(keys, tested, adjusted.tolist(), strict=True):
        p = max(p, one.p)
        verdict = one.verdict if p < round(1 - confidence, 12) else "tie"
        result[key][HEADLINE] = replace(one, p_adjusted=p, verdict=verdict)
    return {**result}


def luck_of_the_best(replicates: Sequence[FloatArray]) -> float:
    """How far the best of several equal runs is above their mean by the choice of texts alone.

    `replicates` are the values of each run in the same resamples, (m,) each. The expected maximum
    of the deviations that resamples show (the winner's curse; Efron and Tibshirani 1993, ch. 17,
    for the bootstrap of such optimism).
    """
    drawn = np.stack(replicates)
    drawn = drawn - drawn.mean(axis=1, keepdims=True)
    return float((drawn.max(axis=0) - drawn.mean(axis=0)).mean())
