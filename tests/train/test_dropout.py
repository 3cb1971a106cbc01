"""Dropout on CPU: the right share, the right scale, and the same model otherwise."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from goemo_train.model import Dropout, drop, use_cheap_dropout


@pytest.mark.parametrize("p", [0.05, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_drops_the_share_and_scales_what_stays(p: float, kind: torch.dtype) -> None:
    torch.manual_seed(5)
    x = torch.ones(400, 251, dtype=kind)  # no multiple of four
    y = drop(x, p)
    kept = y != 0
    assert stats.binomtest(int(kept.sum()), kept.numel(), 1 - p).pvalue > 1e-4
    assert y.dtype == kind
    expected = torch.tensor(1 / (1 - round(p * 65536) / 65536), dtype=kind)
    assert torch.equal(y[kept], expected.expand(int(kept.sum())))


def test_elements_are_dropped_independently() -> None:
    torch.manual_seed(6)
    kept = (drop(torch.ones(200_000), 0.3) != 0).numpy().astype(float)
    for lag in (1, 2, 3, 4, 5, 8):  # four elements share one random number
        correlation = np.corrcoef(kept[:-lag], kept[lag:])[0, 1]
        assert abs(correlation) < 4 / np.sqrt(len(kept)), lag


def test_gradient_flows_through_what_stayed() -> None:
    torch.manual_seed(7)
    x = torch.randn(3, 5, 7, requires_grad=True)
    y = drop(x, 0.4)
    y.backward(torch.full_like(y, 2.0))  # type: ignore[no-untyped-call]  # torch's
    assert x.grad is not None
    with torch.no_grad():
        scale = torch.where(y != 0, y / x, 0.0)
    torch.testing.assert_close(x.grad, 2 * scale)


def test_follows_the_generator_of_torch() -> None:
    torch.manual_seed(8)
    state = torch.get_rng_state()
    first = drop(torch.ones(99), 0.5)
    assert not torch.equal(first, drop(torch.ones(99), 0.5))
    torch.set_rng_state(state)
    assert torch.equal(first, drop(torch.ones(99), 0.5))


def test_module_does_nothing_in_evaluation_or_at_zero() -> None:
    x = torch.randn(4, 4)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
         "intermediate_size": 48, "vocab_size": 60, "num_labels": 3}  # fmt: skip
SMALL: dict[str, Any] = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "vocab_size": 60,
                         "num_labels": 3}  # fmt: skip
MODELS: dict[str, Any] = {
    "bert": lambda: BertForSequenceClassification(BertConfig(**SIZES)),
    "roberta": lambda: RobertaForSequenceClassification(RobertaConfig(**SIZES)),
    "distilbert": lambda: DistilBertForSequenceClassification(DistilBertConfig(**SMALL)),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_model_stays_the_same_function(name: str) -> None:
    torch.manual_seed(9)
    plain = MODELS[name]().eval()
    cheap = copy.deepcopy(plain)
    use_cheap_dropout(cheap)
    assert not [m for m in cheap.modules() if type(m) is nn.Dropout]
    ids = torch.randint(5, 60, (4, 11))
    mask = (torch.arange(11) < torch.tensor([[11], [3], [7], [1]])).long()
    for training in (False, True):
        for model in (plain, cheap):
            model.train(training)
            if training:  # attention without the fused kernel, but nothing dropped by chance
                for module in model.modules():
                    if isinstance(module, nn.Dropout):
                        module.p = 1e-9
        with torch.no_grad():
            expected = plain(input_ids=ids, attention_mask=mask).logits
            found = cheap(input_ids=ids, attention_mask=mask).logits
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert plain.state_dict().keys() == cheap.state_dict().keys()
