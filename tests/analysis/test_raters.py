"""A held-out rater: hand-counted, against scikit-learn, and files that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from goemo_report.analysis.raters import beside_raters
from goemo_report.corpora.ratings import Ratings, read_ratings
from goemo_report.errors import DataError
from goemo_report.labels import EMOTIONS, LabelSet
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.predictions import Predictions

HEADER = (
    "text,id,author,subreddit,link_id,parent_id,created_utc,rater_id,example_very_unclear,"
    + ",".join(EMOTIONS)
)


def line(text: str, key: str, rater: int, *labels: str, unclear: bool = False) -> str:
    marks = ",".join(str(int(one in labels)) for one in EMOTIONS)
    return f'"{text}",{key},me,r/x,t3_{key},t1_x,1548381039.0,{rater},{unclear},{marks}'


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join((HEADER, *lines)) + "\n", encoding="utf-8")
    return path


def predictions(
    texts: list[str], truth: BoolArray, scores: FloatArray, labels: tuple[str, ...]
) -> Predictions:
    return Predictions(tuple(texts), truth, scores, scores >= 0.5, LabelSet.of(labels), "a.csv")


def test_three_raters_counted_by_hand(tmp_path: Path) -> None:
    """a: joy, joy, anger. Held out, the two who chose joy are judged by one joy and one anger, on
    which no two agree; the third, who chose anger, by joy twice. b: all chose fear."""
    path = written(
        tmp_path / "raw.csv",
        *(line("a", "k1", 1, "joy"), line("a", "k1", 2, "joy"), line("a", "k1", 3, "anger")),
        *(line("b", "k2", rater, "fear") for rater in (1, 2, 3)),
        *(line("c", "k3", 1, "joy"), line("c", "k3", 2, "fear")),
        line("c", "k3", 4, unclear=True),
    )
    ratings = read_ratings([path])
    assert (len(ratings), ratings.unclear, ratings.repeated) == (8, 1, 0)
    labels = ("anger", "joy", "fear")
    truth = np.array([[0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=bool)
    scores = np.array([[0.1, 0.8, 0.2], [0.1, 0.1, 0.3], [0.2, 0.9, 0.6], [0.5, 0.5, 0.5]])
    judged = predictions([" a", "b ", "c", "d"], truth, scores, labels)
    found = beside_raters(judged, judged.predicted, ratings, 200, 0)
    assert (found.texts, found.unrated, found.open, found.rated) == (2, 1, 1, 3)
    assert found.rater.per_class.tolist() == [0.0, 0.0, 1.0]  # anger for joy; fear is right
    assert found.rater.micro_f1 == pytest.approx(0.5)
    assert found.run.per_class.tolist() == [0.0, 1.0, 0.0]
    assert found.gap == pytest.approx(0.0)
    shares = np.array([[1 / 3, 2 / 3, 0], [0, 0, 1], [0, 0.5, 0.5]])
    expected = -(shares * np.log(scores[:3]) + (1 - shares) * np.log(1 - scores[:3])).mean()
    assert found.soft is not None
    assert found.soft.cross_entropy == pytest.approx(expected)
    entropy = 2 * (np.log(3) - 2 / 3 * np.log(2)) + 2 * np.log(2)
    assert found.floor == pytest.approx(entropy / 9)
    assert found.soft.above == pytest.approx(expected - entropy / 9)
    assert found.as_true == pytest.approx(2 / 3)  # c: two raters, who do not agree


def many(
    seed: int, texts: int = 300, raters: int = 3, labels: int = 4
) -> tuple[Ratings, BoolArray]:
    """Ratings that agree with the truth more often than not, raters of a text side by side."""
    generator = np.random.default_rng(seed)
    truth = np.eye(labels, dtype=bool)[generator.integers(labels, size=texts)]
    marks = truth.repeat(raters, axis=0) ^ (generator.random((texts * raters, labels)) < 0.15)
    named = [f"t{number}" for number in range(texts) for _ in range(raters)]
    who = [str(number % raters) for number in range(texts * raters)]
    names = tuple(f"l{j}" for j in range(labels))
    return Ratings(tuple(named), tuple(named), tuple(who), marks, names, "raw.csv"), truth


def test_agrees_with_scikit_learn_on_three_raters_each() -> None:
    ratings, truth = many(0)
    votes = ratings.marks.reshape(300, 3, 4)
    scores = np.random.default_rng(1).random(truth.shape)
    judged = predictions([f"t{n}" for n in range(300)], truth, scores, ratings.labels)
    found = beside_raters(judged, judged.predicted, ratings, 500, 0)
    rows = [
        (n, r, others)
        for n in range(300)
        for r in range(3)
        if (others := np.delete(votes[n], r, axis=0).all(axis=0)).any()
    ]
    weights = [1 / sum(other[0] == n for other in rows) for n, *_ in rows]
    wanted = np.array([others for *_, others in rows])
    for one, marks in (
        (found.rater, np.array([votes[n, r] for n, r, _ in rows])),
        (found.run, np.array([judged.predicted[n] for n, *_ in rows])),
    ):
        for average, value in (("macro", one.macro_f1), ("micro", one.micro_f1)):
            expected = f1_score(wanted, marks, average=average, sample_weight=weights)
            assert value == pytest.approx(expected)
        assert one.macro.low < one.macro_f1 < one.macro.high
        assert (one.low < one.per_class).all()
        assert (one.per_class < one.high).all()
    assert found.gap_interval.low < found.gap < found.gap_interval.high
    assert found.soft is not None
    pooled = np.repeat(scores, 3, axis=0)
    assert found.soft.cross_entropy == pytest.approx(
        log_loss(ratings.marks.ravel(), pooled.ravel())
    )


def test_intervals_of_the_rater_hold_the_value_of_all_texts() -> None:
    everyone, truth = many(2, texts=20_000)
    names = [f"t{n}" for n in range(20_000)]
    judged = predictions(names, truth, truth.astype(float), everyone.labels)
    value = beside_raters(judged, truth, everyone, 100, 0).rater.macro_f1
    held = 0
    for seed in range(60):
        ratings, truth = many(1000 + seed)
        judged = predictions(names[:300], truth, truth.astype(float), ratings.labels)
        low, high = beside_raters(judged, truth, ratings, 300, seed).rater.macro
        held += low <= value <= high
    assert held >= 52  # 95% of 60 is 57, and chance leaves fewer than 52 in one case of 100


def test_comments_are_told_by_their_ids_where_rows_have_them(tmp_path: Path) -> None:
    path = written(
        tmp_path / "raw.csv",
        *(line("same", "k1", rater, "joy") for rater in (1, 2, 3)),
        *(line("same", "k2", rater, "fear") for rater in (1, 2, 3)),
    )
    truth = np.array([[True, False], [False, True]])
    by_words = predictions(["same", "same"], truth, truth.astype(float), ("joy", "fear"))
    by_id = Predictions(
        by_words.texts, truth, truth.astype(float), truth, by_words.label_set, "a.csv",
        ids=("k1", "k2"),
    )  # fmt: skip
    ratings = read_ratings([path])
    assert beside_raters(by_id, truth, ratings, 100, 0).run.per_class.tolist() == [1.0, 1.0]
    assert beside_raters(by_words, truth, ratings, 100, 0).run.macro_f1 < 1.0


def test_groups_of_emotions_are_rated_by_their_members(tmp_path: Path) -> None:
    path = written(
        tmp_path / "raw.csv",
        *(line("a", "k1", rater, name) for rater, name in enumerate(("joy", "love", "pride"))),
    )
    ekman = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")
    truth = np.array([[name == "joy" for name in ekman]])
    judged = predictions(["a"], truth, truth.astype(float), ekman)
    found = beside_raters(judged, truth, read_ratings([path]), 100, 0)
    assert found.rater.per_class[3] == 1.0
    assert found.floor == pytest.approx(0.0, abs=1e-12)


def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    good = line("a", "k1", 1, "joy")
    truth = np.array([[True, False]])
    judged = predictions(["other"], truth, truth.astype(float), ("joy", "fear"))
    with pytest.raises(DataError, match=r"raw.csv rates none of the 1 texts of a.csv"):
        beside_raters(judged, truth, read_ratings([written(tmp_path / "raw.csv", good)]), 10, 0)
    rated = predictions(["a"], truth, truth.astype(float), ("joy", "boredom"))
    with pytest.raises(DataError, match="does not rate boredom"):
        beside_raters(rated, truth, read_ratings([written(tmp_path / "raw.csv", good)]), 10, 0)
    rated = predictions(["a"], truth, truth.astype(float), ("joy", "fear"))
    with pytest.raises(DataError, match="no text has two raters that agree"):
        beside_raters(rated, truth, read_ratings([written(tmp_path / "raw.csv", good)]), 10, 0)
    wrong = written(tmp_path / "wrong.csv", good, good[:-1] + "7")
    with pytest.raises(
        DataError, match=r"wrong.csv, line 3 \(row 2\), column neutral: '7' is neither"
    ):
        read_ratings([wrong])
    plain = tmp_path / "plain.csv"
    plain.write_text("text,joy,fear\na,1,0\n")
    with pytest.raises(DataError, match="has no column rater_id"):
        read_ratings([plain])


def test_a_rating_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    lines = [line("a", "k1", rater, "joy") for rater in (1, 2, 3)]
    paths = [written(tmp_path / "1.csv", *lines), written(tmp_path / "2.csv", lines[0])]
    ratings = read_ratings(paths)
    assert (len(ratings), ratings.repeated, ratings.source) == (
        3, 1, f"{paths[0]} and 1 more",
    )  # fmt: skip
