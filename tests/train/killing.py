"""A trainer that dies before a chosen change of its directory, as in a power loss.

`PREPARE=tests.train.killing:install` has `forked` call `install` in the trainer: it counts the
renames and removals below `KILL_BELOW`, writes them to `KILL_LOG` and ends the process before
number `KILL_AT`.
"""

from __future__ import annotations

import os
import sys
from typing import Any

EVENTS = ("os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


def install() -> None:
    below, at = os.environ["KILL_BELOW"], int(os.environ["KILL_AT"])
    log = os.open(os.environ["KILL_LOG"], os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in EVENTS and str(arguments[0]).startswith(below):
            count += 1
            os.write(log, f"{event} {arguments[0]}\n".encode())
            if count == at:
                os._exit(9)

    sys.addaudithook(hook)
