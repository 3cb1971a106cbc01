"""One training run, from its settings to its four artifacts; reads straight down."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from itertools import pairwise

import torch

from goemo_report.errors import GoemoError
from goemo_report.metrics import Scores, score
from goemo_report.tuning import RULE, tuned_thresholds
from goemo_train import checkpoint, data, model
from goemo_train.config import TrainConfig
from goemo_train.dropout import use_cheap_dropout
from goemo_train.evaluate import (
    autocast,
    evaluation_row,
    export,
    number_format,
    predict,
    rankings,
    write_per_class,
)
from goemo_train.flops import matmul_flops, training_flops
from goemo_train.losses import choose as choose_loss
from goemo_train.optimiser import Optimiser, learning_rate
from goemo_train.progress import Interrupted, Interruption, Progress
from goemo_train.rehearsal import compile_layers, fit_micro_batch
from goemo_train.run import Run, State, check_disk, check_shared, open_run, write_json
from goemo_train.tracking import Tracker, run_config
from goemo_train.world import World

TRAIN_AUC_SAMPLE = 2048  # training texts on which train/auc is measured
CPU_TOKENS = 2048  # that a process computes at once on CPU; more only takes memory
FALLS = 2  # epochs in a row of falling validation AUC before a warning


@dataclass(frozen=True)
class Outcome:
    """What a finished run came to."""

    run: Run
    scores: Scores
    tuned_macro_f1: float


def train(config: TrainConfig, progress: Progress, *, last: bool = True) -> Outcome | None:
    """Train, evaluate and log one run; None in all but the main process.

    Where it is not the last run of a series, its processes stay together for the next one.

    Raises:
        GoemoError: something that the user can put right.
        Interrupted: a signal came; the state is kept and the run marked failed.

    """
    world = World()
    device = world.device
    config, run_id, name, directory = world.share(open_run(config) if world.main else None)
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
    if config.model_name not in config.model:  # a directory called `model`, say
        progress.note(f"the model is called {config.model_name}; --model-name calls it otherwise")
    if config.bias_start == "log-odds":
        model.start_bias(classifier, corpus.train.truth)
    parameters = classifier.exported_size()
    if device.type == "cpu":
        use_cheap_dropout(classifier.plain)
    world.place(classifier)
    torch.manual_seed(config.random_seed + world.rank)  # each process its own dropout
    tokens, val, test = (
        data.tokenise(split, tokenizer, config.max_seq_length)
        for split in (corpus.train, corpus.val, corpus.test)
    )
    sample = tokens.head(TRAIN_AUC_SAMPLE, config.random_seed)
    early = []  # warnings from before the run
    truncated = tokens.truncated + val.truncated + test.truncated
    if truncated:
        early = [f"{truncated} texts are longer than {config.max_seq_length} tokens and were cut"]

    # Optimiser and schedule.
    batches_per_epoch = -(-len(tokens) // config.batch_size)
    steps = batches_per_epoch * config.num_epochs
    if config.warmup_steps < 0:
        config = replace(config, warmup_steps=steps // 10)
    criterion = choose_loss(config, corpus.train.truth, device)
    room = CPU_TOKENS if device.type == "cpu" else 0
    if config.auto_batch_size:
        fits = fit_micro_batch(classifier, tokens, config, world)
        config = replace(config, micro_batch_size=fits)
        progress.note(f"{fits} texts are computed at once, of {config.batch_size} a step")
    optimiser = Optimiser(classifier, config, device)
    if config.compile == "on" or (config.compile == "auto" and device.type == "cuda"):
        compile_layers(classifier, tokens, config, early.append)
    flops = training_flops(classifier.plain, tokens.lengths)
    network = world.wrap(classifier)  # after the optimiser chose which gradients are sparse

    # The run.
    if world.main:
        check_disk(directory, 4 * parameters, config)
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
    record = {"id": run_id, "name": name, "settings": asdict(config), "config": logged}
    tracker = Tracker.start(config, logged, name, run_id)
    run = Run(name, config, directory, world, progress, tracker, classifier, optimiser)
    with Interruption() as stop, run.marked():
        if world.main:
            directory.mkdir(parents=True, exist_ok=True)  # not before: W&B may refuse the run
            write_json(directory / "run.json", record)
        check_shared(directory, world)
        work = f"{len(tokens)} texts, {steps} steps on {device.type}"
        progress.note(f"run {name} ({run_id}): {work}")
        if config.resume:
            run.restore()
        state = run.state
        for text in early:
            run.warn(text)
        while state.epoch <= config.num_epochs and not _out_of_patience(state, config):
            order = data.training_batches(
                tokens.lengths, config.batch_size, config.random_seed, state.epoch
            )
            classifier.train()
            started = time.perf_counter()
            with progress.epoch(state.epoch, config.num_epochs, len(order), state.batch) as show:
                for rows in order[state.batch :]:
                    rate = learning_rate(state.step, steps, config)
                    loss = torch.zeros((), device=device)
                    size = config.micro_batch_size * world.size
                    for part in data.pieces(rows, tokens.lengths, size, room * world.size):
                        # This process's share; of the last few texts it may be empty.
                        mine = part[world.rank :: world.size]
                        weight = min(len(mine), 1) * world.size / (len(rows) * len(corpus.labels))
                        ids, mask, truth = tokens.batch(mine if len(mine) else part[:1], device)
                        with autocast(device, config.precision):
                            logits = network(ids, mask)
                        share = weight * criterion(logits.float(), truth)
                        share.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
                        loss += share.detach()
                    norm = optimiser.step(rate)
                    loss = world.sum(loss / world.size)
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
                        run.save()
            losses, norms = torch.stack(state.losses).cpu(), torch.stack(state.norms).cpu()
            now = time.perf_counter()  # the device has done all of its work
            state.epoch_time, started = state.epoch_time + now - started, now

            # What the epoch came to.
            if not torch.isfinite(losses).all():
                run.warn(f"the training loss is not finite in epoch {state.epoch}")
                raise GoemoError(
                    f"the training loss is not finite in epoch {state.epoch}",
                    "Lower --learning-rate, or train with --precision fp32",
                )
            rate = matmul_flops(device, number_format(device, config.precision))
            state.peak = max(state.peak, rate)  # a busy machine measures low
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
                "train/mfu": flops / (state.epoch_time * state.peak * world.size),
            }
            if row["val/auc"] > state.best_auc:
                state.best_epoch, state.best_auc = state.epoch, row["val/auc"]
                best = world.whole(classifier)
                if world.main:
                    model.save_checkpoint(best, tokenizer, directory / "checkpoint")
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
        if last:
            world.close()  # the rest is the main process's
        if not world.main:
            return None
        scores = score(found["test"].truth, found["test"].probabilities, corpus.labels,
                       config.threshold)  # fmt: skip
        if scores.never_predicted:
            names = ", ".join(scores.never_predicted)
            run.warn(f"{len(scores.never_predicted)} classes are never predicted on test: {names}")
        write_per_class(directory / "per_class_metrics.csv", scores)

        # Thresholds by validation; the test split only says what they are worth.
        chosen = tuned_thresholds(found["val"].truth, found["val"].probabilities).thresholds
        tuned = {
            split: score(p.truth, p.probabilities, corpus.labels, chosen).overall["macro_f1"]
            for split, p in found.items()
        }
        by_label = dict(zip(corpus.labels, chosen.tolist(), strict=True))
        about = {"chosen_on": "val", "method": RULE, "thresholds": by_label,
                 "val/macro_f1": tuned["val"], "test/macro_f1": tuned["test"]}  # fmt: skip
        write_json(directory / "checkpoint" / "thresholds.json", about)
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
    write_json(directory / "run.json", {**record, "history": state.history, "summary": summary})
    checkpoint.remove_states(directory)
    return Outcome(run, scores, float(tuned["test"] or 0.0))


def _out_of_patience(state: State, config: TrainConfig) -> bool:
    waited = len(state.history) - state.best_epoch
    return 0 < config.patience <= waited
