"""Dropout that is cheap on CPU.

torch draws each of millions of random numbers a step by itself there, an eighth of the time of
a step. Here one 64-bit number of torch's generator decides over four elements, 16 bits each;
the probability is rounded to a multiple of 2^-16 and the scale follows it exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

LEVELS = 2**16
ATTENTION = "goemo_cpu"


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, p: float) -> torch.Tensor:
        dropped = round(p * LEVELS)
        bits = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        # numpy compares 16-bit numbers four times as fast as torch.
        levels = bits.numpy().view(np.int16)[: x.numel()]
        kept = (levels >= dropped - LEVELS // 2).view(np.uint8)  # a plain int: all in 16 bits
        mask = torch.from_numpy(kept).view(x.shape)  # a product with it is fast, with bool not
        ctx.save_for_backward(mask)
        ctx.scale = LEVELS / (LEVELS - dropped)
        return (x * mask).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (mask,) = ctx.saved_tensors
        return (gradients[0] * mask).mul_(ctx.scale), None


def drop(x: torch.Tensor, p: float) -> torch.Tensor:
    """Zero each element with probability `p`, and scale the others by 1 / (1 - p)."""
    dropped: torch.Tensor = _Dropout.apply(x, p)  # type: ignore[no-untyped-call]  # torch's
    return dropped


class Dropout(nn.Dropout):
    """`nn.Dropout` by `drop`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The tensor, with dropout while training."""
        return drop(x, self.p) if self.training and self.p else x


def attention(
    _module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    attention_mask: torch.Tensor | None, scaling: float | None = None, dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Softmax attention of (b, heads, t, d) in transformers' form; gives (b, t, heads, d).

    The mask is True where a token may be seen. Without dropout torch's own kernel is best.
    """
    if not dropout:
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attention_mask, scale=scaling
        )
        return mixed.transpose(1, 2).contiguous(), None
    scores = (query * (scaling or query.size(-1) ** -0.5)) @ key.transpose(2, 3)
    if attention_mask is not None:
        # A sum, as its gradient costs nothing; that of a fill is one more pass over all scores.
        scores = scores + torch.where(attention_mask, 0.0, torch.finfo(scores.dtype).min)
    weights = drop(scores.softmax(-1).to(value.dtype), dropout)
    return (weights @ value).transpose(1, 2).contiguous(), None


def use_cheap_dropout(plain: Any) -> None:
    """Give a model of transformers this dropout, in place; its function stays the same.

    Models that do not leave attention to transformers' own interface keep theirs.
    """
    for name, module in list(plain.named_modules()):
        if type(module) is nn.Dropout:
            parent, _, last = name.rpartition(".")
            setattr(plain.get_submodule(parent), last, Dropout(module.p))
    if plain.config._attn_implementation == "sdpa":
        AttentionInterface.register(ATTENTION, attention)
        AttentionMaskInterface.register(ATTENTION, sdpa_mask)
        plain.set_attn_implementation(ATTENTION)
