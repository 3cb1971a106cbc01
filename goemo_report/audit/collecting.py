"""Fetching and reading the evidence of an audit.

Of a checkpoint only `config.json` is read, and weights are fetched from nowhere: those of
offline artifacts are checked where they lie. Whatever cannot be had is a value that says why:
rules judge, nothing is raised for a bad run.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from goemo_report.audit.evidence import Evidence, LoggedArtifact
from goemo_report.caches.score_cache import cached_scores
from goemo_report.contract import (
    ARTIFACTS,
    Role,
    Split,
)
from goemo_report.errors import DataError
from goemo_report.formats.csv_table import Table, read_table
from goemo_report.predictions import read_predictions
from goemo_report.results import (
    PREDICTION_ROLES,
    RunResult,
    SplitResult,
    logged_metrics,
    prediction_file,
)
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import ArtifactFile, ArtifactRef, LocalFile, RunRecord, SkippedFile
from goemo_report.sources.newest import checkpoint_folder, newest
from goemo_report.sources.offline_logs.staging import counting_reader
from goemo_report.thresholds.infer import infer_threshold

_CONFIG_LIMIT: Final = 1 << 20  # bytes; a checkpoint's config.json has a few kilobytes


def collect(
    source: RunSource,
    runs: Sequence[RunRecord],
    progress: Progress = silent,
    *,
    whole: bool = True,
) -> list[Evidence]:
    """Fetch and read what many runs left, in their order; requests are made for all at once.

    `whole` checks the files of offline artifacts that no rule reads as well: the weights.
    """
    logged = source.artifacts(runs)
    histories = source.histories(runs)
    found = _logged_artifacts(source, runs, logged)
    fetched, damaged = _fetch(source, found, progress, whole=whole)
    evidence = []
    for number, run in enumerate(runs):
        progress("reading files", number, len(runs))
        artifacts = {role: found[run.id, role] for role in ARTIFACTS if (run.id, role) in found}
        files = {role: fetched[run.id, role] for role in artifacts if (run.id, role) in fetched}
        history = histories.get(run.id, ())
        splits, problems, headers = _read_splits(artifacts, files)
        result = RunResult(
            run,
            splits,
            logged_metrics(run, history),
            history,
            tuple(logged.get(run.id, ())),
            problems,
        )
        lost = damaged.get(run.id, {})
        here = {
            role: pair
            for role, pair in files.items()
            if role not in lost or not isinstance(pair[1], SkippedFile)
        }
        evidence.append(
            Evidence(
                result,
                artifacts,
                headers,
                _read_per_class(here),
                _read_checkpoint_config(here),
                lost,
                _edited(run, artifacts, whole=whole),
            )
        )
    progress("reading files", len(runs), len(runs))
    return evidence


_Place = tuple[str, Role]
"""A run's id and a role: where one artifact of many runs belongs."""


def _logged_artifacts(
    source: RunSource, runs: Sequence[RunRecord], logged: Mapping[str, Sequence[ArtifactRef]]
) -> dict[_Place, LoggedArtifact]:
    chosen = {
        (run.id, role): reference
        for run in runs
        for role in ARTIFACTS
        if (reference := newest(run, logged.get(run.id, ()), role)) is not None
    }
    unique = {reference.id: reference for reference in chosen.values()}
    manifests = dict(zip(unique, source.manifests(list(unique.values())), strict=True))
    return {
        place: LoggedArtifact(reference, manifests[reference.id])
        for place, reference in chosen.items()
    }


def _fetch(
    source: RunSource, found: Mapping[_Place, LoggedArtifact], progress: Progress, *, whole: bool
) -> tuple[dict[_Place, tuple[ArtifactFile, LocalFile]], dict[str, dict[Role, tuple[str, ...]]]]:
    """The one file of each artifact that is read; and what is not as logged, by run and role."""
    wanted: list[tuple[_Place, ArtifactFile, bool]] = []
    for place, artifact in found.items():
        read = _file(place[1], artifact.files)
        others = artifact.files if whole and artifact.is_offline else ()
        wanted += [(place, read, True)] if read is not None else []
        wanted += [(place, file, False) for file in others if file != read]
    local = source.fetch([(found[place].reference, file) for place, file, _ in wanted], progress)
    fetched: dict[_Place, tuple[ArtifactFile, LocalFile]] = {}
    damaged: dict[str, dict[Role, tuple[str, ...]]] = {}
    for (place, file, is_read), here in zip(wanted, local, strict=True):
        if is_read:
            fetched[place] = file, here
        if isinstance(here, SkippedFile) and found[place].is_offline:
            of_run = damaged.setdefault(place[0], {})
            of_run[place[1]] = (*of_run.get(place[1], ()), f"{here.path}: {here.reason}")
    return fetched, damaged


def _edited(
    run: RunRecord, artifacts: Mapping[Role, LoggedArtifact], *, whole: bool
) -> tuple[str, ...]:
    """Files of the results directory, which people open and hand on, that are not as logged."""
    read, edited = counting_reader(lambda _: None), []
    for role, artifact in artifacts.items() if run.results is not None else ():
        if role == "checkpoint" and not whole:
            continue
        for file in artifact.files:
            name = f"checkpoint/{file.path}" if role == "checkpoint" else file.path
            place = Path(run.results or "", name)
            try:
                same = place.stat().st_size == file.size and read(place, file.digest)
            except (OSError, ValueError):  # not there: there is no copy to hand on
                continue
            if not same:
                edited.append(name)
    return tuple(edited)


_Files = Mapping[Role, tuple[ArtifactFile, LocalFile]]


def _file(role: Role, files: Sequence[ArtifactFile]) -> ArtifactFile | None:
    """The one file of an artifact that is read; of a checkpoint a config.json of sane size."""
    for split, prediction_role in PREDICTION_ROLES.items():
        if role == prediction_role:
            return prediction_file(files, split)
    if role == "checkpoint":
        folder = checkpoint_folder(files)
        configs = [] if folder is None else [f for f in files if f.path == f"{folder}config.json"]
        return next((file for file in configs if file.size <= _CONFIG_LIMIT), None)
    tables = [file for file in files if file.path.lower().endswith((".csv", ".csv.gz"))]
    exact = [file for file in tables if file.path == ARTIFACTS[role].contents[0]]
    return next(iter(exact or tables), None)


def _read_splits(
    artifacts: Mapping[Role, LoggedArtifact], files: _Files
) -> tuple[dict[Split, SplitResult], dict[Split, str], dict[Split, tuple[str, ...]]]:
    splits: dict[Split, SplitResult] = {}
    problems: dict[Split, str] = {}
    headers: dict[Split, tuple[str, ...]] = {}
    for split, role in PREDICTION_ROLES.items():
        if role not in artifacts:
            problems[split] = f"logged no {split} predictions"
            continue
        reference = artifacts[role].reference
        if role not in files:
            problems[split] = f"{reference.qualified_name} holds no CSV file"
            continue
        file, local = files[role]
        if isinstance(local, SkippedFile):
            problems[split] = f"{local.path}: {local.reason}"
            continue
        headers[split] = _header(local)
        try:
            splits[split] = _read_split(split, reference, file, local)
        except DataError as error:
            problems[split] = error.what
    return splits, problems, headers


def _read_split(
    split: Split, reference: ArtifactRef, file: ArtifactFile, local: Path
) -> SplitResult:
    name = f"{reference.qualified_name}/{file.path}"
    scored = cached_scores(file.digest, lambda: read_predictions(local, name=name), name=name)
    threshold = infer_threshold(scored.predictions.probabilities, scored.predictions.predicted)
    return SplitResult(
        split, scored.predictions, scored.scores, scored.as_logged, threshold, reference, file
    )


def _header(path: Path) -> tuple[str, ...]:
    """The column names of a CSV; empty where the file holds no text."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            lines = io.TextIOWrapper(
                gzip.GzipFile(fileobj=raw) if packed else raw, encoding="utf-8-sig", newline=""
            )
            return tuple(next(csv.reader(lines), []))
    except (OSError, ValueError, EOFError, zlib.error, csv.Error):
        return ()


def _read_per_class(files: _Files) -> Table | str | None:
    if "per-class-metrics" not in files:
        return None
    file, local = files["per-class-metrics"]
    if isinstance(local, SkippedFile):
        return f"{local.path}: {local.reason}"
    try:
        table = read_table(local, file.path)
        table.require_rows()
    except DataError as error:
        return error.what
    return table


def _read_checkpoint_config(files: _Files) -> Mapping[str, Any] | str | None:
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
