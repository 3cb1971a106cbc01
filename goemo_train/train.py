"""One training run, from its settings to its four artifacts; reads straight down."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from goemo_report import contract
from goemo_report.errors import GoemoError, NotFoundError
from goemo_report.metrics import Scores, micro_roc_auc, per_class_rows, roc_auc, score
from goemo_report.predictions import read_predictions, write_predictions
from goemo_train import checkpoint, data, model
from goemo_train.config import KEPT_ON_RESUME, TrainConfig
from goemo_train.data import Split, Tokens
from goemo_train.progress import Interrupted, Interruption, Progress
from goemo_train.tracking import Tracker, new_run_id, run_config

TRAIN_AUC_SAMPLE = 2048  # training texts on which train/auc is measured
EVAL_BATCH = 128
MEMORY_TOKENS = 16384  # of one evaluation batch


@dataclass
class State:
    """Where training stands. `batch` batches of epoch `epoch` (from 1) are done."""

    epoch: int = 1
    batch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_auc: float = -1.0
    training_time: float = 0.0
    epoch_time: float = 0.0
    losses: list[torch.Tensor] = field(default_factory=list)
    norms: list[torch.Tensor] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What a run leaves behind."""

    run_id: str
    name: str
    directory: Path
    where: str
    offline: bool
    best_epoch: int
    final_epoch: int
    training_time: float
    scores: Scores


def train(config: TrainConfig, progress: Progress) -> Outcome:
    """Train, evaluate and log one run.

    Raises:
        GoemoError: something that the user can put right.
        Interrupted: a signal came; the state is kept and the run marked failed.

    """
    config, run_id, name, directory = _open(config)
    torch.manual_seed(config.random_seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.model in model.TINY:
        torch.set_num_threads(1)  # more only wait for each other

    # Data and model.
    progress.note(f"reading {config.dataset}")
    corpus = data.load_corpus(config)
    if config.dataset != "demo" and not config.limit and not corpus.official:
        progress.note("the splits do not have the sizes of the official data set")
    classifier, tokenizer = model.load(config, corpus.labels)
    if config.bias_start == "log-odds":
        model.start_bias(classifier, corpus.train.truth)
    classifier.to(device)
    tokens, val, test = (
        data.tokenise(split, tokenizer, config.max_seq_length)
        for split in (corpus.train, corpus.val, corpus.test)
    )
    sample = tokens.head(TRAIN_AUC_SAMPLE, config.random_seed)
    truncated = tokens.truncated + val.truncated + test.truncated
    if truncated:
        progress.warn(f"{truncated} texts are longer than {config.max_seq_length} tokens and cut")

    # Optimiser and schedule.
    batches_per_epoch = -(-len(tokens) // config.batch_size)
    steps = batches_per_epoch * config.num_epochs
    if config.warmup_steps < 0:
        config = replace(config, warmup_steps=steps // 10)
    optimiser = Optimiser(classifier, config, device)
    state = State()
    if config.resume:
        state = _restore(directory, classifier, optimiser, progress)

    # The run.
    measured = {
        "model_params": sum(p.numel() for p in classifier.export().parameters()),
        "num_labels": len(corpus.labels),
        "dataset_name": corpus.name,
        "dataset_version": corpus.version,
        "train_samples": len(tokens),
        "val_samples": len(val),
        "test_samples": len(test),
        "truncated_texts": truncated,
        "train_auc_samples": len(sample),
        "steps": steps,
    }
    logged = run_config(config, measured)
    directory.mkdir(parents=True, exist_ok=True)
    record = {"id": run_id, "name": name, "settings": asdict(config), "config": logged}
    _write_json(directory / "run.json", record)
    tracker = Tracker.start(config, logged, name, run_id)
    for row in state.history:
        tracker.log(row, row["epoch"])
    progress.note(f"run {name} ({run_id}): {len(tokens)} texts, {steps} steps on {device.type}")

    with _marked(tracker, config, directory, classifier, optimiser, state), Interruption() as stop:
        while state.epoch <= config.num_epochs:
            order = data.training_batches(
                tokens.lengths, config.batch_size, config.random_seed, state.epoch
            )
            classifier.train()
            started = time.perf_counter()
            with progress.epoch(state.epoch, config.num_epochs, len(order), state.batch) as show:
                for rows in order[state.batch :]:
                    rate = _learning_rate(state.step, steps, config)
                    ids, mask, truth = tokens.batch(rows, device)
                    with _autocast(device, config.precision):
                        logits = classifier(ids, mask)
                    loss = functional.binary_cross_entropy_with_logits(logits.float(), truth)
                    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                    norm = optimiser.step(rate)
                    state.losses.append(loss.detach())  # read once an epoch: no wait for the device
                    state.norms.append(norm)
                    state.batch += 1
                    state.step += 1
                    show(len(rows), loss)
                    if stop.signal:
                        state.epoch_time += time.perf_counter() - started
                        raise Interrupted(stop.signal)
            state.epoch_time += time.perf_counter() - started

            # What the epoch came to.
            losses, norms = torch.stack(state.losses).cpu(), torch.stack(state.norms).cpu()
            if not torch.isfinite(losses).all():
                raise GoemoError(
                    f"the training loss is not finite in epoch {state.epoch}",
                    "Lower --learning-rate, or train with --precision fp32",
                )
            train_p, _ = predict(classifier, sample, device, config.eval_precision, stop)
            val_p, val_loss = predict(classifier, val, device, config.eval_precision, stop)
            row = {
                "epoch": state.epoch,
                "train/loss": float(losses.mean()),
                "train/loss_std": float(losses.std(correction=0)),
                "val/loss": val_loss,
                **_rankings("train", sample.truth > 0, train_p),
                **_rankings("val", val.truth > 0, val_p),
                "train/learning_rate": rate,
                "train/grad_norm": float(norms.mean()),
                "train/epoch_time": state.epoch_time,
                "train/samples_per_sec": len(tokens) / state.epoch_time,
            }
            if row["val/auc"] > state.best_auc:
                state.best_epoch, state.best_auc = state.epoch, row["val/auc"]
                model.save_checkpoint(classifier, tokenizer, directory / "checkpoint")
                _export(directory, "val", corpus.val, val_p, config, corpus.labels)
            tracker.log(row, state.epoch)
            progress.epoch_done(row, best=state.best_epoch == state.epoch)
            state.history.append(row)
            state.training_time += time.perf_counter() - started
            state.epoch, state.batch, state.epoch_time = state.epoch + 1, 0, 0.0
            state.losses, state.norms = [], []
            _save_state(directory, classifier, optimiser, state)

        # Evaluation, with the checkpoint loaded as anyone would load it.
        progress.note("predicting with the saved checkpoint")
        saved = model.load_checkpoint(directory / "checkpoint").to(device)
        found = {}
        for split, texts, inputs in (("val", corpus.val, val), ("test", corpus.test, test)):
            probabilities, _ = predict(saved, inputs, device, config.eval_precision, stop)
            found[split] = _export(directory, split, texts, probabilities, config, corpus.labels)
        final_epoch = state.epoch - 1
        evaluation = {
            **evaluation_row(found["test"]),
            "total_training_time": state.training_time,
            "best_epoch": state.best_epoch,
            "final_epoch": final_epoch,
        }
        _write_per_class(directory / "per_class_metrics.csv", found["test"])
        _write_json(
            directory / "run.json",
            {**record, "history": state.history, "summary": evaluation},
        )
        tracker.log(evaluation, final_epoch + 1)  # after training, as the guide's second call
        tracker.summarise(evaluation)
        _log_artifacts(tracker, directory, config, state, evaluation)
    tracker.finish(0)
    checkpoint.remove_states(directory)
    return Outcome(
        run_id, name, directory, tracker.where, tracker.offline, state.best_epoch, final_epoch,
        state.training_time, found["test"],
    )  # fmt: skip


# --- Evaluation -----------------------------------------------------------------------


@torch.inference_mode()
def predict(
    classifier: nn.Module,
    tokens: Tokens,
    device: torch.device,
    precision: str = "fp32",
    stop: Interruption | None = None,
) -> tuple[npt.NDArray[np.float32], float]:
    """Probabilities (n, k) in the order of the texts, and the mean BCE loss."""
    classifier.eval()
    logits = torch.empty(len(tokens), tokens.truth.shape[1], device=device)
    size = max(1, min(EVAL_BATCH, MEMORY_TOKENS // int(tokens.lengths.max())))
    for rows in data.evaluation_batches(tokens.lengths, size):
        ids, mask, _ = tokens.batch(rows, device)
        with _autocast(device, precision):
            logits[torch.from_numpy(rows).to(device)] = classifier(ids, mask).float()
        if stop and stop.signal:
            raise Interrupted(stop.signal)
    truth = torch.from_numpy(tokens.truth).to(device)
    loss = functional.binary_cross_entropy_with_logits(logits, truth).item()
    return logits.sigmoid().cpu().numpy(), loss


def evaluation_row(scores: Scores) -> dict[str, Any]:
    """The guide's test metrics, the per-class ones included, and the macro AUC beside them."""
    row: dict[str, Any] = {}
    for key in contract.OVERALL_METRICS:
        name = key.name.removeprefix("test/")
        row[key.name] = scores.overall["micro_auc" if name == "auc" else name]
    row["test/macro_auc"] = scores.overall["macro_auc"]
    for line in per_class_rows(scores):
        for statistic in contract.PER_CLASS_STATISTICS:
            column = "f1_score" if statistic == "f1" else statistic
            row[contract.per_class_metric(statistic, line["emotion"])] = line[column]
    return row


def _rankings(
    split: str, truth: npt.NDArray[np.bool_], probabilities: npt.NDArray[np.float32]
) -> dict[str, float]:
    scores = probabilities.astype(np.float64)
    return {
        f"{split}/auc": micro_roc_auc(truth, scores),
        f"{split}/macro_auc": float(np.nanmean(roc_auc(truth, scores))),
    }


# --- Optimiser ------------------------------------------------------------------------


class Optimiser:
    """AdamW with gradient clipping; on CPU only the word embeddings of the batch are updated.

    A batch uses a few hundred of tens of thousands of embeddings, so that clearing, clipping
    and updating the others is most of the work outside the model. They get sparse gradients
    and `SparseAdam`: moments move when a word occurs, without decay. All else is decayed but
    for biases and LayerNorms, which have one dimension.
    """

    def __init__(self, classifier: model.Classifier, config: TrainConfig, device: torch.device):
        self.parameters = list(classifier.parameters())
        self.max_norm = config.max_grad_norm
        words = classifier.plain.get_input_embeddings()
        rows = config.embedding_updates == "batch" or (
            config.embedding_updates == "auto" and device.type == "cpu"
        )
        sparse = [words.weight] if rows and type(words) is nn.Embedding else []
        words.sparse = bool(sparse)
        dense = [p for p in self.parameters if not any(p is q for q in sparse)]
        groups = [
            {"params": [p for p in dense if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in dense if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, fused=True)]
        if sparse:
            self.parts.append(torch.optim.SparseAdam(sparse))

    def step(self, rate: float) -> torch.Tensor:
        """Clip, update and clear; gives the gradient norm before clipping."""
        gradients = []
        for parameter in self.parameters:
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()
                gradients.append(parameter.grad._values())
            elif parameter.grad is not None:
                gradients.append(parameter.grad)
        norm = nn.utils.get_total_norm(gradients)
        torch._foreach_mul_(gradients, (self.max_norm / (norm + 1e-6)).clamp(max=1.0))
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad(set_to_none=True)
        return norm

    def state_dict(self) -> list[dict[str, Any]]:
        """State of each part."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Take over what `state_dict` gave."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def _learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Linear warm-up to the peak, then linear decay to zero at the end."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    return config.learning_rate * (steps - step) / max(1, steps - config.warmup_steps)


@contextmanager
def _autocast(device: torch.device, precision: str) -> Iterator[None]:
    half = precision == "bf16" or (precision == "auto" and device.type == "cuda")
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
        yield


# --- Files ----------------------------------------------------------------------------


def _open(config: TrainConfig) -> tuple[TrainConfig, str, str, Path]:
    """Settings, id, name and directory of a new run, or of the one to be resumed."""
    output = Path(config.output)
    if not config.resume:
        name = contract.run_name(config.model_name, datetime.now().astimezone())
        run_id = new_run_id()
        return config, run_id, name, output / f"{name}-{run_id}"
    found = [p.parent for p in output.glob("*/run.json") if p.parent.name.endswith(config.resume)]
    if len(found) != 1:
        raise NotFoundError(
            f"{len(found)} runs below {output} have the id {config.resume}",
            "Give --resume the id that the run's summary named, and its --output",
        )
    record = json.loads((found[0] / "run.json").read_text("utf-8"))
    if "summary" in record:
        raise GoemoError(f"run {config.resume} is finished", "Start a new one without --resume")
    known = {item.name for item in fields(TrainConfig)}
    settings = {k: v for k, v in record["settings"].items() if k in known - KEPT_ON_RESUME}
    kept = {name: getattr(config, name) for name in KEPT_ON_RESUME}
    settings["tag"] = tuple(settings["tag"])
    return TrainConfig(**settings, **kept), record["id"], record["name"], found[0]


def _export(
    directory: Path,
    split: str,
    texts: Split,
    probabilities: npt.NDArray[np.float32],
    config: TrainConfig,
    labels: tuple[str, ...],
) -> Scores:
    """Write the split's predictions and score what was written."""
    path = directory / f"{split}_predictions.csv"
    write_predictions(path, texts.texts, texts.truth, probabilities, config.threshold, labels)
    written = read_predictions(path)
    return score(written.truth, written.probabilities, labels, config.threshold)


def _write_per_class(path: Path, scores: Scores) -> None:
    columns = [key.name for key in contract.PER_CLASS_COLUMNS]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(per_class_rows(scores))


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    part.replace(path)


def _log_artifacts(
    tracker: Tracker,
    directory: Path,
    config: TrainConfig,
    state: State,
    evaluation: Mapping[str, Any],
) -> None:
    metadata = {
        "model_name": config.model_name,
        "final_test_auc": evaluation.get("test/auc"),
        "final_test_f1": evaluation.get("test/macro_f1"),
        "best_epoch": state.best_epoch,
        "training_time_hours": state.training_time / 3600,
        "hyperparameters": config.hyperparameters(),
        "random_seed": config.random_seed,
    }
    about = {"model_name": config.model_name, "threshold": config.threshold}
    tracker.artifact("checkpoint", directory / "checkpoint", metadata)
    tracker.artifact("val-predictions", directory / "val_predictions.csv", about)
    if evaluation:
        tracker.artifact("test-predictions", directory / "test_predictions.csv", about)
        tracker.artifact("per-class-metrics", directory / "per_class_metrics.csv", about)


# --- Interruption ---------------------------------------------------------------------


def _save_state(directory: Path, classifier: nn.Module, optimiser: Optimiser, state: State) -> None:
    kept = {
        "state": {f.name: getattr(state, f.name) for f in fields(State)},
        "model": classifier.state_dict(),
        "optimiser": optimiser.state_dict(),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    checkpoint.save_state(directory, state.step, kept, keep=2)


def _restore(
    directory: Path, classifier: nn.Module, optimiser: Optimiser, progress: Progress
) -> State:
    kept, damaged = checkpoint.load_newest_state(directory)
    for path in damaged:
        progress.warn(f"{path.name} is damaged and passed over")
    if kept is None:
        progress.warn("no whole training state is there: training starts again")
        return State()
    classifier.load_state_dict(kept["model"])
    optimiser.load_state_dict(kept["optimiser"])
    torch.set_rng_state(kept["random"])
    if kept["random_cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(kept["random_cuda"])
    return State(**kept["state"])


@contextmanager
def _marked(
    tracker: Tracker,
    config: TrainConfig,
    directory: Path,
    classifier: nn.Module,
    optimiser: Optimiser,
    state: State,
) -> Iterator[None]:
    """Whatever ends the block early: keep what was trained, and mark the run failed."""
    try:
        yield
    except BaseException as error:
        try:
            if isinstance(error, Interrupted):  # between two steps: nothing is half done
                _save_state(directory, classifier, optimiser, state)
            if state.best_epoch:
                summary = {"best_epoch": state.best_epoch, "final_epoch": len(state.history)}
                tracker.summarise(summary)
                _log_artifacts(tracker, directory, config, state, {})
        finally:
            tracker.finish(128 + error.signal if isinstance(error, Interrupted) else 1)
        if isinstance(error, Interrupted):
            error.run = os.fspath(directory)
        raise
