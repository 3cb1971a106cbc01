"""Run logs for the tests of the offline source."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import MakeOnce
from tests.offline_runs import OfflineRun, make_runs


def _make_and_move(root: Path) -> None:
    make_runs(root / "elsewhere", [OfflineRun(run_id="moved"), OfflineRun(run_id="other", seed=7)])
    (root / "elsewhere").rename(root / "here")


@pytest.fixture(scope="session")
def small_log(offline_root: Path) -> Path:
    """The log of one finished run."""
    return next(offline_root.glob("wandb/offline-run-*-distilbertbases1/run-*.wandb"))


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of wandb."""
    cache = tmp_path / "wandb-cache"
    monkeypatch.setenv("WANDB_CACHE_DIR", str(cache))
    return cache


@pytest.fixture
def moved_root(make_once: MakeOnce, tmp_path: Path, no_cache: Path) -> Path:
    """Two runs as on another machine: no path that they recorded exists. For the test to keep."""
    copy = tmp_path / "copied"
    shutil.copytree(make_once("moved-runs", _make_and_move) / "here", copy, symlinks=True)
    return copy
