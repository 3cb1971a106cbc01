"""Which learning rate and decay a parameter gets, and that parts of a batch make the whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.optimiser import Optimiser, layer_scales
from goemo_train.processes import Distributed
from goemo_train.setup import Setup, prepare
from goemo_train.tracking import Progress
from goemo_train.train import train_step
from tests.train.forked import Forks


def classifier_of(name: str, **settings: Any) -> tuple[model.Classifier, TrainConfig]:
    config = TrainConfig(model=name, model_name=name, dataset="demo", limit=9,
                         **{"embedding_updates": "batch", **settings})  # fmt: skip
    return model.load(config, data.load_corpus(config).labels)[0], config


@pytest.mark.parametrize("pooling", ["default", "mean"])
def test_lower_layers_learn_slower(pooling: Any) -> None:
    classifier, _ = classifier_of("tiny-bert", pooling=pooling)
    scales = layer_scales(classifier, 0.5)
    bert: Any = classifier.plain.bert
    assert scales[bert.encoder.layer[1].output.dense.weight] == 0.5
    assert scales[bert.encoder.layer[0].output.dense.weight] == 0.25
    assert scales[bert.embeddings.word_embeddings.weight] == 0.125
    assert classifier.output().weight not in scales
    assert layer_scales(classifier, 1.0) == {}


def test_every_parameter_is_updated_at_its_rate_once() -> None:
    classifier, config = classifier_of("tiny-bert", layer_decay=0.9, weight_decay=0.3)
    optimiser = Optimiser(classifier, config)
    groups = [group for part in optimiser.parts for group in part.param_groups]
    members = [p for group in groups for p in group["params"]]
    assert len(members) == len(set(members)) == len(list(classifier.parameters()))
    for p in classifier.parameters():
        p.grad = torch.zeros_like(p)
    words = classifier.plain.get_input_embeddings().weight
    words.grad = torch.zeros_like(words).to_sparse(1)
    optimiser.step(1e-2)
    rates = {p: group["lr"] for group in groups for p in group["params"]}
    assert rates[classifier.output().weight] == 1e-2
    assert rates[words] == pytest.approx(1e-2 * 0.9**3)
    decays = {p: group.get("weight_decay", 0) for group in groups for p in group["params"]}
    assert decays[classifier.output().weight] == 0.3
    assert decays[classifier.output().bias] == 0


def trained(classifier: model.Classifier) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in classifier.state_dict().items()}


@pytest.mark.parametrize("updates", ["batch", "all"])
def test_a_gradient_that_is_not_finite_changes_nothing(updates: Any) -> None:
    classifier, config = classifier_of("tiny-bert", embedding_updates=updates, max_grad_norm=0.5)
    optimiser = Optimiser(classifier, config)

    def step(scale: float) -> float:
        ids = torch.tensor([[2, 9, 9, 3]])
        (classifier(ids, torch.ones_like(ids)).sum() * scale).backward()
        return float(optimiser.step(1e-3))

    assert 0 < step(1.0) < float("inf")
    weights, moments = trained(classifier), optimiser.state_dict()
    copies = [{k: dict(v) for k, v in part["state"].items()} for part in deepcopy(moments)]
    assert not np.isfinite(step(float("nan")))
    assert not np.isfinite(step(float("inf")))
    after = optimiser.state_dict()
    for part, copy in zip(after, copies, strict=True):
        for index, values in copy.items():
            for name, value in values.items():
                assert torch.equal(torch.as_tensor(part["state"][index][name]),
                                   torch.as_tensor(value)), name  # fmt: skip
    assert all(torch.equal(v, weights[k]) for k, v in trained(classifier).items())
    assert np.isfinite(step(1.0))
    assert any(not torch.equal(v, weights[k]) for k, v in trained(classifier).items())


@pytest.mark.parametrize("updates", ["batch", "all"])
def test_steps_are_those_of_torch_s_own_clipping(updates: str) -> None:
    norm, both = 200.0, []
    for own in (True, False):
        torch.manual_seed(0)
        classifier, config = classifier_of(
            "tiny-bert",
            embedding_updates=updates if own else "all",
            max_grad_norm=norm,
            weight_decay=0.1,
        )
        classifier.eval()  # no dropout
        optimiser = Optimiser(classifier, config)
        dense = optimiser.parts[0]
        words = classifier.plain.get_input_embeddings().weight
        # A batch's words are not decayed; all of them occur in both steps.
        ids = torch.tensor([[2, 9, 9, 3]])
        for factor in (1, -100):  # Adam alone would not see the scale of one step
            classifier(ids, torch.ones_like(ids)).square().sum().mul(factor).backward()
            if own:
                optimiser.step(1e-3)
                continue
            before = torch.nn.utils.clip_grad_norm_(classifier.parameters(), norm)
            assert (before > norm) == (factor == -100), before
            for group in dense.param_groups:
                group["lr"] = 1e-3
            kept = words.detach().clone()
            dense.step()
            if updates == "batch":  # AdamW without its decay
                with torch.no_grad():
                    words.add_(kept, alpha=1e-3 * 0.1)
            dense.zero_grad()
        both.append(trained(classifier))
    for name, tensor in both[0].items():
        if "key.bias" not in name:  # softmax does not see it: its gradient is rounding alone
            assert torch.allclose(tensor, both[1][name], rtol=0, atol=1e-6), name


def test_parts_keep_to_their_size_and_are_the_batch() -> None:
    lengths = np.array([9, 3, 50, 4, 4, 10, 2])
    rows = np.array([2, 5, 0, 3, 4, 1, 6])
    whole = data.pieces(rows, lengths, 0, 0)
    assert [part.tolist() for part in whole] == [rows.tolist()]
    by_texts = data.pieces(rows, lengths, 3, 0)
    assert [part.tolist() for part in by_texts] == [[2, 5, 0], [3, 4], [1, 6]]
    by_tokens = data.pieces(rows, lengths, 0, 100)
    assert [len(part) for part in by_tokens] == [2, 2, 2, 1]
    assert [len(part) for part in data.pieces(rows, lengths, 0, 10)] == [1] * 7
    assert np.concatenate(by_tokens).tolist() == rows.tolist()


def test_a_batch_in_parts_trains_the_same(tmp_path: Path, forks: Forks) -> None:
    rows = {}
    for size in (0, 7):
        output = tmp_path / str(size)
        code, said = forks.run(
            *("--dataset=demo", "--model=tiny-bert", "--limit=100", "--dropout=0"),
            *("--num-epochs=1", "--wandb-mode=disabled", f"--micro-batch-size={size}"),
            f"--output={output}",
        )
        assert code == 0, said
        (found,) = output.glob("*/run.json")
        rows[size] = json.loads(found.read_text())["history"]
    for whole, parts in zip(rows[0], rows[7], strict=True):
        for key in ("train/loss", "train/grad_norm", "val/loss", "val/auc"):
            assert parts[key] == pytest.approx(whole[key], rel=1e-3), key


@pytest.fixture
def two_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def begun(**settings: Any) -> Setup:
    config = TrainConfig(model="tiny-bert", model_name="tiny-bert", dataset="demo", limit=90,
                         batch_size=16, **settings)  # fmt: skip
    setup = prepare(config, Distributed(), Progress(quiet=True))
    setup.classifier.train()
    return setup


def steps(setup: Setup, first: int, last: int) -> dict[str, torch.Tensor]:
    batches = data.training_batches(setup.tokens.lengths, 16, 1, 1)
    for rows in batches[first:last]:
        train_step(setup, Distributed(), rows, 1e-3)
    return trained(setup.classifier)


@pytest.mark.usefixtures("two_cores")
def test_two_threads_train_what_one_does() -> None:
    setup = begun(dropout=0.0)
    assert setup.second
    both, alone = (steps(s, 0, 4) for s in (setup, replace(begun(dropout=0.0), second=None)))
    for name, tensor in both.items():
        if "key.bias" not in name:  # softmax does not see it: its gradient is rounding alone
            assert torch.allclose(tensor, alone[name], rtol=0, atol=1e-5), name
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_cores")
def test_two_threads_go_on_with_the_same_bits() -> None:
    setup = begun(dropout=0.3)
    steps(setup, 0, 2)
    kept = deepcopy((setup.classifier.state_dict(), setup.optimiser.state_dict()))
    random = torch.get_rng_state()
    expected = steps(setup, 2, 6)
    again = begun(dropout=0.3)
    again.classifier.load_state_dict(kept[0])
    again.optimiser.load_state_dict(kept[1])
    torch.set_rng_state(random)
    got = steps(again, 2, 6)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in got.items())


def test_other_losses_and_the_rest_train_and_are_logged(tmp_path: Path, forks: Forks) -> None:
    code, said = forks.run(
        *("--dataset=demo", "--model=tiny-bert", "--limit=300", "--num-epochs=1"),
        *("--ablate=loss=weighted-bce,balanced-bce", "--layer-decay=0.8"),
        *("--auto-batch-size", "--wandb-mode=disabled"),
        f"--output={tmp_path}",
    )
    assert code == 0, said
    assert said.count("32 texts are computed at once, of 32 a step") == 2
    configs = [json.loads(p.read_text())["config"] for p in tmp_path.glob("*/run.json")]
    assert {config["loss"] for config in configs} == {"weighted-bce", "balanced-bce"}
    assert {(c["layer_decay"], c["micro_batch_size"]) for c in configs} == {(0.8, 32)}
