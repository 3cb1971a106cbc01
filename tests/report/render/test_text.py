import csv
import io
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from goemo_report.formats.json_text import to_json
from goemo_report.formats.table import to_csv
from goemo_report.formats.text import escape_workflow_commands, visible
from goemo_report.report.render.text import (
    anchor,
    github_html,
    html_text,
    latex_text,
    markdown_code,
    markdown_text,
    plotly_text,
    safe_link,
)
from tests.report.render.example import HOSTILE

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


@given(ANY_TEXT)
@example(BIDI)
@example("\ud800\x00\x1b[31m\x85\u2028")
def test_nothing_invisible_is_obeyed(text: str) -> None:
    shown = visible(text)
    assert not set(shown) & set(BIDI)
    assert not re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", shown)
    shown.encode("utf-8")


def test_direction_overrides_are_shown() -> None:
    assert visible("abc\u202egnp.exe") == "abc\\u202egnp.exe"
    assert visible("joy\U000e0041\U000e0100") == "joy\\U000e0041\\U000e0100"
    assert json.loads(to_json("\U000e0041\u202e")) == "\U000e0041\u202e"
    assert to_json("\U000e0041\u202e").isascii()
    assert visible("two\r\nlines\tand a tab") == "two lines and a tab"
    assert visible("a\nb", lines=True) == "a\nb"
    assert visible("\U0001f469\u200d\U0001f680 \u05e9\u05dc\u05d5\u05dd") == (
        "\U0001f469\u200d\U0001f680 \u05e9\u05dc\u05d5\u05dd"
    )  # joined emoji and right-to-left words are themselves


@pytest.mark.parametrize(
    "link", ["https://wandb.ai/a/b/runs/1?x=1#y", "http://localhost:8080/a", "#per-class-joy"]
)
def test_good_links_pass(link: str) -> None:
    assert safe_link(link) == link


@pytest.mark.parametrize(
    "link",
    [
        None,
        "",
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        "\x01javascript:alert(1)",
        " https://a.example",
        "data:text/html,<script>",
        "file:///etc/passwd",
        "//evil.example/x",
        "https:evil",
        "vbscript:x",
        "https://[",
        "runs/1",
    ],
)
def test_other_links_do_not(link: str | None) -> None:
    assert safe_link(link) is None


@given(ANY_TEXT)
@example(HOSTILE)
def test_html_holds_no_markup(text: str) -> None:
    assert not set(html_text(text)) & set("<>\"'")


@given(ANY_TEXT)
@example("<b>&lt;</b>")
def test_figures_hold_no_markup(text: str) -> None:
    shown = plotly_text(text)
    assert not set(shown) & set("<>")
    assert not re.search(r"&(?!amp;|lt;|gt;|#36;)", shown)


def test_long_names_keep_both_ends_in_figures() -> None:
    shown = plotly_text("deberta-v3-large-with-a-very-long-name-20260301-100500-second")
    assert len(shown) == 44
    assert shown.startswith("deberta-v3-large")
    assert shown.endswith("-second")


def _unescaped(text: str) -> str:
    return re.sub(r"\\[\\`*_\[\]~$#+\-=!.)]", "", text)


@given(ANY_TEXT)
@example(HOSTILE)
@example("| a | b |\n<details>@org/team #12 [x](javascript:1) ![i](http://e/x.png) www.a.b ~~x~~")
def test_markdown_holds_no_markup(text: str) -> None:
    shown = markdown_text(text)
    rest = _unescaped(shown)
    assert "\n" not in shown
    assert not set(rest) & set("<>`*_[]|~$")
    assert not re.search(r"&(?!amp;|lt;|gt;|#58;|#46;|#124;)", shown)
    assert "://" not in shown
    assert not re.search(r"@\w", shown)
    assert not re.search(r"#\d", re.sub(r"&#\d+;", "", shown))
    assert not re.match(r"\s*(#{1,6}|[-+]|\d+[.)])(\s|$)|(--|==)[-= ]*$", shown)


@given(ANY_TEXT)
@example("`")
@example("a``b|c`")
def test_code_spans_hold_their_text(text: str) -> None:
    shown = markdown_code(text)
    assert "|" not in shown
    if not shown or "|" in text:
        return
    fence = re.match(r"`+", shown)
    assert fence is not None
    inner = shown[len(fence[0]) : -len(fence[0])]
    assert fence[0] not in re.findall(r"`+", inner)
    assert inner.strip(" ") == visible(text).strip(" ")


@given(ANY_TEXT)
@example("=1+1")
@example('@SUM(A1)"\n,')
@example("+x")
@example("-x")
@example("\uff1dx")
@example("\n=x")
def test_csv_cells_come_back_and_never_start_a_formula(text: str) -> None:
    ((safe, other),) = csv.reader(io.StringIO(to_csv([[text, "next"]]), newline=""))
    assert other == "next"
    assert not safe.startswith(tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")) or safe == "-Infinity"
    held = text.encode("utf-8", "backslashreplace").decode().replace("\x00", "")
    assert safe.removeprefix("'") == escape_workflow_commands(held).removeprefix("'")


COMMANDS = {
    r"\nobreakspace{}",
    r"\textbackslash{}",
    r"\textasciicircum{}",
    r"\textasciitilde{}",
    r"\textless{}",
    r"\textgreater{}",
    r"\textbar{}",
    r"\textquotedbl{}",
    r"\textquotesingle{}",
    r"\textasciigrave{}",
    r"\dots{}",
}


@given(ANY_TEXT)
@example(HOSTILE)
@example("\\input{/etc/passwd} $x_1^2$ 50% #1 & ~ \U0001f602 \u2212 --- []*")
def test_latex_runs_no_command_of_the_text(text: str) -> None:
    shown = latex_text(text)
    for command in COMMANDS:
        shown = shown.replace(command, "")
    rest = re.sub(r"\\[{}$&#%_]", "", shown)  # escaped specials
    rest = re.sub(r"\$(-|\\[a-z]+)\$", "", rest)  # signs that are set in maths
    rest = re.sub(r"\{[\[\]*]\}|-\{\}", "", rest)
    assert not set(rest) & set("\\{}$&#%_^~")


@given(ANY_TEXT)
def test_anchors_need_no_escape(text: str) -> None:
    name = anchor(text)
    assert name
    assert not re.search(r"[\s\"'<>&#%]", name)


def test_html_in_markdown_mentions_nobody_and_refers_to_nothing() -> None:
    assert github_html("@octocat #1 'x' <b>") == "@\u200boctocat #\u200b1 &#39;x&#39; &lt;b&gt;"
