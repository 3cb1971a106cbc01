"""`goemo-report sync`: offline runs to W&B, with proof."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from goemo_report.api import setup
from goemo_report.cli import _options as takes
from goemo_report.cli._output import note, note_skipped, write_answer
from goemo_report.formats.wording import plural

ORDER = 90


@takes.command(
    "Upload offline runs and prove that they arrived.",
    "goemo-report sync wandb/offline-run-20241210_143022-abc123",
    "goemo-report sync wandb",
    "goemo-report sync --tag final --wandb-dir wandb --entity my-team",
)
@takes.run("[RUN|DIR]...", nargs=-1)
@takes.number(
    "--timeout",
    "Stop an upload after so long.  [default: by its size, at least 120]",
    metavar="SECONDS",
)
@takes.source(filters=True, trackers=False)
@takes.form("table", "json")
@takes.output
def command(
    runs: tuple[str, ...], asked: dict[str, Any], form: str, output: Path, **options: Any
) -> None:
    """Upload offline runs with `wandb sync`, then read back what arrived.

    RUN is an id, a name or a directory of an offline run; all runs below a DIR, or below the DIR
    of --wandb-dir alone, are sent.
    `wandb sync` reports success even when nothing arrived. Here config, every history step,
    summary, tags, state and each artifact (by digest) are compared with the log, and what is
    missing is sent again by itself. The exit code is 1 while anything is missing.
    """
    if not (runs or any(asked[name] for name in takes.FILTERS) or asked["wandb_dir"]):
        raise click.UsageError(
            "Name runs or directories, choose runs with --tag, "
            "or give --wandb-dir DIR for all runs below DIR."
        )
    found = setup.sync(*runs, **options, **asked, notify=note)
    note_skipped(found.skipped)
    write_answer(found, form, output)
    if found.missing:
        of = plural(len(found.arrivals), "run")
        note(f"error: not whole on the server: {found.missing} of {of}")
        raise click.exceptions.Exit(1)
