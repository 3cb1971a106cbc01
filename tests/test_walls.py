"""The walls of the house: who may import what is declared in pyproject.toml; here it is held."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

import grimp
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("goemo_report", "goemo_train")
HEAVY = ("wandb", "torch", "transformers", "datasets", "pandas", "pyarrow", "plotly", "scipy",
         "onnx", "onnxruntime")  # fmt: skip
NEED_THE_EXTRA = ("goemo_report.checkpoints", "goemo_report.corpora.corpus")
"""Modules of the report that say in one line what to install where `[train]` is not."""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", *command], capture_output=True, text=True, cwd=REPOSITORY
    )


@cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph(
        *PACKAGES, include_external_packages=True, exclude_type_checking_imports=True
    )


def test_the_declared_walls_hold() -> None:
    done = run("from importlinter.cli import lint_imports; raise SystemExit(lint_imports())")
    assert done.returncode == 0, done.stdout


def test_heavy_packages_are_imported_when_they_are_needed() -> None:
    """No module of the report loads them at import; a command pays for what it uses."""
    code = """
import importlib, pkgutil, sys, goemo_report
for module in pkgutil.walk_packages(goemo_report.__path__, "goemo_report."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*sys.modules)
"""
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()).isdisjoint(HEAVY)


@pytest.mark.parametrize("module", ["contract", "errors", "metrics.table", "report.document"])
def test_the_plain_values_need_nothing_installed(module: str) -> None:
    """Nor numpy: reading a name from the contract costs nothing."""
    graph = imports()
    needed = graph.find_upstream_modules(f"goemo_report.{module}")
    outside = {name for name in needed if graph.is_module_squashed(name)}
    assert outside <= set(sys.stdlib_module_names)


def test_what_is_imported_is_declared() -> None:
    """Each third-party import is a dependency, or one that a dependency always brings."""
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    report = [_name(line) for line in project["dependencies"]]
    extras = project["optional-dependencies"]
    train = report + [_name(line) for line in extras["train"]]
    by_hand = extras.keys() - {"train", "dev", "docs", "all"}
    optional = {_name(line) for extra in by_hand for line in extras[extra]}
    owners, graph = metadata.packages_distributions(), imports()
    for module in graph.modules - set(sys.stdlib_module_names):
        if not graph.is_module_squashed(module):
            continue
        for importer in graph.find_modules_that_directly_import(module):
            needs_extra = importer.startswith(("goemo_train", *NEED_THE_EXTRA))
            declared = _brought(tuple(train if needs_extra else report)) | optional
            names = {_name(owner) for owner in owners[module]}
            assert names & declared, f"{importer} imports {module}: not declared"


@cache
def _brought(declared: tuple[str, ...]) -> frozenset[str]:
    """Distributions and all that they require without any extra."""
    found: set[str] = set()
    waiting = list(declared)
    while waiting:
        distribution = waiting.pop()
        if distribution not in found:
            found.add(distribution)
            try:
                lines = metadata.requires(distribution) or []
            except metadata.PackageNotFoundError:  # required on other systems only
                continue
            waiting += [_name(line) for line in lines if "extra ==" not in line]
    return frozenset(found)


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match is not None, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()
