"""Prediction files are runs wherever a RUN is taken, without W&B."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import goemo_report as gr
from goemo_report.cli import goemo_report
from goemo_report.errors import NotFoundError
from goemo_report.formats.files import write_output
from goemo_report.predictions import write_predictions
from goemo_report.results.loading import load_results
from goemo_report.settings import SourceChoice
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.files import FileSource
from goemo_report.sources.model import ArtifactRef, RunRecord
from goemo_report.sources.resolve import find_one, gather
from tests.offline_runs import OfflineRun, make_runs, write_prediction_file


@pytest.fixture(autouse=True)
def nothing_but_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    write_prediction_file(Path("a.csv"), OfflineRun(quality=0.7), "test")
    write_prediction_file(Path("b.csv"), OfflineRun(quality=0.8), "test")
    folder = Path("out", "bert")
    folder.mkdir(parents=True)
    for split in ("test", "val"):
        write_prediction_file(folder / f"{split}_predictions.csv", OfflineRun(), split)
    folder.joinpath("config.yaml").write_text("learning_rate: 2.0e-5\nrandom_seed: 7\n")
    folder.joinpath("history.csv").write_text("epoch,train/loss,note\n1,0.5,\n2,0.25,x\n")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(goemo_report, arguments, catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compare", "a.csv", "other=b.csv", "-o", "-", "--format", "json"), '"other"'),
        (("compare", "./out/bert", "a.csv", "-o", "-", "--format", "md"), "bert"),
        (("metrics", "out/bert"), "macro"),
        (("show", "out/bert"), "learning_rate"),
        (("thresholds", "out/bert"), '"per-class"'),
        (("check", "a.csv", "--fail-over", "hamming_loss=0.9"), ""),
        (("card", "a.csv"), "model-index"),
    ],
)
def test_every_command_that_takes_a_run(arguments: tuple[str, ...], said: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    assert said in result.stdout
    assert "W&B" not in result.stderr


def test_a_directory_brings_its_config_and_history() -> None:
    source, run = find_one(SourceChoice(), "out/bert")
    assert (run.name, run.config["random_seed"]) == ("bert", 7)
    assert source.histories([run])[run.id][1] == {
        "_step": 1, "epoch": 2.0, "train/loss": 0.25, "note": "x",
    }  # fmt: skip
    (result,) = load_results(source, [run])
    assert set(result.splits) == {"test", "val"}


def test_a_file_gets_its_validation_predictions_by_name() -> None:
    write_prediction_file(Path("v.csv"), OfflineRun(quality=0.7), "val")
    assert "Give them with --val" in invoke("thresholds", "a.csv").stderr
    found = json.loads(invoke("thresholds", "a.csv", "--val", "v.csv").stdout)
    assert (found["entries"][0]["run"], found["entries"][0]["split"]) == ("a.csv", "val")
    both = invoke("compare", "a.csv", "x=b.csv", "--val", "x=v.csv", "-o", "-", "--format", "json")
    assert "one threshold per class, F1 tuned on validation" in both.stdout
    for name, said in (("c=v.csv", "0 prediction files called c"), ("a=w.csv", "w.csv")):
        refused = invoke("check", "a.csv", "--val", name, "--fail-under", "macro_f1=0")
        assert (refused.exit_code, said in refused.stderr) == (1, True)


def test_files_and_runs_mix(tmp_path: Path) -> None:
    make_runs(tmp_path / "logs", [OfflineRun("distilbert-base", run_id="abc")])
    choice = SourceChoice(kind="offline", where=str(tmp_path / "logs"))
    _, listing = gather(choice, ["a.csv", "abc", "x=a.csv"], RunQuery())
    assert [run.id for run in listing.runs] == ["a.csv", "abc", "x=a.csv"]


def test_a_bare_word_that_is_a_file_and_a_run_is_refused(tmp_path: Path) -> None:
    make_runs(tmp_path / "logs", [OfflineRun("distilbert-base", run_id="bert", name="n")])
    Path("bert").mkdir()
    write_prediction_file(Path("bert", "test_predictions.csv"), OfflineRun(), "test")
    with pytest.raises(NotFoundError, match=r"Write \./bert for the file"):
        find_one(SourceChoice(kind="offline", where=str(tmp_path / "logs")), "bert")
    assert (
        find_one(SourceChoice(kind="offline", where=str(tmp_path / "logs")), "./bert")[1].name
        == "bert"
    )
    Path("only").mkdir()
    write_prediction_file(Path("only", "test_predictions.csv"), OfflineRun(), "test")
    assert (
        find_one(SourceChoice(kind="offline", where=str(tmp_path / "logs")), "only")[1].name
        == "only"
    )


def test_a_damaged_config_is_one_line() -> None:
    Path("out", "bert", "config.json").write_text("[" * 5000)
    result = invoke("compare", "out/bert")
    assert result.exit_code == 1
    assert "config.json cannot be read" in result.stderr
    assert json.dumps(result.stderr).count("\\n") == 1


def test_what_can_be_read_only_once_is_read_once(tmp_path: Path) -> None:
    """A pipe, as the shell makes of `<(...)`, and one with a name."""
    data = Path("a.csv").read_bytes()
    for command in ("compare {} b.csv -o - --format json", "show {}", "card {}", "metrics {}"):
        os.mkfifo(pipe := tmp_path / "pipe.csv")
        with ThreadPoolExecutor() as pool:
            pool.submit(pipe.write_bytes, data)
            result = invoke(*command.format(pipe).split())
        pipe.unlink()
        assert result.exit_code == 0, result.stderr
    reading, writing = os.pipe()
    with ThreadPoolExecutor() as pool:
        pool.submit(write_output, Path(f"/dev/fd/{writing}"), data).add_done_callback(
            lambda _: os.close(writing)
        )
        source, run = find_one(SourceChoice(), f"sub=/dev/fd/{reading}")
        (piped,) = load_results(source, [run], ["test"])
    os.close(reading)
    source, run = find_one(SourceChoice(), "a.csv")
    (plain,) = load_results(source, [run], ["test"])
    assert piped.run.name == "sub"
    assert piped.splits["test"].scores.overall == plain.splits["test"].scores.overall


def test_a_file_that_changes_while_it_is_read_is_a_skipped_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = FileSource.fetch

    def fetch(source: FileSource, wanted: Any, progress: Any) -> Any:
        if wanted[0][0].name == "b.csv":
            Path("b.csv").write_bytes(Path("a.csv").read_bytes()[:-20])
        return asked(source, wanted, progress)

    monkeypatch.setattr(FileSource, "fetch", fetch)
    result = invoke("compare", "a.csv", "b.csv", "-o", "-", "--format", "json")
    assert result.exit_code == 0
    assert "skipped b: b.csv changed while it was read" in result.stderr


@pytest.mark.parametrize("step", ["artifacts_of", "files_of"])
@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_file_that_goes_is_a_skipped_run(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], step: str
) -> None:
    asked = getattr(FileSource, step)

    def changing(source: FileSource, one: RunRecord | ArtifactRef) -> Any:
        found = asked(source, one)
        if one.name in {"b", "b.csv"} and Path("b.csv").exists():
            change(Path("b.csv"))
        return found

    monkeypatch.setattr(FileSource, step, changing)
    result = invoke("compare", "a.csv", "b.csv", "-o", "-", "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[-1].startswith("skipped b: b.csv ")


def test_files_keep_the_order_in_which_they_are_named() -> None:
    assert gr.compare("b.csv", "a.csv").names == ("b", "a")


def test_files_of_one_name_are_told_apart_by_their_directories() -> None:
    for name in ("x", "y"):
        Path(name).mkdir()
        Path(name, "predictions.csv").write_bytes(Path("a.csv").read_bytes())
    assert gr.compare("y/predictions.csv", "x/predictions.csv").names == ("y", "x")
    with pytest.raises(gr.GoemoError, match="two runs are called m"):
        gr.compare("m=a.csv", "m=b.csv")


def test_validation_predictions_of_another_model_are_refused() -> None:
    labels = ("x", "y")
    write_predictions(Path("own.csv"), ["a", "b"], np.eye(2), np.eye(2), 0.5, labels)
    for line in (
        "thresholds a.csv --val own.csv",
        "card a.csv --val own.csv",
        "check a.csv --fail-under test/macro_f1=0 --val own.csv",
        "compare a.csv b.csv --val a=own.csv --rank-on val -o -",
    ):
        result = invoke(*shlex.split(line))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "own.csv has 2 labels, a.csv 28 others: they are not of" in result.stderr


def said(line: str) -> str:
    return invoke(*shlex.split(line)).stderr


def test_validation_predictions_come_from_a_pipe_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        written = pool.submit(lambda: pipe.write_bytes(Path("b.csv").read_bytes()))
        result = invoke("thresholds", "a.csv", "--val", str(pipe))
        written.result()
    assert result.exit_code == 0
    assert "test texts are validation texts: what is tuned on them" in result.stderr
    assert "two files of --val: b.csv and a.csv" in said(
        "compare a.csv b.csv --val a=b.csv --val a=a.csv -o -"
    )


@pytest.mark.parametrize(
    ("runs", "baseline", "name"),
    [
        ("b.csv", "plain", "plain"),  # a directory, which joins the runs
        ("plain b.csv", "plain", "plain"),
        ("plain b.csv", "./plain/", "plain"),
        ("plain b.csv", "{here}/b.csv", "b"),
        ("b.csv m=plain", "plain", "m"),  # by its own path, whatever it is called
        ("b.csv m=plain", "m=plain", "m"),
        ("b.csv m=plain", "m", "m"),
        ("m=plain", "b.csv", "b"),
    ],
)
def test_a_baseline_is_named_as_a_run_is(runs: str, baseline: str, name: str) -> None:
    Path("plain").mkdir()
    Path("a.csv").rename("plain/test_predictions.csv")
    baseline = baseline.format(here=Path.cwd())
    found = gr.compare(gr.runs(*runs.split()), baseline=baseline, resamples=100).comparison
    assert (found.baseline.name, found.baseline_is_chosen) == (name, True)
    assert len(found.runs) == 2


def test_in_python_a_baseline_is_a_path_too() -> None:
    for baseline in ("./b.csv", str(Path("b.csv").resolve()), "b", "b.csv"):
        found = gr.compare("a.csv", "b.csv", baseline=baseline).comparison
        assert found.baseline.name == "b"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("compare a.csv b.csv --baseline c -o -", "no run is called c. The files compared are a"),
        ("metrics empty", "no test_predictions.* or val_predictions.*"),
        ("metrics -", "'-' names no run and no file. "),
        ("metrics M=", "'M=' names no run and no file. "),
        ("compare '' -o -", "an empty text names no run"),
        ("compare =a.csv b.csv -o -", "'=a.csv' has no name before =. Write NAME=FILE"),
    ],
)
def test_mistakes_among_files_ask_no_server(line: str, why: str) -> None:
    Path("empty").mkdir()
    assert why in said(line)
    assert invoke("metrics", "M=a.csv").exit_code == 0


def results(name: str, **noted: Any) -> Path:
    """What `goemo-train --wandb-mode disabled` leaves, of few texts and with a config alone as
    checkpoint."""
    directory = Path("trained", name)
    directory.joinpath("checkpoint").mkdir(parents=True)
    directory.joinpath("checkpoint/config.json").write_text('{"num_labels": 28}')
    for split in ("test", "val"):
        write_prediction_file(directory / f"{split}_predictions.csv", OfflineRun(), split)
    directory.joinpath("per_class_metrics.csv").write_text("emotion,f1_score\njoy,0.5\n")
    about: dict[str, Any] = {
        "id": name[-8:],
        "name": name[:-9],
        "settings": {"model": "x", "learning_rate": 0.1, "wandb_mode": "disabled", "project": "p"},
        "config": {
            "model_name": "my/bert",
            "model": "x",
            "learning_rate": 0.1,
            "phase": "training",
        },
        "history": [{"epoch": n, "val/loss": 1 / n} for n in (1, 2)],
        "summary": {"test/macro_f1": 0.5, "total_training_time": 7200.0},
    }
    directory.joinpath("run.json").write_text(json.dumps(about | noted))
    return directory


def test_results_of_the_trainer_are_a_run_with_all_that_it_would_have_logged() -> None:
    directory = results("bert-20260102-030405-abcd1234")
    for reference in (str(directory), f"mine={directory}", "p/abcd1234"):
        choice = SourceChoice(kind="offline", where="trained")
        source, run = find_one(choice, reference)
        assert run.name == ("mine" if "=" in reference else "bert-20260102-030405")
        assert (run.id, run.project, run.state) == ("abcd1234", "p", "finished")
        assert run.tags == ("my/bert", "training")
        assert run.summary["test/macro_f1"] == run.summary["val/loss"] == 0.5
        assert [row["_step"] for row in source.histories([run])[run.id]] == [1, 2]
        own = {one.role: one for one in source.artifacts([run])[run.id]}
        assert {str(role): one.name for role, one in own.items()} == {
            role: f"bert-{role}-abcd1234"
            for role in ("checkpoint", "val-predictions", "test-predictions", "per-class-metrics")
        }
        stated = own["checkpoint"].metadata
        assert stated["training_time_hours"] == 2
        assert stated["hyperparameters"] == {"model": "x", "learning_rate": 0.1}
    assert load_results(source, [run], ["test", "val"])[0].splits.keys() == {"test", "val"}
    limit = ("--fail-over", "total_training_time=7000", "--require-artifacts")
    said = invoke("check", str(directory), *limit)
    assert (said.exit_code, "7200" in said.output) == (3, True)
    listed = invoke("runs", "--wandb-dir", "trained")
    assert "abcd1234" in listed.output


@pytest.mark.parametrize(
    ("noted", "why"),
    [
        ("{", "run.json cannot be read"),
        ('{"a":' * 200, "run.json cannot be read"),
        ('{"id": "../x", "config": {}}', "'../x' is no run id"),
        ('{"id": "x", "config": []}', "config is no mapping"),
        ('{"id": "x", "history": [1]}', "history is no list of epochs"),
        ('{"id": "x", "settings": {"tag": "no"}}', "tag is no list"),
    ],
)
def test_a_damaged_record_is_left_out_with_its_reason(noted: str, why: str) -> None:
    directory = results("bert-20260102-030405-abcd1234")
    directory.joinpath("run.json").write_text(noted)
    broken = Path("broken")
    broken.mkdir()
    write_prediction_file(broken / "test_predictions.csv", OfflineRun(), "test")
    broken.joinpath("config.json").write_text("[]")
    _, listing = gather(SourceChoice(), ["a.csv", str(directory), str(broken)], RunQuery())
    assert [run.name for run in listing.runs] == ["a"]
    assert [why in one.reason for one in listing.skipped] == [True, False]
    assert "config.json holds no settings" in listing.skipped[1].reason
    for lost in (directory, broken):
        said = invoke("show", str(lost))
        assert (said.exit_code, said.output.count("\n")) == (1, 1)
    directory.joinpath("run.json").write_text('{"lr": 3}')  # some other program's
    assert find_one(SourceChoice(), str(directory))[1].name == directory.name
