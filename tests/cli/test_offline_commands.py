"""The commands on real offline runs, the way a user types them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from goemo_report.cli import goemo_report
from goemo_report.contract import PROJECT
from goemo_report.labels import EMOTIONS
from tests.offline_runs import OfflineRun, make_runs

IDS = ["distilbertbases1", "distilbertbases2", "robertalarges1", "robertalarges2"]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty working directory and no W&B settings of the machine."""
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(goemo_report, list(map(str, arguments)))


def run_directory(root: Path, run_id: str) -> Path:
    return next((root / "wandb").glob(f"*-{run_id}"))


class TestRuns:
    def test_the_ending_of_the_file_says_the_format(
        self, offline_root: Path, tmp_path: Path
    ) -> None:
        read = ("runs", "--wandb-dir", offline_root)
        invoke(*read, "-o", tmp_path / "x.csv")
        assert (tmp_path / "x.csv").read_text() == invoke(*read, "--format", "csv").output
        invoke(*read, "--format", "table", "-o", tmp_path / "y.csv")
        assert "," not in (tmp_path / "y.csv").read_text().splitlines()[0]

    def test_json_has_every_run_with_config_and_summary(self, offline_root: Path) -> None:
        result = invoke("runs", "--wandb-dir", offline_root, "--format", "json")
        assert result.exit_code == 0, result.stderr
        document = json.loads(result.stdout)
        assert document["schema_version"] == 2
        assert [run["id"] for run in document["runs"]] == IDS
        for run in document["runs"]:
            assert run["project"] == PROJECT
            assert run["state"] == "finished"
            assert "final" in run["tags"]
            assert run["config"]["num_labels"] == 28
            assert 0 < run["summary"]["test/macro_f1"] < 1
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", run["created_at"])

    def test_csv_is_one_line_a_run(self, offline_root: Path) -> None:
        result = invoke("runs", "--wandb-dir", offline_root, "--format", "csv")
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert [row["id"] for row in rows] == IDS
        assert rows[0]["config.random_seed"] == "1"
        assert float(rows[0]["summary.test/macro_f1"]) > 0

    def test_the_table_names_every_run(self, offline_root: Path) -> None:
        result = invoke("runs", "--wandb-dir", offline_root)
        assert result.exit_code == 0
        lines = result.stdout.splitlines()
        assert lines[0].startswith("name ")
        assert len(lines) == 5
        assert all(run_id in result.stdout for run_id in IDS)
        assert result.stderr == ""

    @pytest.mark.parametrize(
        ("filters", "found"),
        [
            (["--tag", "final", "--tag", "roberta-large"], IDS[2:]),
            (["--any-tag", "roberta-large", "--any-tag", "nothing"], IDS[2:]),
            (["--not-tag", "roberta-large"], IDS[:2]),
            (["--model", "distilbert-base"], IDS[:2]),
            (["--state", "finished", "--state", "failed"], IDS),
        ],
    )
    def test_filters(self, offline_root: Path, filters: list[str], found: list[str]) -> None:
        result = invoke("runs", "--wandb-dir", offline_root, "--format", "json", *filters)
        assert [run["id"] for run in json.loads(result.stdout)["runs"]] == found

    def test_an_unknown_tag_names_those_that_exist(self, offline_root: Path) -> None:
        result = invoke("runs", "--wandb-dir", offline_root, "--tag", "finall")
        assert result.exit_code == 1
        assert "--tag finall" in result.stderr
        assert "final (4)" in result.stderr
        assert "roberta-large (2)" in result.stderr
        wrong = ("runs", "--wandb-dir", offline_root, "--any-tag", "final,training")
        assert "--any-tag final --any-tag training" in invoke(*wrong).stderr

    def test_of_conditions_that_exclude_each_other_one_that_fails_is_named(
        self, offline_root: Path
    ) -> None:
        result = invoke("runs", "--wandb-dir", offline_root, "--tag", "final", "--not-tag", "final")
        assert result.exit_code == 1
        assert "matches --not-tag final. Values of tags: final (4), training (4)" in result.stderr

    @pytest.mark.parametrize("kind", ["missing", "empty", "file"])
    def test_a_wrong_directory(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "here"
        if kind == "empty":
            path.mkdir()
        elif kind == "file":
            path.write_text("x")
        result = invoke("runs", "--wandb-dir", path)
        assert result.exit_code == 1, result.output
        assert result.stderr.startswith("error: ")
        assert "here" in result.stderr
        assert result.stdout == ""

    def test_offline_mode_reads_the_local_wandb_directory(
        self, offline_root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WANDB_MODE", "offline")
        monkeypatch.chdir(offline_root)
        assert "distilbertbases1" in invoke("runs").stdout

    def test_pyproject_can_name_the_directory(self, offline_root: Path, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text(f'[tool.goemo]\nwandb-dir = "{offline_root}"\n')
        assert "distilbertbases1" in invoke("runs").stdout

    def test_a_damaged_log_is_left_out_with_its_reason(
        self, offline_root: Path, tmp_path: Path
    ) -> None:
        logs = tmp_path / "copy" / "wandb"
        for name, run_id in (("offline-run-1-a", IDS[0]), ("offline-run-2-b", IDS[1])):
            shutil.copytree(run_directory(offline_root, run_id), logs / name, symlinks=True)
        log = next((logs / "offline-run-1-a").glob("run-*.wandb"))
        data = bytearray(log.read_bytes())
        data[60:90] = bytes(30)
        log.chmod(0o644)
        log.write_bytes(data)
        result = invoke("runs", "--wandb-dir", logs, "--format", "json")
        assert result.exit_code == 0, result.stderr
        assert [run["id"] for run in json.loads(result.stdout)["runs"]] == [IDS[1]]
        assert "skipped" in result.stderr
        gate = "check", "--wandb-dir", logs, "--fail-under", "macro_f1=0"
        judged = invoke(*gate)
        assert judged.exit_code == 3
        assert f"failed  {IDS[0]} ({IDS[0]}): the run can be read: " in judged.stdout
        assert invoke(*gate, IDS[1]).exit_code == 0
        audited = invoke("audit", "--wandb-dir", logs, "--format", "json")
        assert audited.exit_code == 3
        assert "run-readable" in audited.stdout


class TestShow:
    def test_json_is_complete(self, offline_root: Path) -> None:
        result = invoke("show", IDS[0], "--wandb-dir", offline_root, "--format", "json")
        assert result.exit_code == 0, result.stderr
        document = json.loads(result.stdout)
        assert list(document) == ["schema_version", "run", "history", "artifacts"]
        assert document["run"]["id"] == IDS[0]
        for key in ("notes", "description", "group", "job_type", "sweep"):
            assert key in document["run"]
        epochs = [row["epoch"] for row in document["history"] if "epoch" in row]
        assert epochs == [1, 2, 3]
        assert all("_step" in row for row in document["history"])
        names = {artifact["name"] for artifact in document["artifacts"]}
        assert f"distilbert-base-test-predictions-{IDS[0]}" in names
        for artifact in document["artifacts"]:
            assert artifact["files"]
            assert list(artifact) == [
                *("name", "type", "version", "digest", "size", "metadata"),
                *("aliases", "description", "files"),
            ]
            assert artifact["aliases"] == ["latest"]
            assert all(len(file["digest"]) == 24 for file in artifact["files"])

    def test_the_tables_show_config_summary_history_and_artifacts(self, offline_root: Path) -> None:
        result = invoke("show", IDS[0], "--wandb-dir", offline_root)
        for word in ("learning_rate", "test/macro_f1", "train/loss", "test_predictions.csv"):
            assert word in result.stdout

    @pytest.mark.parametrize("form", ["id", "name", "path", "directory"])
    def test_a_run_is_named_in_many_ways(self, offline_root: Path, form: str) -> None:
        listed = invoke("runs", "--wandb-dir", offline_root, "--format", "json")
        run = json.loads(listed.stdout)["runs"][2]
        reference = {
            "id": run["id"],
            "name": run["name"],
            "path": f"{PROJECT}/{run['id']}",
            "directory": str(run_directory(offline_root, run["id"])),
        }[form]
        result = invoke("show", reference, "--wandb-dir", offline_root, "--format", "json")
        assert json.loads(result.stdout)["run"]["id"] == run["id"]

    def test_a_run_directory_needs_no_option(self, offline_root: Path) -> None:
        result = invoke("show", run_directory(offline_root, IDS[3]), "--format", "json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["run"]["id"] == IDS[3]

    def test_an_unknown_run(self, offline_root: Path) -> None:
        result = invoke("show", "robertalarges9", "--wandb-dir", offline_root)
        assert result.exit_code == 1
        assert "'robertalarges9'" in result.stderr
        assert "robertalarges1" in result.stderr  # what was probably meant

    def test_an_ambiguous_name(self, tmp_path: Path) -> None:
        twins = [OfflineRun(run_id=run_id, name="twin", texts=30) for run_id in ("one", "two")]
        make_runs(tmp_path / "own", twins)
        result = invoke("show", "twin", "--wandb-dir", tmp_path / "own")
        assert result.exit_code == 1
        assert "fits 2 runs" in result.stderr
        assert "/one" in result.stderr
        assert "/two" in result.stderr
        assert "Give the id" in result.stderr

    def test_an_output_file(self, offline_root: Path, tmp_path: Path) -> None:
        for form in ("json", "table"):
            target = tmp_path / form
            result = invoke(
                "show", IDS[0], "--wandb-dir", offline_root, "--format", form, "-o", target
            )
            assert result.exit_code == 0
            assert result.stdout == ""
            assert IDS[0] in target.read_text("utf-8")


class TestCompare:
    def test_writes_the_three_formats_with_figures_beside_and_prints_their_paths(
        self, offline_root: Path, tmp_path: Path
    ) -> None:
        result = invoke("compare", "--tag", "final", "--wandb-dir", offline_root)
        assert result.exit_code == 0, result.stderr
        assert result.stdout.splitlines() == [
            f"reports/final.{ending}" for ending in ("html", "md", "json")
        ]
        assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
            *("final", "final.html", "final.json", "final.md")
        ]
        document = json.loads((tmp_path / "reports" / "final.json").read_text("utf-8"))
        assert "schema_version" in document
        html = (tmp_path / "reports" / "final.html").read_text("utf-8")
        assert "goemo-report compare --tag final" in html

    def test_same_input_and_clock_give_the_same_bytes(
        self, offline_root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "1733840000")
        arguments = ("compare", IDS[0], IDS[2], "--wandb-dir", offline_root, "-o", "-")
        first = invoke(*arguments, "--format", "json")
        assert first.exit_code == 0, first.stderr
        assert invoke(*arguments, "--format", "json").stdout == first.stdout
        assert "2024-12-10" in first.stdout

    def test_runs_are_named_mixed(self, offline_root: Path) -> None:
        result = invoke(
            "compare", IDS[0], run_directory(offline_root, IDS[2]), "--wandb-dir", offline_root,
            "--baseline", IDS[2], "--format", "json", "-o", "-",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        assert IDS[0] in result.stdout
        assert IDS[2] in result.stdout
        assert IDS[1] not in result.stdout

    def test_run_directories_of_different_places(
        self, offline_root: Path, mixed_root: Path
    ) -> None:
        result = invoke(
            "compare", run_directory(offline_root, IDS[0]), run_directory(mixed_root, "noneutral"),
            "--format", "json", "-o", "-",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        assert IDS[0] in result.stdout
        assert "noneutral" in result.stdout

    def test_a_baseline_outside_the_filter_is_added(self, offline_root: Path) -> None:
        result = invoke(
            "compare", "--model", "roberta-large", "--baseline", IDS[0], "--format", "json",
            "-o", "-", "--wandb-dir", offline_root,
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        assert IDS[0] in result.stdout

    def test_runs_that_cannot_be_compared_are_named(self, mixed_root: Path) -> None:
        result = invoke("compare", "--wandb-dir", mixed_root, "--format", "md", "--name", "mixed")
        assert result.exit_code == 0, result.stderr
        assert "skipped " in result.stderr
        assert result.stdout == "reports/mixed.md\n"

    def test_one_section_as_csv(self, offline_root: Path) -> None:
        result = invoke(
            "compare", "--wandb-dir", offline_root, "--section", "emotions", "--format", "csv",
            "-o", "-",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        assert all(emotion in result.stdout for emotion in EMOTIONS)

    def test_the_short_form_is_the_answer_and_where_the_runs_differ(
        self, offline_root: Path
    ) -> None:
        asked = ("compare", "--wandb-dir", offline_root, "--format", "json", "-o", "-", "--short")
        result = invoke(*asked)
        assert result.exit_code == 0, result.stderr
        sections = json.loads(result.stdout)["sections"]
        assert {one["chapter"] for one in sections} == {"Answer", "Where it differs"}
        assert "seeds" in invoke(*asked, "--section", "seeds").stdout

    def test_one_table_as_wide_as_it_is(self, offline_root: Path) -> None:
        asked = ("compare", "--wandb-dir", offline_root, "--format", "csv", "-o", "-")
        result = invoke(*asked, "--table", "differences-emotions")
        assert result.exit_code == 0, result.stderr
        head, *rows = result.stdout.splitlines()
        assert head.startswith("emotion,support,a,b,difference,")
        assert {row.partition(",")[0] for row in rows} == set(EMOTIONS)
        both = invoke(*asked, "--table", "leaderboard-runs", "--table", "differences-emotions")
        found = {line.split(",")[1] for line in both.stdout.splitlines()[1:]}
        assert found == {"leaderboard-runs", "differences-emotions"}
        wrong = invoke(*asked, "--section", "emotions", "--table", "nothing")
        assert wrong.exit_code == 2
        assert "Tables: emotions-f1, " in wrong.stderr

    def test_a_summary_for_a_pull_request(self, offline_root: Path, tmp_path: Path) -> None:
        result = invoke(
            "compare", "--wandb-dir", offline_root, "--summary", "short.md", "--format", "md"
        )
        assert result.exit_code == 0, result.stderr
        short = (tmp_path / "short.md").read_text("utf-8")
        whole = (tmp_path / "reports" / "comparison.md").read_text("utf-8")
        assert 0 < len(short) < len(whole)

    def test_thresholds_are_exported_for_every_run(
        self, offline_root: Path, tmp_path: Path
    ) -> None:
        result = invoke(
            "compare", "--wandb-dir", offline_root, "--export-thresholds", "t.json",
            "--section", "summary", "--format", "md",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        entries = json.loads((tmp_path / "t.json").read_text("utf-8"))["entries"]
        assert {entry["run"] for entry in entries} == set(IDS)
        assert {entry["protocol"] for entry in entries} == {"fixed", "global", "per-class"}
        assert all(len(entry["thresholds"]) == 28 for entry in entries)

    def test_the_defaults_are_those_of_the_analysis(self) -> None:
        from goemo_report.comparison import Options

        command = goemo_report.get_command(click.Context(goemo_report), "compare")
        assert command is not None
        defaults = {parameter.name: parameter.default for parameter in command.params}
        options = Options()
        assert defaults["resamples"] == options.resamples
        assert defaults["seed"] == options.seed
        assert defaults["max_errors"] == options.max_errors

    def test_a_failed_rendering_leaves_no_file(
        self, offline_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> str:
            raise ZeroDivisionError

        monkeypatch.setattr("goemo_report.report.render.data_files.render_json", fail)
        monkeypatch.setattr("goemo_report.report.render.render", fail)
        result = invoke("compare", "--wandb-dir", offline_root)
        assert result.exit_code == 1
        assert not (tmp_path / "reports").exists()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_an_unwritable_directory(self, offline_root: Path, tmp_path: Path) -> None:
        folder = tmp_path / "locked"
        folder.mkdir()
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
        result = invoke("compare", "--wandb-dir", offline_root, "-o", folder)
        assert result.exit_code == 1
        assert "Permission denied" in result.stderr

    def test_a_directory_that_is_a_file(self, offline_root: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        result = invoke("compare", "--wandb-dir", offline_root, "-o", "file")
        assert result.exit_code == 2
        assert "is a file" in result.stderr

    def test_settings_of_the_project_are_used(self, offline_root: Path, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text(
            f'[tool.goemo]\nwandb-dir = "{offline_root}"\nformats = ["md"]\nreports = "out"\n'
        )
        assert invoke("compare", "--name", "x").stdout == "out/x.md\n"
        assert invoke("compare", "--name", "x", "--format", "json").stdout == "out/x.json\n"

    def test_every_option_of_the_project_arrives(self, offline_root: Path, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text(
            f'[tool.goemo]\nwandb-dir = "{offline_root}"\nno-text = true\nmax-errors = 3\n'
            'split = "val"\nseed = 7\nresamples = 100\ncolumns = { prob = "p_{label}" }\n'
        )
        asked = ("compare", *IDS[:2], "--section", "errors", "--format", "md", "-o", "-")
        text = invoke(*asked).stdout
        for said in ("Texts are left out", "|split:val|", "bootstrap:100|", "|seed:7"):
            assert said in text
        assert IDS[0] in invoke("runs").stdout  # --columns of runs is another thing than that table


class TestDownload:
    def test_everything_verified(self, offline_root: Path, tmp_path: Path) -> None:
        result = invoke("download", IDS[0], "--wandb-dir", offline_root)
        assert result.exit_code == 0, result.stderr
        folder = tmp_path / "artifacts" / f"distilbert-base-checkpoint-{IDS[0]}"
        assert (folder / "pytorch_model.bin").stat().st_size == 512
        described = json.loads((folder / "goemo-artifact.json").read_text("utf-8"))
        assert described["run"]["id"] == IDS[0]
        assert len(list((tmp_path / "artifacts").iterdir())) == 4
        again = invoke("download", IDS[0], "--wandb-dir", offline_root)
        assert "written" not in again.stdout
        assert "5 files already there" in again.stdout

    def test_only_predictions(self, offline_root: Path, tmp_path: Path) -> None:
        result = invoke(
            "download", IDS[0], "--wandb-dir", offline_root, "--only", "predictions", "--root", "d"
        )
        assert result.exit_code == 0, result.stderr
        found = sorted(path.name for path in (tmp_path / "d").iterdir())
        assert found == [
            f"distilbert-base-{split}-predictions-{IDS[0]}" for split in ("test", "val")
        ]

    def test_predictions_that_are_files_of_the_run(self, mixed_root: Path, tmp_path: Path) -> None:
        where = ("otherdialect", "--wandb-dir", mixed_root)
        for _ in range(2):  # what is there is kept, and what was not asked for stays
            assert invoke("download", *where).exit_code == 0
            result = invoke("download", *where, "--only", "predictions")
            assert result.exit_code == 0, result.stderr
        for split in ("val", "test"):
            folder = tmp_path / "artifacts" / f"run-otherdialect-{split}-predictions"
            path = folder / "predictions" / f"{split}_predictions.csv"
            assert invoke("metrics", path).exit_code == 0
            described = json.loads((folder / "goemo-artifact.json").read_text("utf-8"))
            assert described["run"]["id"] == "otherdialect"
            assert described["complete"]

    def test_runs_of_a_tag_get_a_directory_each(self, mixed_root: Path, tmp_path: Path) -> None:
        where = ("--wandb-dir", mixed_root, "--only", "per-class-metrics", "--root", "d")
        result = invoke("download", "--tag", "final", *where)
        assert result.exit_code == 1  # two of them have none
        failures = [one for one in result.stderr.splitlines() if one.startswith("error: ")]
        assert len(failures) == 2
        assert all("logged no per-class-metrics" in one for one in failures)
        folders = sorted(path.name for path in (tmp_path / "d").iterdir())
        assert [name.rsplit("-", 1)[1] for name in folders] == ["noneutral", "failed"]
        assert all(len(list(path.iterdir())) == 1 for path in (tmp_path / "d").iterdir())

    def test_an_artifact_by_itself(self, offline_root: Path, tmp_path: Path) -> None:
        name = f"distilbert-base-checkpoint-{IDS[0]}"
        where = ("--wandb-dir", offline_root)
        result = invoke("download", f"{name}:latest", *where, "--root", "d")
        assert result.exit_code == 0, result.stderr
        assert [path.name for path in (tmp_path / "d").iterdir()] == [name]
        for asked, said in (
            (f"{name}:v0", "aliases are latest"),
            ("nothing:v0", "no artifact nothing:v0"),
        ):
            result = invoke("download", asked, *where)
            assert result.exit_code == 1
            assert said in result.stderr
        for wrong in ([], [IDS[0], "--tag", "final"], [f"{name}:latest", "--only", "checkpoint"]):
            assert invoke("download", *wrong, *where).exit_code == 2

    def test_a_missing_staged_file_is_said_and_the_others_come(self, tmp_path: Path) -> None:
        make_runs(tmp_path / "own", [OfflineRun(run_id="own", texts=30)])
        for staged in (tmp_path / "own").rglob("*"):
            if staged.is_file() and staged.stat().st_size == 512:  # the weights, by any name
                staged.unlink()
        result = invoke("download", "own", "--wandb-dir", tmp_path / "own")
        assert result.exit_code == 1
        assert "pytorch_model.bin" in result.stderr
        folder = tmp_path / "artifacts" / "distilbert-base-checkpoint-own"
        assert (folder / "config.json").exists()
        assert not (folder / "pytorch_model.bin").exists()
        assert not json.loads((folder / "goemo-artifact.json").read_text("utf-8"))["complete"]

    def test_one_cause_is_one_line(self, offline_root: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        result = invoke("download", IDS[0], "--wandb-dir", offline_root, "--root", "file/below")
        assert result.exit_code == 1
        assert result.stderr.splitlines() == [
            "error: file/below: Not a directory. Choose another place, or move what is there"
        ]
        name = f"distilbert-base-checkpoint-{IDS[0]}"
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / name).write_text("x")  # in the way of every file of this artifact
        result = invoke(
            "download", IDS[0], "--wandb-dir", offline_root, "--root", "d", "--only", "checkpoint"
        )
        assert result.exit_code == 1
        (line,) = result.stderr.splitlines()
        assert " files (" in line
        assert f"d/{name}" in line

    def test_a_role_that_the_run_lacks(self, mixed_root: Path) -> None:
        result = invoke(
            "download", "otherdialect", "--wandb-dir", mixed_root, "--only", "per-class-metrics"
        )
        assert result.exit_code == 1
        assert "per-class-metrics" in result.stderr


class TestMetricsOfARun:
    def test_the_numbers_are_those_the_run_logged(self, offline_root: Path) -> None:
        result = invoke("metrics", IDS[2], "--wandb-dir", offline_root, "--format", "json")
        assert result.exit_code == 0, result.stderr
        overall = json.loads(result.stdout)["overall"]
        shown = invoke("show", IDS[2], "--wandb-dir", offline_root, "--format", "json")
        summary = json.loads(shown.stdout)["run"]["summary"]
        assert overall["macro_f1"] == pytest.approx(summary["test/macro_f1"])
        assert overall["micro_auc"] == pytest.approx(summary["test/auc"])

    def test_the_other_split(self, offline_root: Path) -> None:
        test, val = (
            invoke("metrics", IDS[0], "--wandb-dir", offline_root, "--split", split).stdout
            for split in ("test", "val")
        )
        assert test != val

    def test_markdown_is_a_table(self, offline_root: Path) -> None:
        result = invoke("metrics", IDS[0], "--wandb-dir", offline_root, "--format", "md")
        assert result.exit_code == 0, result.stderr
        assert "| admiration |" in result.stdout or "admiration |" in result.stdout

    def test_a_run_without_predictions(self, mixed_root: Path) -> None:
        result = invoke("metrics", "killed", "--wandb-dir", mixed_root)
        assert result.exit_code == 1
        assert "predictions" in result.stderr


def test_data_and_notes_do_not_mix_in_a_real_process(offline_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "goemo_report", "runs", "--format", "json"],
        env={**os.environ, "WANDB_MODE": "offline", "WANDB_DIR": str(offline_root),
             "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["runs"]) == 4
    assert done.stderr == ""
