"""Groups of seeds: which runs count as seeds, and which repeat one."""

from __future__ import annotations

from typing import Any

import pytest

from goemo_report.analysis.configs import SeedGroup


def group(*seeds: Any) -> SeedGroup:
    return SeedGroup("m", tuple(f"r{number}" for number in range(len(seeds))), seeds)


@pytest.mark.parametrize(
    ("seeds", "counted"),
    [
        ((1, 2, 3), ("r0", "r1", "r2")),
        ((1, 1, 2, 1), ("r0", "r2")),
        ((1, 1.0, "1", " 1 "), ("r0",)),
        ((None, 4, None, 5), ("r1", "r3")),
        ((None, None), ("r0",)),
        ((0, None), ("r0",)),
        (([1, 2], [1, 2]), ("r0",)),
    ],
)
def test_one_run_a_logged_seed_counts(seeds: tuple[Any, ...], counted: tuple[str, ...]) -> None:
    assert group(*seeds).counted == counted


def test_runs_are_listed_by_seed() -> None:
    assert group(7, 8, 7, None).by_seed == {"7": ("r0", "r2"), "8": ("r1",)}
