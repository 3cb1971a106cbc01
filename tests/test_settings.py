from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from goemo_report.cli import goemo_report
from goemo_report.errors import SettingsError
from goemo_report.settings import (
    FILE_KEYS,
    SOURCES,
    SourceChoice,
    creation_time,
    load_settings,
    read_project_file,
)


def settled(directory: Path, environ: dict[str, str] | None = None, **flags: str) -> SourceChoice:
    wandb_dir = flags.pop("wandb_dir", None)
    return load_settings(
        **flags,
        wandb_dir=Path(wandb_dir) if wandb_dir else None,
        environ=environ or {},
        directory=directory,
    )


def write_table(directory: Path, body: str) -> Path:
    path = directory / "pyproject.toml"
    path.write_text(f"[tool.goemo]\n{body}\n", encoding="utf-8")
    return path


def test_defaults_without_anything_set(tmp_path: Path) -> None:
    settings = settled(tmp_path)
    assert settings == SourceChoice(entity=None, project=None)


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    assert settled(tmp_path).project is None
    write_table(tmp_path, 'project = "from-file"\nentity = "file-team"')
    assert settled(tmp_path).project == "from-file"
    environ = {"WANDB_PROJECT": "from-env"}
    assert settled(tmp_path, environ).project == "from-env"
    settings = settled(tmp_path, environ, project="from-flag")
    assert settings.project == "from-flag"
    assert settings.entity == "file-team"


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    write_table(tmp_path, 'entity = "team"')
    assert settled(tmp_path, {"WANDB_ENTITY": "", "WANDB_PROJECT": ""}).entity == "team"


class TestOfflineDirectory:
    @pytest.mark.parametrize("mode", ["offline", "dryrun", "OFFLINE"])
    def test_offline_mode_reads_the_local_wandb_directory(self, tmp_path: Path, mode: str) -> None:
        assert settled(tmp_path, {"WANDB_MODE": mode}).directory == Path("wandb")

    def test_wandb_dir_is_the_parent_of_the_wandb_directory(self, tmp_path: Path) -> None:
        environ = {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path / "logs")}
        assert settled(tmp_path, environ).directory == tmp_path / "logs" / "wandb"

    def test_a_hidden_wandb_directory_is_preferred_as_wandb_does(self, tmp_path: Path) -> None:
        (tmp_path / ".wandb").mkdir()
        assert settled(tmp_path, {"WANDB_MODE": "offline"}).directory == Path(".wandb")
        environ = {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)}
        assert settled(Path("/"), environ).directory == tmp_path / ".wandb"

    def test_wandb_dir_alone_does_not_mean_offline(self, tmp_path: Path) -> None:
        assert settled(tmp_path, {"WANDB_DIR": str(tmp_path)}).directory is None

    def test_the_flag_wins(self, tmp_path: Path) -> None:
        write_table(tmp_path, 'wandb-dir = "other"')
        environ = {"WANDB_MODE": "offline"}
        assert settled(tmp_path, environ, wandb_dir="mine").directory == Path("mine")

    def test_online_mode_overrides_the_file(self, tmp_path: Path) -> None:
        write_table(tmp_path, 'wandb-dir = "logs"')
        assert settled(tmp_path).directory == Path("logs")
        assert settled(tmp_path, {"WANDB_MODE": "online"}).directory is None

    def test_paths_of_the_file_are_relative_to_it(self, tmp_path: Path) -> None:
        write_table(tmp_path, 'wandb-dir = "logs"\nreports = "out"')
        below = tmp_path / "a" / "b"
        below.mkdir(parents=True)
        settings = settled(below)
        assert settings.directory == tmp_path / "logs"
        assert read_project_file(below)["reports"] == str(tmp_path / "out")

    def test_the_file_chooses_a_source_and_is_named_where_there_is_none(
        self, tmp_path: Path
    ) -> None:
        write_table(tmp_path, 'source = "mlflow:runs.db"')
        below = tmp_path / "a"
        below.mkdir()
        assert settled(tmp_path) == SourceChoice(kind="mlflow", where="runs.db")
        assert settled(below).where == str(tmp_path / "runs.db")
        assert settled(below, source="trackio:x") == SourceChoice(kind="trackio", where="x")
        assert settled(below, wandb_dir="logs").kind == "offline"
        assert settled(below, {"WANDB_MODE": "offline"}).kind == "offline"
        for place in ("http://host:5000", "sqlite:////tmp/x.db"):
            write_table(tmp_path, f'source = "mlflow:{place}"')
            assert settled(below).where == place
        write_table(tmp_path, 'source = "mlflow:sqlite:///x.db"')
        assert settled(below).where == f"sqlite:///{tmp_path / 'x.db'}"
        write_table(tmp_path, 'source = "mlfow:runs.db"')
        wrong = r"pyproject\.toml: key source .* not 'mlfow:runs"
        with pytest.raises(SettingsError, match=wrong) as caught:
            settled(below)
        options = CliRunner().invoke(goemo_report, ["runs", "--help"]).output
        assert all(name in str(caught.value) and name in options for name in SOURCES)


class TestProjectFile:
    def test_the_nearest_file_is_taken_and_no_other(self, tmp_path: Path) -> None:
        write_table(tmp_path, 'entity = "outer"')
        inner = tmp_path / "inner"
        inner.mkdir()
        assert settled(inner).entity == "outer"
        (inner / "pyproject.toml").write_text("[project]\nname = 'x'\n")
        assert settled(inner).entity is None

    def test_underscores_are_hyphens(self, tmp_path: Path) -> None:
        write_table(tmp_path, "max_errors = 3")
        assert read_project_file(tmp_path) == {"max-errors": 3}

    def test_another_tools_broken_file_is_not_our_business(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_text("this is = not = toml")
        assert read_project_file(tmp_path) == {}

    def test_an_unknown_key_is_named_with_the_known_ones(self, tmp_path: Path) -> None:
        path = write_table(tmp_path, 'entitty = "x"')
        with pytest.raises(SettingsError) as caught:
            settled(tmp_path)
        assert str(path) in caught.value.what
        assert "entitty" in caught.value.what
        assert all(key in caught.value.remedy for key in FILE_KEYS)

    @pytest.mark.parametrize(
        ("body", "key", "complaint"),
        [
            ("entity = 3", "entity", "must be a string"),
            ('project = " "', "project", "must be a string that is not empty"),
            ("formats = []", "formats", "must be a list"),
            ('formats = "html"', "formats", "must be a list"),
            ('formats = ["pdf"]', "formats", "must be a list of html"),
            ("resamples = true", "resamples", "must be a whole number"),
            ("resamples = 1.5", "resamples", "must be a whole number"),
            ("resamples = 99", "resamples", "must be a whole number, 100 or more"),
            ("seed = -1", "seed", "must be a whole number, 0 or more"),
            ('no-text = "yes"', "no-text", "must be true or false"),
            ('split = "train"', "split", "must be val or test"),
        ],
    )
    def test_a_wrong_value_names_file_key_and_what_is_expected(
        self, tmp_path: Path, body: str, key: str, complaint: str
    ) -> None:
        path = write_table(tmp_path, body)
        with pytest.raises(SettingsError) as caught:
            settled(tmp_path)
        assert f"{path}: key {key} in [tool.goemo] {complaint}" in caught.value.what

    @pytest.mark.parametrize(
        "body",
        [
            f"seed = '{'x' * 3000}'",
            f"formats = {['pdf'] * 900}",
            f"waive = {{ a = {'[' * 90}{']' * 90} }}",
            f"{'k' * 3000} = 1",
            'wandb-dir = "a\\u0000b"',
            f"seed = {'[' * 20_000}",
            f"seed = {'9' * 5000}",
        ],
    )
    def test_a_value_of_any_length_gets_a_short_line(self, tmp_path: Path, body: str) -> None:
        write_table(tmp_path, body)
        with pytest.raises(SettingsError) as caught:
            settled(tmp_path)
        assert len(caught.value.what) < len(str(tmp_path)) + 300

    @pytest.mark.parametrize("text", ["[tool.goemo\n", "[tool]\ngoemo = 3\n", 'tool = "goemo"\n'])
    def test_a_broken_file_is_named(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "pyproject.toml").write_text(text)
        with pytest.raises(SettingsError, match=r"pyproject\.toml"):
            settled(tmp_path)

    def test_bytes_that_are_no_text_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_bytes(b"[tool.goemo]\nentity = '\xff'\n")
        with pytest.raises(SettingsError, match="not valid TOML"):
            settled(tmp_path)


class TestClock:
    NOW = datetime(2024, 12, 10, 14, 30, tzinfo=UTC)

    @pytest.mark.parametrize("environ", [{}, {"SOURCE_DATE_EPOCH": ""}])
    def test_now_where_nothing_is_set(self, environ: dict[str, str]) -> None:
        assert creation_time(environ, self.NOW) == self.NOW

    def test_source_date_epoch_is_respected(self) -> None:
        assert creation_time({"SOURCE_DATE_EPOCH": "86400"}, self.NOW) == datetime(
            1970, 1, 2, tzinfo=UTC
        )

    @pytest.mark.parametrize("written", ["yesterday", "1.5", "9" * 30])
    def test_nonsense_is_refused(self, written: str) -> None:
        with pytest.raises(SettingsError, match="SOURCE_DATE_EPOCH"):
            creation_time({"SOURCE_DATE_EPOCH": written}, self.NOW)
