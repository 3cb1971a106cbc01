"""Changed copies of evidence: what a run would look like had it been logged otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from goemo_report.audit.evidence import Evidence
from goemo_report.contract import Role
from goemo_report.formats.table import Table, to_csv
from goemo_report.results import logged_metrics
from goemo_report.sources.model import ArtifactFile

GONE = object()
"""A value that takes its key away."""


def changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**values, **changes}
    return {key: value for key, value in merged.items() if value is not GONE}


def run(evidence: Evidence, **fields: Any) -> Evidence:
    record = dataclasses.replace(evidence.run, **fields)
    result = dataclasses.replace(
        evidence.result, run=record, logged=logged_metrics(record, evidence.result.history)
    )
    return dataclasses.replace(evidence, result=result)


def config(evidence: Evidence, changes: Mapping[str, Any]) -> Evidence:
    return run(evidence, config=changed(evidence.run.config, changes))


def history(evidence: Evidence, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Evidence:
    """Change every row; an empty one goes."""
    rows = tuple(row for row in (change(dict(row)) for row in evidence.result.history) if row)
    logged = logged_metrics(evidence.run, rows)
    return dataclasses.replace(
        evidence, result=dataclasses.replace(evidence.result, history=rows, logged=logged)
    )


def logged(evidence: Evidence, changes: Mapping[str, Any]) -> Evidence:
    """Change metrics wherever they were logged: summary and the rows that have them."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return changed(row, {key: value for key, value in changes.items() if key in row})

    summary = changed(evidence.run.summary, changes)
    return history(run(evidence, summary=summary), change)


def epoch(evidence: Evidence, number: int, changes: Mapping[str, Any]) -> Evidence:
    """Change the row of one epoch."""

    def change(row: dict[str, Any]) -> dict[str, Any]:
        return changed(row, changes) if row.get("epoch") == number else row

    return history(evidence, change)


def without_artifact(evidence: Evidence, role: Role) -> Evidence:
    kept = {one: found for one, found in evidence.artifacts.items() if one != role}
    references = tuple(one for one in evidence.result.artifacts if one.role != role)
    result = dataclasses.replace(evidence.result, artifacts=references)
    return dataclasses.replace(evidence, artifacts=kept, result=result)


def artifact(evidence: Evidence, role: Role, **fields: Any) -> Evidence:
    """Change what the run says of an artifact."""
    old = evidence.artifacts[role]
    new = dataclasses.replace(old.reference, **fields)
    references = tuple(new if one is old.reference else one for one in evidence.result.artifacts)
    return dataclasses.replace(
        evidence,
        artifacts={**evidence.artifacts, role: dataclasses.replace(old, reference=new)},
        result=dataclasses.replace(evidence.result, artifacts=references),
    )


def metadata(evidence: Evidence, changes: Mapping[str, Any]) -> Evidence:
    old = evidence.artifacts["checkpoint"].reference.metadata
    return artifact(evidence, "checkpoint", metadata=changed(old, changes))


def files(evidence: Evidence, role: Role, without: str, *added: str) -> Evidence:
    old = evidence.artifacts[role]
    kept = [file for file in old.files if file.path != without]
    size = sum(file.size for file in old.files if file.path == without)
    kept += [ArtifactFile(path, size, "") for path in added]
    new = dataclasses.replace(old, files=tuple(kept))
    return dataclasses.replace(evidence, artifacts={**evidence.artifacts, role: new})


def checkpoint_config(evidence: Evidence, changes: Mapping[str, Any]) -> Evidence:
    assert isinstance(evidence.checkpoint_config, Mapping)
    new = changed(evidence.checkpoint_config, changes)
    return dataclasses.replace(evidence, checkpoint_config=new)


def per_class(
    evidence: Evidence, change: Callable[[list[str], list[list[str]]], tuple[Any, Any]]
) -> Evidence:
    """Change header and rows of the per-class CSV."""
    table = evidence.per_class
    assert isinstance(table, Table)
    header, rows = change(list(table.header), [list(row) for row in table.rows])
    return dataclasses.replace(
        evidence, per_class=Table.of(to_csv([header, *rows]).encode(), table.source)
    )
