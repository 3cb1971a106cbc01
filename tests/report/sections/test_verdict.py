"""The verdict over recipes, and the summary's warning of different losses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.stats import ttest_ind

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.comparison import Comparison, compare
from goemo_report.predictions import Predictions
from goemo_report.report.render import render
from goemo_report.report.sections import (
    _verdict,
    build_report,
    differences,
    leaderboard,
    seeds,
    summary,
)
from goemo_report.report.sections._verdict import over_seeds
from goemo_report.results import RunResult
from goemo_report.statistics.many_runs import seed_difference
from tests.offline_runs import STANDARD_RUNS
from tests.report.sections.reading import callouts, column, table
from tests.synthetic import run_result

FOUR = tuple(run_result(run, number=number) for number, run in enumerate(STANDARD_RUNS))


def tuned_f1(run: RunResult) -> float:
    return compare([run]).best.value(TUNED_F1) or 0.0


def in_words(ours: list[float], theirs: list[float]) -> str:
    """What is said where texts bring no error."""
    found = seed_difference(ours, theirs, np.zeros((len(ours) + len(theirs),) * 2))
    return over_seeds(found, ours, theirs)


def test_a_clean_sweep_of_few_seeds_is_called_one() -> None:
    text = in_words([0.2016, 0.184], [0.107, 0.105])
    assert text.startswith(". Each of its 2 seeds beats each of the 2 others, but")
    assert "in 1 of 3 comparisons" in text
    welch = ttest_ind([0.2016, 0.184], [0.107, 0.105], equal_var=False)
    assert f"p = {welch.pvalue:.3f}; standard error: seeds 0.0089" in text


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        ([0.5, 0.3], [0.4, 0.2], ". Its seeds win 3 of 4 pairings with the others, which may be "),
        ([0.2, 0.1], [0.6, 0.3], ". Each of the 2 others beats each of its 2 seeds, but "),
        (
            [0.50, 0.51],
            [0.40, 0.41],
            "texts add none): each of its 2 seeds beats each of the 2 others.",
        ),
        ([0.5, 0.9, 0.4, 0.41], [0.39, 0.3, 0.38, 0.37], "in 1 of 35 comparisons, but seeds"),
        ([0.5, 0.4], [0.3], "; no p-value: needs at least two seeds in both groups."),
    ],
)
def test_seeds_in_words(ours: list[float], theirs: list[float], said: str) -> None:
    assert said in in_words(ours, theirs)


def test_recipes_are_compared_at_tuned_thresholds_too() -> None:
    comparison = compare(FOUR)
    weak, strong = (np.mean([tuned_f1(run) for run in pair]) for pair in (FOUR[:2], FOUR[2:]))
    expected = f"Mean macro F1 at tuned thresholds: {strong:.3f} against {weak:.3f}, +"
    assert expected in callouts(summary.build(comparison))
    section = seeds.build(comparison)
    assert section is not None
    found = table(section, "seeds-differences")
    assert "macro F1, tuned" in column(found, "metric")
    assert "micro AUC" in column(found, "metric")
    assert None not in column(found, "p")
    at = column(found, "metric").index("macro F1, tuned")
    assert column(found, "difference")[at] == pytest.approx(strong - weak)


def test_the_pair_at_tuned_thresholds_is_of_two_recipes() -> None:
    comparison = compare(FOUR)
    assert comparison.ranked[1].recipe is comparison.best.recipe
    rival = comparison.runner_up
    assert rival is comparison.ranked[2]
    section = differences.build(comparison)
    assert section is not None
    assert section.lead.startswith(
        f"A is {comparison.best.short}, B is the runner-up {rival.short}, one run of each recipe."
    )
    gap = comparison.best.macro_f1 - rival.macro_f1
    assert column(table(section, "differences-overall"), "difference")[1] == pytest.approx(gap)
    alone = compare(FOUR[:2])
    assert alone.runner_up is alone.ranked[1]
    chosen = compare(FOUR, baseline=FOUR[1].id)
    assert chosen.runner_up is chosen.runs[1]


def with_losses(*losses: str | None) -> Comparison:
    runs = []
    for run, loss in zip(FOUR, losses, strict=False):
        config = {**run.run.config, **({"loss": loss} if loss else {})}
        runs.append(replace(run, run=replace(run.run, config=config)))
    return compare(runs)


def test_the_short_form_names_tuned_thresholds_where_they_decide() -> None:
    apart, alike = with_losses("bce", "focal"), with_losses("bce", "bce")
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for found, decides in ((apart, True), (alike, False)):
        report = build_report(found, created_at=now, command="")
        short = render(report, "md", "short")
        assert (f"Tuned thresholds of {found.best.short}: admiration 0." in short) == decides
        assert "Tuned thresholds of" not in render(report, "md")


def test_different_losses_are_warned_of() -> None:
    def text(*losses: str | None) -> str:
        return callouts(summary.build(with_losses(*losses)))

    warning = "different losses (R1, R3 bce; R2 focal)"
    found = text("bce", "focal", "bce")
    assert warning in found
    assert "the ranking is by macro F1 at tuned thresholds" in found
    assert warning in text(None, "focal", "bce")  # a run that logged none had the usual loss
    assert "losses" not in text("focal", "focal")
    assert "losses" not in text("bce", None)
    focal = replace(FOUR[0], run=replace(FOUR[0].run, config={"loss": "focal"}))
    plain = replace(FOUR[1], run=replace(FOUR[1].run, config={"model_name": "a file"}))
    assert "losses" not in callouts(summary.build(compare([focal, plain])))


def test_a_lead_at_half_that_turns_at_tuned_thresholds_is_said_with_it() -> None:
    def halved(own: Predictions) -> Predictions:
        return replace(own, probabilities=own.probabilities * 0.5, change="halved")

    strong = [run.changed(halved) for run in FOUR[2:]]
    for runs in ([*FOUR[:2], *strong], [FOUR[0], strong[0]]):
        found = compare(runs)
        best, other = found.recipes_lead or (found.best.recipe, found.runner_up.recipe)  # type: ignore[union-attr]
        gap = best.mean(TUNED_F1) - other.mean(TUNED_F1)
        said = f" At 0.5 only: at tuned thresholds it is behind ({gap:+.3f}, p "
        text = _verdict.verdict(found).text.replace("\u2212", "-")
        assert said in text
        assert " At 0.5 only: " in _verdict.in_one_sentence(found)
    assert "At 0.5 only" not in _verdict.in_one_sentence(compare(FOUR))


def test_identical_predictions_are_no_further_seeds() -> None:
    copied = replace(FOUR[1], splits=FOUR[0].splits)
    shuffled = FOUR[2].splits["test"].predictions
    rows = np.random.default_rng(0).permutation(len(shuffled))
    moved = replace(FOUR[3], splits=FOUR[2].splits).changed(
        lambda own: own.take(rows, np.arange(len(own.labels))) if own is shuffled else own
    )
    found = compare([FOUR[0], copied, FOUR[2], moved])
    said = callouts(summary.build(found))
    assert "identical predictions of R1 and R2; identical predictions of R3 and R4" in said
    assert "The predictions of R1 and R2 are identical: one " in _verdict.in_one_sentence(found)
    assert "identical" not in callouts(summary.build(compare(FOUR)))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (1, "with 1 common text neither is called better"),
        (5, "Only 5 texts in common: with fewer than 6, no p is below 0.05."),
        (6, "paired on 6 common texts of "),
    ],
)
def test_few_common_texts_decide_nothing(texts: int, said: str) -> None:
    def few(own: Predictions) -> Predictions:
        return replace(own.take(np.arange(texts), np.arange(len(own.labels))), change="few")

    runs = [run_result(one, number=at, splits=("test",)) for at, one in enumerate(STANDARD_RUNS)]
    text = _verdict.in_one_sentence(compare([runs[0], runs[2].changed(few)]))
    assert said in text
    assert ("1 common text: not tested" in text) == (texts == 1)
    assert texts == 6 or "80% power" not in text


def test_runs_of_one_seed_are_not_called_better_than_each_other() -> None:
    twice = replace(FOUR[2], run=replace(FOUR[2].run, config=FOUR[0].run.config))
    found = compare([FOUR[0], twice])
    text = _verdict.in_one_sentence(found)
    assert "no logged config tells them apart; check what differed" in text
    assert "noise" not in text
    for runs, heading in (([FOUR[0], twice], "2 runs"), (FOUR[:2], "2 seeds")):
        section = leaderboard.build(compare(runs))
        assert table(section, "leaderboard-runs").rows[0][0] == heading
    others = [replace(run, run=replace(run.run, config={"lr": 1, "seed": 1})) for run in FOUR[2:]]
    assert "(2 runs of one seed)" in _verdict.verdict(compare([*FOUR[:2], *others])).text


def test_one_run_of_each_recipe_says_nothing_of_seeds() -> None:
    said = "This is one run each: whether other seeds agree is not known."
    alone = compare([FOUR[0], FOUR[2]])
    assert "more than noise" in _verdict.in_one_sentence(alone)
    assert said in _verdict.in_one_sentence(alone)
    assert said in callouts(summary.build(alone))
    assert said not in _verdict.in_one_sentence(compare(FOUR))


def test_labels_beyond_noise_are_named_where_the_largest_gains_are_not() -> None:
    gained = [(0.9, "pride", False), (0.8, "grief", False)]
    words = _verdict._labels(gained, [], tested=True)
    assert words == "pride +0.900 and grief +0.800; none more than noise (Holm)"
    words = _verdict._labels(gained, ["joy", "fear"], tested=True)
    assert words.endswith("; more than noise: joy and fear (Holm)")
    assert _verdict._labels([(0.9, "joy", True)], ["joy"], tested=True) == "joy +0.900*"
