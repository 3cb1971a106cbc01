"""Which learning rate and decay a parameter gets, and that parts of a batch make the whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from goemo_train import data, model
from goemo_train.config import TrainConfig
from goemo_train.optimiser import Optimiser, layer_scales
from tests.train.conftest import goemo_train

CPU = torch.device("cpu")


def classifier_of(name: str, **settings: Any) -> tuple[model.Classifier, TrainConfig]:
    config = TrainConfig(model=name, model_name=name, dataset="demo", limit=9, **settings)
    return model.load(config, data.load_corpus(config).labels)[0], config


@pytest.mark.parametrize("pooling", ["default", "mean"])
def test_lower_layers_learn_slower(pooling: Any) -> None:
    classifier, _ = classifier_of("tiny-bert", pooling=pooling)
    scales = layer_scales(classifier.plain, 0.5)
    bert: Any = classifier.plain.bert
    assert scales[bert.encoder.layer[1].output.dense.weight] == 0.5
    assert scales[bert.encoder.layer[0].output.dense.weight] == 0.25
    assert scales[bert.embeddings.word_embeddings.weight] == 0.125
    assert classifier.output().weight not in scales
    assert layer_scales(classifier.plain, 1.0) == {}


def test_every_parameter_is_updated_at_its_rate_once() -> None:
    classifier, config = classifier_of("tiny-bert", layer_decay=0.9, weight_decay=0.3)
    optimiser = Optimiser(classifier, config, CPU)
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


def test_a_batch_in_parts_trains_the_same(tmp_path: Path) -> None:
    rows = {}
    for size in (0, 7):
        output = tmp_path / str(size)
        done = goemo_train(
            tmp_path,
            *("--dataset=demo", "--model=tiny-bert", "--limit=200", "--dropout=0"),
            *("--num-epochs=2", "--wandb-mode=disabled", f"--micro-batch-size={size}"),
            f"--output={output}",
        )
        assert done.returncode == 0, done.stderr
        (found,) = output.glob("*/run.json")
        rows[size] = json.loads(found.read_text())["history"]
    for whole, parts in zip(rows[0], rows[7], strict=True):
        for key in ("train/loss", "train/grad_norm", "val/loss", "val/auc"):
            assert parts[key] == pytest.approx(whole[key], rel=1e-3), key


def test_other_losses_and_the_rest_train_and_are_logged(tmp_path: Path) -> None:
    done = goemo_train(
        tmp_path,
        *("--dataset=demo", "--model=tiny-bert", "--limit=300", "--num-epochs=1"),
        *("--ablate=loss=weighted-bce,asymmetric", "--label-smoothing=0.05"),
        *("--layer-decay=0.8", "--auto-batch-size", "--wandb-mode=disabled"),
        f"--output={tmp_path}",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("32 texts are computed at once, of 32 a step") == 2
    configs = [json.loads(p.read_text())["config"] for p in tmp_path.glob("*/run.json")]
    assert {config["loss"] for config in configs} == {"weighted-bce", "asymmetric"}
    assert {(c["label_smoothing"], c["layer_decay"], c["micro_batch_size"]) for c in configs} == {
        (0.05, 0.8, 32)
    }
