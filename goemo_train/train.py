"""One training run, from its settings to its four artifacts; reads straight down."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from goemo_report.api.recording import per_class_csv
from goemo_report.errors import GoemoError
from goemo_report.formats.wording import listed, plural
from goemo_report.predictions import Predictions
from goemo_train import data, evaluate, model
from goemo_train.config import TrainConfig
from goemo_train.optimiser import learning_rate
from goemo_train.processes import Distributed
from goemo_train.run import Run, State, explained
from goemo_train.run_directory import hold, new_best, open_run, tidy, write_json, write_whole
from goemo_train.setup import Setup, prepare
from goemo_train.tiny import TINY
from goemo_train.tracking import Progress, Tracker, run_config

CPU_TOKENS = 2048  # that a process computes at once on CPU; more only takes memory
FALLS = 2  # epochs in a row of falling validation AUC before a warning
ENOUGH = 10  # steps to judge by whether training diverges


def train(
    config: TrainConfig, progress: Progress, *, given: Collection[str] = (), last: bool = True
) -> Run | None:
    """Train, evaluate and log one run; None in all but the main process.

    A resumed run keeps its own settings but for those that were `given`. Where it is not the
    last run of a series, its processes stay together for the next one.

    Raises:
        GoemoError: something that the user can put right.
        Interrupted: a signal came; the state is kept and the run marked failed.

    """
    distributed = Distributed()
    main = distributed.main
    opened = open_run(config, given) if main else None
    lock = hold(opened.directory) if opened and opened.config.resume else None
    opened = distributed.share(opened)
    progress = progress if main else Progress(quiet=True)
    threads = 1 if opened.config.model in TINY else None  # more would only wait for each other
    with explained(opened, distributed), threadpool_limits(threads):
        setup = prepare(opened.config, distributed, progress)
        config, directory = setup.config, opened.directory
        logged = run_config(config, setup.measured)
        opened.check_same(logged)
        told = config if main else replace(config, wandb_mode="disabled")
        tracker = Tracker(told, logged, opened.name, opened.id)
        record = {"id": opened.id, "name": opened.name, "asked": opened.asked}
        record |= {"settings": asdict(tracker.settled()), "config": logged}
        run = Run(opened.name, directory, setup, distributed, progress, tracker)
        with distributed.noting_signals():
            with run.ended():
                if main:
                    directory.mkdir(exist_ok=True)  # not before: W&B may refuse the run
                    lock = lock or hold(directory)
                    write_json(directory / "run.json", record)
                distributed.wait()
                if not (directory / "run.json").exists():
                    what = f"process {distributed.rank} does not see {directory}"
                    raise GoemoError(what, "Give an --output on a disk that all machines share")
                progress.note(
                    f"run {opened.name} ({opened.id}): {len(setup.tokens)} texts, "
                    f"{plural(config.num_epochs, 'epoch')} of {config.batch_size} a step, "
                    f"learning rate {config.learning_rate:g}, pooling {config.pooling}, "
                    f"{config.precision}"
                )
                if config.resume:
                    run.restore()
                for text in setup.warnings:
                    run.warn(text)
                while not is_over(run.state, config):
                    train_epoch(run)
                    end_epoch(run)
                found = predict_splits(run)
                if last:
                    distributed.close()  # the rest is the main process's
                if not main:
                    return None
                run.evaluation = log_evaluation(run, found)
            more = {"history": run.state.history, "summary": run.evaluation}
            write_json(directory / "run.json", {**record, **more})
            tidy(directory, run.state.best_epoch)  # now that W&B has it all
            return run


def is_over(state: State, config: TrainConfig) -> bool:
    """Whether all epochs are done, or patience has ended."""
    waited = len(state.history) - state.best_epoch
    return state.epoch > config.num_epochs or 0 < config.patience <= waited


def train_epoch(run: Run) -> None:
    """The steps that are left of the epoch."""
    setup, state, config = run.setup, run.state, run.setup.config
    order = data.training_batches(
        setup.tokens.lengths, config.batch_size, config.random_seed, state.epoch
    )
    setup.classifier.train()
    started = time.perf_counter()
    with run.progress.epoch(state.epoch, config.num_epochs, len(order), state.batch) as show:
        for rows in order[state.batch :]:
            rate = learning_rate(state.step, setup.steps, config)
            loss, norm = train_step(setup, run.distributed, rows, rate)
            state.losses.append(loss)  # read once an epoch: no wait for the device
            state.norms.append(norm)
            state.batch += 1
            state.step += 1
            show(len(rows), loss)
            now = time.perf_counter()
            state.epoch_time, started = state.epoch_time + now - started, now
            run.distributed.check_signals()
            if config.checkpoint_every and state.step % config.checkpoint_every == 0:
                if state.batch >= ENOUGH:
                    finite_steps(state)
                run.save()
    if run.distributed.device.type == "cuda":
        torch.cuda.synchronize()
    state.epoch_time += time.perf_counter() - started


def train_step(
    setup: Setup, distributed: Distributed, rows: npt.NDArray[np.int64], rate: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """One optimiser step on these texts; gives their mean loss and the gradient norm."""
    config, tokens, device, size = setup.config, setup.tokens, distributed.device, distributed.size

    def backward(network: nn.Module, texts: npt.NDArray[np.int64]) -> torch.Tensor:
        ids, mask, truth = tokens.batch(texts, device)
        with evaluate.autocast(device, config.precision):
            logits = network(ids, mask)
        share = weight * setup.loss(logits.float(), truth)
        share.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return share.detach()

    loss = torch.zeros((), device=device)
    most_tokens = CPU_TOKENS * size if device.type == "cpu" else 0
    for part in data.pieces(rows, tokens.lengths, config.micro_batch_size * size, most_tokens):
        mine = part[distributed.rank :: size]  # of the last few texts it may be empty
        weight = min(len(mine), 1) * size / (len(rows) * len(setup.corpus.labels))
        if setup.second and len(mine) > 1:
            loss += setup.second.gradients(backward, mine)
        else:
            loss += backward(setup.network, mine if len(mine) else part[:1])
    norm = setup.optimiser.step(rate)
    return distributed.sum(loss / size), norm


def finite_steps(state: State) -> torch.Tensor:
    """Which steps of the epoch had a finite gradient.

    Raises:
        GoemoError: most had none.

    """
    finite = torch.stack(state.norms).isfinite().cpu()
    if 2 * int(finite.sum()) <= len(finite):
        raise diverged(f"the training loss is not finite in epoch {state.epoch}")
    return finite


def diverged(what: str) -> GoemoError:
    """The error of a run that cannot go on."""
    return GoemoError(what, "Lower --learning-rate, or train with --precision fp32")


def end_epoch(run: Run) -> None:
    """Measure what the epoch came to, keep the best checkpoint, log and save."""
    setup, state, config = run.setup, run.state, run.setup.config
    started = time.perf_counter()
    finite = finite_steps(state)
    if skipped := int((~finite).sum()):
        run.warn(
            f"{skipped} of the {state.batch} steps of epoch {state.epoch} were left out: their "
            "gradient was not finite"
        )
    losses, norms = torch.stack(state.losses).cpu()[finite], torch.stack(state.norms).cpu()[finite]
    how = run.distributed, config.eval_precision
    train_p, _ = evaluate.predict(setup.classifier, setup.sample, *how)
    val_p, val_loss = evaluate.predict(setup.classifier, setup.val, *how)
    if not np.isfinite(val_loss):
        raise diverged(f"the validation loss is not finite in epoch {state.epoch}")
    row = {
        "epoch": state.epoch,
        "train/loss": float(losses.mean()),
        "train/loss_std": float(losses.std(correction=0)),
        "val/loss": val_loss,
        **evaluate.rankings("train", setup.sample.truth > 0, train_p),
        **evaluate.rankings("val", setup.val.truth > 0, val_p),
        "train/learning_rate": learning_rate(state.step - 1, setup.steps, config),
        "train/grad_norm": float(norms.mean()),
        "train/epoch_time": state.epoch_time,
        "train/samples_per_sec": len(setup.tokens) / state.epoch_time,
    }
    if best := not state.best_epoch or row["val/auc"] > state.best_auc:
        if run.distributed.main:
            with new_best(run.directory, state.epoch) as place:
                model.save_checkpoint(setup.classifier, setup.tokenizer, place / "checkpoint")
                evaluate.export(place, "val", setup.corpus, val_p, config.threshold)
        state.best_epoch, state.best_auc = state.epoch, row["val/auc"]
    run.progress.note(
        f"epoch {state.epoch}: train loss {row['train/loss']:.4f}, val loss {val_loss:.4f}, "
        f"val AUC {row['val/auc']:.4f} micro {row['val/macro_auc']:.4f} macro, "
        f"{state.epoch_time:.1f} s, {row['train/samples_per_sec']:.0f} texts/s"
        f"{' (best so far)' if best else ''}"
    )
    state.history.append(row)
    recent = [line["val/auc"] for line in state.history[-FALLS - 1 :]]
    if len(recent) > FALLS and all(a > b for a, b in pairwise(recent)):
        run.warn(f"the validation AUC has fallen {FALLS} epochs in a row")
    state.training_time += state.epoch_time + time.perf_counter() - started
    state.epoch, state.batch, state.epoch_time = state.epoch + 1, 0, 0.0
    state.losses, state.norms = [], []
    run.save()
    run.tracker.log(row, len(state.history))  # not before: an epoch that is done again may differ


def predict_splits(run: Run) -> dict[str, Predictions]:
    """Validation and test by the best checkpoint, loaded as anyone would load it.

    The main process has them as they read back from the files.
    """
    setup, config = run.setup, run.setup.config
    run.progress.note("predicting with the saved checkpoint")
    run.distributed.wait()
    saved = model.load_checkpoint(run.best / "checkpoint").to(run.distributed.device)
    found = {}
    for split, inputs in (("val", setup.val), ("test", setup.test)):
        p, _ = evaluate.predict(saved, inputs, run.distributed, config.eval_precision)
        if run.distributed.main:
            found[split] = evaluate.export(run.directory, split, setup.corpus, p, config.threshold)
    return found


def log_evaluation(run: Run, found: dict[str, Predictions]) -> dict[str, Any]:
    """Score the predictions, write and log that with the artifacts; gives the summary."""
    state, setup = run.state, run.setup
    scores, thresholds, row = evaluate.evaluate(found, setup.corpus.labels, setup.config.threshold)
    if missed := scores.never_predicted:
        classes = "1 class is" if len(missed) == 1 else f"{len(missed)} classes are"
        run.warn(f"{classes} never predicted on test: {listed(missed, 6)}")
    write_whole(run.directory / "per_class_metrics.csv", per_class_csv(scores).encode())
    write_json(run.best / "checkpoint" / "thresholds.json", thresholds)
    row |= {
        "total_training_time": state.training_time,
        "best_epoch": state.best_epoch,
        "final_epoch": len(state.history),
    }
    summary = {**row, "warnings": state.warnings}
    run.tracker.log(row, len(state.history) + 1)  # after training, as the guide's 2nd call
    run.tracker.summarise(summary)
    run.log_artifacts(row)
    return summary
