"""FLOPs of a training step against torch's own counter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForSequenceClassification

from goemo_train.flops import matmul_flops, training_flops


def test_agrees_with_the_counter_of_torch() -> None:
    described = BertConfig(vocab_size=50, hidden_size=64, num_hidden_layers=3,
                           num_attention_heads=4, intermediate_size=128)  # fmt: skip
    plain = BertForSequenceClassification(described)
    plain.set_attn_implementation("eager")
    lengths = np.array([40, 40, 40, 40])
    ids = torch.randint(0, 50, (4, 40))
    with FlopCounterMode(display=False) as counter:
        plain(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.sum().backward()
    head = 6 * (64 * 64 + 64 * 2) * (160 - 4)  # counted a token, used a text
    assert training_flops(plain, lengths) - head == pytest.approx(counter.get_total_flops())


def test_texts_of_other_lengths_add_up() -> None:
    plain = BertForSequenceClassification(BertConfig(num_hidden_layers=1, hidden_size=12,
                                                     vocab_size=9))  # fmt: skip
    one, two = (training_flops(plain, np.array([n])) for n in (7, 30))
    assert training_flops(plain, np.array([7, 30])) == pytest.approx(one + two)


def test_rate_of_matrix_products_is_that_of_a_computer() -> None:
    assert 1e8 < matmul_flops(torch.device("cpu"), torch.float32) < 1e16
