"""What the unmodified client does when the stand-in server misbehaves.

These are the client's own habits, as measured: who builds on the client has to know them, and
a new client version that changes one of them shows up here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.wandb_server import SeedArtifact, SeedRun, WandbServer, run_client
from tests.wandb_server.fixtures import wandb_server

__all__ = ["wandb_server"]  # a fixture, found by its name here

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def server(wandb_server: WandbServer) -> Iterator[WandbServer]:
    """With a run that has an artifact and a file."""
    artifact = SeedArtifact("art", "dataset", {"a.bin": CONTENT})
    wandb_server.seed([SeedRun("one", artifacts=[artifact], files={"f.bin": CONTENT})], "p")
    yield wandb_server
    wandb_server.faults.clear()


# --- Reading ------------------------------------------------------------------------------


def test_passing_faults_are_retried(server: WandbServer, tmp_path: Path) -> None:
    server.faults.add(operation="Runs", times=1, status=429, retry_after=1)
    code = 'result = [run.id for run in wandb.Api().runs("p")]'
    started = time.monotonic()
    assert run_client(server, code, tmp_path) == ["one"]
    assert time.monotonic() - started >= 1
    assert server.count("Runs") == 2


DOWNLOAD = """
artifact = wandb.Api().artifact("p/art:v0")
def digest(root):
    artifact.download(root)
    return len(open(root + "/a.bin", "rb").read())
result["size"] = attempt(lambda: digest("out"))
result["again"] = attempt(lambda: digest("out"))
result["verify"] = attempt(lambda: artifact.verify("out"))
"""


@pytest.mark.parametrize(("fault", "size"), [({"truncate": 100}, 100), ({"corrupt": True}, 10_240)])
def test_wrong_bytes_are_believed(
    server: WandbServer, tmp_path: Path, fault: dict[str, Any], size: int
) -> None:
    server.faults.add(path="/storage/artifacts/", times=1, **fault)
    result = run_client(server, DOWNLOAD, tmp_path)
    assert result["size"] == result["again"] == size
    assert result["verify"].startswith("ValueError")


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ({"drop": "body"}, "ChunkedEncodingError"),
        ({"status": 404}, "HTTPError: 404"),
        ({"status": 403}, 10_240),  # the client goes round the storage
    ],
)
def test_failing_artifact_downloads(
    server: WandbServer, tmp_path: Path, fault: dict[str, Any], outcome: Any
) -> None:
    server.faults.add(path="/storage/artifacts/", **fault)
    if fault.get("status") == 404:
        server.faults.add(path="/artifactsV2/", status=404)
    size = run_client(server, DOWNLOAD, tmp_path)["size"]
    if isinstance(outcome, int):
        assert size == outcome
        assert server.count("GET /artifactsV2") == 1
    else:
        assert outcome in size


def test_run_files_cut_short_and_cut_off(server: WandbServer, tmp_path: Path) -> None:
    server.faults.add(path="/files/.*f.bin", times=1, truncate=100)
    server.faults.add(path="/files/.*f.bin", skip=1, drop="body")
    code = """
    file = wandb.Api().run("p/one").file("f.bin")
    result["short"] = len(file.download(root="out").read())
    result["cut"] = attempt(lambda: file.download(root="other", replace=True))
    """
    result = run_client(server, code, tmp_path)
    assert result["short"] == 100
    assert "unexpected EOF" in result["cut"]


# --- Writing --------------------------------------------------------------------------------

LOGGING = """
with wandb.init(project="p", id="new") as run:
    run.log({"loss": 1.0})
    artifact = wandb.Artifact("new-artifact", "dataset")
    with artifact.new_file("x.csv") as file:
        file.write("a,b")
    logged = run.log_artifact(artifact)
    result["wait"] = attempt(lambda: logged.wait(10).version)
    run.log({"loss": 0.5})
"""


def test_refused_file_stream_loses_the_history_silently(
    server: WandbServer, tmp_path: Path
) -> None:
    server.faults.add(path="/file_stream", status=403)
    run_client(server, LOGGING, tmp_path)  # ends with exit code 0
    run = server.run("new")
    assert (run.state, run.history) == ("running", [])
    server.crash("new")  # what the service's time-out would do
    assert run.state == "crashed"


def test_refused_artifact_upload_is_only_seen_by_wait(server: WandbServer, tmp_path: Path) -> None:
    server.faults.add(method="PUT", path="/storage/artifacts/", status=403)
    result = run_client(server, LOGGING, tmp_path)
    assert result["wait"].startswith("ValueError")
    run = server.run("new")
    assert (run.state, len(run.history), run.outputs) == ("finished", 2, [])


@pytest.mark.slow
def test_server_dies_half_way_and_comes_back(server: WandbServer, tmp_path: Path) -> None:
    fault = server.faults.add(method="PUT", path="/storage/artifacts/", times=1, down=True)
    restart = threading.Thread(target=_restart_after, args=(server, lambda: fault.hits == 1))
    restart.start()
    result = run_client(server, LOGGING, tmp_path, timeout=120)
    restart.join()
    run = server.run("new")
    assert result["wait"] == "v0"
    assert (run.state, len(run.history)) == ("finished", 2)
    assert [artifact.size for artifact in run.outputs] == [3]


def _restart_after(server: WandbServer, happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not (happened() and not server.running) and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    server.start()


KILLED = """
import signal
run = wandb.init(project="p", id="killed")
run.log({"loss": 1.0})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_run_stays_running(server: WandbServer, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):  # it gives no result
        run_client(server, KILLED, tmp_path)
    run = server.run("killed")
    assert (run.state, run.exitcode) == ("running", None)


# --- wandb sync -------------------------------------------------------------------------------

SYNCING = """
with wandb.init(project="p", id="off", mode="offline") as run:
    run.log({"l": 1})
    artifact = wandb.Artifact("off-artifact", "dataset")
    with artifact.new_file("x.csv") as file:
        file.write("a,b")
    run.log_artifact(artifact)
    directory = os.path.dirname(run.dir)
done = subprocess.run([sys.executable, "-m", "wandb", "sync", directory])
result["exit"] = done.returncode
result["marked"] = any(name.endswith(".synced") for name in os.listdir(directory))
"""


@pytest.mark.parametrize(
    ("fault", "rows", "artifacts"),
    [
        ({"path": "/file_stream", "status": 403}, 0, 1),
        ({"method": "PUT", "path": "/storage/artifacts/", "status": 404}, 1, 0),
        pytest.param(
            {"method": "PUT", "path": "/storage/artifacts/", "status": 403},
            1,
            0,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_sync_says_done_when_it_is_not(
    server: WandbServer, tmp_path: Path, fault: dict[str, Any], rows: int, artifacts: int
) -> None:
    server.faults.add(**fault)
    assert run_client(server, SYNCING, tmp_path) == {"exit": 0, "marked": True}
    run = server.run("off")
    assert (len(run.history), len(run.outputs)) == (rows, artifacts)


@pytest.mark.slow
def test_sync_with_a_wrong_key_says_done(server: WandbServer, tmp_path: Path) -> None:
    result = run_client(server, SYNCING, tmp_path, WANDB_API_KEY="local-" + "f" * 40)
    assert result["exit"] == 0
    with pytest.raises(KeyError):
        server.run("off")
