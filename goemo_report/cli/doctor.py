"""`goemo-report doctor`: is W&B set up?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from goemo_report.cli._errors import FOUND_SOMETHING
from goemo_report.cli._options import format_option, output_option, reads_runs, report_command
from goemo_report.cli._output import note, write_json, write_lines
from goemo_report.settings import Settings

if TYPE_CHECKING:
    from goemo_report.sources.doctor import Check

ORDER = 100


@report_command(
    "Check key, host, entity, project, versions and cache.",
    "goemo-report doctor",
    "goemo-report doctor --entity my-team --format json",
    "goemo-report doctor --wandb-dir wandb",
)
@reads_runs(filters=False)
@format_option("table", "json")
@output_option
@click.pass_context
def command(ctx: click.Context, settings: Settings, form: str, output: Path) -> None:
    """Check whether W&B is set up, and say what to do where it is not.

    Key, host, entity, project, runs by tag, an artifact download, versions, cache and disk
    space; with --wandb-dir the offline runs instead of the server. The exit code is 3 when
    something failed.
    """
    from goemo_report.sources import doctor

    diagnosis = doctor.diagnose(settings.source, note)
    if form == "json":
        write_json(diagnosis.document(), output)
    else:
        write_lines(map(_line, diagnosis.checks), output)
    if diagnosis.failed:
        ctx.exit(FOUND_SOMETHING)


def _line(check: Check) -> str:
    line = f"{check.status:<8} {check.name}: {check.detail}"
    return f"{line}. {check.remedy}" if check.remedy else line
