"""Fetching and reading the evidence of an audit.

Of a checkpoint only `config.json` is read, and weights are fetched from nowhere: those of
offline artifacts are checked where they lie. Whatever cannot be had is a value that says why:
rules judge, nothing is raised for a bad run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from goemo_report.audit.evidence import Evidence
from goemo_report.contract import ARTIFACTS, Role, Split
from goemo_report.errors import DataError
from goemo_report.formats.csv_table import Table, read_table
from goemo_report.labels import LabelSet
from goemo_report.results import PREDICTION_ROLES, LoggedArtifact, ReadFiles, load_runs
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import RunRecord, SkippedFile
from goemo_report.sources.store import file_digest


def collect(
    source: RunSource,
    runs: Sequence[RunRecord],
    progress: Progress = silent,
    *,
    whole: bool = True,
    expected: Sequence[LabelSet] = (),
) -> list[Evidence]:
    """Fetch and read what many runs left, in their order; requests are made for all at once.

    `whole` checks the files of offline artifacts that no rule reads as well: the weights.
    With `expected` label sets predictions must have one of them.
    """
    evidence = []
    for loaded in load_runs(
        source, runs, list(ARTIFACTS), progress, whole=whole, expected=expected
    ):
        readable = {
            role: pair
            for role, pair in loaded.files.items()
            if role not in loaded.damaged or not isinstance(pair[1], SkippedFile)
        }
        evidence.append(
            Evidence(
                loaded.result,
                loaded.artifacts,
                _headers(readable),
                _read_per_class(readable),
                _read_checkpoint_config(readable),
                loaded.damaged,
                _edited(loaded.result.run, loaded.artifacts, whole=whole),
            )
        )
    return evidence


def _edited(
    run: RunRecord, artifacts: Mapping[Role, LoggedArtifact], *, whole: bool
) -> tuple[str, ...]:
    """Files of the results directory, which people open and hand on, that are not as logged."""
    edited = []
    for role, artifact in artifacts.items() if run.results is not None else ():
        if role == "checkpoint" and not whole:
            continue
        for file in artifact.files:
            name = f"checkpoint/{file.path}" if role == "checkpoint" else file.path
            place = Path(run.results or "", name)
            try:
                same = place.stat().st_size == file.size and file_digest(place, file.digest)
            except (OSError, ValueError):  # not there: there is no copy to hand on
                continue
            if not same:
                edited.append(name)
    return tuple(edited)


def _headers(files: ReadFiles) -> dict[Split, tuple[str, ...]]:
    local = {split: files[role][1] for split, role in PREDICTION_ROLES.items() if role in files}
    return {split: _header(path) for split, path in local.items() if isinstance(path, Path)}


def _header(path: Path) -> tuple[str, ...]:
    """The column names of a CSV; empty where the file holds no text."""
    try:
        return tuple(read_table(path, path.name).header)
    except DataError:
        return ()


def _read_per_class(files: ReadFiles) -> Table | str | None:
    if "per-class-metrics" not in files:
        return None
    file, local = files["per-class-metrics"]
    if isinstance(local, SkippedFile):
        return f"{local.path}: {local.reason}"
    try:
        table = read_table(local, file.path)
        _ = table.rows
    except DataError as error:
        return error.what
    return table


def _read_checkpoint_config(files: ReadFiles) -> Mapping[str, Any] | str | None:
    if "checkpoint" not in files:
        return None
    _, local = files["checkpoint"]
    if isinstance(local, SkippedFile):
        return f"{local.path}: {local.reason}"
    try:
        config = json.loads(local.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        return f"config.json is not JSON: {error}"
    return config if isinstance(config, dict) else "config.json holds no JSON object"
