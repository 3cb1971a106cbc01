"""Loading checkpoints: whole, in every dialect, and without running what they hold."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from goemo_report.checkpoints import checkpoint, checkpoint_files
from goemo_report.checkpoints.checkpoint import Checkpoint, sigmoid
from goemo_report.contract import EMOTIONS
from goemo_report.errors import DataError, GoemoError, NotFoundError, SettingsError
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
    assert loaded.missing == ()
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


def test_random_weights_are_named(
    tampered: Tampered, trained: RunRecord, finished: Finished, tmp_path: Path
) -> None:
    weights = torch.load(finished.directory / "checkpoint/pytorch_model.bin", weights_only=True)
    head = {name for name in weights if name.startswith("classifier.out_proj")}
    torch.save({k: v for k, v in weights.items() if k not in head}, tmp_path / "cut.bin")
    source = tampered({"pytorch_model.bin": tmp_path / "cut.bin"})
    assert set(load(source, trained).missing) == head


def test_without_the_extra_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "find_spec", lambda name: None)
    with pytest.raises(GoemoError, match=r"needs torch and transformers\. Install the extra: pip"):
        checkpoint.require_extra()
