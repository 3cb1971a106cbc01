"""The stand-in server against the unmodified client: sync, resume, edits, refusals, sweeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.wandb_server import SeedArtifact, SeedRun, WandbServer, run_client
from tests.wandb_server.fixtures import wandb_server

__all__ = ["wandb_server"]  # a fixture, found by its name here

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
result["forced"] = sync("--include-synced")
"""


def test_wandb_sync_brings_an_offline_run(wandb_server: WandbServer, tmp_path: Path) -> None:
    result = run_client(wandb_server, OFFLINE, tmp_path)
    whole = [0, "finished", ["off"], {"z": 1}, 3, ["off-artifact:v0"]]
    assert result["first"] == whole
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
