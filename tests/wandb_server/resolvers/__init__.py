"""The answers to GraphQL fields; importing the modules registers them."""

from tests.wandb_server.resolvers import (
    account,
    artifact_writes,
    artifacts,
    collections,
    history,
    run_writes,
    runs,
    sweeps,
    views,
)

MODULES = (
    account,
    artifact_writes,
    artifacts,
    collections,
    history,
    run_writes,
    runs,
    sweeps,
    views,
)
