"""Helper processes that read prediction files ahead."""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path

import numpy as np
import pytest

from goemo_report.labels import EMOTIONS
from goemo_report.predictions import read_predictions, write_predictions
from goemo_report.results.score_cache import (
    Unread,
    is_kept,
    known_scores,
    reading_ahead,
    score_both,
)
from goemo_report.sources.store import cache_directory

PATIENCE = 60.0


@pytest.fixture
def files(tmp_path: Path) -> list[Unread]:
    found = []
    for number in range(3):
        random = np.random.default_rng(number)
        truth = random.random((4, len(EMOTIONS))) < 0.3
        path = tmp_path / f"{number}.csv"
        write_predictions(
            path, ["a", "b", "ç", ""], truth, random.random(truth.shape), 0.5, EMOTIONS
        )
        md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).digest()
        digest = base64.b64encode(md5).decode()
        found.append(Unread(path, digest, f"run/{number}.csv", path.stat().st_size))
    return found


def wait_for(digest: str) -> bool:
    until = time.monotonic() + PATIENCE
    while not is_kept(digest) and time.monotonic() < until:
        time.sleep(0.02)
    return is_kept(digest)


def test_a_helper_leaves_what_reading_here_would(
    files: list[Unread], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "json.py").write_text("raise SystemExit('run from the working directory')")
    monkeypatch.chdir(elsewhere)
    files[2].path.write_text("no prediction file")  # it has nothing to say about that
    with reading_ahead(files, cores=2, per_helper=1):
        assert wait_for(files[0].digest)
    for file in files[:2]:
        known = known_scores(file.digest, name=file.name)
        assert known is not None
        here = score_both(read_predictions(file.path, name=file.name))
        assert known.predictions.texts == here.predictions.texts
        assert known.predictions.source == file.name
        assert np.array_equal(known.predictions.probabilities, here.predictions.probabilities)
        assert known.scores.overall == here.scores.overall
    assert not is_kept(files[2].digest)
    assert not list(cache_directory().rglob("*.part"))


def test_helpers_share_the_files_from_the_end(files: list[Unread]) -> None:
    with reading_ahead(files, cores=3, per_helper=1):
        assert all(wait_for(file.digest) for file in files)


def test_a_helper_waits_for_files_that_are_still_to_come(
    files: list[Unread], tmp_path: Path
) -> None:
    hidden = files[1].path.rename(tmp_path / "part")
    with reading_ahead(files, cores=2, per_helper=1):
        assert wait_for(files[0].digest)
        assert not is_kept(files[1].digest)
        hidden.rename(files[1].path)
        assert wait_for(files[1].digest)


@pytest.mark.parametrize(("cores", "per_helper"), [(1, 1), (4, 1 << 20)])
def test_one_core_or_few_bytes_start_nothing(
    files: list[Unread], monkeypatch: pytest.MonkeyPatch, cores: int, per_helper: int
) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a process started"))
    with reading_ahead(files, cores=cores, per_helper=per_helper):
        pass


def test_where_no_process_can_start_the_caller_reads_alone(
    files: list[Unread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/interpreter")
    with reading_ahead(files, cores=2, per_helper=1):
        pass
    assert not is_kept(files[0].digest)


def test_helpers_end_with_the_caller(files: list[Unread]) -> None:
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), reading_ahead(files * 500, cores=2, per_helper=1):
        raise KeyboardInterrupt
    assert time.monotonic() - started < PATIENCE / 2
