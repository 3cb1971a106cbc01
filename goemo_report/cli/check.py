"""`goemo-report check`: the quality gate."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

import goemo_report as gr
from goemo_report.cli import _options as takes
from goemo_report.cli._group import FOUND_SOMETHING
from goemo_report.cli._output import note, note_all, note_skipped, progress, write, write_answer

ORDER = 70
_CONDITIONS: Final = (
    *("fail_under", "fail_over", "max_drop"),
    *("require_artifacts", "require_audit"),
)
_limit = partial(click.option, metavar="METRIC=VALUE", multiple=True)


@takes.command(
    "Quality gate: fail where a run is not good enough.",
    "goemo-report check --tag final --fail-under macro_f1=0.45 --fail-under f1_joy=0.5",
    "goemo-report check RUN_B --baseline RUN_A --max-drop macro_f1=0.01 --confidence 0.95",
    "goemo-report check --tag final --require-artifacts --require-audit --junit gate.xml",
)
@takes.run("[RUN]...", nargs=-1)
@_limit("--fail-under", help="Fail where a metric is lower; repeatable.")
@_limit(
    "--fail-over", help="Fail where a metric is higher, as a loss or a time may be; repeatable."
)
@click.option("--baseline", metavar="RUN", help="Run that --max-drop compares with.")
@_limit(
    "--max-drop",
    help="Fail where a metric is worse than the baseline's by more; repeatable. VALUE alone is "
    "that of macro_f1.",
)
@takes.number(
    "--confidence",
    "Judge the worse bound of the interval of this confidence, say 0.95, not the point value.",
    metavar="LEVEL",
)
@click.option("--require-artifacts", is_flag=True, help="Fail where the four are not complete.")
@click.option("--require-audit", is_flag=True, help="Fail where `audit` finds an error.")
@takes.split("Split of metrics without a prefix test/ or val/.")
@takes.file("--junit", meaning="Also write the conditions as JUnit XML.")
@takes.source(filters=True)
@takes.artifact
@takes.validation
@takes.labels(rolls_up=True)
@takes.form("table", "json", "md")
@takes.output
def command(
    runs: tuple[str, ...],
    junit: Path | None,
    asked: dict[str, Any],
    form: str,
    output: Path,
    **options: Any,
) -> None:
    """Judge runs by conditions; the exit code is 3 when one fails.

    Metrics are recomputed from the predictions at threshold 0.5: any overall or per-class one
    (macro_f1, auc, f1_joy, recall_fear), also as val/macro_f1 or in another spelling (f1_macro);
    other logged figures are taken as logged. By point value or, with --confidence 0.95, by the
    worse bound of the 95% interval: a run passes --fail-under when the lower bound reaches
    VALUE, and --max-drop when the paired difference's does. Every run that is named or matches
    must pass every condition.
    """
    _check_usage(click.get_current_context(), {**options, "junit": junit, "output": output})
    with progress() as bar:
        chosen = gr.runs(*runs, **asked, progress=bar)
        note_skipped(chosen.skipped)
        found = chosen.check(**options)
    if junit is not None:
        write(found.render("junit"), junit)
    write_answer(found, form, output)
    note_all(found.columns)
    if found.confidence is not None and form == "table":
        note_all([found.rule])
    for text in found.notes:
        note(text)
    if not found.passed:
        raise click.exceptions.Exit(FOUND_SOMETHING)


def _check_usage(ctx: click.Context, given: Mapping[str, Any]) -> None:
    """Usage error for options that do not fit together, also with those of `[tool.goemo]`."""
    if not any(map(given.get, _CONDITIONS)):
        raise click.UsageError(
            "Give a condition: --fail-under, --fail-over, --max-drop or a --require option"
        )
    if given["junit"] == given["output"]:
        raise click.UsageError("--junit and --output name the same place: give each its own")
    typed = ctx.get_parameter_source("baseline") is ParameterSource.COMMANDLINE
    if given["max_drop"] and not given["baseline"]:
        raise click.UsageError("--max-drop needs --baseline RUN")
    if given["baseline"] and typed and not given["max_drop"]:
        raise click.UsageError("--baseline needs --max-drop METRIC=VALUE")
