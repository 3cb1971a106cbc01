"""Fixtures that tests of several packages share; what is costly is made once per session."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.offline_runs import OfflineRun, make_runs, run_client

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def session_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the whole session, shared by the workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(autouse=True)
def private_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every test has a cache of its own: no score or file comes from another test or from home."""
    monkeypatch.setenv("GOEMO_CACHE_DIR", str(tmp_path_factory.mktemp("goemo-cache")))


@pytest.fixture(autouse=True)
def own_client() -> Iterator[None]:
    """A client that ran in a test's own process serves no later test, nor what that starts."""
    yield
    if "WANDB_SERVICE" in os.environ:
        import wandb

        wandb.teardown()
        os.environ.pop("WANDB_SERVICE", None)


MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def make_once(session_directory: Path) -> MakeOnce:
    """Fills a directory once per session, whichever worker asks first."""

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        root = session_directory / name
        done = session_directory / f"{name}.done"
        with (session_directory / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(root, ignore_errors=True)
                fill(root)
                done.touch()
        return root

    return make


@pytest.fixture(scope="session")
def offline_root(make_once: MakeOnce) -> Path:
    """Two models with two seeds each, tagged `final`. Read only: copy before you change it."""
    return make_once("offline-runs", make_runs)


@pytest.fixture(scope="session")
def mixed_root(make_once: MakeOnce) -> Path:
    """The odd ones: the other dialect, no neutral, failed, killed. Read only."""
    runs = (
        OfflineRun(model="roberta-large", seed=3, dialect="other", run_id="otherdialect"),
        OfflineRun(model="distilbert-base", seed=3, exclude_neutral=True, run_id="noneutral"),
        OfflineRun(model="distilbert-base", seed=4, exit_code=1, run_id="failed"),
        OfflineRun(model="distilbert-base", seed=5, crash=True, epochs=12, run_id="killed"),
    )
    return make_once("mixed-runs", lambda root: make_runs(root, runs))


@pytest.fixture(scope="session")
def odd_root(make_once: MakeOnce) -> Path:
    """The runs of tests/sources/odd_runs.py. Read only."""

    def fill(root: Path) -> None:
        done = run_client(root, "tests.sources.odd_runs")
        assert done.returncode == 0, done.stderr

    return make_once("odd-runs", fill)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how often the resume tests killed a run."""
    passed = terminalreporter.stats.get("passed", [])
    kills = [n for report in passed for name, n in report.user_properties if name == "kills"]
    if kills:
        terminalreporter.write_line(f"resume tests: {sum(kills)} kills in {len(kills)} chains")
