"""The page in headless Chromium: drawn, sorted, filtered, copied, printed, and accessible."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from goemo_report.report.render import render
from tests.report.render.example import HOSTILE, example_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Opened:
    """A page, what it said on the console and what it asked for."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    for name, report in {
        "three": example_report(3),
        "twenty": example_report(20, errors=560),
        "hostile": example_report(2, name=HOSTILE),
    }.items():
        (folder / f"{name}.html").write_text(render(report, "html"), encoding="utf-8")
    return folder


def _open(browser: Browser, path: Path, hash_: str = "", **options: Any) -> Opened:
    context: BrowserContext = browser.new_context(
        **{"viewport": {"width": 1400, "height": 900}, **options}
    )
    opened = Opened(context.new_page(), path.as_uri())
    opened.page.on("console", lambda message: opened.complaints.append(message.text))
    opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.goto(opened.url + hash_, wait_until="load")
    wait_until_explored(opened.page)
    return opened


def wait_until_explored(page: Page) -> None:
    """Wait for what the script adds after the first paint, where it adds anything."""
    if page.locator("html.js #page-data").count():
        page.locator("html[data-explored]").wait_for()


@pytest.fixture
def three(browser: Browser, folder: Path) -> Iterator[Opened]:
    opened = _open(
        browser, folder / "three.html", permissions=["clipboard-read", "clipboard-write"]
    )
    yield opened
    opened.page.context.close()


def _column(page: Page, table: str, column: int) -> list[str]:
    """Texts of a column's visible cells."""
    cells = page.locator(f"#{table} tbody tr:visible > :nth-child({column})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_the_page_says_nothing_and_asks_for_nothing(three: Opened) -> None:
    assert three.page.locator(".plot svg:visible").count() >= 7
    assert three.complaints == []
    assert [url for url in three.requests if url != three.url and not url.startswith("data:")] == []


def test_hostile_names_do_nothing(browser: Browser, folder: Path) -> None:
    opened = _open(browser, folder / "hostile.html")
    assert opened.page.locator("img, iframe, object").count() == 0
    assert opened.page.locator("svg a").count() == 0
    assert opened.complaints == []
    assert len(opened.requests) == 1
    opened.page.context.close()


def test_policy_stops_what_is_not_the_pages_own(browser: Browser, folder: Path) -> None:
    opened = _open(browser, folder / "three.html")
    opened.page.locator("main").evaluate(
        """main => { const script = document.createElement('script');
        script.textContent = 'window.broken = true'; main.append(script);
        const image = document.createElement('img'); image.src = 'http://127.0.0.1:9/x';
        main.append(image); }"""
    )
    opened.page.wait_for_timeout(200)
    assert opened.page.evaluate("() => 'broken' in window") is False
    assert sum("Content Security Policy" in text for text in opened.complaints) == 2
    opened.page.context.close()


def test_columns_sort_both_ways_within_their_groups(three: Opened) -> None:
    page = three.page
    before = _column(page, "per-class", 1)
    head = page.locator("#per-class thead th").nth(1)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    down = _column(page, "per-class", 2)
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    up = _column(page, "per-class", 2)
    numbers = [int(text.replace(",", "")) for text in up if re.fullmatch(r"[\d,]+", text)]
    positive = numbers[:12]
    assert positive == sorted(positive)
    assert sorted(up) == sorted(down)
    names = _column(page, "per-class", 1)
    assert names[0] == before[0]  # the group's heading stays above its rows
    assert sorted(names) == sorted(before)


def test_columns_sort_by_value_not_by_letters(three: Opened) -> None:
    page = three.page
    head = page.locator("#leaderboard thead th").nth(7).get_by_role("button")
    head.click()
    assert _column(page, "leaderboard", 8) == ["1.42 GB", "710 MB", "474 MB"]
    page.locator("#leaderboard thead th").nth(2).get_by_role("button").click()
    assert _column(page, "leaderboard", 3)[-1] == "\u2013"  # what is missing comes last


def test_browse_tables_filter_and_page(three: Opened) -> None:
    page = three.page
    table = page.locator("#errors")
    status = table.get_by_role("status")
    assert status.inner_text() == "1\u201325 of 120 rows"
    table.get_by_role("button", name="Next").click()
    assert status.inner_text() == "26\u201350 of 120 rows"
    table.get_by_role("searchbox", name="Filter").fill("winter disappointment")
    assert status.inner_text().endswith("filtered from 120")
    assert all("winter" in text for text in _column(page, "errors", 3))
    table.get_by_role("searchbox", name="Filter").fill("")
    table.get_by_role("combobox", name="Emotion").select_option("joy")
    assert set(_column(page, "errors", 1)) == {"joy"}
    table.get_by_role("combobox", name="Error").select_option("false negative")
    assert set(_column(page, "errors", 2)) == {"false negative"}


def test_tables_copy_as_csv(three: Opened) -> None:
    page = three.page
    page.locator("#leaderboard").get_by_role("button", name="Copy as CSV").click()
    page.locator("#leaderboard").get_by_role("button", name="Copied").wait_for()
    rows = list(csv.reader(io.StringIO(page.evaluate("() => navigator.clipboard.readText()"))))
    assert rows[0][:4] == ["Run", "Macro F1", "Macro F1 (low)", "Macro F1 (high)"]
    assert len(rows) == 4
    assert {len(row) for row in rows} == {len(rows[0])}
    assert float(rows[1][2]) < float(rows[1][1]) < float(rows[1][3])


def test_a_copied_table_has_every_row_and_no_formula(three: Opened) -> None:
    page = three.page
    page.locator("#errors").get_by_role("button", name="Copy as CSV").click()
    page.locator("#errors").get_by_role("button", name="Copied").wait_for()
    rows = list(csv.reader(io.StringIO(page.evaluate("() => navigator.clipboard.readText()"))))
    assert len(rows) == 121
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@"))]


def _paper(page: Page) -> str:
    return str(page.evaluate("() => getComputedStyle(document.body).backgroundColor"))


def test_theme_follows_the_system_and_the_switch_and_is_remembered(three: Opened) -> None:
    page = three.page
    light = _paper(page)
    colour = "() => getComputedStyle(document.querySelector('.fig text')).fill"
    before = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    assert _paper(page) != light
    page.get_by_role("button", name="Light").click()
    assert _paper(page) == light
    page.get_by_role("button", name="Dark").click()
    assert _paper(page) != light
    assert page.evaluate(colour) != before  # the figures follow
    page.emulate_media(color_scheme="light")
    page.wait_for_timeout(500)  # the browser stores the choice in its own time
    page.reload()
    assert _paper(page) != light
    assert page.get_by_role("button", name="Dark").get_attribute("aria-pressed") == "true"
    assert three.complaints == []


def test_contents_show_where_the_reader_is(three: Opened) -> None:
    page = three.page
    page.get_by_role("navigation").get_by_role("link", name="Error browser").click()
    current = page.locator(".toc a[aria-current]")
    current.get_by_text("Error browser").wait_for()
    assert current.count() == 1


def test_a_link_opens_what_is_folded(browser: Browser, folder: Path) -> None:
    opened = _open(
        browser, folder / "three.html", "#artifacts-minilm-l6-20260303-102500-checkpoint-ab12"
    )
    opened.page.locator("#artifacts[open]").wait_for()
    assert opened.page.locator("#artifacts tbody tr").first.is_visible()
    opened.page.context.close()


def test_page_reads_without_javascript(browser: Browser, folder: Path) -> None:
    opened = _open(browser, folder / "three.html", java_script_enabled=False)
    page = opened.page
    assert page.get_by_text("leads with a macro F1").is_visible()
    assert page.locator("#leaderboard tbody tr").first.is_visible()
    assert page.locator("#errors tbody tr").last.is_visible()
    boxes = [one.bounding_box() for one in page.locator("main svg:visible").all()]
    assert sum(box["width"] > 100 and box["height"] > 100 for box in boxes if box) >= 5
    page.get_by_text("Table behind figure 1").click()
    assert page.locator("#overall-table-roberta-large-20260301-100500").is_visible()
    assert page.get_by_role("button").count() == 0  # nothing that would not work
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_axe_finds_no_violation(browser: Browser, folder: Path, scheme: str, width: int) -> None:
    opened = _open(
        browser,
        folder / "three.html",
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
        bypass_csp=True,
    )
    opened.page.evaluate(
        "() => document.querySelectorAll('details').forEach(one => { one.open = true; })"
    )
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    opened.page.add_script_tag(content=axe)
    found = opened.page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    told = [
        f"{one['id']}: {one['help']} ({node['html'][:160]})"
        for one in found["violations"]
        for node in one["nodes"][:3]
    ]
    assert told == []
    opened.page.context.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1100])
def test_narrow_screens_scroll_only_inside_tables(
    browser: Browser, folder: Path, width: int
) -> None:
    opened = _open(browser, folder / "twenty.html", viewport={"width": width, "height": 800})
    assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= width
    opened.page.context.close()


def test_everything_can_be_reached_by_keyboard(three: Opened) -> None:
    page = three.page
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("() => location.hash") == "#main"
    assert page.locator("[tabindex]:not([tabindex='0']):not([tabindex='-1'])").count() == 0


def test_print_is_light_drawn_and_without_controls(browser: Browser, folder: Path) -> None:
    opened = _open(browser, folder / "three.html", color_scheme="dark")
    pdf = opened.page.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    assert opened.complaints == []
    opened.page.emulate_media(media="print", color_scheme="light")
    assert not opened.page.locator(".tools, .behind").first.is_visible()
    assert opened.page.locator("main svg:visible").count() >= 7
    boxes = "buttons => buttons.map(one => getComputedStyle(one).display)"
    heads = opened.page.locator("thead button")
    assert set(heads.evaluate_all(boxes)) == {"contents"}  # else heads are not repeated
    opened.page.context.close()


def test_twenty_runs_load_in_under_two_seconds(browser: Browser, folder: Path) -> None:
    """Load includes making tables sortable."""
    times = []
    for _ in range(3):
        opened = _open(browser, folder / "twenty.html")
        script = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"
        times.append(float(opened.page.evaluate(script)))
        opened.page.context.close()
    assert 0 < min(times) < 2000, times


@pytest.mark.parametrize("width", [390, 1000, 1400])
def test_buttons_and_captions_do_not_meet(browser: Browser, folder: Path, width: int) -> None:
    opened = _open(browser, folder / "three.html", viewport={"width": width, "height": 900})
    met = opened.page.evaluate(
        """() => [...document.querySelectorAll('.tools.solo')].filter(tools => {
          const caption = tools.closest('figure')?.querySelector('figcaption p');
          if (!caption || tools.closest('details')) return false;
          const range = document.createRange();
          range.selectNodeContents(caption);
          const box = tools.getBoundingClientRect();
          return [...range.getClientRects()].some(line => box.left < line.right
            && line.left < box.right && box.top < line.bottom && line.top < box.bottom);
        }).length"""
    )
    assert met == 0
    opened.page.context.close()


def test_wide_tables_take_the_window_before_they_scroll(browser: Browser, folder: Path) -> None:
    opened = _open(browser, folder / "twenty.html", viewport={"width": 1700, "height": 900})
    boxes = opened.page.evaluate(
        """() => [...document.querySelectorAll('.scroll')].filter(box => box.clientWidth)
          .map(box => [box.clientWidth, box.scrollWidth, box.getBoundingClientRect().right])"""
    )
    assert boxes
    for width, wanted, right in boxes:
        assert wanted <= width or right > 1600
    opened.page.context.close()


def test_a_phone_shows_every_cell_of_a_wide_table(browser: Browser, folder: Path) -> None:
    """Rows are cards with the titles of their columns, intervals stand below their values."""
    opened = _open(browser, folder / "three.html", viewport={"width": 390, "height": 800})
    page = opened.page
    cells = page.locator("table.cards:visible tr:visible > td:visible")
    boxes = [cells.nth(at).bounding_box() for at in range(min(60, cells.count()))]
    assert len(boxes) > 20
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    row = page.locator("#leaderboard tbody tr").first
    label = "cell => getComputedStyle(cell, '::before').content"
    assert "Macro F1" in row.locator("td").first.evaluate(label)
    told = row.locator("td:has(i)").first
    value, interval = told.bounding_box(), told.locator("i").bounding_box()
    assert value
    assert interval
    assert interval["height"] > 10  # the numbers can be read
    assert interval["y"] > value["y"] + 10
    assert interval["x"] + interval["width"] <= 390
    opened.page.context.close()
