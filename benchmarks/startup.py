"""Wall time of `goemo-report --help` beside `wandb --help`.

    python benchmarks/startup.py [--rounds 9]

Whole processes in turn, ratio of the medians. Target: at most 0.25.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

TARGET = 0.25


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    programs = [
        [str(Path(sys.executable).with_name(name)), "--help"] for name in ("goemo-report", "wandb")
    ]
    for program in programs:  # warms the file cache
        seconds(program)
    times = [[seconds(program) for program in programs] for _ in range(rounds)]
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"goemo-report --help  {ours:6.3f} s")
    print(f"wandb --help         {theirs:6.3f} s")
    print(f"ratio {ours / theirs:.3f} (target {TARGET}), {rounds} rounds")


if __name__ == "__main__":
    main()
