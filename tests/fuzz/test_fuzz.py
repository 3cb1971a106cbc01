"""No bytes end in anything but a value or a refusal of one line.

`make test` tries a few hundred mutations of each target, the slow test a minute of them; by hand

    python -m tests.fuzz.test_fuzz predictions --seconds 600 --seed 7

goes on for longer and prints what it finds, ready for `tests/fuzz/corpus/NAME/`. The mutations are
our own: in the same time, with the same seeds and tokens, Atheris came to 233 different refusals of
prediction files where they came to 2,465, and to 777 of settings where they came to 1,549.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.targets import Target, hold, packed, targets

NAMES = ("predictions", "log", "records", "manifest", "store", "settings")


def fuzz(target: Target, folder: Path, *, seconds: float, most: int, seed: int) -> int:
    """Mutations tried until the time or their number is up; a find is an AssertionError."""
    generator = random.Random(seed)
    end, tried = time.monotonic() + seconds, 0
    while tried < most and time.monotonic() < end:
        data = mutated(generator, target.seeds)
        if target.name == "predictions" and tried % 5 == 0:
            data = packed(data)
        try:
            hold(target, data, folder)
        except Exception as error:
            found = Path(tempfile.gettempdir(), f"goemo-fuzz-{target.name}-{seed}-{tried}")
            found.write_bytes(data)
            raise AssertionError(f"{target.name}: {error!r}; the input is {found}") from error
        tried += 1
    return tried


@pytest.fixture(autouse=True)
def no_machine_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOEMO_CACHE_DIR", str(tmp_path / "own-cache"))


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_a_few_mutations(name: str, tmp_path: Path) -> None:
    target = targets(tmp_path)[name]
    for seed in target.seeds:
        hold(target, seed, tmp_path)
    assert fuzz(target, tmp_path, seconds=20, most=150, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_ten_seconds_of_mutations(name: str, tmp_path: Path) -> None:
    assert fuzz(targets(tmp_path)[name], tmp_path, seconds=10, most=10**9, seed=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        target = targets(Path(folder))[options.name]
        tried = fuzz(target, Path(folder), seconds=options.seconds, most=10**9, seed=options.seed)
    print(f"{options.name}: nothing found in {tried:,} mutations")


if __name__ == "__main__":
    main()
