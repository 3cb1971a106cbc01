"""The documentation follows the program: generated parts, links.

Its command lines are run in `tests/test_documented_lines.py`.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import goemo_report as gr
from tests.documented_lines import PAGES_BY_HAND
from tests.generated_docs import PAGES, ROOT

DOCS = ROOT / "docs"


@pytest.mark.parametrize("path", PAGES)
def test_generated_pages_are_current(path: str) -> None:
    written = (ROOT / path).read_text(encoding="utf-8")
    assert written == PAGES[path](), "run `make docs`"


@pytest.mark.parametrize("page", PAGES_BY_HAND, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_has_its_place_in_the_site() -> None:
    placed = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert {page.name for page in DOCS.glob("*.md")} <= set(placed), "name it under nav"


def test_the_python_reference_has_every_public_name_once() -> None:
    named = re.findall(
        r"^::: goemo_report\.(\w+)$", (DOCS / "reference.md").read_text(), re.MULTILINE
    )
    assert sorted(named) == gr.__all__


def test_the_inputs_of_the_action_are_described() -> None:
    table = (DOCS / "github.md").read_text("utf-8").partition("## Inputs")[2].partition("## ")[0]
    first_cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    described = re.findall(r"`([\w-]+)`", " ".join(first_cells))
    inputs = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))["inputs"]
    assert sorted(described) == sorted(inputs)


def test_every_extra_is_described_and_part_of_all() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    (everything,) = extras.pop("all")
    wanted = {name for name, packages in extras.items() if packages} - {"dev", "docs"}
    described = set(re.findall(r"goemo\[(\w+)\]", (DOCS / "start.md").read_text("utf-8")))
    assert described == {*wanted, "all"}
    assert set(re.findall(r"\w+", everything)) >= wanted
