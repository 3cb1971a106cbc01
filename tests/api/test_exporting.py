"""Parquet tables of runs, read back by DuckDB and pandas as others would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import goemo_report as gr
from goemo_report import errors
from goemo_report.analysis.run_choice import best_logged
from goemo_report.api.runs import Runs
from goemo_report.cli import goemo_report
from goemo_report.errors import DataError, NotFoundError, SourceError
from goemo_report.sources.model import ArtifactRef, History, RunRecord
from tests.memory_source import MemorySource
from tests.offline_runs import OfflineRun, write_prediction_file
from tests.synthetic import run_result


def export(*words: object, code: int = 0) -> Result:
    done = CliRunner().invoke(goemo_report, ["export", *map(str, words)])
    assert done.exit_code == code, done.output
    return done


def queried(text: str) -> pd.DataFrame:
    found = duckdb.sql(text)
    assert found is not None
    frame: pd.DataFrame = found.df()
    return frame


def test_tables_hold_what_compare_says(offline_root: Path, tmp_path: Path) -> None:
    target = tmp_path / "runs.parquet"
    done = export("--tag", "final", "--wandb-dir", offline_root, "-o", target)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "runs-differences.parquet", "runs-labels.parquet", "runs.parquet"
    ]  # fmt: skip
    assert len(done.stdout.splitlines()) == 3
    compared = gr.compare(gr.runs(tag="final", wandb_dir=offline_root))
    board = compared.leaderboard.set_index("id")
    table = queried(f"select * from '{target}'").set_index("id")
    assert set(table.index) == set(board.index)
    for run_id, row in board.iterrows():
        held = table.loc[run_id, ["macro_f1", "macro_f1_low", "macro_f1_high"]]
        assert list(held) == pytest.approx(list(row[["value", "low", "high"]]))
    runs = gr.runs(tag="final", wandb_dir=offline_root)
    assert dict(table["config.learning_rate"]) == {
        run.id: run.config["learning_rate"] for run in runs
    }

    labels = pd.read_parquet(tmp_path / "runs-labels.parquet")
    per_label = compared.per_label
    assert len(labels) == 4 * 28
    for metric in ("f1", "auc"):
        wanted = per_label[per_label["metric"] == metric].set_index(["run", "emotion"])["value"]
        held = labels.set_index(["run", "emotion"])[metric]
        assert held.to_dict() == pytest.approx(wanted.to_dict(), nan_ok=True)

    joined = queried(
        f"select d.run, d.difference, d.p_adjusted, a.macro_f1 - b.macro_f1 as plain "
        f"from '{tmp_path}/runs-differences.parquet' d join '{target}' a on a.id = d.run_id "
        f"join '{target}' b on b.id = d.baseline_id where metric = 'macro_f1' and emotion is null"
    )
    own = compared.differences.query("metric == 'macro_f1'").dropna(subset=["p"]).set_index("run")
    assert len(joined) == 3
    assert list(joined["difference"]) == pytest.approx(list(joined["plain"]))
    assert dict(zip(joined["run"], joined["p_adjusted"], strict=True)) == pytest.approx(
        own["p"].to_dict()
    )


def test_runs_beyond_the_top_have_values_alone(offline_root: Path, tmp_path: Path) -> None:
    target = tmp_path / "runs.parquet"
    done = export("--wandb-dir", offline_root, "--top", "2", "-o", target)
    assert "of 2 of 4 runs, those with the best logged val/auc" in done.stderr
    table = pd.read_parquet(target)
    assert table["macro_f1"].notna().all()
    assert table["macro_f1_low"].notna().sum() == 2


class _Unasked(MemorySource):
    """A source whose histories are not asked for; artifacts of the run `broken` cannot be read."""

    def histories(self, runs: Sequence[RunRecord]) -> Mapping[str, History]:
        pytest.fail("no history is needed")

    def artifacts(self, runs: Sequence[RunRecord]) -> Mapping[str, tuple[ArtifactRef, ...]]:
        if self.faults(runs):
            raise SourceError("damaged")
        return super().artifacts(runs)

    def faults(self, runs: Sequence[RunRecord]) -> Mapping[str, str]:
        return {run.id: "damaged" for run in runs if run.id == "broken"}


def test_the_top_are_of_those_with_predictions(tmp_path: Path) -> None:
    run = OfflineRun(texts=60)
    file = write_prediction_file(tmp_path / "test_predictions.csv", run, "test")
    source = _Unasked()
    for place, name in enumerate(("best", "second", "broken", "third", "fourth")):
        logged = {"val/macro_f1": 0.9 - place / 10}
        record = replace(run_result(run).run, id=name, name=name, summary=logged, tags=(),
                         config={"hub_token": "hf_abcdefgh12345"})  # fmt: skip
        kept = ArtifactRef(name, f"{run.model}-test-predictions-{name}", "dataset", "v0", "d", 1,
                           None, name)  # fmt: skip
        has = name in {"third", "fourth"}
        source.add(record, *[(kept, {"test_predictions.csv": file})] * has)
    target = tmp_path / "out.parquet"
    done = Runs(tuple(source.runs), source).export(target, top=1)
    table = pd.read_parquet(target).set_index("name")
    assert list(table.index) == [one.name for one in source.runs]
    assert list(table.index[table["macro_f1"].notna()]) == ["third", "fourth"]
    assert list(table.index[table["macro_f1_low"].notna()]) == ["third"]
    assert set(table["config.hub_token"]) == {"[hidden]"}
    said = " ".join(done.notes)
    assert "1 of 5 runs, those with the best logged val/macro_f1" in said
    assert "broken: damaged" in said
    with pytest.raises(NotFoundError, match="no run can be used"):
        Runs(tuple(source.runs[:2]), source).export(tmp_path / "none.parquet")
    with pytest.raises(SourceError, match="damaged"):  # all of several: the source is at fault
        Runs((source.runs[2],) * 2, source).export(tmp_path / "none.parquet")
    (tmp_path / "taken-labels.parquet").mkdir()
    with pytest.raises(DataError, match=r"taken-labels\.parquet is a directory"):
        Runs(tuple(source.runs), source).export(tmp_path / "taken.parquet")
    assert not [*tmp_path.glob("none*"), *tmp_path.glob(".*")]


def test_compare_says_which_runs_it_left_out(offline_root: Path, tmp_path: Path) -> None:
    line = ["compare", "--wandb-dir", str(offline_root), "--top", "2", "--limit", "3",
            "--resamples", "100", "--format", "md", "-o", "-"]  # fmt: skip
    done = CliRunner().invoke(goemo_report, line)
    assert done.exit_code == 0, done.output
    said = "statistics are of 2 of 3 runs, those with the best logged val/auc"
    assert said in done.stderr
    assert said in done.stdout  # the report itself says so
    assert "the newest 3 of the runs that match; there may be more" in done.stderr


def test_the_best_are_chosen_on_validation_and_the_baseline_stays() -> None:
    record = run_result().run
    values = [{"val/macro_f1": 0.1}, {"eval_f1_macro": 0.5}, {}, {"val/macro_f1": float("nan")},
              {"val/macro_f1": 0.4, "test/macro_f1": 0.9}]  # fmt: skip
    runs = [replace(record, id=f"r{at}", summary=one, tags=()) for at, one in enumerate(values)]
    kept, note = best_logged(runs, 2)
    assert [run.id for run in kept] == ["r1", "r4"]
    assert "2 of 5 runs" in note
    runs[2] = replace(runs[2], tags=("baseline",))
    assert [run.id for run in best_logged(runs, 2)[0]] == ["r1", "r2", "r4"]
    assert best_logged(runs, 5) == (tuple(runs), "")
    bare = [replace(run, summary={}, tags=()) for run in runs]
    assert [run.id for run in best_logged(bare, 2)[0]] == ["r3", "r4"]


def test_files_and_other_names_are_exported_as_they_are_compared(tmp_path: Path) -> None:
    run = OfflineRun(texts=60)
    for split in ("test", "val"):
        write_prediction_file(tmp_path / f"{split}.csv", run, split)
    target = tmp_path / "files.parquet"
    line = (f"mine={tmp_path / 'test.csv'}", "--val", f"mine={tmp_path / 'val.csv'}", "-o", target)
    export(*line, "--split", "val", "--map-to", "sentiment", "--top", "1")
    (row,) = pd.read_parquet(target).to_dict("records")
    assert (row["name"], row["texts"]) == ("mine", 60)
    labels = pd.read_parquet(tmp_path / "files-labels.parquet")["emotion"]
    assert set(labels) == {"positive", "negative", "ambiguous", "neutral"}
    assert "only files" in export(*line, "--predictions", "x", code=2).stderr


def test_wrong_use_is_one_line(
    offline_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ("--wandb-dir", offline_root)
    target = tmp_path / "runs.parquet"
    export("--tag", "final", *where, code=2)  # ONNX of several runs
    assert "not by --map-to" in export("x", "--map-to", "ekman", *where, code=2).stderr
    export("--format", "onnx", "-o", target, *where, code=2)
    export("--format", "parquet", "-o", tmp_path / "runs.csv", *where, code=2)
    export("--int8", "-o", target, *where, code=2)
    missing = export("-o", tmp_path / "none" / "runs.parquet", *where, code=1)
    assert "there is no directory" in missing.stderr
    monkeypatch.setattr(errors, "find_spec", lambda name: None)
    lacking = export("-o", target, *where, code=1)
    (line,) = lacking.stderr.splitlines()
    assert "pip install 'goemo[tables]'" in line
    assert list(tmp_path.iterdir()) == []
