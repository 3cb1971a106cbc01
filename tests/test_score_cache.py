"""Scores of files that were read before."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from goemo_report import score_cache
from goemo_report.contract import EMOTIONS
from goemo_report.errors import DataError
from goemo_report.metrics import Scores, score
from goemo_report.predictions import Predictions, read_predictions, write_predictions
from goemo_report.score_cache import cached_scores, known_scores

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
    return bool(left == right)


def test_a_second_time_reads_nothing_and_gives_the_same(file: Path, tmp_path: Path) -> None:
    first = cached_scores("digest", lambda: read_predictions(file), name="a", root=tmp_path)
    again = cached_scores("digest", refuse, name="a.csv", root=tmp_path)
    assert again[0].texts == TEXTS
    assert again[0].source == "a.csv"
    for name in ("truth", "probabilities", "predicted", "labels"):
        assert same(getattr(first[0], name), getattr(again[0], name)), name
    assert same(first[1], again[1])
    computed: Scores = score(first[0].truth, first[0].probabilities, EMOTIONS, 0.5)
    assert same(again[1], computed)


def test_another_threshold_digest_or_version_is_computed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached_scores("digest", lambda: read_predictions(file), name="a", root=tmp_path)
    assert known_scores("digest", name="a", threshold=0.3, root=tmp_path) is None
    assert known_scores("other", name="a", root=tmp_path) is None
    assert known_scores("", name="a", root=tmp_path) is None
    monkeypatch.setattr(score_cache, "METRICS_VERSION", -1)
    assert known_scores("digest", name="a", root=tmp_path) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_entry_is_computed_again(file: Path, tmp_path: Path, damage: str) -> None:
    cached_scores("digest", lambda: read_predictions(file), name="a", root=tmp_path)
    [entry] = (tmp_path / "scores").rglob("*.npz")
    data = bytearray(entry.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 0xFF
    kept = {"cut": len(data) // 2, "flip": len(data), "empty": 0}[damage]
    entry.write_bytes(data[:kept])
    assert known_scores("digest", name="a", root=tmp_path) is None
    predictions, _ = cached_scores(
        "digest", lambda: read_predictions(file), name="a", root=tmp_path
    )
    assert predictions.texts == TEXTS


def test_a_bad_file_is_not_cached(tmp_path: Path) -> None:
    def bad() -> Predictions:
        raise DataError("a.csv is empty")

    with pytest.raises(DataError):
        cached_scores("digest", bad, name="a", root=tmp_path)
    assert not (tmp_path / "scores").exists()


def test_a_cache_that_cannot_be_written_is_no_error(file: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    predictions, _ = cached_scores("d", lambda: read_predictions(file), name="a", root=blocked)
    assert len(predictions) == len(TEXTS)
