"""Seconds, requests and memory of listing, filtering, comparing and exporting, as runs grow.

    python benchmarks/scale.py [--runs 100 1000 10000] [--top 20] [--texts 2000]

Whole processes against the stand-in server of the tests. The `--top` runs with the best logged
figure have predictions, the others none, since nothing else is read of them. Targets: what is
filtered on the server and what is limited takes as long, whatever the project holds (1.5 times at
most from the smallest to the largest); listing and comparing grow by the listing alone, and no
process takes more than 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from online import predictions

from tests.wandb_server import WandbServer
from tests.wandb_server.seeding import SeedArtifact, SeedRun

FILTER = "config.learning_rate > 0.5"
MEMORY = 1_000_000_000
_PROGRAM = """
import atexit, pathlib, re
status = pathlib.Path("/proc/self/status")
most = lambda: re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]
atexit.register(lambda: pathlib.Path("memory").write_text(most()))
from goemo_report.cli import main
main()
"""


def seeds(count: int, top: int, texts: int) -> list[SeedRun]:
    """Runs with a guide's config and summary; the last `top` are the best and have predictions."""
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            best = number >= count - top
            files = predictions(number, texts, Path(folder)) if best else {}
            artifacts = [
                SeedArtifact(f"m-{split}-predictions-run{number}", "dataset",
                             {f"{split}_predictions.csv": content})
                for split, content in files.items()
            ]  # fmt: skip
            figures = {f"test/{name}_{at}": 0.5 for name in ("f1", "precision") for at in range(28)}
            made.append(
                SeedRun(
                    id=f"run{number}",
                    name=f"m-20241210-{number:06d}",
                    tags=["sweep", *(["final"] if best else [])],
                    config={"model_name": "m", "learning_rate": float(best), "random_seed": number},
                    summary={"val/macro_f1": 0.4 + 0.4 * best, **figures},
                    history=[{"epoch": 1, "val/auc": 0.8}],
                    artifacts=artifacts,
                )
            )
    return made


def measured(server: WandbServer, home: Path, *words: str) -> tuple[float, float, int, int]:
    """Seconds, seconds computing, requests and the most bytes in memory of one process."""
    command = [sys.executable, "-c", _PROGRAM, *words]
    environment = server.env(home) | {"GOEMO_CACHE_DIR": str(home / "goemo")}
    environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", str(Path.cwd()))
    server.forget_requests()
    started = time.perf_counter()
    with (home / "out").open("wb") as out:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=out, stderr=out)
        _, status, usage = os.wait4(process.pid, 0)  # whose memory is also that of this process
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit((home / "out").read_text()[-2000:])
    seconds, computed = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    return seconds, computed, server.count(), 1024 * int((home / "memory").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--top", type=int, default=20)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--tasks", nargs="+", default=[], help="only these, as they are printed")
    chosen = parser.parse_args()
    top = ("--top", str(chosen.top))
    tasks = {
        "list": ("runs", "--format", "json", "-o", "runs.json"),
        "limit": ("runs", "--limit", "20"),
        "filter by tag": ("runs", "--tag", "final"),
        "filter by config": ("runs", "--where", FILTER),
        "compare by tag": ("compare", "--tag", "final", *top),
        "compare all": ("compare", *top),
        "export all": ("export", *top, "-o", "runs.parquet"),
    }
    found: dict[str, list[float]] = {}
    most = 0
    for count in chosen.runs:
        with (
            tempfile.TemporaryDirectory(prefix="goemo-scale-") as folder,
            WandbServer() as server,
        ):
            server.seed(seeds(count, chosen.top, chosen.texts))
            for task, words in tasks.items():
                if chosen.tasks and task not in chosen.tasks:
                    continue
                seconds, computed, requests, memory = measured(server, Path(folder), *words)
                most = max(most, memory)
                found.setdefault(task, []).append(computed)
                print(f"{count:7,} runs  {task:18} {seconds:7.2f} s ({computed:6.2f} s computing) "
                      f"{requests:6} requests {memory / 1e6:6.0f} MB", flush=True)  # fmt: skip
            if "list" in found:
                listed = json.loads((Path(folder) / "runs.json").read_text())["runs"]
                assert len(listed) == count
    for task, times in found.items():
        print(f"{task:18} {times[-1] / times[0]:6.2f} times the computing, most runs to least")
    print(f"most memory {most / 1e6:.0f} MB, {'within' if most < MEMORY else 'above'} 1 GB")


if __name__ == "__main__":
    main()
