"""The public API: what a notebook does, on files, arrays and offline runs."""

from __future__ import annotations

import base64
import copy
import doctest
import html
import importlib
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest
import torch
from sklearn.metrics import f1_score, matthews_corrcoef

import goemo_report as gr
from goemo_report.analysis import run_statistics
from goemo_report.api.comparisons import ComparisonResult
from goemo_report.comparison import Options, compare
from goemo_report.labels import EMOTIONS
from goemo_report.metrics.table import CLASS_METRICS
from goemo_report.predictions import write_predictions
from goemo_report.statistics import differences
from goemo_report.statistics.differences import Paired
from goemo_report.statistics.intervals import Analysis
from tests.api.made import made
from tests.offline_runs import STANDARD_RUNS, OfflineRun, make_runs
from tests.synthetic import run_result

SHUFFLED = pd.DataFrame({"joy": [1, 0], "fear": [0, 0]}).astype("Int64")
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GOEMO_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def files() -> tuple[str, str]:
    for number, name in enumerate(("a.csv", "b.csv")):
        truth, probabilities = made(number + 1)
        texts = [f"text {i}" for i in range(len(truth))]
        write_predictions(Path(name), texts, truth, probabilities, 0.5, EMOTIONS)
    return "a.csv", "b.csv"


class TestSurface:
    def test_names_load_when_they_are_used_and_cost_nothing_before(self) -> None:
        code = "import sys, goemo_report; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        loaded = set(done.stdout.split())
        assert loaded.isdisjoint({"numpy", "pandas", "wandb", "click", "json"})

    def test_the_page_names_every_public_name(self) -> None:
        page = Path(__file__).parents[2].joinpath("docs", "python.md").read_text("utf-8")
        assert {name for name in gr.__all__ if f"`{name}" not in page} == set()

    def test_no_module_hides_a_function(self, files: tuple[str, str]) -> None:
        for name in ("comparison", "predictions", "results", "settings", "sources.resolve"):
            importlib.import_module(f"goemo_report.{name}")
        for _ in range(2):
            assert gr.run(files[0]).name == "a"
            assert len(gr.runs(*files)) == 2
            assert gr.score(gr.read_predictions(files[0])).scores.rows == 300
            assert len(gr.compare(*files).leaderboard) == 2

    def test_examples_in_docstrings_hold(self) -> None:
        for module in ("scores", "recording", "runs", "comparisons"):
            found = doctest.testmod(importlib.import_module(f"goemo_report.api.{module}"))
            assert found.failed == 0

    def test_unknown_names_are_attribute_errors(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'scores'"):
            _ = gr.scores


def test_a_run_is_among_runs(files: tuple[str, str]) -> None:
    found = gr.runs(*files, tag=None, where=None)  # type: ignore[arg-type]  # as if not given
    assert found[0] in found
    assert found.index(found[1]) == 1
    assert len({found[0], found[0], found[1]}) == 2
    assert "a" in found
    assert "c" not in found
    assert list(found[:0].to_frame()) == list(found.to_frame().columns[:8])
    with pytest.raises(gr.NotFoundError, match="no runs to judge"):
        found[:0].check(fail_under="macro_f1=0.9")
    assert gr.run(files[0]) != found[0]  # of another source


class TestScore:
    def test_agrees_with_scikit_learn(self) -> None:
        truth, probabilities = made(1)
        found = gr.score(y_true=truth, y_prob=probabilities, labels=EMOTIONS, threshold=0.4)
        predicted = probabilities >= 0.4
        expected = f1_score(truth, predicted, average="macro", zero_division=0)
        assert found.overall["macro_f1"] == pytest.approx(expected, abs=1e-12)
        each = [matthews_corrcoef(*pair) for pair in zip(truth.T, predicted.T, strict=True)]
        assert found.overall["macro_mcc"] == pytest.approx(np.mean(each), abs=1e-12)
        assert list(found.per_label["emotion"]) == list(EMOTIONS)
        assert found.per_label["support"].dtype == "Int64"

    def test_takes_what_people_have(self) -> None:
        import datasets
        import pandas as pd

        truth, probabilities = made(1, labels=("a", "b"))
        frame = pd.DataFrame(truth.astype(int), columns=["a", "b"])
        expected = gr.score(y_true=truth, y_prob=probabilities).overall
        for y_true in (frame, torch.tensor(truth), datasets.Dataset.from_pandas(frame)):
            y_prob = torch.tensor(probabilities, dtype=torch.float64)
            assert gr.score(y_true=y_true, y_prob=y_prob).overall.equals(expected)
        assert gr.score(y_true=frame, y_prob=probabilities).scores.labels == ("a", "b")

    def test_columns_that_have_names_are_aligned_by_them(self) -> None:
        import pandas as pd

        truth, probabilities = made(1, labels=("joy", "anger", "mine"))
        names = ["joy", "anger", "mine"]
        frame = pd.DataFrame(truth, columns=names).assign(text="t")
        other = pd.DataFrame(probabilities, columns=names)[["mine", "joy", "anger"]]
        expected = gr.score(y_true=truth, y_prob=probabilities, labels=names).overall
        found = gr.score(y_true=frame, y_prob=other, labels=names)
        assert found.overall.equals(expected)
        with pytest.raises(gr.DataError, match="y_prob has no column 'text'"):
            gr.score(y_true=frame.assign(text=0), y_prob=other)

    def test_the_callers_arrays_may_be_written_to_afterwards(self) -> None:
        truth, probabilities = made(1, labels=("a", "b"))
        wanted = gr.score(y_true=truth.copy(), y_prob=probabilities.copy()).overall
        found = gr.score(y_true=truth, y_prob=probabilities)
        held = gr.predictions_of(["t"] * len(truth), truth, probabilities, ["a", "b"])
        probabilities[:], truth[:] = 0.5, False
        assert found.overall.equals(wanted)
        assert gr.score(held).overall["macro_auc"] == wanted["macro_auc"]

    def test_missing_ids_are_no_labels_and_missing_marks_are_refused(self) -> None:
        frame = pd.DataFrame({"text": ["a", "b", "c"], "true_labels": [1.0, np.nan, 0.0]})
        frame = frame.assign(pred_probs_a=[0.1, 0.2, 0.3], pred_probs_b=[0.5, 0.6, 0.7])
        assert gr.score(frame).per_label["support"].tolist() == [1, 1]
        marks = frame.drop(columns="true_labels").assign(true_a=[1.0, np.nan, 0.0], true_b=1)
        with pytest.raises(gr.DataError, match="row 2, column true_a: 'nan' is neither 0 nor 1"):
            gr.score(marks)

    def test_a_frame_is_read_as_its_columns_are_named(self) -> None:
        frame = pd.DataFrame({"text": ["a\rb", None, "c"], "who": ["x", "x", "y"]})
        truth, likely = np.array([[1, 0], [0, 1], [1, 1]]), np.array([[0.9, 0.2], [0.1, 0.8]] * 2)
        for j, label in enumerate(("joy", "fear")):
            frame[f"gold_{label}"] = truth[:, j].astype(bool)
            frame[f"p_{label}"] = 0.5
            frame[f"q_{label}"] = likely[:3, j]
        named: dict[str, Any] = {"true": "gold_{label}", "prob": "q_{label}"}
        held = gr.score(frame, **named).held
        assert held is not None
        assert held.texts == ("a\rb", "", "c")
        assert held.probabilities.tolist() == likely[:3].tolist()
        assert held.truth.tolist() == truth.astype(bool).tolist()
        assert gr.compare(frame, frame, cluster="who", **named).comparison.clusters.number == 2
        lists = frame[["text"]].assign(labels=[["joy"], [], ["fear"]], probs=list(likely[:3]))
        both = gr.score(lists, labels=["joy", "fear"])
        assert both.held is not None
        assert both.held.probabilities.tolist() == likely[:3].tolist()

    def test_what_arrays_cannot_have_is_refused(self) -> None:
        truth, probabilities = made(1, labels=("a", "b"))
        given: dict[str, Any] = {"y_true": truth, "y_prob": probabilities}
        wrong: dict[str, Any]
        for wrong in (
            {"split": "train"}, {"map_to": "ekman"}, {"prob": "p_{label}"}, {"alias": "best"},
            {"y_pred": truth, "threshold": 0.3}, {"labels": 3}, {"labels": {"a": "b", "c": "d"}},
        ):  # fmt: skip
            with pytest.raises(gr.ArgumentError):
                gr.score(**given, **wrong)
        ids = {"b": np.int64(1), "a": np.int64(0)}
        assert gr.score(**given, labels=ids).scores.labels == ("a", "b")  # type: ignore[arg-type]

    def test_known_labels_come_in_their_order_with_their_columns_and_thresholds(self) -> None:
        truth, probabilities = made(1)
        cuts = np.linspace(0.2, 0.8, 28)
        expected = gr.score(y_true=truth, y_prob=probabilities, labels=EMOTIONS, threshold=cuts)
        back = {"y_true": truth[:, ::-1], "y_prob": probabilities[:, ::-1]}
        found = gr.score(**back, labels=EMOTIONS[::-1], threshold=cuts[::-1])
        assert found.per_label.equals(expected.per_label)

    def test_thresholds_go_to_their_labels_in_any_order(self) -> None:
        truth, probabilities = made(1, labels=("joy", "anger", "fear"))
        named = {0: "joy", 1: "anger", 2: "fear"}
        given: dict[str, Any] = {"y_true": truth, "y_prob": probabilities, "labels": named}
        cuts = pd.Series({"fear": 0.2, "joy": 0.6, "anger": 0.4})
        wanted = gr.score(**given, threshold=cuts.to_dict()).per_label
        same: Any
        for same in (cuts, torch.tensor([0.6, 0.4, 0.2]), [0.6, 0.4, 0.2]):
            pd.testing.assert_frame_equal(
                gr.score(**given, threshold=same).per_label, wanted, rtol=1e-6
            )
        with pytest.raises(gr.ArgumentError, match="no order"):
            gr.score(**given | {"labels": {"joy", "anger", "fear"}})

    def test_predictions_are_scored_as_they_were_predicted(self, files: tuple[str, str]) -> None:
        held = gr.read_predictions(files[0])
        assert (
            gr.score(held).overall["macro_f1"] == gr.score(held, threshold=0.5).overall["macro_f1"]
        )
        own = dict.fromkeys(held.labels, 0.9)
        assert gr.score(held, threshold=own).per_label["threshold"].eq(0.9).all()
        assert held.y_prob is not None
        assert held.y_true.shape == held.y_prob.shape == held.y_pred.shape == (300, 28)
        assert list(held.to_frame())[:4] == [
            "text", "true_labels", "pred_labels", "pred_probs_admiration",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("arrays", "said"),
        [
            ({"y_true": [[1, 0]], "y_prob": [[2.0, 0.1]]}, "row 0, 'label_0', is 2"),
            ({"y_true": [[1, 0]], "y_prob": [[0.1, np.nan]]}, "'label_1', is nan.*missing"),
            ({"y_true": [[1, 2]], "y_prob": [[0.1, 0.1]]}, "is 2. Give labels, 0 and 1"),
            ({"y_true": [1, 0], "y_prob": [0.1, 0.1]}, "of shape"),
            ({"y_true": [[1, 0]], "y_prob": [[0.1]]}, "y_prob is"),
            ({"y_true": [["a", "b"]], "y_prob": [[0.1, 0.1]]}, "Give numbers"),
            ({"y_true": [[1, 0]], "y_prob": [[0.1, 0.2]], "labels": ["a"]}, "1 labels for 2"),
            ({"y_true": [[1, 0]]}, "nothing to score"),
            ({"y_true": [[1, 0], [1]], "y_prob": [[0.1, 0.2]]}, "several lengths"),
            (
                {"y_true": [[1, 0]], "y_prob": [[0.1, 0.2]], "labels": ["a", "a"]},
                "'a' is there twice",
            ),
            ({"y_true": [[1, 0]], "y_prob": [[0.1, 0.2]], "labels": ["a", ""]}, "is no name"),
            ({"y_true": [[1, 0]], "y_prob": [[0.1, 0.2]], "threshold": 2}, "from 0 to 1"),
            ({"y_true": [[1, 0]], "y_prob": [[0.1, 0.2]], "threshold": "x"}, "from 0 to 1"),
            ({"y_true": [[1, 0]], "y_prob": [[0.1, 0.2]], "threshold": True}, "from 0 to 1"),
            ({"predictions": 3}, "is no predictions"),
            ({"y_true": SHUFFLED, "y_prob": SHUFFLED[::-1]}, "same index in another order"),
            ({"y_true": SHUFFLED.mask(SHUFFLED > 0), "y_prob": SHUFFLED}, "'joy', is nan"),
        ],
    )
    def test_what_cannot_be_scored_says_why(self, arrays: dict[str, Any], said: str) -> None:
        with pytest.raises(gr.DataError, match=said):
            gr.score(**arrays)


class TestCompare:
    def test_files_runs_and_memory_in_one_comparison(self, files: tuple[str, str]) -> None:
        c = gr.compare({"bert": files[0], "mine": gr.read_predictions(files[1])}, gr.run("a.csv"))
        assert set(c.leaderboard["run"]) == {"bert", "mine", "a"}
        columns = ["value", "low", "high", "difference", "difference_low", "difference_high",
                   "p", "verdict"]  # fmt: skip
        for frame in (c.leaderboard, c.differences, c.per_label):
            assert list(frame)[-8:] == columns
        assert len(c.per_label) == 3 * 28 * len(CLASS_METRICS)
        for frame in (c.per_label, c.thresholds):
            assert list(frame["emotion"].cat.categories) == list(EMOTIONS)
        assert {str(kind) for kind in c.per_label.dtypes} >= {"Int64", "float64", "category"}

    def test_calibration_without_validation_has_one_row_a_run(self, files: tuple[str, str]) -> None:
        c = gr.compare(*files)
        assert list(c.calibration["method"]) == ["as predicted"] * 2
        assert c.calibration["ece_debiased"].le(c.calibration["ece"]).all()
        assert (
            c.calibration[["temperature", "log_loss_gain", "tuned_macro_f1"]].isna().all(axis=None)
        )

    def test_a_comparison_as_json_is_what_is_saved(
        self, files: tuple[str, str], tmp_path: Path
    ) -> None:
        c = gr.compare(*files)
        saved = json.loads(c.save(tmp_path / "c.json").read_text())
        for one in (found := c.document()), saved:
            del one["created_at"]
            one["data"].pop("created_at", None)
        assert found == saved

    def test_equal_runs_have_no_label_that_differs(self, files: tuple[str, str]) -> None:
        frame = gr.compare({"one": files[0], "two": files[0]}).per_label
        assert frame.query("verdict in ['win', 'loss']").empty
        assert len(frame.query("verdict == 'tie'")) > 0

    def test_the_verdict_names_both_runs_and_has_its_numbers(self, files: tuple[str, str]) -> None:
        verdict = gr.compare(*files).verdict
        assert isinstance(verdict, str)
        assert verdict.numbers["best"] in verdict
        assert verdict.numbers["other"] in verdict
        assert verdict.numbers["low"] <= verdict.numbers["difference"] <= verdict.numbers["high"]

    def test_a_file_has_the_name_it_was_given_alone(self, files: tuple[str, str]) -> None:
        found = gr.compare({"old": files[0], "new": files[1]}, baseline="old")
        shown = [(run.name, run.short, run.recipe.title) for run in found.comparison.runs]
        assert shown == [("old", "R1 old", "old (R1)"), ("new", "R2 new", "new (R2)")]

    def test_half_as_threshold_needs_no_validation(self, files: tuple[str, str]) -> None:
        run = gr.run(files[0])
        assert set(run.thresholds("fixed").values()) == {0.5}
        with pytest.raises(gr.GoemoError, match="val"):
            run.thresholds("global")

    def test_reports_are_written_by_their_ending(self, files: tuple[str, str]) -> None:
        c = gr.compare(*files)
        for ending in ("html", "md", "json", "tex", "csv"):
            assert c.save(f"report.{ending}").stat().st_size > 1000
        with pytest.raises(gr.DataError, match="no ending of a report"):
            c.save("report.docx")
        with pytest.raises(gr.DataError, match="cannot be written"):
            c.save(files[0] + "/report.md")

    @pytest.mark.parametrize("wrong", [3, [None], {"a": 3}])
    def test_what_is_no_run_is_refused(self, wrong: Any) -> None:
        with pytest.raises(gr.GoemoError, match="is no run"):
            gr.compare(wrong)

    def test_figures_are_plotlys(self, files: tuple[str, str]) -> None:
        c = gr.compare(*files)
        figure = c.figure("per-label")
        assert isinstance(figure, go.Figure)
        shown = pickle.loads(pickle.dumps(figure))._repr_mimebundle_()
        assert shown == go.Figure(figure)._repr_mimebundle_()
        with pytest.raises(gr.NotFoundError, match="Figures: per-label"):
            c.figure("nothing")

    def test_a_figure_shows_where_plotly_does_not_run(
        self, files: tuple[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        figure = gr.compare(*files).figure("per-label").update_layout(title="mine")
        monkeypatch.setattr(plotly.io.renderers, "default", "plotly_mimetype")
        shown = figure._repr_mimebundle_()
        assert set(shown) == {"application/vnd.plotly.v1+json", "image/svg+xml"}
        assert "admiration" in shown["image/svg+xml"]
        monkeypatch.setattr(plotly.io.renderers, "default", "notebook_connected")
        page = figure._repr_mimebundle_()["text/html"]
        still = base64.b64encode(shown["image/svg+xml"].encode()).decode()
        assert page.index(still) < page.index("Plotly.newPlot")
        figure.data[0].z = [[0.0] * 28] * 2  # another figure than was drawn
        assert "image/svg+xml" not in figure._repr_mimebundle_()

    def test_a_comparison_shows_verdict_leaderboard_and_one_figure(
        self, files: tuple[str, str]
    ) -> None:
        c = gr.compare(*files)
        shown = c._repr_html_()
        assert html.escape(c.verdict) in shown
        (figure,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', shown)
        drawn = base64.b64decode(figure).decode()
        assert all(run.short in drawn for run in c.comparison.runs)
        assert len(shown) < 200_000

    def test_what_a_notebook_shows_is_escaped_and_small(self, files: tuple[str, str]) -> None:
        c = gr.compare({HOSTILE: files[0], "b": files[1]})
        held, runs = gr.read_predictions(files[0]), gr.runs(*files)
        gate = runs.check(fail_under="macro_f1=0.1")
        named = gr.predictions_of([HOSTILE] * 2, [[1, 0]] * 2, [[0.5, 0.1]] * 2, [HOSTILE, "b"])
        for shown in (
            *(c, held, gr.score(held), runs, gr.run("a.csv"), runs.audit(), gate, named),
            *(gr.run("a.csv").thresholds("fixed"), gr.score(named)),
        ):
            page = shown._repr_html_()
            assert "<script" not in page
            assert len(page) < 200_000
            assert "\n" not in repr(shown)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    make_runs(root, [OfflineRun("one"), OfflineRun("two", seed=7)])
    return root


class TestRuns:
    def test_tables_history_artifacts_and_downloads(self, logs: Path) -> None:
        runs = gr.runs(wandb_dir=logs)
        frame = runs.to_frame()
        assert {"config.random_seed", "summary.test/macro_f1"} <= set(frame)
        assert "UTC" in str(frame["created_at"].dtype)
        run = runs[frame["name"][0]]
        assert run.id == runs[0].id == runs[run.id].id
        assert run.history().index.name == "_step"
        assert "test_predictions.csv" in set(run.artifacts()["path"])
        done = run.download(only="test-predictions")
        assert done.complete
        assert len(run.predictions("test")) > 0
        assert len(gr.runs(wandb_dir=logs, limit=1)) == 1
        assert runs[np.int64(0)].id == runs[0].id
        with pytest.raises(gr.NotFoundError, match=f"Did you mean {run.id}"):
            runs[run.id[:-1]]
        with pytest.raises(gr.GoemoError, match="Protocols: per-class, global, fixed"):
            run.thresholds("best")
        assert "\n" not in repr(done)
        with pytest.raises(gr.GoemoError) as caught:
            gr.runs(tag="nothing", wandb_dir=logs)
        assert caught.value.remedy

    def test_nothing_is_printed(self, logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
        gr.compare(gr.runs(wandb_dir=logs))
        assert capsys.readouterr() == ("", "")


def test_a_script_of_ones_own_logs_as_the_guide_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three lines in somebody's script, with the real client."""
    script = f"""
import json, numpy as np, wandb, goemo_report as gr
truth, prob = (np.array(x) for x in json.load(open("arrays.json")))
run = wandb.init(project="p", mode="offline", config={{"model_name": "mine"}})
p = gr.predictions_of([str(i) for i in range(len(truth))], truth, prob, {list(EMOTIONS)})
for epoch in (1, 2):
    run.log({{"epoch": epoch, "val/auc": 0.5 + epoch / 10}}, step=epoch)
for split in ("test", "val"):
    gr.log_predictions(run, p, split=split)
    gr.log_evaluation(run, gr.score(p), split=split)
run.finish()
"""
    truth, probabilities = made(3)
    Path("arrays.json").write_text(json.dumps([truth.astype(int).tolist(), probabilities.tolist()]))
    for name, value in {"WANDB_SILENT": "true", "WANDB_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    (run,) = gr.runs(wandb_dir=tmp_path)
    assert np.array_equal(run.predictions("test").probabilities, probabilities)
    expected = gr.score(y_true=truth, y_prob=probabilities, labels=EMOTIONS)
    assert run.summary["test/macro_f1"] == pytest.approx(expected.overall["macro_f1"], abs=1e-12)
    assert len(set(run.artifacts()["artifact"])) == 3
    assert run.history()["val/auc"].tolist() == [0.6, 0.7]
    assert run.summary["val/auc"] == pytest.approx(expected.overall["micro_auc"], abs=1e-12)
    assert "epoch-step" not in set(gr.runs(wandb_dir=tmp_path).audit().to_frame()["rule"])


def test_trainer_metrics_have_the_guides_names() -> None:
    truth, probabilities = made(4)
    logits = np.log(probabilities / (1 - probabilities))
    found = gr.trainer_metrics(EMOTIONS)((logits, truth.astype(float)))
    expected = gr.score(y_true=truth, y_prob=probabilities, labels=EMOTIONS)
    assert found["macro_f1"] == pytest.approx(expected.overall["macro_f1"], abs=1e-9)
    assert found["auc"] == pytest.approx(expected.overall["micro_auc"], abs=1e-9)
    assert {"f1_joy", "support_joy", "micro_precision"} <= set(found)


@pytest.mark.parametrize(("run", "split"), [(None, "test"), ("a name", "test"), (object(), "dev")])
def test_predictions_are_logged_to_a_run_alone(run: Any, split: Any) -> None:
    p = gr.predictions_of(["a", "b"], [[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.7]], ["x", "y"])
    with pytest.raises(gr.GoemoError, match="is not a W&B run"):
        gr.log_predictions(run, p, split=split)
    with pytest.raises(gr.GoemoError, match="is not a W&B run"):
        gr.log_evaluation(run, gr.score(p), split=split)


def test_predictions_by_any_rule_are_logged_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels by the largest probability, from a model of the hub, read back the same."""
    import wandb

    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    probabilities = generator.random((40, 3)) / 2
    held = replace(
        gr.predictions_of(list("ab" * 20), probabilities > 0.3, probabilities, ["x", "y", "z"]),
        predicted=np.eye(3, dtype=bool)[probabilities.argmax(1)],
    )
    config = {"model_name": "microsoft/deberta-v3-base"}
    with wandb.init(mode="offline", config=config, project="p", id="hub00001") as run:
        gr.log_predictions(run, held)
    wandb.teardown()  # finish() does not wait until all of the log is on disk
    found = gr.run("hub00001", wandb_dir=tmp_path).predictions("test")
    assert (found.predicted == held.predicted).all()
    with pytest.raises(gr.GoemoError, match="no probabilities"):
        gr.log_predictions(run, replace(held, has_probabilities=False))


def test_the_numbers_are_what_the_sentence_says() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((200, 3)) < 0.3
    texts, runs = [str(i) for i in range(200)], {}
    for name, noise in (("bert", 0.9), ("roberta", 0.4)):
        found = truth * 0.5 + rng.random((200, 3)) * noise
        runs[name] = gr.predictions_of(texts, truth, found / 1.4, ["a", "b", "c"])
    verdict = gr.compare(runs).verdict
    assert "roberta against bert: " in verdict
    assert verdict.startswith("R2 roberta is best with")
    assert "noise" in verdict
    assert verdict.numbers["metric"] == "macro_f1"
    assert verdict.numbers["answer"] in ("better", "worse", "equivalent", "undecided")
    assert f"{verdict.numbers['difference']:+.3f} macro F1 at 0.5" in verdict


@pytest.mark.parametrize(
    "wrong",
    [
        *({"margin": value} for value in (-1, 0, float("nan"))),
        {"max_errors": -1},
        {"rank_on": "zzz"},
        *({"resamples": value} for value in (0, 10.5)),
        {"seed": -1},
        {"seed": True},
        {"margin": "x"},
    ],
)
def test_arguments_that_cannot_be_are_refused_by_name(wrong: dict[str, Any]) -> None:
    p = gr.predictions_of(["a", "b"], [[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.7]], ["x", "y"])
    with pytest.raises(gr.GoemoError, match=next(iter(wrong))):
        gr.compare({"a": p, "b": p}, **wrong)
    with pytest.raises(gr.GoemoError, match="threshold"):
        gr.predictions_of(["a"], [[1, 0]], [[0.9, 0.1]], ["x", "y"], threshold=float("nan"))


def test_arrays_as_scikit_learn_gives_them_are_understood() -> None:
    truth, probabilities = made(4)
    names = [f"l{i}" for i in range(truth.shape[1])]
    estimators = [np.stack([1 - column, column], axis=1) for column in probabilities.T]
    for given in (estimators, tuple(estimators), np.stack(estimators)):
        held = gr.predictions_of(None, truth, given, names)
        assert np.array_equal(held.probabilities, probabilities)
        assert (held.row_key, held.texts[0]) == ("row", "row 1")
        scored = gr.score(y_true=truth, y_prob=given, labels=names)
        assert scored.overall["macro_f1"] == gr.score(held).overall["macro_f1"]
    estimators[1] = estimators[1][:, :1]
    with pytest.raises(gr.GoemoError, match="'l1' has one column"):
        gr.predictions_of(None, truth, estimators, names)
    estimators[1] = estimators[0] * 2
    with pytest.raises(gr.GoemoError, match="'l1' has two columns that do not add up to 1"):
        gr.predictions_of(None, truth, estimators, names)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "there is no y_true"),
        ({"y_true": [[1, 0]]}, "there is no y_prob"),
        ({"y_true": [[1, 0]], "y_prob": [[0.9, 0.1]], "texts": "a"}, "texts is a str"),
        ({"y_true": [[1, 0]], "y_prob": [[0.9, 0.1]], "texts": 3}, "texts is a int"),
        ({"y_true": [[1, 0]], "y_prob": [[0.9, 0.1]], "texts": iter("ab")}, "2 texts for 1 rows"),
        ({"y_true": [[1]], "y_prob": [[0.9]]}, "there is one label"),
    ],
)
def test_what_is_missing_of_predictions_is_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(gr.GoemoError, match=said):
        gr.predictions_of(**given)


def test_thresholds_and_positions_that_are_not_there_are_named(files: tuple[str, str]) -> None:
    arrays: dict[str, Any] = {"y_true": [[1, 0]], "y_prob": [[0.9, 0.1]], "labels": ["a", "b"]}
    with pytest.raises(gr.GoemoError, match=r"no threshold for b, and 'zz' is no label.*: a and b"):
        gr.score(**arrays, threshold={"a": 0.3, "zz": 0.3})
    runs = gr.runs(*files)
    assert [run.id for run in runs] == [runs[0].id, runs[-1].id]
    for sequence in (runs, runs.audit()):
        with pytest.raises(gr.GoemoError, match="there is no run 99: there are 2 runs"):
            sequence[99]


def test_what_cannot_be_read_is_left_out_by_name(files: tuple[str, str]) -> None:
    broken = Path("broken")
    broken.mkdir()
    for name, text in (("config.json", "["), ("test_predictions.csv", Path(files[0]).read_text())):
        broken.joinpath(name).write_text(text)
    found = gr.compare([*files, broken], progress=False)
    assert [one.name for one in found.comparison.skipped] == ["broken"]


def test_one_run_under_two_names_keeps_both(files: tuple[str, str]) -> None:
    one = gr.runs(*files)[0]
    found = gr.compare({"first": one, "again": one}, progress=False)
    assert set(found.leaderboard["run"]) == {"first", "again"}


def test_no_runs_with_a_baseline_are_refused(files: tuple[str, str]) -> None:
    none, held = gr.runs(*files)[:0], gr.read_predictions(files[1])
    for others in ((), (held,)):
        with pytest.raises(gr.NotFoundError, match="no runs to compare with a baseline"):
            gr.compare(none, *others, baseline=files[0])


def test_a_run_whose_statistics_fail_is_left_out_and_the_others_go_on() -> None:
    runs = [run_result(one, number=number) for number, one in enumerate(STANDARD_RUNS[:3])]
    found = runs[0].splits["test"]
    torn = replace(found.predictions, probabilities=found.predictions.probabilities[:, :-1])
    broken = replace(runs[0], splits={"test": replace(found, predictions=torn)})
    c = ComparisonResult(compare([broken, *runs[1:]], options=Options(resamples=100)))
    assert len(c.names) == 3
    assert list(c.leaderboard["id"]) == [run.id for run in c.comparison.ranked]
    assert set(c.leaderboard["id"]) == {run.id for run in runs[1:]}
    (skipped,) = c.skipped
    assert skipped.name == broken.run.name
    assert "no intervals and differences: unexpected" in skipped.reason
    chosen = compare([broken, *runs[1:]], baseline=broken.id, options=Options(resamples=100))
    with pytest.raises(gr.SettingsError, match=r"the baseline .* cannot be used: no intervals"):
        ComparisonResult(chosen).prepare()


def test_a_run_that_cannot_be_aligned_is_left_out_and_the_others_go_on() -> None:
    runs = [run_result(one, number=number) for number, one in enumerate(STANDARD_RUNS[:3])]
    found = runs[2].splits["test"]
    torn = replace(found.predictions, texts=(*found.predictions.texts, "one text more"))
    broken = replace(runs[2], splits={"test": replace(found, predictions=torn)})
    c = ComparisonResult(compare([*runs[:2], broken], options=Options(resamples=100)))
    assert set(c.leaderboard["id"]) == {run.id for run in runs[:2]}
    (skipped,) = c.skipped
    assert skipped.name == broken.run.name
    assert skipped.reason.startswith(f"no rows in common with {runs[0].run.name}: unexpected Val")


def test_a_pair_that_cannot_be_compared_leaves_its_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = [OfflineRun(f"model{n}", quality=n / 2.5) for n in range(3)]
    runs = [run_result(one, number=number) for number, one in enumerate(recipes)]
    baseline, real = runs[0].splits["test"].predictions, differences.paired

    def fails(*pair: Analysis) -> Paired:
        if not np.array_equal(pair[1].predictions.probabilities, baseline.probabilities):
            raise ZeroDivisionError("by chance")
        return real(*pair)

    monkeypatch.setattr(run_statistics, "paired", fails)
    c = ComparisonResult(compare(runs, options=Options(resamples=100, rank_on="test")))
    assert c.verdict.numbers["best"] == runs[1].run.name
    (skipped,) = c.skipped
    assert skipped.name == runs[2].run.name
    why = f"no difference to {runs[1].run.name}: unexpected ZeroDivisionError: by chance"
    assert skipped.reason == why


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: gr.read_predictions("odd.csv"), "true=, pred= and prob='PATTERN_{label}'"),
        (lambda: gr.score("odd.csv", true="gold_{label}"), "Correct true="),
        (lambda: gr.compare("a.csv", "b.csv", rank_on="val"), "rank_on='test'"),
        (lambda: gr.compare("a.csv", "b.csv", labels="nowhere.txt"), "labels='nowhere.txt'"),
        (lambda: gr.runs("a.csv", val="c.csv"), "val="),
        (lambda: gr.runs(wandb_dir="nowhere"), "wandb_dir="),
        (lambda: gr.runs("a.csv").check(max_drop="0.1"), "max_drop= needs baseline="),
    ],
)
def test_errors_name_the_argument(
    files: tuple[str, str], call: Callable[[], object], named: str
) -> None:
    Path("odd.csv").write_text("words,one,two\nhello,1,2\n", encoding="utf-8")
    with pytest.raises(gr.GoemoError) as caught:
        call()
    assert named in str(caught.value)
    assert "--" not in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: gr.runs("a.csv", limit="3"),  # type: ignore[arg-type]
        lambda: gr.runs("a.csv", limit=2.5),  # type: ignore[arg-type]
        lambda: gr.runs("a.csv", tag=3),  # type: ignore[arg-type]
        lambda: gr.runs("a.csv").check(fail_under={"macro_f1": "high"}),  # type: ignore[dict-item]
        lambda: gr.runs("a.csv").check(fail_under=0.4),  # type: ignore[arg-type]
        lambda: gr.runs("a.csv").check(fail_under="macro_f1=0", confidence="0.9"),  # type: ignore[arg-type]
        lambda: gr.read_predictions("a.csv", labels=3),  # type: ignore[arg-type]
        lambda: gr.read_predictions(None),  # type: ignore[arg-type]
        lambda: gr.score("a.csv", split="dev"),  # type: ignore[arg-type]
        lambda: gr.runs(["a.csv"]),  # type: ignore[arg-type]
        lambda: gr.run(b"a.csv"),  # type: ignore[arg-type]
        lambda: gr.runs("a.csv", sort=3),  # type: ignore[arg-type]
        lambda: gr.runs("a.csv", source=3),  # type: ignore[arg-type]
        lambda: gr.runs("a.csv", val=3),  # type: ignore[arg-type]
        lambda: gr.runs("a.csv")[["a"]],  # type: ignore[call-overload]
        lambda: gr.compare("a.csv", raters=3),  # type: ignore[arg-type]
        lambda: gr.compare("a.csv", map_to=3),  # type: ignore[arg-type]
        lambda: gr.compare("a.csv").save("a.md", extent="long"),  # type: ignore[arg-type]
        lambda: gr.compare(gr.runs("a.csv"), top="x"),  # type: ignore[arg-type]
        lambda: gr.ensemble("a.csv", "b.csv", split="dev"),  # type: ignore[arg-type]
        lambda: gr.run("a.csv").download(root=None),  # type: ignore[arg-type]
        lambda: gr.run("a.csv").predict("one text"),
        lambda: gr.run("a.csv").predict([1, 2]),  # type: ignore[list-item]
        lambda: gr.run("a.csv").predict(["x"], protocol="best"),  # type: ignore[arg-type]
        lambda: gr.run("a.csv").card(license_id=3),  # type: ignore[arg-type]
        lambda: gr.run("a.csv").verify(limit=0),
        lambda: gr.run("a.csv").verify(tolerance=-1),
        lambda: gr.run("a.csv").verify(tolerance=float("nan")),
        lambda: gr.run("a.csv").predict(["x"], max_seq_length=2),
        lambda: gr.runs("a.csv").check(fail_under="macro_f1=0", confidence=0.5),
        lambda: gr.runs("a.csv").export("a.parquet", top=0),
        lambda: gr.compare("a.csv", top=0),
        lambda: gr.trainer_metrics(["joy", "fear"], threshold=1.5),
        lambda: gr.run("a.csv").export("onnx", split="dev"),  # type: ignore[arg-type]
    ],
)
def test_arguments_of_another_type_are_refused_in_one_line(
    files: tuple[str, str], call: Callable[[], object]
) -> None:
    with pytest.raises(gr.ArgumentError):
        call()


def test_tables_in_memory_are_compared_and_results_are_copied(files: tuple[str, str]) -> None:
    frame = gr.read_predictions("a.csv").to_frame()
    c = gr.compare({"frame": frame, "file": "a.csv", "b": "b.csv"}, resamples=100)
    values = c.leaderboard.set_index("run")["value"]
    assert values["frame"] == values["file"] == gr.score(frame).overall["macro_f1"]
    assert list(c.thresholds) == ["run", "emotion", "threshold", "value", "low", "high"]
    for copied in (pickle.loads(pickle.dumps(c)), copy.deepcopy(c)):
        assert copied.verdict == c.verdict
        assert copied.verdict.numbers == c.verdict.numbers
    assert gr.compare((name for name in files), resamples=100).names == ("a", "b")  # type: ignore[arg-type]
