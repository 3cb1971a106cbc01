"""The stand-in server against the unmodified client: what it is given comes back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.wandb_server import SeedArtifact, SeedRun, WandbServer, run_client
from tests.wandb_server.fixtures import shared_server, wandb_server

__all__ = ["shared_server", "wandb_server"]  # fixtures, found by their names here

# --- A run, online, and everything that reads it ------------------------------------------

ONLINE = """
from pathlib import Path
Path("a.csv").write_text("text,label\\nhello,joy\\n")
Path("weights.bin").write_bytes(bytes(range(256)) * 300)
with wandb.init(project="p", id="online", name="distilbert-20241210", tags=["final", "x"],
                config={"model_name": "distilbert", "lr": 2e-5, "nested": {"a": [1, None]}},
                notes="a note", group="seeds", job_type="train") as run:
    for step in range(30):
        run.log({"loss": 1 / (step + 1), "odd": float("nan")} if step % 2 else {"loss": 2.0})
    artifact = wandb.Artifact("distilbert-test-predictions-online", "dataset",
                              description="predictions", metadata={"rows": 1})
    artifact.add_file("a.csv")
    artifact.add_file("weights.bin", name="sub folder/weights.bin")
    run.log_artifact(artifact, aliases=["best"]).wait()
    again = wandb.Artifact("distilbert-test-predictions-online", "dataset")
    again.add_file("a.csv")
    again.add_file("weights.bin", name="sub folder/weights.bin")
    result["deduplicated"] = run.log_artifact(again).wait().version
    more = wandb.Artifact("distilbert-test-predictions-online", "dataset")
    more.add_file("a.csv")
    result["second"] = run.log_artifact(more).wait().version
    run.save("a.csv")
with wandb.init(project="p", id="user") as user:
    user.use_artifact("distilbert-test-predictions-online:best").wait()
"""

READING = """
api = wandb.Api()
run = api.run("p/online")
result["run"] = {
    "config": run.config, "summary": {k: run.summary[k] for k in ("loss", "odd", "_step")},
    "tags": run.tags, "state": run.state, "name": run.name, "notes": run.notes,
    "group": run.group, "job_type": run.job_type, "url": run.url, "entity": run.entity,
}
strip = lambda rows: [{k: v for k, v in row.items() if k not in ("_timestamp", "_runtime")}
                      for row in rows]
result["scanned"] = strip(run.scan_history())
result["scanned small"] = strip(run.scan_history(page_size=7))
result["scanned odd"] = strip(run.scan_history(keys=["odd"]))
result["sampled"] = len(run.history(samples=10, pandas=False))
result["sampled odd"] = len(run.history(keys=["odd"], pandas=False))
result["files"] = sorted(file.name for file in run.files())
result["logged"] = [artifact.qualified_name for artifact in run.logged_artifacts()]
result["used"] = [artifact.name for artifact in api.run("p/user").used_artifacts()]
artifact = api.artifact("p/distilbert-test-predictions-online:best")
artifact.verify(artifact.download("out"))
result["artifact"] = {
    "version": artifact.version, "aliases": artifact.aliases, "metadata": artifact.metadata,
    "description": artifact.description, "type": artifact.type, "size": artifact.size,
    "logged_by": artifact.logged_by().id, "used_by": [one.id for one in artifact.used_by()],
    "files": {file.name: file.size for file in artifact.files()},
    "manifest": {path: [entry.size, entry.digest]
                 for path, entry in artifact.manifest.entries.items()},
    "csv": open("out/a.csv").read(),
}
versions = api.artifacts("dataset", "p/distilbert-test-predictions-online")
result["versions"] = [version.name for version in versions]
result["types"] = [kind.name for kind in api.artifact_types("p")]
result["collections"] = [c.name for c in api.artifact_type("dataset", "p").collections()]
result["projects"] = [project.name for project in api.projects()]
result["viewer"] = [api.viewer.username, api.default_entity]
"""


@pytest.fixture(scope="module")
def online(shared_server: WandbServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What one client wrote and another, without its cache, read."""
    written = run_client(shared_server, ONLINE, tmp_path_factory.mktemp("writer"))
    read = run_client(shared_server, READING, tmp_path_factory.mktemp("reader"))
    return written | read


def test_run_comes_back_whole(shared_server: WandbServer, online: Any) -> None:
    assert online["run"] == {
        "config": {"model_name": "distilbert", "lr": 2e-5, "nested": {"a": [1, None]}},
        "summary": {"loss": 1 / 30, "odd": "NaN", "_step": 29},
        "tags": ["final", "x"],
        "state": "finished",
        "name": "distilbert-20241210",
        "notes": "a note",
        "group": "seeds",
        "job_type": "train",
        "url": f"{shared_server.url}/goemo-team/p/runs/online",
        "entity": "goemo-team",
    }


def test_history_is_complete_or_sampled(online: Any) -> None:
    expected = [
        {"_step": step, "loss": 1 / (step + 1), "odd": "NaN"}
        if step % 2
        else {"_step": step, "loss": 2.0}
        for step in range(30)
    ]
    assert online["scanned"] == online["scanned small"] == expected
    assert [row["_step"] for row in online["scanned odd"]] == list(range(1, 30, 2))
    assert (online["sampled"], online["sampled odd"]) == (10, 15)


def test_artifacts_come_back_whole(online: Any) -> None:
    artifact = online["artifact"]
    assert artifact.pop("manifest").keys() == artifact["files"].keys()
    assert artifact == {
        "version": "v0",
        "aliases": ["best"],
        "metadata": {"rows": 1},
        "description": "predictions",
        "type": "dataset",
        "size": 21 + 76_800,
        "logged_by": "online",
        "used_by": ["user"],
        "files": {"a.csv": 21, "sub folder/weights.bin": 76_800},
        "csv": "text,label\nhello,joy\n",
    }
    name = "distilbert-test-predictions-online"
    assert (online["deduplicated"], online["second"]) == ("v0", "v1")
    assert online["versions"] == [f"{name}:v1", f"{name}:v0"]
    assert online["logged"] == [f"goemo-team/p/{name}:v0", f"goemo-team/p/{name}:v1"]
    assert online["used"] == [f"{name}:v0"]
    assert (online["types"], online["collections"]) == (["dataset"], [name])


def test_files_and_account(online: Any) -> None:
    wanted = ["a.csv", "config.yaml", "requirements.txt", "wandb-summary.json"]
    assert online["files"] == wanted
    assert online["projects"] == ["p"]
    assert online["viewer"] == ["tester", "goemo-team"]


def test_storage_never_sees_the_key(shared_server: WandbServer, online: Any) -> None:
    storage = [request for request in shared_server.requests if "/storage/" in request.path]
    assert {request.method for request in storage} == {"GET", "PUT"}
    assert not any(request.authorization for request in storage)
    assert shared_server.api_key not in repr(shared_server.requests)


def test_equal_content_is_uploaded_once(shared_server: WandbServer, online: Any) -> None:
    uploads = [
        request.path.split("?")[0]
        for request in shared_server.requests
        if request.method == "PUT" and "/storage/artifacts/" in request.path
    ]
    assert len(uploads) == len(set(uploads)) == 2


# --- Seeded runs are what the client would have made ------------------------------------------

SMALL = """
with wandb.init(project="{project}", id="same", name="name", tags=["final"],
                config={{"model_name": "m", "lr": 0.1}}) as run:
    run.log({{"loss": 0.5, "n": float("inf")}})
    run.log({{"loss": 0.25}})
    artifact = wandb.Artifact("m-test-predictions-same", "dataset", metadata={{"k": 1}})
    for name in ("b.csv", "a.csv"):
        with artifact.new_file(name) as file:
            file.write(name)
    run.log_artifact(artifact)
    plain = wandb.Artifact("plain", "dataset")
    run.log_artifact(plain)
"""


def test_seeded_run_is_stored_as_the_clients_own(wandb_server: WandbServer, tmp_path: Path) -> None:
    run_client(wandb_server, SMALL.format(project="real"), tmp_path)
    wandb_server.seed(
        [
            SeedRun(
                id="same",
                name="name",
                tags=("final",),
                config={"model_name": "m", "lr": 0.1},
                history=[{"loss": 0.5, "n": float("inf")}, {"loss": 0.25}],
                artifacts=[
                    SeedArtifact(
                        "m-test-predictions-same",
                        "dataset",
                        {"b.csv": b"b.csv", "a.csv": b"a.csv"},
                        metadata={"k": 1},
                    ),
                    SeedArtifact("plain", "dataset", {}),
                ],
            )
        ],
        project="seeded",
    )
    assert _stored(wandb_server, "seeded") == _stored(wandb_server, "real")


def _stored(server: WandbServer, project: str) -> dict[str, Any]:
    """All that readers can see of the run, without clocks and what only the client knows."""
    run = server.run("same", project=project)
    artifact, plain = sorted(run.outputs, key=lambda one: one.collection.name)
    manifest = json.loads(server.store.blobs.read(artifact.manifests[-1].key))
    for entry in manifest["contents"].values():
        assert entry.pop("birthArtifactID") == artifact.id
        entry.pop("local_path", None)
        entry.pop("skip_cache", None)
    config = dict(run.config.value)
    clocks = {"_timestamp": 0, "_runtime": 0}
    return {
        "fields": (run.display_name, run.tags, run.state, run.exitcode, run.notes, run.group),
        "config": {**config, "_wandb": sorted(config["_wandb"]["value"])},
        "summary": {**run.summary.value, **clocks, "_wandb": {"runtime": 0}},
        "history": [row | clocks for row in run.rows],
        "artifact": (artifact.digest, artifact.metadata, artifact.aliases, artifact.description),
        "manifest": (list(manifest["contents"]), manifest),
        "plain": (plain.digest, plain.metadata, plain.description, plain.entries),
        "version": (artifact.version_index, artifact.size, artifact.state),
        "blobs": [entry["digest"] for entry in artifact.entries.values()],
    }
