"""Runs from offline run logs: listing, finding, joining, and what is left out."""

from __future__ import annotations

import gzip
import json
import math
import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goemo_report.contract import PROJECT, SYSTEM_KEYS, evaluation_metrics
from goemo_report.errors import NotFoundError, SourceError
from goemo_report.labels import EMOTIONS
from goemo_report.settings import SourceChoice
from goemo_report.sources.base import RunSource, readable
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.model import Listing, RunRecord
from goemo_report.sources.offline_logs.log_format import DamagedLogError
from goemo_report.sources.offline_logs.run_log import history_rows, read_run_log
from goemo_report.sources.offline_logs.source import LogSource
from goemo_report.sources.resolve import find_one, open_source
from tests.offline_runs import STANDARD_RUNS, run_config
from tests.sources.log_writer import (
    exit_record,
    history_record,
    new_record,
    run_record,
    write_run,
)
from tests.sources.odd_runs import HOSTILE_NAME, HOSTILE_TAG

EVERYTHING = RunQuery()


def listed(root: Path) -> dict[str, RunRecord]:
    listing = LogSource(root).list_runs(EVERYTHING)
    assert not listing.skipped
    return {run.id: run for run in listing.runs}


def only_run(root: Path) -> RunRecord:
    (run,) = listed(root).values()
    return run


class TestListing:
    def test_every_run_with_all_that_it_logged(self, offline_root: Path) -> None:
        source: RunSource = open_source(SourceChoice(kind="offline", where=str(offline_root)))
        runs = source.list_runs(EVERYTHING).runs
        assert [run.id for run in runs] == [run.id for run in STANDARD_RUNS]
        for made, run in zip(STANDARD_RUNS, runs, strict=True):
            system = {key.name for key in SYSTEM_KEYS}
            assert {k: v for k, v in run.config.items() if k not in system} == run_config(made)
            assert system <= run.config.keys()
            assert {key.name for key in evaluation_metrics(EMOTIONS)} <= run.summary.keys()
            assert run.state == "finished"
            assert run.tags == (made.model, "training", "final")
            assert (run.project, run.entity, run.url) == (PROJECT, None, None)
            assert run.name.startswith(f"{made.model}-20241210-14")
            assert run.origin.startswith("wandb/offline-run-")
            assert run.step_count == 3
            assert run.created_at is not None
            assert run.created_at.tzinfo is UTC
            assert run.path == f"{PROJECT}/{run.id}"

    def test_filters(self, offline_root: Path) -> None:
        source = LogSource(offline_root)
        found = source.list_runs(RunQuery.of(tag=["final"], model=["roberta-large"])).runs
        assert [run.id for run in found] == ["robertalarges1", "robertalarges2"]
        assert source.list_runs(RunQuery.of(tag=["absent"])) == Listing(())

    def test_states(self, mixed_root: Path) -> None:
        states = {run.id: run.state for run in listed(mixed_root).values()}
        assert states == {
            "otherdialect": "finished",
            "noneutral": "finished",
            "failed": "failed",
            "killed": "unfinished",
        }

    def test_a_killed_run_keeps_what_was_written(self, mixed_root: Path) -> None:
        source = LogSource(mixed_root)
        run = source.find_run("killed")
        history = source.histories([run])["killed"]
        assert 1 < len(history) < 12
        assert [row["epoch"] for row in history] == list(range(1, len(history) + 1))
        assert run.summary["epoch"] == len(history)

    def test_a_run_that_was_preempted_is_called_so(self, tmp_path: Path) -> None:
        preempting = new_record()
        preempting.preempting.SetInParent()
        for run_id, code in (("moved", 1), ("spared", 0)):
            records = [run_record(run_id, project="p"), preempting, exit_record(code)]
            write_run(tmp_path, run_id, records)
        listing = LogSource(tmp_path).list_runs(EVERYTHING)
        assert {run.id: run.state for run in listing.runs} == {
            "moved": "preempted",
            "spared": "finished",
        }

    def test_odd_values_survive(self, odd_root: Path) -> None:
        run = LogSource(odd_root).find_run("odd")
        assert run.name == HOSTILE_NAME
        assert run.tags == ("first", HOSTILE_TAG, "added-later")
        assert (run.entity, run.project, run.group, run.job_type, run.notes) == (
            "some-team",
            "odd-project",
            "g",
            "training",
            "two\nlines",
        )
        assert run.sweep == "sweep1"
        assert run.config == {
            "model_name": "odd",
            "nested": {"a": 1, "b": {"c": [1, None]}},
            "lr": 3e-5,
        }
        assert run.summary["best"] == 5
        assert run.summary["dict"] == {"q": 1}
        assert run.summary["up"] == math.inf
        assert run.summary["test/macro_f1"] == {"max": 1}
        assert "gone" not in run.summary

    def test_odd_history_survives(self, odd_root: Path) -> None:
        source = LogSource(odd_root)
        history = source.histories([source.find_run("odd")])["odd"]
        assert [row["_step"] for row in history] == [1, 2, 5, 9]
        assert [row["inner.deep.x"] for row in history[:3]] == [1, 2, 5]
        assert math.isnan(history[1]["loss"])
        assert history[0]["text"] == "naïve \U0001f600"
        assert history[3]["histogram"]["_type"] == "histogram"

    @pytest.mark.parametrize("form", ["root", "wandb", "run", "log"])
    def test_the_directory_may_be_any_of_the_levels(self, small_log: Path, form: str) -> None:
        root = {
            "root": small_log.parent.parent.parent,
            "wandb": small_log.parent.parent,
            "run": small_log.parent,
            "log": small_log,
        }[form]
        assert "distilbertbases1" in listed(root)
        # the staged files lie beside the `wandb` folder, whatever was given
        source = LogSource(root)
        (refs,) = source.artifacts([source.find_run("distilbertbases1")]).values()
        (files,) = source.manifests(refs[:1])
        assert all(isinstance(f, Path) for f in source.fetch([(refs[0], file) for file in files]))

    def test_where_logs_are_looked_for(self, small_log: Path, tmp_path: Path) -> None:
        for number, place in enumerate(
            (
                "a/b/wandb/offline-run-1",
                "run-1",
                ".wandb/run-2",
                "env/site-packages/run-3",
                ".git/r",
            )
        ):
            (tmp_path / place).mkdir(parents=True)
            write = tmp_path / place / f"run-id{number}.wandb"
            write.write_bytes(small_log.read_bytes())
        (tmp_path / "a/link").symlink_to(tmp_path / "a/b")
        origin = only_run(tmp_path).origin
        assert origin.split(", ") == [".wandb/run-2", "a/b/wandb/offline-run-1", "run-1"]

    def test_an_empty_directory_has_no_runs(self, tmp_path: Path) -> None:
        assert LogSource(tmp_path).list_runs(EVERYTHING) == Listing(())

    def test_a_missing_directory_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"there is no directory .*gone"):
            LogSource(tmp_path / "gone").list_runs(EVERYTHING)

    def test_a_file_that_is_no_log_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "x.csv").touch()
        with pytest.raises(SourceError, match="is no run log"):
            LogSource(tmp_path / "x.csv").list_runs(EVERYTHING)

    def test_a_project_limits_the_listing(self, odd_root: Path) -> None:
        assert LogSource(odd_root, project="none").list_runs(EVERYTHING).runs == ()
        assert len(LogSource(odd_root, project="odd-project").list_runs(EVERYTHING).runs) == 3

    def test_nothing_is_written(self, odd_root: Path, mixed_root: Path) -> None:
        for root in (odd_root, mixed_root):
            before = _tree(root)
            source = LogSource(root)
            runs = source.list_runs(EVERYTHING).runs
            source.histories(runs)
            refs = [ref for found in source.artifacts(runs).values() for ref in found]
            manifests = source.manifests(refs)
            wanted = [(r, f) for r, files in zip(refs, manifests, strict=True) for f in files]
            assert len(source.fetch(wanted)) == len(wanted) > 0
            assert _tree(root) == before


def _tree(root: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.lstat().st_size, p.lstat().st_mtime_ns) for p in sorted(root.rglob("*"))}


class TestUnfinished:
    @settings(max_examples=150)
    @given(st.data())
    def test_a_log_cut_anywhere_is_read_to_its_last_whole_record(
        self, small_log: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        whole = small_log.read_bytes()
        cut = data.draw(st.integers(0, len(whole) - 1))
        path = tmp_path_factory.getbasetemp() / "run-distilbertbases1.wandb"
        path.write_bytes(whole[:cut])
        log = read_run_log(path, "log")
        assert log.id == "distilbertbases1"
        assert log.exit_code is None
        full = history_rows(read_run_log(small_log, "log"))
        assert history_rows(log) == full[: len(log.history)]

    def test_a_log_that_has_only_begun(self, tmp_path: Path) -> None:
        write_run(tmp_path, "begun", [], at="20240229_120000")
        run = only_run(tmp_path)
        assert (run.id, run.name, run.state, run.config) == ("begun", "begun", "unfinished", {})
        assert run.created_at == datetime(2024, 2, 29, 12).astimezone(UTC)

    def test_a_run_killed_at_once_has_the_name_that_its_trainer_noted(self, tmp_path: Path) -> None:
        for number in (1, 2):
            write_run(tmp_path, f"killed{number}", [])
        results = tmp_path / "bert-20240101-000000-killed1"
        results.mkdir()
        noted = {
            "id": "killed1",
            "name": "bert-20240101-000000",
            "settings": {"project": "p", "tag": ["mine"]},
            "config": {"model_name": "bert", "phase": "training", "status": "final", "x": 1},
        }
        (results / "run.json").write_text(json.dumps(noted), "utf-8")
        run = listed(tmp_path)["killed1"]
        assert (run.name, run.project, run.state) == ("bert-20240101-000000", "p", "unfinished")
        assert run.tags == ("bert", "training", "final", "mine")
        assert run.model_name == "bert"
        assert LogSource(tmp_path).find_run("bert-20240101-000000").id == "killed1"
        assert listed(tmp_path)["killed2"].name == "killed2"
        for broken in ("", "[]", "{", '{"id": "killed1", "settings": []}'):
            (results / "run.json").write_text(broken, "utf-8")
            assert listed(tmp_path)["killed1"].name == "killed1"

    def test_what_a_log_says_goes_before_the_trainers_note(self, tmp_path: Path) -> None:
        write_run(tmp_path, "r", [run_record("r", display_name="logged", project="p")])
        results = tmp_path / "bert-r"
        results.mkdir()
        (results / "run.json").write_text('{"id": "r", "name": "noted", "config": {"x": 1}}')
        assert (only_run(tmp_path).name, only_run(tmp_path).config) == ("logged", {})

    def test_a_log_set_aside_keeps_its_start(self, tmp_path: Path) -> None:
        old = write_run(tmp_path, "again", [], at="20240229_120000").parent
        old.rename(old.with_name(f"superseded-{old.name}"))
        write_run(tmp_path, "again", [exit_record()], at="20240229_130000")
        assert only_run(tmp_path).created_at == datetime(2024, 2, 29, 12).astimezone(UTC)


class TestDamage:
    @pytest.fixture
    def damaged(self, offline_root: Path, tmp_path: Path) -> Path:
        """The standard runs, one log of which has a wrong byte in its middle."""
        shutil.copytree(offline_root, tmp_path / "copy", symlinks=True)
        log = next((tmp_path / "copy").glob("wandb/offline-run-*-robertalarges1/*.wandb"))
        content = bytearray(log.read_bytes())
        content[len(content) // 2] ^= 0x55
        log.write_bytes(content)
        return tmp_path / "copy"

    def test_the_run_is_left_out_and_the_others_go_on(self, damaged: Path) -> None:
        listing = LogSource(damaged).list_runs(EVERYTHING)
        assert [run.id for run in listing.runs] == [
            "distilbertbases1",
            "distilbertbases2",
            "robertalarges2",
        ]
        (skipped,) = listing.skipped
        assert skipped.name == "robertalarges1"
        assert "run-robertalarges1.wandb is damaged at byte " in skipped.reason

    def test_a_log_beside_run_directories_hides_none(self, tmp_path: Path) -> None:
        log = write_run(tmp_path, "inside", [run_record("inside", project="p"), exit_record()])
        (log.parent / "files").mkdir()
        shutil.copy(log, log.parent / "files" / "run-media.wandb")
        shutil.copy(log, tmp_path / "wandb" / "run-inside.wandb")
        (tmp_path / "run-stray.wandb").symlink_to("/dev/null")
        listing = LogSource(tmp_path).list_runs(EVERYTHING)
        assert [run.id for run in listing.runs] == ["inside"]
        assert [skipped.name for skipped in listing.skipped] == ["stray"]

    def test_asking_for_it_is_an_error(self, damaged: Path) -> None:
        log = next(damaged.glob("wandb/*-robertalarges1"))
        for reference in ("robertalarges1", log.name, str(log)):
            with pytest.raises(DamagedLogError, match="is damaged at byte "):
                LogSource(damaged).find_run(reference)

    def test_one_damaged_log_leaves_out_a_resumed_run(self, odd_root: Path, tmp_path: Path) -> None:
        shutil.copytree(odd_root, tmp_path / "copy", symlinks=True)
        log = next((tmp_path / "copy/3").glob("wandb/offline-run-*/*.wandb"))
        log.write_bytes(log.read_bytes().replace(b"only_3", b"0nly_3"))
        listing = LogSource(tmp_path / "copy").list_runs(EVERYTHING)
        assert sorted(run.id for run in listing.runs) == ["many", "odd"]
        assert [skipped.name for skipped in listing.skipped] == ["resumed run"]

    def test_a_value_that_is_no_json_leaves_the_run_out(self, tmp_path: Path) -> None:
        bad = run_record("bad", project="p", display_name="bad one")
        bad.run.config.update.add(key="lr", value_json="1e")
        write_run(tmp_path, "bad", [bad, exit_record()])
        write_run(tmp_path, "good", [run_record("good", project="p"), exit_record()])
        listing = LogSource(tmp_path).list_runs(EVERYTHING)
        assert [run.id for run in listing.runs] == ["good"]
        assert "the value of 'lr' is no JSON" in listing.skipped[0].reason

    def test_whatever_is_wrong_with_a_run_is_the_reason_why_it_is_left_out(
        self, tmp_path: Path
    ) -> None:
        def made(run_id: str, value: str = "1", *more: Any, path: Sequence[str] = ("x",)) -> Any:
            record = run_record(run_id, project="p", display_name=f"name {run_id}")
            record.run.config.update.add(nested_key=path, value_json=value)
            write_run(tmp_path, run_id, [record, *more, exit_record()])
            return record

        late = run_record("late", project="p")
        late.run.start_time.seconds = 1 << 60
        write_run(tmp_path, "late", [late])
        made("deep", "[" * 100_000 + "]" * 100_000)
        made("deeper", "[" * 101 + "]" * 101)
        made("keys", path=["k"] * 3000)
        made("history", "1", history_record(1, a="[" * 5000 + "]" * 5000))
        good = {"deepest": "[" * 100 + "]" * 100, "good": "1"}
        for run_id, value in good.items():
            made(run_id, value)
        for name, line in (("size", '{"path": "a", "digest": "b", "size": 1e999}'), ("list", "[]")):
            artifact = new_record()
            artifact.artifact.name = "a"
            artifact.artifact.manifest.manifest_file_path = str(tmp_path / name)
            (tmp_path / name).write_bytes(gzip.compress(line.encode()))
            made(name, "1", artifact)
        for name in ("fifo", "looped"):
            folder = tmp_path / f"wandb/run-20240101_000000-{name}"
            folder.mkdir()
            os.mkfifo(folder / "run-fifo.wandb") if name == "fifo" else None
        looped = folder / "run-looped.wandb"
        looped.symlink_to(looped)

        source = LogSource(tmp_path)
        listing = source.list_runs(EVERYTHING)
        reasons = {item.name.removeprefix("name "): item.reason for item in listing.skipped}
        later = readable(source, listing)
        assert {run.id for run in later.runs} == good.keys()
        reasons |= {item.name.removeprefix("name "): item.reason for item in later.skipped}
        wanted = {
            "late": "start_time 1152921504606846976 is out of range",
            "deep": "'x' is no JSON of at most 100 levels",
            "deeper": "'x' is no JSON of at most 100 levels",
            "keys": "no JSON of at most 100 levels",
            "history": "'a' is no JSON of at most 100 levels",
            "size": "the artifact manifest size cannot be read: cannot convert float infinity",
            "list": "the artifact manifest list cannot be read",
            "fifo": "run-fifo.wandb is no regular file",
            "looped": "symbolic links",
        }
        assert reasons.keys() == wanted.keys()
        assert all(why in reasons[name] for name, why in wanted.items())
        with pytest.raises(SourceError, match="no JSON"):
            readable(source, Listing((source.find_run("history"),)))

    def test_a_long_name_is_a_name(self, tmp_path: Path) -> None:
        write_run(tmp_path, "r", [run_record("r", display_name="é" * 120), exit_record()])
        assert only_run(tmp_path).name == "é" * 120

    def test_what_is_no_file_is_not_opened(self, tmp_path: Path) -> None:
        (tmp_path / "x-killed").mkdir()
        os.mkfifo(tmp_path / "x-killed/run.json")
        write_run(tmp_path, "killed", [])
        assert only_run(tmp_path).name == "killed"


class TestResumed:
    def test_logs_of_one_id_are_one_run(self, odd_root: Path) -> None:
        source = LogSource(odd_root)
        run = source.find_run("resumed run")
        assert run.state == "failed"  # the third go
        assert run.tags == ("final",)  # which the later goes do not mention
        assert run.config == {"model_name": "m", "go": 6}
        assert all(run.summary[f"went_{go}"] for go in (1, 3, 6))
        assert len(run.origin.split(", ")) == 3
        history = source.histories([run])[run.id]
        assert [row["_step"] for row in history] == [1, 2, 3, 4, 5, 6]
        assert [row["go"] for row in history] == [1, 1, 3, 3, 3, 6]
        assert (history[2]["only_1"], history[2]["only_3"]) == (3, 3)
        assert run.step_count == 6

    def test_order_is_that_of_the_start_not_of_the_folders(self, tmp_path: Path) -> None:
        for name, start, code in (("b", 100, 0), ("a", 200, 1)):
            record = run_record("r", project="p", display_name=name)
            record.run.start_time.FromSeconds(start)
            history = history_record(1, **{"value": str(start), name: "1"})
            write_run(tmp_path / name, "r", [record, history, exit_record(code)])
        source = LogSource(tmp_path)
        run = source.find_run("r")
        assert (run.name, run.state) == ("a", "failed")
        assert run.created_at == datetime.fromtimestamp(100, UTC)
        assert source.histories([run])["r"] == ({"value": 200, "b": 1, "a": 1, "_step": 1},)

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_a_limit_takes_the_runs_that_began_last(self, tmp_path: Path, limit: int) -> None:
        """Not those that were resumed last, nor those whose id another project began before."""
        for run_id, project, *starts in (
            ("old", "p", 100, 900), ("new", "p", 500), ("both", "p", 50), ("both", "q", 600),
            ("first", "p", 10, 950),
        ):  # fmt: skip
            for start in starts:
                record = run_record(run_id, project=project)
                record.run.start_time.FromSeconds(start)
                write_run(tmp_path / f"{start}", run_id, [record, exit_record()])
        query = RunQuery(limit=limit)
        found = query.arranged(LogSource(tmp_path).list_runs(query)).runs
        assert [run.id for run in found] == ["old", "new", "both"][-limit:]

    def test_a_go_that_has_only_begun_makes_the_run_unfinished(self, tmp_path: Path) -> None:
        write_run(tmp_path, "r", [run_record("r", project="p", display_name="n"), exit_record()])
        write_run(tmp_path / "again", "r", [], at="20300101_000000")
        run = only_run(tmp_path)
        assert (run.name, run.project, run.state) == ("n", "p", "unfinished")


class TestFinding:
    @pytest.mark.parametrize(
        "reference",
        [
            "robertalarges2",
            "roberta-large-20241210-143324",
            f"{PROJECT}/robertalarges2",
            f"somebody/{PROJECT}/robertalarges2",
            f"https://wandb.ai/somebody/{PROJECT}/runs/robertalarges2/overview?x=1",
        ],
    )
    def test_by_id_name_path_and_address(self, offline_root: Path, reference: str) -> None:
        assert LogSource(offline_root).find_run(reference).id == "robertalarges2"

    def test_by_directory(self, offline_root: Path, small_log: Path) -> None:
        directory = small_log.parent
        source = LogSource(offline_root)
        for reference in (
            str(directory),
            str(small_log),
            directory.name,
            f"wandb/{directory.name}",
        ):
            assert source.find_run(reference).id == "distilbertbases1"

    def test_a_directory_elsewhere_serves_its_history_and_files(
        self, offline_root: Path, mixed_root: Path
    ) -> None:
        choice = SourceChoice(kind="offline", where=str(offline_root))
        source, run = find_one(choice, str(next(mixed_root.glob("wandb/*-noneutral"))))
        assert len(source.histories([run])["noneutral"]) == 3
        (refs,) = source.artifacts([run]).values()
        (files,) = source.manifests(refs[:1])
        assert isinstance(source.fetch([(refs[0], files[0])])[0], Path)

    def test_a_directory_of_several_runs_lists_them(self, offline_root: Path) -> None:
        with pytest.raises(NotFoundError, match=r"fits 4 runs.*distilbertbases1"):
            LogSource(offline_root).find_run(str(offline_root))

    def test_a_directory_without_a_log(self, offline_root: Path, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no run log below"):
            LogSource(offline_root).find_run(str(tmp_path))

    def test_unknown_and_several(self, odd_root: Path, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match=r"Did you mean resumed run"):
            LogSource(odd_root).find_run("resumd run")
        for run_id in ("one", "two"):
            write_run(tmp_path, run_id, [run_record(run_id, project="p", display_name="same")])
        with pytest.raises(NotFoundError, match=r"fits 2 runs.*p/one.*p/two"):
            LogSource(tmp_path).find_run("same")

    def test_one_id_in_two_projects(self, tmp_path: Path) -> None:
        for project, at in (("old", 100), ("new", 200)):
            record = run_record("same", project=project, display_name=f"in {project}")
            record.run.start_time.FromSeconds(at)
            write_run(tmp_path / project, "same", [record, history_record(0, at=str(at))])
        listing = LogSource(tmp_path).list_runs(EVERYTHING)
        assert [run.name for run in listing.runs] == ["in new"]
        assert [skipped.name for skipped in listing.skipped] == ["in old"]
        assert "project=" in listing.skipped[0].reason
        source = LogSource(tmp_path)
        old = source.find_run("old/same")
        assert source.histories([old])["same"][0]["at"] == 100
        limited = LogSource(tmp_path, project="old")
        assert limited.find_run("same").name == "in old"
        assert not limited.list_runs(EVERYTHING).skipped

    def test_a_run_of_another_source_is_not_known(
        self, offline_root: Path, mixed_root: Path
    ) -> None:
        foreign = LogSource(mixed_root).find_run("failed")
        with pytest.raises(NotFoundError, match="no run failed"):
            LogSource(offline_root).histories([foreign])
