"""The walls of the house: who may import what, read from the source, lazy imports included.

Imports point back along one line, `LINE`; a module that the line does not name stands where
its own imports put it. Imports under TYPE_CHECKING do not run and do not count.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("goemo_report", "goemo_train")

LINE: tuple[tuple[str, ...], ...] = (
    ("contract", "errors", "formats"),
    ("sources.model",),
    ("sources", "predictions", "metrics"),
    ("thresholds", "statistics"),
    ("results",),
    ("compare",),
    ("report.document", "report.sections"),
    ("report.render",),
    ("cli",),
)
"""Modules and packages of goemo_report; each imports none that stands in a later place."""

ONLY_IN: Mapping[str, tuple[str, ...]] = {
    "wandb": ("goemo_report.sources", "goemo_train.tracking"),
    "requests": ("goemo_report.sources",),
    "urllib3": ("goemo_report.sources",),
    "google": ("goemo_report.sources",),
    "torch": ("goemo_train", "goemo_report.checkpoints"),
    "transformers": ("goemo_train", "goemo_report.checkpoints"),
    "tokenizers": ("goemo_train",),
    "accelerate": ("goemo_train",),
    "datasets": ("goemo_train",),
    "plotly": ("goemo_report.report.render",),
    "jinja2": ("goemo_report.report.render",),
    "markupsafe": ("goemo_report.report.render",),
    "click": ("goemo_report.cli", "goemo_train"),
    "rich": ("goemo_report.cli", "goemo_train"),
    "pandas": (),
    "scipy": (),
    "sklearn": (),
}
"""Third-party packages and the only modules or packages that may import them."""

LAZILY: Mapping[str, tuple[str, ...]] = {
    "goemo_report.checkpoints.checkpoint": ("torch", "transformers"),
    "goemo_report.checkpoints.weights": ("torch", "transformers"),
    "goemo_report.sources.store": ("xxhash",),
    "goemo_report.sources.wandb_api.publishing": ("wandb",),
    "goemo_report.sources.offline_logs.staging": ("platformdirs",),
    "goemo_report.sources.wandb_api.upload": ("wandb",),
    "goemo_train.tracking": ("wandb",),
}
"""Where a costly or rare package is imported inside a function, and must not be above."""

NEED_THE_EXTRA = ("goemo_report.checkpoints.checkpoint", "goemo_report.checkpoints.weights")
"""Modules of the report that say in one line what to install where `[train]` is not."""

TRAINER_MAY_USE = (
    "contract",
    "errors",
    "predictions",
    "metrics.scores",
    "metrics.rankings",
    "thresholds.tune",
)
SOURCES_MAY_USE = ("contract", "errors", "formats", "sources")


@dataclass(frozen=True)
class Import:
    """One import of a module: what, on which line, and whether inside a function."""

    module: str
    line: int
    lazy: bool


class _Imports(ast.NodeVisitor):
    def __init__(self, module: str, is_package: bool) -> None:
        self.module = module
        self.package = module if is_package else module.rpartition(".")[0]
        self.depth = 0
        self.found: list[Import] = []

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)
        for child in node.orelse if "TYPE_CHECKING" in ast.unparse(node.test) else ():
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = node.module or ""
        if node.level:
            above = self.package.split(".")
            base = ".".join([*above[: len(above) - node.level + 1], *filter(None, [node.module])])
        for alias in node.names:
            submodule = f"{base}.{alias.name}"
            self._add(submodule if submodule in sources() else base, node.lineno)

    def _add(self, module: str, line: int) -> None:
        self.found.append(Import(module, line, self.depth > 0))


@cache
def sources() -> dict[str, Path]:
    """Every module of both packages, by dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str) -> tuple[Import, ...]:
    """What a module imports when it or one of its functions runs."""
    path = sources()[module]
    visitor = _Imports(module, path.name == "__init__.py")
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    return tuple(visitor.found)


def every_import() -> Iterator[tuple[str, Import]]:
    for module in sources():
        for found in imports(module):
            yield module, found


def within(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


@cache
def reachable(module: str) -> frozenset[str]:
    """Every module of ours that running a module may import, at any distance."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        for found in imports(waiting.pop()):
            if found.module in sources() and found.module not in seen:
                seen.add(found.module)
                waiting.append(found.module)
    return frozenset(seen)


def report(name: str) -> str:
    return f"goemo_report.{name}"


def test_how_imports_are_found() -> None:
    code = """
from typing import TYPE_CHECKING
import numpy.typing as npt
from . import errors
from .sources import base, open_source
if TYPE_CHECKING:
    import torch
else:
    import rich
class C:
    async def method(self):
        if True:
            from wandb import sdk
"""
    visitor = _Imports("goemo_report.model", is_package=False)
    visitor.visit(ast.parse(code))
    assert [(found.module, found.lazy) for found in visitor.found] == [
        ("typing", False),
        ("numpy.typing", False),
        ("goemo_report.errors", False),
        ("goemo_report.sources.base", False),
        ("goemo_report.sources", False),
        ("rich", False),
        ("wandb", True),
    ]


@pytest.mark.parametrize("place", range(len(LINE)))
def test_imports_point_back_along_the_line(place: int) -> None:
    later = tuple(report(name) for names in LINE[place + 1 :] for name in names)
    for name in LINE[place]:
        members = [module for module in sources() if within(module, (report(name),))]
        for module in members:
            wrong = sorted(other for other in reachable(module) if within(other, later))
            assert not wrong, f"{module} reaches {wrong}"


def test_every_name_on_the_line_exists() -> None:
    for name in (name for names in LINE for name in names):
        assert report(name) in sources()


def test_nothing_imports_in_a_circle() -> None:
    """A package's own __init__ may meet its parts; nothing else may meet itself."""
    for module in sources():
        if module in reachable(module):
            circle = sorted(m for m in reachable(module) if module in reachable(m))
            package = circle[0]
            assert sources()[package].name == "__init__.py", circle
            assert all(within(member, (package,)) for member in circle), circle


@pytest.mark.parametrize("package", ONLY_IN)
def test_third_party_packages_stay_in_their_rooms(package: str) -> None:
    for module, found in every_import():
        if found.module.split(".")[0] == package:
            assert within(module, ONLY_IN[package]), f"{module}:{found.line} imports {package}"


def test_lazy_imports_are_lazy() -> None:
    for module, packages in LAZILY.items():
        assert module in sources(), module
        for package in packages:
            mine = [found for found in imports(module) if found.module.split(".")[0] == package]
            assert mine, f"{module} imports {package} no longer: take it off the list"
            assert all(found.lazy for found in mine), f"{module} imports {package} at the top"


def test_wandb_is_imported_inside_functions_only() -> None:
    """It costs half a second, which no command pays that does not need it."""
    for module, found in every_import():
        if found.module.split(".")[0] == "wandb":
            assert found.lazy, f"{module}:{found.line}"


def test_the_report_does_not_import_the_trainer() -> None:
    for module, found in every_import():
        if module.startswith("goemo_report"):
            assert not within(found.module, ("goemo_train",)), f"{module}:{found.line}"


def test_the_trainer_imports_little_of_the_report() -> None:
    allowed = ("goemo_report", *map(report, TRAINER_MAY_USE))
    for module, found in every_import():
        if module.startswith("goemo_train") and within(found.module, ("goemo_report",)):
            assert found.module in allowed, f"{module}:{found.line} imports {found.module}"


def test_sources_know_nothing_of_what_is_done_with_runs() -> None:
    allowed = tuple(map(report, SOURCES_MAY_USE))
    for module, found in every_import():
        if within(module, (report("sources"),)) and within(found.module, ("goemo_report",)):
            assert found.module == "goemo_report" or within(found.module, allowed), (
                f"{module}:{found.line} imports {found.module}"
            )


@pytest.mark.parametrize("module", ["contract", "errors", "report.document"])
def test_the_plain_values_need_nothing_installed(module: str) -> None:
    """Nor numpy: reading a name from the contract costs nothing."""
    for each in (report(module), *reachable(report(module))):
        outside = [i.module for i in imports(each) if not within(i.module, ("goemo_report",))]
        assert all(name.split(".")[0] in sys.stdlib_module_names for name in outside), each


def test_what_is_imported_is_declared() -> None:
    """Each third-party import is a dependency, or one that a dependency always brings."""
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    direct = [_name(line) for line in project["dependencies"]]
    train = direct + [_name(line) for line in project["optional-dependencies"]["train"]]
    owners = metadata.packages_distributions()
    for package, declared in (("goemo_report", direct), ("goemo_train", train)):
        for module, found in every_import():
            top = found.module.split(".")[0]
            brought = _brought(train if module in NEED_THE_EXTRA else declared)
            if not module.startswith(package) or top in (*sys.stdlib_module_names, *PACKAGES):
                continue
            distributions = {_name(owner) for owner in owners[top]}
            assert distributions & brought, f"{module}:{found.line} imports {top}: not declared"


def _brought(declared: list[str]) -> frozenset[str]:
    """Distributions and all that they require without any extra."""
    return _closure(tuple(declared))


@cache
def _closure(declared: tuple[str, ...]) -> frozenset[str]:
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
