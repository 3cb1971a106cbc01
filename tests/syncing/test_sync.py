"""Uploads with proof, against every way in which the client loses data without a word."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from goemo_report.api.setup import Synced
from goemo_report.errors import SourceError
from goemo_report.formats.json_text import to_json
from goemo_report.report.tables import run_document
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.offline_logs.log_format import framed, read_log
from goemo_report.sources.offline_logs.run_log import history_rows, read_run_log
from goemo_report.sources.offline_logs.source import LogSource
from goemo_report.syncing.arrival import Arrival, log_of_remainder
from goemo_report.syncing.sync import Patience, sync
from tests.sources.online import open_api, point_at
from tests.wandb_server import WandbServer
from tests.wandb_server.fixtures import wandb_server

__all__ = ["wandb_server"]

RUN = "distilbertbases1"
QUICK = Patience(upload=60, settle=0.3, silence=2)


@pytest.fixture
def root(offline_root: Path, tmp_path: Path) -> Path:
    """A copy of its own: `wandb sync` marks directories."""
    return Path(shutil.copytree(offline_root, tmp_path / "offline", symlinks=True))


@pytest.fixture
def server(
    wandb_server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> WandbServer:
    point_at(monkeypatch, wandb_server, tmp_path / "home")
    return wandb_server


def send(root: Path, ids: Sequence[str] = (RUN,), notes: list[str] | None = None) -> list[Arrival]:
    source = LogSource(root)
    runs = [run for run in source.list_runs(RunQuery()).runs if run.id in ids]
    notes = [] if notes is None else notes
    return sync(source, runs, open_api(notes, timeout=3), patience=QUICK, notify=notes.append)


def parts(arrival: Arrival) -> dict[str, tuple[int, int]]:
    return {part.name: (part.logged - len(part.missing), part.logged) for part in arrival.parts}


def marks(root: Path) -> list[Path]:
    return list(root.rglob("*.synced"))


def steps(server: WandbServer) -> list[int]:
    return [row["_step"] for row in server.run(RUN).rows]


def test_a_run_arrives_whole_and_is_not_sent_twice(server: WandbServer, root: Path) -> None:
    [arrival] = send(root)
    assert arrival.complete
    assert arrival.attempts == 1
    assert parts(arrival)["history"] == (3, 3)
    assert parts(arrival)["artifacts"] == (4, 4)
    assert server.run(RUN).state == "finished"
    server.forget_requests()
    [again] = send(root)
    assert again.complete
    assert again.attempts == 0
    assert server.count("UpsertBucket") == 0
    assert Synced((again,), ()).document()["complete"] is True


@pytest.mark.parametrize("fault", ["short", "refused"])
def test_what_the_server_does_not_tell_is_not_sent_again(
    server: WandbServer, root: Path, fault: str
) -> None:
    assert send(root)[0].complete
    if fault == "short":
        server.run(RUN).exported = 2  # and nowhere else: the answer lacks two of three rows
    else:
        server.faults.add(operation="RunsOutputArtifacts", status=403)
    server.forget_requests()
    [arrival] = send(root)
    assert not arrival.complete
    assert arrival.problems
    assert server.count("UpsertBucket") == 0
    server.faults.clear()
    server.run(RUN).exported = 0
    assert steps(server) == [1, 2, 3]
    assert send(root)[0].complete


def test_a_wrong_key_marks_nothing(
    server: WandbServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "wrong" * 8)
    with pytest.raises(SourceError, match="wandb login --relogin"):
        send(root)
    assert marks(root) == []
    assert server.count("UpsertBucket") == 0


def test_a_refused_history_is_seen_and_sent_later(server: WandbServer, root: Path) -> None:
    fault = server.faults.add(path="file_stream", status=403)
    [arrival] = send(root)
    assert not arrival.complete
    assert parts(arrival)["history"] == (0, 3)
    assert parts(arrival)["artifacts"] == (4, 4)
    assert parts(arrival)["state"] == (0, 1)
    assert any("Fatal error while uploading" in problem for problem in arrival.problems)
    assert marks(root) == []
    fault.remove()
    [arrival] = send(root)
    assert arrival.complete
    assert steps(server) == [1, 2, 3]


@pytest.mark.parametrize(
    "fault",
    [
        {"operation": "CreateArtifact", "status": 404},
        {"path": "^/storage", "method": "PUT", "status": 403},
    ],
)
def test_refused_artifacts_are_sent_without_the_history(
    server: WandbServer, root: Path, fault: dict[str, object]
) -> None:
    ordered = server.faults.add(**fault)  # type: ignore[arg-type]  # one of two calls
    [arrival] = send(root)
    assert parts(arrival)["artifacts"] == (0, 4)
    assert parts(arrival)["history"] == (3, 3)
    assert parts(arrival)["summary"][0] == parts(arrival)["summary"][1]
    ordered.remove()
    [arrival] = send(root)
    assert arrival.complete
    assert steps(server) == [1, 2, 3]
    assert arrival.doubled == 0


def test_a_passing_refusal_is_mended_in_one_go(server: WandbServer, root: Path) -> None:
    server.faults.add(operation="CreateArtifact", status=403, times=2)
    notes: list[str] = []
    [arrival] = send(root, notes=notes)
    assert arrival.complete
    assert arrival.attempts == 2
    assert steps(server) == [1, 2, 3]
    assert any("again" in note for note in notes)


def test_a_server_that_dies_half_way(server: WandbServer, root: Path) -> None:
    server.faults.add(operation="CreateArtifactFiles", down=True, times=1)
    [arrival] = send(root)
    assert not arrival.complete
    assert any("has not answered for 2 s" in problem for problem in arrival.problems)
    assert marks(root) == []
    server.start()
    [arrival] = send(root)
    assert arrival.complete
    assert steps(server) == [1, 2, 3]


def test_only_what_is_missing_is_sent(server: WandbServer, root: Path) -> None:
    send(root)
    run = server.run(RUN)
    run.history.pop()
    run.summary = type(run.summary).of({"epoch": 1})
    run.tags.remove("final")
    run.outputs[0].state = "DELETED"
    [arrival] = send(root)
    assert arrival.complete, arrival.problems
    assert steps(server) == [1, 2, 3]
    assert set(server.run(RUN).tags) >= {"final"}


def test_nested_and_empty_values_are_there_when_they_are(
    server: WandbServer, odd_root: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(odd_root, tmp_path / "odd", symlinks=True))
    [arrival] = send(root, ["odd"])
    assert arrival.complete, arrival.parts
    assert parts(arrival)["config"] == (4, 4)
    [again] = send(root, ["odd"])
    assert (again.complete, again.attempts, again.doubled) == (True, 0, 0)
    assert len(server.run("odd").rows) == parts(again)["history"][1] == 4
    here, there = LogSource(root), open_api()
    found = [(source, source.find_run("odd-project/odd")) for source in (here, there)]
    assert found[0][1].config == found[1][1].config
    shown = [run_document(run)["summary"] for _, run in found]
    assert to_json(shown[0]["dict"]) == to_json(shown[1]["dict"])
    assert shown[0].keys() ^ shown[1].keys() <= {"_step"}
    histories = [to_json(source.histories([run])["odd"], None) for source, run in found]
    assert json.loads(histories[0]) == json.loads(histories[1])


def test_of_a_step_only_missing_keys_are_sent_and_nothing_twice(
    server: WandbServer, root: Path
) -> None:
    send(root)
    rows = server.run(RUN).history
    first, second = json.loads(rows[0]), json.loads(rows[1])
    del first["val/loss"]
    second["val/loss"] += 1
    rows[:2] = [json.dumps(first), json.dumps(second)]
    server.run(RUN).rows_at = -1
    [arrival] = send(root)
    assert [part.missing for part in arrival.parts if part.missing] == [("step 2 as logged",)]
    assert steps(server) == [1, 2, 3, 1]
    assert server.run(RUN).rows[-1].keys() - {"_step", "_runtime", "_timestamp"} == {"val/loss"}


def test_artifacts_go_where_the_run_goes(server: WandbServer, root: Path) -> None:
    """The client sends them to the entity and the project of the log."""
    server.store.entities.append("my-team")
    source = LogSource(root)
    remote = open_api([], entity="my-team", timeout=3)
    run = source.find_run(RUN)
    [arrival] = sync(source, [run], remote, project="other", patience=QUICK, notify=print)
    assert arrival.complete, arrival.problems
    assert parts(arrival)["artifacts"] == (4, 4)
    place = server.store.need_project("my-team", "other")
    assert {artifact.collection.project for artifact in place.runs[RUN].outputs} == {place}


@pytest.mark.slow
def test_several_runs_and_an_unknown_entity(
    server: WandbServer, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = (RUN, "robertalarges2")
    arrivals = send(root, ids)
    assert [arrival.complete for arrival in arrivals] == [True, True]
    monkeypatch.setenv("WANDB_ENTITY", "nobody")
    source = LogSource(root)
    [run] = [run for run in source.list_runs(RunQuery()).runs if run.id == RUN]
    remote = open_api([], entity="nobody", timeout=3)
    [lost] = sync(source, [run], remote, patience=QUICK, notify=print)
    assert not lost.complete
    assert lost.parts == ()


def test_a_log_of_the_remainder_holds_it_and_nothing_else(
    offline_root: Path, tmp_path: Path
) -> None:
    source = LogSource(offline_root)
    run = source.find_run(RUN)
    logs = source.logs_of(run)
    original = read_run_log(logs[0], "original")
    wanted = original.artifacts[1]
    run = replace(run, summary={"a": 1.5, "nested": {"b": [1]}})
    arrival = Arrival(
        run,
        logs,
        (),
        (),
        "other",
        missing_steps={3: frozenset({"val/loss", "epoch"})},
        missing_artifacts=frozenset({(wanted.name, wanted.digest)}),
    )
    directory = log_of_remainder(arrival, "my-team", {}, tmp_path / "new")
    made = read_run_log(next(directory.glob("*.wandb")), "made")
    [row] = history_rows(made)
    assert {key for key in row if not key.startswith("_")} == {"val/loss", "epoch"}
    assert [artifact.name for artifact in made.artifacts] == [wanted.name]
    assert made.summary[("nested",)] == '{"b": [1]}'
    assert (made.id, made.exit_code) == (original.id, original.exit_code)
    for name in ("display_name", "tags"):
        assert getattr(made.run, name) == getattr(original.run, name)
    assert json.loads(made.config[("random_seed",)] or "") == 1


@pytest.mark.parametrize("sizes", [[0, 1, 7], [32 * 1024 - 14], [32_747, 5], [200_000, 3], []])
def test_framing_is_what_the_reader_reads(sizes: list[int]) -> None:
    records = [os.urandom(size) for size in sizes]
    assert list(read_log(framed(records), "log").values()) == records
