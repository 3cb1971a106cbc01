"""Requests and seconds of `compare` and `runs` online, beside the straightforward script.

    python benchmarks/online.py [--runs 20] [--listed 1000] [--texts 5427] [--latency 0.1]

The stand-in server of the tests adds the latency to every request. The script is what people
write against wandb.Api: loop over the runs, read config, summary and history, list the
artifacts and download the predictions. It computes nothing, while `compare` also scores and
writes its reports; `reading` is the part of it before any statistics: listing, downloads,
checks and scores. What a warm `compare` takes beyond a warm `reading` is the report, what a cold
one takes beyond both the statistics: the script has neither. All are whole processes, one after
the other on the same machine.
Targets: listing in ceil(runs / page) + 5 requests; `compare` cold in at most 0.2 of the
script's time, warm in at most 5 requests more than the listing and under 3 s.
"""

from __future__ import annotations

import argparse
import math
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from goemo_report.contract import PROJECT
from goemo_report.labels import EMOTIONS
from goemo_report.predictions import write_predictions
from goemo_report.sources.wandb_api.queries import RUNS_PER_PAGE
from tests.wandb_server import WandbServer
from tests.wandb_server.seeding import SeedArtifact, SeedRun

COMMAND = Path(sys.executable).with_name("goemo-report")

SCRIPT = f"""
import sys, wandb
api = wandb.Api()
found = []
for run in api.runs(f"{{api.default_entity}}/{PROJECT}", filters={{"tags": sys.argv[1]}}):
    row = {{"name": run.name, "config": dict(run.config), "summary": dict(run.summary)}}
    row["history"] = list(run.history(pandas=False))
    for artifact in run.logged_artifacts():
        if "predictions" in artifact.name:
            row[artifact.name] = artifact.download()
    found.append(row)
print(len(found))
"""

LISTING_SCRIPT = f"""
import json, wandb
api = wandb.Api()
print(json.dumps([
    {{"name": run.name, "config": dict(run.config), "summary": dict(run.summary)}}
    for run in api.runs(f"{{api.default_entity}}/{PROJECT}")
], default=str)[:10])
"""

READING = """
from goemo_report.sources.conditions import RunQuery
from goemo_report.results.loading import load_results
from goemo_report.settings import SourceChoice
from goemo_report.sources.resolve import open_source
source = open_source(SourceChoice())
print(len(load_results(source, source.list_runs(RunQuery.of(tag=["final"])).runs)))
"""


@dataclass
class Measured:
    """One process: how long, how much of that it computed, and what it asked."""

    seconds: float
    computed: float
    requests: Counter[str]
    count: int


def predictions(seed: int, texts: int, folder: Path) -> dict[str, bytes]:
    """Prediction files of one run for both splits; truth and texts are shared by all."""
    files = {}
    for number, split in enumerate(("val", "test")):
        common = np.random.default_rng(number)
        truth = common.random((texts, len(EMOTIONS))) < 0.04
        own = np.random.default_rng([seed, number])
        logits = 4.0 * truth - 3.0 + own.normal(size=truth.shape)
        path = folder / f"{split}_predictions.csv"
        rows = [f"text {row} of {split}" for row in range(texts)]
        write_predictions(path, rows, truth, 1 / (1 + np.exp(-logits)), 0.5, EMOTIONS)
        files[split] = path.read_bytes()
    return files


def seed(server: WandbServer, runs: int, listed: int, texts: int) -> None:
    """Runs with predictions, tagged final, and as many others as make `listed` in all."""
    summary = {f"test/{s}_{e}": 0.5 for s in ("f1", "precision", "recall") for e in EMOTIONS}
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for number in range(listed):
            artifacts = []
            if number < runs:
                model = "roberta-large" if number % 2 else "distilbert-base"
                artifacts = [
                    SeedArtifact(
                        f"{model}-{split}-predictions-run{number}",
                        "dataset",
                        {f"{split}_predictions.csv": content},
                    )
                    for split, content in predictions(number, texts, Path(folder)).items()
                ]
            made.append(
                SeedRun(
                    id=f"run{number}",
                    name=f"model{number % 2}-20241210-{number:06d}",
                    tags=["final"] if number < runs else ["experimental"],
                    config={"model_name": f"model{number % 2}", "random_seed": number // 2},
                    summary=summary,
                    history=[{"epoch": n + 1, "val/auc": 0.8 + n / 100} for n in range(4)],
                    artifacts=artifacts,
                )
            )
    server.seed(made)


def measure(server: WandbServer, command: list[str | Path], home: Path) -> Measured:
    """Run a whole process against the server."""
    environment = server.env(home) | {"GOEMO_CACHE_DIR": str(home / "goemo")}
    server.forget_requests()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    computed = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(seconds, computed, server.counts(), server.count())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--listed", type=int, default=1000)
    parser.add_argument("--texts", type=int, default=5427)
    parser.add_argument("--latency", type=float, default=0.1)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="goemo-benchmark-"))
    try:
        with WandbServer(latency=options.latency) as server:
            seed(server, options.runs, options.listed, options.texts)
            compare: list[str | Path] = [COMMAND, "compare", "--tag", "final"]
            script: list[str | Path] = [sys.executable, "-c", SCRIPT, "final"]
            alone = measure(server, script, home)
            whole = show("compare", server, compare, alone, home)
            shutil.rmtree(home / "goemo")
            reading = show("reading", server, [sys.executable, "-c", READING], alone, home)
            for what, unit in (("seconds", "s"), ("computed", "s computing")):
                cold, warm, fetched, kept = (getattr(one, what) for one in (*whole, *reading))
                report = warm - kept
                print(
                    f"compare, cold: {fetched:.2f} {unit} to download, check and score, "
                    f"{cold - fetched - report:.2f} for statistics, {report:.2f} for the report"
                )
            listing: list[str | Path] = [COMMAND, "runs", "--format", "json"]
            alone = measure(server, [sys.executable, "-c", LISTING_SCRIPT], home)
            _, listed = show("runs", server, listing, alone, home)
            pages = math.ceil(options.listed / RUNS_PER_PAGE)
            print(f"listing: {listed.count} requests, at most {pages + 5} wanted")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def show(
    name: str,
    server: WandbServer,
    command: list[str | Path],
    straightforward: Measured,
    home: Path,
) -> tuple[Measured, Measured]:
    """Print script, cold and warm side by side; gives the last two."""
    cold = measure(server, command, home)
    warm = measure(server, command, home)
    for label, one in (("script", straightforward), ("cold", cold), ("warm", warm)):
        ratio = one.seconds / straightforward.seconds
        asked = dict(one.requests.most_common())
        print(f"{name:8} {label:7} {one.seconds:7.2f} s ({one.computed:6.2f} s computing)  "
              f"{ratio:5.2f} of the script  "
              f"{one.count:5} requests  {asked}", flush=True)  # fmt: skip
    return cold, warm


if __name__ == "__main__":
    main()
