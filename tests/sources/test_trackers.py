"""Runs that the real MLflow and trackio logged: what is read of them, and commands on them."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

import goemo_report as gr
from goemo_report.cli import goemo_report
from goemo_report.contract import SPLITS
from goemo_report.errors import ArgumentError
from goemo_report.sources.local_tracker import Kept, grouped
from tests.conftest import MakeOnce
from tests.offline_runs import epoch_metrics, predictions, run_config
from tests.sources.scripted_server import Answer, scripted_server, status
from tests.sources.tracked_runs import EXPERIMENT, RUNS, made, make_tracked
from tests.synthetic import run_result


@pytest.fixture(scope="session")
def tracked(make_once: MakeOnce) -> Path:
    """`mlruns`, of MLflow's file store, and `trackio`, with its Parquet files. Read only."""
    return make_once("tracked-runs", make_tracked)


@pytest.fixture
def parquet(tracked: Path, tmp_path: Path) -> Path:
    """trackio's directory without its databases, as in a data set on the hub."""
    return Path(
        shutil.copytree(
            tracked / "trackio", tmp_path / "parquet", ignore=shutil.ignore_patterns("*.db*")
        )
    )


def invoke(*words: object, code: int = 0) -> Result:
    done = CliRunner().invoke(goemo_report, list(map(str, words)))
    assert done.exit_code == code, done.output
    return done


def state_of(root: Path) -> dict[str, str]:
    """Every file with a digest."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def holds_what_was_logged(source: str) -> None:
    """Config, history, predictions and files of both runs."""
    found = gr.runs(source=source, state="finished")
    assert [run.name for run in found] == [run.model for run in RUNS]
    for run, wanted in zip(found, RUNS, strict=True):
        config = run_config(wanted)
        held = {key: value for key, value in run.config.items() if key != "tags"}
        assert held == config
        assert run.record.created_at is not None
        history = run.history()
        for epoch in range(1, wanted.epochs + 1):
            for key, value in epoch_metrics(wanted, epoch).items():
                assert history.loc[epoch, key] == pytest.approx(value), key
        for split in SPLITS:
            texts, truth, probabilities = predictions(wanted, split)
            read = run.predictions(split)
            assert list(read.texts) == texts
            assert (read.truth == truth).all()
            assert np.allclose(read.probabilities, probabilities, atol=1e-6)
        paths = set(run.artifacts()["path"])
        assert {"config.json", "model.safetensors", "test_predictions.csv"} <= paths


def holds_the_logged_model(source: str) -> None:
    """The newest of `log_model`, as transformers saves models."""
    files = gr.run(RUNS[0].model, source=source).artifacts()
    model = files[files["artifact"] == "classifier"]
    assert set(model["type"]) == {"model"}
    assert dict(zip(model["path"], model["size"], strict=True)) == {
        "MLmodel": 27, "config.json": 25, "model.safetensors": 11, "tokenizer.json": 2,
    }  # fmt: skip


def test_mlflow_folders_hold_what_was_logged(tracked: Path) -> None:
    before = state_of(tracked / "mlruns")
    source = f"mlflow:{tracked / 'mlruns'}"
    holds_what_was_logged(source)
    every = gr.runs(source=source, everything=True)
    assert [(run.name, run.record.state) for run in every][-1] == ("broken", "failed")
    assert set(every[0].tags) == {"checked", "roberta-large", "training", "status=final"}
    assert every[0].summary["odd"] == float("inf")
    assert {run.record.project for run in every} == {EXPERIMENT}
    assert len(gr.runs(source=source, tag="status=final", limit=1)) == 1
    holds_the_logged_model(source)
    assert gr.run(f"{EXPERIMENT}/{RUNS[0].model}", source=source).id == every[0].id
    assert state_of(tracked / "mlruns") == before  # nothing is written to a source


@pytest.mark.parametrize("kind", ["database", "parquet"])
def test_trackio_holds_what_was_logged(kind: str, tracked: Path, parquet: Path) -> None:
    place = parquet if kind == "parquet" else tracked / "trackio"
    before = state_of(place)
    holds_what_was_logged(f"trackio:{place}")
    (first, _) = gr.runs(source=f"trackio:{place}", tag="final", group="g")
    assert first.record.project == EXPERIMENT
    tables = gr.run(first.name, source=f"trackio:{place}",
                    predictions=("test_predictions", "val=val_predictions"))  # fmt: skip
    for split in SPLITS:
        texts, truth, _ = predictions(RUNS[0], split)
        read = tables.predictions(split)
        assert list(read.texts) == texts
        assert (read.truth == truth).all()
    rows = {"_type": "trackio.table", "rows": len(texts)}
    assert first.summary["test_predictions"] == rows
    assert state_of(place) == before


@pytest.mark.parametrize("kind", ["mlflow", "trackio"])
def test_commands_read_any_source(kind: str, tracked: Path, tmp_path: Path) -> None:
    place = tracked / ("mlruns" if kind == "mlflow" else "trackio")
    source = ("--source", f"{kind}:{place}")
    best, other = RUNS[0].model, RUNS[1].model
    report = tmp_path / "report"
    invoke("compare", *source, "--state", "finished", "--format", "json", "-o", report,
           "--name", "r", "--resamples", "100")  # fmt: skip
    document = (report / "r.json").read_text()
    assert best in document
    assert other in document
    wanted = run_result(RUNS[0]).splits["test"].scores.overall["macro_f1"]
    shown = json.loads(invoke("metrics", best, *source, "--format", "json").stdout)
    assert shown["overall"]["macro_f1"] == pytest.approx(wanted)
    assert best in invoke("runs", *source).stdout
    history = json.loads(invoke("show", best, *source, "--format", "json").stdout)["history"]
    assert len(history) >= RUNS[0].epochs
    invoke("check", best, *source, "--fail-under", "macro_f1=0.01")
    assert "macro_f1" in invoke("check", other, *source, "--fail-under", "macro_f1=0.99",
                                code=3).stdout  # fmt: skip
    if kind == "mlflow":  # a file by its own name, or with the folder that it lies in
        named = ("metrics", best, *source, "--format", "json", "--predictions")
        for name in ("scored.csv", "mine/deep/scored.csv"):
            assert json.loads(invoke(*named, name).stdout) == shown
        said = invoke("metrics", other, *source, "--predictions", "scored.csv", code=1).stderr
        assert "mine/deep/scored.csv and other/deep/scored.csv" in said
        assert "no run logged an artifact no.csv" in invoke(*named, "no.csv", code=1).stderr
    else:
        invoke("download", f"{best}-model:v0", *source, "--root", tmp_path / "b")
        assert (tmp_path / "b" / f"{best}-model" / "model.safetensors").read_bytes() == b"weights"
        said = invoke("download", f"{best}-model:v9", *source, code=1).stderr
        assert "Its versions and aliases are latest, v0" in said
    invoke("audit", best, *source, code=3)  # neither keeps the guide's names
    for name in (best, other, best):  # what another run has under the same name stays
        invoke("download", name, *source, "--only", "test-predictions", "--root", tmp_path / "a")
    one, two = (tmp_path / "a").rglob("test_predictions.csv")
    assert one.read_bytes() != two.read_bytes()


def test_what_cannot_be_read_is_one_line(tracked: Path, tmp_path: Path) -> None:
    broken = tmp_path / "mlflow.db"
    broken.write_bytes(b"no database" * 100)
    (tmp_path / "empty").mkdir()
    foreign = tmp_path / "foreign" / "scores.parquet"
    foreign.parent.mkdir()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "step": [1]}), foreign)
    for place, said in (
        (f"mlflow:{broken}", "cannot be read"),
        (f"trackio:{broken}", "cannot be read"),
        (f"mlflow:{tmp_path / 'empty'}", "no MLflow runs"),
        (f"trackio:{tmp_path / 'empty'}", "no trackio projects"),
        (f"trackio:{foreign.parent}", "no trackio projects"),
        (f"trackio:{foreign}", "Give trackio's directory"),
        ("mlflow:postgresql://host/db", "mlflow server"),
        ("mlflow:http://127.0.0.1:9", "cannot be reached"),
    ):
        done = invoke("runs", "--source", place, code=1)
        assert len(done.stderr.splitlines()) == 1
        assert said in done.stderr
    for place, noun in (("mlflow:mlruns", "Experiments"), ("trackio:trackio", "Projects")):
        kind, _, folder = place.partition(":")
        source = ("--source", f"{kind}:{tracked / folder}")
        done = invoke("runs", *source, "--project", "nope", code=1)
        assert noun in done.stderr
        assert f"'{EXPERIMENT}'" in done.stderr
    assert "Values of group: g (2)" in invoke("runs", *source, "--group", "x", code=1).stderr
    invoke("runs", *source, "--project", "emo tions")  # trackio's file has no blanks in its name
    assert "Sources: wandb" in invoke("runs", "--source", "nope:x", code=2).stderr
    invoke("runs", "--source", "mlflow:x", "--wandb-dir", "y", code=2)
    assert "takes no place 'team'" in invoke("runs", "--source", "wandb:team", code=2).stderr
    with pytest.raises(ArgumentError):
        gr.runs(source="wandb_api:x")

    copy = shutil.copytree(tracked / "mlruns", tmp_path / "mlruns")
    damaged = next(path for path in copy.glob("*/*/meta.yaml"))
    damaged.write_text("!!python/object/apply:os.system ['touch /tmp/never']")
    done = invoke("runs", "--source", f"mlflow:{copy}")
    assert damaged.parent.name in done.stderr


def test_bytes_that_changed_are_not_read(tracked: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tracked / "trackio", tmp_path / "trackio")
    for blob in (copy / "artifacts").rglob("*"):
        if blob.is_file():
            blob.write_bytes(blob.read_bytes() + b" ")
    done = invoke("metrics", RUNS[0].model, "--source", f"trackio:{copy}", code=1)
    assert "bytes are not those logged" in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update configs set config = '{' where run_name = ?", "run"),
        ("update metrics set metrics = '{' where run_name = ?", "run"),
        (
            (
                "update artifact_versions set manifest = '{' where id in "
                "(select artifact_version_id from run_artifact_links where run_name = ?)"
            ),
            "the artifacts of run",
        ),
    ],
)
def test_of_a_damaged_run_of_trackio_the_others_are_read(
    tracked: Path, tmp_path: Path, change: str, said: str
) -> None:
    copy = shutil.copytree(tracked / "trackio", tmp_path / "trackio")
    (database,) = copy.glob("*.db")
    with sqlite3.connect(database) as base:
        base.execute(change, (RUNS[1].model,))
    base.close()
    runs = gr.runs(source=f"trackio:{copy}")
    assert [run.name for run in runs] == [RUNS[0].model]
    assert runs[0].predictions("test").texts
    assert [one.name for one in runs.skipped] == [RUNS[1].model]
    assert runs.skipped[0].reason.startswith(said)


def test_files_are_put_together_by_what_they_are() -> None:
    run = run_result(RUNS[0]).run
    paths = ("a/test_predictions.csv.gz", "a/b/config.json", "a/b/vocab.txt", "x.txt", "a/c.png",
             "m/MLmodel", "m/model/config.json", "m/components/tokenizer/vocab.txt")  # fmt: skip
    found = grouped(run, [Kept(path, 1) for path in paths])
    assert {(one.name, one.role): [kept.path for kept in files] for one, files in found} == {
        ("a-test_predictions.csv.gz", "test-predictions"): ["test_predictions.csv.gz"],
        ("a-b", "checkpoint"): ["config.json", "vocab.txt"],
        ("m", "checkpoint"): ["MLmodel", "config.json", "vocab.txt"],
        ("x.txt", None): ["x.txt"],
        ("a", None): ["c.png"],
    }


@pytest.mark.slow
def test_mlflow_database_holds_what_was_logged(tmp_path: Path) -> None:
    made("mlflow", f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "files", cwd=tmp_path)
    before = state_of(tmp_path)
    holds_what_was_logged(f"mlflow:{tmp_path}")
    holds_what_was_logged(f"mlflow:sqlite:///{tmp_path / 'mlflow.db'}")
    holds_the_logged_model(f"mlflow:{tmp_path}")
    every = gr.runs(source=f"mlflow:{tmp_path}", everything=True)
    assert every[0].summary["odd"] == float("inf")
    assert [run.name for run in every][-1] == "broken"
    assert state_of(tmp_path) == before
    with sqlite3.connect(tmp_path / "mlflow.db") as base:  # moved with its artifacts
        base.execute("update runs set artifact_uri = replace(artifact_uri, ?, '/elsewhere')",
                     (str(tmp_path),))  # fmt: skip
    base.close()
    holds_what_was_logged(f"mlflow:{tmp_path}")
    with sqlite3.connect(tmp_path / "mlflow.db") as base:
        base.execute("update latest_metrics set value = 'x' where run_uuid = ?", (every[0].id,))
    base.close()
    rest = gr.runs(source=f"mlflow:{tmp_path}")
    assert [run.name for run in rest] == [RUNS[1].model, "broken"]
    assert [one.name for one in rest.skipped] == [every[0].id]


class _Rest(BaseHTTPRequestHandler):
    """MLflow's REST API over its own store: the answers are its messages, a page at a time."""

    client: Any
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("experiments/search"):
            found, key = self.client.search_experiments(), "experiments"
        elif self.path.endswith("logged-models/search"):
            experiments = asked["experiment_ids"]
            found, key = self.client.search_logged_models(experiments, asked["filter"]), "models"
        else:
            found, key = self.client.search_runs(
                asked["experiment_ids"], asked.get("filter", ""), max_results=1,
                order_by=asked["order_by"], page_token=asked.get("page_token"),
            ), "runs"  # fmt: skip
        token = found.token.decode() if isinstance(found.token, bytes) else found.token or ""
        self.reply({key: list(map(as_json, found)), "next_page_token": token})

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        if path == "/get-artifact":
            run = self.client.get_run(asked["run_uuid"])
            self.send((Path(urlsplit(run.info.artifact_uri).path) / asked["path"]).read_bytes())
        elif path.endswith("artifacts/files"):
            model = self.client.get_logged_model(path.split("/")[-3])
            self.send(Path(model.artifact_location, asked["artifact_file_path"]).read_bytes())
        elif path.endswith("artifacts/directories"):
            model, folder = path.split("/")[-3], asked.get("artifact_directory_path")
            found = self.client.list_logged_model_artifacts(model, folder)
            self.reply({"files": list(map(as_json, found))})
        elif path.endswith("artifacts/list"):
            found = self.client.list_artifacts(asked["run_id"], asked.get("path"))
            self.reply({"files": list(map(as_json, found))})
        else:
            found = self.client.get_metric_history(asked["run_id"], asked["metric_key"])
            self.reply({"metrics": list(map(as_json, found))})

    def reply(self, value: Any) -> None:
        self.send(json.dumps(value).encode())

    def send(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


def as_json(entity: Any) -> Any:
    from mlflow.utils.proto_json_utils import message_to_json

    return json.loads(message_to_json(entity.to_proto()))


@pytest.mark.slow
def test_an_mlflow_server_holds_what_was_logged(
    tracked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    client = MlflowClient(f"file:{tracked / 'mlruns'}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (_Rest,), {"client": client}))
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    source = f"mlflow:http://127.0.0.1:{server.server_address[1]}"
    try:
        holds_what_was_logged(source)
        holds_the_logged_model(source)
        every = gr.runs(source=source, everything=True)
        assert [run.name for run in every] == [*(run.model for run in RUNS), "broken"]
        assert every[0].summary["odd"] == float("inf")
        assert [run.name for run in gr.runs(source=source, limit=1, everything=True)] == ["broken"]
    finally:
        server.shutdown()
        server.server_close()


def test_a_server_that_refuses_gets_no_key_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct-horse")
    with scripted_server() as server:
        server.otherwise = status(401)
        done = invoke("runs", "--source", f"mlflow:{server.url}", code=1)
        server.otherwise = status(200, b"[1]")
        odd = invoke("runs", "--source", f"mlflow:{server.url}", code=1)
        server.otherwise = status(404)
        other = invoke("runs", "--source", f"mlflow:{server.url}", code=1)
    assert "MLFLOW_TRACKING_USERNAME" in done.stderr
    assert "no JSON object" in odd.stderr
    assert "answers 404" in other.stderr
    assert "correct-horse" not in done.output + odd.output + other.output
    assert "Basic " in server.headers[0]["Authorization"]


HELD = b"text,true_labels,pred_labels\na,joy,joy\nb,fear,fear\n"


def cut(request: BaseHTTPRequestHandler) -> None:
    """Promise the whole file, and close after ten bytes."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(HELD)))
    request.end_headers()
    request.wfile.write(HELD[:10])
    request.close_connection = True


@pytest.mark.parametrize(
    ("path", "broken", "said"),
    [
        ("get-artifact", status(200, HELD), ""),
        ("get-artifact", status(200, HELD + b"c,,\n"), "bytes came of"),
        ("get-artifact", cut, "IncompleteRead"),
        ("get-artifact", status(200, HELD, Content_Encoding="gzip"), "gzip"),
        ("artifacts/list", status(200, b'{"files": [{"path": "a", "file_size": "big"}]}'), "big"),
        ("artifacts/list", status(200, b'{"files": [{}]}'), "it has no 'path'"),
        ("experiments/search", status(200, b'{"experiments": ["x"]}'), "cannot be read"),
    ],
)
def test_broken_answers_of_a_server_are_one_line(path: str, broken: Answer, said: str) -> None:
    listed = {"path": "test_predictions.csv", "file_size": len(HELD)}
    good = {
        "experiments/search": {"experiments": [{"experiment_id": 1, "name": "E"}]},
        "runs/search": {"runs": [{"info": {"experiment_id": 1, "run_id": "r"}}]},
        "artifacts/list": {"files": [listed]},
    }

    def answer(request: BaseHTTPRequestHandler) -> None:
        if path in request.path:
            broken(request)
        else:
            found = [value for name, value in good.items() if name in request.path]
            known = status(200, json.dumps(found[0]).encode()) if found else status(404)
            known(request)  # before version 3 there is no path logged-models

    with scripted_server() as server:
        server.otherwise = answer
        try:
            (run,) = gr.runs(source=f"mlflow:{server.url}")
            held = run.predictions(labels=["joy", "fear"])
        except gr.GoemoError as error:
            assert said and said in str(error)  # noqa: PT018, PT017 # one of many
        else:
            assert not said
            assert held.texts == ("a", "b")


def test_of_a_server_that_does_not_know_files_of_one_run_the_others_are_read() -> None:
    runs: list[dict[str, Any]] = [{"info": {"experiment_id": 1, "run_id": "good"}}]
    metrics = [{"key": "f1", "value": 0.5}]
    runs.append({"info": {"experiment_id": 1, "run_id": "lost"}, "data": {"metrics": metrics}})
    listed = {"path": "test_predictions.csv", "file_size": len(HELD)}
    answers = {
        "experiments/search": {"experiments": [{"experiment_id": 1, "name": "E"}]},
        "runs/search": {"runs": runs},
        "run_id=good": {"files": [listed]},
    }

    def answer(request: BaseHTTPRequestHandler) -> None:
        found = [value for name, value in answers.items() if name in request.path]
        body = HELD if "get-artifact" in request.path else json.dumps(found[:1]).encode()[1:-1]
        status(200 if body else 404, body)(request)

    with scripted_server() as server:
        server.otherwise = answer
        result = gr.compare(gr.runs(source=f"mlflow:{server.url}"), labels=["joy", "fear"])
    assert [run.id for run in result.comparison.runs] == ["good"]
    (skipped,) = result.skipped
    assert skipped.name == "lost"
    assert "answers 404 to /api/2.0/mlflow/artifacts/list" in skipped.reason


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("meta.yaml", "run_id: r\nstart_time: [then]\n", ""),
        ("meta.yaml", "run_id: r\nartifact_uri: 'file://['\n", "artifacts of run r"),
        ("metrics/f1", "1\n", "run r cannot be read"),
        ("../meta.yaml", "[1", "cannot be read"),
    ],
)
def test_broken_folders_of_mlflow_are_one_line(
    tmp_path: Path, file: str, text: str, said: str
) -> None:
    run = tmp_path / "1" / "r"
    (run / "metrics").mkdir(parents=True)
    for name in ("../meta.yaml", "meta.yaml"):
        (run / name).write_text("name: E\nrun_id: r\n")
    (run / file).write_text(text)
    command = ("runs",) if file.startswith("..") else ("show", "r")
    done = invoke(*command, "--source", f"mlflow:{tmp_path}", code=int(bool(said)))
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == int(bool(said))


def test_what_is_damaged_is_left_out_with_its_file_and_the_rest_is_read(tmp_path: Path) -> None:
    """Of one folder of MLflow: a run whose artifacts are nowhere, and two models of `log_model`."""
    (experiment := tmp_path / "1").mkdir()
    (experiment / "meta.yaml").write_text("name: E\n")
    model = "name: m\nsource_run_id: good\n"
    for name, text in (
        ("good", "run_id: good\n"),
        ("lost", "run_id: lost\nartifact_uri: 'file://['\n"),
        ("models/whole", f"{model}creation_timestamp: 1\n"),
        ("models/later", model),
        ("models/cut", "[1"),
    ):
        (experiment / name / "artifacts").mkdir(parents=True)
        (experiment / name / "meta.yaml").write_text(text)
        (experiment / name / "artifacts" / "config.json").write_text("{}")
    source = f"mlflow:{tmp_path}"
    runs = gr.runs(source=source)
    assert [run.id for run in runs] == ["good"]
    assert {one.name: "cannot be read" in one.reason for one in runs.skipped} == {
        "model later": True, "model cut": True, "lost": True,
    }  # fmt: skip
    for name in ("later", "cut"):
        assert any(f"models/{name}/meta.yaml" in one.reason for one in runs.skipped)
    assert list(runs[0].artifacts()["artifact"]) == ["config.json", "m"]
    invoke("show", "good", "--source", source)


@pytest.mark.parametrize("leads", ["by its address", "by a link"])
def test_a_run_of_mlflow_shows_no_file_of_another_place(tmp_path: Path, leads: str) -> None:
    run, other = tmp_path / "mlruns" / "1" / "r", tmp_path / "private"
    run.mkdir(parents=True)
    other.mkdir()
    (other / "key.txt").write_text("secret")
    (run.parent / "meta.yaml").write_text("name: E\n")
    address = other if leads == "by its address" else ""
    (run / "meta.yaml").write_text(f"run_id: r\nartifact_uri: '{address}'\n")
    if not address:
        (run / "artifacts").symlink_to(other)
    assert gr.run("r", source=f"mlflow:{tmp_path}").artifacts().empty


def test_parameters_of_mlflow_are_what_they_were(tmp_path: Path) -> None:
    wanted: dict[str, Any] = {
        "a": 5e-05, "b": -3, "c": 1.0, "d": True, "e": None, "f": "2024_12", "g": "007", "h": "nan",
        "i": "v1", "j": " 1", "k": 0.5, "l": "",
    }  # fmt: skip
    params = tmp_path / "1" / "r" / "params"
    params.mkdir(parents=True)
    for folder in (params.parent.parent, params.parent):
        (folder / "meta.yaml").write_text("name: E\nrun_id: r\n")
    for name, value in wanted.items():
        (params / name).write_text(str(value))
    assert gr.run("r", source=f"mlflow:{tmp_path}").config == wanted
