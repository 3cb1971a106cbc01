"""Artifacts: what each run logged, with digests, and the files that this report read."""

from __future__ import annotations

from collections.abc import Iterator

from goemo_report.comparison import ComparedRun, Comparison
from goemo_report.report.document import Row, Section, Table
from goemo_report.report.sections._tables import callout, columns, in_groups, run_cell

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
    read = [(run, *one) for run in comparison.runs for one in run.result.splits.items()]
    files = (f"{one.artifact.qualified_name}/{one.file.path}" for _, _, one in read)
    rows = (
        (run.short, split, file, one.rows, one.file.size, one.file.digest)
        for (run, split, one), file in zip(read, files, strict=True)
    )
    return Table(
        id="files-read",
        title="Prediction files that were read",
        columns=columns("run", "split", file="code", rows="integer", size="bytes", digest="code"),
        rows=tuple(rows),
    )


def _logged(comparison: Comparison) -> Table:
    def rows(run: ComparedRun) -> Iterator[Row]:
        for one in run.result.artifacts:
            about = (one.name, one.version, one.type, one.role, one.size, one.digest)
            yield (run_cell(run), *about)

    return Table(
        id="artifacts-logged",
        title="Artifacts that the runs logged",
        columns=(
            *columns("run", artifact="code", version="text", type="text", role="text"),
            *columns(size="bytes", digest="code"),
        ),
        **in_groups((run.name, rows(run)) for run in comparison.runs),
    )
