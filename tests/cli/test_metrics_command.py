from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from goemo_report.cli import goemo_report
from goemo_report.contract import PER_CLASS_COLUMNS
from goemo_report.labels import EMOTIONS
from goemo_report.predictions import write_predictions

JOY, GRIEF, NEUTRAL = (EMOTIONS.index(name) for name in ("joy", "grief", "neutral"))


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """Four texts: joy has one hit, one miss and one false alarm; grief never occurs."""
    truth = np.zeros((4, 28), dtype=bool)
    probabilities = np.full((4, 28), 0.01)
    truth[[0, 1], JOY] = True
    probabilities[[0, 2], JOY] = 0.9, 0.6
    truth[[2, 3], NEUTRAL] = True
    probabilities[[2, 3], NEUTRAL] = 0.8
    path = tmp_path / "test_predictions.csv"
    write_predictions(path, ["a", "b", "c", "d"], truth, probabilities, 0.5, EMOTIONS)
    return path


def metrics(*arguments: str | Path) -> Result:
    return CliRunner().invoke(goemo_report, ["metrics", *map(str, arguments)])


def test_json_has_the_documented_shape_and_hand_counted_numbers(predictions: Path) -> None:
    result = metrics(predictions, "--format", "json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["schema_version"], document["rows"], document["threshold"]) == (2, 4, 0.5)
    assert document["labels"] == list(EMOTIONS)
    joy = document["per_class"][JOY]
    counted = {"tp": 1, "fp": 1, "fn": 1, "tn": 1, "support": 2, "f1_score": 0.5}
    assert {key: joy[key] for key in counted} == counted
    assert document["overall"]["micro_precision"] == pytest.approx(3 / 4)
    assert document["overall"]["macro_f1"] == pytest.approx((0.5 + 1.0) / 28)
    assert document["per_class"][GRIEF]["auc"] is None  # not defined: never bare NaN
    wanted = {"micro_auc", "macro_auc", "macro_f1", "micro_f1", "macro_precision", "macro_recall"}
    assert wanted | {"micro_precision", "micro_recall"} <= document["overall"].keys()


def test_labels_alone_take_no_threshold(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,true_labels,pred_labels\na,joy,joy\nb,grief,joy\n", encoding="utf-8")
    assert metrics(path).exit_code == 0
    result = metrics(path, "--threshold", "0.3")
    assert result.exit_code == 1
    assert "has no probabilities, only labels" in result.stderr


def test_the_threshold_is_applied_and_the_files_own_is_told(predictions: Path) -> None:
    result = metrics(predictions, "--threshold", "0.7", "--format", "json")
    joy = json.loads(result.stdout)["per_class"][JOY]
    assert (joy["tp"], joy["fp"]) == (1, 0)
    assert "pred_labels: 0.5" in result.stderr


def test_csv_starts_with_the_guides_columns(predictions: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(metrics(predictions, "--format", "csv").stdout)))
    guide = [key.name for key in PER_CLASS_COLUMNS]
    assert list(rows[0])[: len(guide)] == guide
    assert [row["emotion"] for row in rows] == list(EMOTIONS)
    assert rows[GRIEF]["auc"] == ""


def test_the_table_goes_to_stdout_and_notes_to_stderr(predictions: Path) -> None:
    result = metrics(predictions)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split()[:5] == ["average", "F1", "precision", "recall", "MCC"]
    assert {"AUC", "AP"} < set(lines[0].split())
    assert any(line.startswith("joy ") and " 0.500" in line for line in lines)
    assert "never predicted: admiration" in result.stderr
    assert "note" not in result.stdout
    assert "\x1b" not in result.stdout


def test_a_file_is_written_whole(predictions: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "out.json"
    target.parent.mkdir()
    result = metrics(predictions, "--format", "json", "-o", target)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert json.loads(target.read_text("utf-8"))["rows"] == 4
    assert [path.name for path in target.parent.iterdir()] == ["out.json"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"a,b\n1,2\n", "text"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_what_is_no_prediction_file_is_one_error(
    tmp_path: Path, content: bytes | None, complaint: str
) -> None:
    path = tmp_path / "wrong.csv"
    if content is not None:
        path.write_bytes(content)
    result = metrics(path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) <= 2


def test_an_unwritable_output_is_said(predictions: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    result = metrics(predictions, "--format", "json", "-o", tmp_path / "file" / "out.json")
    assert result.exit_code == 2
    assert f"there is no directory {tmp_path / 'file'} for out.json" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_missing_directory_is_not_made(predictions: Path, tmp_path: Path) -> None:
    result = metrics(predictions, "-o", tmp_path / "mistyped" / "deep" / "out.txt")
    assert result.exit_code == 2
    assert not (tmp_path / "mistyped").exists()


def test_the_columns_that_a_file_lacks_are_counted(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,true_labels\nhi,joy\n", "utf-8")
    line = metrics(tmp_path / "x.csv").stderr
    assert "lacks 1 column: either pred_labels or pred_probs_" in line


def test_a_prediction_file_needs_no_wandb_no_rich_and_no_templates(predictions: Path) -> None:
    script = (
        "import sys\n"
        "from goemo_report.cli import goemo_report\n"
        f"goemo_report(['metrics', {str(predictions)!r}, *sys.argv[1:]], standalone_mode=False)\n"
        "heavy = ('wandb', 'rich', 'jinja2', 'plotly', 'pandas', 'goemo_report.results')\n"
        "loaded = [name for name in heavy if name in sys.modules]\n"
        "print(loaded, file=sys.stderr)\n"
    )
    for form in ("json", "csv", "table"):
        done = subprocess.run(
            [sys.executable, "-c", script, "--format", form],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stderr.splitlines()[-1] == "[]", done.stderr


def test_a_reader_that_stops_early_is_no_traceback(predictions: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m goemo_report metrics {predictions} --format json | head -1",
        shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "{\n"
    assert done.stderr.replace("note:", "").strip().count("\n") <= 3
    assert "Error" not in done.stderr
    assert "error" not in done.stderr


def test_a_terminal_without_unicode_is_served(predictions: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "goemo_report", "metrics", str(predictions)],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "\\u2013" in done.stdout


def test_damaged_rows_are_named(predictions: Path) -> None:
    def notes(rows: list[list[str]]) -> str:
        with predictions.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        return metrics(predictions).stderr

    rows = list(csv.reader(predictions.read_text("utf-8").splitlines()))
    assert "row" not in notes(rows)
    true, predicted = rows[0].index("true_labels"), rows[0].index("pred_labels")
    rows[1][0], rows[2][true], rows[4][predicted] = "", "", "grief"
    said = notes(rows)
    assert "note: 1 row with no true label: 2 (the first text is row 1)" in said
    assert "note: 1 row with no text: 1 (the first text is row 1)" in said
    assert "1 row with pred_labels that contradict it: 4" in said


@pytest.mark.parametrize("given", [["--wandb-dir", ""], ["--entity="], ["-o", ""]])
def test_an_empty_value_is_refused_and_not_taken_for_this_directory(
    predictions: Path, given: list[str]
) -> None:
    result = metrics(predictions, *given)
    assert result.exit_code == 2
    assert f"{given[0].rstrip('=')} is empty: give a value, or leave it out" in result.stderr
