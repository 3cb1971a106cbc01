"""What a RUN argument names."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from goemo_report.errors import NotFoundError
from goemo_report.sources import files, offline_logs
from goemo_report.sources.conditions import Key
from goemo_report.sources.model import RunRecord
from goemo_report.sources.offline_logs.folders import on_disk
from goemo_report.sources.references import choose, parse_reference
from goemo_report.sources.resolve import lacking


def run(run_id: str, name: str, *, project: str = "p", entity: str | None = None) -> RunRecord:
    return RunRecord(
        id=run_id,
        name=name,
        entity=entity,
        project=project,
        url=None,
        state="finished",
        tags=(),
        created_at=datetime(2024, 12, 10, 14, 30, tzinfo=UTC),
        config={},
        summary={},
        origin="",
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc123", ("abc123", None, None, None)),
        (" abc123\n", ("abc123", None, None, None)),
        ("roberta-large-20241210-143022", ("roberta-large-20241210-143022", None, None, None)),
        ("proj/abc", ("abc", "proj", None, None)),
        ("team/proj/abc", ("abc", "proj", "team", None)),
        ("team/proj/runs/abc", ("abc", "proj", "team", None)),
        ("/team/proj/runs/abc", ("abc", "proj", "team", None)),
        ("https://wandb.ai/team/proj/runs/abc", ("abc", "proj", "team", "wandb.ai")),
        ("https://wandb.ai/team/proj/runs/abc/", ("abc", "proj", "team", "wandb.ai")),
        ("https://wandb.ai/team/proj/runs/abc/workspace", ("abc", "proj", "team", "wandb.ai")),
        ("https://wandb.ai/team/proj/runs/abc/overview", ("abc", "proj", "team", "wandb.ai")),
        ("https://wandb.ai/team/proj/runs/abc?nw=u#x", ("abc", "proj", "team", "wandb.ai")),
        ("HTTP://127.0.0.1:8080/t/p/runs/a", ("a", "p", "t", "127.0.0.1:8080")),
        ("https://user:key@wb.example.org/t/p/runs/a", ("a", "p", "t", "wb.example.org")),
        ("https://wandb.ai/t/my%20project/runs/a", ("a", "my project", "t", "wandb.ai")),
    ],
)
def test_forms(text: str, expected: tuple[str | None, ...]) -> None:
    found = parse_reference(text)
    assert (found.name, found.project, found.entity, found.host) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "a/b/c/d/e",
        "a//b",
        "https://wandb.ai/",
        "https://wandb.ai/team/project",
        "https://wandb.ai/team/project/reports/x--1",
        "https:///team/project/runs/x",
        "https://[broken/t/p/runs/a",
    ],
)
def test_what_names_no_run_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(NotFoundError) as raised:
        parse_reference(text)
    assert raised.value.remedy


@pytest.mark.parametrize("text", ["./nowhere", "/nowhere/run-x.wandb", "~nobody-has-this-name/x"])
def test_a_path_that_leads_to_nothing_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(NotFoundError) as raised:
        on_disk(text)
    assert raised.value.remedy


def test_a_results_directory_names_its_run(tmp_path: Path) -> None:
    results = tmp_path / "tiny-bert-20260101-120000-abc"
    results.mkdir()
    assert on_disk(str(results)) == (results, results.name)  # not yet one
    (results / "run.json").write_text('{"id": "abc"}')
    assert on_disk(str(results)) == (None, "abc")  # W&B has it
    record = {"id": "abc", "settings": {"wandb_mode": "disabled"}, "config": {"dropout": 0.3}}
    (results / "run.json").write_text(json.dumps(record))
    assert on_disk(str(results)) == (results, results.name)  # nobody else has it
    (results / "test_predictions.csv").touch()
    assert files.claim(str(results)) is None  # more than its predictions
    source, asked = offline_logs.claim(str(results)) or (None, "")
    assert source is not None
    assert source.find_run(asked).config == {"model_name": results.name, "dropout": 0.3}
    (results / "run.json").write_text('{"id": "abc"}')
    for started in ("20260101_120000", "20260102_090000"):  # resumed
        log = tmp_path / "wandb" / f"offline-run-{started}-abc" / "run-abc.wandb"
        log.parent.mkdir(parents=True)
        log.touch()
    assert on_disk(str(results)) == (log, "abc")
    (results / "run.json").write_text("[]")
    assert on_disk(str(results)) == (results, results.name)


def test_a_run_directory_and_its_log(small_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = small_log.parent
    for path in (small_log, directory):
        assert on_disk(str(path)) == (path, "distilbertbases1")
    monkeypatch.chdir(directory.parent)
    assert on_disk(directory.name) == (Path(directory.name), "distilbertbases1")
    latest = on_disk("latest-run")
    assert latest is not None
    assert latest.path == Path("latest-run")


def test_a_folder_of_the_same_name_hides_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reports").mkdir()
    monkeypatch.chdir(tmp_path)
    assert on_disk("reports") is None
    assert on_disk("./reports") == (Path("reports"), "reports")


@pytest.mark.parametrize(
    "text", ["abc", "team/proj/abc", "/team/proj/abc", "https://wandb.ai/t/p/runs/a", "nul\0l", ""]
)
def test_what_is_no_path_is_left_to_the_source(text: str) -> None:
    assert on_disk(text) is None


def test_a_very_long_or_odd_text_is_a_name() -> None:
    assert parse_reference("x" * 5000).name == "x" * 5000
    assert parse_reference("nul\0l").name == "nul\0l"


RUNS = (
    run("abc", "first"),
    run("def", "twice"),
    run("ghi", "twice"),
    run("first", "another"),
    run("same", "in p", project="p"),
    run("same", "in q", project="q", entity="team"),
    run("slash", "sweep/lr=1e-5"),
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("abc", "first"),
        ("first", "another"),  # an id goes before a name
        ("p/abc", "first"),
        ("anybody/p/abc", "first"),  # never uploaded: its entity is not known
        ("p/same", "in p"),
        ("team/q/same", "in q"),
        ("https://wandb.ai/team/q/runs/same", "in q"),
        ("in q", "in q"),
        ("sweep/lr=1e-5", "sweep/lr=1e-5"),
    ],
)
def test_the_one_run(text: str, name: str) -> None:
    assert choose(parse_reference(text), RUNS, "here").name == name


@pytest.mark.parametrize(
    ("text", "ids"), [("twice", ["p/def", "p/ghi"]), ("same", ["p/same", "q/same"])]
)
def test_several_runs_are_listed(text: str, ids: list[str]) -> None:
    with pytest.raises(NotFoundError, match="fits 2 runs in here") as raised:
        choose(parse_reference(text), RUNS, "here")
    assert all(each in raised.value.what for each in ids)
    assert "id" in raised.value.remedy


def test_another_entity_does_not_fit() -> None:
    with pytest.raises(NotFoundError):
        choose(parse_reference("others/q/same"), RUNS, "here")


def test_an_unknown_run_gives_the_closest() -> None:
    with pytest.raises(NotFoundError, match=r"no run 'twce' in here\. Did you mean twice \(p/def"):
        choose(parse_reference("twce"), RUNS, "here")


def test_a_part_of_a_name_is_close_too() -> None:
    with pytest.raises(NotFoundError, match=r"Did you mean sweep/lr=1e-5"):
        choose(parse_reference("1e-5"), RUNS, "here")


def test_nothing_close_points_to_the_list() -> None:
    with pytest.raises(NotFoundError, match=r"`goemo-report runs` lists the 7 runs"):
        choose(parse_reference("zzzzzzzz"), RUNS, "here")
    with pytest.raises(NotFoundError, match=r"no runs at all"):
        choose(parse_reference("abc"), (), "here")


def test_a_key_that_no_run_has_gets_those_like_it() -> None:
    config = {"learning_rate": 3e-5, "loss": "bce", "list": 1, "d": 2}
    logged = [replace(run("a", "a"), config=config)]
    assert lacking(Key.of("config.lr"), logged) == (
        "no run has config.lr: did you mean config.learning_rate?"
    )
    assert "config.learning_rate?" in lacking(Key.of("config.learnin_rate"), logged)
    assert lacking(Key.of("config.zzz"), logged) == "no run has config.zzz"
