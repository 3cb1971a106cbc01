"""What a run trains: data in tokens, the model on its device, its optimiser."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.dropout import use_cheap_dropout
from goemo_train.evaluate import number_format
from goemo_train.flops import training_flops
from goemo_train.losses import Loss
from goemo_train.losses import choose as choose_loss
from goemo_train.optimiser import Optimiser
from goemo_train.progress import Progress
from goemo_train.rehearsal import compile_layers, fit_micro_batch
from goemo_train.world import World

TRAIN_AUC_SAMPLE = 2048  # training texts on which train/auc is measured
MOST_LEAKED = 0.02  # of a split, before a warning; of the official ones it is under 0.01


@dataclass(frozen=True)
class Work:
    """What a run trains, and all that it takes."""

    config: TrainConfig  # with `auto` settled
    corpus: data.Corpus
    tokens: data.Tokens
    val: data.Tokens
    test: data.Tokens
    sample: data.Tokens
    tokenizer: Any
    classifier: model.Classifier
    network: nn.Module  # the classifier, its gradients averaged over the processes
    optimiser: Optimiser
    loss: Loss
    parameters: int
    flops: float  # of an epoch
    steps: int
    leaked: dict[str, int]  # texts of a split that stand in the training split as well
    warnings: list[str]

    def about(self) -> str:
        """What is trained and how, in a line."""
        config = self.config
        return (
            f"{len(self.tokens)} texts, {config.num_epochs} epochs of {config.batch_size} a step, "
            f"learning rate {config.learning_rate:g}, pooling {config.pooling}, {config.precision}"
        )

    def measured(self) -> dict[str, Any]:
        """What the run's config says of data and model."""
        return {
            "model_params": self.parameters,
            "num_labels": len(self.corpus.labels),
            "dataset_name": self.corpus.name,
            "dataset_version": self.corpus.version,
            "train_samples": len(self.tokens),
            "val_samples": len(self.val),
            "test_samples": len(self.test),
            "leaked_val_texts": self.leaked["val"],
            "leaked_test_texts": self.leaked["test"],
            "truncated_texts": self.tokens.truncated + self.val.truncated + self.test.truncated,
            "train_auc_samples": len(self.sample),
            "steps": self.steps,
        }


def prepare(config: TrainConfig, world: World, progress: Progress) -> Work:
    """Data, model and optimiser of a run, on the process's device."""
    device = world.device
    torch.manual_seed(config.random_seed)
    config = _settled(config, world)
    progress.note(f"reading {config.dataset}")
    corpus = data.load_corpus(config)
    if config.dataset != "demo" and not config.limit and not corpus.official:
        progress.note("the splits do not have the sizes of the official data set")
    classifier, tokenizer = model.load(config, corpus.labels)
    config = replace(config, pooling=classifier.pooling)
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
    warnings = []
    if truncated := tokens.truncated + val.truncated + test.truncated:
        texts = "1 text is" if truncated == 1 else f"{truncated} texts are"
        warnings.append(f"{texts} longer than {config.max_seq_length} tokens and cut")
    leaked = corpus.leaked()
    for name, part in (("val", val), ("test", test)):
        if leaked[name] > MOST_LEAKED * len(part):
            found = f"{leaked[name]} of {len(part)} {name} texts"
            warnings.append(f"{found} stand in the training split as well")
    steps = -(-len(tokens) // config.batch_size) * config.num_epochs
    if config.warmup_steps < 0:
        config = replace(config, warmup_steps=steps // 10)
    if config.auto_batch_size:
        fits = fit_micro_batch(classifier, tokens, config, world)
        config = replace(config, micro_batch_size=fits)
        progress.note(f"{fits} texts are computed at once, of {config.batch_size} a step")
    optimiser = Optimiser(classifier, config)
    if config.compile == "on" and not compile_layers(classifier, tokens, config, warnings.append):
        config = replace(config, compile="off")
    return Work(
        config, corpus, tokens, val, test, tokens.head(TRAIN_AUC_SAMPLE, config.random_seed),
        tokenizer, classifier, flops=training_flops(classifier.plain, tokens.lengths),
        network=world.wrap(classifier),  # after the optimiser chose which gradients are sparse
        optimiser=optimiser, loss=choose_loss(config, corpus.train.truth, device),
        parameters=parameters, steps=steps, leaked=leaked, warnings=warnings,
    )  # fmt: skip


def _settled(config: TrainConfig, world: World) -> TrainConfig:
    """`auto` as what it means here, so that the run's config says what was done."""
    gpu = world.device.type == "cuda"
    if config.embedding_updates == "auto":
        config = replace(config, embedding_updates="all" if gpu or world.sharded else "batch")
    if config.compile == "auto":
        config = replace(config, compile="on" if gpu else "off")
    half = [
        number_format(world.device, asked) == torch.bfloat16
        for asked in (config.precision, config.eval_precision)
    ]
    return replace(
        config,
        precision="bf16" if half[0] else "fp32",
        eval_precision="bf16" if half[1] else "fp32",
    )
