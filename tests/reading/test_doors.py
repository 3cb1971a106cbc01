"""The table of docs/files.md: what each command makes of files of each shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from goemo_report.cli import goemo_report
from goemo_report.labels import EMOTIONS
from goemo_report.metrics.scores import score_predicted
from goemo_report.predictions import read_predictions
from goemo_report.reading.names import Reading

DOCS = Path(__file__).parents[2] / "docs" / "files.md"
GENERATOR = np.random.default_rng(3)
TRUTH = GENERATOR.random((40, len(EMOTIONS))) < 0.2
TRUTH[:, 0] |= ~TRUTH.any(axis=1)
LIKELY = GENERATOR.random(TRUTH.shape).round(4)
TEXTS = [f"text {i}" for i in range(len(TRUTH))]


def names(marks: np.ndarray) -> list[list[str]]:
    return [[name for name, on in zip(EMOTIONS, row, strict=True) if on] for row in marks.tolist()]


def frame(true: str = "", prob: str = "", **more: object) -> pd.DataFrame:
    columns: dict[str, object] = {"text": TEXTS}
    if true:
        columns |= {true.format(x): TRUTH[:, i].astype(int) for i, x in enumerate(EMOTIONS)}
    if prob:
        columns |= {prob.format(x): LIKELY[:, i] for i, x in enumerate(EMOTIONS)}
    return pd.DataFrame({**columns, **more})


def as_csv(made: pd.DataFrame) -> Callable[[Path], object]:
    return lambda path: made.to_csv(path, index=False)


def nested(path: Path) -> object:
    rows = [
        {"text": text, "true": own, "probs": dict(zip(EMOTIONS, p, strict=True))}
        for text, own, p in zip(TEXTS, names(TRUTH), LIKELY.tolist(), strict=True)
    ]
    return path.write_text(json.dumps(rows))


def pickled(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, y_true=TRUTH, y_prob=LIKELY, labels=np.array(EMOTIONS, dtype=object))


TRUE = [",".join(row) for row in names(TRUTH)]
EMPTY = frame(prob="pred_probs_{}", true_labels=TRUE)
EMPTY.loc[4, "pred_probs_joy"] = np.nan
FILES: dict[str, Callable[[Path], object]] = {
    "the guide's columns": as_csv(frame(prob="pred_probs_{}", true_labels=TRUE, pred_labels=TRUE)),
    "`true_joy` and `prob_joy`": as_csv(frame("true_{}", "prob_{}")),
    "`joy` of 0 and 1, `joy_prob`": as_csv(frame("{}", "{}_prob")),
    "lists of names or ids": as_csv(
        frame(
            prob="prob_{}",
            labels=[str(np.array(row)) for row in names(TRUTH)],
            pred=[str(np.flatnonzero(row).tolist()) for row in LIKELY >= 0.5],
        )
    ),
    "lists of probabilities": as_csv(frame(labels=TRUE, probs=list(map(str, LIKELY.tolist())))),
    "nested JSON": nested,
    "no `text`, an `id`": as_csv(frame("true_{}", "prob_{}").rename(columns={"text": "id"})),
    "no probabilities": as_csv(frame(labels=TRUE, predictions=TRUE)),
    "two columns of true labels": as_csv(frame(prob="prob_{}", labels=TRUE, target=TRUE)),
    "two sets of probabilities": as_csv(
        frame("true_{}", "prob_{}", **{f"score_{x}": 0.5 for x in EMOTIONS})
    ),
    "names of Ekman's set alone": as_csv(frame(labels="joy", predictions="fear")),
    "an empty probability": as_csv(EMPTY),
    "pickled objects in `.npz`": pickled,
}


def rows() -> dict[str, list[str]]:
    lines = [line for line in DOCS.read_text().split("\n") if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    return {name: rest for name, *rest in cells[2:]}


def test_every_shape_is_in_the_docs() -> None:
    assert list(rows()) == list(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_table_of_the_docs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FILES[name](tmp_path / "file.csv")
    commands = (
        ("metrics", "file.csv", "--format", "csv"),
        ("compare", "file.csv", "-o", "-", "--format", "md", "--section", "overall"),
        ("check", "file.csv", "--fail-under", "macro_f1=0"),
        ("card", "file.csv"),
        ("thresholds", "file.csv", "--val", "file.csv"),
    )
    lines = [cell.partition(": ")[2] for cell in rows()[name]]
    line = next(filter(None, lines), "")
    for command, cell in zip(commands, rows()[name], strict=True):
        done = CliRunner().invoke(goemo_report, command)
        if cell == "fails":
            assert (done.exit_code, line in done.stdout) == (3, True), done.output
        elif cell.startswith("refused"):
            assert done.exit_code == 1, (command, done.output)
            assert line in done.stderr, command
            assert done.stderr.strip().count("\n") == 0, done.stderr
        else:
            assert done.exit_code == 0, (command, done.stderr)
            assert ("no probabilities: what needs them" in done.stderr) == (cell == "without")


def test_labels_alone_are_scored_as_labels(tmp_path: Path) -> None:
    FILES["no probabilities"](tmp_path / "file.csv")
    found = read_predictions(tmp_path / "file.csv")
    expected = score_predicted(TRUTH, None, TRUTH, EMOTIONS)
    assert found.y_prob is None
    assert found.score_at(0.9).overall == expected.overall
    assert found.score_at().overall["micro_auc"] is None


def test_options_settle_what_could_be_either(tmp_path: Path) -> None:
    FILES["two sets of probabilities"](tmp_path / "file.csv")
    found = read_predictions(tmp_path / "file.csv", reading=Reading(prob="prob_{label}"))
    assert np.array_equal(found.probabilities, LIKELY)
    FILES["two columns of true labels"](tmp_path / "file.csv")
    found = read_predictions(tmp_path / "file.csv", reading=Reading(true="target"))
    assert np.array_equal(found.truth, TRUTH)


def test_columns_of_settings_hold_where_a_file_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = '[tool.goemo.columns]\ntrue = "gold set"\nprob = "p({label})"\n'
    (tmp_path / "pyproject.toml").write_text(settings)
    guide = frame(prob="pred_probs_{}", true_labels=TRUE)
    guide.to_csv("guide.csv", index=False)
    own = frame(prob="p({})", true_labels=TRUE[::-1])
    own["gold set"] = TRUE
    own.to_csv("own.csv")
    guide.drop(columns="true_labels").to_csv("neither.csv", index=False)

    def run(*words: str) -> tuple[int, str, str]:
        found = CliRunner().invoke(goemo_report, ["metrics", *words, "--format", "csv"])
        return found.exit_code, found.stdout, found.stderr

    assert run("guide.csv")[0] == 0
    assert "tool.goemo" not in run("guide.csv")[2]
    assert run("own.csv")[1] == run("guide.csv")[1] != ""
    code, _, said = run("neither.csv")
    assert code == 1
    assert "tool.goemo.columns.true names 'gold set', which is not there" in said
    code, _, said = run("guide.csv", "--true", "gold set")
    assert code == 1
    assert "has no column 'gold set'" in said
    frame(prob="p_{}", true="true_{}").to_csv("marks.csv", index=False)
    code, _, said = run("marks.csv", "--prob", "p{label}")
    assert code == 1
    assert "which --prob 'p{label}' makes" in said
    assert "Correct --prob" in said
