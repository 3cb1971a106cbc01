"""Predictions of a split, what they score, the thresholds they suggest, and their files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from goemo_report.api.recording import metric_row
from goemo_report.corpora.corpus import Corpus
from goemo_report.metrics.rankings import micro_roc_auc, roc_auc
from goemo_report.metrics.scores import Scores, score
from goemo_report.predictions import Predictions, read_predictions, write_predictions
from goemo_report.thresholds.tune import RULE, Tuned
from goemo_train import data
from goemo_train.data import Tokens
from goemo_train.processes import Distributed
from goemo_train.run_directory import flush

BATCH_TOKENS = {"cpu": 1024, "cuda": 16384}  # of evaluation; on CPU so that caches hold them


@torch.no_grad()  # as in trial steps, so that nothing is compiled anew
def predict(
    classifier: nn.Module, tokens: Tokens, processes: Distributed, precision: str = "fp32"
) -> tuple[npt.NDArray[np.float32], float]:
    """Probabilities (n, k) in the order of the texts, and the mean BCE loss."""
    classifier.eval()
    device = processes.device
    logits = torch.zeros(len(tokens), tokens.truth.shape[1], device=device)
    batches = list(data.evaluation_batches(tokens.lengths, BATCH_TOKENS[device.type]))
    for first in range(0, len(batches), processes.size):
        if (mine := first + processes.rank) < len(batches):
            ids, mask, _ = tokens.batch(batches[mine], device)
            with autocast(device, precision):
                found = classifier(ids, mask).float()
            logits[torch.from_numpy(batches[mine]).to(device)] = found
        processes.check_signals()
    logits = processes.sum(logits)  # each process filled in its own rows
    truth = torch.from_numpy(tokens.truth).to(device)
    loss = functional.binary_cross_entropy_with_logits(logits, truth).item()
    return logits.sigmoid().cpu().numpy(), loss


def number_format(device: torch.device, precision: str) -> torch.dtype:
    """bf16 where it is asked for; `auto`: as accelerate launches, else on a GPU made for it."""
    if precision == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        launched = os.environ.get("ACCELERATE_MIXED_PRECISION")
        precision = launched or ("bf16" if native else "fp32")
    return torch.bfloat16 if precision == "bf16" else torch.float32


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """A block whose matrix products have this precision."""
    half = number_format(device, precision) == torch.bfloat16
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=half)


def rankings(
    split: str, truth: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float32]
) -> dict[str, float]:
    """Micro and macro AUC of a split, under the guide's keys."""
    scores = probabilities.astype(np.float64)
    return {
        f"{split}/auc": micro_roc_auc(truth, scores),
        f"{split}/macro_auc": float(np.nanmean(roc_auc(truth, scores))),
    }


def export(
    directory: Path, split: str, corpus: Corpus, probabilities: npt.NDArray[np.float32],
    threshold: float,
) -> Predictions:  # fmt: skip
    """Write the split's predictions; gives them as they read back, so that scores are theirs."""
    path, texts = directory / f"{split}_predictions.csv", getattr(corpus, split)
    write_predictions(path, texts.texts, texts.truth, probabilities, threshold, corpus.labels)
    flush(path)
    return read_predictions(path)


def evaluate(
    found: Mapping[str, Predictions], labels: tuple[str, ...], threshold: float
) -> tuple[Scores, dict[str, Any], dict[str, Any]]:
    """Scores from the predictions of `val` and `test`, which say nothing of the thresholds.

    Gives the scores on test, the thresholds that validation suggests as thresholds.json holds
    them, and all of it under the guide's keys.
    """
    scores = score(found["test"].truth, found["test"].probabilities, labels, threshold)
    chosen = Tuned(found["val"].truth, found["val"].probabilities).thresholds
    tuned = {
        f"{split}/macro_f1": score(p.truth, p.probabilities, labels, chosen).overall["macro_f1"]
        for split, p in found.items()
    }
    by_label = dict(zip(labels, chosen.tolist(), strict=True))
    row: dict[str, Any] = {f"test/{name}": value for name, value in metric_row(scores).items()}
    row |= {f"{name}_tuned": value for name, value in tuned.items()}
    row |= {f"threshold/{label}": value for label, value in by_label.items()}
    about = {"chosen_on": "val", "method": RULE, "thresholds": by_label, **tuned}
    return scores, about, row
