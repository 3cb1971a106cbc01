"""From runs to written reports, the part that commands share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from goemo_report.cli._output import note, progress, spinner, write, write_json, write_lines
from goemo_report.contract import Split
from goemo_report.formats.files import user_path
from goemo_report.formats.wording import plural
from goemo_report.settings import Settings, SourceChoice
from goemo_report.sources.model import RunQuery

if TYPE_CHECKING:
    from goemo_report.analysis.label_choice import LabelChoice
    from goemo_report.comparison import Comparison, Options
    from goemo_report.report.document import Report

DEFAULT_FORMATS = ("html", "md", "json")


def load_and_compare(
    choice: SourceChoice,
    runs: Sequence[str],
    query: RunQuery,
    baseline: str | None,
    split: Split,
    options: Options,
    labels: LabelChoice | None = None,
    *,
    whole: bool = True,
) -> Comparison:
    """Load what was asked for and compare it; the baseline is one of the runs compared.

    `whole` computes all statistics here, with progress, and not when a section first asks.
    """
    from goemo_report.comparison import compare
    from goemo_report.results import load_results
    from goemo_report.sources.resolve import gather, with_run
    from goemo_report.sources.store import cache_directory

    source, listing = gather(choice, runs, query)
    if baseline is not None:
        source, listing, run = with_run(choice, source, listing, baseline)
        baseline = run.id
    with progress() as bar:
        loaded = load_results(
            source, listing.runs, progress=bar, expected=labels.expected if labels else ()
        )
        comparison = compare(
            replace(loaded, results=tuple(run.changed(labels.on) for run in loaded))
            if labels
            else loaded,
            baseline=baseline,
            split=split,
            skipped=listing.skipped,
            source=source.description,
            options=options,
            progress=bar,
            cache=cache_directory(),
        )
        if whole:
            comparison.prepare()
    for change, keys in comparison.label_changes.items():
        note(f"note: {', '.join(keys)}: {change}")
    return comparison


def default_name(query: RunQuery, runs: Sequence[str]) -> str:
    """A file name from the tags or the runs compared, safe on every system."""
    words = (*query.tags, *query.any_tags) or tuple(runs[:2])
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(words)).strip("-.")[:80]
    return slug or "comparison"


def build(
    comparison: Comparison, created_at: datetime, command: str, only: Sequence[str] = ()
) -> Report:
    """The report as values; on a terminal a line moves meanwhile."""
    from goemo_report.report.sections import build_report

    with spinner() as moving:
        moving("computing the report")
        return build_report(comparison, created_at=created_at, command=command, only=only or None)


def rendered(report: Report, formats: Sequence[str]) -> dict[str, str]:
    """Every format, before any file is written."""
    from goemo_report.report.render import render

    return {form: render(report, form) for form in formats}


def write_thresholds(comparison: Comparison, output: Path) -> None:
    """Write every threshold that can be applied, by run id, as JSON."""
    from goemo_report.thresholds.protocols import export_thresholds

    choices = [(run.id, found.choice) for run in comparison.runs for found in run.protocols]
    known = [(run, one) for run, one in choices if one.thresholds is not None]
    document = export_thresholds((run, one) for run, one in known if one.protocol != "oracle")
    write_json(document, output)


def write_all(documents: dict[str, str], directory: Path, stem: str) -> list[Path]:
    """Write each document whole and name it; gives the paths in the order of the formats."""
    from goemo_report.report.render import SUFFIXES

    written = [directory / f"{stem}{SUFFIXES[form]}" for form in documents]
    for path, text in zip(written, documents.values(), strict=True):
        write(text, path, quiet=True)
    write_lines(map(str, written))
    return written


def publish_report(
    comparison: Comparison,
    settings: Settings,
    sections: Sequence[str],
    stem: str,
    created_at: datetime,
    command: str,
) -> None:
    """Log the report to W&B; offline where the runs were read offline."""
    from goemo_report.report.publish import date_of, publication
    from goemo_report.sources.wandb_api.publishing import publish

    report = build(comparison, date_of(comparison), "", sections)
    documents = rendered(report, ("html", "json"))
    wanted = publication(
        comparison, report, documents, stem=stem, created_at=created_at, command=command
    )
    directory = settings.source.directory
    with spinner() as moving:
        moving("publishing the report")
        done = publish(
            wanted,
            entity=settings.source.entity or comparison.baseline.record.entity,
            project=settings.source.project or comparison.baseline.record.project,
            offline=_above_runs(directory) if directory else None,
        )
    for problem in done.problems:
        note(f"note: {problem}")
    if done.is_offline:
        note(f"published offline as {done.artifact}: {done.where} (`goemo-report sync` uploads it)")
    else:
        inputs = plural(done.inputs, "artifact")
        note(f"published as {done.artifact}, made from {inputs}: {done.where}")


def _above_runs(directory: Path) -> Path:
    """The directory whose `wandb` folder holds a given one or one of its runs."""
    place = user_path(directory, real=True)
    if place.name.startswith(("offline-run-", "run-")):
        place = place.parent
    return place.parent if place.name == "wandb" else place
