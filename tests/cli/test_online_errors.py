"""What a user meets online: one line, a remedy, in time, and never the API key."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from goemo_report.cli import goemo_report
from goemo_report.contract import PROJECT
from tests.sources.online import predictions_of, put, some_runs
from tests.wandb_server import WandbServer
from tests.wandb_server.fixtures import wandb_server
from tests.wandb_server.seeding import SeedRun

__all__ = ["wandb_server"]

WRONG_KEY = "wr0ng" * 8


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def waited(self) -> float:
        """Seconds that it says it waited: for answers, and before it asked again.

        The clock would also measure what else runs on the machine.
        """
        said = re.findall(r"(?:trying again in|did not answer within) ([\d.]+) s", self.err)
        return sum(map(float, said))


class Online:
    """Runs commands against the server, and looks for its key in all they leave behind."""

    def __init__(self, server: WandbServer, home: Path) -> None:
        self.server = server
        self.home = home
        self.environment: Mapping[str, str] = server.env(home) | {
            "GOEMO_CACHE_DIR": str(home / "goemo"),
            "WANDB_HTTP_TIMEOUT": "3",
        }

    def __call__(self, *arguments: str, without: str = "", **environment: str) -> Done:
        wanted = {**self.environment, **environment}
        wanted.pop(without, None)
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.keys() - wanted.keys():
                patch.delenv(name)
            for name, value in wanted.items():
                patch.setenv(name, value)
            patch.chdir(self.home)
            done = CliRunner().invoke(goemo_report, arguments)
        result = Done(done.exit_code, done.stdout, done.stderr)
        for key in (self.server.api_key, WRONG_KEY):
            assert key not in result.out + result.err
        return result


@pytest.fixture
def online(wandb_server: WandbServer, tmp_path: Path) -> Online:
    return Online(wandb_server, tmp_path)


def assert_error(done: Done, what: str, remedy: str, *, within: float = 8) -> None:
    """One line that says what failed and, after it, what to do."""
    assert done.code == 1, done
    lines = [line for line in done.err.splitlines() if "trying again" not in line]
    assert len(lines) == 1, done.err
    assert (found := re.search(what, lines[0])), lines[0]
    assert re.search(remedy, lines[0][found.end() :]), lines[0]
    assert done.waited < within
    assert "Traceback" not in done.err


def test_no_key(online: Online) -> None:
    done = online("runs", without="WANDB_API_KEY")
    assert_error(done, "no W&B API key is set", "wandb login")


def test_sync_is_not_told_to_read(online: Online, offline_root: Path) -> None:
    arguments = ("sync", "robertalarges1", "--wandb-dir", str(offline_root))
    done = online(*arguments, without="WANDB_API_KEY")
    assert_error(done, "no W&B API key is set", "Run `wandb login`, or set WANDB_API_KEY$")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    done = online(*arguments, WANDB_BASE_URL=url, WANDB_HTTP_TIMEOUT="2")
    assert_error(done, "cannot be reached", "Check the network and WANDB_BASE_URL$")


def test_wrong_key(online: Online) -> None:
    assert_error(online("runs", WANDB_API_KEY=WRONG_KEY), "refused the API key", "--relogin")


def test_wrong_host(online: Online, tmp_path: Path) -> None:
    page = f"{online.server.url}/not-the-api"
    assert_error(online("runs", WANDB_BASE_URL=page), "not answer as a W&B server", "BASE_URL")


def test_host_down(online: Online) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    done = online("runs", WANDB_BASE_URL=url, WANDB_HTTP_TIMEOUT="12")
    assert_error(done, "cannot be reached", "WANDB_BASE_URL")
    assert "trying again" in done.err


def test_unknown_entity(online: Online) -> None:
    assert_error(online("runs", "--entity", "nobody"), "no entity nobody", "--entity")


def test_unknown_project(online: Online) -> None:
    put(online.server, some_runs(1))
    done = online("runs", "--project", "nothing")
    assert_error(done, "no project nothing of goemo-team", PROJECT)


def test_unknown_run(online: Online) -> None:
    put(online.server, some_runs(2))
    assert_error(online("show", "run11"), "no run 'run11'", "Did you mean .*run1")


def test_tag_without_runs_says_which_exist(online: Online) -> None:
    put(online.server, some_runs(2, tags=["final", "baseline"]))
    done = online("compare", "--tag", "finale")
    assert_error(done, "no run in .* matches --tag finale", r"final \(2\)")


def test_missing_artifact(online: Online) -> None:
    put(online.server, [SeedRun(id="bare"), *some_runs(1)])
    done = online("download", "bare", "--only", "test-predictions")
    assert_error(done, "run bare logged no test-predictions artifact", "It logged: nothing")


def test_deleted_artifact(online: Online) -> None:
    put(online.server, some_runs(1))
    online.server.artifact("roberta-large-test-predictions-run0:v0").state = "DELETED"
    done = online("download", "run0", "--only", "test-predictions")
    assert_error(done, "logged no test-predictions artifact", "It logged: nothing")


def test_run_still_running(online: Online) -> None:
    put(online.server, [SeedRun(id="going", state="running", tags=["final"])])
    done = online("compare", "going")
    assert done.code == 1
    assert "still running" in done.err


def test_rate_limit(online: Online) -> None:
    put(online.server, some_runs(1))
    online.server.faults.add(operation="Runs", status=429, retry_after=900)
    assert_error(online("runs"), r"limits the rate of requests \(429\)", "in 900 s")


def test_time_out_of_the_environment(online: Online) -> None:
    put(online.server, some_runs(1))
    online.server.faults.add(operation="Runs", hang=True)
    done = online("runs", WANDB_HTTP_TIMEOUT="1.5")
    assert_error(done, "did not answer within 1.5 s", "WANDB_HTTP_TIMEOUT")


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["hang", "status", "drop"])
def test_a_lasting_fault_is_told_within_15_seconds_by_default(online: Online, fault: str) -> None:
    put(online.server, some_runs(1))
    if fault == "hang":
        online.server.faults.add(operation="Runs", hang=True)
    elif fault == "status":
        online.server.faults.add(operation="Runs", status=500)
    else:
        online.server.faults.add(operation="Runs", drop="request")
    done = online("runs", without="WANDB_HTTP_TIMEOUT")
    assert_error(done, "127.0.0.1", ".", within=15)
    assert done.waited > 1


@pytest.mark.parametrize("fault", [429, 500, "drop"])
def test_a_passing_fault_is_retried_and_said(online: Online, fault: int | str) -> None:
    put(online.server, some_runs(2))
    if fault == "drop":
        online.server.faults.add(operation="Runs", drop="request", times=1)
    else:
        online.server.faults.add(operation="Runs", status=int(fault), times=1)
    done = online("runs", "--format", "csv")
    assert done.code == 0
    assert "trying again in 0.5 s" in done.err
    assert done.out.count("run0") == 2  # id and address


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs",),
        ("show", "run0"),
        ("compare", "--tag", "final"),
        ("download", "run0"),
        ("doctor",),
        ("sync", "--tag", "final", "--wandb-dir", "."),
    ],
)
@pytest.mark.parametrize("where", ["netrc", "environment"])
def test_the_key_is_never_shown(online: Online, arguments: tuple[str, ...], where: str) -> None:
    """`Online` itself looks for the key in what is printed; here also in what is written."""
    put(online.server, [*some_runs(1), SeedRun(id="x", artifacts=[predictions_of("x")])])
    online.server.faults.add(path="^/(storage|artifactsV2)", status=403)
    change = {}
    if where == "netrc":
        netrc = online.home / "netrc"
        netrc.write_text(f"machine {online.server.url.removeprefix('http://')}\n  login user\n")
        with netrc.open("a") as file:
            file.write(f"  password {online.server.api_key}\n")
        netrc.chmod(0o600)
        change = {"NETRC": str(netrc)}
    else:
        done = online(*arguments, "--debug", WANDB_API_KEY=WRONG_KEY)
        assert done.code != 0
    done = online(
        *arguments, "--debug", without="WANDB_API_KEY" if where == "netrc" else "", **change
    )
    assert done.out + done.err
    written = [p for p in online.home.rglob("*") if p.is_file() and p.name != "netrc"]
    for path in written:
        assert online.server.api_key.encode() not in path.read_bytes(), path


def test_urls_of_another_host_name_the_remedy(online: Online) -> None:
    done = online("show", "https://wandb.ai/team/project/runs/abc")
    assert_error(done, "is on wandb.ai", "WANDB_BASE_URL")


def test_nothing_is_left_in_the_working_directory(online: Online) -> None:
    """wandb's own client leaves a directory for each run that it looks at."""
    put(online.server, some_runs(3))
    before = {path.name for path in online.home.iterdir()}
    assert online("runs").code == 0
    assert {path.name for path in online.home.iterdir()} - before <= {"goemo"}
    assert list((online.home / "runs").iterdir()) == []
