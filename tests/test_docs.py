"""The documentation says what the program does: generated parts, links, command lines."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from goemo_report.cli import goemo_report as main
from goemo_report.model import RunQuery
from goemo_report.sources.logs import LogSource
from goemo_train.config import parse, settle
from tests.generated_docs import PAGES, ROOT

PAGES_BY_HAND = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("path", PAGES)
def test_generated_pages_are_current(path: str) -> None:
    written = (ROOT / path).read_text(encoding="utf-8")
    assert written == PAGES[path](), "run `make docs`"


def command_lines() -> Iterator[tuple[str, str]]:
    """Every line after `$ ` in a console block, with the page that it stands on."""
    for page in PAGES_BY_HAND:
        for block in re.findall(r"```console\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            for line in block.splitlines():
                if line.startswith("$ "):
                    yield page.name, line[2:]


REPORT_LINES = [line for line in command_lines() if line[1].startswith("goemo-report ")]
TRAIN_LINES = [line for line in command_lines() if line[1].startswith("goemo-train ")]
NEEDS_MORE = {
    "demo": "trains; tests/test_demo.py runs it",
    "doctor": "asks W&B; tests/test_doctor.py runs it against a server",
    "sync": "uploads; tests/test_sync.py runs it against a server",
    "verify": "loads a trained checkpoint; tests/checkpoints/test_verify.py runs it",
    "predict": "loads a trained checkpoint; tests/checkpoints/test_labelling.py does",
}


def test_there_are_command_lines() -> None:
    assert len(REPORT_LINES) > 4
    assert TRAIN_LINES


@pytest.mark.parametrize(("page", "line"), REPORT_LINES)
def test_documented_command_works(
    page: str,
    line: str,
    offline_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = shlex.split(line)[1:]
    command = main.get_command(click.Context(main), words[0])
    assert command is not None, f"{page} names a command that does not exist"
    if words[0] in NEEDS_MORE or "--publish" in words:
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word.split("=")[0] for word in words if word.startswith("-")} <= known
        return
    runs = shutil.copytree(offline_root, tmp_path / "runs", symlinks=True)
    listed = LogSource(runs).list_runs(RunQuery()).runs
    names = {"RUN": listed[0].id, "RUN_A": listed[0].id, "RUN_B": listed[1].id}
    words = [names.get(word, word) for word in words if word != "--open"]
    if "--wandb-dir" not in words:
        words += ["--wandb-dir", "runs"]
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, words)
    assert result.exit_code in (0, 3), result.output


@pytest.mark.parametrize(("page", "line"), TRAIN_LINES)
def test_documented_training_command_parses(page: str, line: str) -> None:
    for flags in parse(shlex.split(line)[1:]):
        flags.pop("debug", None)
        settle(flags, {})


@pytest.mark.parametrize("page", PAGES_BY_HAND, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
