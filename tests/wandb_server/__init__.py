"""A stand-in W&B server for tests; README.md says what it does and what it does not."""

from tests.wandb_server.faults import Fault, Faults
from tests.wandb_server.httpd import Request
from tests.wandb_server.server import API_KEY, WandbServer

__all__ = ["API_KEY", "Fault", "Faults", "Request", "WandbServer"]
