"""Every format from one small report, byte for byte; `GOEMO_UPDATE_GOLDEN=1` writes anew."""

import csv
import io
import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from goemo_report.errors import SettingsError
from goemo_report.report import render as render_package
from goemo_report.report.document import (
    Axis,
    Callout,
    Cell,
    Code,
    Column,
    Heatmap,
    Plot,
    Report,
    Section,
    Series,
    Table,
)
from goemo_report.report.render import FORMATS, render, render_block, render_summary
from goemo_report.report.render.data_files import LONG
from tests.report.render.example import HOSTILE, example_report

GOLDEN = Path(__file__).parent / "golden"
SCHEMA = json.loads(
    (Path(render_package.__file__).parent / "report.schema.json").read_text(encoding="utf-8")
)

TABLE = Table(
    "per-class",
    "F1 of emotions",
    (
        Column("emotion", "Emotion"),
        Column("f1", "F1", "number", help="harmonic mean of precision and recall"),
        Column("delta", "Change", "delta", shade=True),
        Column("support", "Support", "integer"),
    ),
    (
        ("joy", Cell(0.61, 0.55, 0.66, mark="best"), 0.02, 161),
        ("grief", Cell(0.0, 0.0, 0.2, note="never predicted"), Cell(-0.11, mark="bad"), 6),
        (Cell("relief", link="https://wandb.ai/t/p/runs/1"), None, None, 11),
    ),
    caption="Two groups.",
    row_groups=(("positive", 1), ("other", 2)),
)
HEATMAP = Heatmap(
    "heat", "Heat", "F1 by emotion.", ("joy",), ("A", "B"), ((0.61, None),), TABLE, digits=2
)
PLOT = Plot(
    "loss",
    "Loss",
    "Loss falls.",
    Axis("epoch"),
    Axis("loss", low=0.0),
    (Series("A", (1, 2), (0.3, 0.2), low=(0.25, 0.15), high=(0.35, 0.25), colour=0),),
    Table("loss-table", "Loss", (Column("epoch", "Epoch", "integer"),), ((1,), (2,))),
)
SMALL = Report(
    title="A & B compared",
    subtitle="2 runs",
    created_at=datetime(2026, 3, 14, 9, 26, tzinfo=UTC),
    sections=(
        Section(
            "summary",
            "Summary",
            (
                Callout("verdict", "A beats B by more than noise.", ("joy +0.02",)),
                TABLE,
            ),
            lead="In short.",
            method="Recomputed.",
        ),
        Section(
            "rest",
            "The rest",
            (
                Callout("warning", "B never predicts grief."),
                PLOT,
                Code("goemo-report compare A B", "sh"),
            ),
        ),
    ),
    signature="metrics:1|split:test",
    command="goemo-report compare A B",
    palette_names=("A", "B"),
    data={"rows": 5427},
)


def _stable(text: str, form: str) -> str:
    """HTML without style and script: they change more often than what a page says."""
    if form != "html":
        return text
    text = re.sub(r"(?s)<style>.*?</style>", "<style></style>", text)
    text = re.sub(r"(?s)<script>.*?</script>", "<script></script>", text)
    return re.sub(r"sha256-[^']+", "sha256-", text)


@pytest.mark.parametrize("form", [*FORMATS, "summary"])
def test_small_report_is_as_written_down(form: str) -> None:
    text = render_summary(SMALL) if form == "summary" else render(SMALL, form)
    path = GOLDEN / f"small.{form}"
    got = _stable(text, form).encode()
    if os.environ.get("GOEMO_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(got)
    assert got == path.read_bytes()


@pytest.mark.parametrize("form", FORMATS)
def test_same_report_same_bytes(form: str) -> None:
    assert render(example_report(2), form) == render(example_report(2), form)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_can_be_written_as_utf8(form: str) -> None:
    name = f"{HOSTILE} \ud800 \x00 \x1b[31m"
    for text in (render(example_report(2, name=name), form), render_block(TABLE, form)):
        text.encode("utf-8")
        assert "\x1b" not in text or form == "csv"


def test_json_keeps_its_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for report in (SMALL, example_report(3), example_report(1, name=HOSTILE, errors=3)):
        jsonschema.validate(json.loads(render(report, "json")), SCHEMA)


def test_json_schema_refuses_what_is_not_a_report() -> None:
    document = json.loads(render(SMALL, "json"))
    del document["sections"][0]["blocks"][1]["rows"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_json_tables_are_objects_by_key() -> None:
    table = json.loads(render_block(TABLE, "json"))
    assert table["schema_version"] == 2
    assert [column["detailed"] for column in table["columns"]] == [True, True, True, False]
    assert table["rows"][0] == {
        "emotion": {"value": "joy"},
        "f1": {"value": 0.61, "low": 0.55, "high": 0.66, "mark": "best"},
        "delta": {"value": 0.02},
        "support": 161,
    }


def test_json_holds_text_as_it_is() -> None:
    assert json.loads(render(example_report(1, name=HOSTILE), "json"))["runs"] == [HOSTILE]


def test_csv_of_a_table_is_its_values() -> None:
    rows = list(csv.DictReader(io.StringIO(render_block(TABLE, "csv"), newline="")))
    assert rows[0] == {
        "group": "positive",
        "emotion": "joy",
        "f1": "0.61",
        "f1_low": "0.55",
        "f1_high": "0.66",
        "delta": "0.02",
        "support": "161",
    }
    assert rows[2]["f1"] == ""
    assert [row["group"] for row in rows] == ["positive", "other", "other"]


def test_csv_of_a_report_is_one_long_table() -> None:
    report = example_report(2)
    lines = list(csv.reader(io.StringIO(render(report, "csv"), newline="")))
    assert lines[0] == list(LONG)
    assert {len(line) for line in lines} == {len(LONG)}
    rows = [dict(zip(LONG, line, strict=True)) for line in lines[1:]]
    tables = {
        (section.id, block.id): block if isinstance(block, Table) else block.table
        for section in report.sections
        for block in section.blocks
        if isinstance(block, (Table, Plot, Heatmap))
    }
    for (section, table), block in tables.items():
        found = [row for row in rows if (row["section"], row["table"]) == (section, table)]
        assert len(found) == len(block.rows) * len(block.columns)


def test_long_csv_has_the_values_of_the_wide_one() -> None:
    rows = list(csv.DictReader(io.StringIO(render(SMALL, "csv"), newline="")))
    (f1,) = [row for row in rows if row["name"] == "joy" and row["column"] == "f1"]
    assert (f1["value"], f1["low"], f1["high"]) == ("0.61", "0.55", "0.66")
    assert (f1["group"], f1["row"]) == ("positive", "1")


def test_csv_of_a_report_with_one_table_is_that_table() -> None:
    section = Section("one", "One", (Callout("note", "words"), TABLE))
    report = replace(SMALL, sections=(section,))
    assert render(report, "csv") == render_block(TABLE, "csv")


@pytest.mark.parametrize("block", [PLOT, HEATMAP])
@pytest.mark.parametrize("form", ["csv", "md", "latex"])
def test_a_figure_alone_is_its_table(block: Plot | Heatmap, form: str) -> None:
    assert block.table.columns[0].key.lower() in render_block(block, form).lower()


def test_prose_has_no_csv() -> None:
    with pytest.raises(SettingsError, match="tables and figures"):
        render_block(Callout("note", "words"), "csv")


def test_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="html, md, json, csv, latex"):
        render(SMALL, "docx")


def _markdown_tables(text: str) -> list[list[str]]:
    """Lines of each table: those that start with a pipe."""
    tables: list[list[str]] = []
    before = ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                tables.append([])
            tables[-1].append(line)
        before = line
    return tables


@pytest.mark.parametrize("name", [HOSTILE, "a|b", "|", "\\|", "`|`", "\\"])
def test_markdown_tables_keep_their_columns(name: str) -> None:
    tables = _markdown_tables(render(example_report(2, name=name), "md"))
    assert len(tables) > 8
    for table in tables:
        counts = {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table}
        assert len(counts) == 1, table


ALLOWED_TAG = re.compile(r'</?(details|summary|sub|sup)>|<a id="[\w.-]+">|</a>', re.ASCII)


def test_markdown_has_no_html_of_the_data() -> None:
    text = render(example_report(2, name=HOSTILE), "md") + render_summary(
        example_report(2, name=HOSTILE)
    )
    text = re.sub(r"(?s)```.*?```", "", text)
    text = re.sub(r"(`+).*?\1", "", ALLOWED_TAG.sub("", text))
    assert "<" not in text


def test_latex_environments_are_closed() -> None:
    text = render(example_report(3, name=HOSTILE), "latex")
    assert text.count("\\begin{") == text.count("\\end{")
    plain = re.sub(r"\\[{}]", "", text)
    assert plain.count("{") == plain.count("}")
    for rule in ("\\toprule", "\\midrule", "\\bottomrule"):
        assert rule in text


def test_latex_rows_have_the_columns_they_declare() -> None:
    text = render_block(TABLE, "latex")
    assert "\\begin{tabular}{lrrr}" in text
    body = text.split("\\midrule")[1].split("\\bottomrule")[0]
    rows = [line for line in body.splitlines() if "&" in line]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [3, 3, 3]


def test_latex_has_recipes_alone_where_they_say_as_much() -> None:
    columns = (Column("run", "run"), Column("f1", "F1", "percent"))
    rows = (("base, 2 seeds", 0.5), ("seed 1", 0.25), ("seed 2", 0.75))
    table = Table("t", "T", columns, rows, nested=(False, True, True))
    text = render_block(table, "latex")
    assert "base, 2 seeds & 50.0\\nobreakspace{}\\%" in text
    assert "seed 1" not in text
    assert "every run" in text
    untold = replace(table, rows=(("base, 2 seeds", None), *rows[1:]))
    assert "seed 1" in render_block(untold, "latex")


def test_summary_is_short_and_has_the_verdict() -> None:
    text = render_summary(example_report(20))
    assert len(text) < 6000
    assert "[!IMPORTANT]" in text
    assert "8 more rows" in text
