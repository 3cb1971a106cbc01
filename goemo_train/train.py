"""One training run, from its settings to its four artifacts; reads straight down."""

from __future__ import annotations

import errno
import json
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from goemo_report import contract
from goemo_report.errors import GoemoError, NotFoundError
from goemo_report.metrics import Scores, score
from goemo_report.tuning import best_per_class
from goemo_train import checkpoint, data, model
from goemo_train.config import KEPT_ON_RESUME, TrainConfig
from goemo_train.evaluate import (
    autocast,
    evaluation_row,
    export,
    predict,
    rankings,
    write_per_class,
)
from goemo_train.optimiser import Optimiser, learning_rate
from goemo_train.progress import Interrupted, Interruption, Progress
from goemo_train.tracking import Tracker, new_run_id, run_config
from goemo_train.world import World

TRAIN_AUC_SAMPLE = 2048  # training texts on which train/auc is measured
FALLS = 2  # epochs in a row of falling validation AUC before a warning


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
    warnings: list[str] = field(default_factory=list)


@dataclass
class Run:
    """A run while it trains: what is saved, restored and logged together."""

    name: str
    config: TrainConfig
    directory: Path
    world: World
    progress: Progress
    tracker: Tracker
    classifier: model.Classifier
    optimiser: Optimiser
    state: State = field(default_factory=State)

    def warn(self, text: str) -> None:
        """Say once what may be wrong: on the screen, in W&B and in the summary."""
        if text not in self.state.warnings:
            self.state.warnings.append(text)
            self.progress.warn(text)
            self.tracker.alert(text)

    def save(self) -> None:
        """Keep all that `restore` needs, random states of all processes included."""
        cuda = self.world.device.type == "cuda"
        mine = (torch.get_rng_state(), torch.cuda.get_rng_state() if cuda else None)
        random = self.world.gather(mine)
        if self.world.main:
            kept = {
                "state": vars(self.state),
                "model": self.classifier.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "random": random,
            }
            keep = self.config.keep_checkpoints
            checkpoint.save_state(self.directory, self.state.step, kept, keep)

    def restore(self) -> None:
        """Go back to the newest whole state; log again the epochs that it knows."""
        kept, damaged = checkpoint.load_newest_state(self.directory)
        self.world.wait()  # all have looked
        for path in damaged:
            self.progress.warn(f"{path.name} is damaged and was passed over")
            path.unlink(missing_ok=True)
        if kept is None:
            self.progress.warn("no whole training state is there: training starts again")
            return
        self.classifier.load_state_dict(kept["model"])
        self.optimiser.load_state_dict(kept["optimiser"])
        if len(kept["random"]) == self.world.size:
            cpu, cuda = kept["random"][self.world.rank]
            torch.set_rng_state(cpu)
            if cuda is not None and self.world.device.type == "cuda":
                torch.cuda.set_rng_state(cuda)
        else:
            processes = len(kept["random"])
            self.progress.warn(f"the run had {processes} processes: dropout goes on differently")
        self.state = State(**kept["state"])
        for row in self.state.history:
            self.tracker.log(row, row["epoch"])

    def log_artifacts(self, evaluation: Mapping[str, Any]) -> None:
        """The guide's four artifacts; the first two alone while nothing is evaluated."""
        metadata = {
            "model_name": self.config.model_name,
            "final_test_auc": evaluation.get("test/auc"),
            "final_test_f1": evaluation.get("test/macro_f1"),
            "best_epoch": self.state.best_epoch,
            "training_time_hours": self.state.training_time / 3600,
            "hyperparameters": self.config.hyperparameters(),
            "random_seed": self.config.random_seed,
        }
        about = {"model_name": self.config.model_name, "threshold": self.config.threshold}
        self.tracker.artifact("checkpoint", self.directory / "checkpoint", metadata)
        self.tracker.artifact("val-predictions", self.directory / "val_predictions.csv", about)
        if evaluation:
            test, classes = "test_predictions.csv", "per_class_metrics.csv"
            self.tracker.artifact("test-predictions", self.directory / test, about)
            self.tracker.artifact("per-class-metrics", self.directory / classes, about)

    @contextmanager
    def marked(self) -> Iterator[None]:
        """Finish the run in W&B: as failed, with what was trained, where the block fails."""
        code = 1
        try:
            yield
            code = 0
        except BaseException as error:
            if isinstance(error, Interrupted):  # between two steps: nothing is half done
                code = 128 + error.signal
                error.run = self.tracker.run_id
                self.save()
            if _is_full(self.directory, error):
                again = f"--resume {self.tracker.run_id} --output {shlex.quote(self.config.output)}"
                raise GoemoError(
                    f"no room is left for {self.directory}", f"Make some, then: goemo-train {again}"
                ) from error
            if self.state.best_epoch and self.world.main:
                reached = {"best_epoch": self.state.best_epoch,
                           "final_epoch": len(self.state.history)}  # fmt: skip
                self.tracker.summarise({**reached, "warnings": self.state.warnings})
                self.log_artifacts({})
            if isinstance(error, torch.OutOfMemoryError):
                size = self.config.batch_size
                raise GoemoError(
                    f"out of GPU memory at --batch-size {size}",
                    f"Try --batch-size {max(1, size // 2)}, or a shorter --max-seq-length",
                ) from error
            raise
        finally:
            self.tracker.finish(code)
            if self.tracker.unsent:
                where = shlex.quote(self.tracker.where)
                self.progress.warn(f"W&B did not get everything. Send it with: wandb sync {where}")


@dataclass(frozen=True)
class Outcome:
    """What a finished run came to."""

    run: Run
    scores: Scores
    tuned_macro_f1: float


def train(config: TrainConfig, progress: Progress) -> Outcome | None:
    """Train, evaluate and log one run; None in all but the main process.

    Raises:
        GoemoError: something that the user can put right.
        Interrupted: a signal came; the state is kept and the run marked failed.

    """
    world = World()
    device = world.device
    config, run_id, name, directory = world.share(_open(config) if world.main else None)
    if not world.main:
        config, progress = replace(config, wandb_mode="disabled"), Progress(quiet=True)
    torch.manual_seed(config.random_seed)
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
    torch.manual_seed(config.random_seed + world.rank)  # each process its own dropout
    tokens, val, test = (
        data.tokenise(split, tokenizer, config.max_seq_length)
        for split in (corpus.train, corpus.val, corpus.test)
    )
    sample = tokens.head(TRAIN_AUC_SAMPLE, config.random_seed)
    truncated = tokens.truncated + val.truncated + test.truncated

    # Optimiser and schedule.
    batches_per_epoch = -(-len(tokens) // config.batch_size)
    steps = batches_per_epoch * config.num_epochs
    if config.warmup_steps < 0:
        config = replace(config, warmup_steps=steps // 10)
    optimiser = Optimiser(classifier, config, device)
    network = world.wrap(classifier)  # after the optimiser chose which gradients are sparse

    # The run.
    parameters = sum(p.numel() for p in classifier.export().parameters())
    if world.main:
        _check_disk(directory, 4 * parameters, config)
    measured = {
        "model_params": parameters,
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
    if world.main:
        _write_json(directory / "run.json", record)
    tracker = Tracker.start(config, logged, name, run_id)
    progress.note(f"run {name} ({run_id}): {len(tokens)} texts, {steps} steps on {device.type}")
    run = Run(name, config, directory, world, progress, tracker, classifier, optimiser)
    with run.marked(), Interruption() as stop:
        if config.resume:
            run.restore()
        state = run.state
        if truncated:
            run.warn(
                f"{truncated} texts are longer than {config.max_seq_length} tokens and were cut"
            )
        while state.epoch <= config.num_epochs and not _out_of_patience(state, config):
            order = data.training_batches(
                tokens.lengths, config.batch_size, config.random_seed, state.epoch
            )
            classifier.train()
            started = time.perf_counter()
            with progress.epoch(state.epoch, config.num_epochs, len(order), state.batch) as show:
                for rows in order[state.batch :]:
                    rate = learning_rate(state.step, steps, config)
                    # This process's share of the batch; a share may be empty in the last one.
                    mine = rows[world.rank :: world.size]
                    weight = min(len(mine), 1) * world.size / (len(rows) * len(corpus.labels))
                    ids, mask, truth = tokens.batch(mine if len(mine) else rows[:1], device)
                    with autocast(device, config.precision):
                        logits = network(ids, mask)
                    loss = weight * functional.binary_cross_entropy_with_logits(
                        logits.float(), truth, reduction="sum"
                    )
                    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                    norm = optimiser.step(rate)
                    loss = world.sum(loss.detach() / world.size)
                    state.losses.append(loss)  # read once an epoch: no wait for the device
                    state.norms.append(norm)
                    state.batch += 1
                    state.step += 1
                    show(len(rows), loss)
                    if signal := world.stops(stop, state.step):
                        raise Interrupted(signal)
                    if config.checkpoint_every and state.step % config.checkpoint_every == 0:
                        now = time.perf_counter()
                        state.epoch_time, started = state.epoch_time + now - started, now
                        run.save()
            now = time.perf_counter()
            state.epoch_time, started = state.epoch_time + now - started, now

            # What the epoch came to.
            losses, norms = torch.stack(state.losses).cpu(), torch.stack(state.norms).cpu()
            if not torch.isfinite(losses).all():
                run.warn(f"the training loss is not finite in epoch {state.epoch}")
                raise GoemoError(
                    f"the training loss is not finite in epoch {state.epoch}",
                    "Lower --learning-rate, or train with --precision fp32",
                )
            half = config.eval_precision
            train_p, _ = predict(classifier, sample, device, half, stop, world)
            val_p, val_loss = predict(classifier, val, device, half, stop, world)
            row = {
                "epoch": state.epoch,
                "train/loss": float(losses.mean()),
                "train/loss_std": float(losses.std(correction=0)),
                "val/loss": val_loss,
                **rankings("train", sample.truth > 0, train_p),
                **rankings("val", val.truth > 0, val_p),
                "train/learning_rate": learning_rate(state.step - 1, steps, config),
                "train/grad_norm": float(norms.mean()),
                "train/epoch_time": state.epoch_time,
                "train/samples_per_sec": len(tokens) / state.epoch_time,
            }
            if row["val/auc"] > state.best_auc:
                state.best_epoch, state.best_auc = state.epoch, row["val/auc"]
                if world.main:
                    model.save_checkpoint(classifier, tokenizer, directory / "checkpoint")
                    export(directory, "val", corpus.val, val_p, config.threshold, corpus.labels)
            tracker.log(row, state.epoch)
            progress.epoch_done(row, best=state.best_epoch == state.epoch)
            state.history.append(row)
            recent = [line["val/auc"] for line in state.history[-FALLS - 1 :]]
            if len(recent) > FALLS and all(a > b for a, b in pairwise(recent)):
                run.warn(f"the validation AUC has fallen {FALLS} epochs in a row")
            state.training_time += state.epoch_time + time.perf_counter() - started
            state.epoch, state.batch, state.epoch_time = state.epoch + 1, 0, 0.0
            state.losses, state.norms = [], []
            run.save()

        # Evaluation, with the checkpoint loaded as anyone would load it.
        progress.note("predicting with the saved checkpoint")
        world.wait()
        saved = model.load_checkpoint(directory / "checkpoint").to(device)
        found = {}
        for split, texts, inputs in (("val", corpus.val, val), ("test", corpus.test, test)):
            probabilities, _ = predict(saved, inputs, device, config.eval_precision, stop, world)
            if world.main:
                found[split] = export(
                    directory, split, texts, probabilities, config.threshold, corpus.labels
                )
        if not world.main:
            world.wait()
            world.close()
            return None
        scores = score(found["test"].truth, found["test"].probabilities, corpus.labels,
                       config.threshold)  # fmt: skip
        if scores.never_predicted:
            names = ", ".join(scores.never_predicted)
            run.warn(f"{len(scores.never_predicted)} classes are never predicted on test: {names}")
        write_per_class(directory / "per_class_metrics.csv", scores)

        # Thresholds by validation; the test split only says what they are worth.
        chosen = best_per_class(found["val"].truth, found["val"].probabilities, config.threshold)
        tuned = {
            split: score(p.truth, p.probabilities, corpus.labels, chosen).overall["macro_f1"]
            for split, p in found.items()
        }
        by_label = dict(zip(corpus.labels, chosen.tolist(), strict=True))
        about = {"chosen_on": "val", "method": "highest F1 of each class", "thresholds": by_label,
                 "val/macro_f1": tuned["val"], "test/macro_f1": tuned["test"]}  # fmt: skip
        _write_json(directory / "checkpoint" / "thresholds.json", about)
        evaluation = {
            **evaluation_row(scores),
            "total_training_time": state.training_time,
            "best_epoch": state.best_epoch,
            "final_epoch": len(state.history),
            "test/macro_f1_tuned": tuned["test"],
            "val/macro_f1_tuned": tuned["val"],
            **{f"threshold/{label}": value for label, value in by_label.items()},
        }
        summary = {**evaluation, "warnings": state.warnings}
        tracker.log(evaluation, len(state.history) + 1)  # after training, as the guide's 2nd call
        tracker.summarise(summary)
        run.log_artifacts(evaluation)
    _write_json(directory / "run.json", {**record, "history": state.history, "summary": summary})
    checkpoint.remove_states(directory)
    world.wait()
    world.close()
    return Outcome(run, scores, float(tuned["test"] or 0.0))


def _out_of_patience(state: State, config: TrainConfig) -> bool:
    waited = len(state.history) - state.best_epoch
    return 0 < config.patience <= waited


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


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    part.replace(path)


def _check_disk(directory: Path, weights: int, config: TrainConfig) -> None:
    """Refuse to start where states (3 x weights), checkpoint and staged copy do not fit."""
    directory.mkdir(parents=True, exist_ok=True)
    needed = weights * (3 * (config.keep_checkpoints + 1) + 3)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise GoemoError(
            f"{directory.parent} has {free / 1e9:.1f} GB left, the checkpoints need "
            f"{needed / 1e9:.1f} GB",
            "Make room, give another --output, or lower --keep-checkpoints",
        )


def _is_full(directory: Path, error: BaseException) -> bool:
    """Whether an error came from a full disk; torch does not say so."""
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return full or (
        "PytorchStreamWriter" in str(error) and shutil.disk_usage(directory).free < 2**26
    )
