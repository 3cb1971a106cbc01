"""The comparison: order, names, baseline, groups, what is left out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.analysis.configs import by_recipe, config_differences, flat_config
from goemo_report.comparison import Options, compare
from goemo_report.errors import NotFoundError, SettingsError
from goemo_report.labels import EMOTIONS, WITHOUT_NEUTRAL
from goemo_report.metrics.counts import averages
from goemo_report.report.data import report_data
from goemo_report.report.sections._verdict import in_one_sentence
from goemo_report.results import LoadedRuns, RunResult, SplitResult
from goemo_report.results.score_cache import score_both
from goemo_report.sources.model import SkippedRun
from goemo_report.thresholds.tune import Tuned
from tests.numbers import make_predictions
from tests.offline_runs import STANDARD_RUNS, OfflineRun
from tests.synthetic import compared, run_result

FOUR = tuple(run_result(run, number=number) for number, run in enumerate(STANDARD_RUNS))


def test_runs_come_in_the_order_of_creation_whatever_the_input_order() -> None:
    forwards, backwards = compare(FOUR), compare(FOUR[::-1])
    assert [run.id for run in forwards.runs] == [run.id for run in FOUR]
    assert [run.id for run in backwards.runs] == [run.id for run in FOUR]
    assert [run.key for run in forwards.runs] == ["R1", "R2", "R3", "R4"]


def test_the_baseline_is_the_option_else_the_tag_else_the_first_run() -> None:
    assert compare(FOUR).baseline.result is FOUR[0]
    tagged = run_result(OfflineRun(seed=9, tags=("baseline",)), number=9)
    assert compare([*FOUR, tagged]).baseline.result is tagged
    assert compare([*FOUR, tagged], baseline=FOUR[2].id).baseline.result is FOUR[2]
    assert compare(FOUR, baseline=FOUR[1].run.name).baseline.result is FOUR[1]
    assert compare(FOUR, baseline=FOUR[3].run.path).baseline.result is FOUR[3]


def test_an_unknown_or_ambiguous_baseline_is_refused() -> None:
    with pytest.raises(SettingsError, match="not among the compared runs"):
        compare(FOUR, baseline="nobody")
    twins = [
        run_result(OfflineRun(seed=1, name="twin", run_id="t1")),
        run_result(OfflineRun(seed=2, name="twin", run_id="t2")),
    ]
    with pytest.raises(SettingsError, match="names 2 runs"):
        compare(twins, baseline="twin")
    assert [run.name for run in compare(twins).runs] == ["twin (t1)", "twin (t2)"]


def test_a_baseline_that_cannot_be_used_says_why() -> None:
    only_val = run_result(OfflineRun(seed=7, name="lonely"), splits=("val",))
    for baseline in ("lonely", only_val.id):
        with pytest.raises(SettingsError, match=r"baseline lonely .* logged no test predictions"):
            compare([*FOUR, only_val], baseline=baseline)


def test_runs_without_the_split_are_left_out_with_the_reason() -> None:
    only_val = run_result(OfflineRun(seed=7), splits=("val",))
    damaged = replace(run_result(OfflineRun(seed=8), splits=("val",)), problems={"test": "torn"})
    comparison = compare(LoadedRuns((*FOUR, only_val, damaged), (SkippedRun("x", "lost"),)))
    assert len(comparison.runs) == 4
    assert [item.reason for item in comparison.skipped] == [
        "lost",
        "logged no test predictions",
        "torn",
    ]
    assert compare([only_val], split="val").runs[0].result is only_val
    cut = replace(only_val.run, state="unfinished", results=Path("/my runs/n-x"))
    with pytest.raises(NotFoundError) as caught:
        compare([replace(only_val, run=cut)])
    assert caught.value.remedy == (
        f"Finish it with `goemo-train --resume {cut.id} --output '/my runs'`"
    )
    with pytest.raises(NotFoundError, match="no run has usable test predictions"):
        compare([only_val, damaged])


def test_the_ranking_follows_macro_f1() -> None:
    comparison = compare(FOUR)
    values = [run.macro_f1 for run in comparison.ranked]
    assert values == sorted(values, reverse=True)
    assert comparison.best.record.model_name == "roberta-large"


def test_runs_that_differ_only_in_the_seed_form_a_group() -> None:
    assert [[run.id for run in group] for group in by_recipe([run.run for run in FOUR])] == [
        ["distilbertbases1", "distilbertbases2"],
        ["robertalarges1", "robertalarges2"],
    ]
    longer = run_result(OfflineRun(seed=3, epochs=4)).run
    assert len(by_recipe([FOUR[0].run, longer])) == 2


def test_the_environment_does_not_split_a_seed_group() -> None:
    one = run_result(OfflineRun(seed=1))
    elsewhere = OfflineRun(seed=2, config={"gpu_type": "A100", "system/python_version": "3.12"})
    assert len(by_recipe([one.run, run_result(elsewhere).run])) == 1


def test_the_path_of_the_data_does_not_split_a_seed_group() -> None:
    def made(seed: int, **config: str) -> RunResult:
        return run_result(OfflineRun(seed=seed, config=config))

    known = {"dataset_name": "d", "dataset_version": "sha256:1"}
    one, other = made(1, dataset="../d", **known), made(2, dataset="/data/d", **known)
    assert len(by_recipe([one.run, other.run])) == 1
    changed = made(2, dataset="/data/d", **known | {"dataset_version": "sha256:2"})
    assert len(by_recipe([one.run, changed.run])) == 2


def test_runs_without_a_config_are_groups_of_their_own() -> None:
    runs = [run_result(OfflineRun(seed=seed), config={}).run for seed in (1, 2)]
    assert len(by_recipe(runs)) == 2


def test_config_differences_name_every_key_that_differs() -> None:
    one = replace(FOUR[0].run, config={"a": 1, "same": [1, 2], "nested": {"x": 1}, "only": 3})
    two = replace(FOUR[1].run, config={"a": 2, "same": [1, 2], "nested": {"x": 2}, "_wandb": 1})
    assert config_differences([one, two]) == {"a": (1, 2), "nested.x": (1, 2), "only": (3, None)}
    assert flat_config(two) == {"a": 2, "same": [1, 2], "nested.x": 2}


def test_a_run_without_neutral_is_paired_on_what_both_have() -> None:
    less = run_result(OfflineRun(model="roberta-large", seed=5, exclude_neutral=True), number=5)
    comparison = compare([FOUR[0], less])
    run = compared(comparison, less)
    alignment = run.alignment
    assert alignment is not None
    assert comparison.labels == EMOTIONS
    assert alignment.labels == WITHOUT_NEUTRAL.labels
    assert alignment.paired
    assert alignment.matched == run.split_result.rows
    assert "on the 27 labels that both have" in alignment.note


def test_short_names_tell_what_differs() -> None:
    def names(*runs: OfflineRun) -> list[str]:
        results = [run_result(run, number=n) for n, run in enumerate(runs)]
        return [run.short for run in compare(results).runs]

    assert [run.short for run in compare(FOUR).runs] == [
        "R1 distilbert-base seed 1",
        "R2 distilbert-base seed 2",
        "R3 roberta-large seed 1",
        "R4 roberta-large seed 2",
    ]
    rate = OfflineRun(seed=1, run_id="slow", config={"learning_rate": 3e-5, "notes": "x" * 99})
    assert names(OfflineRun(seed=1), rate) == [
        "R1 distilbert-base lr 2e-05",
        "R2 distilbert-base lr 3e-05",
    ]
    again = OfflineRun(seed=2, run_id="slow2", config={"learning_rate": 3e-5, "notes": "x" * 99})
    assert names(OfflineRun(seed=1), rate, again)[1:] == [
        "R2 distilbert-base lr 3e-05, seed 1",
        "R3 distilbert-base lr 3e-05, seed 2",
    ]
    assert names(OfflineRun(seed=1, run_id="a"), OfflineRun(seed=1, run_id="b")) == [
        "R1 distilbert-base a",
        "R2 distilbert-base b",
    ]


def test_progress_is_told_run_by_run() -> None:
    told: dict[str, list[tuple[int, int]]] = {}

    def progress(description: str, done: int, total: int) -> None:
        told.setdefault(description, []).append((done, total))

    compare(FOUR, progress=progress).prepare()
    assert told["intervals and differences"] == [(n, 4) for n in range(5)]
    assert told["thresholds"] == [(n, 4) for n in range(5)]
    assert {steps[-1][0] == steps[-1][1] for steps in told.values()} == {True}


def test_the_best_run_is_set_against_the_next_one() -> None:
    comparison = compare(FOUR)
    first, second = comparison.ranked[:2]
    found = first.minus(second)
    assert found is not None
    macro = found["macro_f1"]
    assert macro is not None
    gap = first.macro_f1 - second.macro_f1
    assert macro.value == pytest.approx(gap, abs=1e-12)


def with_validation(run: RunResult, signal: float, loss: str = "bce") -> RunResult:
    """The same run with other validation predictions, as good as the signal says."""
    found, made = run.splits["val"], make_predictions(400, seed=len(run.id), signal=signal)
    splits = {
        **run.splits,
        "val": SplitResult.of("val", score_both(made), found.artifact, found.file),
    }
    config = {**run.run.config, "loss": loss}
    return replace(run, splits=splits, run=replace(run.run, config=config))


def test_the_best_run_is_chosen_on_validation_and_judged_on_test() -> None:
    weak, strong = FOUR[0], FOUR[2]
    weak, strong = with_validation(weak, 6.0), with_validation(strong, 2.0)
    comparison = compare([weak, strong])
    assert comparison.rank_on == "val"
    assert comparison.best.result is weak
    assert comparison.ranked[0].result is strong
    found = comparison.best_vs_runner_up
    assert found is not None
    assert found["macro_f1"] is not None
    assert found["macro_f1"].value < 0.0
    on_test = compare([weak, strong], options=Options(rank_on="test"))
    assert on_test.best.result is strong
    assert compare([weak, strong], split="val").rank_on == "val"
    alone = run_result(STANDARD_RUNS[2], splits=("test",), number=3)
    assert compare([weak, alone]).rank_on == "test"
    with pytest.raises(SettingsError, match="roberta-large-20241210-143003 logged no validation"):
        compare([weak, alone], options=Options(rank_on="val"))


def test_runs_with_other_losses_are_chosen_at_cross_fitted_thresholds() -> None:
    one = with_validation(FOUR[0], 3.0)
    other = with_validation(FOUR[2], 3.0, loss="focal")
    values = compare([one, other]).statistics.validation_f1
    made = one.splits["val"].predictions
    predicted = np.zeros_like(made.truth)
    fold = np.random.default_rng(400).permutation(400) % 5
    for number in range(5):
        rows = np.flatnonzero(fold == number)
        rest = np.flatnonzero(fold != number)
        cuts = Tuned(made.truth[rest], made.probabilities[rest]).thresholds
        predicted[rows] = made.probabilities[rows] >= cuts
    assert values[one.id] == averages(made.truth, predicted)["macro_f1"]
    same = compare([one, FOUR[1]]).statistics.validation_f1
    assert not same  # other validation texts


def test_single_runs_are_judged_against_the_margin_at_tuned_thresholds_too() -> None:
    pair = (FOUR[0], replace(FOUR[1], run=replace(FOUR[1].run, config={"loss": "focal"})))
    comparison = compare(pair, options=Options(margin=0.03))
    assert comparison.criterion.key == TUNED_F1
    found, lead = comparison.standing.decision, comparison.lead
    assert found is not None
    assert lead is not None
    assert (found.value, found.margin) == (lead.value, 0.03)
    assert found.answer == "undecided" if lead.verdict == "tie" else "better"
    drawn = [run.replicates(TUNED_F1) for run in comparison.runs]
    over_both_splits = float(np.std(drawn[0] - drawn[1]))
    assert found.detectable >= 2.8 * over_both_splits
    assert len(found.carriers) == 3
    what = f"Undecided: here a difference of {found.detectable:.3f} is found with 80% power"
    assert (what in in_one_sentence(comparison)) == (found.answer == "undecided")
    told = report_data(comparison, created_at=datetime.now(UTC), command="")["standing"]
    assert told["decision"]["detectable"] == found.detectable
    assert compare(pair, options=Options(margin=0.9)).standing.decision.answer == "equivalent"  # type: ignore[union-attr]


def test_runs_that_predict_the_same_labels_are_not_called_equivalent() -> None:
    """Agreement on all of these texts shows no error, and so no bound on that of others."""
    one = replace(FOUR[0], splits={"test": FOUR[0].splits["test"]})
    made = one.splits["test"].predictions
    surer = replace(made, probabilities=np.where(made.probabilities >= 0.5, 0.9, 0.1))
    found = replace(one.splits["test"], predictions=surer)
    other = replace(
        one, run=replace(FOUR[1].run, config={"learning_rate": 1}), splits={"test": found}
    )
    comparison = compare([one, other])
    assert comparison.standing.decision is None
    assert "+0.000 macro F1 at 0.5, the same on every text" in in_one_sentence(comparison)


def test_the_best_of_several_runs_had_luck() -> None:
    bias = compare(FOUR).selection_bias
    assert bias is not None
    assert 0.0 < bias < 0.1
    assert compare(FOUR[:1]).selection_bias is None


def test_the_lead_is_taken_at_tuned_thresholds_too() -> None:
    comparison = compare((FOUR[0], FOUR[2]))
    found, best = comparison.tuned_best_vs_runner_up, comparison.best
    assert found is not None
    assert comparison.runner_up is comparison.baseline
    gap = 0.0
    for run, sign in ((best, 1), (comparison.baseline, -1)):
        tuned = run.tuned
        assert tuned is not None
        gap += sign * tuned.overall["macro_f1"]
    assert found["macro_f1"] is not None
    assert found["macro_f1"].value == pytest.approx(gap, abs=1e-12)
    assert comparison.best_vs_runner_up is not None
    assert comparison.best_vs_runner_up["macro_f1"] != found["macro_f1"]
    alone = run_result(STANDARD_RUNS[2], splits=("test",), number=3)
    assert compare((FOUR[0], alone)).tuned_best_vs_runner_up is None
    assert compare(FOUR[:1]).runner_up is None


def test_a_shuffled_file_gives_the_same_differences() -> None:
    found = FOUR[2].splits["test"]
    order = np.random.default_rng(0).permutation(found.rows)
    shuffled = found.predictions.take(order, np.arange(28))
    other = replace(FOUR[2], splits={"test": replace(found, predictions=shuffled)})
    straight = compare([FOUR[0], FOUR[2]]).runs[1].difference("macro_f1")
    again = compare([FOUR[0], other]).runs[1].difference("macro_f1")
    assert straight is not None
    assert again is not None
    assert again.value == pytest.approx(straight.value, abs=1e-12)
    assert again.verdict == straight.verdict


def test_tuned_figures_need_validation_predictions() -> None:
    (alone,) = compare([run_result(OfflineRun(seed=5), splits=("test",))]).runs
    assert alone.tuned is None
    assert alone.tuned_interval is None
    assert alone.value(TUNED_F1) is None
    (tuned,) = compare(FOUR[:1]).runs
    value, interval = tuned.value(TUNED_F1), tuned.interval(TUNED_F1)
    assert value is not None
    assert interval is not None
    assert interval.low <= value <= interval.high


def test_a_run_knows_its_recipe() -> None:
    comparison = compare(FOUR)
    small, large = comparison.recipes
    assert [run.recipe for run in comparison.runs] == [small, small, large, large]
    assert (large.title, large.runs) == ("roberta-large (R3, R4)", list(comparison.runs[2:]))
    assert large.values() == [run.macro_f1 for run in large.counted]
    assert comparison.best_recipe is large
    assert [run.seed for run in large.runs] == [1, 2]
