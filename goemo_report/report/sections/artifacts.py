"""Artifacts: what each run logged, with digests, and the files that this report read."""

from __future__ import annotations

from goemo_report.comparison import Comparison
from goemo_report.report.document import Block, Callout, Cell, Column, Section, Table, Value
from goemo_report.report.sections._common import run_cell

ORDER = 140


def build(comparison: Comparison) -> Section:
    """Files read and artifacts logged."""
    blocks: list[Block] = [_read(comparison), _logged(comparison)]
    missing = [
        f"{comparison.name(run)}: no checkpoint"
        for run in comparison.runs
        if not any(item.role == "checkpoint" for item in run.artifacts)
    ]
    if missing:
        blocks.append(Callout("note", "Runs without a checkpoint artifact:", tuple(missing)))
    return Section(
        "artifacts",
        "Artifacts",
        tuple(blocks),
        lead="The files behind every number. Each was checked against its digest when it was read.",
        method="File digests are the base64 MD5 of the artifact's manifest; artifact digests are "
        "W&B's own.",
    )


def _read(comparison: Comparison) -> Table:
    return Table(
        id="files-read",
        title="Prediction files that were read",
        columns=(
            Column("run", "run"),
            Column("split", "split"),
            Column("file", "file", "code"),
            Column("rows", "rows", "integer"),
            Column("size", "size", "bytes"),
            Column("digest", "digest", "code"),
        ),
        rows=tuple(
            (
                comparison.short(run),
                split,
                f"{found.artifact.qualified_name}/{found.file.path}",
                found.rows,
                found.file.size,
                found.file.digest,
            )
            for run in comparison.runs
            for split, found in run.splits.items()
        ),
    )


def _logged(comparison: Comparison) -> Table:
    rows: list[tuple[Value | Cell, ...]] = []
    groups: list[tuple[str, int]] = []
    for run in comparison.runs:
        rows += [
            (
                run_cell(comparison, run),
                item.name,
                item.version,
                item.type,
                item.role,
                item.size,
                item.digest,
            )
            for item in run.artifacts
        ]
        if run.artifacts:
            groups.append((comparison.name(run), len(run.artifacts)))
    return Table(
        id="artifacts-logged",
        title="Artifacts that the runs logged",
        columns=(
            Column("run", "run"),
            Column("artifact", "artifact", "code"),
            Column("version", "version"),
            Column("type", "type"),
            Column("role", "role"),
            Column("size", "size", "bytes"),
            Column("digest", "digest", "code"),
        ),
        rows=tuple(rows),
        row_groups=tuple(groups),
        collapsed=len(rows) > 12,
    )
