"""Runs Python with the real client in a process of its own, against one server."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from tests.wandb_server.server import WandbServer

_BEFORE = """\
import json, os, subprocess, sys
import wandb
result = {}
def attempt(function):
    try:
        return function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""
# At once, as the client's helper process does not always end when it is told to.
_AFTER = '\nprint("\\nRESULT " + json.dumps(result), flush=True)\nos._exit(0)\n'


def run_client(
    server: WandbServer, code: str, home: Path, *, timeout: float = 180.0, **environment: str
) -> Any:
    """Run `code`, which may use `wandb` and `attempt(function)`, and give back its `result`.

    `attempt` turns an exception into "Type: message". `home` is private to the client and its
    working directory. Raises AssertionError with the output where the process failed.
    """
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", _BEFORE + textwrap.dedent(code) + _AFTER],
        env=server.env(home) | environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines, done.stdout + done.stderr
    return json.loads(lines[-1].removeprefix("RESULT "))
