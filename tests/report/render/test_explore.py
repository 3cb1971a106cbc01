"""What the page's script computes from its data, in headless Chromium, beside Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from goemo_report.comparison import Comparison, Options, compare
from goemo_report.metrics.counts import averages, count
from goemo_report.report.render import render
from goemo_report.report.sections import build_report
from goemo_report.thresholds.protocols import export_thresholds
from tests.offline_runs import OfflineRun
from tests.report.render.test_browser import CHROMIUM, Opened, _open, browser
from tests.synthetic import run_result

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
    return compare(results, options=Options(resamples=50, max_errors=5))


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
        for cuts in (np.full(k, 0), np.full(k, 50), np.full(k, 100), random.integers(30, 90, k)):
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
    page.reload()
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
