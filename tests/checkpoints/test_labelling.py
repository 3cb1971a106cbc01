"""New texts: the checkpoint's probabilities, judged at thresholds from validation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from goemo_report.checkpoints.checkpoint import Checkpoint, sigmoid
from goemo_report.checkpoints.labelling import label_texts, parse_thresholds
from goemo_report.cli import goemo_report
from goemo_report.errors import DataError
from goemo_report.labels import EMOTIONS
from goemo_report.predictions import Predictions, read_predictions
from goemo_report.sources.model import RunRecord
from goemo_report.thresholds.protocols import tuned, tuned_per_class
from tests.checkpoints.conftest import Tampered
from tests.train.conftest import RUN_ID, Finished


def invoke(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(goemo_report, list(map(str, arguments)), input=stdin)


@pytest.fixture(scope="module")
def validation(finished: Finished) -> Predictions:
    return read_predictions(finished.directory / "val_predictions.csv")


class TestThresholds:
    def test_are_those_of_validation(self, finished: Finished, validation: Predictions) -> None:
        result = invoke("thresholds", RUN_ID, "--wandb-dir", finished.output)
        assert result.exit_code == 0, result.stderr
        (entry,) = json.loads(result.stdout)["entries"]
        expected = tuned_per_class(validation).thresholds
        assert expected is not None
        assert entry["thresholds"] == expected.tolist()
        assert entry["labels"] == list(EMOTIONS)
        assert (entry["run"], entry["split"], entry["n"]) == (RUN_ID, "val", len(validation))

    def test_by_another_protocol_into_a_file(
        self, finished: Finished, validation: Predictions, tmp_path: Path
    ) -> None:
        target = tmp_path / "t.json"
        read = ("thresholds", RUN_ID, "--wandb-dir", finished.output)
        assert invoke(*read, "--protocol", "global", "-o", target).exit_code == 0
        (entry,) = json.loads(target.read_text())["entries"]
        expected = tuned(validation)[0].thresholds
        assert expected is not None
        assert entry["thresholds"] == expected.tolist()


class TestPredict:
    def test_the_test_split_gets_its_own_probabilities_again(
        self, finished: Finished, stated: Predictions, validation: Predictions
    ) -> None:
        texts = stated.texts[:6]
        read = ("predict", RUN_ID, "--wandb-dir", finished.output, "--format", "json", "--")
        result = invoke(*read, *texts)
        assert result.exit_code == 0, result.stderr
        document = json.loads(result.stdout)
        thresholds = tuned_per_class(validation).thresholds
        assert thresholds is not None
        assert list(document["thresholds"]["values"].values()) == thresholds.tolist()
        for row, found in enumerate(document["predictions"]):
            assert found["text"] == texts[row]
            given = np.array([found["probabilities"][name] for name in EMOTIONS])
            assert np.abs(given - stated.probabilities[row]).max() < 1e-5
            named = {item["emotion"] for item in found["emotions"]}
            assert named == {
                name for name, p, t in zip(EMOTIONS, given, thresholds, strict=True) if p >= t
            }
            shown = [item["probability"] for item in found["emotions"]]
            assert shown == sorted(shown, reverse=True)

    def test_the_code_of_the_card_names_the_same_emotions(
        self, finished: Finished, capsys: pytest.CaptureFixture[str]
    ) -> None:
        read = (RUN_ID, "--wandb-dir", finished.output)
        card = invoke("card", *read, "-o", "-").stdout
        (code,) = re.findall(r"```python\n(.+?)\n```", card, re.DOTALL)
        exec(code.replace('"DIRECTORY"', repr(str(finished.directory / "checkpoint"))), {})
        printed = [line.rpartition(" {")[2] for line in capsys.readouterr().out.splitlines()]
        texts = ["You made my day!", "Why would anyone do that?"]
        found = json.loads(invoke("predict", *read, "--format", "json", "--", *texts).stdout)
        for line, prediction in zip(printed, found["predictions"], strict=True):
            assert set(re.findall(r"'(\w+)':", line)) == {
                item["emotion"] for item in prediction["emotions"]
            }

    def test_standard_input_is_one_text_a_line(self, finished: Finished) -> None:
        lines = "thanks \u00e9\r\n\r\nso [bold]angry[/bold]\x1b[2J\n".encode() + b"\xff broken"
        arguments = ("predict", RUN_ID, "--wandb-dir", finished.output, "--protocol", "fixed")
        result = invoke(*arguments, "--format", "json", stdin=lines)
        texts = [item["text"] for item in json.loads(result.stdout)["predictions"]]
        assert texts == ["thanks \u00e9", "so [bold]angry[/bold]\x1b[2J", "\ufffd broken"]
        result = invoke(*arguments, stdin=lines)
        assert "\x1b" not in result.stdout
        heads = [line for line in result.stdout.splitlines() if not line.startswith("  ")]
        assert len(heads) == 3
        assert result.stderr.splitlines() == [
            "note: 1 blank line was left out",
            "note: line 4 is not UTF-8; bytes that cannot be read became \ufffd",
            "thresholds: fixed 0.5",
        ]
        for nothing in ("", "\n", " \r\n\t\n"):
            result = invoke(*arguments, stdin=nothing)
            assert result.exit_code == 2
            assert "standard input holds no text" in result.stderr

    @pytest.mark.parametrize("text", ["", "  ", "\u00a0\n"])
    def test_an_empty_text_is_refused(self, finished: Finished, text: str) -> None:
        result = invoke("predict", RUN_ID, "--wandb-dir", finished.output, "fine", text)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert "TEXT 2 is empty" in result.stderr

    def test_a_file_of_thresholds_counts_before_validation(
        self, finished: Finished, tmp_path: Path
    ) -> None:
        target = tmp_path / "t.json"
        entry = {"labels": EMOTIONS[::-1], "thresholds": [0.0] + [1.0] * 27, "run": "another"}
        target.write_text(json.dumps({"entries": [entry]}))
        result = invoke(
            *("predict", RUN_ID, "--wandb-dir", finished.output, "--thresholds", target),
            *("--format", "json", "hello"),
        )
        (found,) = json.loads(result.stdout)["predictions"]
        assert [item["emotion"] for item in found["emotions"]] == ["neutral"]
        assert "note: these thresholds were tuned on run another, not on" in result.stderr
        target.write_text('{"entries": []}')
        result = invoke(
            *("predict", RUN_ID, "--wandb-dir", finished.output, "--thresholds", target, "hello")
        )
        assert result.exit_code == 1
        assert "holds no thresholds for run" in result.stderr

    def test_without_validation_the_checkpoints_own_thresholds_count(
        self, tampered: Tampered, trained: RunRecord, finished: Finished, loaded: Checkpoint
    ) -> None:
        found = label_texts(tampered(), trained, ["hello"], device="cpu")
        kept = json.loads((finished.directory / "checkpoint" / "thresholds.json").read_text())
        assert found.thresholds.values.tolist() == list(kept["thresholds"].values())
        assert found.thresholds.description.endswith("/thresholds.json")
        assert np.allclose(found.probabilities, sigmoid(loaded.predict(["hello"])))
        bare = tampered(drop=("thresholds.json",))
        found = label_texts(bare, trained, ["hello"], device="cpu")
        assert set(found.thresholds.values.tolist()) == {0.5}


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {"thresholds": {"joy": 0.5}},
        {"thresholds": dict.fromkeys(EMOTIONS, 1.5)},
        {"thresholds": dict.fromkeys(EMOTIONS, True)},
        {"thresholds": dict.fromkeys(EMOTIONS, float("nan"))},
        {"entries": [1, {"run": "x", "labels": ["joy"], "thresholds": [0.5]}]},
        {"entries": [{"labels": 3, "thresholds": [0.5]}]},
        {"entries": [{"labels": [["joy"]], "thresholds": [0.5]}]},
    ],
)
def test_what_are_no_thresholds_is_refused(trained: RunRecord, document: object) -> None:
    with pytest.raises(DataError, match="holds no thresholds"):
        parse_thresholds(document, trained, "t.json")


def test_thresholds_of_an_unknown_version_are_refused(trained: RunRecord) -> None:
    document = {"schema_version": 9, "thresholds": dict.fromkeys(EMOTIONS, 0.5)}
    with pytest.raises(DataError, match="schema_version 9, only 1 to 2 are known"):
        parse_thresholds(document, trained, "t.json")
    former = parse_thresholds(document | {"schema_version": 1}, trained, "t.json")
    assert former.values.tolist() == [0.5] * len(EMOTIONS)
