"""Averages of runs: what they are, what they are written as, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.metrics import f1_score

import goemo_report as gr
from goemo_report.cli import goemo_report as main
from goemo_report.labels import EKMAN
from goemo_report.predictions import read_predictions, write_predictions

LABELS = EKMAN.labels
ROWS = 80


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOEMO_CACHE_DIR", str(tmp_path / "cache"))


def member(name: str, seed: int, *splits: str, labels: tuple[str, ...] = LABELS) -> Path:
    """A run's prediction files; each has the texts, of which two are alike, in its own order."""
    directory = Path(name)
    directory.mkdir(exist_ok=True)
    for split in splits or ("val", "test"):
        truth = np.random.default_rng(len(split)).random((ROWS, len(LABELS))) < 0.4
        columns = [LABELS.index(label) for label in labels]
        noise = np.random.default_rng((seed, len(split))).random(truth.shape)
        p = (0.3 * truth + 0.7 * noise)[:, columns]
        order = np.random.default_rng(seed).permutation(ROWS)
        texts = [f"{split}, text {row // 2}" for row in order]
        file = directory / f"{split}_predictions.csv"
        write_predictions(file, texts, truth[:, columns][order], p[order], 0.5, labels)
    return directory


def rows_of(path: Path) -> dict[tuple[str, bytes], np.ndarray]:
    held = read_predictions(path)
    keys = zip(held.texts, (row.tobytes() for row in held.truth), strict=True)
    return dict(zip(keys, held.probabilities, strict=True))


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["ensemble", *arguments])
    return done.exit_code, done.output


class TestWritten:
    def test_each_text_has_the_mean_whatever_the_order(self) -> None:
        for number in range(3):
            member(f"m{number}", number)
        code, output = run("m0", "m1", "m2", "-o", "made")
        assert (code, "made/test_predictions.csv" in output) == (0, True)
        for split in ("val", "test"):
            parts = [rows_of(Path(f"m{i}/{split}_predictions.csv")) for i in range(3)]
            whole = rows_of(Path(f"made/{split}_predictions.csv"))
            assert len(whole) == ROWS
            for key, found in whole.items():
                assert found == pytest.approx(sum(part[key] for part in parts) / 3)

    def test_labels_are_predicted_at_thresholds_tuned_on_validation(self) -> None:
        member("m0", 0), member("m1", 1)
        assert run("m0", "m1", "-o", "made")[0] == 0
        entry = json.loads(Path("made/thresholds.json").read_text())["entries"][0]
        test = read_predictions(Path("made/test_predictions.csv"))
        assert (test.predicted == (test.probabilities >= entry["thresholds"])).all()
        assert entry["split"] == "val"
        assert len(set(entry["thresholds"])) > 1

    def test_it_is_a_run_like_any_other(self) -> None:
        member("m0", 0), member("m1", 1)
        for name, rate in (("m0", 1e-4), ("m1", 1e-4)):
            config = {"learning_rate": rate, "random_seed": name, "dropout": float(name[1])}
            Path(name, "config.json").write_text(json.dumps(config))
        assert run("m0", "m1", "-o", "made")[0] == 0
        found = gr.run("made")
        assert dict(found.config) == {
            "model_name": "made", "learning_rate": 1e-4, "ensemble": ["m0", "m1"],
        }  # fmt: skip
        test = found.predictions()
        ranked = gr.compare("made", "m0", "m1").comparison.ranked
        at_half = f1_score(test.y_true, test.y_prob >= 0.5, average="macro")
        assert {run.name: run.macro_f1 for run in ranked}["made"] == pytest.approx(at_half)

    def test_it_may_be_written_again_and_leaves_no_split_of_before(self) -> None:
        member("m0", 0), member("m1", 1), member("m2", 2, "test")
        assert run("m0", "m1", "-o", "made")[0] == 0
        code, output = run("m0", "m2", "-o", "made")
        assert code == 0
        assert "no val predictions are written: m2" in output
        assert {path.name for path in Path("made").iterdir()} == {
            "config.json", "test_predictions.csv", "thresholds.json",
        }  # fmt: skip
        assert list(Path().glob(".ensemble-*")) == []

    def test_in_a_notebook(self) -> None:
        member("m0", 0), member("m1", 1)
        found = gr.ensemble("m0", "m1", output="made")
        assert np.array_equal(found.y_prob, gr.run("made").predictions().y_prob)
        assert np.array_equal(found.y_pred, gr.run("made").predictions().y_pred)
        in_memory = gr.ensemble([gr.run("m0").predictions(), gr.run("m1").predictions()])
        assert np.array_equal(in_memory.y_prob, found.y_prob)
        assert np.array_equal(in_memory.y_pred, found.y_prob >= 0.5)


class TestRefused:
    def check(self, expected: str, *runs: str) -> None:
        code, output = run(*runs, "-o", "made")
        assert (code, output.count("\n")) == (1, 1)
        assert expected in output
        assert not Path("made").exists()

    def test_other_texts(self) -> None:
        member("m0", 0), member("m1", 1)
        held = read_predictions(Path("m1/test_predictions.csv"))
        texts = ("new", "newer", *held.texts[2:])
        columns = held.truth, held.probabilities, 0.5, LABELS
        write_predictions(Path("m1/test_predictions.csv"), texts, *columns)
        self.check("80 and 80 texts, 78 of them the same", "m0", "m1")

    def test_other_labels(self) -> None:
        member("m0", 0), member("m1", 1, labels=LABELS[:5])
        self.check("7 and 5 labels, 5 of them the same", "m0", "m1")

    def test_labels_in_another_order_are_the_same(self) -> None:
        member("m0", 0), member("m1", 1), member("m2", 1, labels=LABELS[::-1])
        same, turned = gr.ensemble("m0", "m1"), gr.ensemble("m0", "m2")
        assert np.array_equal(same.y_prob, turned.y_prob)

    def test_other_truth(self) -> None:
        member("m0", 0), member("m1", 1)
        held = read_predictions(Path("m1/test_predictions.csv"))
        truth = held.truth.copy()
        truth[:3, 0] ^= True
        columns = held.probabilities, 0.5, LABELS
        write_predictions(Path("m1/test_predictions.csv"), held.texts, truth, *columns)
        self.check("differ in the true labels of 3 of 80 texts", "m0", "m1")

    def test_one_run_even_if_it_is_named_twice(self) -> None:
        member("m0", 0)
        self.check("needs two runs or more, here is 1 (m0)", "m0", "m0")

    def test_a_run_that_cannot_be_read(self) -> None:
        member("m0", 0), member("m1", 1, "test")
        Path("m1/test_predictions.csv").write_text("text\nx\n")
        self.check("lacks", "m0", "m1")

    def test_no_split_in_common(self) -> None:
        member("m0", 0, "test"), member("m1", 1, "val")
        self.check("share no split", "m0", "m1")

    def test_a_directory_that_holds_something_else(self) -> None:
        member("m0", 0), member("m1", 1)
        before = Path("m1/test_predictions.csv").read_bytes()
        code, output = run("m0", "m1", "-o", "m1")
        assert (code, "m1 holds other files" in output) == (1, True)
        assert Path("m1/test_predictions.csv").read_bytes() == before
