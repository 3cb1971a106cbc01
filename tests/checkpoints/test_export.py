"""Exported models: used as a stranger would, with onnxruntime and the tokenizer beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import transformers

from goemo_report import errors
from goemo_report.checkpoints import export
from goemo_report.checkpoints.checkpoint import Checkpoint, sigmoid
from goemo_report.checkpoints.export import Exported, export_onnx
from goemo_report.checkpoints.hub import push
from goemo_report.checkpoints.labelling import load_with_thresholds
from goemo_report.errors import GoemoError
from goemo_report.metrics.scores import score
from goemo_report.predictions import Predictions
from goemo_report.sources.model import RunRecord
from goemo_report.sources.offline_logs.source import LogSource
from tests.checkpoints.conftest import Tampered
from tests.memory_source import MemorySource
from tests.synthetic import run_result
from tests.train.conftest import Finished

onnxruntime.disable_telemetry_events()


@pytest.fixture(scope="module")
def exported(
    finished: Finished, trained: RunRecord, tmp_path_factory: pytest.TempPathFactory
) -> Exported:
    directory = tmp_path_factory.mktemp("export") / "new" / "onnx"
    return export_onnx(LogSource(finished.output), trained, directory, int8=True, limit=60)


def predicted(file: Path, texts: Any) -> Any:
    """Probabilities by the files of one directory alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(file.parent)
    inputs = tokenizer(list(texts), padding=True, return_tensors="np")
    session = onnxruntime.InferenceSession(file)
    named = {one.name: inputs[one.name] for one in session.get_inputs()}
    return session.run(["probabilities"], named)[0]


def told(file: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(file).metadata_props}


def test_it_predicts_as_the_checkpoint_does(
    exported: Exported, loaded: Checkpoint, stated: Predictions
) -> None:
    model = exported.files[-1]
    assert [path.name for path in exported.files] == ["model-int8.onnx", "model.onnx"]
    for texts in (stated.texts[:37], stated.texts[40:41]):
        expected = sigmoid(loaded.predict(texts))
        assert predicted(model, texts) == pytest.approx(expected, abs=1e-5)
    onnx.checker.check_model(onnx.load(model))


def test_labels_and_thresholds_are_inside(
    exported: Exported, finished: Finished, trained: RunRecord
) -> None:
    _, chosen = load_with_thresholds(LogSource(finished.output), trained)
    for file in exported.files:
        inside = told(file)
        assert tuple(json.loads(inside["labels"])) == chosen.labels
        assert json.loads(inside["thresholds"]) == chosen.values.tolist()
        assert inside["run"] == trained.path
        assert inside["max_seq_length"] == str(trained.config["max_seq_length"])


def test_what_each_form_costs_is_said(
    exported: Exported, stated: Predictions, loaded: Checkpoint
) -> None:
    torch_s, plain, small = exported.variants
    assert (torch_s.largest, plain.largest < 1e-5, small.largest > plain.largest) == (0, True, True)
    assert small.size < plain.size / 2
    p = sigmoid(loaded.predict(stated.texts[:60]))
    labels, cuts = loaded.labels, exported.thresholds.values
    by_hand = score(stated.truth[:60], p, labels, cuts).overall["macro_f1"]
    assert torch_s.macro_f1 == pytest.approx(by_hand)
    assert "int8" in "\n".join(exported.lines())
    json.dumps(exported.document())


def test_outputs_are_in_the_order_of_the_labels(
    exported: Exported, tampered: Tampered, finished: Finished, trained: RunRecord, tmp_path: Path,
    stated: Predictions,
) -> None:  # fmt: skip
    """Whatever order the checkpoint has: here the names of two outputs are exchanged."""
    config = json.loads((finished.directory / "checkpoint" / "config.json").read_text())
    names = config["id2label"]
    names["0"], names["3"] = names["3"], names["0"]
    config["label2id"] = {name: int(number) for number, name in names.items()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    source: MemorySource = tampered({"config.json": tmp_path / "config.json"})
    found = export_onnx(source, trained, tmp_path / "onnx", limit=5)
    assert told(found.files[0])["labels"] == told(exported.files[0])["labels"]
    before = predicted(exported.files[-1], stated.texts[:5])
    after = predicted(found.files[0], stated.texts[:5])
    assert after[:, [3, 1, 2, 0]] == pytest.approx(before[:, :4], abs=1e-5)
    assert [one.name for one in found.variants] == ["PyTorch", "ONNX"]


def test_a_model_that_predicts_otherwise_is_not_written(
    finished: Finished, trained: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = export._write

    def other(loaded: Checkpoint, path: Path) -> None:
        loaded.model.classifier.out_proj.bias.data += 0.01  # after PyTorch has predicted
        write(loaded, path)

    monkeypatch.setattr(export, "_write", other)
    with pytest.raises(GoemoError, match=r"as ONNX predicts otherwise: .* on 20 texts"):
        export_onnx(LogSource(finished.output), trained, tmp_path / "onnx", limit=20)
    assert list(tmp_path.glob("*onnx*")) == []


@pytest.mark.parametrize("kind", ["distilbert", "deberta-v2", "modernbert", "electra"])
def test_other_kinds_of_models(
    kind: str, finished: Finished, trained: RunRecord, loaded: Checkpoint, tmp_path: Path
) -> None:
    """Random ones of the same vocabulary."""
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 64, "dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64,
             "embedding_size": 32}  # fmt: skip
    vocabulary = loaded.model.config.vocab_size
    labels = {"id2label": dict(enumerate(loaded.labels)), "num_labels": len(loaded.labels)}
    more = {"pad_token_id": loaded.tokenizer.pad_token_id, "vocab_size": vocabulary}
    config = transformers.AutoConfig.for_model(kind, **small, **labels, **more)
    kinds: Any = transformers.AutoModelForSequenceClassification
    model = kinds.from_config(config).eval()
    made = Checkpoint(kind, model, loaded.tokenizer, loaded.labels, loaded.columns, True, 64, "cpu")
    export._write(made, tmp_path / "m.onnx")
    session = export._as_checkpoint(made, tmp_path / "m.onnx")
    texts = ["a b c", "thanks", "what a long, long, long day it was, my friend, and how it ended"]
    assert session.predict(texts) == pytest.approx(made.predict(texts), abs=1e-4)


def test_missing_packages_are_named_with_the_extra_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "find_spec", lambda name: None if name == "onnx" else name)
    with pytest.raises(GoemoError, match=r"needs onnx\. Install .*goemo\[onnx\]"):
        errors.require_extra("exporting to ONNX", "onnx", "onnxruntime", extra="onnx")
    monkeypatch.setattr(errors, "find_spec", lambda name: None)
    run, source, everything = run_result().run, MemorySource(), r"onnx, onnxruntime, torch and tr"
    with pytest.raises(GoemoError, match=everything + r".*goemo\[onnx\]"):  # one install does
        export_onnx(source, run, tmp_path)
    with pytest.raises(GoemoError, match=r"needs torch and transformers\. .*goemo\[hub\]"):
        push(source, run, "me/x", dry_run=True)


@pytest.mark.parametrize("name", ["notes.txt", "model.onnx"])
def test_a_directory_of_something_else_is_refused(
    name: str, finished: Finished, trained: RunRecord, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(GoemoError, match="holds other files than an export"):
        export_onnx(LogSource(finished.output), trained, tmp_path, limit=5)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


def test_an_export_is_written_anew(
    exported: Exported, finished: Finished, trained: RunRecord
) -> None:
    directory = exported.files[0].parent
    again = export_onnx(LogSource(finished.output), trained, directory, limit=5)
    assert [path.name for path in again.files] == ["model.onnx"]
    assert not (directory / "model-int8.onnx").exists()
