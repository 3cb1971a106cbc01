"""The report as a whole: which sections there are and what each must say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from goemo_report.comparison import Comparison, compare
from goemo_report.errors import SettingsError
from goemo_report.formats.json_text import to_json
from goemo_report.report.document import Cell, Heatmap, Plot, Report, Table
from goemo_report.report.render import render
from goemo_report.report.sections import build_report, multilabel, section_ids
from goemo_report.results import LoadedRuns, RunResult
from goemo_report.sources.model import SkippedRun
from tests.offline_runs import STANDARD_RUNS, OfflineRun
from tests.report.sections.reading import column
from tests.report.sections.reading import table as table_of
from tests.synthetic import run_result

NOW = datetime(2025, 1, 2, 3, 4, tzinfo=UTC)
FOUR = tuple(run_result(run, number=number) for number, run in enumerate(STANDARD_RUNS))


def report(comparison: Comparison, *only: str) -> Report:
    return build_report(
        comparison, created_at=NOW, command="goemo-report compare", only=only or None
    )


@pytest.fixture(scope="module")
def full() -> Report:
    return report(compare(LoadedRuns(tuple(FOUR), (SkippedRun("lost-run", "its log is damaged"),))))


def table(found: Report, identifier: str) -> Table:
    return table_of(found.sections, identifier)


def test_a_section_that_fails_says_so_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multilabel, "word_counts", lambda texts: 1 / 0)
    found = report(compare(FOUR[:2]))
    assert found.faults == (
        "the section multilabel cannot be made: unexpected ZeroDivisionError: division by zero",
    )
    (section,) = [one for one in found.sections if one.id == "multilabel"]
    assert section.chapter == "Appendix"
    for form in ("html", "md", "json"):
        assert "cannot be made: unexpected" in render(found, form)
    with pytest.raises(ZeroDivisionError):
        report(compare(FOUR[:2]), "multilabel")


def test_sections_have_the_ids_of_their_modules_and_come_in_order(full: Report) -> None:
    built = [section.id for section in full.sections]
    known = list(section_ids())
    assert built == [name for name in known if name in built]
    assert built[0] == "summary"
    assert built[-1] == "artifacts"
    assert list(dict.fromkeys(section.chapter for section in full.sections)) == [
        "Answer",
        "Where it differs",
        "Thresholds and calibration",
        "Errors",
        "Can I trust it?",
        "Appendix",
    ]
    assert set(built) >= {"runs", "overall", "emotions", "differences", "truth", "training"}


def test_only_limits_the_report_and_refuses_what_is_not_there() -> None:
    comparison = compare(FOUR)
    assert [section.id for section in report(comparison, "runs", "emotions").sections] == [
        "emotions",
        "runs",
    ]
    with pytest.raises(SettingsError, match="there is no section 'nothing'"):
        report(comparison, "nothing")


def test_ids_of_blocks_are_unique(full: Report) -> None:
    found = [
        block.id
        for section in full.sections
        for block in section.blocks
        if isinstance(block, Table | Plot | Heatmap)
    ]
    found += [section.id for section in full.sections]
    found += [
        block.table.id
        for section in full.sections
        for block in section.blocks
        if isinstance(block, Plot | Heatmap)
    ]
    assert len(found) == len(set(found))


def numbers(value: object, *path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, held in items:
            yield from numbers(held, *path, str(key))
    elif isinstance(value, float):
        yield "/".join(path), value


def test_no_number_in_json_is_rounded(full: Report) -> None:
    """What has few decimals was logged so, or is a ratio of small counts."""
    logged = {value for run in FOUR for part in (run.history, run.run.config, run.logged)
              for _, value in numbers(json.loads(to_json(part)))}  # fmt: skip
    logged |= {(first + second) / 2 for first in logged for second in logged}  # means of seeds
    found = list(numbers(json.loads(render(full, "json"))))
    rounded = [
        (path, value)
        for path, value in found
        if value == round(value, 6)
        and value not in logged
        and float(Fraction(value).limit_denominator(999)) != value
    ]
    assert len(found) > 15_000
    assert not rounded


def test_the_run_table_has_every_run_and_what_was_left_out(full: Report) -> None:
    runs = table(full, "compared-runs")
    assert column(runs, "run") == [run.run.name for run in FOUR]
    assert column(runs, "seed") == [1, 2, 1, 2]
    assert column(table(full, "skipped-runs"), "reason") == ["its log is damaged"]


def test_emotions_show_the_recomputed_f1_of_every_run(full: Report) -> None:
    found = table(full, "emotions-f1")
    for run in FOUR:
        assert column(found, run.id) == run.splits["test"].scores.counts.metric("f1").tolist()


def test_logged_figures_stand_beside_recomputed_ones() -> None:
    wrong = replace(run_result(STANDARD_RUNS[0], logged={"test/macro_f1": 0.9}), history=())
    built = report(compare([wrong]), "truth")
    found = table(built, "truth-figures")
    assert column(found, "logged") == [0.9]
    assert column(found, "recomputed") == [wrong.splits["test"].scores.overall["macro_f1"]]
    assert column(found, "verdict") == ["differs"]


@pytest.mark.parametrize("epochs", [False, True])
def test_thousands_of_steps_make_a_small_report(epochs: bool) -> None:
    def stepping(run: RunResult) -> RunResult:
        rows = [{"_step": s, "train/loss": 1 / (s + 7), "_runtime": s / 7} for s in range(9000)]
        for step in (2999, 5999, 8999) if epochs else ():
            rows[step]["epoch"] = (step + 1) // 3000
        return replace(run, history=tuple(rows))

    runs = [stepping(run_result(OfflineRun(seed=seed), number=seed)) for seed in (1, 2)]
    made = report(compare(runs), "training")
    sizes = {form: len(render(made, form)) for form in ("html", "md", "json")}
    assert sizes["html"] < 150_000
    assert sizes["md"] < 60_000
    assert sizes["json"] < 400_000
    (plot,) = (block for block in made.sections[0].blocks if isinstance(block, Plot))
    assert plot.x.title == ("epoch" if epochs else "step")
    assert all(3 <= len(series.x) <= (3 if epochs else 300) for series in plot.series)
    shown = table(made, "training-epochs" if epochs else "training-steps")
    assert len(shown.rows) == (6 if epochs else 100)
    assert shown.title == ("Every epoch" if epochs else "100 of 18,000 steps")
    assert [len(t.rows) for t in (shown, plot.table)] == [len(shown.rows)] * 2
    history = made.data["runs"][0]["history"]
    assert (len(history), made.data["runs"][0]["history_rows"]) == (300, 9000)
    assert [history[0]["_step"], history[-1]["_step"]] == [0, 8999]


def test_epochs_and_steps_have_tables_of_their_own(full: Report) -> None:
    steps = run_result(OfflineRun(seed=3), number=3)
    steps = replace(
        steps,
        logged={**steps.logged, "best_epoch": 2},
        history=tuple({k: v for k, v in row.items() if k != "epoch"} for row in steps.history),
    )
    made = report(compare([run_result(), steps]), "training")
    assert table(made, "training-epochs").row_groups[0][1] == 3
    shown = table(made, "training-steps")
    assert [Cell.of(row[1]).mark for row in shown.rows] == [None, "best", None]
    assert [column.title for column in shown.columns][:2] == ["key", "step"]


def test_training_curves_show_every_logged_epoch(full: Report) -> None:
    found = table(full, "training-epochs")
    assert column(found, "epoch") == [1, 2, 3] * 4
    assert column(found, "val/loss") == [row["val/loss"] for run in FOUR for row in run.history]


def test_a_run_without_history_is_named() -> None:
    silent = replace(FOUR[0], history=())
    (section,) = report(compare([silent]), "training").sections
    assert "No run logged its epochs" in str(section.blocks)


def test_one_run_alone_makes_a_report() -> None:
    built = report(compare(FOUR[:1]))
    ids = [section.id for section in built.sections]
    assert "differences" not in ids
    assert {"summary", "overall", "emotions"} <= set(ids)


def test_validation_predictions_alone_make_a_report() -> None:
    runs = [run_result(run, splits=("val",)) for run in STANDARD_RUNS[:2]]
    built = report(compare(runs, split="val"))
    assert "val texts" in built.subtitle


def test_runs_without_neutral_and_with_it_make_a_report() -> None:
    less = run_result(OfflineRun(seed=8, exclude_neutral=True), number=8)
    found = table(report(compare([*FOUR, less])), "emotions-f1")
    assert column(found, less.id)[-1] is None


def test_the_data_is_json_and_holds_every_run(full: Report) -> None:
    data = json.loads(json.dumps(full.data, allow_nan=False))
    assert [run["id"] for run in data["runs"]] == [run.id for run in FOUR]
    assert data["baseline"]["id"] == FOUR[0].id
    assert data["skipped"] == [{"name": "lost-run", "reason": "its log is damaged"}]
    split = data["runs"][0]["splits"]["test"]
    assert split["overall"]["macro_f1"] == FOUR[0].splits["test"].scores.overall["macro_f1"]
    assert len(split["per_class"]) == 28
    assert data["runs"][0]["config"]["random_seed"] == 1
    low, high = data["runs"][0]["intervals"]["macro_f1"]
    assert low < split["overall"]["macro_f1"] < high
    assert data["runs"][0]["differences"] is None
    assert data["runs"][2]["differences"]["macro_f1"]["verdict"] == "win"
    assert [item["protocol"] for item in data["runs"][0]["protocols"]] == [
        "fixed",
        "as-logged",
        "global",
        "per-class",
        "oracle",
    ]


def test_the_same_input_makes_the_same_report() -> None:
    assert report(compare(FOUR)) == report(compare(FOUR[::-1]))


def test_the_signature_says_how_the_numbers_were_made(full: Report) -> None:
    assert "split:test|n:120|labels:28" in full.signature
