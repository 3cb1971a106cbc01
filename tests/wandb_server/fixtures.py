"""Fixtures around the stand-in W&B server; ask for them with
`pytest_plugins = ["tests.wandb_server.fixtures"]` or import them into a test module.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wandb_server import WandbServer


@pytest.fixture
def wandb_server() -> Iterator[WandbServer]:
    """An empty server. The test fails where a client sent what the schema lacks."""
    with WandbServer() as server:
        yield server
        problems = list(server.problems)
    assert not problems


@pytest.fixture(scope="module")
def shared_server() -> Iterator[WandbServer]:
    """One server for a module: give each test its own project, leave no faults behind."""
    with WandbServer() as server:
        yield server
        problems = list(server.problems)
    assert not problems
