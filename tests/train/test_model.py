from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from goemo_report.contract import EMOTIONS
from goemo_report.errors import GoemoError, SettingsError
from goemo_train import data, model
from goemo_train.config import TrainConfig


def trained(name: str, pooling: str = "default") -> tuple[TrainConfig, model.Classifier, Any]:
    """A model whose probabilities are spread, as after training."""
    config = TrainConfig(model=name, dataset="demo", limit=60, pooling=pooling)  # type: ignore[arg-type]  # a parameter
    torch.manual_seed(3)
    classifier, tokenizer = model.load(config, EMOTIONS)
    torch.nn.init.normal_(classifier.output().weight, std=0.5)
    if isinstance(classifier, model.MeanPooled):
        torch.nn.init.normal_(classifier.norm.weight, mean=1.0, std=0.3)
        torch.nn.init.normal_(classifier.norm.bias, std=0.3)
    return config, classifier.eval(), tokenizer


@pytest.mark.parametrize(
    ("name", "pooling", "vocabulary", "tolerance"),
    [
        ("tiny-bert", "default", {"vocab.txt"}, 0.0),
        ("tiny-roberta", "default", {"vocab.json", "merges.txt"}, 0.0),
        ("tiny-bert", "mean", {"vocab.txt"}, 3e-6),
    ],
)
def test_a_checkpoint_loads_with_plain_transformers(
    tmp_path: Path, name: str, pooling: str, vocabulary: set[str], tolerance: float
) -> None:
    config, classifier, tokenizer = trained(name, pooling)
    texts = data.load_corpus(config).val.texts
    directory = tmp_path / "checkpoint"
    model.save_checkpoint(classifier, tokenizer, directory)
    names = {path.name for path in directory.iterdir()}
    assert names == vocabulary | {
        *("config.json", "pytorch_model.bin", "tokenizer.json"),
        *("tokenizer_config.json", "special_tokens_map.json"),
    }

    plain = AutoModelForSequenceClassification.from_pretrained(directory).eval()
    again = AutoTokenizer.from_pretrained(directory)
    inputs = again(texts, padding=True, return_tensors="pt")
    before = tokenizer(texts, padding=True, return_tensors="pt")
    assert torch.equal(inputs["input_ids"], before["input_ids"])
    with torch.no_grad():
        got = plain(**inputs).logits.sigmoid()
        expected = classifier(before["input_ids"], before["attention_mask"]).sigmoid()
    assert expected.std() > 0.1
    assert (got - expected).abs().max() <= tolerance
    described = json.loads((directory / "config.json").read_text())
    assert [described["id2label"][str(i)] for i in range(28)] == list(EMOTIONS)
    assert described["label2id"]["neutral"] == 27
    assert described["problem_type"] == "multi_label_classification"


@pytest.mark.parametrize("pooling", ["default", "mean"])
def test_a_checkpoint_with_mean_pooling_can_be_trained_further(
    tmp_path: Path, pooling: str
) -> None:
    config, classifier, tokenizer = trained("tiny-bert", "mean")
    model.save_checkpoint(classifier, tokenizer, tmp_path / "checkpoint")
    again = TrainConfig(model=str(tmp_path / "checkpoint"), pooling=pooling)  # type: ignore[arg-type]  # a parameter
    loaded, _ = model.load(again, EMOTIONS)
    inputs = tokenizer(data.load_corpus(config).val.texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = classifier(inputs["input_ids"], inputs["attention_mask"])
        got = loaded.eval()(inputs["input_ids"], inputs["attention_mask"])
    assert isinstance(loaded, model.MeanPooled)
    assert torch.allclose(got, expected, atol=1e-5)


def test_the_vocabulary_files_alone_make_the_same_tokenizer(tmp_path: Path) -> None:
    config, classifier, tokenizer = trained("tiny-roberta")
    model.save_checkpoint(classifier, tokenizer, tmp_path / "c")
    (tmp_path / "c" / "tokenizer.json").unlink()
    texts = data.load_corpus(config).val.texts
    again = AutoTokenizer.from_pretrained(tmp_path / "c")
    assert again(texts)["input_ids"] == tokenizer(texts)["input_ids"]


@pytest.mark.parametrize("pooling", ["default", "mean"])
def test_the_exported_size_is_that_of_the_export(pooling: Any) -> None:
    config = TrainConfig(model="tiny-bert", model_name="tiny-bert", dataset="demo", limit=9,
                         pooling=pooling)  # fmt: skip
    classifier, _ = model.load(config, data.load_corpus(config).labels)
    exported = sum(p.numel() for p in classifier.export().parameters())
    assert classifier.exported_size() == exported


def test_the_bias_starts_at_the_log_odds() -> None:
    _, classifier, _ = trained("tiny-roberta")
    truth = np.zeros((99, 28), np.bool_)
    truth[:49, 0] = True  # (49 + 0.5) of (99 + 1)
    model.start_bias(classifier, truth)
    bias = classifier.output().bias.detach()
    assert bias[0].item() == pytest.approx(np.log(49.5 / 50.5), abs=1e-6)
    assert bias[1].item() == pytest.approx(np.log(0.5 / 99.5), abs=1e-6)


@pytest.mark.parametrize("name", ["tiny-bert", "tiny-roberta"])
def test_dropout_is_set_everywhere(name: str) -> None:
    classifier, _ = model.load(TrainConfig(model=name, dropout=0.37), EMOTIONS)
    rates = [m.p for m in classifier.modules() if isinstance(m, torch.nn.Dropout)]
    assert rates
    assert set(rates) == {0.37}


def test_what_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GoemoError, match="cannot be loaded"):
        model.load(TrainConfig(model=str(tmp_path)), EMOTIONS)
    with pytest.raises(SettingsError, match="reads at most 128"):
        model.load(TrainConfig(model="tiny-bert", max_seq_length=129), EMOTIONS)
    with pytest.raises(SettingsError, match="made for BERT types"):
        model.load(TrainConfig(model="tiny-roberta", pooling="mean"), EMOTIONS)
