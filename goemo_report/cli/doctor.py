"""`goemo-report doctor`: is W&B set up?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from goemo_report.api import setup
from goemo_report.cli import _options as takes
from goemo_report.cli._output import note, write_answer

ORDER = 100


@takes.command(
    "Check key, host, entity, project, versions and cache.",
    "goemo-report doctor",
    "goemo-report doctor --entity my-team --format json",
    "goemo-report doctor --wandb-dir wandb",
)
@takes.source(filters=False)
@takes.form("table", "json")
@takes.output
def command(asked: dict[str, Any], form: str, output: Path) -> None:
    """Check whether W&B is set up, and say what to do where it is not.

    Key, host, entity, project, runs by tag, an artifact download, versions, cache and disk
    space; with --wandb-dir the offline runs instead of the server. The exit code is 3 when
    something failed.
    """
    found = setup.diagnose(notify=note, **asked)
    write_answer(found, form, output, passed=not found.failed)
