"""Lines and seconds of docs/python.md's script by hand, beside the same by `goemo_report`.

    python benchmarks/by_hand.py [RUNS]

Both are whole processes that read the same made-up runs of 5,427 texts from the stand-in server of
the tests, with an empty cache.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from online import measure, seed

from tests.wandb_server import WandbServer

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    scripts = re.findall(r"```python (by hand|library)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    with WandbServer() as server:
        seed(server, runs, runs, 5427)
        for name, script in scripts:
            with tempfile.TemporaryDirectory() as home:
                found = measure(server, [sys.executable, "-c", script], Path(home))
            lines = sum(bool(line.strip()) for line in script.splitlines())
            seconds = f"{found.seconds:6.1f} s, {found.computed:6.1f} s of processor"
            print(f"{name:<8} {lines:3} lines {seconds}")


if __name__ == "__main__":
    main()
