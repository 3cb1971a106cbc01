"""Two pages, the usual and all of it: LaTeX that compiles, PDF, Markdown with figures beside it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from goemo_report.cli import goemo_report
from goemo_report.comparison import Options, compare
from goemo_report.errors import NotFoundError
from goemo_report.report.document import Callout, Report, Section
from goemo_report.report.render import Extent, cut, render, render_block, render_files
from goemo_report.report.render.html import find_chromium
from goemo_report.report.sections import build_report
from tests.offline_runs import OfflineRun, write_prediction_file
from tests.report.render.example import HOSTILE, example_report
from tests.synthetic import run_result

needs_latex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="pdflatex is not installed"
)
needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="chromium is not installed"
)
WRAPPED = r"""\documentclass{article}\usepackage[T1]{fontenc}
\usepackage{textcomp,amssymb,booktabs,graphicx,tikz}
\begin{document}Mine. \input{report.tex} Mine again.\end{document}
"""


def chaptered(report: Report) -> Report:
    """The example in the chapters that reports have."""
    names = {"summary": "Answer", "overall": "Where it differs", "emotions": "Where it differs"}
    chapter = ["Thresholds"]

    def of(section: Section) -> Section:
        return replace(section, chapter=names.get(section.id, chapter[0]))

    return replace(report, sections=tuple(map(of, report.sections)))


@pytest.fixture(scope="module")
def report() -> Report:
    """A real one, of three recipes with two seeds."""
    runs = [
        run_result(
            OfflineRun(
                model=f"{model}-base",
                seed=seed,
                run_id=f"{model}{seed}",
                quality=quality,
                texts=300,
            ),
            number=seed,
        )
        for model, quality in (("roberta", 0.7), ("bert", 0.66), ("electra", 0.6))
        for seed in (1, 2)
    ]
    comparison = compare(runs, options=Options(resamples=100))
    day = runs[0].run.created_at
    assert day is not None
    return build_report(comparison, created_at=day, command="goemo-report compare")


def compiled(folder: Path, text: str) -> tuple[int, list[str]]:
    """Pages, and complaints about boxes, of a document."""
    (folder / "main.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
    log = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, log[-2000:]
    found = re.search(r"Output written on main\.pdf \((\d+) page", log)
    assert found is not None, log[-500:]
    return int(found[1]), re.findall(r"Overfull[^\n]*", log)


@needs_latex
def test_latex_is_two_pages_that_compile(report: Report, tmp_path: Path) -> None:
    text = render(report, "latex")
    assert text.count("\\begin{tikzpicture}") >= 2
    assert compiled(tmp_path, text) == (2, [])


@needs_latex
def test_long_names_and_many_labels_stay_within_two_pages(tmp_path: Path) -> None:
    name = "run_with_a_very_long_name_indeed_that_goes_on_and_on_test_predictions"
    labels = tuple(f"a rather long label name number {at}" for at in range(60))
    runs = [
        run_result(
            OfflineRun(
                model=f"{name}_{at}", run_id=f"r{at}", quality=0.6, texts=90, own_labels=labels
            ),
            number=at,
        )
        for at in (1, 2)
    ]
    day = runs[0].run.created_at
    assert day is not None
    whole = build_report(compare(runs, options=Options(resamples=100)), created_at=day, command="x")
    text = render(whole, "latex")
    assert text.count("\\begin{tikzpicture}") >= 2  # tall figures are drawn smaller, not left out
    assert compiled(tmp_path, text) == (2, [])


@needs_latex
def test_latex_can_be_taken_into_another_document(report: Report, tmp_path: Path) -> None:
    (tmp_path / "report.tex").write_text(render(report, "latex"), encoding="utf-8")
    _, overfull = compiled(tmp_path, WRAPPED)
    assert overfull == []


@needs_latex
@pytest.mark.slow
@pytest.mark.parametrize("runs", [2, 20])
def test_latex_in_full_compiles_with_hostile_names(
    report: Report, runs: int, tmp_path: Path
) -> None:
    shown = example_report(runs, name=HOSTILE) if runs > 2 else report
    pages, overfull = compiled(tmp_path, render(shown, "latex", "full"))
    assert pages > 4
    assert overfull == []
    block = next(iter(shown.tables().values()))
    assert compiled(tmp_path, render_block(block, "latex"))[1] == []


def pages_of(data: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", data))


@needs_chromium
@pytest.mark.browser
@pytest.mark.parametrize(("extent", "most"), [("short", 2), ("usual", 12)])
def test_pdf_has_as_many_pages_as_its_extent_allows(
    report: Report, extent: Extent, most: int
) -> None:
    (data,) = render_files(report, "pdf", "x", extent).values()
    assert 2 <= pages_of(data) <= most
    if extent == "usual":
        (whole,) = render_files(report, "pdf", "x", "full").values()
        assert pages_of(whole) > pages_of(data)


def test_without_a_browser_there_is_a_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    write_prediction_file(Path("good.csv"), OfflineRun(run_id="good", texts=60), "test")
    line = ["compare", "good.csv", "--format", "pdf"]
    for more, what in (((), "there is no Chromium"), (("--chromium", "nope"), "browser nope")):
        done = CliRunner().invoke(goemo_report, [*line, *more])
        assert (done.exit_code, done.stdout) == (1, "")
        assert what in done.stderr
        assert "--chromium" in done.stderr
    monkeypatch.setenv("GOEMO_CHROMIUM", "/nowhere")
    with pytest.raises(NotFoundError, match="browser /nowhere"):
        find_chromium()


def test_a_cut_report_names_what_it_leaves_out() -> None:
    whole = chaptered(example_report(20))
    short, said = cut(whole)
    assert [one.chapter for one in short.sections] == ["Answer"] + ["Where it differs"] * 2
    assert "chapter Thresholds" in said
    kept = {block for section in short.sections for block in map(id, section.blocks)}
    assert len(kept) < sum(len(section.blocks) for section in whole.sections)
    assert "F1 against support" in said  # there was no room for it
    leaderboard = short.tables()["leaderboard"]
    assert (len(leaderboard.rows), len(whole.tables()["leaderboard"].rows)) == (13, 20)
    assert "The first 13 of 20 rows" in leaderboard.caption
    warning = Callout("warning", "Before you trust: 6.", tuple(f"run {at}: why" for at in range(6)))
    section = Section("summary", "Answer", (warning,))
    (kept_section,) = cut(replace(whole, sections=(section,), brief=()))[0].sections
    (shown,) = kept_section.blocks
    assert isinstance(shown, Callout)
    assert shown.items == (*warning.items[:4], "2 more in the whole report.")


def test_markdown_has_figures_beside_it_and_folds_the_rest(report: Report) -> None:
    files = render_files(report, "md", "two runs")
    document, *drawn = files
    assert document == "two runs.md"
    text = files[document].decode()
    assert drawn
    for path in drawn:
        assert path.startswith("two runs/")
        assert files[path].startswith(b"<svg ")
        assert f"]({path.replace(' ', '%20')})" in text
    opened = re.sub(r"<details>.*</details>", "", text, flags=re.DOTALL)
    assert opened.count("![") >= 2
    assert len(opened.splitlines()) < 90
    headings = re.findall(r"^#{1,3} .*$", text, re.MULTILINE)
    assert not {one.lstrip("# ") for one in headings if one.startswith("## ")} & {
        one.lstrip("# ") for one in headings if one.startswith("### ")
    }
    assert text.count("<details>") == text.count("</details>") > 10
    anchors = re.findall(r'<a id="([^"]+)">', text)
    assert len(anchors) == len(set(anchors))


def test_standard_output_has_figures_as_tables(report: Report) -> None:
    ((_, data),) = render_files(report, "md", "").items()
    assert b"![" not in data
    assert b"Table behind" in data


@needs_chromium
@pytest.mark.browser
def test_the_page_to_explore_loads_one_file_beside_it(report: Report, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    for name, data in render_files(report, "plotly", "r").items():
        (tmp_path / name).write_bytes(data)
    assert {one.name for one in tmp_path.iterdir()} == {"r.plotly.html", "plotly.min.js"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto((tmp_path / "r.plotly.html").as_uri())
        page.locator(".plot .main-svg").first.wait_for()
        assert said == []
        browser.close()
    assert len(render(report, "html")) < 700_000
    assert "Plotly.newPlot" not in render(report, "html")
