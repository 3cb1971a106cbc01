"""Fixtures that tests of several packages share; what is costly is made once per session."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.offline_runs import STANDARD_RUNS, OfflineRun, make_runs


@pytest.fixture(scope="session")
def session_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for the whole session, shared by the workers of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


MakeOnce = Callable[[str, Sequence[OfflineRun]], Path]


@pytest.fixture(scope="session")
def make_runs_once(session_directory: Path) -> MakeOnce:
    """Makes a set of offline runs once per session, whichever worker asks first."""

    def make(name: str, runs: Sequence[OfflineRun]) -> Path:
        root = session_directory / name
        done = session_directory / f"{name}.done"
        with (session_directory / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(root, ignore_errors=True)
                make_runs(root, runs)
                done.touch()
        return root

    return make


@pytest.fixture(scope="session")
def offline_root(make_runs_once: MakeOnce) -> Path:
    """Two models with two seeds each, tagged `final`. Read only: copy before you change it."""
    return make_runs_once("offline-runs", STANDARD_RUNS)


@pytest.fixture(scope="session")
def mixed_root(make_runs_once: MakeOnce) -> Path:
    """The odd ones: the other dialect, no neutral, failed, killed. Read only."""
    return make_runs_once(
        "mixed-runs",
        (
            OfflineRun(model="roberta-large", seed=3, dialect="other", run_id="otherdialect"),
            OfflineRun(model="distilbert-base", seed=3, exclude_neutral=True, run_id="noneutral"),
            OfflineRun(model="distilbert-base", seed=4, exit_code=1, run_id="failed"),
            OfflineRun(model="distilbert-base", seed=5, crash=True, epochs=12, run_id="killed"),
        ),
    )
