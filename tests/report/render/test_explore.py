"""What the page's script computes from its data, in headless Chromium, beside Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from goemo_report.analysis.multilabel import confusion
from goemo_report.comparison import Comparison, Options, compare
from goemo_report.metrics.counts import averages, count
from goemo_report.report.render import render
from goemo_report.report.sections import build_report, confusions
from goemo_report.thresholds.protocols import export_thresholds
from tests.offline_runs import OfflineRun
from tests.report.render.test_browser import CHROMIUM, Opened, _open, browser, wait_until_explored
from tests.synthetic import labels_only, run_result

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
OF_CLASS = ("precision", "recall", "f1")
KEYS = [f"{average}_{key}" for average in ("macro", "micro") for key in OF_CLASS]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    wanted = [
        OfflineRun(model="distilbert-base", run_id="aaa", quality=0.6, seed=1, texts=700),
        OfflineRun(model="minilm-l6", run_id="bbb", quality=0.7, seed=2, texts=700),
        OfflineRun(model="roberta-large", run_id="ccc", quality=0.68, seed=3, texts=700),
    ]
    results = [run_result(run, number=number) for number, run in enumerate(wanted)]
    return compare(results, options=Options(resamples=100, max_errors=5))


@pytest.fixture(scope="module")
def page_file(comparison: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    created = datetime(2026, 3, 14, tzinfo=UTC)
    report = build_report(comparison, created_at=created, command="")
    text = render(report, "html")
    assert text == render(report, "html")
    path = tmp_path_factory.mktemp("explore") / "page.html"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def opened(browser: Browser, page_file: Path) -> Iterator[Opened]:
    found = _open(browser, page_file, permissions=["clipboard-read", "clipboard-write"])
    yield found
    assert found.complaints == []
    found.page.context.close()


def _judged(opened: Opened, run: int, thresholds: Any) -> dict[str, Any]:
    script = "([run, t]) => goemo.data.judge(goemo.data.runs[run], 'counts', t)"
    found: dict[str, Any] = opened.page.evaluate(script, [run, thresholds])
    return found


def test_metrics_at_any_cut_are_those_of_python(opened: Opened, comparison: Comparison) -> None:
    random = np.random.default_rng(0)
    for run in comparison.runs:
        truth, p = run.predictions.truth, run.predictions.probabilities
        k = truth.shape[1]
        for cuts in (np.full(k, 0), np.full(k, 50), np.full(k, 100), random.integers(50, 90, k)):
            predicted = p >= cuts / 100
            found = _judged(opened, run.colour, (cuts / 100).tolist())
            expected = averages(truth, predicted)
            for key in KEYS:
                assert found["overall"][key] == pytest.approx(expected[key], abs=1e-9)
            coverage = predicted.any(axis=1).mean()
            assert found["overall"]["coverage"] == pytest.approx(coverage, abs=1e-9)
            counts = count(truth, predicted)
            for key in OF_CLASS:
                values = [one[key] for one in found["each"]]
                assert values == pytest.approx(counts.metric(key).tolist(), abs=1e-9)


def test_tuned_thresholds_are_exact(opened: Opened, comparison: Comparison) -> None:
    for run in comparison.runs:
        for name, word in (("per-class", "tuned"), ("global", "one")):
            protocol = run.protocol(name)  # type: ignore[arg-type] # two of them
            assert protocol is not None
            found = _judged(opened, run.colour, [word] * len(run.labels))
            for key in KEYS:
                assert found["overall"][key] == pytest.approx(protocol.overall[key], abs=1e-9)
            predicted = protocol.choice.predicted(run.predictions)
            coverage = predicted.any(axis=1).mean()
            assert found["overall"]["coverage"] == pytest.approx(coverage, abs=1e-9)


def test_the_slider_works_by_keyboard_and_stays_in_the_address(opened: Opened) -> None:
    page = opened.page
    page.get_by_role("slider", name="Threshold for all").focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert "t=0.3" in page.url
    row = page.locator("#threshold-slider tbody tr").first
    shown = row.inner_text()
    page.get_by_text("Threshold of each emotion").first.click()
    own = page.get_by_role("slider", name="Threshold of joy")
    own.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    assert "t.joy=0.5" in page.url
    changed = row.inner_text()
    assert changed != shown
    note = page.locator("#threshold-slider .caption").first.inner_text()
    assert "validation, because the page has its counts per emotion" in note
    page.reload()
    wait_until_explored(page)
    assert page.locator("#threshold-slider tbody tr").first.inner_text() == changed
    page.go_back()
    assert page.locator("#threshold-slider tbody tr").first.inner_text() == shown


def test_thresholds_are_copied_as_the_command_writes_them(
    opened: Opened, comparison: Comparison
) -> None:
    page, best = opened.page, comparison.best
    page.get_by_role("button", name="One per emotion, tuned").click()
    page.get_by_role("button", name="Copy thresholds as JSON").click()
    page.locator("#threshold-slider").get_by_role("button", name="Copied").wait_for()
    assert best.tuned is not None
    expected = export_thresholds([(best.id, best.tuned.choice)])
    assert json.loads(page.evaluate("() => navigator.clipboard.readText()")) == expected


def test_another_pair_is_compared_with_the_intervals_that_are_known(
    opened: Opened, comparison: Comparison
) -> None:
    page, baseline, other = opened.page, comparison.baseline, comparison.others[0]
    page.get_by_label("A", exact=True).select_option(baseline.key)
    page.get_by_label("B", exact=True).select_option(other.key)
    assert f"a={baseline.key}" in page.url
    assert not page.locator("#differences-figure").is_visible()
    found = page.evaluate("() => goemo.differences(goemo.a(), goemo.b())")
    assert len(found) == len(comparison.labels)
    for row in found:
        label = comparison.labels[row["label"]]
        expected = other.difference(f"f1_{label}")
        assert expected is not None
        assert row["value"] == pytest.approx(-expected.value, abs=1e-9)
        assert row["low"] == pytest.approx(-expected.high, abs=1e-4)
        assert row["clear"] == (expected.verdict != "tie")
    assert page.locator("#a-to-b svg circle").count() == len(comparison.labels)
    while "a=" in page.url:
        page.go_back()
    assert page.locator("#differences-figure").is_visible()


def test_a_pair_that_was_not_tested_has_no_interval(browser: Browser, tmp_path: Path) -> None:
    wanted = [
        OfflineRun(model=f"model-{n}", run_id=f"m{n}", quality=0.5 + 0.04 * n, seed=n, texts=200)
        for n in range(5)
    ]
    results = [run_result(run, number=number) for number, run in enumerate(wanted)]
    results[0] = labels_only(results[0])
    report = build_report(
        compare(results, options=Options(resamples=100, max_errors=2)),
        created_at=datetime(2026, 3, 14, tzinfo=UTC),
        command="",
    )
    (tmp_path / "five.html").write_text(render(report, "html"), encoding="utf-8")
    found = _open(browser, tmp_path / "five.html", "#differences?a=R2&b=R3")
    line = found.page.locator("#a-to-b .caption").first.inner_text()
    assert line.count("no interval") == 2
    assert "p =" not in line
    found.page.evaluate("() => { location.hash = '#errors?a=R1&b=R3&who=only+A+wrong'; }")
    found.page.get_by_text("A is R1 model-0").wait_for()
    rows = found.page.locator("#errors-texts tbody tr")
    cells = [row.split("\t") for row in rows.all_inner_texts()]
    assert {cell[5] for cell in cells} == {"\u2013"}
    found.page.evaluate("() => { location.hash = '#differences?a=R99&t=7'; }")
    said = found.page.locator(".pick").get_by_role("status")
    said.get_by_text("Not in this page: a=R99, t=7").wait_for()
    assert found.complaints == []
    found.page.context.close()


def test_what_is_fixed_broken_and_confused_is_counted_as_python_counts(
    opened: Opened, comparison: Comparison
) -> None:
    first, other = comparison.runs[:2]
    truth = first.predictions.truth
    ours, theirs = (run.predictions.probabilities >= 0.5 for run in (first, other))
    script = """() => { const found = goemo.data.changes(goemo.data.runs[0], goemo.data.runs[1]);
      return [found.fixed.length, found.broken.length]; }"""
    fixed = ((ours != truth) & (theirs == truth)).sum()
    broken = ((ours == truth) & (theirs != truth)).sum()
    assert opened.page.evaluate(script) == [fixed, broken]
    found = opened.page.evaluate("() => [...goemo.data.confusion(goemo.data.runs[0])]")
    assert found == pytest.approx(confusion(truth, ours).ravel().tolist(), abs=1e-9)
    lift = confusions._log_lift(ours) - confusions._log_lift(truth)
    few = np.minimum.outer(truth.sum(axis=0), truth.sum(axis=0)) < 20
    known = ~few & ~np.eye(len(lift), dtype=bool)
    found = opened.page.evaluate("() => [...goemo.data.lift(goemo.data.runs[0]).values]")
    assert [one for one in found if one == one] == pytest.approx(lift[known].tolist(), abs=1e-9)


def test_confusions_are_those_of_a(opened: Opened, comparison: Comparison) -> None:
    page = opened.page
    other = next(run for run in comparison.runs if run is not comparison.best)
    table, status = page.locator("#confusions-list"), page.locator("#confusions-list [role=status]")
    matrix = page.locator("#confusions-lift .hm").first
    before, drawn = table.locator("tbody tr").first.inner_text(), matrix.inner_html()
    assert comparison.best.short in str(table.get_by_role("heading").text_content())
    page.get_by_label("A", exact=True).select_option(other.key)
    assert other.short in str(table.get_by_role("heading").text_content())
    for place in (
        "#confusions-lift h4",
        "#confusions-list caption",
        "#confusions-lift .fig > title",
    ):
        assert other.short in str(page.locator(place).first.text_content())
    counts = confusion(other.predictions.truth, other.predictions.probabilities >= 0.5)
    assert f"of {np.count_nonzero(counts)} rows" in status.inner_text()
    missed, given = np.unravel_index(counts.argmax(), counts.shape)
    row = table.locator("tbody tr").first.inner_text().split("\t")
    assert row[:2] == [comparison.labels[missed], comparison.labels[given]]
    assert float(row[2]) == pytest.approx(counts.max(), abs=0.051)
    assert matrix.inner_html() != drawn
    page.go_back()
    assert table.locator("tbody tr").first.inner_text() == before


def test_an_emotion_opens_from_its_row_and_its_dot_by_keyboard(
    opened: Opened, comparison: Comparison
) -> None:
    page, best = opened.page, comparison.best
    dialog = page.get_by_role("dialog")
    dot = page.locator("#differences-figure .opens:visible").first
    label = str(dot.get_attribute("aria-label")).split(", ")[-1]
    dot.focus()
    page.keyboard.press("Enter")
    assert dialog.get_by_role("heading", level=2).inner_text() == label
    row = dialog.locator("tbody tr").first.inner_text().split("\t")
    at = best.labels.index(label)
    for key, shown in zip(OF_CLASS, row[2:5], strict=True):
        assert float(shown) == pytest.approx(best.scores.per_class[key][at], abs=5.1e-4)
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    page.go_back()
    assert dialog.get_by_role("heading", level=2).inner_text() == label
    page.reload()
    wait_until_explored(page)
    assert dialog.get_by_role("heading", level=2).inner_text() == label
    dialog.get_by_role("button", name="Close").click()
    page.locator("#threshold-slider").get_by_text("Threshold of each emotion").first.click()
    page.locator("#threshold-slider").get_by_role("button", name="grief").press("Enter")
    assert dialog.get_by_role("heading", level=2).inner_text() == "grief"
    assert "false positive" in dialog.inner_text()


def test_errors_are_chosen_by_who_is_wrong_and_searched(
    opened: Opened, comparison: Comparison
) -> None:
    page, best = opened.page, comparison.best
    others = [run for run in comparison.runs if run is not best]
    box = page.locator("#errors-texts")
    rows, status = box.locator("tbody tr"), box.get_by_role("status")
    assert rows.count() == 10
    before = status.inner_text()
    box.get_by_role("button", name="only A wrong").click()
    assert "who=only+A+wrong" in page.url
    found = [row.split("\t") for row in rows.all_inner_texts()]
    assert {row[6] for row in found} == {"only A wrong"}
    sure = [float(row[5]) for row in found]
    assert sure == sorted(sure, reverse=True)
    for row in found:
        at, label = int(row[8]) - 1, best.labels.index(row[3])
        truth = best.predictions.truth[at, label]
        p = [run.predictions.probabilities[at, label] for run in (best, *others)]
        assert [(one >= 0.5) != truth for one in p] == [True, False, False]
        assert row[0] == best.predictions.texts[at]
    page.go_back()
    assert status.inner_text() == before
    box.get_by_role("searchbox", name="Search").fill(found[0][0][:30])
    assert "filtered from" in status.inner_text()
    page.reload()
    wait_until_explored(page)
    assert "filtered from" in status.inner_text()


def test_without_javascript_a_hundred_errors_are_in_the_page(
    browser: Browser, page_file: Path
) -> None:
    found = _open(browser, page_file, java_script_enabled=False)
    assert found.page.locator("#errors-texts tbody tr").count() == 100
    assert found.page.locator("#errors-texts tbody tr").last.is_visible()
    assert "The first 100 of" in found.page.locator("#errors-texts .cut").inner_text()
    assert not found.page.locator(".pick, .explore, .chips").count()
    found.page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_in_what_the_script_makes(
    browser: Browser, page_file: Path, scheme: str
) -> None:
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    for view in ("?b=R1&t=0.4", "?see=label.3"):
        found = _open(browser, page_file, f"#{view}", color_scheme=scheme, bypass_csp=True)
        page = found.page
        page.evaluate("() => document.querySelectorAll('details').forEach(one => one.open = true)")
        page.add_script_tag(content=axe)
        told = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
        assert [
            f"{one['id']}: {node['html'][:160]}"
            for one in told["violations"]
            for node in one["nodes"][:3]
        ] == []
        page.context.close()


def test_the_page_of_three_runs_is_below_700_kb() -> None:
    wanted = [
        OfflineRun(model=f"model-{n}", run_id=f"m{n}", quality=0.6 + 0.04 * n, seed=n, texts=5427)
        for n in range(3)
    ]
    results = [run_result(run, number=number) for number, run in enumerate(wanted)]
    found = compare(results, options=Options(resamples=100))
    report = build_report(found, created_at=datetime(2026, 3, 14, tzinfo=UTC), command="")
    assert len(render(report, "html").encode()) <= 700_000
