"""Loading runs: which files are taken, what is left out and why, what was logged."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from goemo_report.analysis.truth import check_logged
from goemo_report.errors import ArgumentError, NotFoundError
from goemo_report.labels import WITHOUT_NEUTRAL
from goemo_report.predictions import Predictions, read_predictions
from goemo_report.results import logged_metrics
from goemo_report.results.loading import load_results
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.gathered import GatheredSource, NamedPredictions
from goemo_report.sources.model import ArtifactFile, ArtifactRef, RunRecord, as_number
from goemo_report.sources.newest import FOLDER, prediction_file, split_role
from goemo_report.sources.offline_logs.source import LogSource
from tests.memory_source import MemorySource
from tests.offline_runs import OfflineRun, write_prediction_file
from tests.synthetic import run_result

GOOD = OfflineRun(model="distilbert-base", seed=1, texts=60)


def record(name: str, **changes: Any) -> RunRecord:
    return replace(run_result(GOOD).run, id=name, name=f"run-{name}", **changes)


def reference(run_id: str, split: str, version: int = 0, **changes: Any) -> ArtifactRef:
    name = f"distilbert-base-{split}-predictions-{run_id}"
    made = ArtifactRef(
        f"{name}:{version}", name, "dataset", f"v{version}", "digest", 1, None, run_id
    )
    return replace(made, **changes)


@pytest.fixture
def written(tmp_path: Path) -> dict[str, Path]:
    damaged = tmp_path / "damaged.csv"
    damaged.write_text("text,true_labels\nhello,joy\n")
    return {
        "val": write_prediction_file(tmp_path / "val_predictions.csv", GOOD, "val"),
        "test": write_prediction_file(tmp_path / "test_predictions.csv", GOOD, "test"),
        "damaged": damaged,
    }


def test_both_splits_are_scored_at_half_and_as_logged(written: dict[str, Path]) -> None:
    source = MemorySource()
    source.add(
        record("a"),
        (reference("a", "val"), {"val_predictions.csv": written["val"]}),
        (reference("a", "test"), {"test_predictions.csv": written["test"]}),
    )
    (result,) = load_results(source, source.runs)
    expected = run_result(GOOD)
    for split in ("val", "test"):
        found = result.splits[split]
        truth = expected.splits[split]
        assert found.predictions.texts == truth.predictions.texts
        assert found.scores.overall["macro_f1"] == pytest.approx(
            truth.scores.overall["macro_f1"], abs=1e-12
        )
        assert found.as_logged is found.scores
        assert found.threshold.value == 0.5
        assert found.file.path == f"{split}_predictions.csv"


def test_a_source_is_asked_once_for_all_runs(written: dict[str, Path]) -> None:
    source = MemorySource()
    for name in "abcdef":
        source.add(
            record(name), (reference(name, "test"), {"test_predictions.csv": written["test"]})
        )
    load_results(source, source.runs)
    assert source.requests == 4  # artifacts, histories, manifests, files


def test_the_newest_version_counts(written: dict[str, Path]) -> None:
    source = MemorySource()
    source.add(
        record("a"),
        (reference("a", "test", 0), {"test_predictions.csv": written["damaged"]}),
        (reference("a", "test", 1), {"test_predictions.csv": written["test"]}),
    )
    (result,) = load_results(source, source.runs, ["test"])
    assert result.splits["test"].artifact.version == "v1"


def test_an_artifact_is_preferred_to_run_files(written: dict[str, Path]) -> None:
    files = replace(
        reference("a", "test", id="files", kind="run-files", role="test-predictions"), version=None
    )
    source = MemorySource()
    source.add(
        record("a"),
        (reference("a", "test"), {"test_predictions.csv": written["test"]}),
        (files, {"predictions/test_predictions.csv": written["damaged"]}),
    )
    assert load_results(source, source.runs, ["test"])[0].splits["test"].artifact.kind == "artifact"


def test_a_run_without_predictions_is_left_out_and_the_others_go_on(
    written: dict[str, Path],
) -> None:
    source = MemorySource()
    source.add(record("none"))
    source.add(
        record("bad"), (reference("bad", "test"), {"test_predictions.csv": written["damaged"]})
    )
    source.add(record("lost"), (reference("lost", "test"), {"test_predictions.csv": None}))
    source.add(record("empty"), (reference("empty", "test"), {"readme.txt": None}))
    source.add(
        record("good"), (reference("good", "test"), {"test_predictions.csv": written["test"]})
    )
    loaded = load_results(source, source.runs, ["test"])
    assert [result.id for result in loaded] == ["good"]
    reasons = {item.name: item.reason for item in loaded.skipped}
    assert reasons["run-none"] == "logged no test predictions"
    assert "pred_labels" in reasons["run-bad"]
    assert "gone from the disk" in reasons["run-lost"]
    assert "holds no table, only readme.txt" in reasons["run-empty"]


def test_predictions_under_another_name_or_in_another_format_are_named() -> None:
    source = MemorySource()
    other = replace(reference("odd", "test"), name="my-preds", role=None)
    code = replace(reference("odd", "test"), name="source-x", type="code", role=None, id="code")
    source.add(record("odd"), (code, {"x.py": None}), (other, {"p.csv": None}))
    files = {"notes.md": None, "metrics.json": None}
    source.add(record("kind"), (reference("kind", "test"), files))
    source.add(record("two"), (reference("two", "test"), {"a.csv": None, "b.csv": None}))
    with pytest.raises(NotFoundError) as caught:
        load_results(source, source.runs, ["test"])
    told = "no test predictions under the guide's name, but my-preds (predictions='my-preds' reads"
    assert told in str(caught.value)
    assert "holds no table, only metrics.json and notes.md" in str(caught.value)
    assert "holds 2 tables and none is named for test: a.csv and b.csv" in str(caught.value)


def test_a_fault_of_one_run_is_its_own_problem(
    written: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path, *, name: str, **_: object) -> Predictions:
        found = real(path)
        return found if "-good" in name else replace(found, truth=found.truth[:0])

    source, real = MemorySource(), read_predictions
    for name in ("bad", "good"):
        artifact = replace(reference(name, "test"), digest=name)
        source.add(record(name), (artifact, {"x.csv": written["test"]}))
    monkeypatch.setattr("goemo_report.results.score_cache.read_predictions", read)
    loaded = load_results(source, source.runs, ["test"])
    assert [result.id for result in loaded] == ["good"]
    (skipped,) = loaded.skipped
    assert skipped.reason.startswith("test predictions cannot be scored: unexpected ")


def test_all_runs_left_out_is_an_error_that_says_why() -> None:
    source = MemorySource()
    source.add(record("none"))
    with pytest.raises(NotFoundError, match="run-none: logged no val predictions"):
        load_results(source, source.runs)


def test_one_split_is_enough_and_the_other_is_explained(written: dict[str, Path]) -> None:
    source = MemorySource()
    source.add(
        record("a"),
        (reference("a", "test"), {"test_predictions.csv": written["test"]}),
        (reference("a", "val"), {"val_predictions.csv": written["damaged"]}),
    )
    (result,) = load_results(source, source.runs)
    assert set(result.splits) == {"test"}
    assert "damaged" in result.problems["val"] or "val_predictions.csv" in result.problems["val"]


def test_a_run_without_neutral_is_valid(tmp_path: Path) -> None:
    run = replace(GOOD, exclude_neutral=True)
    source = MemorySource()
    path = write_prediction_file(tmp_path / "t.csv", run, "test")
    source.add(record("a"), (reference("a", "test"), {"test_predictions.csv": path}))
    (result,) = load_results(source, source.runs, ["test"])
    assert result.splits["test"].labels == WITHOUT_NEUTRAL.labels


def test_the_file_of_a_split_is_found_by_name() -> None:
    def choose(*paths: str) -> str | None:
        file = prediction_file([ArtifactFile(path, 1, "d") for path in paths], "test")
        return None if file is None else file.path

    assert choose("a.csv", "test_predictions.csv") == "test_predictions.csv"
    assert choose("x/test_predictions.csv.gz", "val_predictions.csv") == "x/test_predictions.csv.gz"
    assert choose("my_test.csv", "my_val.csv") == "my_test.csv"
    assert choose("only.csv", "notes.txt") == "only.csv"
    assert choose("a.csv", "b.csv") is None
    assert choose("notes.txt") is None
    assert choose("eval_results_table.json") == "eval_results_table.json"  # nothing else is there
    assert choose("eval_results_table.json", "config.json") is None


def test_logged_metrics_come_from_the_summary_then_the_history() -> None:
    run = record(
        "a",
        summary={
            "test/auc": 0.9,
            "test/f1_macro": 0.4,
            "best_epoch": 2,
            "val/auc": {"max": 0.8},
            "test/auc_macro": "NaN",
            "_runtime": 12.0,
            "note": "text",
            "flag": True,
        },
    )
    history = ({"_step": 1, "train/loss": 0.5, "val/loss": 0.4}, {"_step": 2, "train/loss": 0.3})
    logged = logged_metrics(run, history)
    assert math.isnan(logged.pop("test/macro_auc"))
    assert logged == {
        "test/auc": 0.9,
        "test/macro_f1": 0.4,
        "best_epoch": 2.0,
        "val/auc": 0.8,
        "train/loss": 0.3,
        "val/loss": 0.4,
    }


def test_the_guides_spelling_wins_over_a_dialect() -> None:
    run = record("a", summary={"test/f1_macro": 0.1, "test/macro_f1": 0.2, "test/auc_micro": 0.3})
    assert logged_metrics(run, ()) == {"test/macro_f1": 0.2, "test/auc": 0.3}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *[(1, 1.0), (0.5, 0.5), ("Infinity", math.inf), ("0.5", None), (True, None), (None, None)],
        *[({kind: 2}, 2.0) for kind in ("last", "best", "max", "min", "mean", "first")],
        *[({"min": 1, "max": "Infinity"}, math.inf), ({"max": {"q": 1}}, None), ({"q": 1}, None)],
        (10**400, None),
    ],
)
def test_logged_values_that_are_numbers(value: object, number: float | None) -> None:
    assert as_number(value) == number


# --- Through real run logs --------------------------------------------------------------


def test_real_offline_runs_are_loaded(offline_root: Path) -> None:
    source = LogSource(offline_root)
    runs = source.list_runs(RunQuery.of(tag=["final"])).runs
    steps: list[tuple[int, int]] = []
    loaded = load_results(source, runs, progress=lambda _, done, total: steps.append((done, total)))
    assert len(loaded) == 4
    assert not loaded.skipped
    assert steps[-1] == (4, 4)
    for result in loaded:
        assert set(result.splits) == {"val", "test"}
        assert [row["epoch"] for row in result.history if "epoch" in row] == [1, 2, 3]
        assert len(result.artifacts) == 4
        wrong = [c for c in check_logged(result) if c.key.startswith("test/") and not c.agrees]
        assert not wrong


def test_odd_runs_are_loaded_or_left_out_with_their_reason(mixed_root: Path) -> None:
    source = LogSource(mixed_root)
    loaded = load_results(source, source.list_runs(RunQuery()).runs)
    found = {result.id: result for result in loaded}
    assert found["otherdialect"].splits["test"].artifact.kind == "run-files"
    assert "test/macro_f1" in found["otherdialect"].logged
    assert found["noneutral"].splits["test"].labels == WITHOUT_NEUTRAL.labels
    assert found["failed"].run.state == "failed"
    (skipped,) = loaded.skipped
    missing = "logged no val predictions; logged no test predictions"
    assert skipped.reason == f"is unfinished, {missing}"


# --- Predictions of another name or version -------------------------------------------


def versions(run_id: str, name: str, *aliases: str) -> list[ArtifactRef]:
    return [
        replace(reference(run_id, "test"), id=f"{name}{n}", name=name, role=None, version=f"v{n}",
                aliases=(alias,) if alias else ())
        for n, alias in enumerate(aliases)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "alias", "taken"),
    [
        ("preds", "", "preds-a2"), ("preds-*", "", "preds-a2"), ("preds-a", "best", "preds-a0"),
        ("preds:v1", "", "preds-a1"), ("preds:best/out/x.csv", "", "preds-a0"),
        ("test=preds/out/x.csv", "", "preds-a2"),
    ],
)  # fmt: skip
def test_predictions_under_another_name_are_read_when_named(
    written: dict[str, Path], text: str, alias: str, taken: str
) -> None:
    source = MemorySource()
    files = {"out/x.csv": written["test"], "out/y.csv": written["damaged"]}
    if "/" not in text:
        files.pop("out/y.csv")
    logged = versions("a", "preds-a", "best", "", "latest")
    source.add(record("a"), (reference("a", "test"), {"test_predictions.csv": written["damaged"]}),
               *((one, files) for one in logged))  # fmt: skip
    chosen = GatheredSource([(source, source.runs)], [NamedPredictions.of(text)], alias)
    loaded = load_results(chosen, source.runs, ["test"])
    assert loaded[0].splits["test"].artifact.id == taken
    (note,) = loaded.notes if taken == "preds-a2" else ("logged 3 times",)
    assert "logged 3 times" in note
    assert ":  and" not in note


def test_predictions_that_are_not_there_are_refused_with_what_is(written: dict[str, Path]) -> None:
    source = MemorySource()
    guide = [replace(reference("a", "test"), id=str(n), aliases=(f"e{n}",)) for n in (1, 2)]
    source.add(record("a"), *((one, {"x.csv": written["test"]}) for one in guide))
    for named, alias, said in (
        (["nothing"], "", f"no run logged an artifact nothing. They logged {guide[0].name}"),
        ([], "best", "no run logged predictions with the alias best. Aliases: v0, e1 and e2"),
        ([f"{guide[0].name}/y.csv"], "", "holds no y.csv, but x.csv"),
    ):
        with pytest.raises(NotFoundError) as caught:
            load_results(
                GatheredSource(
                    [(source, source.runs)], list(map(NamedPredictions.of, named)), alias
                ),
                source.runs,
            )
        assert said in str(caught.value)
    (found,) = load_results(
        GatheredSource([(source, source.runs)], [], "e1"), source.runs, ["test"]
    )
    assert found.splits["test"].artifact.id == "1"
    for wrong in ("", "a:b:c", ":v1", "val="):
        with pytest.raises(ArgumentError, match="names no predictions"):
            NamedPredictions.of(wrong)


def test_a_file_in_folders_is_found_whatever_was_asked_before(written: dict[str, Path]) -> None:
    source = MemorySource()
    for run, folder in (("a", "first"), ("b", "second")):
        (logged,) = versions(run, folder, "")
        source.add(record(run), (replace(logged, type=FOLDER), {"scored.csv": written["test"]}))
    chosen = GatheredSource([(source, source.runs)], [NamedPredictions.of("scored.csv")])
    found = [chosen.artifacts([run])[run.id][0] for run in (*source.runs, source.runs[0])]
    assert [one.name for one in found] == ["first", "second", "first"]
    assert {one.role for one in found} == {"test-predictions"}


def test_two_files_of_one_artifact_and_runs_without_it(written: dict[str, Path]) -> None:
    source = MemorySource()
    (both,) = versions("a", "both", "")
    source.add(record("a"), (both, {"test.csv": written["test"], "val.csv": written["val"]}))
    source.add(record("b"), (reference("b", "test"), {"test_predictions.csv": written["test"]}))
    file = replace(reference("c", "test"), kind="file", version=None)
    source.add(record("c"), (file, {"test_predictions.csv": written["test"]}))
    named = list(map(NamedPredictions.of, ("both/test.csv", "both/val.csv")))
    loaded = load_results(GatheredSource([(source, source.runs)], named), source.runs)
    assert [set(one.splits) for one in loaded] == [{"test", "val"}, {"test"}]
    (skipped,) = loaded.skipped
    assert f"has no artifact both, but {reference('b', 'test').name}" in skipped.reason
    twice = list(map(NamedPredictions.of, ("both/test.csv", "test=both/val.csv")))
    with pytest.raises(ArgumentError, match=r"test\.csv and val\.csv of both are both"):
        load_results(GatheredSource([(source, source.runs)], twice), source.runs, ["test"])


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("latest-val-preds", "val"), ("retrieval-preds", ""), ("evaluation-outputs", ""),
        ("devices", ""), ("testpredictions", "test"), ("run-x-finalvalpredictions", "val"),
        ("latestpredictions", ""), ("predictionsval", "val"), ("out/dev/preds.csv", "val"),
        ("val/test.csv", "test"), ("eval/preds.csv", "val"), ("test_eval", "test"),
        ("validationPredictions", "val"), ("contest", ""), ("testset_2.csv", "test"),
        ("epoch-2/test_predictions.csv", "test"), ("retrievalpredictions", ""),
    ],
)  # fmt: skip
def test_the_split_that_a_name_says(name: str, split: str) -> None:
    assert split_role(name) == (f"{split}-predictions" if split else None)
