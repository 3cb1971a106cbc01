"""Scores of files that were read before."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_report.caches import score_cache
from goemo_report.caches.score_cache import cached_scores, known_scores
from goemo_report.contract import EMOTIONS
from goemo_report.errors import DataError
from goemo_report.metrics.scores import score
from goemo_report.predictions import Predictions, read_predictions, write_predictions

DIGEST = "RaYVnnZTLaAJrHKJZtV5cQ=="
TEXTS = ("plain", 'two\nlines, "quoted"', "naïve ☃", "")


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
    return bool(left == right) or (left != left and right != right)  # nan


def test_a_second_time_reads_nothing_and_gives_the_same(file: Path, tmp_path: Path) -> None:
    first = cached_scores(DIGEST, lambda: read_predictions(file), name="a", root=tmp_path)
    again = cached_scores(DIGEST, refuse, name="a.csv", root=tmp_path)
    assert again.predictions.texts == TEXTS
    assert again.predictions.source == "a.csv"
    for name in ("truth", "probabilities", "predicted", "labels"):
        assert same(getattr(first.predictions, name), getattr(again.predictions, name)), name
    assert same(first.scores, again.scores)
    assert again.as_logged is again.scores
    held = first.predictions
    assert same(again.scores, score(held.truth, held.probabilities, EMOTIONS, 0.5))


def test_labels_at_another_threshold_are_scored_as_logged(file: Path, tmp_path: Path) -> None:
    first = cached_scores(
        DIGEST, lambda: read_predictions(file), name="a", threshold=0.3, root=tmp_path
    )
    again = cached_scores(DIGEST, refuse, name="a", threshold=0.3, root=tmp_path)
    assert not same(first.scores.counts, first.as_logged.counts)
    assert same(first.as_logged, again.as_logged)
    assert same(first.scores, again.scores)


def test_another_threshold_digest_or_version_is_computed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_scores(DIGEST, lambda: read_predictions(file), name="a", root=tmp_path)
    assert known_scores(DIGEST, name="a", threshold=0.3, root=tmp_path) is None
    assert known_scores(DIGEST[::-1][2:] + "==", name="a", root=tmp_path) is None
    assert known_scores("", name="a", root=tmp_path) is None
    cached_scores("no digest", lambda: read_predictions(file), name="a", root=tmp_path)
    assert known_scores("no digest", name="a", root=tmp_path) is None
    monkeypatch.setattr(score_cache, "METRICS_VERSION", -1)
    assert known_scores(DIGEST, name="a", root=tmp_path) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_entry_is_computed_again(file: Path, tmp_path: Path, damage: str) -> None:
    cached_scores(DIGEST, lambda: read_predictions(file), name="a", root=tmp_path)
    [entry] = (tmp_path / "scores").rglob("*.npz")
    data = bytearray(entry.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 0xFF
    kept = {"cut": len(data) // 2, "flip": len(data), "empty": 0}[damage]
    entry.write_bytes(data[:kept])
    assert known_scores(DIGEST, name="a", root=tmp_path) is None
    scored = cached_scores(DIGEST, lambda: read_predictions(file), name="a", root=tmp_path)
    assert scored.predictions.texts == TEXTS


def test_a_bad_file_is_not_cached(tmp_path: Path) -> None:
    def bad() -> Predictions:
        raise DataError("a.csv is empty")

    with pytest.raises(DataError):
        cached_scores(DIGEST, bad, name="a", root=tmp_path)
    assert not (tmp_path / "scores").exists()


def test_a_cache_that_cannot_be_written_is_no_error(file: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    scored = cached_scores(DIGEST, lambda: read_predictions(file), name="a", root=blocked)
    assert len(scored.predictions) == len(TEXTS)
