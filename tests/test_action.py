"""The steps of action.yml, with the shell and the environment that GitHub gives them.

A loopback server stands for GitHub's comments.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.generated_docs import ROOT
from tests.offline_runs import OfflineRun, write_prediction_file

ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
HOSTILE: Final = "@octocat <img src> [a](http:evil) #1 -->"


class GitHub(ThreadingHTTPServer):
    """Comments of pull request 7, and what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.comments: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.refusal: tuple[int, str] | None = None
        self.login: str | None = None

    def add(self, body: str, kind: str = "Bot", login: str = "github-actions[bot]") -> None:
        user = {"type": kind, "login": login}
        self.comments.append({"id": 100 + len(self.comments), "body": body, "user": user})


class _Handler(BaseHTTPRequestHandler):
    server: GitHub

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/user":
            self.answer(403 if self.server.login is None else 200, {"login": self.server.login})
            return
        query = parse_qs(parts.query)
        size, page = int(query["per_page"][0]), int(query["page"][0])
        self.answer(200, self.server.comments[size * (page - 1) : size * page])

    def do_POST(self) -> None:
        if not self.refused():
            assert self.path == "/repos/me/mine/issues/7/comments"
            self.server.add(self.body())
            self.answer(201, {})

    def do_PATCH(self) -> None:
        if not self.refused():
            number = int(self.path.removeprefix("/repos/me/mine/issues/comments/"))
            self.server.comments[number - 100]["body"] = self.body()
            self.answer(200, {})

    def body(self) -> str:
        assert self.headers["Authorization"] == "Bearer secret"
        text: str = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        return text

    def refused(self) -> bool:
        if self.server.refusal:
            code, said = self.server.refusal
            self.answer(code, {"message": said})
        return self.server.refusal is not None

    def answer(self, code: int, value: object) -> None:
        self.server.asked.append(self.command)
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class Job:
    """A runner: folders, an event, and the outputs of steps."""

    def __init__(self, folder: Path, github: GitHub, event: dict[str, Any]) -> None:
        self.folder, self.outputs = folder, folder / "outputs"
        program = folder / "temp/goemo/bin/python"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        program.chmod(0o755)
        (folder / "event.json").write_text(json.dumps(event))
        self.environment = {
            **{name: one for name, one in os.environ.items() if not name.startswith("WANDB_")},
            "PYTHONPATH": str(ROOT),
            "RUNNER_TEMP": str(folder / "temp"),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_API_URL": f"http://127.0.0.1:{github.server_port}",
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "GITHUB_REPOSITORY": "me/mine",
            "GITHUB_OUTPUT": str(self.outputs),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        }

    def step(self, name: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        step = STEPS[name]
        given = {key: one.get("default", "") for key, one in ACTION["inputs"].items()}
        given |= {"token": "secret"} | {key.replace("_", "-"): one for key, one in inputs.items()}
        written = self.outputs.read_text().splitlines() if self.outputs.exists() else []
        outputs = dict(line.split("=", 1) for line in written)

        def meant(expression: re.Match[str]) -> str:
            words = expression[1].strip().split(".")
            return given[words[1]] if words[0] == "inputs" else outputs[words[-1]]

        filled = {key: re.sub(r"\$\{\{(.*?)\}\}", meant, one) for key, one in step["env"].items()}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.folder, env=self.environment | filled,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def comment(self, text: str = "the report", **inputs: str) -> str:
        """Run the step Comment on a text; gives the one line that it prints."""
        (self.folder / "comment.md").write_text(text)
        self.outputs.write_text(f"directory={self.folder}\n")
        done = self.step("Comment", **inputs)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("\n") == 1
        return done.stdout.strip()


@pytest.fixture
def job(tmp_path: Path, github: GitHub) -> Job:
    return Job(tmp_path, github, {"pull_request": {"number": 7}})


@pytest.fixture
def judge() -> Any:
    """The step Judge as a module."""
    spec = importlib.util.spec_from_file_location("judge", ROOT / ".github" / "judge.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("inputs", "other"),
    [({}, False), ({"SOURCE": "mlflow:mlruns"}, True), ({"SOURCE": "offline:runs"}, False),
     ({"OPTIONS": "--top=3\n--source=trackio:t"}, True), ({"WANDB_DIR": "runs"}, False),
     ({"SOURCE": "mlflow:x", "WANDB_DIR": "runs"}, False), ({"OPTIONS": "--wandb-dir=runs"}, False),
     ({"OPTIONS": "--wandb-dir\nruns"}, False), ({"OPTIONS": "--source\ntrackio:t"}, True)],
)  # fmt: skip
def test_runs_of_other_trackers_are_not_held_to_the_guide(
    judge: Any, inputs: dict[str, str], other: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SOURCE", "OPTIONS", "WANDB_DIR"):
        monkeypatch.setenv(f"GOEMO_{name}", inputs.get(name, ""))
    assert judge.other_tracker() == other
    (tmp_path / "pyproject.toml").write_text('[tool.goemo]\nsource = "mlflow:mlruns"\n')
    assert judge.other_tracker() == (other or not inputs)


def test_many_conditions_do_not_push_the_verdict_out(judge: Any, tmp_path: Path) -> None:
    (tmp_path / "check.md").write_text("| ok | a run | a condition | 0.5 |\n" * 4000)
    (tmp_path / "summary.md").write_text("the verdict\n")
    (tmp_path / "audit.md").write_text("a finding\n" * 9000)
    found = judge.Judgement(tmp_path)
    found.codes.append(3)
    text = judge.comment(found, "Runs")
    assert len(text) < 65_536
    assert "the verdict" in text
    assert "a finding" in text
    assert text.count("The rest is in the files") == 2
    assert text.count("<details>") == text.count("</details>") == 1


def test_no_step_holds_an_expression() -> None:
    """What others wrote would become part of the command."""
    assert [name for name, step in STEPS.items() if "${{" in step["run"]] == []


def test_one_comment_is_written_and_updated_in_place(job: Job, github: GitHub) -> None:
    for number in range(120):
        github.add(f"talk {number}", "User", "someone")
    assert job.comment("first") == "comment on pull request 7 written"
    assert job.comment("other", title="Nightly --> runs") == "comment on pull request 7 written"
    assert job.comment("second") == "comment on pull request 7 updated"
    bodies = [one["body"] for one in github.comments[120:]]
    assert bodies == [
        "<!-- goemo-report: Runs -->\nsecond",
        "<!-- goemo-report: Nightly - runs -->\nother",
    ]


def test_a_copied_marker_is_left_alone_and_a_person_keeps_her_own(job: Job, github: GitHub) -> None:
    github.add("<!-- goemo-report: Runs -->\nmine", "User", "mallory")
    github.add("<!-- goemo-report: Runs -->\nof a user who is gone")
    github.comments[1]["user"] = None
    assert job.comment("first").endswith("written")
    assert github.comments[0]["body"].endswith("mine")
    github.login = "mallory"
    assert job.comment("second").endswith("updated")
    assert github.comments[0]["body"].endswith("second")


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (403, "Resource not accessible\nby integration", "accessible by integration). Give the"),
        (500, "100% broken", "answered 500 (100%25 broken)"),
    ],
)
def test_a_refused_comment_is_one_line_and_fails_nothing(
    job: Job, github: GitHub, code: int, message: str, said: str
) -> None:
    github.refusal = code, message
    line = job.comment()
    assert line.startswith(f"::warning::no comment on pull request 7: GitHub answered {code} (")
    assert said in line


def test_an_unreachable_api_is_one_line(job: Job) -> None:
    job.environment["GITHUB_API_URL"] = "http://127.0.0.1:9"
    assert "Connection refused" in job.comment()


@pytest.mark.parametrize("event", ["{broken 100%", '{"pull_request": 7}', "[1]", "", None])
def test_an_event_that_cannot_be_read_is_one_line(job: Job, event: str | None) -> None:
    place = Path(job.environment["GITHUB_EVENT_PATH"])
    if event is None:
        place.unlink()
    else:
        place.write_text(event)
    line = job.comment()
    assert line.startswith("::warning::no comment: the event cannot be read (")
    assert "100%" not in line.replace("%25", "")


@pytest.mark.parametrize(
    ("event", "posted"),
    [({}, 0), ({"issue": {"number": 7}}, 0), ({"issue": {"number": 7, "pull_request": {}}}, 0),
     ({"issue": {"number": 7, "pull_request": {"url": "x"}}}, 1)],
)  # fmt: skip
def test_only_a_pull_request_gets_a_comment(
    tmp_path: Path, github: GitHub, event: dict[str, Any], posted: int
) -> None:
    job = Job(tmp_path, github, event)
    assert ("no comment" in job.comment()) == (not posted)
    assert github.asked.count("POST") == posted


@pytest.mark.slow
def test_files_are_judged_and_the_report_is_commented(job: Job, github: GitHub) -> None:
    for number, quality in ((1, 0.7), (2, 0.9)):
        run = OfflineRun(seed=number, quality=quality)
        write_prediction_file(job.folder / f"{number}.csv", run, "test")
    inputs = {
        "runs": f"1.csv\n  {HOSTILE}=2.csv\r\n\n",
        "fail_under": "macro_f1=0.1\nf1_joy=0.999",
        "title": "$(touch owned) `touch owned` @team",
    }
    done = job.step("Judge", **inputs)
    assert done.returncode == 0, done.stderr
    assert job.step("Comment", **inputs).stdout == "comment on pull request 7 written\n"
    assert job.step("Result", **inputs).returncode == 3
    (body,) = (one["body"] for one in github.comments)
    marker, heading, rest = body.split("\n", 2)
    assert marker.startswith("<!-- goemo-report: -touch")
    assert heading.endswith("found something")
    assert "Quality gate: 1 of 4 failed" in rest
    assert "is best with macro F1" in rest
    for word in ("@octocat", "@team", "<img", "[a](", " #1 ", " -->"):
        assert word not in body.removeprefix(marker)
    assert not list(job.folder.rglob("owned"))
    assert (job.folder / "summary.md").read_text() == body.removeprefix(f"{marker}\n")
    (directory,) = (job.folder / "temp").glob("goemo-report-*")
    wanted = {"comment.md", "gate.xml", "report.html", "report.json", "report.md"}
    assert wanted <= {path.name for path in directory.iterdir()}


@pytest.mark.slow
def test_runs_are_audited_and_what_cannot_be_read_is_said(job: Job, offline_root: Path) -> None:
    judged = job.step("Judge", wandb_dir=str(offline_root), tags="final", audit="strict")
    assert "::warning" in judged.stdout
    assert "<summary>Audit</summary>" in (job.folder / "summary.md").read_text()
    assert job.step("Result").returncode == 3
    job.step("Judge", runs=f"gone<b>.csv\n{'long' * 100}")
    assert job.step("Result").returncode == 1
    said = (job.folder / "summary.md").read_text().rpartition("## Runs")[2]
    assert "Audit" not in said
    assert "could not be judged" in said
    assert "- `goemo-report compare`: " in said
    assert "<b>" not in said
    job.step("Judge", runs="gone.csv", audit="maybe")
    assert job.step("Result").returncode == 2
    assert "the input `audit` is maybe. Give one of" in (job.folder / "summary.md").read_text()


@pytest.mark.slow
def test_it_installs_itself(job: Job) -> None:
    job.environment.pop("PYTHONPATH")
    (job.folder / "temp/goemo/bin/python").unlink()
    done = job.step("Install", python=sys.executable)
    assert done.returncode == 0, done.stderr
    make = ["-c", "from goemo_report.api import demo; import pathlib; demo.make_up(pathlib.Path())"]
    subprocess.run([job.folder / "temp/goemo/bin/python", *make], cwd=job.folder, check=True)
    job.step("Judge", runs="made-up-a\nmade-up-c", baseline="made-up-a")
    assert job.step("Result").returncode == 0
