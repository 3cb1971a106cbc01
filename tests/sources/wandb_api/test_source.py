"""Runs, histories and artifacts from the stand-in server, and what they cost in requests."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from goemo_report.contract import PROJECT, RUN_STATES
from goemo_report.errors import NotFoundError, SourceError
from goemo_report.results.loading import load_runs
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.downloads import download
from goemo_report.sources.model import ArtifactRef
from goemo_report.sources.newest import holds_no
from goemo_report.sources.wandb_api import queries
from goemo_report.sources.wandb_api.histories import by_step
from goemo_report.sources.wandb_api.source import to_stderr
from tests.sources.clients import newest_client
from tests.sources.online import md5, open_api, point_at, predictions_of, put, some_runs
from tests.wandb_server import WandbServer, run_client
from tests.wandb_server.fixtures import wandb_server
from tests.wandb_server.seeding import SeedArtifact, SeedRun, add

__all__ = ["wandb_server"]


@pytest.fixture
def server(
    wandb_server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> WandbServer:
    point_at(monkeypatch, wandb_server, tmp_path)
    return wandb_server


# --- Listing --------------------------------------------------------------------------


def test_a_run_arrives_whole(server: WandbServer) -> None:
    run = SeedRun(
        id="abc",
        name="roberta-large-20241210-143022",
        tags=["final", "training"],
        config={"model_name": "roberta-large", "learning_rate": 2e-5, "nested": {"a": [1]}},
        history=[{"test/auc": 0.9}],
        summary={"test/auc": float("nan")},
        group="seeds",
        job_type="train",
        notes="first",
        created_at=datetime(2024, 12, 10, 14, 30, 22, tzinfo=UTC),
    )
    put(server, [run])
    server.run("abc").sweep_name, server.run("abc").description = "sweep1", "more"
    [found] = open_api().list_runs(RunQuery()).runs
    assert (found.id, found.name, found.tags) == ("abc", run.name, ("final", "training"))
    assert found.config == run.config
    assert found.summary["test/auc"] == "NaN"
    assert (found.group, found.job_type, found.notes) == ("seeds", "train", "first")
    assert (found.sweep, found.description) == ("sweep1", "more")
    assert found.created_at == run.created_at
    assert found.url == f"{server.url}/{server.entity}/{PROJECT}/runs/abc"
    assert (found.entity, found.project, found.state) == (server.entity, PROJECT, "finished")


def test_a_thousand_runs_cost_a_request_a_page(server: WandbServer) -> None:
    put(server, some_runs(1000, steps=1))
    listing = open_api().list_runs(RunQuery())
    assert [run.id for run in listing.runs] == [f"run{n}" for n in range(1000)]
    assert listing.runs[999].config["random_seed"] == 999
    assert listing.runs[999].summary["val/auc"] == 0.0
    assert server.count() <= -(-1000 // queries.RUNS_PER_PAGE) + 5


VARIETY = [
    SeedRun(id="a", tags=["final", "x"], config={"model_name": "bert"}),
    SeedRun(id="b", tags=["final", "y"], config={"model_name": "roberta"}, state="failed"),
    SeedRun(id="c", tags=["x"], config={"model_name": "bert"}),
    SeedRun(id="d", config={"model_name": "roberta"}, state="crashed"),
    SeedRun(id="e", tags=["final", "x", "y"], config={"model_name": "bert"}, state="running"),
]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (RunQuery(), "abcde"),
        (RunQuery.of(tag=["final"]), "abe"),
        (RunQuery.of(tag=["final", "x"]), "ae"),
        (RunQuery.of(any_tag=["x", "y"]), "abce"),
        (RunQuery.of(not_tag=["x"]), "bd"),
        (RunQuery.of(not_tag=["x", "y"]), "d"),
        (RunQuery.of(state=["failed", "crashed"]), "bd"),
        (RunQuery.of(model=["bert"]), "ace"),
        (RunQuery.of(model=["bert", "roberta"], tag=["final"], not_tag=["y"]), "a"),
        (RunQuery.of(tag=["nowhere"]), ""),
    ],
)
def test_filters_are_the_servers_work(server: WandbServer, query: RunQuery, ids: str) -> None:
    put(server, VARIETY)
    source = open_api()
    assert "".join(run.id for run in source.list_runs(query).runs) == ids
    sent = next(r for r in server.requests if r.operation == "Runs")
    nodes = source.project().run_nodes(json.loads(sent.variables["filters"]))
    sent_back = "".join(str(node["name"]) for node in nodes)  # before any filter of our own
    assert sent_back == ids or ("model" in str(query) and set(ids) <= set(sent_back))


def test_every_state_keeps_its_name_and_can_be_asked_for(server: WandbServer) -> None:
    names = [state for state in RUN_STATES if state != "unfinished"]
    put(server, [SeedRun(id=state, state=state) for state in (*names, "new-in-2030")])
    source = open_api()
    found = source.list_runs(RunQuery()).runs
    assert {run.id: run.state for run in found} == {s: s for s in (*names, "new-in-2030")}
    for state in names:
        assert [run.id for run in source.list_runs(RunQuery.of(state=[state])).runs] == [state]


@pytest.mark.parametrize("shuffled", [False, True])
def test_runs_that_arrive_or_go_between_pages_are_neither_lost_nor_doubled(
    server: WandbServer, monkeypatch: pytest.MonkeyPatch, shuffled: bool
) -> None:
    server.context.shuffled_pages = shuffled
    put(server, some_runs(30))
    monkeypatch.setattr(queries, "RUNS_PER_PAGE", 10)
    source = open_api()
    ask, pages = source.transport.graphql, []

    def graphql(document: str, variables: dict[str, object]) -> dict[str, object]:
        answer = ask(document, variables)
        if "query Runs(" in document:
            pages.append(variables["cursor"])
            if len(pages) == 1:
                late = datetime(2025, 1, 1, tzinfo=UTC)
                early = datetime(2024, 1, 1, tzinfo=UTC)
                put(server, [SeedRun(id="late", created_at=late)])
                put(server, [SeedRun(id="early", created_at=early)])
                server.run("run3").project.runs.pop("run3")
        return answer

    monkeypatch.setattr(source.transport, "graphql", graphql)
    ids = [run.id for run in source.list_runs(RunQuery()).runs]
    assert len(ids) == len(set(ids))
    present = {f"run{n}" for n in range(30)} - {"run3"} | {"late"}
    assert present <= set(ids)


def test_a_run_whose_config_cannot_be_read_is_left_out_with_the_reason(
    server: WandbServer,
) -> None:
    put(server, some_runs(2))
    server.run("run0").config.text = "{broken"
    listing = open_api().list_runs(RunQuery())
    assert [run.id for run in listing.runs] == ["run1"]
    assert "config of run run0" in listing.skipped[0].reason


# --- One run --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form", ["id", "name", "project", "entity", "url", "other project", "other project's url"]
)
def test_every_form_of_run_names_it(server: WandbServer, form: str) -> None:
    put(server, some_runs(3))
    put(server, [SeedRun(id="far", name="far away")], project="other")
    entity = server.entity
    reference, wanted = {
        "id": ("run1", "run1"),
        "name": ("roberta-large-20241210-000001", "run1"),
        "project": (f"{PROJECT}/run1", "run1"),
        "entity": (f"{entity}/{PROJECT}/run1", "run1"),
        "url": (f"{server.url}/{entity}/{PROJECT}/runs/run1?nw=nwuser", "run1"),
        "other project": ("other/far away", "far"),
        "other project's url": (f"{server.url}/{entity}/other/runs/far/logs", "far"),
    }[form]
    found = open_api().find_run(reference)
    assert found.id == wanted
    assert server.count("FindRun") == 1


def test_an_id_wins_over_a_name(server: WandbServer) -> None:
    put(server, [SeedRun(id="one", name="two"), SeedRun(id="two", name="three")])
    assert open_api().find_run("two").id == "two"


def test_a_name_of_several_runs_lists_them(server: WandbServer) -> None:
    put(server, [SeedRun(id="one", name="twin"), SeedRun(id="two", name="twin")])
    with pytest.raises(NotFoundError) as caught:
        open_api().find_run("twin")
    assert f"{PROJECT}/one" in caught.value.what
    assert f"{PROJECT}/two" in caught.value.what


def test_an_unknown_run_gets_the_one_that_was_meant(server: WandbServer) -> None:
    put(server, some_runs(3))
    with pytest.raises(NotFoundError) as caught:
        open_api().find_run("roberta-large-20241210-00001")
    assert "Did you mean roberta-large-20241210-000001" in caught.value.remedy


def test_a_url_of_another_host_says_which_host_is_set(server: WandbServer) -> None:
    with pytest.raises(SourceError) as caught:
        open_api().find_run("https://wandb.ai/team/project/runs/abc")
    assert "wandb.ai" in caught.value.what
    assert "WANDB_BASE_URL" in caught.value.remedy
    assert server.count() == 0


# --- History --------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 501, 2000, 2001, 7000])
def test_history_is_complete(server: WandbServer, steps: int) -> None:
    put(server, [SeedRun(id="long", history=[{"loss": float(n)} for n in range(steps)])])
    source = open_api()
    [run] = source.list_runs(RunQuery()).runs
    history = source.histories([run])["long"]
    assert [row["loss"] for row in history] == [float(n) for n in range(steps)]
    assert [row["_step"] for row in history] == list(range(steps))


def test_sparse_steps_do_not_cost_a_request_each(server: WandbServer) -> None:
    rows = [{"loss": 1.0, "_step": 100_000 * n} for n in range(2500)]
    put(server, [SeedRun(id="sparse", history=rows)])
    source = open_api()
    [run] = source.list_runs(RunQuery()).runs
    server.forget_requests()
    assert len(source.histories([run])["sparse"]) == 2500
    assert server.count() <= 3


def test_many_histories_share_requests_and_a_second_time_needs_none(server: WandbServer) -> None:
    put(server, some_runs(40))
    source = open_api()
    runs = source.list_runs(RunQuery()).runs
    server.forget_requests()
    first = source.histories(runs)
    assert server.count() == 2
    again = open_api()
    runs = again.list_runs(RunQuery()).runs
    server.forget_requests()
    assert again.histories(runs) == first
    assert server.count() == 0


def test_the_history_of_a_run_that_goes_on_is_read_again(server: WandbServer) -> None:
    put(server, some_runs(2))
    server.run("run0").state = "running"
    assert len(_histories()["run0"]) == 3
    for name in ("run0", "run1"):
        line = json.dumps({"_step": 3, "val/auc": 0.9})
        run = server.run(name)
        run.history.append(line)
        run.heartbeat_at += timedelta(seconds=9)
    server.forget_requests()
    assert {len(rows) for rows in _histories().values()} == {4}


def _histories() -> dict[str, tuple[object, ...]]:
    source = open_api()
    return {
        name: tuple(rows)
        for name, rows in source.histories(source.list_runs(RunQuery()).runs).items()
    }


@newest_client
@pytest.mark.parametrize(("rows", "files"), [(None, 1), (None, 3), (40, 2), (1, 1)])
def test_an_exported_history_is_whole_as_the_client_reads_it(
    server: WandbServer, tmp_path: Path, rows: int | None, files: int
) -> None:
    history: list[dict[str, object]] = [
        {"val/loss": n / 7, "epoch": n} if n % 3 else {"note": f"at {n}", "in": {"deep": n / 2}}
        for n in range(60)
    ]
    history[7]["val/loss"] = float("nan")
    put(server, [SeedRun(id="r", history=history), *some_runs(2)], project="p")
    server.export_history("r", rows, files)
    source = open_api(project="p")
    runs = source.list_runs(RunQuery()).runs
    assert not source.faults(runs)
    found = source.histories(runs)["r"]
    assert [row["_step"] for row in found] == list(range(60))
    code = "result = list(wandb.Api().run('p/r').scan_history())"
    scanned = run_client(server, code, tmp_path / "client")
    for mine, theirs in zip(found, scanned, strict=True):
        assert all(isinstance(mine["_step"], int) for _ in mine)
        assert {key: str(float(value)) if key != "note" else value for key, value in mine.items()} \
            == {key: str(float(value)) if key != "note" else value
                for key, value in theirs.items() if value is not None}  # fmt: skip
    server.forget_requests()
    again = open_api(project="p")
    assert str(again.histories(again.list_runs(RunQuery()).runs)["r"]) == str(found)  # NaN
    assert server.count("RunParquetHistories") == 0


def test_an_exported_history_without_pyarrow_says_what_to_install(
    server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server, some_runs(2))
    server.export_history("run0")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    source = open_api()
    runs = source.list_runs(RunQuery()).runs
    assert list(source.faults(runs)) == ["run0"]
    with pytest.raises(SourceError, match=r"pip install 'goemo\[tables\]'"):
        source.histories(runs)


def test_an_exported_history_that_is_damaged_is_an_error(server: WandbServer) -> None:
    put(server, some_runs(2))
    server.export_history("run0")
    server.store.blobs.put(server.run("run0").exports[0], b"PAR1 nothing else")
    source = open_api()
    runs = source.list_runs(RunQuery()).runs
    assert list(source.faults(runs)) == ["run0"]


def test_a_short_answer_is_an_error_and_never_kept(server: WandbServer) -> None:
    """The server says how many rows there are; it may send fewer."""
    put(server, [*some_runs(2), SeedRun(id="sparse", history=[{"_step": 10**9, "a": 1}] * 2)])
    for run, lost in (("run0", 1), ("sparse", 2)):
        server.run(run).exported = lost  # and nowhere else
    source = open_api()
    runs = source.list_runs(RunQuery()).runs
    server.forget_requests()
    reasons = source.faults(runs)
    assert set(reasons) == {"run0", "sparse"}
    assert "sent 2 of the 3 rows in the history of run run0" in reasons["run0"]
    assert "incomplete" in reasons["run0"]
    assert server.count("HistoryPages") <= 7
    with pytest.raises(SourceError, match="sent 2 of the 3 rows"):
        source.histories(runs)
    for run in ("run0", "sparse"):
        server.run(run).exported = 0
    assert len(source.histories(runs)["run0"]) == len(_histories()["run0"]) == 3


def test_a_short_answer_is_asked_again(
    server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(server, some_runs(2))
    server.run("run0").exported = 2
    source = open_api()
    ask = source.transport.graphql

    def graphql(document: str, variables: dict[str, object]) -> dict[str, object]:
        answer = ask(document, variables)
        if "query HistoryPages(" in document:
            server.run("run0").exported = 0
        return answer

    monkeypatch.setattr(source.transport, "graphql", graphql)
    assert len(source.histories(source.list_runs(RunQuery()).runs)["run0"]) == 3


def test_rows_of_one_step_are_one_row() -> None:
    rows = [{"_step": 1, "a": 1}, {"_step": 0, "a": 0}, {"_step": 1, "a": 2, "b": 3}]
    assert by_step(rows) == ({"_step": 0, "a": 0}, {"_step": 1, "a": 2, "b": 3})


# --- Artifacts ------------------------------------------------------------------------


def test_artifacts_of_many_runs_share_requests(server: WandbServer) -> None:
    put(server, some_runs(30))
    source = open_api()
    runs = source.list_runs(RunQuery()).runs
    server.forget_requests()
    logged = source.artifacts(runs)
    assert server.counts() == {"RunsOutputArtifacts": 2}
    [reference] = logged["run7"]
    assert reference.qualified_name == "roberta-large-test-predictions-run7:v0"
    assert (reference.role, reference.type) == ("test-predictions", "dataset")
    assert reference.aliases == ("latest",)


def test_the_newest_version_comes_last_and_deleted_ones_are_gone(server: WandbServer) -> None:
    put(server, [SeedRun(id="r")])
    run = server.run("r")
    for content in (b"one", b"two", b"three"):
        add(server.context, run, predictions_of("r", content=content))
    server.artifact("roberta-large-test-predictions-r:v2").state = "DELETED"
    source = open_api()
    versions = [a.version for a in source.artifacts([source.find_run("r")])["r"]]
    assert versions == ["v0", "v1"]


def test_more_artifacts_than_a_page(server: WandbServer) -> None:
    many = [SeedArtifact(f"extra-{n}", "dataset", {"a": str(n).encode()}) for n in range(230)]
    put(server, [SeedRun(id="r", artifacts=many)])
    source = open_api()
    assert len(source.artifacts([source.find_run("r")])["r"]) == 230


def test_the_servers_own_exports_are_not_shown(server: WandbServer) -> None:
    export = SeedArtifact("run-r-history", "wandb-history", {"0.parquet": b"x"})
    put(server, [SeedRun(id="r", artifacts=[export])])
    source = open_api()
    assert source.artifacts([source.find_run("r")])["r"] == ()


def test_manifests_are_asked_together_and_kept(server: WandbServer) -> None:
    put(server, some_runs(30))
    references = _references()
    server.forget_requests()
    files = open_api(entity=server.entity).manifests(references)
    assert server.counts() == {"FetchArtifactManifests": 2, "GET /storage/manifests": 30}
    assert files[3][0].digest == md5(b"test run3" * 50)
    server.forget_requests()
    assert open_api(entity=server.entity).manifests(references) == files
    assert server.count() == 0


def _references() -> list[ArtifactRef]:
    source = open_api()
    runs = source.list_runs(RunQuery()).runs
    return [reference for logged in source.artifacts(runs).values() for reference in logged]


def test_predictions_kept_as_run_files_are_found(server: WandbServer, tmp_path: Path) -> None:
    files = {
        "predictions/test_predictions.csv": b"a,b",
        "predictions/val_predictions.csv": b"c,d",
        "predictions/notes.txt": b"no",
        "elsewhere/test_predictions.csv": b"no",
        "config.yaml": b"no",
    }
    put(server, [SeedRun(id="r", files=files)])
    source = open_api()
    references = source.artifacts([source.find_run("r")])["r"]
    assert [(r.role, r.name, r.kind, r.version) for r in references] == [
        ("test-predictions", "predictions/test_predictions.csv", "run-files", None),
        ("val-predictions", "predictions/val_predictions.csv", "run-files", None),
    ]
    done = download(source, source.find_run("r"), root=tmp_path / "out")
    assert done.complete
    for split, content in (("test", b"a,b"), ("val", b"c,d")):
        folder = tmp_path / "out" / f"run-r-{split}-predictions"
        assert (folder / "predictions" / f"{split}_predictions.csv").read_bytes() == content
    manifests = source.manifests(references)
    paths = source.fetch([(r, files[0]) for r, files in zip(references, manifests, strict=True)])
    assert [path.read_bytes() for path in paths if isinstance(path, Path)] == [b"a,b", b"c,d"]


def test_run_files_beyond_the_first_page_are_found(server: WandbServer) -> None:
    files = {f"predictions/epoch_{n}/test.csv": str(n).encode() for n in range(120)}
    put(server, [SeedRun(id="r", files=files)])
    source = open_api()
    references = source.artifacts([source.find_run("r")])["r"]
    assert len(references) == 120
    assert references[-1].name == "predictions/epoch_119/test.csv"


def test_an_artifact_that_is_gone_is_said_and_the_others_go_on(server: WandbServer) -> None:
    put(server, some_runs(2))
    references = _references()
    server.store.artifacts.pop(references[0].id)
    notes: list[str] = []
    files: Sequence[Sequence[object]] = open_api(notes).manifests(references)
    assert [len(part) for part in files] == [0, 1]
    assert "roberta-large-test-predictions-run0:v0 is not on W&B any more" in notes[0]
    with pytest.raises(NotFoundError, match="not on W&B any more"):
        open_api().manifests(references[:1])


def test_files_that_nobody_knows_are_not_called_missing(
    server: WandbServer, tmp_path: Path
) -> None:
    lost = SeedArtifact("bert-checkpoint-r", "model", {"config.json": b"{}"})
    put(server, [SeedRun(id="r", artifacts=[lost, predictions_of("r")])])
    manifest = server.artifact("bert-checkpoint-r").manifests[-1].key
    server.store.blobs.delete(manifest)
    source = open_api([])
    run = source.find_run("r")
    done = download(source, run, root=tmp_path / "out")
    assert not done.complete
    reasons = [skipped.reason for item in done.artifacts for skipped in item.skipped]
    assert [len(item.written) for item in done.artifacts] == [0, 1]
    assert "404" in reasons[0]
    (loaded,) = load_runs(source, [run], ["checkpoint", "test-predictions"])
    artifact = loaded.artifacts["checkpoint"]
    assert "404" in holds_no("config.json", artifact.reference, artifact.files)


def test_the_default_entity_is_asked_only_when_none_is_given(server: WandbServer) -> None:
    put(server, some_runs(1))
    open_api(entity=server.entity).list_runs(RunQuery())
    assert server.counts() == {"Runs": 1}
    server.forget_requests()
    assert open_api().entity == server.entity
    assert server.counts() == {"GetDefaultEntity": 1}


def test_notes_do_not_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    to_stderr("the manifest of \x1b[2Jevil\r\n arrived damaged")
    assert capsys.readouterr().err == "the manifest of \\x1b[2Jevil\\n arrived damaged\n"
