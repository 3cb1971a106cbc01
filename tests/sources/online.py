"""A source on the stand-in server, and runs to seed there."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from goemo_report.contract import PROJECT
from goemo_report.sources.wandb_api.source import ApiSource
from tests.wandb_server import WandbServer
from tests.wandb_server.seeding import SeedArtifact, SeedRun

TEST_FILE = "test_predictions.csv"


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def predictions_of(run_id: str, *, content: bytes = b"", split: str = "test") -> SeedArtifact:
    files = {f"{split}_predictions.csv": content or f"{split} {run_id}".encode() * 50}
    return SeedArtifact(f"roberta-large-{split}-predictions-{run_id}", "dataset", files)


def some_runs(count: int, *, steps: int = 3, tags: Sequence[str] = ("final",)) -> list[SeedRun]:
    return [
        SeedRun(
            id=f"run{number}",
            name=f"roberta-large-20241210-{number:06d}",
            tags=tags,
            config={"model_name": "roberta-large", "random_seed": number},
            history=[{"val/auc": step / 10} for step in range(steps)],
            artifacts=[predictions_of(f"run{number}")],
        )
        for number in range(count)
    ]


def put(server: WandbServer, runs: Sequence[SeedRun], project: str = PROJECT, **more: Any) -> None:
    server.seed(runs, project=project, **more)
    server.forget_requests()


def point_at(
    monkeypatch: pytest.MonkeyPatch, server: WandbServer, home: Path, key: str | None = None
) -> Mapping[str, str]:
    """Make this process a client of the server and of nothing else."""
    environment = server.env(home, key=key)
    for name in ("WANDB_ENTITY", "WANDB_PROJECT", "WANDB_HTTP_TIMEOUT", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOEMO_CACHE_DIR", str(home / "goemo-cache"))
    return environment


def open_api(notes: list[str] | None = None, **options: Any) -> ApiSource:
    return ApiSource(notify=(notes if notes is not None else []).append, **options)
