"""Loading checkpoints: whole, in every dialect, and without running what they hold."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from goemo_report import errors
from goemo_report.checkpoints import checkpoint, checkpoint_files
from goemo_report.checkpoints.checkpoint import Checkpoint, most_tokens, sigmoid
from goemo_report.errors import DataError, GoemoError, NotFoundError, SettingsError
from goemo_report.labels import EMOTIONS
from goemo_report.predictions import Predictions
from goemo_report.sources.model import RunRecord
from tests.checkpoints.conftest import Tampered
from tests.memory_source import MemorySource
from tests.train.conftest import Finished


def load(source: MemorySource, run: RunRecord, device: str = "cpu") -> Checkpoint:
    with checkpoint_files.fetched(source, run) as files:
        return checkpoint.load(files, device=device)


class Payload:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.witness,)


def test_a_trained_checkpoint_gives_its_predictions(
    loaded: Checkpoint, stated: Predictions
) -> None:
    assert loaded.labels == EMOTIONS
    assert loaded.named
    again = sigmoid(loaded.predict(stated.texts[:60]))
    assert np.abs(again - stated.probabilities[:60]).max() < 1e-5


def test_batches_of_any_size_give_the_same(loaded: Checkpoint, stated: Predictions) -> None:
    texts = [*stated.texts[:20], ""]
    one, many = loaded.predict(texts, batch_size=1), loaded.predict(texts, batch_size=64)
    assert np.allclose(one, many, atol=1e-5)
    assert loaded.predict([]).shape == (0, 28)


def test_a_pickle_that_holds_more_than_tensors_is_refused(
    tampered: Tampered, trained: RunRecord, tmp_path: Path
) -> None:
    witness, weights = tmp_path / "witness", tmp_path / "pytorch_model.bin"
    torch.save({"bias": Payload(witness)}, weights)
    with pytest.raises(DataError, match="the pickle holds more than tensors") as caught:
        load(tampered({"pytorch_model.bin": weights}), trained)
    assert "\n" not in str(caught.value)
    for data in (pickle.dumps(Payload(witness)), pickle.dumps(Payload(witness), 2)):
        weights.write_bytes(data)
        with pytest.raises(DataError, match="the pickle holds more than tensors"):
            load(tampered({"pytorch_model.bin": weights}), trained)
    torch.save({"a": Payload(witness)}, weights, _use_new_zipfile_serialization=False)
    with pytest.raises(DataError, match="the pickle holds more than tensors"):
        load(tampered({"pytorch_model.bin": weights}), trained)
    assert not witness.exists()


def test_code_beside_the_weights_is_never_seen(
    tampered: Tampered, trained: RunRecord, finished: Finished, tmp_path: Path
) -> None:
    code, config, tokenizer = (tmp_path / name for name in ("evil.py", "config", "tokenizer"))
    witness = tmp_path / "witness"
    code.write_text(f"import pathlib\npathlib.Path({str(witness)!r}).touch()\n")
    for path, name, cls in (
        (config, "config.json", "AutoModelForSequenceClassification"),
        (tokenizer, "tokenizer_config.json", "AutoTokenizer"),
    ):
        described = json.loads((finished.directory / "checkpoint" / name).read_text())
        described["auto_map"] = {cls: "evil.Model", "AutoConfig": "evil.Config"}
        described["text_config"] = {"attn_implementation": "someone/kernels", "kept": 1}
        path.write_text(json.dumps(described))
    source = tampered({"evil.py": code, "config.json": config, "tokenizer_config.json": tokenizer})
    with checkpoint_files.fetched(source, trained) as files:
        assert not list(files.directory.glob("*.py"))
        assert files.json("config.json")["text_config"] == {"kept": 1}
        assert "auto_map" not in files.json("tokenizer_config.json")
        assert checkpoint.load(files, device="cpu").labels == EMOTIONS
    assert not witness.exists()
    assert not files.directory.exists()


@pytest.mark.parametrize("kept", [0, 2, 10, 5000, -5])
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_weights_that_are_cut_off_are_called_so(
    tampered: Tampered,
    trained: RunRecord,
    finished: Finished,
    tmp_path: Path,
    form: str,
    kept: int,
) -> None:
    weights = torch.load(finished.directory / "checkpoint/pytorch_model.bin", weights_only=True)
    name = "model.safetensors" if form == "safetensors" else "pytorch_model.bin"
    path = tmp_path / name
    if form == "safetensors":
        save_file(weights, path, {"format": "pt"})
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=form == "zip")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match="are cut off or damaged") as caught:
        load(tampered({name: path}, drop=("pytorch_model.bin",)), trained)
    assert caught.value.remedy == "Save the checkpoint again and log it again"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [bytes(5000), b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", b"<html>"]
)
def test_weights_that_are_none_are_damaged(
    tampered: Tampered, trained: RunRecord, tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"cut off or damaged \(pytorch_model\.bin\)"):
        load(tampered({"pytorch_model.bin": path}), trained)


def test_an_unknown_kind_of_model_is_refused(
    tampered: Tampered, trained: RunRecord, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "mine", "auto_map": {"AutoConfig": "evil.Config"}}')
    with pytest.raises(DataError, match=r"the model of .* cannot be loaded"):
        load(tampered({"config.json": config}), trained)
    config.write_text("{")
    with pytest.raises(DataError, match=r"config\.json is no JSON"):
        load(tampered({"config.json": config}), trained)


def test_safetensors_give_the_same(
    tampered: Tampered,
    trained: RunRecord,
    finished: Finished,
    loaded: Checkpoint,
    stated: Predictions,
    tmp_path: Path,
) -> None:
    weights = torch.load(finished.directory / "checkpoint/pytorch_model.bin", weights_only=True)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    source = tampered(
        {"model.safetensors": tmp_path / "model.safetensors"}, drop=("pytorch_model.bin",)
    )
    again = load(source, trained)
    assert np.array_equal(again.predict(stated.texts[:8]), loaded.predict(stated.texts[:8]))


def test_outputs_in_another_order_are_put_right(
    tampered: Tampered,
    trained: RunRecord,
    finished: Finished,
    loaded: Checkpoint,
    stated: Predictions,
    tmp_path: Path,
) -> None:
    described = json.loads((finished.directory / "checkpoint/config.json").read_text())
    described["id2label"] = dict(enumerate(reversed(EMOTIONS)))
    described["label2id"] = {name: i for i, name in described["id2label"].items()}
    config = tmp_path / "config.json"
    config.write_text(json.dumps(described))
    again = load(tampered({"config.json": config}), trained)
    expected = loaded.predict(stated.texts[:4])[:, ::-1]
    assert np.array_equal(again.predict(stated.texts[:4]), expected)
    del described["label2id"]
    described["id2label"] = {i: f"LABEL_{i}" for i in range(28)}
    config.write_text(json.dumps(described))
    assert not load(tampered({"config.json": config}), trained).named
    described["id2label"] = {i: f"mood {i}" for i in range(28)}
    config.write_text(json.dumps(described))
    assert load(tampered({"config.json": config}), trained).labels == tuple(
        described["id2label"].values()
    )
    described["id2label"] = {i: f"mood {i % 7}" for i in range(28)}
    config.write_text(json.dumps(described))
    with pytest.raises(DataError, match="28 outputs"):
        load(tampered({"config.json": config}), trained)


def test_what_is_missing_is_said(tampered: Tampered, trained: RunRecord, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no weights"):
        load(tampered(drop=("pytorch_model.bin",)), trained)
    with pytest.raises(DataError, match=r"holds no config\.json"):
        load(tampered(drop=("config.json",)), trained)
    with pytest.raises(DataError, match="gone from the disk"):
        load(tampered({"vocab.json": None}), trained)
    with pytest.raises(SettingsError, match="the device quantum cannot be used"):
        load(tampered(), trained, device="quantum")
    source = MemorySource()
    source.add(trained)
    with pytest.raises(NotFoundError, match="logged no checkpoint"):
        load(source, trained)


Weights = dict[str, Any]


def _without_head(weights: Weights) -> Weights:
    return {k: v for k, v in weights.items() if not k.startswith("classifier")}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without_head, "The classification head is missing: this is a base model"),
        (lambda w: {f"module.{k}": v for k, v in w.items()}, "names begin with 'module.'"),
        (lambda w: {f"_orig_mod.{k}": v for k, v in w.items()}, "names begin with '_orig_mod.'"),
        (lambda w: {"model_state_dict": w, "epoch": 3}, "under the key model_state_dict"),
        (lambda w: {"epoch": 3}, "no tensors by name"),
        (lambda w: w | {"left.over": torch.zeros(2)}, r"1 unexpected \(left\.over\)"),
        (lambda w: w | {"classifier.out_proj.weight": torch.zeros(28, 3)}, "1 of another shape"),
        (lambda w: dict(list(w.items())[5:]), r"5 missing \("),
    ],
)
def test_weights_that_are_not_the_models_are_refused(
    tampered: Tampered,
    trained: RunRecord,
    finished: Finished,
    tmp_path: Path,
    change: Callable[[Weights], Weights],
    said: str,
) -> None:
    weights = torch.load(finished.directory / "checkpoint/pytorch_model.bin", weights_only=True)
    torch.save(change(weights), tmp_path / "other.bin")
    with pytest.raises(DataError, match=said):
        load(tampered({"pytorch_model.bin": tmp_path / "other.bin"}), trained)


def test_position_ids_of_older_libraries_pass(
    tampered: Tampered, trained: RunRecord, finished: Finished, tmp_path: Path
) -> None:
    weights = torch.load(finished.directory / "checkpoint/pytorch_model.bin", weights_only=True)
    base = next(name for name in weights if name.endswith("word_embeddings.weight"))
    ids = base.replace("word_embeddings.weight", "position_ids")
    torch.save(weights | {ids: torch.arange(64).unsqueeze(0)}, tmp_path / "older.bin")
    load(tampered({"pytorch_model.bin": tmp_path / "older.bin"}), trained)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_hidden_layers", 10**7),
        ("num_labels", 10**9),
        ("vocab_size", 10**9),
        ("hidden_size", 10**6),
        ("max_position_embeddings", 10**10),
    ],
)
def test_a_config_of_a_giant_is_refused_before_it_is_built(
    tampered: Tampered,
    trained: RunRecord,
    finished: Finished,
    tmp_path: Path,
    key: str,
    value: int,
) -> None:
    described = json.loads((finished.directory / "checkpoint/config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(described | {key: value}))
    with pytest.raises(DataError, match=r"config\.json (has|describes)"):
        load(tampered({"config.json": tmp_path / "config.json"}), trained)


def test_a_checkpoint_without_a_vocabulary_is_refused(
    tampered: Tampered, trained: RunRecord, finished: Finished
) -> None:
    tokenizer = {"tokenizer.json", "vocab.json", "merges.txt", "vocab.txt"}
    with pytest.raises(DataError, match="holds no vocabulary"):
        load(tampered(drop=tuple(tokenizer)), trained)


@pytest.mark.parametrize("shard", ["../../outside.safetensors", "/etc/passwd", "gone.bin", "x/y"])
@pytest.mark.parametrize("name", ["model.safetensors.index.json", "pytorch_model.bin.index.json"])
def test_an_index_that_names_other_files_is_refused(
    tampered: Tampered, trained: RunRecord, tmp_path: Path, name: str, shard: str
) -> None:
    index = tmp_path / "index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"classifier.bias": shard}}))
    with pytest.raises(DataError, match="which is no weights file of the checkpoint"):
        load(tampered({name: index}), trained)


def test_no_file_that_a_tokenizer_config_names_is_read(
    tampered: Tampered, trained: RunRecord, finished: Finished, tmp_path: Path
) -> None:
    described = json.loads((finished.directory / "checkpoint/tokenizer_config.json").read_text())
    secret = tmp_path / "secret.json"
    secret.write_text("{")
    described |= {"vocab_file": str(secret), "tokenizer_file": str(secret)}
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps(described))
    load(tampered({"tokenizer_config.json": config}), trained)


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "find_spec", lambda name: None)
    with pytest.raises(GoemoError, match=r"needs torch and transformers\. Install the extra: pip"):
        errors.require_extra("loading a checkpoint")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (transformers.BertConfig(max_position_embeddings=40), 40),
        (transformers.RobertaConfig(max_position_embeddings=42), 40),
        (transformers.XLNetConfig(), None),  # which says -1
        (transformers.T5Config(), None),
    ],
)
def test_a_model_reads_as_many_tokens_as_it_has_positions(
    config: Any, expected: int | None
) -> None:
    assert most_tokens(config) == expected
