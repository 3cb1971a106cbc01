"""A stand-in W&B server for tests; README.md says what it does and what it does not."""

from tests.wandb_server.client import run_client
from tests.wandb_server.faults import Fault, Faults
from tests.wandb_server.httpd import Request
from tests.wandb_server.seeding import SeedArtifact, SeedRun
from tests.wandb_server.server import API_KEY, PROJECT, WandbServer

__all__ = [
    "API_KEY",
    "PROJECT",
    "Fault",
    "Faults",
    "Request",
    "SeedArtifact",
    "SeedRun",
    "WandbServer",
    "run_client",
]
