"""The verdict over recipes, and the summary's warning of different losses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.stats import ttest_ind

from goemo_report.analysis.compared_runs import TUNED_F1
from goemo_report.comparison import Comparison, compare
from goemo_report.report.render import render
from goemo_report.report.sections import _verdict, build_report, differences, seeds, summary
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


def test_labels_beyond_noise_are_named_where_the_largest_gains_are_not() -> None:
    gained = [(0.9, "pride", False), (0.8, "grief", False)]
    words = _verdict._labels(gained, [], tested=True)
    assert words == "pride +0.900 and grief +0.800; none more than noise (Holm)"
    words = _verdict._labels(gained, ["joy", "fear"], tested=True)
    assert words.endswith("; more than noise: joy and fear (Holm)")
    assert _verdict._labels([(0.9, "joy", True)], ["joy"], tested=True) == "joy +0.900*"
