"""Which labels predictions are judged on: as chosen, rolled up, and in common with other runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from goemo_report.analysis.label_choice import LabelChoice, own_groupings
from goemo_report.analysis.multilabel import oddities
from goemo_report.analysis.truth import check_logged
from goemo_report.api.arguments import chosen_labels
from goemo_report.audit.gate import Judge
from goemo_report.audit.limits import Limit, resolve
from goemo_report.cli import goemo_report
from goemo_report.comparison import Comparison, Options, compare
from goemo_report.errors import DataError, GoemoError, SettingsError
from goemo_report.labels import EKMAN, EMOTIONS, GOEMOTIONS, SENTIMENT, LabelSet
from goemo_report.metrics.scores import score
from goemo_report.predictions import Predictions, read_predictions, write_predictions
from goemo_report.reading.names import Reading
from goemo_report.results import RunResult
from tests.offline_runs import OfflineRun, predictions
from tests.synthetic import run_result, split_result

FINE = Options(resamples=100)


def held(run: OfflineRun) -> Predictions:
    texts, truth, probabilities = predictions(run, "test")
    labels = LabelSet.of(run.labels)
    return Predictions(tuple(texts), truth, probabilities, probabilities >= 0.5, labels, "f.csv")


def run_of(predictions: Predictions, number: int, name: str) -> RunResult:
    """A run that predicted just this on its test split."""
    made = run_result(OfflineRun(run_id=name, name=name), number=number, splits=())
    split = split_result(
        "test",
        predictions.texts,
        predictions.truth,
        predictions.probabilities,
        predictions.labels,
    )
    return replace(made, splits={"test": split})


def compared(*runs: RunResult) -> Comparison:
    return compare(runs, options=FINE)


# --- Rolled up --------------------------------------------------------------------------


def test_a_group_is_there_if_any_member_is() -> None:
    found, ekman = held(OfflineRun()), GOEMOTIONS.groupings[1]
    grouped = found.rolled_up(ekman)
    assert grouped.labels == tuple(ekman.groups)
    for g, group in enumerate(grouped.labels):
        columns = [EMOTIONS.index(member) for member in ekman.groups[group]]
        for row in range(len(found)):
            assert grouped.truth[row, g] == any(found.truth[row, c] for c in columns)
            assert grouped.probabilities[row, g] == max(
                found.probabilities[row, c] for c in columns
            )
        at_half = (found.probabilities[:, columns] >= 0.5).any(axis=1)
        assert np.array_equal(grouped.probabilities[:, g] >= 0.5, at_half)
        assert np.array_equal(grouped.predicted[:, g], at_half)
    assert grouped.label_set is EKMAN
    assert "from 28 emotions to 7 by ekman" in grouped.change


def test_a_run_without_neutral_has_no_neutral_group() -> None:
    grouped = held(OfflineRun(exclude_neutral=True)).rolled_up(GOEMOTIONS.groupings[0])
    assert grouped.labels == ("positive", "negative", "ambiguous")
    assert (grouped.label_set.noun, grouped.label_set.name) == ("sentiment", "3 sentiments")


# --- Runs with different labels ---------------------------------------------------------


def test_28_labels_are_rolled_up_beside_the_7_of_ekman() -> None:
    wide = run_result(OfflineRun(quality=0.6))
    coarse = held(OfflineRun(quality=0.9)).rolled_up(GOEMOTIONS.groupings[1])
    found = compared(wide, run_of(coarse, 1, "coarse"))
    assert found.label_set is EKMAN
    rolled, other = found.runs
    assert (rolled.labels, other.labels) == (EKMAN.labels, EKMAN.labels)
    assert other.is_paired
    grouped = rolled.predictions
    assert found.label_changes == {grouped.change: ("R1",)}
    assert (
        rolled.scores.overall == score(grouped.truth, grouped.probabilities, EKMAN.labels).overall
    )
    assert check_logged(rolled.result) == check_logged(wide)  # logged figures are about the 28
    assert rolled.result.as_read.splits["test"].labels == EMOTIONS


def test_sentiment_takes_both_other_sets_up() -> None:
    wide = held(OfflineRun())
    sentiment, ekman = GOEMOTIONS.groupings
    runs = (wide, wide.rolled_up(ekman), wide.rolled_up(sentiment))
    found = compared(*(run_of(one, i, f"r{i}") for i, one in enumerate(runs)))
    assert {run.labels for run in found.runs} == {SENTIMENT.labels}
    values = [run.macro_f1 for run in found.runs]
    assert values == pytest.approx([values[0]] * 3)


def test_without_neutral_and_ekman_meet_on_six_labels() -> None:
    plain = held(OfflineRun(exclude_neutral=True))
    coarse = held(OfflineRun()).rolled_up(GOEMOTIONS.groupings[1])
    found = compared(run_of(plain, 0, "plain"), run_of(coarse, 1, "coarse"))
    assert found.labels == EKMAN.labels[:-1]
    assert [len(keys) for keys in found.label_changes.values()] == [1, 1]


def own(labels: Sequence[str], base: Predictions | None = None) -> Predictions:
    """Predictions with own labels; given others, the part of them that has these names."""
    if base is not None:
        return base.on_labels(labels)
    return held(OfflineRun(own_labels=tuple(labels)))


def test_shared_labels_count_where_their_truth_is_the_same() -> None:
    three = own(("toxic", "insult", "threat"))
    two, turned = own(("insult", "toxic"), three), own(("threat", "toxic", "insult"), three)
    found = compared(run_of(three, 0, "three"), run_of(two, 1, "two"))
    assert [run.labels for run in found.runs] == [("toxic", "insult")] * 2
    assert found.label_changes == {
        "on 2 of 3 labels: without threat, which not all runs have": ("R1",)
    }
    found = compared(run_of(three, 0, "three"), run_of(turned, 1, "turned"))
    assert [run.labels for run in found.runs] == [three.labels] * 2
    assert not found.label_changes
    assert found.runs[0].macro_f1 == found.runs[1].macro_f1
    truth = two.truth.copy()
    truth[:5] = ~truth[:5]
    with pytest.raises(DataError) as caught:
        compared(run_of(three, 0, "three"), run_of(replace(two, truth=truth), 1, "two"))
    assert "three and two share 2 labels (toxic and insult)" in caught.value.what
    assert f"only {len(two) - 5} of {len(two)} common texts" in caught.value.what
    other = replace(two, texts=tuple(f"another {text}" for text in two.texts))
    with pytest.raises(
        DataError, match=rf"only 0 texts \(of {len(two)} and {len(two)}\) in common"
    ):
        compared(run_of(three, 0, "three"), run_of(other, 1, "two"))


def test_what_shares_no_label_is_refused() -> None:
    runs = [run_of(own(names), i, f"r{i}") for i, names in enumerate((("a", "b"), ("c", "d")))]
    with pytest.raises(
        DataError, match=r"share no label: r0 has a and b; r1 has c and d"
    ) as caught:
        compared(*runs)
    assert caught.value.remedy == "Compare runs of one label set at a time"


def test_the_gate_never_takes_a_label_for_a_group_of_the_same_name() -> None:
    wide, coarse = held(OfflineRun()), held(OfflineRun()).rolled_up(GOEMOTIONS.groupings[1])
    run, baseline = run_of(wide, 0, "wide"), run_of(coarse, 1, "coarse")
    limit = resolve(Limit("max-drop", "f1_joy", 0.0), "test", [run, baseline])
    found = Judge(baseline=baseline).judge(run, limit)
    assert (found.passed, found.value) == (True, 0.0)
    baseline = run_of(own(("a", "b")), 1, "other")
    found = Judge(baseline=baseline).judge(run, limit)
    assert not found.passed
    assert "share no label" in found.detail


def test_a_misspelt_label_is_told() -> None:
    wide = held(OfflineRun())
    names = tuple("amusment" if label == "amusement" else label for label in EMOTIONS)
    odd = replace(wide, label_set=LabelSet.of(names))
    said = " ".join(oddities(odd, score(odd.truth, odd.probabilities, names)))
    assert "lacks amusement and has amusment" in said
    for plain in (wide, wide.rolled_up(GOEMOTIONS.groupings[1]), own(("a", "b"))):
        found = oddities(plain, score(plain.truth, plain.probabilities, plain.labels))
        assert "GoEmotions" not in " ".join(found)


# --- As chosen --------------------------------------------------------------------------


def test_labels_asked_for_settle_order_and_ids(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\ufeffthreat\n\ntoxic\ninsult\n", "utf-8")
    [asked] = chosen_labels(str(tmp_path / "labels.txt")).reading.expected
    path, three = tmp_path / "p.csv", own(("toxic", "insult", "threat"))
    write_predictions(path, three.texts, three.truth, three.probabilities, 0.5, three.labels)
    found = read_predictions(path, reading=Reading((asked,)))
    assert found.labels == ("threat", "toxic", "insult")
    assert np.array_equal(found.truth, three.truth[:, [2, 0, 1]])
    with pytest.raises(DataError, match=r"does not have the 7 labels .* lacks anger"):
        read_predictions(path, reading=chosen_labels("ekman").reading)
    lines = ["text,true_labels,pred_probs_toxic,pred_probs_insult,pred_probs_threat"]
    path.write_text("\n".join([*lines, 'a,"0,2",0.9,0.1,0.2', "b,1,0.1,0.8,0.3"]) + "\n")
    by_file = read_predictions(path)  # ids follow the columns
    assert by_file.truth.tolist() == [[True, False, True], [False, True, False]]
    settled = read_predictions(path, reading=Reading((asked,)))
    assert settled.labels == asked.labels
    assert settled.truth.tolist() == [[True, False, True], [False, True, False]]
    assert settled.probabilities[0].tolist() == [0.2, 0.9, 0.1]
    wide = chosen_labels("goemotions").reading.expected
    assert [len(one.labels) for one in wide] == [28, 27]


def test_a_choice_rolls_up() -> None:
    wide = held(OfflineRun())
    assert chosen_labels().on(wide) is wide
    coarse = chosen_labels(map_to="ekman").on(wide)
    assert coarse.label_set is EKMAN
    assert chosen_labels(map_to="ekman").on(coarse) is coarse
    with pytest.raises(DataError, match="its 7 emotions have no grouping 'ekmn'") as caught:
        chosen_labels(map_to="ekmn").on(coarse)
    assert caught.value.remedy == "Groupings: sentiment"


@pytest.mark.parametrize(
    ("text", "words"),
    [("one\n", "names 1 label"), ("a\na\n", "1 of them different"), ("a,b\nc\n", "label 'a,b'")],
)
def test_files_of_labels_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "l.txt").write_text(text)
    with pytest.raises(GoemoError, match=words):
        chosen_labels(str(tmp_path / "l.txt"))
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        chosen_labels(str(tmp_path / "nowhere"))


def test_own_groups_are_groupings() -> None:
    table = {"mild": ["toxic"], "severe": ["insult", "threat", "unheard of"]}
    choice = LabelChoice(groupings=own_groupings(table), map_to="own")
    three = own(("toxic", "insult", "threat"))
    found = choice.on(three)
    assert found.labels == ("mild", "severe")
    assert np.array_equal(found.truth[:, 1], three.truth[:, 1:].any(axis=1))
    assert not choice.on(found).change.count(";")
    [grouping] = replace(choice, map_to="").on(three).label_set.groupings
    assert (grouping.name, grouping.source) == ("own", "[tool.goemo.groups]")
    assert [g.name for g in own_groupings({"a": table, "b": table})] == ["a", "b"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"mild": ["a"]}, "'own' has 1 group"),
        ({"mild": ["a"], "severe": ["a"]}, "'a' is in 'mild' and in 'severe'"),
        ({"mild": ["a"], "severe": []}, "'severe' is not a list of labels"),
        ({"mild": "a", "severe": ["b"]}, "'mild' is not a list of labels"),
        ({"ekman": {"x": ["a"], "y": ["b"]}}, "cannot be called 'ekman'"),
        ({"a b": {"x": ["a"], "y": ["b"]}}, "cannot be called 'a b'"),
    ],
)
def test_own_groups_that_cannot_be_used(table: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        own_groupings(table)


def test_commands_say_what_became_of_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = held(OfflineRun(texts=60))
    for name, one in (("wide", made), ("ekman", made.rolled_up(GOEMOTIONS.groupings[1]))):
        write_predictions(
            Path(f"{name}.csv"), one.texts, one.truth, one.probabilities, 0.5, one.labels
        )
    assert read_predictions("ekman.csv").label_set is EKMAN

    def run(*arguments: str) -> tuple[str, str]:
        done = CliRunner().invoke(goemo_report, arguments)
        assert done.exit_code == 0, done.stderr
        return done.stdout, done.stderr

    shown, said = run("metrics", "wide.csv", "--map-to", "ekman", "--format", "json")
    assert json.loads(shown)["labels"] == list(EKMAN.labels)
    assert "note: rolled up from 28 emotions to 7 by ekman" in said
    shown, said = run("compare", "wide.csv", "ekman.csv", "-o", "-", "--format", "md")
    assert "note: wide: rolled up from 28 emotions to 7 by ekman" in said
    assert "# Ekman emotions report" in shown
    assert "R1: rolled up from 28 emotions" in shown
    run("check", "wide.csv", "--map-to", "sentiment", "--fail-under", "f1_positive=0.1")
    Path("pyproject.toml").write_text(
        '[tool.goemo.groups.mood]\ngood = ["joy", "love"]\nbad = ["fear", "anger"]\n'
    )
    shown, _ = run("compare", "wide.csv", "-o", "-", "--format", "md", "--section", "groups")
    assert "## Sentiment and Ekman and Mood groups" in shown
    assert "Groups as in Demszky et al., ACL 2020, \\[tool.goemo.groups\\]" in shown
