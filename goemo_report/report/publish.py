"""A comparison as something to publish: the same comparison gives the same bytes.

W&B makes a new version of an artifact when its bytes are new. So the published files carry
neither the time of writing nor the command typed (the run's config holds both): their date is
that of the newest run compared.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from goemo_report.comparison import Comparison
from goemo_report.formats.files import user_path
from goemo_report.formats.json_text import jsonable, timestamp
from goemo_report.report.document import Report, Table
from goemo_report.report.render import render, render_block
from goemo_report.report.render.csv_tables import wide_rows
from goemo_report.report.render.text import markdown_text
from goemo_report.report.sections import build_report
from goemo_report.sources.wandb_api.publishing import NativeReport, Publication, Published, publish

_UNDATED: Final = datetime(2000, 1, 1, tzinfo=UTC)
_NOT_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST: Final = 100
_IN_NATIVE: Final = ("leaderboard", "differences")
"""Sections whose first table a W&B Report shows; it links to the rest."""


def date_of(comparison: Comparison) -> datetime:
    """When the newest run compared was created."""
    known = [run.record.created_at for run in comparison.runs if run.record.created_at is not None]
    dates = [at if at.tzinfo else at.replace(tzinfo=UTC) for at in known]
    return max(dates, default=_UNDATED)


def _native(comparison: Comparison, report: Report, name: str) -> NativeReport:
    """The verdict, the leaderboard and the differences as Markdown, and the runs of W&B."""
    from goemo_report.report.sections._verdict import in_one_sentence

    parts = [("", markdown_text(in_one_sentence(comparison)))]
    for section in report.sections:
        tables = [block for block in section.blocks if isinstance(block, Table)]
        if section.id in _IN_NATIVE and tables:
            text = render_block(tables[0], "md")  # without its HTML, which W&B shows as it stands
            plain = re.sub(r"</?su[bp]>", "", re.sub(r'<a id="[^"]*"></a>\s*', "", text))
            parts.append((section.title, plain))
    records = [run.record for run in comparison.runs]
    return NativeReport(
        name,
        parts,
        [(run.entity, run.project, run.id) for run in records if run.entity],
        frozenset(key for run in records for key in run.summary),
    )


def _inputs(comparison: Comparison) -> Iterator[str]:
    for run in comparison.runs:
        for split in run.result.splits.values():
            artifact, record = split.artifact, run.record
            if artifact.kind == "artifact" and artifact.version and record.entity:
                yield f"{record.entity}/{record.project}/{artifact.qualified_name}"


def _leaderboard(report: Report) -> tuple[list[str], list[list[Any]]]:
    """The first table of the leaderboard; an interval takes two columns of its own."""
    table = report.tables().get("leaderboard-runs")
    if table is None:
        return ["run"], []
    if table.nested:  # rows that stand for the seeds of a recipe are no runs
        follows = (*table.nested[1:], False)
        own = [n or not after for n, after in zip(table.nested, follows, strict=True)]
        table = replace(table, rows=tuple(itertools.compress(table.rows, own)))
    columns, *rows = wide_rows(table, titled=True)
    return list(map(str, columns)), [jsonable(row) for row in rows]


def publish_comparison(
    comparison: Comparison,
    *,
    entity: str | None,
    project: str | None,
    directory: Path | None,
    sections: Sequence[str],
    stem: str,
    created_at: datetime,
    command: str,
    native: bool = False,
) -> Published:
    """Log the report of a comparison to W&B; with the `directory` that its runs were read below,
    to an offline run beside them. Raises SourceError where it cannot be sent."""
    report = build_report(
        comparison, created_at=date_of(comparison), command="", only=sections or None
    )
    offline = None
    if directory:  # that whose `wandb` folder holds the given one or one of its runs
        place = user_path(directory, real=True)
        place = place.parent if place.name.startswith(("offline-run-", "run-")) else place
        offline = place.parent if place.name == "wandb" else place
    name = _NOT_NAME.sub("-", stem).strip("-.")[:_LONGEST] or "comparison"
    columns, rows = _leaderboard(report)
    page = render(report, "html")
    wanted = Publication(
        name=f"report-{name}",
        run_name=f"report-{name}-{created_at:%Y%m%d-%H%M%S}",
        config={
            "command": command,
            "written_at": timestamp(created_at),
            "split": comparison.split,
            "baseline": comparison.baseline.id,
            "runs": [run.record.path for run in comparison.runs],
            "signature": report.signature,
        },
        files={f"{name}.html": page.encode(), f"{name}.json": render(report, "json").encode()},
        html=page,
        columns=columns,
        rows=rows,
        inputs=tuple(_inputs(comparison)),
        native=_native(comparison, report, name) if native else None,
    )
    return publish(
        wanted,
        entity=entity or comparison.baseline.record.entity,
        project=project or comparison.baseline.record.project,
        offline=offline,
    )
