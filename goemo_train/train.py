"""One training run, from its settings to its four artifacts; reads straight down."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch

from goemo_report.errors import GoemoError
from goemo_train import best, data, model
from goemo_train.config import TrainConfig
from goemo_train.directory import check_same, hold, new_record, open_run, tidy
from goemo_train.disk import check_disk, write_json
from goemo_train.evaluate import (
    Evaluation,
    autocast,
    evaluate,
    export,
    number_format,
    predict,
    rankings,
    write_per_class,
)
from goemo_train.flops import matmul_flops
from goemo_train.interruption import Interrupted, Interruption
from goemo_train.optimiser import learning_rate
from goemo_train.prepare import Work, prepare
from goemo_train.progress import Progress
from goemo_train.run import Run, State, check_shared, explained
from goemo_train.tiny import threads_for
from goemo_train.tracking import Tracker, run_config
from goemo_train.world import World

CPU_TOKENS = 2048  # that a process computes at once on CPU; more only takes memory
FALLS = 2  # epochs in a row of falling validation AUC before a warning
ENOUGH = 10  # steps to judge by whether training diverges


@dataclass(frozen=True)
class Outcome:
    """What a finished run came to."""

    run: Run
    evaluation: Evaluation


def train(
    config: TrainConfig,
    progress: Progress,
    *,
    given: Collection[str] = (),
    last: bool = True,
) -> Outcome | None:
    """Train, evaluate and log one run; None in all but the main process.

    A resumed run keeps its own settings but for those that were `given`. Where it is not the
    last run of a series, its processes stay together for the next one.

    Raises:
        GoemoError: something that the user can put right.
        Interrupted: a signal came; the state is kept and the run marked failed.

    """
    world = World()
    opened = open_run(config, given) if world.main else None
    lock = hold(opened.directory) if opened and config.resume else None
    opened = world.share(opened)
    if not world.main:
        progress = Progress(quiet=True)
    with explained(opened, world), threads_for(opened.config.model):
        work = prepare(opened.config, world, progress)
    config, directory = work.config, opened.directory
    with explained(replace(opened, config=config), world), threads_for(config.model):
        if world.main:
            check_disk(directory, 4 * work.parameters, config)
        logged = run_config(config, work.measured())
        check_same(opened, logged)
        mode = config.wandb_mode if world.main else "disabled"
        tracker = Tracker.start(replace(config, wandb_mode=mode), logged, opened.name, opened.id)
        run = Run(opened.name, config, directory, world, progress, tracker, work.classifier,
                  work.optimiser)  # fmt: skip
        record = new_record(opened, tracker.settled(), logged)
        with Interruption() as stop:
            with run.ended():
                lock = begin(run, record) or lock
                about = f"{work.about()} on {world.device.type}"
                progress.note(f"run {opened.name} ({opened.id}): {about}")
                evaluation = train_and_evaluate(run, work, stop)
                if last:
                    world.close()  # the rest is the main process's
                if evaluation is None:
                    return None
                summary = log_evaluation(run, evaluation)
            history = run.state.history
            write_json(directory / "run.json", {**record, "history": history, "summary": summary})
            tidy(directory, run.state.best_epoch)  # now that W&B has it all
            return Outcome(run, evaluation)


def begin(run: Run, record: Mapping[str, Any]) -> IO[str] | None:
    """Write the run's record, for all processes to see; the lock of one that is new."""
    lock = None
    if run.world.main:
        run.directory.mkdir(parents=True, exist_ok=True)  # not before: W&B may refuse the run
        lock = None if run.config.resume else hold(run.directory)
        write_json(run.directory / "run.json", record)
    check_shared(run.directory, run.world)
    return lock


def train_and_evaluate(run: Run, work: Work, stop: Interruption) -> Evaluation | None:
    """All epochs that are left, and what the best of them scores; that in the main process."""
    if work.config.resume:
        run.restore()
    for text in work.warnings:
        run.warn(text)
    while not _is_over(run.state, work.config):
        train_epoch(run, work, stop)
        end_epoch(run, work, stop)
    return evaluate_checkpoint(run, work, stop)


def train_epoch(run: Run, work: Work, stop: Interruption) -> None:
    """The steps that are left of the epoch."""
    world, state, config, device = run.world, run.state, work.config, run.world.device
    order = data.training_batches(
        work.tokens.lengths, config.batch_size, config.random_seed, state.epoch
    )
    work.classifier.train()
    started = time.perf_counter()
    with run.progress.epoch(state.epoch, config.num_epochs, len(order), state.batch) as show:
        for rows in order[state.batch :]:
            loss, norm = train_step(
                work, world, rows, learning_rate(state.step, work.steps, config)
            )
            state.losses.append(loss)  # read once an epoch: no wait for the device
            state.norms.append(norm)
            state.batch += 1
            state.step += 1
            show(len(rows), loss)
            if signal := world.stops(stop):
                state.epoch_time += time.perf_counter() - started
                raise Interrupted(signal)
            if config.checkpoint_every and state.step % config.checkpoint_every == 0:
                now = time.perf_counter()
                state.epoch_time, started = state.epoch_time + now - started, now
                if state.batch >= ENOUGH:
                    _finite_steps(state)
                run.save()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    state.epoch_time += time.perf_counter() - started


def train_step(
    work: Work, world: World, rows: npt.NDArray[np.int64], rate: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """One optimiser step on these texts; gives their mean loss and the gradient norm."""
    config, tokens, device = work.config, work.tokens, world.device
    loss = torch.zeros((), device=device)
    texts = config.micro_batch_size * world.size
    most_tokens = CPU_TOKENS * world.size if device.type == "cpu" else 0
    for part in data.pieces(rows, tokens.lengths, texts, most_tokens):
        mine = part[world.rank :: world.size]  # of the last few texts it may be empty
        weight = min(len(mine), 1) * world.size / (len(rows) * len(work.corpus.labels))
        ids, mask, truth = tokens.batch(mine if len(mine) else part[:1], device)
        with autocast(device, config.precision):
            logits = work.network(ids, mask)
        share = weight * work.loss(logits.float(), truth)
        share.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        loss += share.detach()
    norm = work.optimiser.step(rate)
    return world.sum(loss / world.size), norm


def end_epoch(run: Run, work: Work, stop: Interruption) -> None:
    """Measure what the epoch came to, keep the best checkpoint, log and save."""
    world, state, config, device = run.world, run.state, work.config, run.world.device
    started = time.perf_counter()
    finite = _finite_steps(state)
    if skipped := int((~finite).sum()):
        run.warn(
            f"{skipped} of the {state.batch} steps of epoch {state.epoch} were left out: their "
            "gradient was not finite"
        )
    losses, norms = torch.stack(state.losses).cpu()[finite], torch.stack(state.norms).cpu()[finite]
    flops = matmul_flops(device, number_format(device, config.precision))
    state.peak_flops = max(state.peak_flops, flops)  # a busy machine measures low
    train_p, _ = predict(work.classifier, work.sample, device, config.eval_precision, stop, world)
    val_p, val_loss = predict(work.classifier, work.val, device, config.eval_precision, stop, world)
    if not np.isfinite(val_loss):
        raise _diverged(f"the validation loss is not finite in epoch {state.epoch}")
    row = {
        "epoch": state.epoch,
        "train/loss": float(losses.mean()),
        "train/loss_std": float(losses.std(correction=0)),
        "val/loss": val_loss,
        **rankings("train", work.sample.truth > 0, train_p),
        **rankings("val", work.val.truth > 0, val_p),
        "train/learning_rate": learning_rate(state.step - 1, work.steps, config),
        "train/grad_norm": float(norms.mean()),
        "train/epoch_time": state.epoch_time,
        "train/samples_per_sec": len(work.tokens) / state.epoch_time,
        "train/mfu": work.flops / (state.epoch_time * state.peak_flops * world.size),
    }
    if not state.best_epoch or row["val/auc"] > state.best_auc:
        whole = world.whole(work.classifier)
        if world.main:
            with best.new(run.directory, state.epoch) as directory:
                model.save_checkpoint(whole, work.tokenizer, directory / "checkpoint")
                export(directory, "val", work.corpus, val_p, config.threshold)
        state.best_epoch, state.best_auc = state.epoch, row["val/auc"]
    run.progress.epoch_done(row, best=state.best_epoch == state.epoch)
    state.history.append(row)
    recent = [line["val/auc"] for line in state.history[-FALLS - 1 :]]
    if len(recent) > FALLS and all(a > b for a, b in pairwise(recent)):
        run.warn(f"the validation AUC has fallen {FALLS} epochs in a row")
    state.training_time += state.epoch_time + time.perf_counter() - started
    state.epoch, state.batch, state.epoch_time = state.epoch + 1, 0, 0.0
    state.losses, state.norms = [], []
    run.save()
    run.tracker.log(row, len(state.history))  # not before: an epoch that is done again may differ


def _finite_steps(state: State) -> torch.Tensor:
    """Which steps of the epoch had a finite gradient.

    Raises:
        GoemoError: most had none.

    """
    finite = torch.stack(state.norms).isfinite().cpu()
    if 2 * int(finite.sum()) <= len(finite):
        raise _diverged(f"the training loss is not finite in epoch {state.epoch}")
    return finite


def _diverged(what: str) -> GoemoError:
    return GoemoError(what, "Lower --learning-rate, or train with --precision fp32")


def _is_over(state: State, config: TrainConfig) -> bool:
    waited = len(state.history) - state.best_epoch
    return state.epoch > config.num_epochs or 0 < config.patience <= waited


def evaluate_checkpoint(run: Run, work: Work, stop: Interruption) -> Evaluation | None:
    """Predict both splits with the best checkpoint, loaded as anyone would load it."""
    config, world = work.config, run.world
    run.progress.note("predicting with the saved checkpoint")
    world.wait()
    saved = model.load_checkpoint(run.best / "checkpoint").to(world.device)
    found = {}
    for split, inputs in (("val", work.val), ("test", work.test)):
        p, _ = predict(saved, inputs, world.device, config.eval_precision, stop, world)
        if world.main:
            found[split] = export(run.directory, split, work.corpus, p, config.threshold)
    return evaluate(found, work.corpus.labels, config.threshold) if world.main else None


def log_evaluation(run: Run, evaluation: Evaluation) -> dict[str, Any]:
    """Write and log what the checkpoint scores, with the artifacts; gives the summary."""
    state, missed = run.state, evaluation.scores.never_predicted
    if missed:
        classes = "1 class is" if len(missed) == 1 else f"{len(missed)} classes are"
        more = f" and {len(missed) - 6} more" if len(missed) > 6 else ""
        run.warn(f"{classes} never predicted on test: {', '.join(missed[:6])}{more}")
    write_per_class(run.directory / "per_class_metrics.csv", evaluation.scores)
    write_json(run.best / "checkpoint" / "thresholds.json", evaluation.thresholds)
    row = {
        **evaluation.row,
        "total_training_time": state.training_time,
        "best_epoch": state.best_epoch,
        "final_epoch": len(state.history),
    }
    summary = {**row, "warnings": state.warnings}
    run.tracker.log(row, len(state.history) + 1)  # after training, as the guide's 2nd call
    run.tracker.summarise(summary)
    run.log_artifacts(row)
    return summary
