"""Verification: agreement, tolerances, and the mistake behind a difference."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from goemo_report.checkpoints.checkpoint import Checkpoint, sigmoid
from goemo_report.checkpoints.hypotheses import Evidence, FloatArray, Trial, sampled, try_all
from goemo_report.checkpoints.verify import TOLERANCES, Options, precision_of, tolerance_for, verify
from goemo_report.cli import goemo_report
from goemo_report.contract import EMOTIONS, prediction_columns
from goemo_report.errors import DataError
from goemo_report.model import RunRecord
from goemo_report.predictions import Predictions, write_predictions
from tests.checkpoints.conftest import Tampered
from tests.train.conftest import RUN_ID, Finished

ROWS = 48


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(goemo_report, list(map(str, arguments)))


@pytest.fixture(scope="module")
def texts(stated: Predictions) -> tuple[str, ...]:
    """Longer than 32 tokens, most of them, and none like another."""
    return tuple(" ".join(stated.texts[i : i + 5]) for i in range(ROWS))


@pytest.fixture(scope="module")
def logits(loaded: Checkpoint, texts: tuple[str, ...]) -> FloatArray:
    return loaded.predict(texts)


def first(
    loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray, stated: FloatArray
) -> Trial:
    evidence = Evidence(loaded, texts, stated, logits, 1e-4, TOLERANCES, 128, 32)
    return try_all(evidence)[0]


class TestCommand:
    def test_a_trained_run_is_verified(self, finished: Finished) -> None:
        result = invoke("verify", RUN_ID, "--wandb-dir", finished.output, "--limit", "80")
        assert result.exit_code == 0, result.stderr
        assert "predicted   80 of " in result.stdout
        assert "0 labels at threshold 0.5" in result.stdout
        assert result.stdout.splitlines()[-1].startswith("verified ")

    def test_json_holds_all_and_a_difference_is_exit_code_3(self, finished: Finished) -> None:
        result = invoke(
            *("verify", RUN_ID, "--wandb-dir", finished.output, "--split", "val"),
            *("--limit", "40", "--max-seq-length", "6", "--format", "json"),
        )
        assert result.exit_code == 3, result.stderr
        document = json.loads(result.stdout)
        assert document["agrees"] is False
        assert document["rows"] == 40
        assert document["max_difference"] > document["tolerance"] == 1e-4
        assert document["beyond_tolerance"] > 0
        assert document["explanation"].startswith("maximum length: ")
        assert document["hypotheses"][0]["explains"] is True
        assert set(document["metrics"]["macro_f1"]) == {"file", "checkpoint"}

    def test_a_run_without_a_usable_checkpoint_is_an_error(self, offline_root: Path) -> None:
        result = invoke("verify", "robertalarges1", "--wandb-dir", offline_root)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")


class TestComparing:
    def test_flips_and_metrics_are_counted(
        self,
        tampered: Tampered,
        trained: RunRecord,
        stated: Predictions,
        tmp_path: Path,
    ) -> None:
        probabilities = stated.probabilities.copy()
        high = probabilities[:, 0] >= 0.5
        probabilities[0, 0] = 0.9 if not high[0] else 0.1
        probabilities[1, 5] += 0.001 if probabilities[1, 5] < 0.4 else -0.001
        csv = tmp_path / "test_predictions.csv"
        write_predictions(csv, stated.texts, stated.truth, probabilities, 0.5, stated.labels)
        found = verify(tampered(predictions=csv), trained, Options(limit=30, device="cpu"))
        assert not found.agrees
        assert found.beyond == 2
        assert found.where == (1, "admiration")
        assert found.largest == pytest.approx(abs(probabilities - stated.probabilities).max())
        assert found.flips == {"admiration": 1}
        assert found.metrics["micro_auc"][0] != found.metrics["micro_auc"][1]
        assert found.explanation.startswith("none of the usual mistakes")
        wide = verify(
            tampered(predictions=csv), trained, Options(limit=30, device="cpu", tolerance=0.95)
        )
        assert wide.agrees
        assert wide.trials == ()
        assert wide.tolerance_reason == "as asked"

    def test_columns_that_changed_places_are_found_through_the_whole_path(
        self, tampered: Tampered, trained: RunRecord, finished: Finished, tmp_path: Path
    ) -> None:
        lines = (finished.directory / "test_predictions.csv").read_text("utf-8").split("\n", 1)
        header = lines[0].replace("_joy", "_X").replace("_fear", "_joy").replace("_X", "_fear")
        assert header != ",".join(prediction_columns())
        csv = tmp_path / "test_predictions.csv"
        csv.write_text(f"{header}\n{lines[1]}", "utf-8")
        found = verify(tampered(predictions=csv), trained, Options(limit=60, device="cpu"))
        assert found.explanation == (
            "label order: the file's columns are in another order: fear holds joy, joy holds fear"
        )

    def test_another_epochs_weights_are_no_usual_mistake(
        self, tampered: Tampered, trained: RunRecord, finished: Finished, tmp_path: Path
    ) -> None:
        path = finished.directory / "checkpoint" / "pytorch_model.bin"
        weights = torch.load(path, weights_only=True)
        noise = torch.Generator().manual_seed(1)
        weights = {
            name: value + 0.05 * torch.randn(value.shape, generator=noise)
            if value.is_floating_point()
            else value
            for name, value in weights.items()
        }
        torch.save(weights, tmp_path / "other.bin")
        source = tampered({"pytorch_model.bin": tmp_path / "other.bin"})
        found = verify(source, trained, Options(limit=60, device="cpu"))
        assert not found.agrees
        assert "another epoch or run" in found.explanation

    def test_a_checkpoint_with_other_labels_is_refused(
        self, tampered: Tampered, trained: RunRecord, stated: Predictions, tmp_path: Path
    ) -> None:
        csv = tmp_path / "test_predictions.csv"
        write_predictions(
            *(csv, stated.texts, stated.truth[:, :-1], stated.probabilities[:, :-1], 0.5),
            EMOTIONS[:-1],
        )
        with pytest.raises(DataError, match=r"has 28 labels, .* has 27"):
            verify(tampered(predictions=csv), trained, Options(limit=5, device="cpu"))


class TestTolerance:
    @pytest.mark.parametrize(
        ("config", "expected"),
        [
            ({}, "fp32"),
            ({"eval_precision": "fp32", "gpu_type": "NVIDIA H200"}, "fp32"),
            ({"eval_precision": "bf16"}, "bf16"),
            ({"eval_precision": "auto", "gpu_type": "cpu"}, "fp32"),
            ({"eval_precision": "auto", "gpu_type": "NVIDIA H200"}, "bf16"),
            ({"eval_precision": "float16"}, "fp16"),
            ({"eval_precision": ["odd"]}, "fp32"),
        ],
    )
    def test_follows_the_precision_of_the_run(
        self, trained: RunRecord, config: dict[str, object], expected: str
    ) -> None:
        assert precision_of(replace(trained, config=config)) == expected

    def test_rounded_files_are_given_their_rounding(self, stated: Predictions) -> None:
        exact = tolerance_for("fp32", stated.probabilities)
        rounded = tolerance_for("fp32", np.round(stated.probabilities, 3))
        assert exact == (1e-4, "predicted in fp32")
        assert rounded[0] == pytest.approx(6e-4)
        assert rounded[1] == "predicted in fp32, rounded to 3 decimals"


class TestHypotheses:
    def test_alphabetical_columns(
        self, loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray
    ) -> None:
        order = [EMOTIONS.index(name) for name in sorted(EMOTIONS)]
        found = first(loaded, texts, logits, sigmoid(logits)[:, order])
        assert found.explains
        assert found.finding == "the file's columns are in alphabetical order"

    def test_shuffled_rows(
        self, loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray
    ) -> None:
        found = first(loaded, texts, logits, np.roll(sigmoid(logits), 1, axis=0))
        assert found.explains
        assert found.name == "row order"
        assert found.finding.startswith(f"{ROWS} of {ROWS} rows")

    def test_softmax(self, loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray) -> None:
        powers = np.exp(logits)
        found = first(loaded, texts, logits, powers / powers.sum(axis=1, keepdims=True))
        assert (found.name, found.explains) == ("softmax", True)

    @pytest.mark.parametrize(
        ("name", "settings"),
        [
            ("maximum length", {"max_length": 32}),
            ("tokenizer: special tokens", {"special_tokens": False}),
            ("padding", {"masked": False, "max_length": 128}),
        ],
    )
    def test_other_ways_to_predict(
        self,
        loaded: Checkpoint,
        texts: tuple[str, ...],
        logits: FloatArray,
        name: str,
        settings: dict[str, int],
    ) -> None:
        wrong = sigmoid(loaded.predict(texts, **settings))  # type: ignore[arg-type] # a mix of kinds
        assert np.abs(wrong - sigmoid(logits)).max() > 1e-4, "the mistake makes no difference"
        found = first(loaded, texts, logits, wrong)
        assert (found.name, found.explains) == (name, True)

    def test_lower_case(self, loaded: Checkpoint, texts: tuple[str, ...]) -> None:
        shouted = tuple(text.upper() for text in texts)
        wrong = sigmoid(loaded.predict([text.lower() for text in shouted]))
        found = first(loaded, shouted, loaded.predict(shouted), wrong)
        assert (found.name, found.explains) == ("tokenizer: case", True)

    def test_dropout_is_known_by_its_size(
        self, loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray
    ) -> None:
        torch.manual_seed(7)
        wrong = sigmoid(loaded.predict(texts, dropout=True))
        found = first(loaded, texts, logits, wrong)
        assert (found.name, found.explains) == ("dropout", True)
        doubled = sigmoid(logits) + 2 * (wrong - sigmoid(logits))
        assert not first(loaded, texts, logits, doubled).explains
        size = np.abs(wrong - sigmoid(logits)).mean(axis=0)  # as large, but always upwards
        assert not first(loaded, texts, logits, sigmoid(logits) + size).explains

    def test_half_precision(
        self, loaded: Checkpoint, texts: tuple[str, ...], logits: FloatArray
    ) -> None:
        wrong = sigmoid(loaded.predict(texts, precision="bf16"))
        assert np.abs(wrong - sigmoid(logits)).max() > 1e-4
        found = first(loaded, texts, logits, wrong)
        assert (found.name, found.explains) == ("half precision", True)

    def test_the_sample_holds_the_worst_rows_and_a_spread(self) -> None:
        differences = np.zeros(1000)
        differences[[3, 777]] = 1.0
        rows = sampled(differences, 20)
        assert {3, 777, 0, 999} <= set(rows.tolist())
        assert len(rows) <= 20
        assert np.array_equal(sampled(differences[:5], 20), np.arange(5))
