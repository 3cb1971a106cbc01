"""Conditions on runs: the same from a server and from logs, and what is typed wrongly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from goemo_report.errors import SettingsError
from goemo_report.sources.base import RunSource
from goemo_report.sources.conditions import Condition, Order, RunQuery
from goemo_report.sources.offline_logs.source import LogSource
from goemo_report.sources.resolve import find_runs
from goemo_report.sources.wandb_api import queries
from tests.sources.log_writer import exit_record, new_record, run_record, write_run
from tests.sources.online import open_api, point_at
from tests.wandb_server import WandbServer
from tests.wandb_server.seeding import SeedRun

STATES = {"finished": (0, False), "failed": (1, False), "preempted": (1, True)}
RUNS: dict[str, dict[str, Any]] = {
    "a": {
        "config": {"learning_rate": 1e-5, "seed": 1, "model_name": "org/bert-base", "amp": True,
                   "optim": {"name": "adam", "eps": 1e-8}, "step": 2},
        "summary": {"test/macro_f1": 0.4, "loss": "NaN", "auc": {"max": 0.9}},
        "fields": {"display_name": "bert one", "tags": ["final", "x"], "run_group": "g 1",
                   "notes": "first try"},
    },
    "b": {
        "config": {"learning_rate": 2e-5, "seed": "1", "model_name": "bert-base", "amp": False},
        "summary": {"test/macro_f1": 0.5, "loss": "Infinity", "auc": {"max": 0.8}},
        "fields": {"display_name": "bert two", "tags": ["x"], "sweep_id": "sw1", "job_type": "t"},
        "state": "failed",
    },
    "c": {
        "config": {"learning_rate": 3e-5, "seed": 3, "_name_or_path": "hub/roberta",
                   "optim": {"name": "sgd"}, "layers": [1, 2]},
        "summary": {"test/macro_f1": 0.3, "loss": 0.25},
        "fields": {"display_name": "42", "run_group": "42", "sweep_id": "sw2"},
        "state": "preempted",
    },
    "d": {
        "config": {"learning_rate": "fast"},
        "summary": {"auc": 0.85, "val": {"loss": 0.5}},
        "fields": {"display_name": "roberta", "tags": ["final"]},
    },
}  # fmt: skip


def created(number: int) -> datetime:
    return datetime(2024, 12, 10 + number, 14, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunSource]]:
    root = tmp_path_factory.mktemp("both")
    with WandbServer() as server, pytest.MonkeyPatch.context() as patch:
        point_at(patch, server, root / "home")
        for number, (run_id, run) in enumerate(RUNS.items()):
            fields, state = run["fields"], run.get("state", "finished")
            more = {k: v for k, v in fields.items() if k in {"tags", "notes", "job_type"}}
            server.seed(
                [
                    SeedRun(
                        run_id, fields["display_name"], config=run["config"], state=state,
                        summary=run["summary"], group=fields.get("run_group"),
                        created_at=created(number), **more,
                    )
                ]
            )  # fmt: skip
            server.run(run_id).sweep_name = fields.get("sweep_id")
            write_run(root / "logs", run_id, _records(number, run_id, run, state))
        yield {"online": open_api(), "offline": LogSource(root / "logs")}


def _records(number: int, run_id: str, run: dict[str, Any], state: str) -> Iterator[Any]:
    record = run_record(run_id, project="p", **run["fields"])
    record.run.start_time.FromDatetime(created(number))
    for key, value in run["config"].items():
        record.run.config.update.add(key=key, value_json=json.dumps(value))
    yield record
    summary = new_record()
    for key, value in run["summary"].items():
        summary.summary.update.add(key=key, value_json=json.dumps(value))
    yield summary
    code, preempting = STATES[state]
    if preempting:
        signal = new_record()
        signal.preempting.SetInParent()
        yield signal
    yield exit_record(code)


@pytest.mark.parametrize("where", ["online", "offline"])
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("config.learning_rate > 1e-5", "bc"),
        ("config.learning_rate >= 0.00001", "abc"),
        ("config.learning_rate<2e-5", "a"),
        ("config.learning_rate <= 2e-5", "ab"),
        ("config.learning_rate == 2e-5", "b"),
        ("config.learning_rate == fast", "d"),
        ("config.learning_rate != 2e-5", "acd"),
        ("config.learning_rate ~ ^f", "d"),
        ("config.seed == 1", "a"),
        ("config.seed < 2", "a"),
        ("config.seed >= 1", "ac"),
        ("config.seed == '1'", "b"),
        ("config.seed < '2'", "b"),
        ("config.seed in [3, 4]", "c"),
        ("config.seed in 1, 3", "ac"),
        ("config.seed in 1, '1'", "ab"),
        (f"config.seed < 1{'0' * 300}", "ac"),
        ("config.layers == '[1, 2]'", "c"),
        ("config.seed == null", "d"),
        ("config.seed != null", "abc"),
        ("config.amp == true", "a"),
        ("config.amp != True", "bcd"),
        ("config.step == 1", ""),
        ("config.optim.name == adam", "a"),
        ("config.optim.eps < 1e-7", "a"),
        ("config.layers ~ '2'", "c"),
        ("summary.test/macro_f1 >= 0.4", "ab"),
        ('summary."test/macro_f1" < 0.4', "c"),
        ("summary.loss > 0.2", "bc"),
        ("summary.loss == NaN", "a"),
        ("summary.loss == inf", "b"),
        ("summary.auc > 0.82", "ad"),
        ("summary.auc == 0.9", "a"),
        ("summary.val.loss == 0.5", "d"),
        ("created_at >= 2024-12-12", "cd"),
        ("created_at > 2024-12-12", "d"),
        ("created_at <= 2024-12-11", "ab"),
        ("created_at < 2024-12-11", "a"),
        ("created_at == 2024-12-11", "b"),
        ("created_at > 2024-12-11T14:29", "bcd"),
        ("created_at > 2024-12-11T14:30", "cd"),
        ("created_at <= 2024-12-11 14:30Z", "ab"),
        ("created_at == 2024-12-11T16:30+02:00", "b"),
        ("created_at in [2024-12-10T14, 2024-12-11T13]", "a"),
        ("created_at ~ 12-1[12]", "bc"),
        ("tags == final", "ad"),
        ("tags != final", "bc"),
        ("tags in [x, other]", "ab"),
        ("tags ~ ^fin", "ad"),
        ("group == 42", "c"),
        ("group == 'g 1'", "a"),
        ("group == null", "bd"),
        ('group == ""', "bd"),
        ("name ~ bert", "abd"),
        ("name == bert two", "b"),
        ("id in [a, d]", "ad"),
        ("state == preempted", "c"),
        ("state in (failed, preempted)", "bc"),
        ("sweep == sw1", "b"),
        ("job_type == t", "b"),
        ("notes ~ try$", "a"),
        ("model ~ roberta", "cd"),
    ],
)
def test_both_sources_find_the_same_runs(
    sources: dict[str, RunSource], where: str, text: str, ids: str
) -> None:
    found = sources[where].list_runs(RunQuery(where=[Condition.of(text)])).runs
    assert "".join(run.id for run in found) == ids


@pytest.mark.parametrize("where", ["online", "offline"])
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (RunQuery.of(model=["bert-base"]), "ab"),
        (RunQuery.of(model=["org/bert-base"]), "a"),
        (RunQuery.of(model=["roberta"]), "cd"),
        (RunQuery.of(sweep=["sw1", "sw2"]), "bc"),
        (RunQuery.of(group=["42"]), "c"),
        (RunQuery(sort=Order.of("summary.test/macro_f1")), "cabd"),
        (RunQuery(sort=Order.of("-summary.test/macro_f1")), "bacd"),
        (RunQuery(sort=Order.of("-summary.loss")), "bcad"),
        (RunQuery(sort=Order.of("config.learning_rate"), limit=2), "ab"),
        (RunQuery(sort=Order.of("-created_at"), limit=3), "dcb"),
        (RunQuery(limit=2), "cd"),
        (RunQuery(limit=9, where=[Condition.of("tags == x"), Condition.of("state==failed")]), "b"),
    ],
)
def test_order_and_number(
    sources: dict[str, RunSource], where: str, query: RunQuery, ids: str
) -> None:
    assert "".join(run.id for run in find_runs(sources[where], (), query).runs) == ids


@pytest.mark.parametrize("where", ["online", "offline"])
def test_a_limit_alone_reads_no_more_runs_than_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Twelve runs, of which two are wanted: the older nine are neither asked for nor read."""
    ids = [f"r{number:02}" for number in range(12)]
    run: dict[str, Any] = {"fields": {"display_name": "n"}, "config": {}, "summary": {"x": 1}}
    with WandbServer() as server:
        point_at(monkeypatch, server, tmp_path / "home")
        server.seed([SeedRun(i, i, created_at=created(n)) for n, i in enumerate(ids)])
        for number, run_id in enumerate(ids):
            write_run(tmp_path / "logs", run_id, _records(number, run_id, run, "finished"))
        source = open_api() if where == "online" else LogSource(tmp_path / "logs")
        for query in (RunQuery(limit=2), RunQuery(sort=Order.of("-created_at"), limit=2)):
            assert len(source.list_runs(query).runs) <= 4
            found = find_runs(source, (), query).runs
            assert sorted(run.id for run in found) == ["r10", "r11"]
        assert len(source.list_runs(RunQuery()).runs) == 12
        assert source.list_runs(RunQuery(limit=20, where=[Condition.of("id == r00")])).runs


def test_what_a_server_can_do_is_asked_of_it() -> None:
    def sent(text: str) -> Any:
        return queries.run_filters(RunQuery(where=[Condition.of(text)])).get("$and")

    assert sent("config.learning_rate > 1e-5") == [
        {"$or": [{"config.learning_rate.value": {"$gt": 1e-5}},
                 {"config.learning_rate.value": "Infinity"}]}
    ]  # fmt: skip
    assert sent("state in [failed, crashed]") == [
        {"$or": [{"state": "failed"}, {"state": "crashed"}]}
    ]
    assert sent("sweep == s") == [{"sweep": "s"}]
    assert sent("created_at > 2024-12-12") == [{"created_at": {"$gte": "2024-12-12T00:00:00"}}]
    assert sent("created_at < 2024-12-12") is None  # it may have been uploaded later
    assert sent("config.a != 1") is None


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("config.lr = 3", "= is not an operator. Write =="),
        ("config.lr => 3", "=> is not an operator"),
        ("config.lr >< 3", ">< is not an operator"),
        ("config.lr", "there is no operator"),
        ("config.lr >", "no value after >"),
        ("config > 3", "config needs a key"),
        ("learning_rate > 3", "did you mean config.learning_rate?"),
        ("confg.learning_rate > 3", "did you mean config.learning_rate?"),
        ("summry.test/auc > 3", "did you mean summary.test/auc?"),
        ("macro_f1 > 3", "did you mean summary.test/macro_f1?"),
        ("test/macro_f1 > 3", "did you mean summary.test/macro_f1?"),
        ("create_at > 2024-01-01", "did you mean created_at?"),
        ("created_at > soon", "'soon' is no time"),
        ("created_at in [2024-01-01, soon]", "'soon' is no time"),
        ("created_at == 'null'", "'null' is no time"),
        ("name ~ [", "no regular expression"),
        ("name ~= bert", "~= is not an operator. Write ~"),
        ("name =~ bert", "=~ is not an operator. Write ~"),
        ("name ~ a{99999999999}", "no regular expression"),
        ("config.lr > 1e999", "is out of range. Write inf"),
        ("name == 'x", "do not match"),
        ("tags in [a, b", "brackets"),
        ("tags in []", "the list is empty"),
        ("tags == [a, b]", "Use in for a list"),
        ("state > finished", "state has no order"),
        ("config.a > true", "true has no order"),
        ("config.a > 1 and config.b > 2", "its own where="),
        ("config.a == 1 or 2", "or is not an operator"),
    ],
)
def test_a_condition_typed_wrongly_is_shown_with_the_mistake(text: str, mistake: str) -> None:
    with pytest.raises(SettingsError) as error:
        Condition.of(text)
    assert text in str(error.value)
    assert mistake in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("digits", [400, 5000])
@pytest.mark.parametrize("text", ["config.a > {}", "config.a in [1, -{}]", "summary.a == {}"])
def test_numbers_that_no_run_can_have(text: str, digits: int) -> None:
    with pytest.raises(SettingsError, match="is out of range") as error:
        Condition.of(text.format("9" * digits))
    assert len(str(error.value)) < 500


def test_seconds_are_whole() -> None:
    start, end = (Condition.of(f"created_at {sign} 2024-12-10T14:30:05") for sign in (">=", ">"))
    assert start.on_server() == end.on_server() == {"created_at": {"$gte": "2024-12-10T14:30:05"}}


def test_an_order_typed_wrongly() -> None:
    with pytest.raises(SettingsError, match=r"did you mean config\.learning_rate"):
        Order.of("-learning_rate")
