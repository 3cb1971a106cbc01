"""Reading many offline runs, as a whole process: ours beside what wandb offers.

    python -m benchmarks.read_logs [--runs 200] [--epochs 4] [--rounds 3]

The runs are made first by the real client, each with the whole guide in it. Then in turn,
medians of the rounds: listing them (config, tags, summary, state); that and every history
and artifact list; `import wandb` alone, which any use of the client pays; and
`wandb leet inspect --json` for one run, times the number of runs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.offline_runs import OfflineRun, make_runs

LIST = """
import sys
from pathlib import Path
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.offline_logs.source import LogSource
source = LogSource(Path(sys.argv[1]))
runs = source.list_runs(RunQuery.of(tag=["final"])).runs
assert len(runs) == int(sys.argv[2]), len(runs)
"""
EVERYTHING = (
    LIST
    + """
assert all(source.histories(runs).values()) and all(source.artifacts(runs).values())
"""
)
TARGET_SECONDS = 2.0


def seconds(command: list[str]) -> float:
    """Wall time of one process."""
    environment = os.environ | {"WANDB_ERROR_REPORTING": "false"}
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="time the reading of offline run logs")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        wanted = [
            OfflineRun(seed=seed, run_id=f"run{seed}", epochs=options.epochs, texts=30)
            for seed in range(options.runs)
        ]
        made = make_runs(root, wanted)
        log = next(made[0].glob("run-*.wandb"))
        size = sum(path.stat().st_size for path in root.glob("wandb/*/run-*.wandb"))
        print(f"{options.runs} runs of {options.epochs} epochs, {size / 1e6:.1f} MB of logs")
        arguments = [str(root), str(options.runs)]
        wandb = str(Path(sys.executable).with_name("wandb"))
        commands = {
            "list": [sys.executable, "-c", LIST, *arguments],
            "list, histories, artifacts": [sys.executable, "-c", EVERYTHING, *arguments],
            "import wandb": [sys.executable, "-c", "import wandb"],
            "wandb leet inspect, one run": [wandb, "leet", "inspect", "--json", str(log)],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.rounds):
            for name, command in commands.items():
                times[name].append(seconds(command))
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, value in median.items():
        print(f"{name:30} {value:6.2f} s")
    ours = median["list, histories, artifacts"]
    print(f"ours / import wandb alone: {ours / median['import wandb']:.2f}")
    inspected = median["wandb leet inspect, one run"] * options.runs
    print(f"ours / wandb leet inspect of each run: {ours / inspected:.4f}")
    print(f"target: below {TARGET_SECONDS} s: {'met' if ours < TARGET_SECONDS else 'MISSED'}")


if __name__ == "__main__":
    main()
