"""The evidence of one run that keeps every rule."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from goemo_report.audit.evidence import Evidence, collect
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.offline_logs.source import LogSource
from tests.train.conftest import Finished, finished

__all__ = ["finished"]


@pytest.fixture(scope="session")
def trained_root(finished: Finished) -> Path:
    """What goemo-train wrote, to read offline."""
    return finished.output


@pytest.fixture(scope="session")
def trained(trained_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """The trainer's own run, which every test changes in a copy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "GOEMO_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        source = LogSource(trained_root)
        (evidence,) = collect(source, source.list_runs(RunQuery()).runs)
    return evidence
