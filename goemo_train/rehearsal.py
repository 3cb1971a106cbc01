"""What is tried out before training: one step whose traces are removed again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import torch

from goemo_report.errors import GoemoError, SettingsError
from goemo_train.config import TrainConfig
from goemo_train.data import Tokens
from goemo_train.evaluate import autocast
from goemo_train.model import Classifier, encoder_layers
from goemo_train.world import World

Warn = Callable[[str], None]


def rehearse(
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
    classifier: Classifier, tokens: Tokens, config: TrainConfig, world: World
) -> int:
    """The most texts that a process can compute at once: half as many until the longest fit.

    Memory that will be taken is held meanwhile: by the optimiser two numbers a parameter, by
    DDP one. All processes halve where one has to.

    Raises:
        GoemoError: not even one text fits, or the model is sharded.

    """
    if world.sharded:  # a process out of memory within a layer would leave the others waiting
        raise SettingsError("FSDP and --auto-batch-size", "Give a --micro-batch-size instead")
    size = min(world.texts_at_once(config), -(-len(tokens) // world.size))
    longest = np.argsort(-tokens.lengths, kind="stable")
    numbers = 2 + (world.size > 1)
    classifier.train()
    while True:
        fits = _fits(classifier, tokens, longest[:size], config.precision, numbers)
        classifier.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        if all(world.gather(fits)):
            return size
        if size == 1:
            raise GoemoError(
                f"out of memory with one text of {tokens.lengths.max()} tokens",
                "Lower --max-seq-length, or take a smaller model",
            )
        size = -(-size // 2)


def _fits(
    classifier: Classifier, tokens: Tokens, rows: npt.NDArray[np.int64], precision: str,
    numbers: int,
) -> bool:  # fmt: skip
    """Whether there is room for these texts beside so many numbers a parameter.

    What took the room goes with this frame and with the error, whose traceback holds it.
    """
    with suppress(torch.OutOfMemoryError):
        held = [torch.empty_like(p) for p in classifier.parameters() for _ in range(numbers)]
        rehearse(classifier, tokens, rows, precision)
        del held
        return True
    return False


def compile_layers(classifier: Classifier, tokens: Tokens, config: TrainConfig, warn: Warn) -> bool:
    """Compile the encoder's layers for all lengths; False: that failed, they are as they were.

    All layers share one piece of code, so that it is compiled once, not once a layer as in a
    compiled model. Whatever can go wrong (no C++ compiler, no Triton, an operator that cannot
    be compiled) goes wrong in the rehearsals: padded, without padding and with one text, as
    each is compiled by itself, in training and in evaluation.
    """
    torch.compiler.reset()  # the runs of a series count by themselves
    layers = encoder_layers(classifier.plain)
    for layer in layers:
        layer.compile(dynamic=True)
    order = np.argsort(tokens.lengths, kind="stable")
    kinds = (order[[0, -1, -1]], order[[-1, -1, -1]], order[-1:])
    try:
        for training, precision in ((True, config.precision), (False, config.eval_precision)):
            classifier.train(training)
            for rows in kinds:
                rehearse(classifier, tokens, rows, precision)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the compiler has many of them
        for layer in layers:
            layer._compiled_call_impl = None
        torch.compiler.reset()
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        warn(f"the model could not be compiled and is trained as it is: {reason[:200]}")
        return False
    return True
