"""`goemo-report audit`: do runs keep the guide, and are their logged numbers true?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from goemo_report.cli._complete import run_argument
from goemo_report.cli._errors import FOUND_SOMETHING
from goemo_report.cli._options import format_option, output_option, reads_runs, report_command
from goemo_report.cli._output import note, note_skipped, progress, write, write_json
from goemo_report.formats.wording import plural
from goemo_report.settings import Settings
from goemo_report.sources.model import RunQuery

if TYPE_CHECKING:
    from goemo_report.audit import Audit
    from goemo_report.report.document import Table

ORDER = 60


@report_command(
    "Check that runs keep the guide and that their numbers are true.",
    "goemo-report audit roberta-large-20241210-143022",
    "goemo-report audit --tag final --wandb-dir wandb --strict",
    "goemo-report audit --tag final --format github",
)
@run_argument("[RUN]...", nargs=-1)
@click.option("--strict", is_flag=True, help="Warnings are findings too.")
@reads_runs(filters=True)
@format_option("table", "json", "md", "github")
@output_option
@click.pass_context
def command(
    ctx: click.Context,
    runs: tuple[str, ...],
    strict: bool,
    settings: Settings,
    query: RunQuery,
    form: str,
    output: Path,
) -> None:
    """Check runs against the guide, rule by rule.

    Name, tags, config, metrics, system keys and artifacts are judged, and whether logged
    numbers are those of the predictions. Rules are waived, with a reason, by the key `waive` of
    [tool.goemo] in pyproject.toml. Takes the runs named, those that match, or both; without
    either, every run of the project. Weights are not downloaded. The exit code is 3 when there
    is an error or, with --strict, a warning.
    """
    from goemo_report.audit import audit, check_waivers, collect, unused_waivers
    from goemo_report.sources.resolve import gather

    waivers = settings.file.values.get("waive", {})
    check_waivers(waivers)
    source, listing = gather(settings.source, runs, query)
    note_skipped(listing.skipped)
    with progress() as bar:
        audits = [audit(one, waivers) for one in collect(source, listing.runs, bar)]
    _write(audits, strict, form, output)
    for name in unused_waivers(audits, waivers):
        note(f"note: every run keeps the waived rule {name}")
    if any(one.failed(strict=strict) for one in audits):
        ctx.exit(FOUND_SOMETHING)


def _write(audits: Sequence[Audit], strict: bool, form: str, output: Path) -> None:
    from goemo_report.audit import present
    from goemo_report.cli._table import write_blocks
    from goemo_report.formats.text import printable

    if form == "json":
        write_json(present.document(audits, strict=strict), output)
    elif form == "github":
        runs = plural(len(audits), "run")
        quiet = f"::notice::goemo-report audit: {runs} checked, nothing found\n"
        write(present.github_annotations(audits) or quiet, output)
    elif form == "md":
        write("\n".join(map(_markdown, audits)), output)
    else:
        blocks: list[str | Table] = []
        for one in audits:
            blocks += [printable(present.verdict(one)), *present.tables(one)]
        write_blocks(blocks, output, spare=("remedy",))


def _markdown(one: Audit) -> str:
    from goemo_report.audit import present
    from goemo_report.report.render import render_block
    from goemo_report.report.render.text import markdown_text

    parts = [f"## {markdown_text(one.run.name)}\n\n{markdown_text(present.verdict(one))}\n"]
    return "\n".join([*parts, *(render_block(table, "md") for table in present.tables(one))])
