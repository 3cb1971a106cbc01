"""The wheel alone, in a bare environment without torch, writes a report."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.offline_runs import OfflineRun, make_runs

REPOSITORY = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow


def _run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, REPOSITORY, cwd=folder)
    (built,) = folder.glob("goemo-*.whl")
    return built


def test_wheel_ships_templates_schema_and_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for template in (REPOSITORY / "templates").iterdir():
        assert f"goemo_report/templates/{template.name}" in names
    assert {
        "goemo_report/report/render/report.schema.json",
        "goemo_report/py.typed",
        "goemo_train/__main__.py",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "reports/", "templates/"))]


def test_wheel_writes_a_report_without_torch(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    programs = home / ("Scripts" if sys.platform == "win32" else "bin")
    pip = (programs / "python", "-m", "pip", "--disable-pip-version-check")
    constraints = REPOSITORY / "constraints.txt"
    _run(*pip, "install", "--quiet", "--constraint", constraints, wheel, cwd=tmp_path)
    installed = {
        package["name"].lower()
        for package in json.loads(_run(*pip, "list", "--format", "json", cwd=tmp_path))
    }
    assert not installed & {"torch", "transformers", "datasets", "pytest"}

    make_runs(tmp_path / "runs", [OfflineRun(seed=1), OfflineRun(seed=2, quality=0.9)])
    _run(
        programs / "goemo-report",
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
