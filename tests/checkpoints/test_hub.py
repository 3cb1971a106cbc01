"""Pushing to the hub: the real client against tests/hub_server.py, which holds what arrived."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest
from click.testing import CliRunner, Result

from goemo_report.cli import goemo_report
from goemo_report.labels import GOEMOTIONS
from goemo_report.predictions import read_predictions
from goemo_report.sources.model import RunRecord
from tests.checkpoints.conftest import nothing_set, trained
from tests.hub_server import TOKEN, Hub, Repo, hub_server
from tests.train.conftest import RUN_ID, Finished, finished

__all__ = ["finished", "nothing_set", "trained"]
REPO = "my-team/emotions"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        constants = huggingface_hub.constants  # read from the environment at import
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield server


def push(finished: Finished, *words: str, code: int = 0) -> Result:
    line = ["push", RUN_ID, *words, "--wandb-dir", str(finished.output)]
    done = CliRunner().invoke(goemo_report, line)
    assert done.exit_code == code, done.output
    assert TOKEN not in done.output
    if code:
        assert len(done.stderr.splitlines()) == 1
    return done


def test_a_run_arrives_as_one_commit_that_reads_back(
    hub: Hub, finished: Finished, tmp_path: Path
) -> None:
    done = push(finished, REPO, "--license", "mit", "--format", "json")
    repo = hub.repos[REPO]
    assert repo.private
    [(message, paths)] = repo.commits
    assert RUN_ID in message
    told = json.loads(done.stdout)
    assert [one["path"] for one in told["files"]] == sorted(paths)
    assert {one["path"]: one["size"] for one in told["files"]} == {
        path: len(repo.files[path]) for path in paths
    }
    assert not [path for path in paths if path.endswith((".bin", ".pt", ".py"))]
    assert {"report/report.html", "predictions/val_predictions.csv"} <= set(paths)
    assert b'license: "mit"' in repo.files["README.md"]
    assert f'directory = "{REPO}"'.encode() in repo.files["README.md"]
    (thresholds,) = json.loads(repo.files["thresholds.json"])["entries"]
    assert set(thresholds["labels"]) == set(GOEMOTIONS.labels)

    file = tmp_path / "test_predictions.csv"
    file.write_bytes(repo.files["predictions/test_predictions.csv"])
    logged = read_predictions(finished.directory / "test_predictions.csv")
    arrived = read_predictions(file)
    assert arrived.texts == logged.texts
    assert (arrived.probabilities == logged.probabilities).all()
    assert (arrived.predicted == logged.predicted).all()

    for path, data in repo.files.items():
        (tmp_path / "model" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / path).write_bytes(data)
    import torch
    import transformers

    load = transformers.AutoModelForSequenceClassification.from_pretrained
    ours, theirs = load(tmp_path / "model"), load(finished.directory / "checkpoint")
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)

    # The token goes to the hub alone: its store and what the client asks besides get none.
    assert any(asked.startswith("PUT /store/") for asked in hub.requests)
    assert not [asked for asked in hub.with_token if "/store/" in asked]

    again = push(finished, REPO, "--license", "mit")  # the same bytes: nothing to commit
    assert len(repo.commits) == 1
    assert "unchanged" in again.stdout


def test_a_dry_run_lists_everything_and_asks_nobody(hub: Hub, finished: Finished) -> None:
    done = push(finished, REPO, "--dry-run")
    assert hub.requests == []
    assert "model.safetensors" in done.stdout
    assert "nothing was sent" in done.stdout


@pytest.mark.slow
def test_no_text_goes_along_where_none_is_to(hub: Hub, finished: Finished) -> None:
    push(finished, REPO, "--no-text")
    files = hub.repos[REPO].files
    texts = read_predictions(finished.directory / "test_predictions.csv").texts
    everything = b"\n".join(files.values()).decode(errors="replace")
    assert not [path for path in files if "predictions" in path]
    assert not [text for text in texts if len(text) > 20 and text in everything]


def test_files_of_an_earlier_push_go_and_others_stay(hub: Hub, finished: Finished) -> None:
    manifest = json.dumps({"files": ["pytorch_model.bin", "README.md", "gone.txt"]}).encode()
    files = {"pytorch_model.bin": b"old", "README.md": b"old", "notes.txt": b"mine"}
    hub.repos[REPO] = Repo(True, {**files, "goemo.json": manifest})
    refused = push(finished, REPO, code=1)
    assert "holds 1 other file: notes.txt" in refused.stderr
    assert hub.repos[REPO].commits == []
    push(finished, REPO, "--force")
    held = hub.repos[REPO].files
    assert "pytorch_model.bin" not in held
    assert held["notes.txt"] == b"mine"
    assert held["README.md"].startswith(b"---\n")
    assert len(hub.repos[REPO].commits) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("there", "said"),
    [
        (Repo(True, {"README.md": b"x"}), "README.md would be replaced"),
        (Repo(False), "is public"),
    ],
)
def test_what_is_there_is_not_touched(there: Repo, said: str, hub: Hub, finished: Finished) -> None:
    hub.repos[REPO] = there
    assert said in push(finished, REPO, code=1).stderr
    assert there.commits == []


FAULTS = [
    ("whoami", 401, "does not accept the token"),
    ("preupload", 404, "no such repository"),
    ("PUT /store/", 403, "may not write there"),
    ("/commit/main", 500, "the hub answers 500"),
    ("validate-yaml", 503, "the hub answers 503"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("asked", "status", "said"), FAULTS)
def test_a_fault_is_one_line_and_commits_nothing(
    asked: str, status: int, said: str, hub: Hub, finished: Finished
) -> None:
    hub.faults[asked] = status
    done = push(finished, REPO, code=1)
    assert said in done.stderr
    assert "nothing was committed" in done.stderr
    assert not hub.repos.get(REPO, Repo(True)).commits


@pytest.mark.slow
def test_a_change_meanwhile_is_not_overwritten(hub: Hub, finished: Finished) -> None:
    hub.repos[REPO] = repo = Repo(True)
    hub.meanwhile = lambda: repo.files.update({"theirs.txt": b"new"})
    assert "changed meanwhile" in push(finished, REPO, code=1).stderr
    assert repo.commits == []
    hub.meanwhile = None
    push(finished, REPO, "--force")  # and the next one goes through
    assert len(repo.commits) == 1


def test_wrong_names_and_a_missing_token_are_told(
    hub: Hub, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/b/c", "../x", "a--b", "x.git", "é/x", "-x"):
        line = ["push", "--wandb-dir", str(finished.output), "--", RUN_ID, name]
        done = CliRunner().invoke(goemo_report, line)
        assert done.exit_code == 2, name
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nonexistent")
    assert "no token for the hub" in push(finished, REPO, code=1).stderr
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in push(finished, REPO, code=1).stderr
    assert hub.requests == []


@pytest.mark.slow
def test_a_checkpoint_that_changed_is_not_sent(
    hub: Hub, finished: Finished, tmp_path: Path, trained: RunRecord
) -> None:
    import shutil

    copy = tmp_path / "runs"
    shutil.copytree(finished.output, copy, symlinks=True)
    for weights in copy.rglob("pytorch_model.bin"):
        weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    for staged in copy.rglob("artifacts/staging/*"):
        staged.write_bytes(staged.read_bytes()[:-1] + b"\0")
    line = ["push", RUN_ID, REPO, "--wandb-dir", str(copy)]
    done = CliRunner().invoke(goemo_report, line)
    assert done.exit_code == 1, done.output
    assert not [repo for repo in hub.repos.values() if repo.commits]
