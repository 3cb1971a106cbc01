"""Artifacts: what each run logged, with digests, and the files that this report read."""

from __future__ import annotations

from goemo_report.comparison import Comparison
from goemo_report.report.document import Column, Section, Table
from goemo_report.report.sections._tables import callout, run_cell

ORDER = 165
CHAPTER = "Appendix"


def build(comparison: Comparison) -> Section:
    """Files read and artifacts logged."""
    missing = (
        f"{run.name}: no checkpoint"
        for run in comparison.runs
        if not any(item.role == "checkpoint" for item in run.result.artifacts)
    )
    return Section.of(
        "artifacts",
        "Artifacts",
        _read(comparison),
        _logged(comparison),
        callout("note", "Runs without a checkpoint artifact:", missing),
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
                run.short,
                split,
                f"{found.artifact.qualified_name}/{found.file.path}",
                found.rows,
                found.file.size,
                found.file.digest,
            )
            for run in comparison.runs
            for split, found in run.result.splits.items()
        ),
    )


def _logged(comparison: Comparison) -> Table:
    rows = tuple(
        (run_cell(run), one.name, one.version, one.type, one.role, one.size, one.digest)
        for run in comparison.runs
        for one in run.result.artifacts
    )
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
        rows=rows,
        row_groups=tuple(
            (run.name, len(run.result.artifacts)) for run in comparison.runs if run.result.artifacts
        ),
    )
