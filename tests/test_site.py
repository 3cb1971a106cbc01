"""The site builds without a warning, loads nothing from other hosts, and has what it should."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import goemo_report as gr
from tests.generated_docs import ROOT

pytestmark = pytest.mark.slow
LOADED = {("script", "src"), ("img", "src"), ("iframe", "src"), ("link", "href")}


class Page(HTMLParser):
    """Ids, links and what a page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.add(value or "")
            elif (tag, name) in LOADED:
                self.loaded.append(value or "")
            elif (tag, name) == ("a", "href"):
                self.links.append(value or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {page.name: Page(page.read_text("utf-8")) for page in site.glob("*.html")}


def test_links_and_anchors_lead_somewhere_and_nothing_is_loaded_from_elsewhere(
    site: Path, pages: dict[str, Page]
) -> None:
    for name in pages.keys() - {"404.html"}:  # which is served at any depth
        for address in pages[name].links + pages[name].loaded:
            parts = urlsplit(address)
            if parts.scheme in {"http", "https", "mailto"}:
                assert address in pages[name].links, f"{name} loads {address}"
                continue
            if parts.scheme == "data":
                continue
            assert not parts.netloc
            target = unquote(parts.path) or name
            assert (site / target).exists(), f"{name} links to {address}"
            if parts.fragment and target in pages and target != "example-report.html":
                assert unquote(parts.fragment) in pages[target].ids, f"{name} links to {address}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\W*(https?:)?//", style.read_text("utf-8"))


def test_it_has_the_example_the_notebook_and_every_public_name(
    site: Path, pages: dict[str, Page]
) -> None:
    assert "example-report.html" in pages["example.html"].loaded
    assert (site / "example-report.html").read_text("utf-8").count("<svg") >= 5
    tour = (site / "tour.html").read_text("utf-8")
    assert tour.count('class="output"') > 8
    assert 'class="output"><svg' in tour  # a figure, which plotly alone would draw
    assert {f"goemo_report.{name}" for name in gr.__all__} <= pages["reference.html"].ids
    assert "0.2.0" in (site / "changelog.html").read_text("utf-8")
