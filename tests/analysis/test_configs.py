"""Groups of seeds: which runs count as seeds, and which repeat one."""

from __future__ import annotations

from typing import Any

import pytest

from goemo_report.analysis.configs import SeedGroup


def group(*seeds: Any) -> SeedGroup:
    return SeedGroup("m", tuple(f"r{number}" for number in range(len(seeds))), seeds)


@pytest.mark.parametrize(
    ("seeds", "replicas"),
    [
        ((1, 2, 3), ("r0", "r1", "r2")),
        ((1, 1, 2, 1), ("r0 r1 r3", "r2")),
        ((1, 1.0, "1", " 1 "), ("r0 r1 r2 r3",)),
        ((None, 4, None, 5), ("r1", "r3")),
        ((None, None), ("r0 r1",)),
        ((0, None), ("r0",)),
        (([1, 2], [1, 2]), ("r0 r1",)),
    ],
)
def test_runs_of_one_logged_seed_stand_together(
    seeds: tuple[Any, ...], replicas: tuple[str, ...]
) -> None:
    assert tuple(map(" ".join, group(*seeds).replicas)) == replicas


def test_runs_are_listed_by_seed() -> None:
    assert group(7, 8, 7, None).by_seed == {"7": ("r0", "r2"), "8": ("r1",)}
