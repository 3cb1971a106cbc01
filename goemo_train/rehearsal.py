"""What is tried out before training: one step whose traces are removed again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from goemo_report.errors import GoemoError
from goemo_train.config import TrainConfig
from goemo_train.data import Tokens
from goemo_train.evaluate import autocast
from goemo_train.model import Classifier, encoder_layers
from goemo_train.world import World

Warn = Callable[[str], None]


def rehearse(
    classifier: Classifier, tokens: Tokens, rows: npt.NDArray[np.int64], precision: str
) -> None:
    """Forward and backward of these texts; gradients and random state are as before."""
    device = next(classifier.parameters()).device
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        ids, mask, _ = tokens.batch(rows, device)
        with autocast(device, precision):
            logits = classifier.train()(ids, mask)
        logits.float().sum().backward()
    classifier.zero_grad(set_to_none=True)


def fit_micro_batch(
    classifier: Classifier, tokens: Tokens, config: TrainConfig, world: World
) -> int:
    """The most texts that a process can compute at once: half as many until the longest fit.

    Memory that will be taken is held meanwhile: by the optimiser two numbers a parameter, by
    DDP one.

    Raises:
        GoemoError: not even one text fits.

    """
    size = config.micro_batch_size or -(-min(config.batch_size, len(tokens)) // world.size)
    longest = np.argsort(-tokens.lengths, kind="stable")
    numbers = 2 + (world.size > 1)
    held = [torch.empty_like(p) for p in classifier.parameters() for _ in range(numbers)]
    while True:
        try:
            rehearse(classifier, tokens, longest[:size], config.precision)
            break
        except torch.OutOfMemoryError as error:
            classifier.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            if size == 1:
                raise GoemoError(
                    f"out of memory with one text of {tokens.lengths.max()} tokens",
                    "Lower --max-seq-length, or take a smaller model",
                ) from error
            size = -(-size // 2)
    del held
    smallest: int = min(world.gather(size))
    return smallest


def compile_layers(classifier: Classifier, tokens: Tokens, precision: str, warn: Warn) -> None:
    """Compile the encoder's layers for all lengths; they stay as they are where that fails.

    All layers share one piece of code, so that it is compiled once, not once a layer as in a
    compiled model. Whatever can go wrong (no C++ compiler, no Triton, an operator that cannot
    be compiled) goes wrong in the rehearsal with texts of two lengths.
    """
    layers = encoder_layers(classifier.plain)
    for layer in layers:
        layer.compile(dynamic=True)
    order = np.argsort(tokens.lengths, kind="stable")
    try:
        for rows in (order[len(order) // 2 :][:8], order[-4:]):
            rehearse(classifier, tokens, rows, precision)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the compiler has many of them
        for layer in layers:
            layer._compiled_call_impl = None
        torch.compiler.reset()
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        warn(f"the model could not be compiled and is trained as it is: {reason[:200]}")
