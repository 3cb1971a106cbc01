"""Real W&B offline runs that keep the guide to the letter, made by the unmodified client.

`make_runs(root, [OfflineRun(...), ...])` writes them below `root`, which is then one whole
experiment: run logs in `root/wandb`, staged artifact files in `root/artifacts/staging`.
The client runs in its own process with a private home, so the test process never imports
it and no account, cache or setting of the machine is touched. Three runs cost about a second.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from goemo_report import contract
from goemo_report.labels import EMOTIONS
from goemo_report.metrics.scores import Scores, per_class_rows, score
from goemo_report.predictions import write_predictions

if TYPE_CHECKING:
    from wandb import Run

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

REPOSITORY = Path(__file__).resolve().parent.parent
TRAINING_TEXTS = 200
FIRST_RUN_AT = datetime(2024, 12, 10, 14, 30, 22)  # run names carry local time


@dataclass(frozen=True)
class OfflineRun:
    """What to make. Every run of one seed-independent data set: texts and truth are shared.

    `quality` from 0 (noise) to 1 (nearly perfect) is how well the probabilities rank.
    `dialect="other"` is what real runs write instead of the guide: `pred_prob_` columns,
    `test/auc_micro` keys, `model.safetensors`, predictions as run files.
    `crash=True` kills the process and the client without warning after the last epoch.
    """

    model: str = "distilbert-base"
    seed: int = 42
    tags: tuple[str, ...] | None = None  # None: model, "training", "final"
    quality: float = 0.7
    texts: int = 120
    exclude_neutral: bool = False
    dialect: Literal["guide", "other"] = "guide"
    crash: bool = False
    exit_code: int = 0
    epochs: int = 3
    run_id: str | None = None
    name: str | None = None
    project: str = contract.PROJECT
    entity: str | None = None
    notes: str = ""
    group: str | None = None
    resume: Literal["allow", "never", "must", "auto"] | None = None
    own_labels: tuple[str, ...] = ()  # other ones than those of GoEmotions
    config: Mapping[str, Any] = field(default_factory=dict)  # over and above the guide's

    @property
    def labels(self) -> tuple[str, ...]:
        """The label set that the run was trained on."""
        return self.own_labels or EMOTIONS[: -1 if self.exclude_neutral else None]

    @property
    def id(self) -> str:
        """The W&B run id: given, or readable and unique to model and seed."""
        return self.run_id or f"{self.model.replace('-', '')}s{self.seed}"


STANDARD_RUNS: tuple[OfflineRun, ...] = (
    OfflineRun(model="distilbert-base", seed=1, quality=0.60),
    OfflineRun(model="distilbert-base", seed=2, quality=0.62),
    OfflineRun(model="roberta-large", seed=1, quality=0.80),
    OfflineRun(model="roberta-large", seed=2, quality=0.82),
)


# --- Starting the client ----------------------------------------------------------------


def wandb_environment(root: Path, private: Path) -> dict[str, str]:
    """Environment for a silent client that writes below `root` and keeps the rest in `private`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    return kept | {
        "HOME": str(private),
        "NETRC": str(private / "netrc"),
        "NO_PROXY": "127.0.0.1",
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(root),
        "WANDB_DATA_DIR": str(root),
        "WANDB_CACHE_DIR": str(private / "cache"),
        "WANDB_CONFIG_DIR": str(private / "config"),
        "WANDB_ARTIFACT_DIR": str(private / "artifacts"),
        "WANDB_SILENT": "true",
        "WANDB_CONSOLE": "off",
        "WANDB_DISABLE_GIT": "true",
        "WANDB_DISABLE_CODE": "true",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_X_DISABLE_MACHINE_INFO": "true",
        "WANDB_X_DISABLE_STATS": "true",
    }


@contextmanager
def private_directory() -> Iterator[Path]:
    """A home for one client process, gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="goemo-home-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def make_runs(root: Path, runs: Sequence[OfflineRun] = STANDARD_RUNS) -> list[Path]:
    """Make the runs one after the other; gives their run directories in the same order."""
    made: list[Path] = []
    batch: list[OfflineRun] = []
    for run in runs:
        batch.append(run)
        if run.crash:  # takes its process with it
            made += _make_in_one_process(root, batch)
            batch = []
    if batch:
        made += _make_in_one_process(root, batch)
    return made


def _make_in_one_process(root: Path, runs: Sequence[OfflineRun]) -> list[Path]:
    fields = json.dumps([dataclasses.asdict(run) for run in runs])
    done = run_client(root, "tests.offline_runs", "--runs", fields)
    directories = [Path(line) for line in done.stdout.splitlines() if line]
    killed = -9 if runs[-1].crash else 0
    if done.returncode != killed or len(directories) != len(runs):
        raise RuntimeError(f"the W&B client made {len(directories)} of {len(runs)}: {done.stderr}")
    return directories


def run_client(root: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module that starts the client, with `root` as its last argument."""
    root.mkdir(parents=True, exist_ok=True)
    with private_directory() as private:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments, str(root)],
            cwd=REPOSITORY,
            env=wandb_environment(root, private),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


# --- Synthetic data -------------------------------------------------------------------

WEIGHTS = 512  # bytes of a checkpoint that loads nowhere
_OPENERS = ("Honestly,", "Well,", "Today", "So", "Look,", "Right,", "Once again", "Hey,")
_MIDDLES = ("the bus", "my neighbour", "that film", "this update", "our team", "the café")
_ENDINGS = ("was late", "surprised everyone", "made me think", "did it again", "went quiet")


def synthetic_texts(count: int) -> list[str]:
    """Distinct short texts with what CSV finds hard: commas, quotes, line breaks, accents."""
    texts = []
    for i in range(count):
        text = f"{_OPENERS[i % 8]} {_MIDDLES[i % 6]} {_ENDINGS[i % 5]} (no. {i})"
        if i % 17 == 3:
            text += ', "they" said,\nand left'
        texts.append(text)
    return texts


def synthetic_truth(count: int, split: contract.Split, size: int = len(EMOTIONS)) -> Bools:
    """(count, size) imbalanced multi-label truth; from 2 size texts on every label occurs twice."""
    generator = np.random.default_rng([20, contract.SPLITS.index(split)])
    weights = 1.0 / np.arange(2, size + 2)
    weights[-1] = 0.8  # neutral is the most frequent
    truth = np.zeros((count, size), dtype=bool)
    for i in range(count):
        first = i % size if i < 2 * size else generator.choice(size, p=weights / weights.sum())
        truth[i, first] = True
        if first != size - 1 and generator.random() < 0.2:
            truth[i, generator.integers(size - 1)] = True
    return truth


def synthetic_probabilities(truth: Bools, quality: float, noise: Sequence[int]) -> Floats:
    """Probabilities as a network gives them: noisy logits, moved towards the truth."""
    generator = np.random.default_rng(noise)
    logits = generator.normal(-3.4 + 0.6 * (1 - quality), 1.4, truth.shape)
    logits += truth * (4.6 * quality)
    return np.asarray(1.0 / (1.0 + np.exp(-logits)))


def predictions(run: OfflineRun, split: contract.Split) -> tuple[list[str], Bools, Floats]:
    """Texts, truth (n, k) and probabilities (n, k) that a run's files hold."""
    truth = synthetic_truth(run.texts, split, len(run.own_labels or EMOTIONS))
    noise = (run.seed, zlib.crc32(run.model.encode()), contract.SPLITS.index(split))
    probabilities = synthetic_probabilities(truth, run.quality, noise)
    texts = synthetic_texts(run.texts)
    if run.exclude_neutral:
        kept = np.asarray(truth[:, :-1].any(axis=1))
        texts = [text for text, keep in zip(texts, kept.tolist(), strict=True) if keep]
        truth, probabilities = truth[kept, :-1], probabilities[kept, :-1]
    return texts, truth, probabilities


# --- Files of the artifacts -----------------------------------------------------------


def write_prediction_file(path: Path, run: OfflineRun, split: contract.Split) -> Path:
    """One prediction CSV, in the guide's columns or the other dialect's."""
    texts, truth, probabilities = predictions(run, split)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_predictions(path, texts, truth, probabilities, contract.DEFAULT_THRESHOLD, run.labels)
    if run.dialect == "other":
        header, _, rest = path.read_bytes().partition(b"\n")
        path.write_bytes(header.replace(b"pred_probs_", b"pred_prob_") + b"\n" + rest)
    return path


def _write_checkpoint(folder: Path, run: OfflineRun) -> Path:
    """Files with the names of a checkpoint; the weights are a few bytes and load nowhere."""
    folder.mkdir(parents=True)
    weights = "pytorch_model.bin" if run.dialect == "guide" else "model.safetensors"
    kind = "distilbert" if "distil" in run.model else "roberta"
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "labels": run.labels}))
    (folder / weights).write_bytes(
        np.random.default_rng([run.seed, zlib.crc32(run.model.encode())]).bytes(WEIGHTS)
    )
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\nhello\n")
    (folder / "special_tokens_map.json").write_text('{"unk_token": "[UNK]"}')
    return folder


# --- One run, inside the client's process ---------------------------------------------


def run_config(run: OfflineRun) -> dict[str, Any]:
    """The guide's whole config schema."""
    return {
        "model_name": run.model,
        "model_params": WEIGHTS // 4,
        "num_labels": len(run.labels),
        "learning_rate": 2e-5 if "distil" in run.model else 1e-5,
        "batch_size": 16,
        "num_epochs": run.epochs,
        "dropout": 0.1,
        "max_seq_length": 128,
        "warmup_steps": 500,
        "weight_decay": 0.01,
        "random_seed": run.seed,
        "dataset_name": "made-up" if run.own_labels else contract.DATASET_NAME,
        "dataset_version": "synthetic-1",
        "train_samples": TRAINING_TEXTS,
        "val_samples": run.texts,
        "test_samples": run.texts,
        "gpu_type": "cpu",
        "cuda_version": "none",
        "pytorch_version": "2.13.0",
        "transformers_version": "5.23.0",
        **run.config,
    }


def _system() -> dict[str, Any]:
    return {
        "system/platform": platform.platform(),
        "system/python_version": platform.python_version(),
        "system/pytorch_version": "2.13.0",
        "system/cuda_available": False,
        "system/cuda_version": None,
        "system/gpu_count": 0,
        "system/gpu_name": None,
        "system/transformers_version": "5.23.0",
    }


def epoch_metrics(run: OfflineRun, epoch: int) -> dict[str, Any]:
    """The guide's training metrics, with curves that look like training."""
    left = 0.5**epoch * (1.5 - run.quality) + 0.001 * run.seed
    best = 0.5**run.epochs * (1.5 - run.quality) + 0.001 * run.seed
    truth, probabilities = predictions(run, "val")[1:]
    auc = score(truth, probabilities, run.labels).overall["micro_auc"] or 0.0
    values = {
        "epoch": epoch,
        "train/loss": 0.08 + 0.3 * left,
        "train/loss_std": 0.02 + 0.05 * left,
        "val/loss": 0.09 + 0.28 * left,
        "train/auc": 0.97 - 0.3 * left,
        "val/auc": auc - 0.3 * (left - best),  # the predictions are those of the last epoch
        "train/macro_auc": 0.93 - 0.3 * left,
        "val/macro_auc": 0.90 - 0.3 * left,
        "train/learning_rate": 2e-5 * (1 - epoch / (run.epochs + 1)),
        "train/grad_norm": 1.0 + left,
        "train/epoch_time": 12.5 + epoch,
        "train/samples_per_sec": TRAINING_TEXTS / (12.5 + epoch),
    }
    if run.crash:  # the client writes whole blocks of 32 KiB: give it some to write
        values |= {
            f"val/{statistic}_{emotion}": round(0.5 - left, 6)
            for emotion in run.labels
            for statistic in contract.PER_CLASS_STATISTICS
        }
    return values


def evaluation(run: OfflineRun) -> dict[str, Any]:
    """Every metric that is logged after training, in the run's dialect."""
    scored = _scores(run)
    values: dict[str, Any] = {}
    for key in contract.OVERALL_METRICS:
        name = key.name.removeprefix("test/")
        values[key.name] = scored.overall["micro_auc" if name == "auc" else name]
    values["test/macro_auc"] = scored.overall["macro_auc"]
    if run.dialect == "other":
        values = {_other_key(name): value for name, value in values.items()}
    for row in per_class_rows(scored):
        for statistic in contract.PER_CLASS_STATISTICS:
            column = "f1_score" if statistic == "f1" else statistic
            values[contract.per_class_metric(statistic, row["emotion"])] = row[column]
    return values | {
        "total_training_time": 13.5 * run.epochs,
        "best_epoch": run.epochs,
        "final_epoch": run.epochs,
    }


def _scores(run: OfflineRun) -> Scores:
    _, truth, probabilities = predictions(run, "test")
    return score(truth, probabilities, run.labels)


def _other_key(key: str) -> str:
    split, _, name = key.partition("/")
    average, _, statistic = name.partition("_")
    return f"{split}/auc_micro" if not statistic else f"{split}/{statistic}_{average}"


def _log_artifacts(wandb_run: Run, run: OfflineRun, folder: Path) -> None:
    from wandb import Artifact

    scored = evaluation(dataclasses.replace(run, dialect="guide"))
    _write_checkpoint(folder / "checkpoint", run)
    checkpoint = Artifact(
        contract.ARTIFACTS["checkpoint"].name(run.model, wandb_run.id),
        "model",
        description="Best checkpoint by validation AUC",
        metadata={
            "model_name": run.model,
            "final_test_auc": scored["test/auc"],
            "final_test_f1": scored["test/macro_f1"],
            "best_epoch": run.epochs,
            "training_time_hours": 13.5 * run.epochs / 3600,
            "hyperparameters": {"learning_rate": 2e-5, "batch_size": 16},
            "random_seed": run.seed,
        },
    )
    checkpoint.add_dir(str(folder / "checkpoint"))
    wandb_run.log_artifact(checkpoint)
    for split in contract.SPLITS:
        name = f"{split}_predictions.csv"
        if run.dialect == "other":
            path = Path(wandb_run.dir) / "predictions" / name
            write_prediction_file(path, run, split)
            wandb_run.save(path, base_path=wandb_run.dir)
        else:
            path = write_prediction_file(folder / name, run, split)
            _log_file(wandb_run, run, f"{split}-predictions", path)
    if run.dialect == "guide":
        path = folder / "per_class_metrics.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            columns = [key.name for key in contract.PER_CLASS_COLUMNS]
            writer = csv.DictWriter(file, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(per_class_rows(_scores(run)))
        _log_file(wandb_run, run, "per-class-metrics", path)


def _log_file(wandb_run: Run, run: OfflineRun, role: str, path: Path) -> None:
    from wandb import Artifact

    artifact = Artifact(f"{run.model}-{role}-{wandb_run.id}", "dataset", description=role)
    artifact.add_file(str(path))
    wandb_run.log_artifact(artifact)


def _log_run(run: OfflineRun, root: Path, number: int) -> None:
    import wandb

    tags = (run.model, "training", "final") if run.tags is None else run.tags
    wandb_run = wandb.init(
        project=run.project,
        entity=run.entity,
        id=run.id,
        name=run.name
        or contract.run_name(run.model, FIRST_RUN_AT + timedelta(seconds=60 * number + run.seed)),
        tags=tags,
        notes=run.notes or None,
        group=run.group,
        config=run_config(run),
        resume=run.resume,
        dir=str(root),
        reinit="finish_previous",
    )
    print(Path(wandb_run.dir).parent, flush=True)
    wandb_run.config.update(_system())  # type: ignore[no-untyped-call]  # wandb has no type here
    for epoch in range(1, run.epochs + 1):
        wandb_run.log(epoch_metrics(run, epoch), step=epoch)
    if run.crash:
        _die_with_the_client(Path(wandb_run.dir).parent)
    values = evaluation(run)
    wandb_run.log(values)
    wandb_run.summary.update(values)
    with private_directory() as folder:
        _log_artifacts(wandb_run, run, folder)
        wandb_run.finish(exit_code=run.exit_code)


def _die_with_the_client(directory: Path) -> None:
    """Power cut: wait for a written block, then kill this process and its wandb-core."""
    import signal
    import time

    log = next(directory.glob("run-*.wandb"))
    until = time.monotonic() + 10
    while log.stat().st_size < 32_768 and time.monotonic() < until:
        time.sleep(0.02)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if children.exists():
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Make the runs of a JSON file, or the standard ones, below a directory."""
    parser = argparse.ArgumentParser(description="make W&B offline runs that keep the guide")
    parser.add_argument("root", type=Path)
    parser.add_argument("--runs", help="JSON list of OfflineRun fields")
    arguments = parser.parse_args()
    if arguments.runs is None:
        for directory in make_runs(arguments.root.resolve()):
            print(directory)
        return
    wanted = json.loads(arguments.runs)
    for number, fields in enumerate(wanted):
        if fields["tags"] is not None:
            fields["tags"] = tuple(fields["tags"])
        fields["own_labels"] = tuple(fields["own_labels"])
        _log_run(OfflineRun(**fields), arguments.root.resolve(), number)


if __name__ == "__main__":
    main()
