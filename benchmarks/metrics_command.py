"""Time of `goemo-report metrics FILE` beside a pandas + scikit-learn script, CSV and parquet.

    python benchmarks/metrics_command.py [--rounds 7]

All are whole processes that read the same made-up file of 5,427 texts x 28 emotions and
compute the same numbers, which are compared; run in turn, ratio of the medians of their wall and
of their processor time. Modules are compiled beforehand, as pip leaves them. Targets: a CSV in at
most 0.1 of the script's time, parquet in at most 0.8 of the CSV's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from goemo_report.labels import EMOTIONS
from goemo_report.predictions import write_predictions

TEXTS = 5427

SCRIPT = """
import json, sys
import pandas as pd
from sklearn import metrics
frame = pd.read_csv(sys.argv[1], keep_default_na=False)
columns = [name for name in frame.columns if name.startswith("pred_probs_")]
emotions = [name.removeprefix("pred_probs_") for name in columns]
probabilities = frame[columns].to_numpy()
named = frame["true_labels"].str.split(",")
truth = pd.DataFrame({e: [e in row for row in named] for e in emotions}).to_numpy().astype(int)
predicted = (probabilities >= 0.5).astype(int)
overall = {
    "micro_auc": metrics.roc_auc_score(truth, probabilities, average="micro"),
    "macro_auc": metrics.roc_auc_score(truth, probabilities, average="macro"),
    "macro_average_precision": metrics.average_precision_score(truth, probabilities),
    "micro_average_precision": metrics.average_precision_score(
        truth, probabilities, average="micro"),
    "exact_match": metrics.accuracy_score(truth, predicted),
    "hamming_loss": metrics.hamming_loss(truth, predicted),
    "jaccard": metrics.jaccard_score(truth, predicted, average="samples", zero_division=0),
}
for average in ("macro", "micro", "weighted", "samples"):
    found = metrics.precision_recall_fscore_support(
        truth, predicted, average=average, zero_division=0)
    for name, value in zip(("precision", "recall", "f1"), found):
        overall[f"{average}_{name}"] = value
precision, recall, f1, support = metrics.precision_recall_fscore_support(
    truth, predicted, zero_division=0)
confusion = metrics.multilabel_confusion_matrix(truth, predicted)
auc = metrics.roc_auc_score(truth, probabilities, average=None)
average_precision = metrics.average_precision_score(truth, probabilities, average=None)
rows = [
    {"emotion": e, "f1_score": f1[j], "precision": precision[j], "recall": recall[j],
     "support": int(support[j]), "tp": int(confusion[j, 1, 1]), "fp": int(confusion[j, 0, 1]),
     "fn": int(confusion[j, 1, 0]), "tn": int(confusion[j, 0, 0]), "auc": auc[j],
     "average_precision": average_precision[j]}
    for j, e in enumerate(emotions)
]
print(json.dumps({"overall": overall, "per_class": rows}))
"""


def make_file(path: Path) -> None:
    """Predictions of the usual size, with texts of the usual length."""
    generator = np.random.default_rng(0)
    truth = generator.random((TEXTS, 28)) < np.geomspace(0.002, 0.3, 28)
    logits = generator.normal(size=truth.shape) - 3 + 3 * truth
    texts = [f'"Text" {row}, ' + "some more words " * (row % 8) for row in range(TEXTS)]
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    write_predictions(path, texts, truth, probabilities, 0.5, EMOTIONS)


def run(command: list[str], cache: Path) -> tuple[tuple[float, float], Any]:
    """Wall and processor seconds of one process, and the JSON that it printed."""
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(cache)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    start, before = time.perf_counter(), os.times()
    done = subprocess.run(command, check=True, capture_output=True, env=environ)
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return (wall, used), json.loads(done.stdout)


def compare(found: Any, expected: Any) -> None:
    for key, value in expected["overall"].items():
        assert abs(found["overall"][key] - value) < 1e-12, key
    for row, other in zip(found["per_class"], expected["per_class"], strict=True):
        for key, value in other.items():
            assert row[key] == value or abs(row[key] - value) < 1e-12, (row["emotion"], key)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        path, cache = Path(folder) / "test_predictions.csv", Path(folder) / "compiled"
        make_file(path)
        parquet = path.with_suffix(".parquet")
        pd.read_csv(path, keep_default_na=False).to_parquet(parquet)
        ours = [str(Path(sys.executable).with_name("goemo-report")), "metrics", "--format", "json"]
        commands = [
            [*ours, str(path)],
            [*ours, str(parquet)],
            [sys.executable, "-c", SCRIPT, str(path)],
        ]
        first, second, expected = (run(command, cache)[1] for command in commands)
        compare(first, expected)
        compare(second, expected)
        times = [[run(command, cache)[0] for command in commands] for _ in range(rounds)]
    for at, kind in enumerate(("wall", "processor")):
        csv, table, script = (statistics.median(row[i][at] for row in times) for i in range(3))
        print(
            f"{kind}: CSV {csv:.3f} s, parquet {table:.3f} s, pandas + scikit-learn {script:.3f} s"
        )
        print(f"  CSV / script {csv / script:.3f} (target 0.1)")
        print(f"  parquet / CSV {table / csv:.2f} (target 0.8), {rounds} rounds, same numbers")


if __name__ == "__main__":
    main()
