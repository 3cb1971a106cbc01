"""Reports sent to W&B: what arrives, what it was made from, and that it arrives once."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from goemo_report.contract import PROJECT
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.offline_logs.source import LogSource
from tests.wandb_server import SeedArtifact, SeedRun, WandbServer
from tests.wandb_server.fixtures import wandb_server

__all__ = ["wandb_server"]

COMMAND = Path(sys.executable).with_name("goemo-report")
IDS = ("robertalarges1", "robertalarges2")


def goemo_report(
    environment: Mapping[str, str], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments],
        env={**environment, "GOEMO_CACHE_DIR": str(folder / "cache")},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def online(wandb_server: WandbServer, offline_root: Path, tmp_path: Path) -> dict[str, str]:
    """A server with two runs and their predictions."""
    source = LogSource(offline_root)
    seeds = []
    for run_id in IDS:
        run = source.find_run(run_id)
        artifacts = []
        for artifact in source.artifacts([run])[run_id]:
            if artifact.role in {"val-predictions", "test-predictions"}:
                (files,) = source.manifests([artifact])
                paths = source.fetch([(artifact, file) for file in files])
                content = {
                    file.path: path.read_bytes()
                    for file, path in zip(files, paths, strict=True)
                    if isinstance(path, Path)
                }
                artifacts.append(SeedArtifact(artifact.name, artifact.type, content))
        seeds.append(
            SeedRun(run_id, run.name, run.tags, run.config, run.summary, artifacts=artifacts)
        )
    wandb_server.seed(seeds, project=PROJECT)
    return wandb_server.env(tmp_path / "home")


def test_a_report_arrives_with_what_it_was_made_from_and_once(
    online: dict[str, str], wandb_server: WandbServer, tmp_path: Path
) -> None:
    quick = ("compare", "--resamples", "100", "--publish", "--name", "all")
    first = goemo_report(online, tmp_path, *quick)
    assert first.returncode == 0, first.stderr
    assert "published as report-all:v0, made from 4 artifacts: http" in first.stderr
    assert first.stdout.split() == [f"reports/all.{form}" for form in ("html", "md", "json")]
    runs = wandb_server.store.need_project(None, PROJECT).runs
    (run,) = (run for name, run in runs.items() if name not in IDS)
    assert (run.job_type, run.state) == ("report", "finished")
    names = sorted(a.collection.name for a in run.inputs)
    assert names == sorted(
        f"roberta-large-{split}-predictions-{run_id}" for split in ("val", "test") for run_id in IDS
    )
    summary = json.loads(str(run.summary.text))
    assert summary["report"]["_type"] == "html-file"
    assert summary["leaderboard"]["_type"] == "table-file"
    assert summary["leaderboard"]["nrows"] == 2

    # Again, with the first report's run in the project, in another format, at another time.
    again = goemo_report(online, tmp_path, *quick, "--format", "md")
    assert again.returncode == 0, again.stderr
    assert "published as report-all:v0," in again.stderr
    assert "skipped" not in again.stderr
    assert len(runs) == 4

    changed = goemo_report(online, tmp_path, *quick, "--format", "md", "--no-text")
    assert "published as report-all:v1," in changed.stderr


def test_a_refused_key_is_one_line_and_the_report_is_there(
    online: dict[str, str], wandb_server: WandbServer, offline_root: Path, tmp_path: Path
) -> None:
    wandb_server.faults.add(operation="UpsertBucket", times=1000, status=403)
    line = ("compare", "--resamples", "100", "--publish", "--name", "all")
    done = goemo_report(online, tmp_path, *line)
    assert done.returncode == 1
    assert "error: the report cannot be published: " in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "reports" / "all.html").is_file()


def test_offline_it_goes_beside_the_runs(
    wandb_server: WandbServer, offline_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(offline_root, tmp_path / "x", symlinks=True)
    environment = wandb_server.env(tmp_path / "home")
    for name in ("WANDB_DIR", "WANDB_DATA_DIR"):
        del environment[name]
    arguments = ("--tag", "roberta-large", "--publish", "--resamples", "100")
    digests = []
    for _ in range(2):
        done = goemo_report(
            environment, tmp_path, "compare", "--wandb-dir", "x/wandb", "-o", "out", *arguments
        )
        assert done.returncode == 0, done.stderr
        assert "published offline as report-roberta-large: " in done.stderr
    source = LogSource(tmp_path / "x")
    reports = [run for run in source.list_runs(RunQuery()).runs if run.job_type == "report"]
    assert len(reports) == 2
    for run in reports:
        assert run.project == PROJECT
        assert str(run.config["command"]).startswith("goemo-report compare --wandb-dir x/wandb")
        found = [a for a in source.artifacts([run])[run.id] if a.type == "report"]
        digests += [(a.name, a.digest) for a in found]
        (files,) = source.manifests(found)
        assert sorted(file.path for file in files) == ["roberta-large.html", "roberta-large.json"]
        assert all(isinstance(path, Path) for path in source.fetch([(found[0], f) for f in files]))
    assert len(set(digests)) == 1
    assert wandb_server.count() == 0


def test_a_native_report_points_at_runs_artifact_and_page(
    online: dict[str, str], wandb_server: WandbServer, tmp_path: Path
) -> None:
    line = ("compare", "--publish", "report", "--name", "all", "--resamples", "100")
    done = goemo_report(online, tmp_path, *line)
    assert done.returncode == 0, done.stderr
    assert "published as report-all:v0, made from 4 artifacts: http" in done.stderr
    (view,) = wandb_server.store.views.values()
    assert f"W&B report: {wandb_server.url}" in done.stderr
    assert view["id"] in done.stderr
    assert (view["displayName"], view["type"]) == ("all", "runs")
    assert view["project"].name == PROJECT
    runs = wandb_server.store.need_project(None, PROJECT).runs
    (own,) = (name for name in runs if name not in IDS)
    blocks = json.loads(view["spec"])["blocks"]
    grids = [block for block in blocks if block["type"] == "panel-grid"]
    compared, page = (
        json.dumps([one["filters"] for one in block["metadata"]["runSets"]]) for block in grids
    )
    assert all(run_id in compared for run_id in IDS)
    assert own not in compared
    assert own in page
    markdown = [block["content"] for block in blocks if block["type"] == "markdown-block"]
    (verdict, leaderboard, _) = markdown
    said = re.search(r"macro F1 (0\.\d+)", verdict)
    assert said is not None
    assert said[1] in leaderboard
    assert "| macro F1" in leaderboard
    assert "<" not in leaderboard
    text = json.dumps(blocks)
    assert '["test/macro_f1"]' in text  # a bar for each run
    assert '"val": "report-all"' in text  # the artifact
    assert '"mediaKeys": ["report"]' in text  # the page with its figures
    assert f"runs/{own}" in text


@pytest.mark.slow
def test_what_keeps_a_native_report_away_is_one_line(
    online: dict[str, str], wandb_server: WandbServer, offline_root: Path, tmp_path: Path
) -> None:
    name = next(iter(IDS))
    wandb_server.faults.add(operation="upsertView", times=100, status=403)
    done = goemo_report(online, tmp_path, "compare", "--publish", "report", name, "--name", "one")
    assert done.returncode == 1
    assert "error: published as report-one:v0, but not as a W&B report: " in done.stderr
    assert "Traceback" not in done.stderr
    assert wandb_server.store.views == {}
    offline = goemo_report(
        online, tmp_path, "compare", "--publish", "report", "--wandb-dir", str(offline_root)
    )
    assert offline.returncode == 1
    assert "read offline" in offline.stderr
    environment = {key: value for key, value in online.items() if key != "WANDB_API_KEY"}
    lacking = goemo_report(environment, tmp_path, "compare", "--publish", str(offline_root))
    assert lacking.returncode == 1
    assert "no W&B API key is set" in lacking.stderr
    assert not list((tmp_path / "reports").glob("wandb*"))  # nothing was computed for nothing
    first = goemo_report(online, tmp_path, "compare", "--publish", name, "--name", "two")
    assert first.returncode == 0, first.stderr  # what follows a bare --publish is a RUN
