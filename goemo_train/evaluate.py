"""Predictions of a split, what they score, the thresholds they suggest, and their files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from goemo_report import contract
from goemo_report.metrics.rankings import micro_roc_auc, roc_auc
from goemo_report.metrics.scores import Scores, per_class_rows, score
from goemo_report.predictions import Predictions, read_predictions, write_predictions
from goemo_report.thresholds.tune import RULE, tuned_thresholds
from goemo_train import data, launcher
from goemo_train.data import Corpus, Tokens
from goemo_train.disk import flush, write_whole
from goemo_train.interruption import Interrupted, Interruption
from goemo_train.world import World

BATCH_TOKENS = {"cpu": 1024, "cuda": 16384}  # of evaluation; on CPU so that caches hold them


@torch.no_grad()  # not inference_mode, whose tensors FSDP could not use again in training
def predict(
    classifier: nn.Module,
    tokens: Tokens,
    device: torch.device,
    precision: str = "fp32",
    stop: Interruption | None = None,
    world: World | None = None,
) -> tuple[npt.NDArray[np.float32], float]:
    """Probabilities (n, k) in the order of the texts, and the mean BCE loss."""
    classifier.eval()
    world = world or World()
    logits = torch.zeros(len(tokens), tokens.truth.shape[1], device=device)
    batches = list(data.evaluation_batches(tokens.lengths, BATCH_TOKENS[device.type]))
    for first in range(0, len(batches), world.size):
        mine = first + world.rank  # FSDP wants as many calls of each process
        rows = batches[min(mine, len(batches) - 1)]
        ids, mask, _ = tokens.batch(rows, device)
        with autocast(device, precision):
            found = classifier(ids, mask).float()
        if mine < len(batches):
            logits[torch.from_numpy(rows).to(device)] = found
        if stop and (signal := world.stops(stop)):
            raise Interrupted(signal)
    world.sum(logits)  # each process filled in its own rows
    truth = torch.from_numpy(tokens.truth).to(device)
    loss = functional.binary_cross_entropy_with_logits(logits, truth).item()
    return logits.sigmoid().cpu().numpy(), loss


def rankings(
    split: str, truth: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float32]
) -> dict[str, float]:
    """Micro and macro AUC of a split, under the guide's keys."""
    scores = probabilities.astype(np.float64)
    return {
        f"{split}/auc": micro_roc_auc(truth, scores),
        f"{split}/macro_auc": float(np.nanmean(roc_auc(truth, scores))),
    }


def number_format(device: torch.device, precision: str) -> torch.dtype:
    """bf16 where it is asked for; `auto`: as accelerate launches, else on a GPU made for it."""
    if precision == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = launcher.mixed_precision() or ("bf16" if native else "fp32")
    return torch.bfloat16 if precision == "bf16" else torch.float32


@contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """The matrix products of the block in this precision."""
    half = number_format(device, precision) == torch.bfloat16
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        yield


def export(
    directory: Path,
    split: str,
    corpus: Corpus,
    probabilities: npt.NDArray[np.float32],
    threshold: float,
) -> Predictions:
    """Write the split's predictions; gives them as they read back, so that scores are theirs."""
    path, texts = directory / f"{split}_predictions.csv", getattr(corpus, split)
    write_predictions(path, texts.texts, texts.truth, probabilities, threshold, corpus.labels)
    flush(path)
    return read_predictions(path)


@dataclass(frozen=True)
class Evaluation:
    """What a checkpoint scores on test, and the thresholds that validation suggests."""

    scores: Scores
    thresholds: dict[str, Any]  # what thresholds.json holds
    row: dict[str, Any]  # the guide's keys, and the macro AUC and the thresholds beside them

    @property
    def tuned_macro_f1(self) -> float | None:
        """Macro F1 on test at the thresholds that validation suggests."""
        value: float | None = self.row["test/macro_f1_tuned"]
        return value


def evaluate(
    found: Mapping[str, Predictions], labels: tuple[str, ...], threshold: float
) -> Evaluation:
    """Scores from the predictions of `val` and `test`, which say nothing of the thresholds."""
    scores = score(found["test"].truth, found["test"].probabilities, labels, threshold)
    chosen = tuned_thresholds(found["val"].truth, found["val"].probabilities).thresholds
    tuned = {
        f"{split}/macro_f1": score(p.truth, p.probabilities, labels, chosen).overall["macro_f1"]
        for split, p in found.items()
    }
    by_label = dict(zip(labels, chosen.tolist(), strict=True))
    row: dict[str, Any] = {}
    for key in contract.OVERALL_METRICS:
        name = key.name.removeprefix("test/")
        row[key.name] = scores.overall["micro_auc" if name == "auc" else name]
    row["test/macro_auc"] = scores.overall["macro_auc"]
    for line in per_class_rows(scores):
        for statistic in contract.PER_CLASS_STATISTICS:
            column = "f1_score" if statistic == "f1" else statistic
            row[contract.per_class_metric(statistic, line["emotion"])] = line[column]
    row |= {f"{name}_tuned": value for name, value in tuned.items()}
    row |= {f"threshold/{label}": value for label, value in by_label.items()}
    about = {"chosen_on": "val", "method": RULE, "thresholds": by_label, **tuned}
    return Evaluation(scores, about, row)


def write_per_class(path: Path, scores: Scores) -> None:
    """Write the guide's per-class CSV, whole or not at all."""
    text = io.StringIO()
    columns = [key.name for key in contract.PER_CLASS_COLUMNS]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(per_class_rows(scores))
    write_whole(path, text.getvalue())
