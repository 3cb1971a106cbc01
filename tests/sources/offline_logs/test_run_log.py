"""Records of run logs, against W&B's own inspector and its own schema."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from goemo_report.errors import SourceError
from goemo_report.sources.offline_logs.log_format import (
    FIELDS,
    DamagedLogError,
    History,
    Record,
    read_log,
)
from goemo_report.sources.offline_logs.run_log import history_rows, mapping, read_run_log
from tests.sources.clients import newest_client
from tests.sources.log_writer import (
    exit_record,
    frame,
    history_record,
    new_record,
    run_record,
    write_run,
)

WANDB = str(Path(sys.executable).with_name("wandb"))


def inspect(log: Path, home: Path) -> list[dict[str, Any]]:
    """What `wandb leet inspect --json` says of a log, one value a record."""
    done = subprocess.run(
        [WANDB, "leet", "inspect", "--json", str(log)],
        env=os.environ | {"HOME": str(home), "WANDB_ERROR_REPORTING": "false"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def as_inspected(record: Any) -> dict[str, Any]:
    """One of our records in the inspector's spelling: the parts that we read."""
    kind = record.WhichOneof("kind")
    value = getattr(record, kind)
    if kind == "history":
        history = History.FromString(value)
        return {"item": _items(history.item), "step": _step(history.step.num)}
    if kind in ("summary", "config"):
        update, remove = _items(value.update), [{"key": item.key} for item in value.remove]
        return _said(update=update, remove=remove)
    if kind == "run":
        return _said(
            run_id=value.run_id,
            entity=value.entity,
            project=value.project,
            display_name=value.display_name,
            run_group=value.run_group,
            job_type=value.job_type,
            notes=value.notes,
            tags=list(value.tags),
            config={"update": _items(value.config.update)},
        )
    if kind == "files":
        return {"files": [{"path": file.path} for file in value.files]}
    if kind == "exit":
        return {"exit_code": value.exit_code}
    assert kind == "artifact"
    return _said(
        type=value.type,
        name=value.name,
        digest=value.digest,
        description=value.description,
        metadata=value.metadata,
        aliases=list(value.aliases),
        manifest=_said(
            contents=[
                _said(
                    path=entry.path,
                    digest=entry.digest,
                    ref=entry.ref,
                    size=str(entry.size) if entry.size else "",
                    local_path=entry.local_path,
                )
                for entry in value.manifest.contents
            ],
            manifest_file_path=value.manifest.manifest_file_path,
        ),
    )


def _said(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", 0, [], {})}


def _step(number: int) -> dict[str, int]:
    return {"num": number} if number else {}


def _items(items: Any) -> dict[str, Any]:
    values = {}
    for item in items:
        value = json.loads(item.value_json)
        if isinstance(value, float) and not math.isfinite(value):
            value = {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")
        values[".".join(item.nested_key or [item.key])] = value
    return values


def _only(inspected: Any, ours: Any) -> Any:
    """The inspector's value, less the keys of messages that we do not read."""
    if isinstance(inspected, dict) and isinstance(ours, dict):
        return {key: _only(value, ours.get(key)) for key, value in inspected.items() if key in ours}
    if isinstance(inspected, list) and isinstance(ours, list) and len(inspected) == len(ours):
        return [_only(one, other) for one, other in zip(inspected, ours, strict=True)]
    return inspected


READ_IN_FULL = ("history", "summary", "config")


@newest_client
@pytest.mark.parametrize(
    ("root", "pattern"),
    [
        ("offline_root", "*-distilbertbases1/run-*.wandb"),
        ("mixed_root", "*-killed/run-*.wandb"),
        ("odd_root", "*-odd/run-*.wandb"),
    ],
)
def test_records_are_those_that_the_inspector_shows(
    root: str, pattern: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    log = next(request.getfixturevalue(root).glob(f"wandb/{pattern}"))
    inspected = inspect(log, tmp_path)
    records = [Record.FromString(p) for p in read_log(log.read_bytes(), "log").values()]
    assert len(records) == len(inspected)
    for record, shown in zip(records, inspected, strict=True):
        kind = record.WhichOneof("kind")
        if kind is None:
            assert shown["type"] not in FIELDS["Record"]
            continue
        assert kind == shown["type"]
        ours, theirs = as_inspected(record), shown[kind]
        assert ours == (theirs if kind in READ_IN_FULL else _only(theirs, ours))


@newest_client
def test_the_schema_is_that_of_wandb() -> None:
    from wandb.proto import wandb_internal_pb2 as pb

    theirs = {"Item": ("SummaryItem", "ConfigItem"), "Timestamp": ()}
    as_bytes_or_enum = {("Record", "history"), ("HistoryItem", "none")}
    for message, fields in FIELDS.items():
        for name in theirs.get(message, (message,)):
            declared = pb.DESCRIPTOR.message_types_by_name[name].fields_by_name
            for field, (number, spelled) in fields.items():
                assert declared[field].number == number, (name, field)
                assert declared[field].is_repeated == spelled.startswith("*"), (name, field)
                if (message, field) in as_bytes_or_enum:
                    continue
                kind = spelled.lstrip("*|")
                if kind in FIELDS:
                    assert declared[field].type == declared[field].TYPE_MESSAGE, (name, field)
                else:
                    wanted = getattr(declared[field], f"TYPE_{kind.upper()}")
                    assert declared[field].type == wanted, (name, field)


def test_reading_logs_does_not_import_wandb() -> None:
    code = (
        "import sys; from goemo_report.sources.offline_logs.source import LogSource; "
        "assert 'wandb' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


class TestValues:
    def test_later_changes_win_and_removals_remove(self) -> None:
        changes = {
            ("a",): "1",
            ("d",): '{"x": 1, "y": 2}',
            ("d", "x"): "3",
            ("e", "f"): "4",
            ("gone",): None,
            ("d", "y"): None,
            ("not", "there"): None,
        }
        assert mapping(changes, "") == {"a": 1, "d": {"x": 3}, "e": {"f": 4}}

    def test_a_value_in_the_way_of_a_nested_key_gives_way(self) -> None:
        assert mapping({("a",): "1", ("a", "b"): "2"}, "") == {"a": {"b": 2}}

    @pytest.mark.parametrize("value", ["nope", "1,2", "", "{", "1]", "[" * 100_000])
    def test_what_is_no_json_is_named(self, value: str) -> None:
        with pytest.raises(SourceError, match=r"summary of x: the value of 'k\.l' is no JSON"):
            mapping({("fine",): "1", ("k", "l"): value}, "summary of x")

    @newest_client
    def test_typed_history_values(self, tmp_path: Path) -> None:
        record = history_record(4)
        for name, value in {
            "boolean": True,
            "integer": -3,
            "number": math.inf,
            "text": 'say "hi"',
            "json": "[1]",
        }.items():
            setattr(record.history.item.add(key=name), name, value)
        record.history.item.add(key="none", none=0)
        log = read_run_log(write_run(tmp_path, "typed", [record]), "log")
        assert history_rows(log) == [
            {
                "boolean": True,
                "integer": -3,
                "number": math.inf,
                "text": 'say "hi"',
                "json": [1],
                "none": None,
                "_step": 4,
            }
        ]

    def test_rows_without_a_step_are_counted(self, tmp_path: Path) -> None:
        records = [history_record(None, a="1"), history_record(None, a="2")]
        log = read_run_log(write_run(tmp_path, "r", records), "log")
        assert [row["_step"] for row in history_rows(log)] == [0, 1]

    def test_a_removed_config_key_is_gone(self, tmp_path: Path) -> None:
        run = run_record("r")
        run.run.config.update.add(key="kept", value_json="1")
        run.run.config.update.add(key="dropped", value_json="2")
        removal = new_record()
        removal.config.remove.add(key="dropped")
        log = read_run_log(write_run(tmp_path, "r", [run, removal, exit_record()]), "log")
        assert mapping(log.config, "") == {"kept": 1}


def test_a_record_that_is_not_wandbs_is_damage(tmp_path: Path) -> None:
    log = tmp_path / "run-x.wandb"
    log.write_bytes(frame([run_record("x").SerializeToString(), b"\xff\xff\xff"]))
    with pytest.raises(DamagedLogError, match="the record is none of W&B's"):
        read_run_log(log, "run-x.wandb")


def test_a_log_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"gone\.wandb cannot be read: No such file"):
        read_run_log(tmp_path / "run-gone.wandb", "gone.wandb")
