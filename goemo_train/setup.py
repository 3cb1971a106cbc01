"""What a run trains: data in tokens, the model on its device, its loss and optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from goemo_report.contract import LEAK_LIMIT
from goemo_report.corpora.corpus import Corpus
from goemo_report.errors import GoemoError, SettingsError, first_line
from goemo_report.formats.wording import listed
from goemo_report.labels import known_data
from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.data import Tokens
from goemo_train.evaluate import autocast, number_format
from goemo_train.model import Classifier
from goemo_train.optimiser import Loss, Optimiser, SecondThread, choose_loss
from goemo_train.processes import Distributed
from goemo_train.tracking import Progress

TRAIN_AUC_SAMPLE = 2048  # training texts on which train/auc is measured


@dataclass(frozen=True)
class Setup:
    """What a run trains, and all that it takes."""

    config: TrainConfig  # with `auto` settled
    corpus: Corpus
    tokens: Tokens
    val: Tokens
    test: Tokens
    sample: Tokens
    tokenizer: Any
    classifier: Classifier
    network: nn.Module  # the classifier, its gradients averaged over the processes
    second: SecondThread | None  # on CPU, which a process alone has to itself
    optimiser: Optimiser
    loss: Loss
    steps: int
    measured: dict[str, Any]  # what the run's config says of data and model
    warnings: list[str]


def prepare(config: TrainConfig, distributed: Distributed, progress: Progress) -> Setup:
    """Data, model and optimiser of a run, on the process's device."""
    torch.manual_seed(config.random_seed)
    config, device = _settled(config, distributed), distributed.device
    progress.note(f"reading {config.dataset}")
    corpus = data.load_corpus(config)
    for said in corpus.notes:
        progress.note(said)
    if known_data(corpus.name) and not config.limit and not corpus.official:
        progress.note("the splits do not have the sizes of the official data set")

    classifier, tokenizer = model.load(config, corpus.labels)
    config = replace(config, pooling=classifier.pooling)
    if config.model_name not in config.model:  # a directory called `model`, say
        progress.note(f"the model is called {config.model_name}; --model-name calls it otherwise")
    if config.bias_start == "log-odds":
        model.start_bias(classifier, corpus.train.truth)
    if config.head_start == "label-names" and classifier.new_head:
        model.start_weights(classifier, tokenizer, corpus.labels)
    if device.type == "cpu":
        model.use_cheap_dropout(classifier.plain)
    classifier.to(device)

    splits = {"train": corpus.train, "val": corpus.val, "test": corpus.test}
    tokens = {k: data.tokenise(s, tokenizer, config.max_seq_length) for k, s in splits.items()}
    sample = tokens["train"].head(TRAIN_AUC_SAMPLE, config.random_seed)  # keeps the true labels
    train = _with_targets(tokens["train"], config, corpus, distributed, progress)
    torch.manual_seed(config.random_seed + distributed.rank)  # each process its own dropout
    measured = _measured(corpus, tokens)
    warnings = _data_warnings(measured, config, corpus)

    steps = -(-len(train) // config.batch_size) * config.num_epochs
    if config.warmup_steps < 0:
        config = replace(config, warmup_steps=steps // 10)
    if config.auto_batch_size:
        fits = fit_micro_batch(classifier, train, config, distributed)
        config = replace(config, micro_batch_size=fits)
        progress.note(f"{fits} texts are computed at once, of {config.batch_size} a step")
    if config.compile == "on" and (failed := compile_layers(classifier, train, config)):
        warnings.append(f"the model could not be compiled and is trained as it is: {failed}")
        config = replace(config, compile="off")
    optimiser = Optimiser(classifier, config)
    # after the optimiser chose its sparse gradients
    network = distributed.accelerator.prepare_model(classifier)
    alone = device.type == "cpu" and distributed.size == 1 and config.compile == "off"
    halves = alone and torch.get_num_threads() > 1 and classifier.draws_by_thread()
    measured = {
        "model_params": classifier.exported_size,
        **measured,
        "train_auc_samples": len(sample),
        "steps": steps,
    }
    return Setup(
        config, corpus, train, tokens["val"], tokens["test"], sample, tokenizer, classifier,
        network, SecondThread(classifier) if halves else None, optimiser,
        choose_loss(config, corpus.train.truth, device), steps, measured, warnings,
    )  # fmt: skip


def _with_targets(
    train: Tokens, config: TrainConfig, corpus: Corpus, distributed: Distributed, progress: Progress
) -> Tokens:
    """The training split with what is learned of it: true labels, raters' shares, a teacher's."""
    if config.soft_labels:
        train = replace(train, truth=_shares(config, corpus))
    if config.teacher:
        how = (config, corpus, distributed.device, progress.note)
        soft = data.soft_labels(*how) if distributed.main else None
        train = replace(train, truth=distributed.share(soft))
    return train


def _measured(corpus: Corpus, tokens: Mapping[str, Tokens]) -> dict[str, Any]:
    """What the run's config says of the data."""
    return {
        "num_labels": len(corpus.labels),
        "dataset_name": corpus.name,
        "dataset_version": corpus.version,
        **{f"{name}_samples": len(part) for name, part in tokens.items()},
        **{f"leaked_{name}_texts": count for name, count in corpus.leaked().items()},
        "truncated_texts": sum(part.truncated for part in tokens.values()),
    }


def _data_warnings(measured: Mapping[str, Any], config: TrainConfig, corpus: Corpus) -> list[str]:
    """What may be wrong with the data."""
    warnings = []
    if truncated := measured["truncated_texts"]:
        texts = "1 text is" if truncated == 1 else f"{truncated} texts are"
        warnings.append(f"{texts} longer than {config.max_seq_length} tokens and cut")
    for name in corpus.leaked():
        count, rows = measured[f"leaked_{name}_texts"], measured[f"{name}_samples"]
        if count > LEAK_LIMIT * rows:
            found = f"{count} of {rows} {name} texts"
            warnings.append(f"{found} stand in the training split as well")
    learned, asked = corpus.train.truth.any(0), corpus.val.truth.any(0) | corpus.test.truth.any(0)
    if unknown := [corpus.labels[column] for column in np.flatnonzero(asked & ~learned)]:
        warnings.append(
            f"no training text has these labels of the other splits: {listed(unknown, 6)}"
        )
    return warnings


def _shares(config: TrainConfig, corpus: Corpus) -> npt.NDArray[np.float32]:
    if config.teacher:
        raise SettingsError("--soft-labels and --teacher both set the targets", "Give one")
    if corpus.train.shares is None:
        what = f"--soft-labels: {config.dataset} does not tell what each rater chose"
        raise SettingsError(what, "Give a directory of tables with a column rater_id")
    return corpus.train.shares.astype(np.float32)


def _settled(config: TrainConfig, distributed: Distributed) -> TrainConfig:
    """`auto` as what it means here, so that the run's config says what was done."""
    device = distributed.device
    gpu = device.type == "cuda"
    settled: dict[str, Any] = {}
    for name in ("precision", "eval_precision"):
        half = number_format(device, getattr(config, name)) == torch.bfloat16
        settled[name] = "bf16" if half else "fp32"
    if config.embedding_updates == "auto":
        settled["embedding_updates"] = "all" if gpu else "batch"
    if config.compile == "auto":
        settled["compile"] = "on" if gpu else "off"
    return replace(config, **settled)


def trial_step(
    classifier: Classifier, tokens: Tokens, rows: npt.NDArray[np.int64], precision: str
) -> None:
    """Forward of these texts, backward in training; no gradient and no random number is left."""
    device = next(classifier.parameters()).device
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), torch.set_grad_enabled(classifier.training):
        ids, mask, _ = tokens.batch(rows, device)
        with autocast(device, precision):
            logits = classifier(ids, mask)
        if classifier.training:
            logits.float().sum().backward()
    classifier.zero_grad(set_to_none=True)


def fit_micro_batch(
    classifier: Classifier, tokens: Tokens, config: TrainConfig, distributed: Distributed
) -> int:
    """The most texts that a process can compute at once: half as many until the longest fit.

    Memory that optimiser (two numbers a parameter) and DDP will take is held meanwhile. All
    processes halve where one has to.

    Raises:
        GoemoError: not even one text fits.

    """
    size = min(distributed.texts_at_once(config), -(-len(tokens) // distributed.size))
    longest = np.argsort(-tokens.lengths, kind="stable")
    classifier.train()

    def fits() -> bool:
        """What took the room goes with this frame and the error, whose traceback holds it."""
        with suppress(torch.OutOfMemoryError):
            held = [torch.empty_like(p) for p in classifier.parameters() for _ in range(3)]
            trial_step(classifier, tokens, longest[:size], config.precision)
            return bool(held)
        return False

    while True:
        found = fits()
        classifier.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        if all(distributed.gather(found)):
            return size
        if size == 1:
            raise GoemoError(
                f"out of memory with one text of {tokens.lengths.max()} tokens",
                "Lower --max-seq-length, or take a smaller model",
            )
        size = -(-size // 2)


def compile_layers(classifier: Classifier, tokens: Tokens, config: TrainConfig) -> str:
    """Compile the encoder's layers for all lengths; why that failed, the layers as they were.

    All layers share one piece of code, so that it is compiled once, not once a layer as in a
    compiled model. Whatever can go wrong (no C++ compiler, no Triton, an operator that cannot
    be compiled) goes wrong in the trial steps: padded, without padding and with one text, as
    each is compiled by itself, in training and in evaluation.
    """
    torch.compiler.reset()  # the runs of a series count by themselves
    layers = classifier.layers()
    for layer in layers:
        layer.compile(dynamic=True)
    order = np.argsort(tokens.lengths, kind="stable")
    try:
        for training, precision in ((True, config.precision), (False, config.eval_precision)):
            classifier.train(training)
            for rows in (order[[0, -1, -1]], order[[-1, -1, -1]], order[-1:]):
                trial_step(classifier, tokens, rows, precision)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the compiler has many of them
        for layer in layers:
            layer._compiled_call_impl = None
        torch.compiler.reset()
        return first_line(error)
    return ""
