"""docs/tour.ipynb is executed on runs like the demo's, and shows what it shows.

python -m tests.api.test_tour    # writes its outputs anew
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.offline_runs import STANDARD_RUNS, make_runs

TOUR = Path(__file__).parents[2] / "docs" / "tour.ipynb"
LARGEST = 300_000


def executed(folder: Path) -> Any:
    """The notebook with the outputs that its cells have on made runs; raises what a cell raises."""
    make_runs(folder / "runs" / "demo", STANDARD_RUNS)
    notebook = nbformat.read(TOUR, as_version=4)
    os.environ |= {
        "GOEMO_CACHE_DIR": str(folder / "cache"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "jupyter"),
        "PYTHONPATH": str(TOUR.parents[1]),
        "SOURCE_DATE_EPOCH": "1733840000",
    }
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=120, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
    return notebook


def shown(notebook: Any) -> list[list[tuple[str, str]]]:
    """What each cell shows, by type, with all numbers alike."""
    return [
        [
            (kind, re.sub(r"-?\d[\d.e-]*", "0", str(text)) if kind == "text/plain" else "")
            for output in cell.get("outputs", ())
            for kind, text in sorted(output.get("data", {"error": ""}).items())
        ]
        for cell in notebook.cells
    ]


@pytest.mark.slow
def test_the_tour_shows_what_it_shows(tmp_path: Path) -> None:
    assert TOUR.stat().st_size <= LARGEST
    before = dict(os.environ)
    try:
        found = executed(tmp_path)
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
    assert shown(found) == shown(nbformat.read(TOUR, as_version=4))
    assert (tmp_path / "report.html").stat().st_size > 10_000


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(executed(Path(folder)), TOUR)


if __name__ == "__main__":
    main()
