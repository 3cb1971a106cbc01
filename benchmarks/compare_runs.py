"""The whole `goemo-report compare` on offline runs of full size, as a process.

    python -m benchmarks.compare_runs [--runs 20] [--texts 5427] [--rounds 3]

The runs are made first by the real client. Then in turn, medians of the rounds: half of
them and all of them, with every section and HTML, Markdown and JSON written, once with
nothing kept of earlier reports and once with the scores that the first report kept. The
ratio of all to half says whether cost is linear in runs.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.offline_runs import OfflineRun, make_runs

MODELS = ("distilbert-base", "roberta-large", "bert-base", "minilm")
TARGET_SECONDS = 10.0
TARGET_BYTES = 1.5e9
TARGET_HTML = 2.5e6


def seconds(root: Path, tag: str, cache: Path) -> tuple[float, float]:
    """Wall and processor time of one comparison."""
    command = [sys.executable, "-m", "goemo_report", "compare", "--tag", tag]
    command += ["--wandb-dir", str(root), "--output", str(root / "reports"), "--name", tag]
    environment = os.environ | {"GOEMO_CACHE_DIR": str(cache)}
    started, used = time.perf_counter(), processor_time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - started, processor_time() - used


def processor_time() -> float:
    """Seconds that child processes have used so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description="time the comparison of many runs")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--texts", type=int, default=5427)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        wanted = [
            OfflineRun(
                model=MODELS[n % 4],
                seed=n // 4,
                quality=0.55 + 0.3 * n / options.runs,
                texts=options.texts,
                tags=("all", "half") if n < options.runs // 2 else ("all",),
            )
            for n in range(options.runs)
        ]
        make_runs(root, wanted)
        cold: dict[str, list[tuple[float, float]]] = {"half": [], "all": []}
        warm: dict[str, list[tuple[float, float]]] = {"half": [], "all": []}
        for turn in range(options.rounds):
            for tag in cold:
                cache = root / f"cache-{turn}-{tag}"
                cold[tag].append(seconds(root, tag, cache))
                warm[tag].append(seconds(root, tag, cache))
        html = (root / "reports" / "all.html").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    for name, times in (("nothing kept", cold), ("scores kept", warm)):
        half, whole = (
            tuple(statistics.median(column) for column in zip(*times[tag], strict=True))
            for tag in ("half", "all")
        )
        print(
            f"{name}: {options.runs // 2} runs {half[0]:.2f} s (processor {half[1]:.2f} s), "
            f"{options.runs} runs {whole[0]:.2f} s (processor {whole[1]:.2f} s), "
            f"ratio of processor time {whole[1] / half[1]:.2f} (linear: at most 2)"
        )
    worst = statistics.median(wall for wall, _ in cold["all"])
    print(f"target {TARGET_SECONDS:g} s: {'kept' if worst <= TARGET_SECONDS else 'MISSED'}")
    print(f"peak memory {peak / 1e6:.0f} MB (target {TARGET_BYTES / 1e6:.0f} MB)")
    print(f"HTML {html / 1e6:.2f} MB (target {TARGET_HTML / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
