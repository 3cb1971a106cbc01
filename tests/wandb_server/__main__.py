"""Run the stand-in server for a person or a benchmark: `python -m tests.wandb_server`."""

from __future__ import annotations

import argparse
import time

from tests.wandb_server.seeding import SeedRun
from tests.wandb_server.server import API_KEY, PROJECT, WandbServer


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.wandb_server", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds added to each request")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="start with N runs")
    parser.add_argument("--project", default=PROJECT)
    parser.add_argument("--api-key", default=API_KEY)
    arguments = parser.parse_args()
    server = WandbServer(port=arguments.port, api_key=arguments.api_key, latency=arguments.latency)
    runs = [SeedRun(id=f"seed{number:05}", tags=("final",)) for number in range(arguments.seed)]
    server.seed(runs, arguments.project)
    with server:
        print(f"export WANDB_BASE_URL={server.url} WANDB_API_KEY={server.api_key}", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print(f"{len(server.requests)} requests served", flush=True)


if __name__ == "__main__":
    main()
