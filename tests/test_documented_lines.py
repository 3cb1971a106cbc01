"""Every command line of the documentation runs, and ends with the exit code it should.

`goemo-report` runs on one folder of five real runs, or on the stand-in server that holds the same
runs; `goemo-train` trains tiny models on the demo corpus in place of large ones from the hub. A
line that is neither, nor in `ELSEWHERE`, fails.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from goemo_report.cli import goemo_report as main
from goemo_report.contract import PROJECT
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.offline_logs.source import LogSource
from goemo_train.config import parse, settle
from tests.conftest import MakeOnce
from tests.documented_lines import PAGES_BY_HAND, mentioned, whole_lines
from tests.generated_docs import ROOT
from tests.sources.online import point_at
from tests.sources.test_trackers import tracked
from tests.train.conftest import RUN_ID, Finished, environment, finished
from tests.train.forked import Forks
from tests.wandb_server import SeedArtifact, SeedRun, WandbServer
from tests.wandb_server.fixtures import wandb_server

__all__ = ["finished", "tracked", "wandb_server"]

LINES = whole_lines()
TRAIN = [line for line in LINES if "goemo-train " in line or "goemo_train " in line]

REPORT_TOO = "goemo-report compare --tag final --publish report"
PUSH = "goemo-report push abc123 my-team/roberta-goemotions --wandb-dir runs --license mit"
ELSEWHERE = {
    "make demo": "installs goemo and starts `goemo-report demo`",
    "pip install .": "tests/test_wheel.py installs it",
    "goemo-report demo": "tests/test_demo.py runs it and looks at the report",
    "wandb login": "asks for a key on a terminal",
    REPORT_TOO: "tests/report/test_publish.py does, where the client serves one server only",
    PUSH: "tests/checkpoints/test_hub.py pushes to a stand-in for the hub",
}
REPORT = [x for x in LINES if x.startswith("goemo-report ") and x not in ELSEWHERE]
COMPLETION = 'eval "$(_GOEMO_REPORT_COMPLETE=bash_source goemo-report)"'
SLOW = {
    "goemo-report demo": "trains four runs",
    "goemo-report sync": "waits for the server to digest",
    "goemo-report verify": "imports torch",
    "goemo-report predict": "imports torch",
    "goemo-report push": "imports torch",
    "goemo-report export": "imports torch",
}
WARNED = "the synthetic runs are small, which the audit warns of"
LOW = "some runs have low scores"
EXIT_CODES = {  # 0 for every other line
    "goemo-report audit --tag final --strict": (3, WARNED),
    "goemo-report audit --tag final --wandb-dir wandb --strict": (3, WARNED),
    "goemo-report check --tag final --fail-under macro_f1=0.45 --fail-under f1_joy=0.5": (3, LOW),
    "goemo-report check RUN_B --baseline RUN_A --max-drop macro_f1=0.01 --confidence 0.95": (
        3,
        "RUN_B is better, but 120 texts do not show it",
    ),
}

# What a placeholder stands for among the runs of the test.
STANDS_FOR = {
    "RUN": RUN_ID,
    "RUN_A": "robertalarges1",
    "RUN_B": "robertalarges2",
    "abc123": RUN_ID,
    "roberta-large-checkpoint-abc123:v0": "roberta-large-checkpoint-robertalarges1:v0",
    "cuda": "cpu",
}
SMALL = (
    *("--model=tiny-bert", "--dataset=demo", "--limit=200", "--num-epochs=1"),
    "--wandb-mode=offline",
)


def test_every_line_is_run_here_or_said_to_be_run_elsewhere() -> None:
    assert set(LINES) == {*REPORT, *TRAIN, *ELSEWHERE, COMPLETION}
    assert set(EXIT_CODES) <= set(REPORT)
    assert len(REPORT) > 40


def test_no_line_hides_in_another_kind_of_block() -> None:
    kinds = {
        kind
        for page in PAGES_BY_HAND
        for kind in re.findall(r"^```(\w+)", page.read_text("utf-8"), re.MULTILINE)
    }
    assert kinds == {"console", "python", "text", "toml", "yaml"}


# --- goemo-report -----------------------------------------------------------------------


@pytest.fixture(scope="session")
def five_runs(make_once: MakeOnce, offline_root: Path, finished: Finished) -> Path:
    """The offline runs and a trained one, whose checkpoint loads, in one folder. Read only."""

    def fill(root: Path) -> None:
        links = shutil.ignore_patterns("latest-run", "debug*.log")  # both have them
        for source in (offline_root, finished.output):
            shutil.copytree(source, root, ignore=links, dirs_exist_ok=True)

    return make_once("five-runs", fill)


@pytest.fixture(scope="module")
def seeds(five_runs: Path) -> list[SeedRun]:
    """The same runs as the server holds them."""
    source = LogSource(five_runs)
    runs = source.list_runs(RunQuery()).runs
    histories, artifacts = source.histories(runs), source.artifacts(runs)
    made = []
    for run in runs:
        logged = []
        for artifact in artifacts[run.id]:
            (files,) = source.manifests([artifact])
            paths = source.fetch([(artifact, file) for file in files])
            contents = {
                file.path: path.read_bytes()
                for file, path in zip(files, paths, strict=True)
                if isinstance(path, Path)
            }
            logged.append(SeedArtifact(artifact.name, artifact.type, contents, artifact.metadata))
        made.append(
            SeedRun(run.id, run.name, run.tags, run.config, run.summary, histories[run.id], logged)
        )
    return made


@pytest.fixture
def folder(
    five_runs: Path, finished: Finished, wandb_server: WandbServer, seeds: list[SeedRun],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> Path:  # fmt: skip
    """Where a reader stands: runs in `runs` and `wandb`, a key for the server, a browser."""
    point_at(monkeypatch, wandb_server, tmp_path / "home")
    work = tmp_path / "work"
    shutil.copytree(five_runs, work / "runs", symlinks=True)
    (work / "wandb").symlink_to(work / "runs" / "wandb")
    for name in ("test_predictions.csv", "a.csv", "b.csv"):
        shutil.copy(finished.directory / "test_predictions.csv", work / name)
    shutil.copy(finished.directory / "checkpoint" / "thresholds.json", work)
    (work / "texts.txt").write_text("Thank you!\nWhat a day.\n")
    browser = tmp_path / "bin" / "xdg-open"
    browser.parent.mkdir()
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{browser.parent}:{os.environ['PATH']}")
    monkeypatch.chdir(work)
    return work


def meant(line: str, folder: Path) -> list[str]:
    """The words of a line, its placeholders replaced."""
    (directory,) = folder.glob(f"wandb/offline-run-*-{RUN_ID}")
    run = LogSource(directory).find_run(RUN_ID)
    line = line.replace(
        "wandb/offline-run-20241210_143022-abc123", str(directory.relative_to(folder))
    )
    line = line.replace("roberta-large-20241210-143022", run.name)
    return [STANDS_FOR.get(word, word) for word in shlex.split(line)]


def opened(folder: Path) -> str:
    """What the browser, which nobody waits for, was asked to show."""
    file, end = folder.parent / "opened", time.monotonic() + 30
    while not file.exists() or not file.read_text().endswith("\n"):
        assert time.monotonic() < end
        time.sleep(0.01)
    return file.read_text().strip()


def marked(line: str) -> object:
    slow = any(line.startswith(start) for start in SLOW)
    return pytest.param(line, marks=pytest.mark.slow) if slow else line


@pytest.mark.parametrize("line", [marked(line) for line in REPORT])
def test_a_report_line_runs(
    line: str,
    folder: Path,
    wandb_server: WandbServer,
    seeds: list[SeedRun],
    request: pytest.FixtureRequest,
) -> None:
    if "--source" in line:
        for place in request.getfixturevalue("tracked").iterdir():
            (folder / place.name).symlink_to(place)
    wandb_server.store.entities.append("my-team")
    if not line.startswith("goemo-report sync"):
        for entity in wandb_server.store.entities:
            wandb_server.seed(seeds, project=PROJECT, entity=entity)
    words, typed = meant(line, folder)[1:], ""
    if "<" in words:
        words, typed = words[:-2], Path(words[-1]).read_text()
    result = CliRunner().invoke(main, words, input=typed)
    code, _ = EXIT_CODES.get(line, (0, ""))
    assert result.exit_code == code, result.output
    for option in ("-o", "--junit"):
        if option in words and (file := words[words.index(option) + 1]) != "-":
            assert Path(file).stat().st_size > 0
    if "--open" in words:
        assert Path(opened(folder).removeprefix("file://")).is_file()


def test_shell_completion_is_taken_by_bash(tmp_path: Path) -> None:
    shell = f"{COMPLETION}; complete -p goemo-report"
    done = subprocess.run(["bash", "-c", shell], env=on_path(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", ["make --dry-run demo", "wandb login --help"])
def test_what_runs_elsewhere_exists(line: str) -> None:
    words = line.split()
    assert any(words[0] == known.split()[0] for known in ELSEWHERE)
    done = subprocess.run(words, cwd=ROOT, env=on_path(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("page", "line"), list(mentioned()))
def test_a_command_within_a_sentence_exists(page: str, line: str) -> None:
    program, *words = line.split()
    if program == "goemo-report":
        command = main.get_command(click.Context(main), words[0])
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word.split("=")[0] for word in words if word.startswith("-")} <= known
    elif program == "make":
        assert f"\n{words[0]}:" in (ROOT / "Makefile").read_text("utf-8")
    elif program == "python" and words[0] == "-m":
        module = ROOT / words[1].replace(".", "/")
        assert module.is_dir() or module.with_suffix(".py").is_file()
    elif program == "python":
        assert (ROOT / words[0]).is_file()
    elif program == "wandb":
        assert words[0] in {"login", "sync", "sweep", "agent"}
    else:
        assert words[-1] == "goemo_train"


# --- goemo-train ------------------------------------------------------------------------


def on_path() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    with Forks(tmp_path_factory.mktemp("forks")) as found:
        yield found


@pytest.mark.parametrize("line", TRAIN)
def test_a_training_line_is_understood(line: str) -> None:
    words = shlex.split(line)
    start = words.index("goemo_train" if "goemo_train" in words else "goemo-train") + 1
    for flags in parse(words[start:]):
        flags.pop("debug", None)
        settle(flags, {})


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in TRAIN if line.startswith("goemo-train ")])
def test_a_training_line_trains(line: str, forks: Forks, tmp_path: Path) -> None:
    options = [*shlex.split(line)[1:], *SMALL, f"--output={tmp_path}"]
    trainer = forks.start(*options, WANDB_DIR=str(tmp_path))
    assert trainer.wait() == 0, trainer.stderr()
    runs = LogSource(tmp_path).list_runs(RunQuery()).runs
    assert len(runs) == len(parse(options))
    assert {run.state for run in runs} == {"finished"}


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in TRAIN if not line.startswith("goemo-train ")])
def test_a_line_of_many_processes_trains_one_run(line: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    words = [*shlex.split(line), *SMALL, f"--output={tmp_path / 'runs'}"]
    at = words.index("-m")
    words[at:at] = ["--master_port" if words[0] == "torchrun" else "--main_process_port", port]
    done = subprocess.run(
        words, env={**environment(tmp_path), "PATH": on_path()["PATH"], "PYTHONPATH": str(ROOT)},
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = LogSource(tmp_path / "runs").list_runs(RunQuery()).runs
    assert run.state == "finished"
