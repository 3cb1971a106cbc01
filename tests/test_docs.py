"""The documentation follows the program: generated parts, links.

Its command lines are run in `tests/test_documented_lines.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documented_lines import PAGES_BY_HAND
from tests.generated_docs import PAGES, ROOT


@pytest.mark.parametrize("path", PAGES)
def test_generated_pages_are_current(path: str) -> None:
    written = (ROOT / path).read_text(encoding="utf-8")
    assert written == PAGES[path](), "run `make docs`"


@pytest.mark.parametrize("page", PAGES_BY_HAND, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
