"""`goemo-report check`: the quality gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from goemo_report.cli._complete import run_argument
from goemo_report.cli._errors import FOUND_SOMETHING
from goemo_report.cli._options import (
    file_option,
    format_option,
    label_options,
    output_option,
    reads_runs,
    report_command,
    split_option,
    validation_option,
)
from goemo_report.cli._output import note, note_skipped, progress, write, write_json, write_lines
from goemo_report.contract import Split
from goemo_report.errors import SettingsError
from goemo_report.formats.wording import plural
from goemo_report.settings import Settings
from goemo_report.sources.base import RunSource
from goemo_report.sources.model import Listing, RunQuery, RunRecord

if TYPE_CHECKING:
    from goemo_report.analysis.label_choice import LabelChoice
    from goemo_report.audit import Evidence
    from goemo_report.audit.gate import Condition
    from goemo_report.audit.limits import Limit
    from goemo_report.report.document import Table

ORDER = 70


def confidence_level(value: str) -> float:
    """A confidence that intervals can have; usage error where none can have it."""
    from goemo_report.statistics.intervals import HIGHEST_CONFIDENCE

    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not 0.5 < number <= HIGHEST_CONFIDENCE:
        wanted = f"a confidence above 0.5 and at most {HIGHEST_CONFIDENCE}, such as 0.95"
        raise click.BadParameter(f"{value} is not {wanted}")
    return number


@report_command(
    "Quality gate: fail where a run is not good enough.",
    "goemo-report check --tag final --fail-under macro_f1=0.45 --fail-under f1_joy=0.5",
    "goemo-report check RUN_B --baseline RUN_A --max-drop macro_f1=0.01 --confidence 0.95",
    "goemo-report check --tag final --require-artifacts --require-audit --junit gate.xml",
)
@run_argument("[RUN]...", nargs=-1)
@click.option(
    "--fail-under",
    metavar="METRIC=VALUE",
    multiple=True,
    help="Fail where a metric is lower; repeatable.",
)
@click.option(
    "--fail-over",
    metavar="METRIC=VALUE",
    multiple=True,
    help="Fail where a metric is higher, as a loss or a time may be; repeatable.",
)
@click.option("--baseline", metavar="RUN", help="Run that --max-drop compares with.")
@click.option(
    "--max-drop",
    metavar="METRIC=VALUE",
    multiple=True,
    help="Fail where a metric is worse than the baseline's by more; repeatable. VALUE alone is "
    "that of macro_f1.",
)
@click.option(
    "--confidence",
    type=confidence_level,
    metavar="LEVEL",
    help="Judge the worse bound of the interval of this confidence (above 0.5, at most 0.999: "
    "say 0.95) instead of the point value.",
)
@click.option("--require-artifacts", is_flag=True, help="Fail where the four are not complete.")
@click.option("--require-audit", is_flag=True, help="Fail where `audit` finds an error.")
@split_option("Split of metrics without a prefix test/ or val/.")
@file_option("--junit", meaning="Also write the conditions as JUnit XML.")
@reads_runs(filters=True)
@validation_option
@label_options(rolls_up=True)
@format_option("table", "json", "md")
@output_option
@click.pass_context
def command(
    ctx: click.Context,
    runs: tuple[str, ...],
    fail_under: tuple[str, ...],
    fail_over: tuple[str, ...],
    baseline: str | None,
    max_drop: tuple[str, ...],
    confidence: float | None,
    require_artifacts: bool,
    require_audit: bool,
    split: Split,
    junit: Path | None,
    settings: Settings,
    labels: LabelChoice,
    query: RunQuery,
    form: str,
    output: Path,
) -> None:
    """Judge runs by conditions; the exit code is 3 when one fails.

    Metrics are recomputed from the predictions at threshold 0.5: any overall or per-class one
    (macro_f1, auc, f1_joy, recall_fear), also as val/macro_f1 or in another spelling (f1_macro);
    other logged figures are taken as logged. By point value or, with --confidence 0.95, by the
    worse bound of the 95% interval: a run passes --fail-under when the lower bound reaches
    VALUE, and --max-drop when the paired difference's does. Every run that is named or matches
    must pass every condition.
    """
    limits = _limits(fail_under, fail_over, max_drop)
    _check_usage(ctx, limits)

    from goemo_report.audit import check_waivers, collect, gate
    from goemo_report.sources.resolve import gather

    waivers = settings.file.values.get("waive", {})
    check_waivers(waivers)
    source, listing = gather(settings.source, runs, query)
    note_skipped(listing.skipped)
    source, everything, reference = _with_baseline(settings, source, listing, baseline, max_drop)
    with progress() as bar:
        thorough = require_artifacts or require_audit
        found = collect(source, everything.runs, bar, whole=thorough, expected=labels.expected)
    evidence = {one.run.id: one for one in found}
    judged = [evidence[run.id] for run in listing.runs]
    beside = evidence[reference.id] if reference else None
    conditions = _judge(judged, limits, split, confidence, beside, labels)
    for wanted, require in (
        (require_artifacts, gate.require_artifacts),
        (require_audit, gate.require_audit),
    ):
        conditions += [require(one, waivers) for one in judged if wanted]
    order = [run.id for run in listing.runs]
    conditions.sort(key=lambda one: order.index(one.run.id))
    if junit is not None:
        from goemo_report.audit.present import junit_xml

        write(junit_xml(conditions), junit)
    if form == "json":
        about = gate.document(conditions, split=split, confidence=confidence, baseline=reference)
        write_json(about, output)
    else:
        _write(conditions, confidence, form, output)
    if confidence is not None and form == "table":
        note(f"note: {gate.rule(confidence)}")
    failed = sum(not one.passed for one in conditions)
    if failed:
        note(f"{failed} of {plural(len(conditions), 'condition')} failed")
        ctx.exit(FOUND_SOMETHING)


def _check_usage(ctx: click.Context, limits: Sequence[Limit]) -> None:
    """Usage error for options that do not fit together."""
    given = ctx.params
    if not (limits or given["require_artifacts"] or given["require_audit"]):
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


def _limits(under: Sequence[str], over: Sequence[str], drop: Sequence[str]) -> list[Limit]:
    """Conditions on metrics; usage error for one that is not METRIC=VALUE."""
    from goemo_report.audit.limits import parse_limit

    try:
        return [
            *(parse_limit("fail-under", text) for text in under),
            *(parse_limit("fail-over", text) for text in over),
            *(parse_limit("max-drop", text) for text in drop),
        ]
    except SettingsError as error:
        raise click.UsageError(str(error)) from error


def _with_baseline(
    settings: Settings,
    source: RunSource,
    listing: Listing,
    baseline: str | None,
    max_drop: Sequence[str],
) -> tuple[RunSource, Listing, RunRecord | None]:
    if not baseline or not max_drop:
        return source, listing, None
    from goemo_report.sources.resolve import with_run

    return with_run(settings.source, source, listing, baseline)


def _judge(
    evidence: Sequence[Evidence],
    limits: Sequence[Limit],
    split: Split,
    confidence: float | None,
    baseline: Evidence | None,
    labels: LabelChoice,
) -> list[Condition]:
    from goemo_report.audit.gate import Judge
    from goemo_report.audit.limits import resolve

    results = [one.result.changed(labels.on) for one in evidence]
    reference = baseline.result.changed(labels.on) if baseline else None
    known = [*results, *([reference] if reference else [])]
    try:
        metrics = [resolve(limit, split, known) for limit in limits]
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    judge = Judge(split, confidence=confidence, baseline=reference)
    return [
        judge.judge(result, limit, metric)
        for result in results
        for limit, metric in zip(limits, metrics, strict=True)
    ]


def _write(
    conditions: Sequence[Condition], confidence: float | None, form: str, output: Path
) -> None:
    if form == "md":
        from goemo_report.report.render import render_block

        write(render_block(_table(conditions, confidence), "md"), output)
    else:
        write_lines(map(_line, conditions), output)


def _line(one: Condition) -> str:
    result = "ok" if one.passed else "failed"
    return f"{result:<7} {one.run.name} ({one.run.id}): {one.condition}: {one.detail}"


def _table(conditions: Sequence[Condition], confidence: float | None) -> Table:
    from goemo_report.audit.gate import rule
    from goemo_report.report.document import Cell, Column, Table

    failed = sum(not one.passed for one in conditions)
    verdict = f"{failed} of {len(conditions)} failed" if failed else f"all {len(conditions)} met"
    return Table(
        id="conditions",
        title=f"Quality gate: {verdict}",
        columns=(
            Column("result", "Result"),
            Column("run", "Run"),
            Column("condition", "Condition"),
            Column("found", "Found"),
        ),
        rows=tuple(
            (
                Cell("ok", mark="good") if one.passed else Cell("failed", mark="bad"),
                f"{one.run.name} ({one.run.id})",
                one.condition,
                one.detail,
            )
            for one in conditions
        ),
        caption="Metrics are recomputed from the predictions at threshold 0.5; "
        f"{rule(confidence)}.",
    )
