"""Verification: agreement, tolerances, and the mistake behind a difference."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from goemo_report.checkpoints.verify import precision_of, tolerance_for, verify
from goemo_report.cli import goemo_report
from goemo_report.contract import prediction_columns
from goemo_report.errors import DataError
from goemo_report.labels import EMOTIONS
from goemo_report.predictions import Predictions, write_predictions
from goemo_report.sources.model import RunRecord
from tests.checkpoints.conftest import Tampered, blamed
from tests.train.conftest import RUN_ID, Finished


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(goemo_report, list(map(str, arguments)))


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

    @pytest.mark.parametrize("pattern", ["pytorch_model.bin", "test_predictions.csv"])
    def test_a_file_that_is_not_what_was_logged_is_a_finding(
        self, finished: Finished, tmp_path: Path, pattern: str
    ) -> None:
        root = tmp_path / "copy"
        shutil.copytree(finished.output, root)
        original = next(finished.directory.rglob(pattern)).read_bytes()
        staged = [
            path
            for path in (root / "artifacts" / "staging").rglob("*")
            if path.is_file() and path.read_bytes() == original
        ]
        assert staged
        for path in staged:
            path.chmod(0o644)
            path.write_bytes(original[:-9] + b"otherwise")
        arguments = ("verify", RUN_ID, "--wandb-dir", root, "--limit", "9")
        result = invoke(*arguments)
        assert result.exit_code == 3, result.stderr
        (line,) = result.stdout.splitlines()
        assert line.startswith("differs     tiny-roberta-")
        assert pattern in line
        assert "is not the file that was logged" in line
        result = invoke(*arguments, "--format", "json")
        assert result.exit_code == 3
        document = json.loads(result.stdout)
        assert document["agrees"] is False
        assert pattern in document["explanation"]

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
        found = verify(tampered(predictions=csv), trained, limit=30, device="cpu")
        assert not found.agrees
        assert found.beyond == 2
        assert found.where == (1, "admiration")
        assert found.largest == pytest.approx(abs(probabilities - stated.probabilities).max())
        assert found.flips == {"admiration": 1}
        assert found.metrics["micro_auc"][0] != found.metrics["micro_auc"][1]
        assert found.explanation.startswith("none of the usual mistakes")
        assert "in 2 of 30 rows only" in found.explanation
        wide = verify(tampered(predictions=csv), trained, limit=30, device="cpu", tolerance=0.95)
        assert wide.agrees
        assert wide.trials == ()
        assert wide.tolerance_reason == "as asked"

    def test_columns_that_changed_places_are_found_through_the_whole_path(
        self, tampered: Tampered, trained: RunRecord, finished: Finished, tmp_path: Path
    ) -> None:
        lines = (finished.directory / "test_predictions.csv").read_text("utf-8").split("\n", 1)
        header = lines[0].replace("_joy", "_X").replace("_fear", "_joy").replace("_X", "_fear")
        assert header != ",".join(prediction_columns(EMOTIONS))
        csv = tmp_path / "test_predictions.csv"
        csv.write_text(f"{header}\n{lines[1]}", "utf-8")
        found = verify(tampered(predictions=csv), trained, limit=60, device="cpu")
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
        found = verify(source, trained, limit=60, device="cpu")
        assert not found.agrees
        assert "another epoch or run" in found.explanation
        assert blamed(found.trials) == set()

    def test_a_shuffled_vocabulary_makes_the_tokenizer_a_suspect(
        self, tampered: Tampered, trained: RunRecord, finished: Finished, tmp_path: Path
    ) -> None:
        """Were the file predicted with the checkpoint, its tokenizer would be the other one."""
        changed: dict[str, Path | None] = {}
        order: dict[str, str] = {}
        for name in ("tokenizer.json", "vocab.json"):
            described = json.loads((finished.directory / "checkpoint" / name).read_text("utf-8"))
            known = described["model"]["vocab"] if name == "tokenizer.json" else described
            if not order:
                words = [word for word in known if not word.startswith("<")]
                order = dict(zip(words, random.Random(0).sample(words, len(words)), strict=True))
            old = dict(known)
            known.update({word: old[other] for word, other in order.items()})
            changed[name] = tmp_path / name
            (tmp_path / name).write_text(json.dumps(described), "utf-8")
        found = verify(tampered(changed), trained, device="cpu")
        assert blamed(found.trials) == set()
        assert "suspect the tokenizer" in found.explanation
        assert "epoch" not in found.explanation

    def test_weights_that_are_missing_are_refused(
        self, tampered: Tampered, trained: RunRecord, finished: Finished, tmp_path: Path
    ) -> None:
        weights = torch.load(finished.directory / "checkpoint/pytorch_model.bin", weights_only=True)
        del weights["classifier.out_proj.weight"]
        torch.save(weights, tmp_path / "cut.bin")
        source = tampered({"pytorch_model.bin": tmp_path / "cut.bin"})
        with pytest.raises(DataError, match=r"1 missing \(classifier\.out_proj\.weight\)"):
            verify(source, trained, limit=100, device="cpu")

    def test_a_vocabulary_that_is_larger_than_the_models_is_refused(
        self, tampered: Tampered, trained: RunRecord, finished: Finished, tmp_path: Path
    ) -> None:
        described = json.loads(
            (finished.directory / "checkpoint/tokenizer.json").read_text("utf-8")
        )
        vocabulary = described["model"]["vocab"]
        moved = {w: n + 10**5 * (not w.startswith("<")) for w, n in vocabulary.items()}
        described["model"]["vocab"] = moved
        (tmp_path / "tokenizer.json").write_text(json.dumps(described), "utf-8")
        source = tampered({"tokenizer.json": tmp_path / "tokenizer.json"})
        with pytest.raises(DataError, match=r"has token 100,\d+, its model knows \d+"):
            verify(source, trained, limit=5, device="cpu")

    def test_a_checkpoint_with_other_labels_is_refused(
        self, tampered: Tampered, trained: RunRecord, stated: Predictions, tmp_path: Path
    ) -> None:
        csv = tmp_path / "test_predictions.csv"
        write_predictions(
            *(csv, stated.texts, stated.truth[:, :-1], stated.probabilities[:, :-1], 0.5),
            EMOTIONS[:-1],
        )
        with pytest.raises(DataError, match=r"has 28 labels, .* has 27"):
            verify(tampered(predictions=csv), trained, limit=5, device="cpu")


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
