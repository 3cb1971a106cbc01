"""The page as text: what it says without JavaScript, and what it lets nobody do."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from goemo_report.report.document import Cell, Column, Heatmap, Section, Table
from goemo_report.report.render import page_sized, render, render_block
from tests.report.render.example import HOSTILE, example_report

VOID = {"meta", "input", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Every start tag with its attributes, and the text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.scripts: list[tuple[dict[str, str], str]] = []
        self._inside: tuple[str, dict[str, str]] | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.tags.append((tag, known))
        self._inside = (tag, known) if tag in {"script", "style"} else None

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self.words.append(data)
        elif self._inside[0] == "script":
            self.scripts.append((self._inside[1], data))

    @property
    def text(self) -> str:
        return "".join(self.words)

    def attribute(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.tags if name in attributes]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(example_report(3), "html"))


@pytest.fixture(scope="module")
def hostile() -> Page:
    return Page(render(example_report(3, name=HOSTILE), "html"))


def test_policy_allows_one_script_and_no_connection(page: Page) -> None:
    (policy,) = (
        a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    script = next(text for attributes, text in page.scripts if not attributes)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}';" in policy
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    assert "connect-src" not in policy
    assert "http:" not in policy


@pytest.mark.parametrize("which", ["page", "hostile"])
def test_page_asks_for_nothing(which: str, request: pytest.FixtureRequest) -> None:
    parsed: Page = request.getfixturevalue(which)
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & {
        t for t, _ in parsed.tags
    }
    assert not parsed.attribute("src")
    assert not [
        name for _, attributes in parsed.tags for name in attributes if name.startswith("on")
    ]
    assert all(link.startswith(("#", "https://")) for link in parsed.attribute("href"))


def test_hostile_text_adds_no_element(page: Page, hostile: Page) -> None:
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in page.tags]
    assert HOSTILE.replace("\u202e", "\\u202e") in hostile.text


def test_figures_are_drawn_in_the_page_with_title_and_description(page: Page) -> None:
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) >= 8
    ids = set(page.attribute("id"))
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert set(drawing["aria-labelledby"].split()) <= ids
        assert int(drawing["width"]) > 100
    assert "Precision-recall curves, one line a run and emotion." in page.text


def test_a_small_heat_map_is_drawn_for_phones_too() -> None:
    for rows, columns, told in ((2, 3, 12), (2, 12, 48), (7, 10, 140), (12, 12, 144), (21, 21, 0)):
        values = tuple((0.5,) * columns for _ in range(rows))
        names = tuple(f"label {n}" for n in range(21))
        table = Table("t", "", (Column("a", "a"),), ())
        block = Heatmap("h", "Heat", "alt", names[:rows], names[:columns], values, table)
        text = render_block(block, "html")
        assert len(re.findall('width="720"', text)) == 1
        assert len(re.findall('width="350"', text)) == (rows < 21)
        assert len(re.findall('class="m [iz]">0.50<', text)) == told


def test_links_with_other_schemes_are_text() -> None:
    rows = (
        (Cell("bad", link="javascript:alert(1)"),),
        (Cell("good", link='https://a.example/?q="><b>'),),
    )
    parsed = Page(render_block(Table("t", "T", (Column("a", "A"),), rows), "html"))
    links = [link for link in parsed.attribute("href") if not link.startswith("#")]
    assert links == ['https://a.example/?q="><b>']
    assert "b" not in {tag for tag, _ in parsed.tags}


def test_every_table_and_the_summary_are_in_the_page(page: Page) -> None:
    report = example_report(3)
    assert sum(tag == "table" for tag, _ in page.tags) == 11
    for words in ("leads with a macro F1", "never predicts 3 of 28", "5,427", report.command):
        assert words in page.text
    assert report.signature in page.text
    shown = page.text.count("false negative")
    assert shown == 40  # rows of the browse table are all there


def test_structure_for_assistive_technology(page: Page) -> None:
    tags = [tag for tag, _ in page.tags]
    assert tags.count("h1") == tags.count("main") == tags.count("nav") == tags.count("footer") == 1
    assert tags.count("caption") == tags.count("table")
    scopes = {attributes.get("scope") for tag, attributes in page.tags if tag == "th"}
    assert scopes == {"col", "row", "rowgroup"}
    ids = page.attribute("id")
    assert len(ids) == len(set(ids))
    targets = {link[1:] for link in page.attribute("href") if link.startswith("#")}
    assert targets <= set(ids)
    levels = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_rows_have_anchors(page: Page) -> None:
    assert {"per-class-joy", "per-class-grief", "leaderboard-roberta-large-20260301-100500"} <= set(
        page.attribute("id")
    )


def test_marks_are_said_in_words(page: Page) -> None:
    labels = {a["aria-label"] for t, a in page.tags if t == "span" and a.get("role") == "img"}
    assert {"best", "better"} <= labels


def test_many_different_notes_stay_at_their_cells() -> None:
    rows = tuple((Cell(i, note=f"note {i}"),) for i in range(20))
    table = Table("t", "T", (Column("a", "A", "integer"),), rows)
    few = Page(render_block(Table("t", "T", table.columns, rows[:3]), "html"))
    many = Page(render_block(table, "html"))
    assert "a note 0" in " ".join(few.text.split())
    assert {f"note {i}" for i in range(20)} <= set(many.attribute("title"))


def test_twenty_runs_stay_small() -> None:
    assert len(render(example_report(20, errors=560), "html").encode()) < 1_300_000


def test_double_ids_are_told_apart() -> None:
    table = Table("t", "T", (Column("a", "A"),), (("x",), ("x",)))
    ids = Page(render_block(table, "html")).attribute("id")
    assert {"t-x", "t-x-2"} <= set(ids)


def test_a_page_of_many_runs_has_the_featured_ones_and_says_so() -> None:
    """Columns of 3 of 40 runs, 100 of 400 rows; JSON has everything."""
    names = tuple(f"R{number} m" for number in range(1, 41))
    table = Table(
        "by-label",
        "By label",
        (Column("label", "label"), *(Column(n, n, "number", run=i) for i, n in enumerate(names))),
        (("joy", *(i / 100 for i in range(40))),),
    )
    rows = tuple((f"row {i}", i) for i in range(400))
    columns = (Column("name", "name"), Column("n", "n", "integer"))
    groups = (("first", 60), ("second", 300), ("third", 40))
    tall = Table("tall", "Tall", columns, rows, row_groups=groups)
    whole = replace(tall, id="browsed", row_groups=(), browse=True)
    section = Section("many", "Many", (table, tall, whole))
    report = replace(
        example_report(), sections=(section,), palette_names=names, featured=frozenset({0, 7, 39})
    )
    few, cut, browsed = page_sized(report).sections[0].blocks
    assert isinstance(few, Table)
    assert few.rows == (("joy", 0.0, 0.07, 0.39),)
    assert isinstance(cut, Table)
    assert (len(cut.rows), cut.row_groups, cut.collapsed) == (
        100,
        (("first", 60), ("second", 40)),
        True,
    )
    assert browsed == whole
    page = Page(render(report, "html"))
    assert "The best run of each of 3 recipes; JSON and CSV have all." in page.text
    assert "The first 100 of 400 rows; JSON and CSV have all." in page.text
    data = json.loads(render(report, "json"))["sections"][0]["blocks"]
    assert (len(data[0]["columns"]), len(data[1]["rows"])) == (41, 400)
    assert page_sized(replace(report, featured=frozenset())).sections[0].blocks[0] == table


def test_titles_of_columns_cannot_leave_the_style_of_their_table() -> None:
    hostile = 'a\'; --x:url(y)\\" onload="z</style><b>'
    columns = (Column("a", hostile), *(Column(name, name, "number") for name in "bcde"))
    text = render_block(Table("t", "T", columns, (("x", 1, 2, 3, 4),)), "html")
    (style,) = re.findall(r'<table class="[^"]*" style="([^"]*)"', text)
    told = html.unescape(style)
    strings = re.findall(r"--t(\d):'((?:[^'\\]|\\.)*)'(?:;|$)", told)
    assert [number for number, _ in strings] == ["1", "2", "3", "4", "5"]
    assert re.sub(r"\\(.)", r"\1", strings[0][1]) == hostile


def test_printed_pages_carry_the_title_as_a_plain_string() -> None:
    report = replace(example_report(2), title='My } "x" </style><b> report')
    text = render(report, "html")
    assert '@top-left { content: "My x style b report";' in text
    assert "<b> report" not in text
