"""The loss, its gradient by two threads, and the optimiser with clipping and learning rate."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from goemo_report.errors import SettingsError
from goemo_train.config import LossName, TrainConfig
from goemo_train.model import RANDOM, Classifier

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def choose_loss(config: TrainConfig, truth: npt.NDArray[np.bool_], device: torch.device) -> Loss:
    """The loss that the settings name, of logits and targets (b, k), summed.

    `truth` (n, k) of the training split gives the weights. Those of `balanced-bce` are one for each
    label, in proportion to the root of one over its frequency, 1 on average: what a label's
    best probabilities are stays the same. Those of `weighted-bce` are for positives alone, the root
    of negatives over positives. Without a root the rarest emotion, several hundred times as
    heavy, would drown everything else.
    """
    if config.loss not in get_args(LossName):
        raise SettingsError(f"the run has --loss {config.loss}, which is gone", "Start a new run")
    labels = positives = None
    counts = torch.from_numpy(truth.sum(0) + 0.5).float().to(device)
    if config.loss == "balanced-bce":
        labels = counts.rsqrt() / counts.rsqrt().mean()
    elif config.loss == "weighted-bce":
        positives = ((len(truth) + 1 - counts) / counts).sqrt()
    return partial(
        functional.binary_cross_entropy_with_logits,
        weight=labels, pos_weight=positives, reduction="sum",
    )  # fmt: skip


class SecondThread:
    """Half of a step's texts on half of the cores, by a thread with a model of the same weights.

    An operation on some hundred tokens is too short to be worth all cores. Each step seeds the
    second half's dropout by torch's own generator, so that runs repeat bit for bit.
    """

    def __init__(self, classifier: Classifier) -> None:
        shared = {
            id(weight): nn.Parameter(weight.data, weight.requires_grad)
            for weight in classifier.parameters()
        }
        self.models = classifier, copy.deepcopy(classifier, shared)
        self.threads, self.generator = torch.get_num_threads(), torch.Generator()
        self.pool = ThreadPoolExecutor(1, initializer=self._begin)

    def _begin(self) -> None:
        torch.set_num_threads(self.threads // 2)
        RANDOM.generator = self.generator

    def gradients(
        self, compute: Callable[[Classifier, npt.NDArray[np.int64]], torch.Tensor],
        rows: npt.NDArray[np.int64],
    ) -> torch.Tensor:  # fmt: skip
        """The sum of what `compute` gives for both halves; their gradients are added up."""
        first, second = self.models
        self.generator.manual_seed(int(torch.randint(2**62, ())))
        other = self.pool.submit(compute, second.train(), rows[1::2])
        torch.set_num_threads(self.threads // 2)
        try:
            mine = compute(first, rows[::2])
        finally:
            theirs = other.result()
            torch.set_num_threads(self.threads)
        for weight, more in zip(first.parameters(), second.parameters(), strict=True):
            if weight.grad is not None and more.grad is not None:
                weight.grad += more.grad
                more.grad = None
        return mine + theirs


class Optimiser:
    """AdamW with gradient clipping; on CPU only the word embeddings of the batch are updated.

    A batch uses a few hundred of tens of thousands of embeddings, so that clearing, clipping
    and updating the others is most of the work outside the model. They get sparse gradients
    and `SparseAdam`: moments move when a word occurs, without decay. All else is decayed but
    for biases and LayerNorms, which have one dimension.
    """

    def __init__(self, classifier: Classifier, config: TrainConfig):
        self.classifier, self.max_norm = classifier, config.max_grad_norm
        words = classifier.plain.get_input_embeddings()
        rows = config.embedding_updates == "batch"
        sparse: list[Any] = [words.weight] if rows and type(words) is nn.Embedding else []
        words.sparse = bool(sparse)
        scales = layer_scales(classifier, config.layer_decay)
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter in classifier.parameters():
            if not any(parameter is word for word in sparse):
                decay = config.weight_decay if parameter.ndim > 1 else 0.0
                groups.setdefault((scales.get(parameter, 1.0), decay), []).append(parameter)
        decayed = [
            {"params": members, "weight_decay": decay, "scale": scale}
            for (scale, decay), members in groups.items()
        ]
        self.parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(decayed, fused=True)]
        if sparse:
            words_only = {"params": sparse, "scale": scales.get(sparse[0], 1.0)}
            self.parts.append(torch.optim.SparseAdam([words_only]))

    def step(self, rate: float) -> torch.Tensor:
        """Clip, update and clear; gives the gradient norm before clipping.

        A step whose norm is not finite changes nothing.
        """
        gradients = []
        for parameter in self.classifier.parameters():
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad.coalesce()
                gradients.append(parameter.grad._values())
            elif parameter.grad is not None:
                gradients.append(parameter.grad)
        norm = nn.utils.get_total_norm(gradients)
        beyond = ((norm + 1e-6) / self.max_norm).clamp(min=1.0)
        # The fused kernel itself divides, and leaves everything as it is after an overflow: no
        # pass over the gradients of its own, no wait for the device.
        dense, *sparse = self.parts
        dense.grad_scale, dense.found_inf = beyond, (~norm.isfinite()).float()  # type: ignore[attr-defined]  # GradScaler's
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = rate * group["scale"]
        dense.step()
        if sparse and norm.isfinite():
            (words,) = sparse[0].param_groups[0]["params"]
            words.grad._values().div_(beyond)
            sparse[0].step()
        for part in self.parts:
            part.zero_grad(set_to_none=True)
        return norm

    def state_dict(self) -> list[dict[str, Any]]:
        """State of each part."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Take over what `state_dict` gave."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def layer_scales(classifier: Classifier, decay: float) -> dict[nn.Parameter, float]:
    """What the learning rate of each encoder parameter is multiplied by; the head has none.

    The last layer has `decay`, each one below it once more, the embeddings most: Clark et al.
    2020 (ELECTRA).
    """
    layers = classifier.layers() if decay < 1 else []
    embeddings = [classifier.plain.base_model.embeddings] if layers else []
    parts = [*reversed(layers), *embeddings]
    return {p: decay**below for below, part in enumerate(parts, 1) for p in part.parameters()}


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Linear warm-up to the peak, then linear decay to zero at the end."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    return config.learning_rate * (steps - step) / max(1, steps - config.warmup_steps)
