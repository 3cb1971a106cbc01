"""What holds for every command: help, options, errors, streams, exit codes, speed of start."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from goemo_report import __version__
from goemo_report.cli import goemo_report
from goemo_report.cli._group import one_line
from goemo_report.errors import DataError, GoemoError
from goemo_report.formats.text import printable
from tests.sources.log_writer import run_record, write_run

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = ("numpy", "wandb", "rich", "jinja2", "plotly", "torch", "transformers", "pandas")

Fail = Callable[[BaseException], None]

SOURCE = {"--entity", "--project", "--wandb-dir"}
FILTERS = {"--tag", "--any-tag", "--not-tag", "--state", "--model"}
OPTIONS = {
    "runs": SOURCE | FILTERS | {"--format", "--output", "-o"},
    "show": SOURCE | {"--format", "--output", "-o"},
    "compare": SOURCE
    | FILTERS
    | {"--format", "--output", "-o", "--name", "--split", "--baseline", "--open", "--no-text"}
    | {"--max-errors", "--section", "--resamples", "--seed"},
    "download": SOURCE | {"--only", "--root"},
    "metrics": SOURCE | {"--split", "--threshold", "--format", "--output", "-o"},
    "demo": {"--output", "-o", "--open"},
}


def commands() -> dict[str, click.Command]:
    context = click.Context(goemo_report)
    found = {
        name: goemo_report.get_command(context, name)
        for name in goemo_report.list_commands(context)
    }
    return {name: command for name, command in found.items() if command is not None}


class TestHelp:
    def test_the_group_lists_every_command(self) -> None:
        result = CliRunner().invoke(goemo_report, ["--help"])
        assert result.exit_code == 0
        assert set(OPTIONS) <= set(commands())
        for name in commands():
            assert f"\n  {name} " in result.output

    @pytest.mark.parametrize("name", commands())
    def test_every_command_explains_itself_with_examples(self, name: str) -> None:
        result = CliRunner().invoke(goemo_report, [name, "--help"])
        assert result.exit_code == 0
        assert "Examples:" in result.output
        assert f"goemo-report {name}" in result.output.split("Examples:")[1]
        assert "--debug" in result.output

    @pytest.mark.parametrize("name", commands())
    def test_every_option_has_a_help_text(self, name: str) -> None:
        for parameter in commands()[name].params:
            if isinstance(parameter, click.Option):
                assert parameter.help, parameter.name

    @pytest.mark.parametrize("name", OPTIONS)
    def test_the_documented_options_exist(self, name: str) -> None:
        known = {option for parameter in commands()[name].params for option in parameter.opts}
        assert OPTIONS[name] <= known

    def test_version(self) -> None:
        result = CliRunner().invoke(goemo_report, ["--version"])
        assert result.output == f"goemo-report {__version__}\n"

    def test_help_imports_nothing_heavy(self) -> None:
        names = ", ".join(map(repr, commands()))
        script = (
            "import sys\n"
            "from click.testing import CliRunner\n"
            "from goemo_report.cli import goemo_report\n"
            f"for arguments in ['--help'], *([name, '--help'] for name in ({names},)):\n"
            "    assert CliRunner().invoke(goemo_report, arguments).exit_code == 0\n"
            f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == "[]", done.stdout + done.stderr


class TestUsage:
    def test_a_mistyped_command_gets_a_suggestion(self) -> None:
        result = CliRunner().invoke(goemo_report, ["rnus"])
        assert result.exit_code == 2
        assert "runs" in result.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ["show"],
            ["runs", "--format", "xml"],
            ["runs", "--state", "asleep"],
            ["metrics", "x.csv", "--threshold", "1.5"],
            ["metrics", "x.csv", "--threshold", "half"],
            ["metrics", "x.csv", "--split", "train"],
            ["download", "x", "--only", "weights"],
            ["compare", "--resamples", "0"],
            ["compare", "--resamples", "99"],
            ["compare", "--name", "../x"],
            ["compare", "--name", "a/b"],
            ["compare", "--format", "md", "--format", "json", "-o", "-"],
            ["compare", "--section", "no-such-section"],
            ["../../etc/passwd"],
            ["__init__"],
            ["_group"],
        ],
    )
    def test_wrong_usage_ends_with_2_and_names_the_fault(self, arguments: list[str]) -> None:
        result = CliRunner().invoke(goemo_report, arguments)
        assert result.exit_code == 2
        (line,) = result.stderr.splitlines()
        assert line.startswith("error: ")
        assert line.endswith("--help`")
        assert "Traceback" not in result.output

    def test_wrong_usage_names_the_option_and_the_commands_own_help(self) -> None:
        result = CliRunner().invoke(goemo_report, ["runs", "--colmns", "csv"])
        for named in ("'--colmns'", "'--columns'", "`goemo-report runs --help`"):
            assert named in result.stderr
        result = CliRunner().invoke(goemo_report, ["metrics", "x", "--treshold", "0.3"])
        assert "'--treshold'. Did you mean '--threshold'? " in result.stderr  # not --true, --pred

    def test_run_ids_of_offline_runs_are_completed(self, tmp_path: Path) -> None:
        for run in ("abc1", "abd2", "$(x)"):
            write_run(tmp_path, run, [])

        def completed(*words: str) -> list[str]:
            typed = ["goemo-report", *words]
            environ = {"COMP_WORDS": " ".join(typed), "COMP_CWORD": str(len(typed) - 1)}
            shell = {"_GOEMO_REPORT_COMPLETE": "bash_complete", **environ}
            result = CliRunner().invoke(goemo_report, env=shell, prog_name="goemo-report")
            return [line for line in result.stdout.splitlines() if line.startswith("plain,")]

        given = ("--wandb-dir", str(tmp_path))
        assert completed("show", *given, "ab") == ["plain,abc1", "plain,abd2"]
        assert completed("compare", *given, "abc1", "abd") == ["plain,abd2"]
        assert completed("show", *given, "$") == []
        assert completed("show", "ab") == []  # W&B is not asked

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_shell_completion_is_there(self, shell: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "goemo_report"],
            env={**os.environ, "_GOEMO_REPORT_COMPLETE": f"{shell}_source"},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0
        assert "goemo-report" in done.stdout

    def test_completion_offers_commands_and_choices(self) -> None:
        environ = {
            **os.environ,
            "_GOEMO_REPORT_COMPLETE": "bash_complete",
            "COMP_WORDS": "goemo-report download r --only ",
            "COMP_CWORD": "4",
        }
        done = subprocess.run(
            [sys.executable, "-m", "goemo_report"],
            env=environ, cwd=REPOSITORY, capture_output=True, text=True, check=False,
        )  # fmt: skip
        offered = done.stdout.split()
        assert "plain,checkpoint" in offered
        assert "plain,predictions" in offered


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Make `runs` fail with a given error, after it printed a line."""

    def fail_with(error: BaseException) -> None:
        command = commands()["runs"]

        def callback(**_: object) -> None:
            click.echo("data")
            raise error

        monkeypatch.setattr(command, "callback", callback)

    return fail_with


class TestErrors:
    def outcome(self, failing: Fail, error: BaseException, *more: str) -> click.testing.Result:
        failing(error)
        return CliRunner().invoke(goemo_report, [*more, "runs"])

    def test_an_error_and_its_remedy_are_one_line(self, failing: Fail) -> None:
        result = self.outcome(failing, DataError("x.csv is empty", "Write something"))
        assert result.exit_code == 1
        assert result.stderr == "error: x.csv is empty. Write something\n"
        assert result.stdout == "data\n"

    @pytest.mark.parametrize(
        "what", ["it lacks a", "it lacks a.", "it lacks a, ...", "it lacks a, "]
    )
    def test_an_error_and_its_remedy_are_two_sentences(self, failing: Fail, what: str) -> None:
        assert self.outcome(failing, GoemoError(what, "Add it")).stderr == (
            "error: it lacks a. Add it\n"
        )
        assert str(GoemoError(what, "Add it")) == "it lacks a. Add it"

    def test_an_unexpected_error_is_one_line_and_says_how_to_see_more(self, failing: Fail) -> None:
        result = self.outcome(failing, KeyError("k"))
        assert result.exit_code == 1
        assert result.stderr.startswith("error: unexpected KeyError: 'k'. This is a fault")
        assert "--debug" in result.stderr
        assert "Traceback" not in result.stderr

    def test_debug_shows_the_traceback(self, failing: Fail) -> None:
        result = self.outcome(failing, KeyError("k"), "--debug")
        assert result.exit_code == 1
        assert "Traceback" in result.stderr
        assert result.stderr.splitlines()[-1].startswith("error: unexpected KeyError: 'k'. ")

    def test_a_system_error_names_its_file(self, failing: Fail) -> None:
        error = PermissionError(13, "Permission denied", "/r/x")
        result = self.outcome(failing, error)
        assert "error: /r/x: Permission denied. Check" in result.stderr
        assert "permissions" in result.stderr

    def test_an_interruption_ends_with_130(self, failing: Fail) -> None:
        result = self.outcome(failing, KeyboardInterrupt())
        assert result.exit_code == 130
        assert result.stderr == "interrupted\n"

    def test_messages_cannot_control_the_terminal(self, failing: Fail) -> None:
        result = self.outcome(failing, GoemoError("run \x1b[2J\x1b]0;owned\x07 \u202eevil\nline 2"))
        assert result.stderr == "error: run \\x1b[2J\\x1b]0;owned\\x07 \\u202eevil line 2\n"

    def test_the_api_key_never_shows(self, failing: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
        key = "0123456789abcdef0123456789abcdef01234567"
        monkeypatch.setenv("WANDB_API_KEY", key)
        other = "wandb_v1_secretsecret"
        result = self.outcome(failing, ValueError(f"bad {key} or {other}"), "--debug")
        assert key not in result.output
        assert other not in result.output


class TestText:
    @pytest.mark.parametrize(
        ("hostile", "shown"),
        [
            ("plain", "plain"),
            ("caf\u00e9 \U0001f600", "caf\u00e9 \U0001f600"),
            ("a\tb\nc", "a\\tb\\nc"),
            ("\x1b[31mred", "\\x1b[31mred"),
            ("a\x9b31m", "a\\x9b31m"),
            ("\u202egpj", "\\u202egpj"),
            ("a\u00a0b", "a b"),
            ("\ud800", "\\ud800"),
            ("\U0001f469\u200d\U0001f4bb", "\U0001f469\u200d\U0001f4bb"),
        ],
    )
    def test_control_characters_are_shown_not_obeyed(self, hostile: str, shown: str) -> None:
        assert printable(hostile) == shown

    def test_one_line_stays_one_line(self) -> None:
        assert one_line("a\r\nb\n\n") == "a b"


def test_a_closed_pipe_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "goemo_report", "--help"],
        cwd=REPOSITORY,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["--help"], ["metrics", "--help"], ["--version"]])
def test_a_full_disk_is_said(arguments: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "goemo_report", *arguments],
            cwd=REPOSITORY, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr


HOSTILE = "\x1b[2J\x07\x9b31m\u202e\x7f"


def on_a_terminal(words: Sequence[str], directory: Path) -> str:
    """What a terminal is sent: standard output and standard error as they come."""
    here, there = pty.openpty()
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TERM": "xterm", "NO_COLOR": "1"}
    child = subprocess.Popen(
        [sys.executable, "-m", "goemo_report", *words],
        cwd=directory, env=environ, stdin=there, stdout=there, stderr=there,
    )  # fmt: skip
    os.close(there)
    shown = b""
    with suppress(OSError):  # what reading gives at the end on Linux
        while part := os.read(here, 1 << 16):
            shown += part
    os.close(here)
    assert child.wait(60) is not None
    return shown.decode("utf-8")


@pytest.mark.parametrize(
    "words",
    [
        ["runs", "--format", "csv"],
        ["runs", "--format", "json"],
        ["runs"],
        ["show", "abc"],
        ["audit", "abc", "--format", "github"],
        ["runs", "--tag", HOSTILE],
    ],
)
def test_nothing_that_a_run_is_called_reaches_a_terminal(tmp_path: Path, words: list[str]) -> None:
    record = run_record("abc", display_name=f"name{HOSTILE}", tags=[HOSTILE], notes=HOSTILE)
    record.run.config.update.add(key=f"k{HOSTILE}", value_json=json.dumps(HOSTILE))
    write_run(tmp_path, "abc", [record])
    shown = on_a_terminal([*words, "--wandb-dir", "."], tmp_path)
    assert not set(shown) & set(HOSTILE.replace("[2J", "").replace("31m", ""))
    assert "1b" in shown


def test_data_keeps_text_as_it_is_where_a_machine_reads_it(tmp_path: Path) -> None:
    write_run(tmp_path, "abc", [run_record("abc", display_name=f"name{HOSTILE}")])
    read = ["runs", "--wandb-dir", str(tmp_path), "--format"]
    document = json.loads(CliRunner().invoke(goemo_report, [*read, "json"]).stdout)
    (row,) = csv.DictReader(CliRunner().invoke(goemo_report, [*read, "csv"]).stdout.splitlines())
    assert document["runs"][0]["name"] == row["name"] == f"name{HOSTILE}"


def test_a_message_of_any_length_is_cut_in_the_middle(failing: Fail) -> None:
    failing(DataError("x" * 5000 + " at the end", "Do this"))
    said = CliRunner().invoke(goemo_report, ["runs"]).stderr
    assert len(said) < 1100
    assert said.endswith(" at the end. Do this\n")


SHELL = f"{sys.executable} -m goemo_report"


def shell(line: str, directory: Path) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        ["bash", "-c", line.replace("goemo-report", SHELL)],
        cwd=directory, env=environ, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("goemo-report --version >&-", 1, "error: standard output is closed. "),
        ("goemo-report runs --wandb-dir . >&-", 1, "error: no runs in "),
        ("goemo-report metrics x.csv 2>&-", 1, ""),
        ("goemo-report predict x <&-", 2, "error: "),
        ("goemo-report show ~nosuchuser/x", 1, "error: there is no run log or directory ~nosuch"),
        ("goemo-report runs --wandb-dir ~nosuchuser", 1, "error: "),
        ("goemo-report metrics loop", 1, "error: loop cannot be read: "),
        ("goemo-report runs --wandb-dir loop", 1, "error: "),
        ("goemo-report runs --wandb-dir . -o loop", 1, "error: "),
        ("goemo-report show ..", 1, "error: "),
        ("goemo-report metrics x.csv -o loop/x.json", 2, "error: "),
        ("goemo-report show .", 1, "error: "),
        ("WANDB_MODE=offline WANDB_DIR=~nosuchuser goemo-report runs", 1, "error: "),
    ],
)
def test_odd_paths_and_closed_streams_are_one_line(
    tmp_path: Path, line: str, code: int, said: str
) -> None:
    below = tmp_path / "below"
    below.mkdir()
    (below / "loop").symlink_to("loop")
    done = shell(line, below)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") <= 1
    assert "unexpected" not in done.stderr


def test_an_error_in_pyproject_is_said(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.goemo]\nentitty = 'x'\n")
    done = subprocess.run(
        [sys.executable, "-m", "goemo_report", "runs"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "entitty" in done.stderr
    assert "pyproject.toml" in done.stderr
