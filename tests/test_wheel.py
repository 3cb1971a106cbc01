"""What is installed from the wheel or the sdist alone, in a bare environment without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from goemo_report import __version__
from tests.conftest import MakeOnce
from tests.offline_runs import OfflineRun, make_runs
from tests.sources.tracked_runs import RUNS, make_tracked

REPOSITORY = Path(__file__).resolve().parent.parent
EXTRAS = {"plotly", "pyarrow", "torch", "transformers", "datasets", "pytest"}
SECONDS, MEGABYTES = 60, 330


def _run(*command: str | Path, cwd: Path, code: int = 0) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def test_every_file_that_names_the_version_names_the_same() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == __version__
    assert f"\nversion: {__version__}\n" in (REPOSITORY / "CITATION.cff").read_text("utf-8")
    changes = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    assert changes.startswith(f"# Changelog\n\n## {__version__} (")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that is built from the sdist."""
    folder = tmp_path_factory.mktemp("built")
    _run(sys.executable, "-m", "build", "--outdir", folder, REPOSITORY, cwd=folder)
    return folder


@pytest.mark.slow
def test_both_are_accepted_by_a_package_index(built: Path) -> None:
    files = sorted(built.iterdir())
    assert [file.name for file in files] == [
        f"goemo-{__version__}-py3-none-any.whl",
        f"goemo-{__version__}.tar.gz",
    ]
    said = _run(sys.executable, "-m", "twine", "check", "--strict", *files, cwd=built)
    assert said.count("PASSED") == 2


@pytest.mark.slow
def test_wheel_ships_templates_schema_and_types(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for template in (REPOSITORY / "templates").iterdir():
        assert f"goemo_report/templates/{template.name}" in names
    assert {
        "goemo_report/report/render/report.schema.json",
        "goemo_report/py.typed",
        "goemo_train/__main__.py",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "reports/", "templates/"))]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_a_bare_environment_writes_reports(
    built: Path, kind: str, tmp_path: Path, make_once: MakeOnce
) -> None:
    (package,) = built.glob(kind)
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    programs = home / ("Scripts" if sys.platform == "win32" else "bin")
    pip = (programs / "python", "-m", "pip", "--disable-pip-version-check")
    began = os.times()
    constraints = REPOSITORY / "constraints.txt"
    _run(*pip, "install", "--quiet", "--constraint", constraints, package, cwd=tmp_path)
    ended = os.times()  # the processor's time, since other tests run at the same time
    seconds = ended.children_user + ended.children_system - began[2] - began[3]
    listing = json.loads(_run(*pip, "list", "--format", "json", cwd=tmp_path))
    assert not EXTRAS & {one["name"].lower() for one in listing}
    blocks = sum(file.lstat().st_blocks for file in home.rglob("*"))
    assert blocks * 512 / 2**20 <= MEGABYTES
    assert seconds < SECONDS

    empty = tmp_path / "empty"
    empty.mkdir()
    command = programs / "goemo-report"
    assert _run(command, "demo", cwd=empty).splitlines()[0] == "reports/demo.html"
    (empty / "rows.parquet").write_bytes(b"PAR1 rows PAR1")
    one, two = "runs/demo/made-up-a", "runs/demo/made-up-b"
    for extra, *words in (
        ("tables", "metrics", "rows.parquet"),
        ("tables", "export", one, "-o", "runs.parquet"),
        ("trackio", "runs", "--source", "trackio:rows.parquet"),
        ("figures", "compare", one, two, "--format", "plotly"),
        ("reports", "compare", one, two, "--publish", "report"),
        ("hub", "push", one, "me/model", "--dry-run"),
        ("hub", "push", one, "me/model"),
        ("onnx", "export", one),
        ("train", "verify", one),
    ):
        said = _run(command, *words, cwd=empty, code=1)
        assert len(said.splitlines()) == 1, said
        assert f"pip install 'goemo[{extra}]'" in said, said
    assert not list(empty.glob("runs*.parquet"))

    tracked = make_once("tracked-runs", make_tracked)
    for source in (f"mlflow:{tracked / 'mlruns'}", f"trackio:{tracked / 'trackio'}"):
        text = _run(command, "metrics", RUNS[0].model, "--source", source, cwd=empty)
        assert "macro" in text
        options = ("--source", source, "--name", "of-trackers", "--resamples", "100")
        assert "of-trackers.html" in _run(command, "compare", *options, cwd=empty)

    make_runs(tmp_path / "runs", [OfflineRun(seed=1), OfflineRun(seed=2, quality=0.9)])
    _run(
        command,
        *("compare", "--tag", "final", "--wandb-dir", "runs", "--output", "out", "--name", "two"),
        cwd=tmp_path,
    )
    page = (tmp_path / "out" / "two.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<svg") > 5
    assert (tmp_path / "out" / "two.md").read_text(encoding="utf-8").startswith("# ")
    report = json.loads((tmp_path / "out" / "two.json").read_text(encoding="utf-8"))
    assert len(report["runs"]) == 2
    assert report["sections"]
