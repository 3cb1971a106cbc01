from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from torch.nn.functional import binary_cross_entropy_with_logits

from goemo_report.thresholds.tune import Tuned
from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.evaluate import number_format, predict
from goemo_train.optimiser import Optimiser, learning_rate
from goemo_train.processes import Distributed


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.9])),
        min_size=1,
        max_size=25,
    )
)
def test_no_other_threshold_has_a_higher_f1(rows: list[tuple[bool, float]]) -> None:
    truth = np.array([[t] for t, _ in rows])
    p = np.array([[q] for _, q in rows])
    (chosen,) = Tuned(truth, p).per_class
    if not truth.any():
        assert chosen == 0.5
        return
    found = f1_score(truth, p >= chosen, zero_division=0)
    for other in itertools.chain([0.0], np.unique(p)):
        assert f1_score(truth, p >= other, zero_division=0) <= found + 1e-12


def test_predictions_come_in_the_order_of_the_texts_without_effect_of_padding() -> None:
    config = TrainConfig(model="tiny-roberta", dataset="demo", limit=150)
    corpus = data.load_corpus(config)
    torch.manual_seed(0)
    classifier, tokenizer = model.load(config, corpus.labels)
    torch.nn.init.normal_(classifier.output().weight, std=0.5)
    tokens = data.tokenise(corpus.train, tokenizer, 128)
    got, loss = predict(classifier, tokens, Distributed())
    rows = []
    with torch.no_grad():
        for text in corpus.train.texts:
            one = tokenizer(text, return_tensors="pt")
            rows.append(classifier(one["input_ids"], one["attention_mask"])[0])
    logits = torch.stack(rows)
    assert np.abs(got - logits.sigmoid().numpy()).max() < 1e-6
    truth = torch.from_numpy(corpus.train.truth).float()
    assert loss == pytest.approx(binary_cross_entropy_with_logits(logits, truth).item(), abs=1e-6)


@pytest.mark.parametrize(
    ("device", "precision", "launched", "expected"),
    [
        ("cpu", "auto", None, torch.float32),
        ("cpu", "bf16", "no", torch.bfloat16),
        ("cpu", "auto", "bf16", torch.bfloat16),
        ("cuda", "fp32", "bf16", torch.float32),
        ("cuda", "auto", "bf16", torch.bfloat16),
        ("cuda", "auto", "no", torch.float32),
    ],
)
def test_precision_is_what_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, device: str, precision: str, launched: str | None,
    expected: torch.dtype,
) -> None:  # fmt: skip
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if launched:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: True)
    assert number_format(torch.device(device), precision) == expected


@pytest.mark.parametrize(("major", "expected"), [(7, torch.float32), (8, torch.bfloat16)])
def test_a_gpu_that_only_emulates_bf16_computes_in_fp32(
    monkeypatch: pytest.MonkeyPatch, major: int, expected: torch.dtype
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 0)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: SimpleNamespace(major=major))
    monkeypatch.setattr("torch.cuda._check_bf16_tensor_supported", lambda _: True)  # emulated
    assert number_format(torch.device("cuda"), "auto") == expected


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=4)
    rates = [learning_rate(step, 12, config) for step in range(12)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert rates[-1] == pytest.approx(1 / 8)


def one_step(updates: str, max_norm: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    config = TrainConfig(model="tiny-bert", dataset="demo", limit=30, weight_decay=0.0,
                         dropout=0.0, max_grad_norm=max_norm, embedding_updates=updates)  # type: ignore[arg-type]  # a parameter  # fmt: skip
    corpus = data.load_corpus(config)
    torch.manual_seed(0)
    classifier, tokenizer = model.load(config, corpus.labels)
    torch.nn.init.normal_(classifier.output().weight, std=2.0)  # gradients worth comparing
    tokens = data.tokenise(corpus.train, tokenizer, 128)
    optimiser = Optimiser(classifier, config)
    ids, mask, truth = tokens.batch(np.arange(8), torch.device("cpu"))
    binary_cross_entropy_with_logits(classifier(ids, mask), truth).backward()  # type: ignore[no-untyped-call]  # torch
    norm = optimiser.step(1e-3)
    return norm, {k: v.clone() for k, v in classifier.state_dict().items()}


@pytest.mark.parametrize("max_norm", [1e9, 0.5])
def test_updating_the_words_of_a_batch_is_adam_on_those_words(max_norm: float) -> None:
    norm, batch = one_step("batch", max_norm)
    all_norm, everything = one_step("all", max_norm)
    assert norm.item() == pytest.approx(all_norm.item(), rel=1e-5)
    for name, value in batch.items():
        # The two put epsilon in another place: where gradients are tiny, steps differ a little.
        moved = (value - everything[name]).abs()
        assert moved.max() < 1e-3, name
        assert moved.mean() < 0.05 * 1e-3, name  # of a step of Adam
