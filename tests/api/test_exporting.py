"""Parquet tables of runs, read back by DuckDB and pandas as others would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import goemo_report as gr
from goemo_report import errors
from goemo_report.api.best import best_logged
from goemo_report.cli import goemo_report
from goemo_report.errors import ArgumentError
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
    assert "statistics are of 2 of 4 runs, those with the best logged val/auc" in done.stderr
    table = pd.read_parquet(target)
    assert table["macro_f1"].notna().all()
    assert table["macro_f1_low"].notna().sum() == 2


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
    values = [{"val/macro_f1": 0.1}, {"val/macro_f1": 0.5}, {}, {"val/macro_f1": float("nan")},
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
    with pytest.raises(ArgumentError):
        best_logged(runs, 0)


def test_wrong_use_is_one_line(
    offline_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ("--wandb-dir", offline_root)
    target = tmp_path / "runs.parquet"
    export("--tag", "final", *where, code=2)  # ONNX of several runs
    export("--format", "onnx", "-o", target, *where, code=2)
    export("--format", "parquet", "-o", tmp_path / "runs.csv", *where, code=2)
    export("--int8", "-o", target, *where, code=2)
    missing = export("-o", tmp_path / "none" / "runs.parquet", *where, code=1)
    assert "there is no directory" in missing.stderr
    monkeypatch.setattr(errors, "find_spec", lambda name: None)
    lacking = export("-o", target, *where, code=1)
    assert lacking.stderr.splitlines() == [
        "error: writing Parquet needs pyarrow. Install the extra: pip install 'goemo[tables]'"
    ]
    assert list(tmp_path.iterdir()) == []
