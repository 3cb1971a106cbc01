"""Each thing that can be wrong with the set-up is found and has a remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from goemo_report.cli import goemo_report
from goemo_report.contract import PROJECT
from goemo_report.settings import SourceChoice
from goemo_report.sources.doctor import Check, Diagnosis, diagnose
from goemo_report.sources.store import Cache
from goemo_report.sources.wandb_api.credentials import client_version
from tests.sources.online import point_at, put, some_runs
from tests.wandb_server import WandbServer
from tests.wandb_server.fixtures import wandb_server
from tests.wandb_server.seeding import SeedRun

__all__ = ["wandb_server"]


@pytest.fixture
def server(
    wandb_server: WandbServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> WandbServer:
    point_at(monkeypatch, wandb_server, tmp_path)
    monkeypatch.setenv("WANDB_HTTP_TIMEOUT", "2")
    return wandb_server


def examine(entity: str | None = None, project: str = PROJECT) -> Diagnosis:
    return diagnose(SourceChoice(entity, project), lambda _: None)


def examine_offline(root: Path) -> Diagnosis:
    return diagnose(SourceChoice(kind="offline", where=str(root)), lambda _: None)


def named(diagnosis: Diagnosis, name: str) -> Check:
    return [check for check in diagnosis.checks if check.name == name][-1]


def test_all_is_well(server: WandbServer) -> None:
    put(server, some_runs(3))
    diagnosis = examine()
    old = "warning" if client_version() < (0, 28) else "ok"  # for `sync`
    assert {check.status for check in diagnosis.checks if check.name != "versions"} == {"ok"}
    assert named(diagnosis, "versions").status == old
    assert named(diagnosis, "runs by tag").detail == "final 3"
    assert named(diagnosis, "project").detail.endswith("has 3 runs")
    assert "digest right" in named(diagnosis, "artifact download").detail


def test_no_key(server: WandbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    diagnosis = examine()
    assert named(diagnosis, "key").status == "failed"
    assert "wandb login" in named(diagnosis, "key").remedy
    assert named(diagnosis, "project").detail == "not tried"


def test_wrong_key(server: WandbServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "w" * 40)
    diagnosis = examine()
    assert diagnosis.failed
    assert any("--relogin" in check.remedy for check in diagnosis.checks)


def test_host_down(server: WandbServer) -> None:
    server.stop()
    diagnosis = examine()
    assert named(diagnosis, "host").status == "failed"
    assert "cannot be reached" in named(diagnosis, "host").detail


def test_unusable_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "nonsense")
    diagnosis = examine()
    assert diagnosis.failed
    assert "WANDB_BASE_URL" in named(diagnosis, "key").remedy


def test_unknown_entity_and_project(server: WandbServer) -> None:
    put(server, some_runs(1))
    assert named(examine(entity="nobody"), "entity").status == "failed"
    diagnosis = examine(project="nothing")
    assert named(diagnosis, "entity").status == "ok"
    assert named(diagnosis, "project").status == "failed"
    assert PROJECT in named(diagnosis, "project").remedy


def test_runs_without_tags_or_artifacts_are_warnings(server: WandbServer) -> None:
    put(server, [SeedRun(id="bare")])
    diagnosis = examine()
    assert not diagnosis.failed
    assert named(diagnosis, "runs by tag").status == "warning"
    assert named(diagnosis, "artifact download").status == "warning"


@pytest.mark.parametrize("fault", ["status", "corrupt"])
def test_a_storage_that_fails_is_found_though_the_cache_is_full(
    server: WandbServer, fault: str
) -> None:
    put(server, some_runs(2))
    examine()
    path = "^/(storage/artifacts|artifactsV2)"
    if fault == "status":
        server.faults.add(path=path, status=403)
    else:
        server.faults.add(path=path, corrupt=True)
    check = named(examine(), "artifact download")
    assert check.status == "failed"
    assert "test_predictions.csv" in check.detail


def test_a_cache_that_cannot_be_written(
    server: WandbServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    monkeypatch.setenv("GOEMO_CACHE_DIR", str(blocked / "cache"))
    diagnosis = examine()
    assert named(diagnosis, "cache").status == "failed"
    assert "GOEMO_CACHE_DIR" in named(diagnosis, "cache").remedy


def test_little_space(server: WandbServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Cache, "free_bytes", lambda self: 1 << 30)
    assert named(examine(), "disk space").status == "warning"
    monkeypatch.setattr(Cache, "free_bytes", lambda self: 1 << 20)
    assert named(examine(), "disk space").status == "failed"


def test_another_wandb_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("goemo_report.sources.doctor.metadata.version", lambda name: "0.99.0")
    diagnosis = examine_offline(tmp_path)
    assert named(diagnosis, "versions").status == "warning"
    monkeypatch.setattr("goemo_report.sources.doctor.metadata.version", lambda name: "0.27.2")
    check = named(examine_offline(tmp_path), "versions")
    assert (check.status, check.remedy) == (
        "warning",
        "pip install --upgrade wandb, for sync",
    )


def test_offline_runs_need_no_server(offline_root: Path, tmp_path: Path) -> None:
    diagnosis = examine_offline(offline_root)
    assert not diagnosis.failed
    assert "final 4" in named(diagnosis, "runs by tag").detail
    empty = examine_offline(tmp_path)
    assert named(empty, "offline runs").status == "failed"


def test_the_command_ends_with_3_when_something_failed(server: WandbServer) -> None:
    put(server, some_runs(1))
    result = CliRunner().invoke(goemo_report, ["doctor"])
    assert result.exit_code == 0
    assert "ok       host: " in result.output
    result = CliRunner().invoke(goemo_report, ["doctor", "--entity", "nobody", "--format", "json"])
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    assert document["failed"] is True
    assert {check["status"] for check in document["checks"]} == {"ok", "warning", "failed"}
