"""What each section says, against values computed here."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from scipy.stats import ttest_ind

from goemo_report.comparison import Comparison, Options, compare
from goemo_report.corpora.ratings import Ratings
from goemo_report.labels import EMOTIONS, GOEMOTIONS, SPLIT_SAMPLES
from goemo_report.metrics.scores import score
from goemo_report.report.data import signature
from goemo_report.report.document import Cell, Heatmap, Plot, Section, Table
from goemo_report.report.sections import (
    ablation,
    board,
    build_report,
    calibration,
    differences,
    emotions,
    errors,
    groups,
    leaderboard,
    multilabel,
    overall,
    raters,
    seeds,
    settings,
    summary,
    thresholds,
    truth,
)
from goemo_report.report.sections._verdict import gains
from goemo_report.report.sections._words import sample
from goemo_report.report.sections.calibration import calibration_of
from goemo_report.results import RunResult
from tests.offline_runs import STANDARD_RUNS, OfflineRun
from tests.report.sections.reading import callouts, cells, column, table, texts
from tests.synthetic import labels_only, macro_f1, run_result, split_result

FOUR = tuple(run_result(run, number=number) for number, run in enumerate(STANDARD_RUNS))


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(FOUR)


def built(section: Section | None) -> Section:
    assert section is not None
    return section


# --- Summary and leaderboard ----------------------------------------------------------


def test_the_summary_names_the_best_run_the_gap_and_whether_it_is_noise(
    comparison: Comparison,
) -> None:
    chosen = compare((FOUR[0], FOUR[2]), baseline=FOUR[0].id)
    text = callouts(summary.build(chosen))
    best, base = chosen.best, chosen.baseline
    value, gap = best.macro_f1, best.macro_f1 - base.macro_f1
    assert (
        f"{best.short} is best on validation and reaches, on test, macro F1 {value:.3f} "
        "at threshold 0.5." in text
    )
    assert f"+{gap:.3f} against the baseline {base.short}, more than noise" in text
    assert "Gained most F1 against" in built(differences.build(chosen)).lead
    unchosen = callouts(summary.build(compare((FOUR[0], FOUR[2]))))
    assert f"+{gap:.3f} against the runner-up {base.short}, more than noise" in unchosen
    assert "against the baseline" not in unchosen
    best_is_base = callouts(summary.build(compare((FOUR[0], FOUR[2]), baseline=FOUR[2].id)))
    assert f"No run beats the baseline {best.short} on validation" in best_is_base
    assert f"+{gap:.3f} against the runner-up {base.short}, more than noise (95%" in best_is_base


def test_seeds_of_one_recipe_are_not_told_apart_but_recipes_are(comparison: Comparison) -> None:
    text = callouts(summary.build(comparison))
    weak, strong = ([macro_f1(run) for run in pair] for pair in (FOUR[:2], FOUR[2:]))
    welch = ttest_ind(strong, weak, equal_var=False)
    assert text.startswith("roberta-large (R3, R4) is the best recipe")
    assert f"{np.mean(strong):.3f} (2 seeds)." in text
    assert f"+{np.mean(strong) - np.mean(weak):.3f} against the next, distilbert-base" in text
    assert f"p = {welch.pvalue:.3f}" in text or (welch.pvalue < 0.001 and "p < 0.001" in text)
    chosen = compare(FOUR, baseline=FOUR[0].id)
    found = table(leaderboard.build(chosen), "leaderboard-runs")
    verdicts = dict(zip(column(found, "key"), column(found, "verdict"), strict=True))
    assert verdicts == {"R1": "baseline", "R2": "other seed", "R3": "win", "R4": "win"}


def test_seeds_of_one_recipe_alone_get_their_mean_and_range() -> None:
    pair = compare(FOUR[2:], baseline=FOUR[2].id)
    text = callouts(summary.build(pair))
    values = [run.macro_f1 for run in pair.runs]
    assert "Both runs have the same recipe and differ only in the seed" in text
    assert f"{np.mean(values):.3f} on average, from {min(values):.3f}" in text
    assert "No run beats" not in text
    three = compare([*FOUR[2:], run_result(replace(STANDARD_RUNS[2], seed=77), number=7)])
    low, _, high = sorted(run.macro_f1 for run in three.runs)
    assert f"its 3 runs ranges over {high - low:.3f}, from " in callouts(summary.build(three))


def test_means_over_seeds_stand_for_a_recipe_and_not_its_luckiest_run(
    comparison: Comparison,
) -> None:
    plot = next(block for block in summary.build(comparison).blocks if isinstance(block, Plot))
    names = [text for _, text in plot.y.ticks]
    assert names == ["roberta-large, 2 runs", "distilbert-base, 2 runs"]
    fixed = [one for one in plot.series if one.name.endswith(", at 0.5")]
    for series, runs in zip(fixed, (FOUR[2:], FOUR[:2]), strict=True):
        assert list(series.x) == pytest.approx([np.mean([macro_f1(run) for run in runs])])
        assert series.low[0] is not None
        assert series.low[0] < series.x[0] < series.high[0]  # type: ignore[operator] # numbers
    ticks = [one for one in plot.series if one.style == "ticks"]
    assert len(ticks) == 4  # two seeds, tuned and at 0.5, of two recipes
    board = leaderboard.build(comparison).blocks[0]
    assert isinstance(board, Table)
    assert board.nested == (False, True, True, False, True, True)
    assert board.rows[0][:2] == ("2 seeds", Cell("roberta-large"))


def test_runs_on_other_texts_are_said_to_be_so() -> None:
    found = FOUR[2].splits["test"]
    part = found.predictions.take(np.arange(90), np.arange(28))
    scores = score(part.truth, part.probabilities, part.labels)
    some = replace(found, predictions=part, scores=scores)
    runs = (FOUR[0], replace(FOUR[2], splits={"test": some}))
    text = callouts(summary.build(compare(runs)))
    assert "were not judged on the same test texts (R1 120, R2 90)" in text
    assert "|n:90-120|" in signature(compare(runs))
    found_gaps = compare(runs).best_vs_runner_up
    assert found_gaps is not None
    macro = found_gaps["macro_f1"]
    assert macro is not None
    assert f"{macro.value:+.3f} on common texts against the runner-up R1" in text
    chosen = callouts(summary.build(compare(runs, baseline=FOUR[0].id)))
    assert f"{macro.value:+.3f} on common texts against the baseline" in chosen
    board = table(leaderboard.build(compare(runs)), "leaderboard-runs")
    assert sorted(column(board, "texts")) == [90, 120]  # type: ignore[type-var]  # integers
    assert "not judged on the same texts" in board.caption
    same = table(leaderboard.build(compare(FOUR)), "leaderboard-runs")
    assert "texts" not in [item.key for item in same.columns]
    assert "not judged" not in callouts(summary.build(compare(FOUR)))


def test_emotions_within_noise_are_called_so() -> None:
    close = run_result(OfflineRun(seed=11, config={"learning_rate": 3e-5}), number=5)
    pair = compare((FOUR[0], close), baseline=FOUR[0].id)
    if pair.best.result is not close:
        pair = compare((FOUR[0], close), baseline=close.id)
    found = pair.best.differences
    assert found is not None
    lead = built(differences.build(pair)).lead
    shown = [line for line in lead.split(". ") if line.startswith(("Gained most", "Lost most"))]
    assert shown
    for line in shown:
        clear = any(
            found[f"f1_{label}"].verdict != "tie"  # type: ignore[union-attr]  # both have it
            for label in EMOTIONS
            if f" {label} " in line
        )
        assert line.rstrip(".").endswith("; none more than noise (Holm)") != clear


def test_equal_runs_are_not_told_apart() -> None:
    twins = [replace(FOUR[0], run=replace(FOUR[0].run, id=name, name=name)) for name in "ab"]
    comparison = compare(twins)
    text = callouts(summary.build(comparison))
    assert "Both runs have the same recipe and logged 1 seed" in text
    assert "Same recipe, and the predictions are identical" in text
    found_test = FOUR[2].splits["test"]
    part = found_test.predictions.take(np.arange(90), np.arange(28))
    scores = score(part.truth, part.probabilities, part.labels)
    some = replace(found_test, predictions=part, scores=scores)
    other = replace(FOUR[2], splits={"test": some})
    again = replace(other, run=replace(other.run, id="b", name="b"))
    text = callouts(summary.build(compare([FOUR[0], other, again])))  # not on the same texts
    assert "is best with" in text
    assert re.search(r"is best with macro F1 0\.\d+ at threshold 0\.5", text)
    assert "may be noise" not in text


def test_the_summary_warns() -> None:
    weak = run_result(OfflineRun(seed=9, quality=0.05), number=9, logged={"test/macro_f1": 0.9})
    weak = replace(weak, run=replace(weak.run, state="crashed"))
    text = callouts(summary.build(compare([*FOUR, weak])))
    assert f"{weak.run.name} never predicts" in text
    assert "differ from the predictions" in text
    assert f"{weak.run.name} is crashed, not finished" in text


def test_the_leaderboard_is_ordered_and_has_tuned_figures(comparison: Comparison) -> None:
    found = table(leaderboard.build(comparison), "leaderboard-runs")
    assert column(found, "run") == [run.name for run in comparison.ranked]
    values = [cell.value for cell in cells(found, "macro_f1")]
    assert values == sorted(values, reverse=True)  # type: ignore[type-var]  # floats
    for run, cell in zip(comparison.ranked, cells(found, "tuned"), strict=True):
        tuned = run.tuned
        assert tuned is not None
        assert cell.value == tuned.overall["macro_f1"]


@pytest.fixture(scope="module")
def whole() -> RunResult:
    return run_result(OfflineRun(texts=SPLIT_SAMPLES["test"], quality=0.6), splits=("test",))


def test_reported_rows_name_source_and_threshold_and_mark_bounds(whole: RunResult) -> None:
    section = built(board.build(compare([whole, FOUR[0]])))
    found = table(section, "reference-board")
    assert GOEMOTIONS.board is not None
    assert len(found.rows) == len(GOEMOTIONS.board.results) + 1  # 120 texts do not belong here
    for cell in cells(found, "source"):
        assert cell.link or cell.value == "this report"  # what nobody can look up is left out
    assert all(column(found, "source"))
    assert all(column(found, "threshold"))
    for threshold in column(found, "threshold"):
        assert ("a bound, not a result" in str(threshold)) == ("tuned on test" in str(threshold))
    assert "1 run is not listed" in callouts(section)


def test_without_a_run_on_the_whole_split_no_reported_results_are_shown(
    comparison: Comparison,
) -> None:
    section = built(board.build(comparison))
    assert "No results of others are shown" in callouts(section)
    with pytest.raises(AssertionError, match="no table reference-board"):
        table(section, "reference-board")


def test_whole_runs_stand_among_the_reported_ones(whole: RunResult) -> None:
    found = table(built(board.build(compare([whole]))), "reference-board")
    assert column(found, "source").count("this report") == 1  # no validation, no tuned row
    seeds = [
        whole,
        replace(
            whole, run=replace(whole.run, id="b", config={**whole.run.config, "random_seed": 8})
        ),
    ]
    found = table(built(board.build(compare(seeds))), "reference-board")
    assert [name for name in column(found, "source") if str(name).startswith("this")] == [
        "this report, mean of 2 seeds, sd 0.000"
    ]
    shown = [value for value in column(found, "macro_f1") if value is not None]
    assert shown == sorted(shown, reverse=True)  # type: ignore[type-var]  # floats


def test_a_held_out_rater_stands_on_the_board_and_beside_the_runs(whole: RunResult) -> None:
    judged = whole.splits["test"].predictions
    texts = tuple(dict.fromkeys(judged.texts))[:200]
    truth = judged.truth[[judged.texts.index(text) for text in texts]]
    named = tuple(text for text in texts for _ in range(3))
    who, source = ("1", "2", "3") * 200, "raw.csv"
    ratings = Ratings(named, named, who, truth.repeat(3, axis=0), judged.labels, source)
    comparison = compare([whole], ratings=ratings)
    [row] = [one for one in table(built(board.build(comparison)), "reference-board").rows
             if one[0] == "held-out rater"]  # fmt: skip
    assert isinstance(row[3], Cell)
    assert (row[3].value, row[3].low, row[3].high)[0] == comparison.raters[whole.id].rater.macro_f1
    section = built(raters.build(comparison))
    assert column(table(section, "raters-runs"), "run")[0] == "held-out rater"
    assert len(table(section, "raters-emotions").rows) == 28
    assert "texts without raters" in callouts(section)
    assert raters.build(compare([whole])) is None


def test_one_sided_intervals_are_explained_where_they_occur() -> None:
    weak = run_result(OfflineRun(seed=9, quality=0.05), number=9)
    for runs in ([weak], FOUR):
        shown = (
            "emotions are never predicted"
            in table(overall.build(compare(runs)), "overall-scores").caption
        )
        never = any(run.splits["test"].scores.never_predicted for run in runs)
        assert shown == never
    assert weak.splits["test"].scores.never_predicted


# --- Metrics and differences ----------------------------------------------------------


def test_every_overall_metric_has_its_interval(comparison: Comparison) -> None:
    section = overall.build(comparison)
    for identifier in ("overall-scores", "overall-precision-recall", "overall-texts"):
        found = table(section, identifier)
        for item in found.columns[2:]:
            for run, cell in zip(comparison.runs, cells(found, item.key), strict=True):
                value = run.scores.overall[item.key]
                assert cell.value == value
                if item.key in ("macro_precision", "weighted_precision"):
                    never = bool(run.scores.never_predicted)
                    assert ("precision 0 by convention" in cell.note) == never
                    if never:
                        continue
                assert cell.low is not None
                assert cell.high is not None
                assert value is not None
                assert cell.low <= value <= cell.high


def test_differences_carry_interval_p_and_verdict() -> None:
    comparison = compare((FOUR[0], FOUR[2], FOUR[3]), baseline=FOUR[0].id)
    found = table(built(differences.build(comparison)), "differences-runs")
    for row, run in enumerate(comparison.others):
        expected = run.difference("macro_f1")
        assert expected is not None
        cell = cells(found, "macro_f1")[row]
        assert (cell.value, cell.low, cell.high) == (expected.value, expected.low, expected.high)
        assert column(found, "verdict")[row] == expected.verdict
        assert column(found, "p")[row] == expected.p_adjusted
        marks = {"win": "good", "loss": "bad", "tie": None}
        assert cell.mark == marks[expected.verdict]


def test_no_difference_on_any_text_is_said_in_words() -> None:
    twin = replace(FOUR[0], run=replace(FOUR[0].run, id="twin"))
    section = built(differences.build(compare([FOUR[0], twin])))
    for cell in (
        *cells(table(section, "differences-overall"), "difference")[:2],
        *cells(table(section, "differences-emotions"), "difference"),
    ):
        assert (cell.value, cell.low, cell.high) == (0.0, None, None)
        assert cell.note == "same on every text"


def test_runs_that_cannot_be_paired_get_no_verdict() -> None:
    found = FOUR[2].splits["test"].predictions
    shuffled = replace(found, truth=found.truth[::-1].copy())
    other = replace(FOUR[2], splits={"test": replace(FOUR[2].splits["test"], predictions=shuffled)})
    section = built(differences.build(compare([FOUR[0], other])))
    assert "Not paired with the baseline" in callouts(section)
    assert "; not tested." in section.lead
    figure = next(block for block in section.blocks if isinstance(block, Plot))
    assert "noise" not in section.lead + figure.caption
    shown = cells(table(section, "differences-overall"), "difference")
    assert {one.note.split(":")[0] for one in shown} == {"no interval"}
    assert cells(table(section, "differences-emotions"), "difference")[0].low is None


def test_a_minus_b_is_drawn_per_emotion_sorted_and_filled_where_it_is_clear(
    comparison: Comparison,
) -> None:
    plot = next(b for b in built(differences.build(comparison)).blocks if isinstance(b, Plot))
    best, other, found = comparison.best, comparison.runner_up, comparison.best_vs_runner_up
    assert other is not None
    assert found is not None
    assert best.short in plot.title
    assert other.short in plot.title
    gaps = [found[f"f1_{label}"].value for label in plot.y.categories]  # type: ignore[union-attr] # both have it
    assert gaps == sorted(gaps, reverse=True)
    assert set(plot.y.categories) == set(EMOTIONS)
    for series in plot.series:
        assert isinstance(series.hollow, tuple)
        for label, hollow in zip(series.y, series.hollow, strict=True):
            assert hollow == (found[f"f1_{label}"].verdict == "tie")  # type: ignore[union-attr] # as above


def test_emotions_are_grouped_by_sentiment_with_intervals(comparison: Comparison) -> None:
    section = emotions.build(comparison)
    found = table(section, "emotions-detail")
    assert [title for title, _ in found.row_groups] == [
        "positive",
        "negative",
        "ambiguous",
        "neutral",
    ]
    assert sum(size for _, size in found.row_groups) == len(found.rows) == 28
    scores = comparison.best.scores
    for label, cell, support in zip(
        column(found, "emotion"), cells(found, "f1"), column(found, "support"), strict=True
    ):
        at = EMOTIONS.index(str(label))
        assert cell.value == scores.counts.metric("f1")[at]
        assert support == scores.counts.support[at]
        assert cell.low is not None
    heatmap = next(block for block in section.blocks if isinstance(block, Heatmap))
    assert set(heatmap.rows) == {run.short for run in comparison.runs}
    assert set(heatmap.columns) == set(EMOTIONS)


def test_groups_are_rolled_up_from_the_predictions(comparison: Comparison) -> None:
    section = groups.build(comparison)
    assert section is not None
    found = table(section, "groups-f1")
    predictions = comparison.best.predictions
    positive = [EMOTIONS.index(name) for name in ("admiration", "joy", "love")]
    assert column(found, "group")[:4] == ["positive", "negative", "ambiguous", "neutral"]
    neutral = score(
        predictions.truth[:, -1:], predictions.probabilities[:, -1:], ("neutral",)
    ).counts.metric("f1")[0]
    assert column(found, comparison.best.id)[3] == neutral
    support = column(found, "support")[0]
    assert isinstance(support, int)
    assert support >= predictions.truth[:, positive].any(axis=1).sum()


# --- Seeds, thresholds, ablation ------------------------------------------------------


def test_seeds_give_mean_spread_and_range(comparison: Comparison) -> None:
    section = built(seeds.build(comparison))
    found = table(section, "seeds-groups")
    values = [macro_f1(run) for run in FOUR[:2]]
    assert column(found, "n")[0] == 2
    assert column(found, "mean")[0] == pytest.approx(np.mean(values))
    assert column(found, "sd")[0] == pytest.approx(np.std(values, ddof=1))
    assert "interval" not in str(column(found, "range")[0])
    assert column(table(section, "seeds-differences"), "p")[0] is not None


def test_a_single_seed_has_no_p_value(comparison: Comparison) -> None:
    section = built(seeds.build(compare(FOUR[:3])))
    found = table(section, "seeds-differences")
    assert set(column(found, "p")) == {None}
    assert "at least two seeds" in str(column(found, "note")[0])
    assert seeds.build(compare([FOUR[0], FOUR[2]])) is None


def test_thresholds_have_a_column_for_each_protocol(comparison: Comparison) -> None:
    found = table(thresholds.build(comparison), "thresholds-macro-f1")
    for row, run in enumerate(comparison.ranked):
        for result in run.protocols:
            assert column(found, result.choice.protocol)[row] == result.overall["macro_f1"]
    assert all(cell.note == "bound, not a result" for cell in cells(found, "oracle"))


def test_without_validation_there_are_no_tuned_columns() -> None:
    runs = [run_result(run, splits=("test",)) for run in STANDARD_RUNS[:2]]
    section = thresholds.build(compare(runs))
    found = table(section, "thresholds-macro-f1")
    assert column(found, "global") == column(found, "per-class") == [None, None]
    assert "No tuned columns for" in callouts(section)
    on_val = thresholds.build(compare(FOUR[:1], split="val"))
    assert "tuning would be the bound" in callouts(on_val)


def test_the_lead_stands_at_fixed_and_at_tuned_thresholds(comparison: Comparison) -> None:
    found = table(built(differences.build(comparison)), "differences-overall")
    pairs = comparison.tuned_best_vs_runner_up, comparison.best_vs_runner_up
    expected = [pair["macro_f1"] for pair in pairs if pair]
    assert column(found, "metric")[:2] == ["macro F1, tuned", "macro F1"]
    assert [(c.value, c.low, c.high) for c in cells(found, "difference")[:2]] == [
        (one.value, one.low, one.high) for one in expected if one
    ]
    assert column(found, "p")[:2] == [one.p_adjusted for one in expected if one]


def test_an_ablation_names_the_one_change_and_what_it_did() -> None:
    changed = OfflineRun(
        model="roberta-large",
        seed=1,
        quality=0.5,
        tags=("ablation",),
        run_id="ablated",
        config={"dropout": 0.5, "api_key": "word"},
    )
    run = run_result(changed, number=9)
    comparison = compare([*FOUR, run])
    found = table(built(ablation.build(comparison)), "ablation-changes")
    assert column(found, "reference") == [comparison.runs[2].short]
    assert column(found, "change") == ["dropout: 0.1 \u2192 0.5; api_key: not set \u2192 [hidden]"]
    assert column(found, "verdict") == ["loss"]
    value = cells(found, "macro_f1")[0].value
    assert value == pytest.approx(macro_f1(run) - macro_f1(FOUR[2]))


def test_an_ablation_without_neutral_compares_what_both_have() -> None:
    less = run_result(
        replace(STANDARD_RUNS[0], exclude_neutral=True, tags=("ablation",), run_id="less"), number=9
    )
    section = built(ablation.build(compare([FOUR[0], less])))
    assert "on the 27 labels that both have" in callouts(section)
    assert "scored again on these alone" in callouts(section)


def test_no_ablation_tag_no_section(comparison: Comparison) -> None:
    assert ablation.build(comparison) is None


# --- Curves, calibration, behaviour, errors -------------------------------------------


def test_curves_are_thin_and_one_bold_line_a_recipe(comparison: Comparison) -> None:
    section = calibration.build(comparison)
    plots = [block for block in section.blocks if isinstance(block, Plot)]
    assert [plot.shape for plot in plots] == ["square"] * 3
    for plot in plots:
        assert all(len(series.x) <= 200 for series in plot.series)
        lines = [series for series in plot.series if series.style == "line"]
        assert len(lines) == len(comparison.recipes)
        assert len([one for one in plot.series if one.style == "thin"]) == len(FOUR)


def test_calibration_lists_every_run(comparison: Comparison) -> None:
    found = table(calibration.build(comparison), "calibration-errors")
    for run, brier in zip(comparison.ranked, column(found, "brier"), strict=True):
        predictions = run.predictions
        expected = np.mean((predictions.probabilities - predictions.truth) ** 2)
        assert brier == pytest.approx(expected)


def test_what_validation_mends_is_listed_or_said_to_be_unknown(comparison: Comparison) -> None:
    section = calibration.build(comparison)
    found = table(section, "recalibration")
    for run, *gained in zip(
        comparison.ranked,
        *(column(found, key) for key in ("temperature", "log_loss_gain", "isotonic_ece")),
        strict=True,
    ):
        _, cooled, isotonic = calibration_of(run).methods
        assert cooled.log_loss_gain is not None
        assert gained == [cooled.temperature, cooled.log_loss_gain.value, isotonic.ece]
    assert "not known" not in callouts(section)
    without = calibration.build(compare([run_result(splits=("test",))]))
    assert "there are no validation predictions" in callouts(without)
    assert "recalibration" not in {getattr(block, "id", "") for block in without.blocks}
    itself = calibration.build(compare([run_result()], split="val"))
    assert "validation is reported here itself" in callouts(itself)


def test_a_collapsed_run_is_named() -> None:
    weak = run_result(OfflineRun(seed=9, quality=0.05))
    never = weak.splits["test"].scores.never_predicted
    heatmap = next(b for b in emotions.build(compare([weak])).blocks if isinstance(b, Heatmap))
    assert heatmap.dots
    assert set(heatmap.columns) == set(never)
    assert column(heatmap.table, "number") == [len(never)]
    assert column(table(multilabel.build(compare([weak])), "multilabel-texts"), "never") == [
        len(never)
    ]


def of_two_labels(*found: list[float]) -> Comparison:
    """Runs with these probabilities of `a*`, which the one text carries, and of `b`."""
    truth = np.array([[True, False]])
    splits = (split_result("test", ["x"], truth, np.array([p]), ("a*", "b")) for p in found)
    return compare(
        [
            replace(run, splits={"test": split})
            for run, split in zip(FOUR[::2], splits, strict=False)
        ]
    )


def test_a_star_in_a_name_marks_nothing_and_one_text_is_not_texts() -> None:
    comparison = of_two_labels([0.9, 0.1], [0.1, 0.1])
    assert "a* +1.000" in gains(comparison)[0]
    assert not any(line.startswith("*") for line in gains(comparison))
    assert sample(comparison) == "Test split, n = 1 text"


def test_where_nothing_is_predicted_no_zeros_are_drawn() -> None:
    section = emotions.build(of_two_labels([0.2, 0.1], [0.1, 0.1]))
    assert all(block.dots for block in section.blocks if isinstance(block, Heatmap))
    assert "0 for every label in every run" in table(section, "emotions-f1").caption


def test_errors_have_one_row_a_text_and_say_who_is_wrong(comparison: Comparison) -> None:
    found = table(built(errors.build(comparison)), "errors-texts")
    best, other = comparison.best, comparison.runner_up
    assert other is not None
    rows = column(found, "row")
    assert len(rows) == len(set(rows))
    assert column(found, "confidence") == sorted(column(found, "confidence"), reverse=True)  # type: ignore[type-var] # floats
    for label, kind, row, text, who, strip in zip(
        *(column(found, key) for key in ("emotion", "kind", "row", "text", "who", "strip")),
        strict=True,
    ):
        assert isinstance(row, int)
        at = EMOTIONS.index(str(label))
        truth = best.predictions.truth[row - 1, at]
        assert best.predictions.texts[row - 1] == text
        assert truth == (kind == "false negative")
        wrong = [
            (run.predictions.probabilities[row - 1, at] >= 0.5) != truth for run in (best, other)
        ]
        shown = [float(value) for value in str(strip).split()]
        assert shown[0] == pytest.approx(best.predictions.probabilities[row - 1, at], abs=0.005)
        assert (who == "all wrong") == all(wrong)
        assert (who == "only A wrong") == (wrong == [True, False])
        assert (who == "only B wrong") == (wrong == [False, True])


def test_labels_without_probabilities_are_not_sure_of_their_mistakes() -> None:
    found = table(built(errors.build(compare([FOUR[2], labels_only(FOUR[0])]))), "errors-texts")
    sure = list(zip(column(found, "who"), column(found, "confidence"), strict=True))
    assert {value for who, value in sure if who == "only B wrong"} == {None}
    assert all(value is not None for who, value in sure if who != "only B wrong")
    assert all(str(strip).endswith(" \u2013") for strip in column(found, "strip"))


def test_no_text_leaves_every_text_out() -> None:
    hidden = compare(FOUR, options=Options(texts=False))
    shown = set(texts(built(errors.build(hidden))))
    for predictions in (run.splits["test"].predictions for run in FOUR):
        assert shown.isdisjoint(predictions.texts)


def test_max_errors_limits_and_zero_leaves_the_section_out(comparison: Comparison) -> None:
    few = compare(FOUR, options=Options(max_errors=1))
    found = table(built(errors.build(few)), "errors-texts")
    assert len(found.rows) <= 2 * 28 + 10
    assert len(found.rows) < len(table(built(errors.build(comparison)), "errors-texts").rows)
    assert errors.build(compare(FOUR, options=Options(max_errors=0))) is None


# --- Truth ----------------------------------------------------------------------------


def test_a_wrong_figure_is_flagged_with_what_explains_it() -> None:
    micro_f1 = FOUR[0].splits["test"].scores.overall["micro_f1"]
    assert micro_f1 is not None
    wrong = replace(FOUR[0], logged={"test/macro_f1": micro_f1}, history=())
    section = truth.build(compare([wrong]))
    assert "1 of 1 logged figures differ" in callouts(section)
    assert "equals the micro F1" in callouts(section)


def test_epochs_are_whole_numbers() -> None:
    held = replace(FOUR[0].artifacts[0], role="checkpoint", metadata={"best_epoch": 2})
    run = replace(FOUR[0], artifacts=(held,), logged={"best_epoch": 2.0})
    found = truth.build(compare([run]))
    whole = table(found, "truth-whole-figures")
    assert {"best_epoch"} == set(column(whole, "figure"))
    assert {item.kind for item in whole.columns if item.key == "logged"} == {"integer"}


def test_leaked_texts_are_counted(comparison: Comparison) -> None:
    found = table(truth.build(comparison), "truth-overlap")
    assert column(found, "leaked") == [120]  # the synthetic splits share their texts
    assert cells(found, "leaked")[0].mark == "warning"
    assert "Overlap with training cannot be seen" in found.caption
    said = "R1, R2, R3, R4: 120 of 120 test texts (100%) also stand in the validation split."
    assert said in callouts(summary.build(comparison))


def test_a_few_common_texts_are_no_warning_and_training_is_as_logged() -> None:
    def board(**config: object) -> tuple[Section, str]:
        run = replace(FOUR[0], splits={"test": FOUR[0].splits["test"]})
        logged = {**run.run.config, **config}
        found = compare([replace(run, run=replace(run.run, config=logged))])
        return truth.build(found), callouts(summary.build(found))

    few, text = board(leaked_test_texts=2)  # of 120, which is below 2%
    assert [(one.value, one.mark) for one in cells(table(few, "truth-overlap"), "leaked_test")] == [
        (2, None)
    ]
    assert "stand in" not in text
    assert "cannot be seen" not in table(few, "truth-overlap").caption
    many, text = board(leaked_test_texts=3)
    assert cells(table(many, "truth-overlap"), "leaked_test")[0].mark == "warning"
    assert "R1: 3 of 120 test texts (2%) also stand in the training split." in text
    _, text = board(leaked_test_texts=10**400)
    assert "stand in" not in text


def a_run(name: str) -> RunResult:
    return replace(FOUR[0], run=replace(FOUR[0].run, name=name))


def test_hostile_names_stay_plain_text() -> None:
    name = "<script>alert(1)</script> | [x](javascript:1)"
    found = table(overall.build(compare([a_run(name)])), "overall-scores")
    assert column(found, "run") == [name]  # renderers escape, sections do not touch it


def test_where_the_same_data_lay_is_no_difference_and_versions_stand_once() -> None:
    def run(path: str, version: str) -> RunResult:
        of = FOUR[0 if path == "a" else 1]
        data = {"dataset": path, "dataset_name": "d", "dataset_version": version}
        config = {**of.run.config, **data, "cuda_version": "12", "system/cuda_version": "12"}
        return replace(of, run=replace(of.run, config=config))

    def keys(version: str, identifier: str) -> list[str]:
        found = settings.build(compare([run("a", "1"), run("b", version)]))
        return [item.key for item in table(found, identifier).columns]

    assert "dataset" not in keys("1", "config-differences")
    assert "dataset" in keys("2", "config-differences")
    titles = [key.removeprefix("system/") for key in keys("1", "environment")]
    assert titles.count("cuda_version") == 1


def test_runs_named_a_and_b_are_told_by_their_keys() -> None:
    found = []
    for run, name in zip(FOUR[:3:2], "BA", strict=True):
        record = replace(run.run, name=name, config={"model_name": name})
        found.append(replace(run, run=record))
    comparison = compare(found)
    section = built(differences.build(comparison))
    best, other = comparison.best, comparison.runner_up
    assert other is not None
    assert section.lead.startswith(f"A is {best.key}, B is the runner-up {other.key},")


def test_a_figure_explains_only_the_marks_that_it_has_and_one_run_differs_from_nothing() -> None:
    alone = replace(FOUR[0], splits={"test": FOUR[0].splits["test"]})
    report = build_report(compare([alone]), created_at=datetime.now(UTC), command="x")
    blocks = (block for section in report.sections for block in section.blocks)
    forest = next(block for block in blocks if isinstance(block, Plot))
    assert forest.id == "summary-forest"
    assert "filled" not in forest.caption
    assert "seeds" not in forest.caption
    chapters = {section.chapter for section in report.sections}
    assert "Where it differs" not in chapters
    assert "By emotion" in chapters


def test_nobody_chose_the_first_run_as_baseline() -> None:
    plain = [replace(run, run=replace(run.run, tags=())) for run in FOUR[:2]]
    for name, expected in ((None, 0), (plain[0].id, 1)):
        comparison = compare(plain, baseline=name)
        board = table(built(leaderboard.build(comparison)), "leaderboard-runs")
        notes = [c.note for row in board.rows for c in row if isinstance(c, Cell)]
        assert notes.count("baseline") == expected


def test_a_seed_that_nobody_logged_is_not_what_differs() -> None:
    bare = [replace(r, run=replace(r.run, config={"model_name": "m"})) for r in (FOUR[0], FOUR[3])]
    comparison = compare(bare)
    assert len(comparison.recipes) == 1
    text = callouts(summary.build(comparison))
    assert "seeds not logged" in text
    assert "only the seed differs" not in text
    assert "no logged config tells them apart" in text
