"""What is said where a RUN, a tag or an output is not what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from goemo_report.cli import goemo_report


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(goemo_report, [str(argument) for argument in arguments])


def test_a_prediction_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "test_predictions.csv").write_text("text\n", "utf-8")
    for text in ("a/test_predictions.csv", "x=a/test_predictions.csv", "./a"):
        result = invoke("compare", text)
        assert result.exit_code == 1
        assert "test_predictions.csv lacks 2 columns" in result.stderr
        assert "logged" not in result.stderr
    for text in ("gone.csv", "x=gone", "gone/gone.parquet"):
        result = invoke("compare", text)
        assert result.exit_code == 1
        assert "there is no prediction file gone" in result.stderr


@pytest.mark.parametrize("command", ["compare", "show"])
@pytest.mark.parametrize("text", ["/no/such/dir", "no/such"])
def test_a_path_that_is_nowhere_is_called_so(command: str, text: str) -> None:
    result = invoke(command, text)
    assert result.exit_code == 1
    assert f"there is no directory {text}" in result.stderr


@pytest.mark.parametrize("command", ["compare", "show"])
def test_a_directory_of_runs_is_not_one_run(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offline_root: Path
) -> None:
    monkeypatch.chdir(offline_root.parent)
    for text in (offline_root.name, f"./{offline_root.name}", offline_root):
        result = invoke(command, text)
        assert result.exit_code == 1
        assert "is a directory that holds" in result.stderr
        assert f"--wandb-dir {text}" in result.stderr


def test_a_directory_without_runs_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert "there is no run log in the directory a/b" in invoke("show", "a/b").stderr


def test_files_are_named_compared_and_shown(tmp_path: Path) -> None:
    rows = "text,true_a,true_b,prob_a,prob_b\nx,1,0,0.9,0.2\ny,0,1,0.4,0.7\n"
    Path("held").mkdir()
    files = [Path("held") / f"{name}.csv" for name in "abc"]
    for file in files:
        file.write_text(rows, "utf-8")
    result = invoke("compare", "held")
    assert result.exit_code == 1
    assert "held is a directory of 3 tables" in result.stderr
    assert "Name the files: held/a.csv, held/b.csv and 1 more" in result.stderr
    assert "reports/a-and-2-more.md\n" in invoke("compare", *files, "--format", "md").stdout
    result = invoke("compare", "team/large=held/a.csv", *files[1:2] * 2, "--format", "md")
    assert result.stdout == "reports/team-large-b.md\n"
    assert "note: a RUN that is given twice counts once" in result.stderr
    assert "team/large" in result.stderr.splitlines()[-1]  # the verdict
    Path("d.csv").write_text(rows.replace("y,0,1", "y,1,1"), "utf-8")
    said = invoke("compare", files[0], "d.csv", "--format", "md").stderr
    assert "d beside a: not paired: 1 of 2 common texts" in said
    shown = invoke("show", files[0]).stdout
    assert f"{len(rows)} B" in shown
    assert "a is predictions alone, without a checkpoint" in invoke("verify", files[0]).stderr
    said = invoke("sync", "gone").stderr
    assert "there is no directory gone" in said
    assert "note: a is predictions alone" in invoke("audit", files[0]).stderr
    result = invoke("compare", *files, "--table", "none")
    assert result.exit_code == 2
    assert all(name in result.stderr for name in ("summary-recipes", "errors-", "files-read"))
    assert "\u2026" not in result.stderr
    alone = invoke("compare", files[0], "--table", "differences-overall").stderr
    assert "no table 'differences-overall' of one run: tables of differences need two" in alone


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("--wandb-dir runs compare", "'--wandb-dir'. Options of a command go after it"),
        ("help", "Did you mean '--help'?"),
        ("list", "Did you mean 'runs'?"),
        ("compare *.csvv", "no file matches *.csvv"),
        ("compare", "; --wandb-dir runs reads the offline runs in runs"),
        ("runs --tag final,training --wandb-dir runs", "alone: --tag final --tag training"),
    ],
)
def test_what_is_typed_by_habit_gets_what_is_meant(
    typed: str, said: str, offline_root: Path
) -> None:
    Path("runs").symlink_to(offline_root.parent)
    assert said in invoke(*typed.split()).stderr


def test_remedies_keep_the_directory(offline_root: Path) -> None:
    result = invoke("show", "zzzzzz", "--wandb-dir", offline_root)
    assert f"`goemo-report runs --wandb-dir {offline_root}`" in result.stderr


def test_a_mistyped_tag_gets_the_one_meant(offline_root: Path) -> None:
    result = invoke("compare", "--tag", "finall", "--wandb-dir", offline_root)
    assert "Did you mean 'final'?" in result.stderr


def test_an_output_that_cannot_be_is_named_as_it_was_typed(offline_root: Path) -> None:
    result = invoke("runs", "--wandb-dir", offline_root, "--format", "csv", "-o", "/proc/foo")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: /proc/foo: ")
    assert "choose another place" in result.stderr


def test_of_many_files_the_first_are_compared() -> None:
    for name in "abc":
        Path(f"{name}.csv").write_text("text,true_a,true_b,prob_a,prob_b\nx,1,0,0.9,0.2\n", "utf-8")
    result = invoke("compare", "a.csv", "b.csv", "c.csv", "--top", "2", "--format", "md")
    assert "statistics are of 2 of 3 runs, the first" in result.stderr
    assert result.stdout == "reports/a-b.md\n"
