"""Scores of files that were read before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from goemo_report.errors import DataError
from goemo_report.labels import EMOTIONS
from goemo_report.metrics.counts import ClassCounts
from goemo_report.metrics.scores import score
from goemo_report.metrics.table import FINGERPRINT, METRICS, Metric, fingerprint
from goemo_report.predictions import Predictions, read_predictions, write_predictions
from goemo_report.results import score_cache
from goemo_report.results.score_cache import cached_scores, known_scores, score_both
from goemo_report.sources.stored_values import values

DIGEST = "RaYVnnZTLaAJrHKJZtV5cQ=="
TEXTS = ("plain", 'two\nlines, "quoted"', "naïve ☃", "")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOEMO_CACHE_DIR", str(tmp_path))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    random = np.random.default_rng(3)
    truth = random.random((len(TEXTS), len(EMOTIONS))) < 0.3
    path = tmp_path / "test_predictions.csv"
    write_predictions(path, TEXTS, truth, random.random(truth.shape), 0.5, EMOTIONS)
    return path


def refuse() -> Predictions:
    raise AssertionError("the file is read again")


def same(left: Any, right: Any) -> bool:
    if isinstance(left, np.ndarray):
        return bool(np.array_equal(left, right, equal_nan=left.dtype.kind == "f"))
    if hasattr(left, "__dataclass_fields__"):
        return all(same(getattr(left, f.name), getattr(right, f.name)) for f in fields(left))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right) or (left != left and right != right)  # nan


def test_a_second_time_reads_nothing_and_gives_the_same(file: Path, tmp_path: Path) -> None:
    first = cached_scores(DIGEST, lambda: read_predictions(file), name="a")
    again = cached_scores(DIGEST, refuse, name="a.csv")
    assert again.predictions.texts == TEXTS
    assert again.predictions.source == "a.csv"
    for name in ("truth", "probabilities", "predicted", "labels"):
        assert same(getattr(first.predictions, name), getattr(again.predictions, name)), name
    assert same(first.scores, again.scores)
    assert again.as_logged is again.scores
    held = first.predictions
    assert same(again.scores, score(held.truth, held.probabilities, EMOTIONS, 0.5))


def test_labels_at_another_threshold_are_scored_as_logged(file: Path, tmp_path: Path) -> None:
    read = read_predictions(file)
    read = replace(read, predicted=read.probabilities >= 0.3)
    first = cached_scores(DIGEST, lambda: read, name="a")
    again = cached_scores(DIGEST, refuse, name="a")
    assert not same(first.scores.counts, first.as_logged.counts)
    assert same(first.as_logged, again.as_logged)
    assert same(first.scores, again.scores)


def test_another_digest_or_version_is_computed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_scores(DIGEST, lambda: read_predictions(file), name="a")
    assert known_scores(DIGEST[::-1][2:] + "==", name="a") is None
    assert known_scores("", name="a") is None
    cached_scores("no digest", lambda: read_predictions(file), name="a")
    assert known_scores("no digest", name="a") is None
    monkeypatch.setattr(score_cache, "FINGERPRINT", "other")
    assert known_scores(DIGEST, name="a") is None


def test_versions_that_keep_texts_differently_share_a_cache(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_scores(DIGEST, lambda: read_predictions(file), name="a")
    fields_of = score_cache._fields
    with monkeypatch.context() as other:
        other.setattr(score_cache, "FORMAT", 0)
        other.setattr(score_cache, "_fields", lambda *given: {**fields_of(*given), "gone": 1})
        cached_scores(DIGEST, lambda: read_predictions(file), name="a")
    assert cached_scores(DIGEST, refuse, name="a").predictions.texts == TEXTS


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    which=st.integers(0, 1),
    at=st.integers(0, 10**6),
    bit=st.integers(0, 7),
    cut=st.none() | st.integers(0, 10**6),
)
@example(which=0, at=0, bit=0, cut=0)
@example(which=1, at=0, bit=0, cut=0)
def test_a_damaged_entry_is_computed_again(
    file: Path, tmp_path: Path, which: int, at: int, bit: int, cut: int | None
) -> None:
    whole = score_both(read_predictions(file))
    cached_scores(DIGEST, lambda: read_predictions(file), name="a")
    entry = sorted([*tmp_path.glob("scores/*/*"), *tmp_path.glob("texts/*/*")])[which]
    data = bytearray(entry.read_bytes())
    if cut is None:
        data[at % len(data)] ^= 1 << bit
    entry.write_bytes(data if cut is None else data[: cut % len(data)])
    assert known_scores(DIGEST, name="a") is None
    again = cached_scores(DIGEST, lambda: read_predictions(file), name="a")
    assert same(again.scores, whole.scores)
    assert same(again.predictions.texts, whole.predictions.texts)
    assert known_scores(DIGEST, name="a") is not None


AUC, F1, *REST = METRICS


@pytest.mark.parametrize(
    "before",
    [
        METRICS[:-1],
        (AUC, replace(F1, counts=lambda c: c.tp / c.total), *REST),
        (replace(AUC, ranking=methodcaller("average_precision")), F1, *REST),
    ],
)
def test_a_metric_that_is_new_or_has_another_formula_is_computed(
    before: tuple[Metric, ...], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fingerprint(METRICS) == FINGERPRINT
    monkeypatch.setattr(score_cache, "FINGERPRINT", fingerprint(before))
    cached_scores(DIGEST, lambda: read_predictions(file), name="a")
    monkeypatch.undo()
    assert known_scores(DIGEST, name="a") is None


def _doubled(counts: ClassCounts, factor: int = 2) -> object:
    return factor * counts.tp / counts.total


def _times(factor: int) -> Callable[[ClassCounts], object]:
    return lambda counts: factor * counts.tp / counts.total


def test_every_difference_of_formulas_has_a_fingerprint_of_its_own() -> None:
    formulas = (
        lambda c: c.tp / c.total,
        lambda c: c.fp / c.total,
        lambda c: 2 * c.tp / c.total,
        _doubled,
        partial(_doubled, factor=3),
        partial(_doubled, factor=4),
        _times(5),
        _times(6),
    )
    entries = [*(replace(F1, counts=one) for one in formulas), F1, replace(F1, high=2.0)]
    assert F1.share is not None
    entries.append(replace(F1, share=replace(F1.share, value=lambda share: share / 2)))
    assert len({fingerprint([one]) for one in entries}) == len(entries)


def test_runs_on_the_same_texts_share_them(file: Path, tmp_path: Path) -> None:
    other = DIGEST[::-1][2:] + "=="
    scored = [
        cached_scores(digest, lambda: read_predictions(file), name="a")
        for digest in (DIGEST, other, DIGEST)
    ]
    first, *others = (found.predictions for found in scored)
    assert all(found.texts is first.texts and found.truth is first.truth for found in others)
    assert len(list(tmp_path.glob("texts/*/*"))) == 1


class _Point(NamedTuple):
    x: float
    y: float


def test_values_come_back_as_they_were() -> None:
    value: dict[str, Any] = {
        "numbers": (1, 0.1, float("inf"), None, "ç", np.float64(0.3)),
        "arrays": (np.zeros((0, 3)), np.eye(3) > 0, np.array(2.5), np.arange(5)[::2]),
        "point": _Point(1.0, float("nan")),
        "": {"[]": (), "{}": ()},
    }
    codec = values(_Point)
    data = memoryview(b"".join(codec.pack(value)))
    again = codec.unpack(data)
    assert same(list(value), list(again))
    assert again["numbers"] == value["numbers"]
    assert again["point"][0] == 1.0
    assert again[""] == value[""]
    for left, right in zip(value["arrays"], again["arrays"], strict=True):
        assert same(left, right)
        assert left.dtype == right.dtype
    with pytest.raises((KeyError, TypeError)):
        values().unpack(data)


def test_a_bad_file_is_not_cached(tmp_path: Path) -> None:
    def bad() -> Predictions:
        raise DataError("a.csv is empty")

    with pytest.raises(DataError):
        cached_scores(DIGEST, bad, name="a")
    assert not (tmp_path / "scores").exists()


def test_a_cache_that_cannot_be_written_is_no_error(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("GOEMO_CACHE_DIR", str(blocked))
    scored = cached_scores(DIGEST, lambda: read_predictions(file), name="a")
    assert len(scored.predictions) == len(TEXTS)
