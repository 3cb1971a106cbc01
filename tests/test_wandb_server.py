"""The stand-in server against the unmodified client: what it is given comes back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.wandb_server import SeedArtifact, SeedRun, WandbServer, run_client
from tests.wandb_server_fixtures import shared_server, wandb_server

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


# --- Offline, resumed, edited, deleted ------------------------------------------------------------

OFFLINE = """
with wandb.init(project="p", id="off", mode="offline", config={"z": 1}, tags=["off"]) as run:
    for value in range(3):
        run.log({"l": value})
    artifact = wandb.Artifact("off-artifact", "dataset")
    with artifact.new_file("x.csv") as file:
        file.write("a,b")
    run.log_artifact(artifact)
    directory = os.path.dirname(run.dir)
def sync(*flags):
    done = subprocess.run([sys.executable, "-m", "wandb", "sync", *flags, directory])
    api = wandb.Api()
    found = api.run("p/off")
    return [done.returncode, found.state, found.tags, found.config, len(list(found.scan_history())),
            [artifact.name for artifact in found.logged_artifacts()]]
result["first"] = sync()
result["second"] = sync()
result["forced"] = sync("--include-synced")
"""


def test_wandb_sync_brings_an_offline_run(wandb_server: WandbServer, tmp_path: Path) -> None:
    result = run_client(wandb_server, OFFLINE, tmp_path)
    whole = [0, "finished", ["off"], {"z": 1}, 3, ["off-artifact:v0"]]
    assert result["first"] == result["second"] == whole
    # The client starts its history after the lines that the server has: it is doubled.
    assert result["forced"] == [0, "finished", ["off"], {"z": 1}, 6, ["off-artifact:v0"]]


# A failed init keeps its run id in use within its process: so those two stand apart.
RESUMED = """
os.environ["WANDB_CONSOLE"] = "wrap"
result["new"] = attempt(lambda: wandb.init(project="p", id="new", resume="must"))
with wandb.init(project="p", id="run", config={"a": 1}) as run:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    run.log({"v": 1}, step=3)
    run.log({"v": 2}, step=4)
with wandb.init(project="p", id="run", resume="must", config={"b": 2}) as run:
    result["resumed"] = [run.resumed, run.starting_step, dict(run.config)]
    run.log({"v": 3})
run = wandb.Api().run("p/run")
result["after"] = [[row["_step"], row["v"]] for row in run.scan_history()]
result["console"] = [[line.content, line.level or ""] for line in run.console_logs()][:2]
result["tail"] = len(list(run.console_logs(last=1)))
try:
    with wandb.init(project="p", id="bad"):
        raise ValueError
except ValueError:
    pass
result["failed"] = wandb.Api().run("p/bad").state
result["never"] = attempt(lambda: wandb.init(project="p", id="run", resume="never"))
"""


def test_resume_console_and_exit_codes(wandb_server: WandbServer, tmp_path: Path) -> None:
    result = run_client(wandb_server, RESUMED, tmp_path)
    assert "Error" in result["new"]
    assert "Error" in result["never"]
    assert result["resumed"] == [True, 5, {"a": 1, "b": 2}]
    assert result["after"] == [[3, 1], [4, 2], [5, 3]]
    assert result["console"] == [["to stdout", ""], ["to stderr", "error"]]
    assert result["tail"] == 1
    assert result["failed"] == "failed"


EDITED = """
api = wandb.Api()
run = api.run("p/one")
run.tags.append("new")
run.config["lr"] = 0.2
run.summary["f1"] = 0.75
run.update()
file = run.upload_file("note.txt") if open("note.txt", "w").write("hi") else None
again = wandb.Api().run("p/one")
result["edited"] = [again.tags, again.config, again.summary["f1"], again.state]
result["files"] = [file.name for file in again.files()]
again.file("note.txt").delete()
result["left"] = [file.name for file in wandb.Api().run("p/one").files()]
artifact = api.artifact("p/art:v0")
artifact.aliases.append("prod")
artifact.tags.append("checked")
artifact.description = "new"
artifact.save()
fresh = wandb.Api().artifact("p/art:prod")
result["artifact"] = [fresh.aliases, fresh.tags, fresh.description]
fresh.delete(delete_aliases=True)
result["gone"] = attempt(lambda: wandb.Api().artifact("p/art:v0"))
run.delete()
result["deleted"] = attempt(lambda: wandb.Api().run("p/one").id)
"""


def test_edits_and_deletes(wandb_server: WandbServer, tmp_path: Path) -> None:
    artifact = SeedArtifact("art", "dataset", {"a.csv": b"1"})
    wandb_server.seed(
        [SeedRun("one", tags=("old",), config={"lr": 0.1}, artifacts=[artifact])], project="p"
    )
    result = run_client(wandb_server, EDITED, tmp_path)
    assert result["edited"] == [["old", "new"], {"lr": 0.2}, 0.75, "finished"]
    assert (result["files"], result["left"]) == (["note.txt"], [])
    assert result["artifact"] == [["latest", "prod"], ["checked"], "new"]
    assert result["gone"] == ("CommError: artifact membership 'art:v0' not found in 'goemo-team/p'")
    assert result["deleted"].startswith("CommError: Could not find run")


# --- Not there, not allowed ---------------------------------------------------------------------

MISSING = """
api = wandb.Api()
tries = {
    "run": lambda: api.run("p/nope"),
    "project of run": lambda: api.run("nope/nope"),
    "project": lambda: list(api.runs("nope")),
    "length": lambda: len(api.runs("nope")),
    "entity": lambda: list(api.runs("nobody/p")),
    "artifact": lambda: api.artifact("p/nope:v0"),
    "version": lambda: api.artifact("p/art:v7"),
    "artifact list": lambda: list(api.artifacts("dataset", "p/nope")),
    "file": lambda: api.run("p/one").file("nope"),
    "in": lambda: list(api.runs("p", filters={"tags": {"$in": ["a"]}})),
    "init": lambda: wandb.init(entity="nobody", project="p"),
}
result = {name: attempt(function) for name, function in tries.items()}
"""


def test_what_is_missing_fails_as_on_the_service(wandb_server: WandbServer, tmp_path: Path) -> None:
    wandb_server.seed(
        [SeedRun("one", artifacts=[SeedArtifact("art", "dataset", {"a": b"1"})])], project="p"
    )
    result = run_client(wandb_server, MISSING, tmp_path)
    for name in ("run", "project of run"):
        assert result[name].startswith("CommError: Could not find run")
    assert result["project"] == result["length"] == "ValueError: Could not find project nope"
    assert result["entity"] == "ValueError: Could not find project p"
    for name in ("artifact", "version"):
        assert result[name].startswith("CommError: artifact membership")
        assert "not found" in result[name]
    assert result["artifact list"].startswith("ValueError: Unable to parse")
    assert result["file"] == "CommError: list index out of range"
    assert "lists of tags in $in are not supported" in result["in"]
    assert "entity nobody not found" in result["init"]


WRONG_KEY = """
result["api"] = attempt(lambda: wandb.Api())
result["init"] = attempt(lambda: wandb.init(project="p"))
"""


def test_wrong_key(wandb_server: WandbServer, tmp_path: Path) -> None:
    key = "local-" + "f" * 40
    result = run_client(wandb_server, WRONG_KEY, tmp_path, WANDB_API_KEY=key)
    assert result["api"].startswith("AuthenticationError")
    assert "user is not logged in" in result["init"]
    assert {request.status for request in wandb_server.requests} == {401}
    assert not wandb_server.store.projects


# --- Sweeps, verify, the command line -----------------------------------------------------------

SWEEP = """
sweep = wandb.sweep({"method": "grid", "metric": {"name": "score", "goal": "minimize"},
                     "parameters": {"x": {"values": [1, 2]}}}, project="p")
def train():
    with wandb.init() as run:
        run.log({"score": run.config.x * 10})
wandb.agent(sweep, function=train, project="p", count=2)
found = wandb.Api().sweep(f"p/{sweep}")
result["runs"] = sorted(run.config["x"] for run in found.runs)
result["best"] = found.best_run().summary["score"]
"""


@pytest.mark.slow
def test_sweep_agent(wandb_server: WandbServer, tmp_path: Path) -> None:
    result = run_client(wandb_server, SWEEP, tmp_path, timeout=90)
    assert result == {"runs": [1, 2], "best": 10}


@pytest.mark.slow
def test_wandb_verify(wandb_server: WandbServer, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "verify", "--host", wandb_server.url],
        env=wandb_server.env(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if "..." in line]
    failed = [line.split("...")[0] for line in lines if "\u2705" not in line]
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(lines) == 10
    # Both want https, which a server on loopback does not speak.
    assert failed == ["Checking requests to base url", "Checking requests made over signed URLs"]


def test_runs_for_a_person(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.wandb_server", "--port", "0", "--seed", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
    assert line.startswith("export WANDB_BASE_URL=http://127.0.0.1:")
