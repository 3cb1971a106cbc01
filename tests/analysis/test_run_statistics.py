"""Statistics of compared runs that were computed before."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goemo_report.analysis import run_statistics
from goemo_report.comparison import Comparison, Options, compare
from goemo_report.errors import DataError
from goemo_report.report.render import render
from goemo_report.report.sections import build_report
from goemo_report.results import RunResult
from goemo_report.statistics import differences, intervals
from goemo_report.thresholds import protocols as thresholds
from tests.offline_runs import STANDARD_RUNS
from tests.synthetic import run_result

CREATED = datetime(2024, 12, 10, tzinfo=UTC)


def digest(text: str) -> str:
    return base64.b64encode(hashlib.md5(text.encode(), usedforsecurity=False).digest()).decode()


def with_digests(result: RunResult) -> RunResult:
    splits = {
        name: replace(split, file=replace(split.file, digest=digest(f"{result.id} {name}")))
        for name, split in result.splits.items()
    }
    return replace(result, splits=splits)


RUNS = tuple(
    with_digests(run_result(run, number=number)) for number, run in enumerate(STANDARD_RUNS[:3])
)
OPTIONS = Options(resamples=100)


def document(comparison: Comparison) -> str:
    return render(build_report(comparison, created_at=CREATED, command="compare"), "json")


@pytest.fixture(scope="module")
def fresh() -> str:
    return document(compare(RUNS, options=OPTIONS))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache directory that a first report filled."""
    compare(RUNS, options=OPTIONS, cache=tmp_path).prepare()
    return tmp_path


def refuse_to_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(intervals.Analysis, "resampled", property(refused))
    monkeypatch.setattr(differences, "swapped", refused)
    monkeypatch.setattr(thresholds, "Tuned", refused)


def test_a_report_from_kept_statistics_has_the_same_bytes(
    fresh: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_compute(monkeypatch)
    assert document(compare(RUNS, options=OPTIONS, cache=cache)) == fresh


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.randoms(use_true_random=False))
def test_damaged_entries_are_computed_again(fresh: str, cache: Path, random: Random) -> None:
    entries = sorted((cache / "statistics").rglob("*/*"))
    assert len(entries) == 21  # six kinds a run, two differences, one of them tuned too
    whole = [entry.read_bytes() for entry in entries]
    for number, entry in enumerate(entries):
        data = bytearray(whole[number])
        match random.choice(["bit", "cut", "swapped"]):
            case "bit":
                data[random.randrange(len(data))] ^= 1 << random.randrange(8)
            case "cut":
                del data[random.randrange(len(data)) :]
            case "swapped":  # whole, but of something else
                data[:] = whole[number - 1]
        entry.write_bytes(data)
    assert document(compare(RUNS, options=OPTIONS, cache=cache)) == fresh
    assert [entry.read_bytes() for entry in entries] == whole


@pytest.mark.parametrize("changed", ["seed", "resamples", "file", "version", "split"])
def test_what_statistics_depend_on_makes_them_new(
    cache: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    runs, options, split = RUNS, OPTIONS, "test"
    match changed:
        case "seed":
            options = Options(resamples=100, seed=1)
        case "resamples":
            options = Options(resamples=101)
        case "version":
            monkeypatch.setattr(run_statistics, "STATISTICS_VERSION", -1)
        case "split":
            split = "val"
        case "file":
            splits = {
                name: replace(part, file=replace(part.file, digest=digest("another")))
                for name, part in RUNS[0].splits.items()
            }
            runs = (replace(RUNS[0], splits=splits), *RUNS[1:])
    refuse_to_compute(monkeypatch)
    known = compare(runs, options=options, split=split, cache=cache)  # type: ignore[arg-type] # one of SPLITS
    with pytest.raises(DataError, match=r"no intervals .*computed again. Compare the other runs"):
        _ = known.baseline.intervals
    with pytest.raises(DataError, match=r"no intervals .*computed again. Compare the other runs"):
        _ = known.baseline.differences


def test_nothing_is_kept_without_a_directory_or_a_digest(tmp_path: Path) -> None:
    splits = {
        name: replace(part, file=replace(part.file, digest="no digest"))
        for name, part in RUNS[0].splits.items()
    }
    compare([replace(RUNS[0], splits=splits)], options=OPTIONS, cache=tmp_path).prepare()
    compare(RUNS, options=OPTIONS).prepare()
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    found = compare(RUNS, options=OPTIONS, cache=blocked)
    found.prepare()
    assert all(run.intervals for run in found.runs)
