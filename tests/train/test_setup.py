"""What is tried before training leaves no trace, and compiling has a way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo.utils import counters

from goemo_report.errors import GoemoError
from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.data import Tokens, training_batches
from goemo_train.model import Classifier
from goemo_train.processes import Distributed
from goemo_train.setup import compile_layers, fit_micro_batch, trial_step


@pytest.fixture
def parts() -> tuple[Classifier, Tokens]:
    torch.manual_seed(1)
    config = TrainConfig(model="tiny-bert", model_name="tiny-bert", dataset="demo", limit=60)
    corpus = data.load_corpus(config)
    classifier, tokenizer = model.load(config, corpus.labels)
    return classifier, data.tokenise(corpus.train, tokenizer, 64)


def logits(classifier: Classifier, tokens: Tokens) -> torch.Tensor:
    ids, mask, _ = tokens.batch(np.arange(5), torch.device("cpu"))
    with torch.no_grad():
        found: torch.Tensor = classifier.eval()(ids, mask)
    return found


@pytest.mark.parametrize("training", [True, False])
def test_a_trial_step_leaves_no_trace(parts: tuple[Classifier, Tokens], training: bool) -> None:
    classifier, tokens = parts
    weights = {k: v.clone() for k, v in classifier.state_dict().items()}
    random = torch.get_rng_state()
    trial_step(classifier.train(training), tokens, np.arange(6), "fp32")
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in classifier.parameters())
    assert all(torch.equal(v, weights[k]) for k, v in classifier.state_dict().items())


@pytest.mark.slow
def test_compiled_layers_give_the_same_logits(parts: tuple[Classifier, Tokens]) -> None:
    classifier, tokens = parts
    expected = logits(classifier, tokens)
    assert compile_layers(classifier, tokens, TrainConfig()) == ""
    assert all(layer._compiled_call_impl for layer in classifier.layers())
    torch.testing.assert_close(logits(classifier, tokens), expected, atol=1e-5, rtol=1e-5)


def compiled_with(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    """Has all but the last step of compiling be torch's own."""
    compiled = nn.Module.compile

    def compile_layer(module: nn.Module, **options: Any) -> None:
        compiled(module, backend=backend, **options)

    monkeypatch.setattr(nn.Module, "compile", compile_layer)


@pytest.mark.parametrize("backend", ["failing", pytest.param("inductor", marks=pytest.mark.slow)])
def test_what_cannot_be_compiled_is_trained_as_it_is(
    parts: tuple[Classifier, Tokens], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backend: str
) -> None:
    classifier, tokens = parts
    expected = logits(classifier, tokens)

    def failing(*_: Any) -> Any:
        raise RuntimeError("no compiler\nis here")

    if backend == "inductor":  # without a C++ compiler, and nothing compiled before
        monkeypatch.setattr("torch._inductor.config.cpp.cxx", (None, "/nowhere/c++"))
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    else:
        compiled_with(monkeypatch, failing)
    why = compile_layers(classifier, tokens, TrainConfig())
    assert why
    assert "\n" not in why
    assert not any(layer._compiled_call_impl for layer in classifier.layers())
    assert torch.equal(logits(classifier, tokens), expected)


@pytest.mark.slow
def test_nothing_is_left_to_be_compiled_after_the_trial_steps(
    parts: tuple[Classifier, Tokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, tokens = parts
    compiled_with(monkeypatch, "eager")
    assert compile_layers(classifier, tokens, TrainConfig()) == ""
    graphs = counters["stats"]["unique_graphs"]
    assert graphs >= 6  # padded, not padded, one text; in training and in evaluation
    batches = training_batches(tokens.lengths, 8, 1, 1)
    batches += [np.array([3]), np.array([5, 5]), np.array([7] * 9), np.arange(20)]
    for training in (True, False):
        classifier.train(training)
        for rows in batches:
            trial_step(classifier, tokens, rows, "fp32")
    assert counters["stats"]["unique_graphs"] == graphs


@pytest.mark.parametrize("name", ["tiny-bert", "tiny-roberta"])
def test_layers_are_found(name: str) -> None:
    config = TrainConfig(model=name, model_name=name, dataset="demo", limit=9)
    corpus = data.load_corpus(config)
    classifier, _ = model.load(config, corpus.labels)
    layers = classifier.layers()
    assert len(layers) == classifier.plain.config.num_hidden_layers


class Greedy(Classifier):
    """A classifier that runs out of memory with more than so many texts at once."""

    room = 5

    def forward(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        if len(ids) > self.room:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(ids, mask)


def test_the_micro_batch_is_halved_until_it_fits(parts: tuple[Classifier, Tokens]) -> None:
    classifier, tokens = parts
    config = TrainConfig(batch_size=32, model="tiny-bert")
    assert fit_micro_batch(classifier, tokens, config, Distributed()) == 32
    greedy = Greedy(classifier.plain)
    random = torch.get_rng_state()
    assert fit_micro_batch(greedy, tokens, config, Distributed()) == 4
    assert torch.equal(torch.get_rng_state(), random)
    assert all(p.grad is None for p in greedy.parameters())
    greedy.room = 0
    with pytest.raises(GoemoError, match="out of memory with one text of"):
        fit_micro_batch(greedy, tokens, config, Distributed())
