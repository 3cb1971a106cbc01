from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from goemo_report.comparison import compare
from goemo_report.formats.json_text import jsonable, timestamp, to_json
from goemo_report.formats.table import to_csv
from goemo_report.formats.text import escape_workflow_commands, visible
from goemo_report.report.data import report_data
from goemo_report.report.tables import (
    history_table,
    run_document,
    run_tables,
    runs_csv,
    runs_document,
    runs_table,
    show_document,
    summary_tables,
)
from goemo_report.sources.conditions import Key
from goemo_report.sources.model import ArtifactRef, RunRecord
from tests.synthetic import CREATED, run_result

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner),
    max_leaves=10,
)


def run(**changes: Any) -> RunRecord:
    fields: dict[str, Any] = {
        "id": "abc",
        "name": "bert-20241210-143022",
        "entity": None,
        "project": "p",
        "url": None,
        "state": "finished",
        "tags": ("final", "bert"),
        "created_at": datetime(2024, 12, 10, 14, 30, 22, tzinfo=UTC),
        "config": {"model_name": "bert"},
        "summary": {"test/f1_macro": 0.25, "test/auc": float("nan")},
        "origin": "here",
    }
    return RunRecord(**{**fields, **changes})


@settings(max_examples=50)
@given(ANYTHING)
def test_every_logged_value_becomes_strict_json(value: Any) -> None:
    text = to_json({"value": value})
    read = json.loads(text, parse_constant=lambda name: pytest.fail(f"bare {name}"))
    assert read == {"value": jsonable(value)}
    assert visible(text, lines=True) == text


def test_values_that_json_lacks_become_wandbs_strings() -> None:
    value = {"a": [float("nan"), float("inf"), -float("inf")], "b": np.float32(0.5), 3: {1}}
    assert jsonable(value) == {"a": ["NaN", "Infinity", "-Infinity"], "b": 0.5, "3": [1]}


def test_the_shape_of_a_run() -> None:
    document = run_document(run())
    assert list(document) == [
        *("id", "name", "entity", "project", "url", "state", "created_at", "tags"),
        *("notes", "description", "group", "job_type", "sweep", "config", "summary"),
    ]
    assert document["created_at"] == "2024-12-10T14:30:22Z"
    assert json.loads(to_json(document))["summary"]["test/auc"] == "NaN"
    assert list(runs_document([run()])) == ["schema_version", "runs"]


def test_passwords_and_keys_are_hidden_wherever_runs_are_shown() -> None:
    secrets = {"api_key": "k-9", "db": {"password": "hunter2"}, "hub_token": "abcdefghij"}
    address = {"url": "postgres://me:hunter2@host/db"}
    shown = replace(run(), config=secrets | address | {"pad_token": "[PAD]"}, summary=secrets)
    keys = [Key.of(f"config.{key}") for key in (*secrets, "url")]
    artifact = ArtifactRef("m", "m", "model", None, "", 0, None, "m", metadata=secrets)
    same_name = replace(shown, id="other", config={"api_key": "k-9 too"})
    table, columns = runs_table([shown, same_name]), runs_table([shown], keys)
    every = [
        *(to_json(show_document(shown, (), [(artifact, ())])), to_json(runs_document([shown]))),
        *(runs_csv([shown]), runs_csv([shown], keys)),
        repr((table, columns, run_tables(shown, (), [(artifact, ())]))),
    ]
    for text in every:
        assert not any(secret in text for secret in ("k-9", "hunter2", "abcdefghij"))
        assert "[hidden]" in text
    assert "[PAD]" in every[0]


def test_times_are_written_in_utc() -> None:
    at = datetime(2024, 12, 10, 15, 0, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(at) == "2024-12-10T14:00:00Z"
    assert timestamp(at.replace(tzinfo=None)) == "2024-12-10T15:00:00Z"
    assert timestamp(None) is None


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2)))
@example([["", "\n"]])
def test_csv_gives_every_text_back(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(to_csv([["a", "b"], *rows]), newline="")))
    formula = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
    guarded = [[escape_workflow_commands(v.replace("\x00", "")) for v in row] for row in rows]
    written = [["'" + v if v.startswith(formula) else v for v in row] for row in guarded]
    assert read[1:] == [[v if v != "'-Infinity" else "-Infinity" for v in row] for row in written]


def test_csv_holds_no_command_to_github_actions() -> None:
    hostile = run(id="::error::a", config={"b": "x\n  ::set-output name=c::d", "e": ["##[group]"]})
    text = runs_csv([hostile])
    assert not [line for line in text.splitlines() if line.lstrip().startswith("::")]
    assert "##[" not in text
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["id"], row["config.e"]) == ("'::error::a", """["#'#[group]"]""")
    assert row["config.b"] == "x\n'  ::set-output name=c::d"


def test_runs_csv_has_a_column_for_every_key_of_any_run() -> None:
    other = run(id="x", config={"nested": {"a": [1]}}, summary={}, tags=(), name="=1+1")
    rows = list(csv.DictReader(io.StringIO(runs_csv([run(), other]))))
    assert rows[0]["config.model_name"] == "bert"
    assert rows[0]["tags"] == "final,bert"
    assert rows[1]["config.nested"] == '{"a": [1]}'
    assert rows[1]["summary.test/auc"] == ""
    assert rows[1]["name"] == "'=1+1"


def test_headline_metrics_are_found_in_both_dialects() -> None:
    table = runs_table([run(), run(summary={"test/macro_f1": 0.5, "test/micro_f1": "n/a"})])
    column = [c.key for c in table.columns].index("test/macro_f1")
    assert [row[column] for row in table.rows] == [0.25, 0.5]


def test_metrics_defined_with_a_summary_are_numbers_everywhere() -> None:
    f1 = {f"test/f1_{label}": {"best": 0.25, "min": 0} for label in ("joy", "fear")}
    counts = {f"test/support_{label}": {"last": 3} for label in ("joy", "fear")}
    made = run(summary={"test/macro_f1": {"max": 0.5}} | f1 | counts)
    assert runs_table([made]).rows[0][6:7] == (0.5,)
    assert runs_csv([made]).splitlines()[1].endswith("0.5,0.25,0.25,3,3")
    overall, per_class = summary_tables(made.summary)
    assert overall.rows == (("test/macro_f1", "0.5 (max)"),)
    assert sorted(map(str, per_class.rows)) == [
        f"('{label}', 0.25, None, None, 3.0)" for label in ("fear", "joy")
    ]


def test_the_history_table_shows_epochs_and_says_what_it_leaves_out() -> None:
    history = (
        {"_step": 1, "epoch": 1, "train/loss": 0.5, "custom": 1},
        {"_step": 2, "epoch": 2, "train/loss": float("nan")},
        {"_step": 3, "test/auc": 0.9},
    )
    table = history_table(history)
    assert [column.key for column in table.columns] == ["epoch", "train/loss"]
    assert len(table.rows) == 2
    assert table.caption.startswith("2 epochs")
    assert "all 3 steps" in table.caption


def test_a_run_is_the_same_in_every_document() -> None:
    found = run_result()
    record = replace(found.run, summary={"loss": float("nan")}, tags=("final", "a"))
    comparison = compare([replace(found, run=record)])
    data = report_data(comparison, created_at=CREATED, command="", statistics=False)
    (one,) = json.loads(to_json(data))["runs"]
    shown = json.loads(to_json(run_document(record)))
    assert {key: one[key] for key in shown} == shown
    assert (shown["summary"], shown["created_at"][-1]) == ({"loss": "NaN"}, "Z")
