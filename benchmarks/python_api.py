"""`gr.score` beside scikit-learn, and `gr.compare` of two files, in one process.

    python benchmarks/python_api.py [ROWS]

Made-up predictions of 28 labels, 5,427 texts as the test split has. Every figure is the best of
several repeats, after one that warms up; comparisons begin with an empty cache.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import metrics as sk

import goemo_report as gr
from goemo_report.labels import EMOTIONS
from goemo_report.predictions import write_predictions

REPEATS = 5


def best(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds of the fastest of several calls."""
    work()
    walls, processors = [], []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return min(walls), min(processors)


def with_sklearn(truth: Any, prob: Any, predicted: Any) -> dict[str, Any]:
    """What `gr.score` gives, by scikit-learn's functions."""
    found: dict[str, Any] = {}
    for average in ("macro", "micro", "weighted", "samples", None):
        shares = sk.precision_recall_fscore_support(
            truth, predicted, average=average, zero_division=0
        )
        found[f"shares_{average}"] = shares
    for average in ("macro", "micro", None):
        found[f"auc_{average}"] = sk.roc_auc_score(truth, prob, average=average)
        found[f"ap_{average}"] = sk.average_precision_score(truth, prob, average=average)
    columns = list(zip(truth.T, predicted.T, prob.T, strict=True))
    found["mcc"] = [sk.matthews_corrcoef(one, other) for one, other, _ in columns]
    found["brier"] = [sk.brier_score_loss(one, p) for one, _, p in columns]
    found["counts"] = sk.multilabel_confusion_matrix(truth, predicted)
    found["exact"] = sk.accuracy_score(truth, predicted)
    found["hamming"] = sk.hamming_loss(truth, predicted)
    found["jaccard"] = sk.jaccard_score(truth, predicted, average="samples", zero_division=0)
    return found


def compared(files: list[Path]) -> Any:
    """A comparison with what the leaderboard and the differences need, nothing of it cached."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["GOEMO_CACHE_DIR"] = cache
        found = gr.compare(*files)
        return found.leaderboard, found.differences


def main() -> None:
    warnings.simplefilter("ignore")
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 5427
    generator = np.random.default_rng(0)
    truth = generator.random((rows, len(EMOTIONS))) < 0.04
    probs = [
        1 / (1 + np.exp(2 - 2.5 * truth - generator.normal(size=truth.shape))) for _ in range(2)
    ]
    prob = probs[0]
    ours = best(lambda: gr.score(y_true=truth, y_prob=prob, labels=EMOTIONS).scores)
    theirs = best(lambda: with_sklearn(truth, prob, prob >= 0.5))
    same = gr.score(y_true=truth, y_prob=prob, labels=EMOTIONS).overall
    expected = with_sklearn(truth, prob, prob >= 0.5)
    for key, value in (
        ("macro_auc", expected["auc_macro"]),
        ("micro_average_precision", expected["ap_micro"]),
        ("macro_f1", expected["shares_macro"][2]),
        ("macro_mcc", np.mean(expected["mcc"])),
    ):
        assert abs(same[key] - value) < 1e-9, key
    print(f"score of {rows:,} x {len(EMOTIONS)}, {len(same)} overall metrics, those of each label")
    print(f"  goemo_report  {1000 * ours[0]:8.1f} ms   {1000 * ours[1]:8.1f} ms of processor")
    print(f"  scikit-learn  {1000 * theirs[0]:8.1f} ms   {1000 * theirs[1]:8.1f} ms of processor")
    print(f"  ratio         {theirs[0] / ours[0]:8.1f}      {theirs[1] / ours[1]:8.1f}")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{name}.csv") for name in "ab"]
        for file, one in zip(files, probs, strict=True):
            texts = [f"text {i}" for i in range(rows)]
            write_predictions(file, texts, truth, one.round(6), 0.5, EMOTIONS)
        wall, processor = best(lambda: compared(files))
    print(f"compare of two such files: {wall:.2f} s   {processor:.2f} s of processor")


if __name__ == "__main__":
    main()
