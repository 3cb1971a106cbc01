"""Runs and their files -> scored results: what was predicted, what was logged, what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Final, TypeAlias, overload

import numpy as np

from goemo_report.caches.read_ahead import Unread, reading_ahead
from goemo_report.caches.score_cache import ScoredPredictions, cached_scores, score_both
from goemo_report.contract import (
    ARTIFACTS,
    DEFAULT_THRESHOLD,
    SPLITS,
    Role,
    Split,
    canonical_metric,
)
from goemo_report.errors import DataError, NotFoundError
from goemo_report.metrics.scores import Scores
from goemo_report.predictions import (
    Predictions,
    read_predictions,
)
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    LocalFile,
    RunRecord,
    SkippedFile,
    SkippedRun,
)
from goemo_report.sources.newest import newest
from goemo_report.sources.store import Cache, is_digest
from goemo_report.thresholds.infer import InferredThreshold, infer_threshold

PREDICTION_ROLES: Final[dict[Split, Role]] = {"val": "val-predictions", "test": "test-predictions"}
_CSV_ENDINGS: Final = (".csv", ".csv.gz")


@dataclass(frozen=True, eq=False, slots=True)
class SplitResult:
    """The predictions of one run on one split, and what follows from them.

    `scores` hold at the fixed threshold 0.5; `as_logged` takes the file's own `pred_labels`,
    whatever threshold made them (the same object where both agree). `artifact` and `file`
    say where the predictions came from.
    """

    split: Split
    predictions: Predictions
    scores: Scores
    as_logged: Scores
    threshold: InferredThreshold
    artifact: ArtifactRef
    file: ArtifactFile

    @property
    def rows(self) -> int:
        """Number of texts."""
        return len(self.predictions.texts)

    @property
    def labels(self) -> tuple[str, ...]:
        """The run's labels in canonical order: 28, or 27 without neutral."""
        return self.predictions.labels


@dataclass(frozen=True, eq=False, slots=True)
class RunResult:
    """One run with everything that a report says about it.

    `logged` holds its last logged metrics under the guide's keys; `problems` says of a
    split that was asked for why it cannot be used.
    """

    run: RunRecord
    splits: Mapping[Split, SplitResult]
    logged: Mapping[str, float]
    history: History
    artifacts: tuple[ArtifactRef, ...]
    problems: Mapping[Split, str]

    @property
    def id(self) -> str:
        """The run's id, unique within its project."""
        return self.run.id


@dataclass(frozen=True, eq=False, slots=True)
class LoadedRuns(Sequence[RunResult]):
    """The runs that can be used, in the order asked, and those left out with the reason."""

    results: tuple[RunResult, ...]
    skipped: tuple[SkippedRun, ...] = ()

    @overload
    def __getitem__(self, index: int) -> RunResult: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[RunResult, ...]: ...
    def __getitem__(self, index: int | slice) -> RunResult | tuple[RunResult, ...]:
        return self.results[index]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[RunResult]:
        return iter(self.results)


def load_results(
    source: RunSource,
    runs: Sequence[RunRecord],
    splits: Sequence[Split] = SPLITS,
    progress: Progress = silent,
) -> LoadedRuns:
    """Fetch, read and score the predictions of many runs.

    Artifact lists, manifests and files are each asked for all runs at once. A run without
    a single usable split is left out with its reason; NotFoundError when that is every run.
    """
    artifacts = source.artifacts(runs)
    histories = source.histories(runs)
    found = _find_files(source, runs, artifacts, splits)
    wanted = [pair for pair in found.values() if isinstance(pair, tuple)]
    results: list[RunResult] = []
    skipped: list[SkippedRun] = []
    with ExitStack() as helpers:
        helpers.enter_context(reading_ahead(_downloads(wanted)))
        fetched = source.fetch(wanted, progress)
        helpers.enter_context(reading_ahead(_staged(wanted, fetched)))
        paths = iter(fetched)
        local = {place: next(paths) for place, pair in found.items() if isinstance(pair, tuple)}
        for number, run in enumerate(runs):
            progress("scoring predictions", number, len(runs))
            usable, problems = _read_run(run, splits, found, local)
            if not usable:
                reason = "; ".join(dict.fromkeys(problems.values()))
                skipped.append(left_out(run, reason))
                continue
            history = histories.get(run.id, ())
            logged = logged_metrics(run, history)
            own = artifacts.get(run.id, ())
            results.append(RunResult(run, usable, logged, history, own, problems))
    progress("scoring predictions", len(runs), len(runs))
    if runs and not results:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in skipped)
        raise NotFoundError(
            f"no run can be used ({reasons})",
            "A run needs its predictions as a CSV artifact; `goemo-report show RUN` lists "
            "what it logged",
        )
    return LoadedRuns(tuple(results), tuple(skipped))


_Wanted: TypeAlias = Sequence[tuple[ArtifactRef, ArtifactFile]]


def _downloads(wanted: _Wanted) -> list[Unread]:
    """Files of a server, where the cache will hold them; only a server gives versions."""
    cache = Cache()
    return [
        Unread(cache.file_path(file.digest), file.digest, _source_name(artifact, file), file.size)
        for artifact, file in wanted
        if artifact.version is not None and is_digest(file.digest)
    ]


def _staged(wanted: _Wanted, fetched: Sequence[LocalFile]) -> list[Unread]:
    """Files that were on this machine already."""
    return [
        Unread(path, file.digest, _source_name(artifact, file), file.size)
        for (artifact, file), path in zip(wanted, fetched, strict=True)
        if artifact.version is None and isinstance(path, Path)
    ]


def _read_run(
    run: RunRecord,
    splits: Sequence[Split],
    found: Mapping[tuple[str, Split], tuple[ArtifactRef, ArtifactFile] | str],
    local: Mapping[tuple[str, Split], LocalFile],
) -> tuple[dict[Split, SplitResult], dict[Split, str]]:
    """What can be used of a run, and why the rest cannot."""
    usable: dict[Split, SplitResult] = {}
    problems: dict[Split, str] = {}
    for split in splits:
        pair = found[run.id, split]
        if isinstance(pair, str):
            problems[split] = pair
            continue
        try:
            usable[split] = _read_split(split, *pair, local[run.id, split])
        except DataError as error:
            problems[split] = str(error)
    return usable, problems


def _find_files(
    source: RunSource,
    runs: Sequence[RunRecord],
    artifacts: Mapping[str, tuple[ArtifactRef, ...]],
    splits: Sequence[Split],
) -> dict[tuple[str, Split], tuple[ArtifactRef, ArtifactFile] | str]:
    """The prediction file of each run and split, or the reason why there is none."""
    chosen: dict[tuple[str, Split], ArtifactRef] = {}
    for run in runs:
        for split in splits:
            reference = newest(run, artifacts.get(run.id, ()), PREDICTION_ROLES[split])
            if reference is not None:
                chosen[run.id, split] = reference
    unique = {reference.id: reference for reference in chosen.values()}
    manifests = dict(zip(unique, source.manifests(list(unique.values())), strict=True))

    found: dict[tuple[str, Split], tuple[ArtifactRef, ArtifactFile] | str] = {}
    for run in runs:
        for split in splits:
            reference = chosen.get((run.id, split))
            if reference is None:
                running = run.state == "running"
                found[run.id, split] = (
                    f"is still running and has logged no {split} predictions yet"
                    if running
                    else f"logged no {split} predictions"
                )
                continue
            file = prediction_file(manifests[reference.id], split)
            found[run.id, split] = (
                f"{reference.qualified_name} holds no CSV file"
                if file is None
                else (reference, file)
            )
    return found


def left_out(run: RunRecord, reason: str) -> SkippedRun:
    """A run that is left out, with its state, and how to finish it on this machine."""
    if run.state in {"finished", "running"}:
        return SkippedRun(run.name, reason)
    output = quote(str(run.results.parent)) if run.results is not None else ""
    remedy = f"Finish it with `goemo-train --resume {run.id} --output {output}`"
    return SkippedRun(run.name, f"is {run.state}, {reason}", remedy if output else "")


def prediction_file(files: Sequence[ArtifactFile], split: Split) -> ArtifactFile | None:
    """The prediction table among the files of an artifact, None where there is none.

    The guide's own name first, then a CSV that names the split, then the only CSV.
    """
    tables = sorted(
        (file for file in files if file.path.lower().endswith(_CSV_ENDINGS)),
        key=lambda file: file.path,
    )
    wanted = ARTIFACTS[PREDICTION_ROLES[split]].contents[0]
    for file in tables:
        if file.path.rsplit("/", 1)[-1].removesuffix(".gz") == wanted:
            return file
    named = [file for file in tables if split in file.path.rsplit("/", 1)[-1].lower()]
    if named:
        return named[0]
    return tables[0] if len(tables) == 1 else None


def _read_split(
    split: Split, artifact: ArtifactRef, file: ArtifactFile, local: Path | SkippedFile
) -> SplitResult:
    if isinstance(local, SkippedFile):
        raise DataError(f"{local.path}: {local.reason}")
    name = _source_name(artifact, file)
    scored = cached_scores(file.digest, lambda: read_predictions(local, name=name), name=name)
    return _result(split, scored, artifact, file)


def _source_name(artifact: ArtifactRef, file: ArtifactFile) -> str:
    return f"{artifact.qualified_name}/{file.path}"


def score_split(
    split: Split, predictions: Predictions, artifact: ArtifactRef, file: ArtifactFile
) -> SplitResult:
    """Score predictions at 0.5 and as their own `pred_labels` have them."""
    return _result(split, score_both(predictions, DEFAULT_THRESHOLD), artifact, file)


def _result(
    split: Split, scored: ScoredPredictions, artifact: ArtifactRef, file: ArtifactFile
) -> SplitResult:
    predictions = scored.predictions
    threshold = infer_threshold(predictions.probabilities, predictions.predicted)
    return SplitResult(
        split, predictions, scored.scores, scored.as_logged, threshold, artifact, file
    )


def logged_metrics(run: RunRecord, history: History) -> dict[str, float]:
    """What a run logged, by canonical key: its summary, else the last value in its history.

    Where a run uses the guide's spelling and another one, the guide's counts.
    """
    raw: dict[str, Any] = {}
    for row in history:
        raw.update((key, value) for key, value in row.items() if value is not None)
    raw.update(run.summary)
    metrics: dict[str, float] = {}
    for key, value in raw.items():
        number = as_number(value)
        if number is None or key.startswith("_"):
            continue
        canonical = canonical_metric(key)
        if canonical == key or canonical not in raw:
            metrics[canonical] = number
    return metrics


def as_number(value: Any) -> float | None:
    """A logged value as a number; None where it is none.

    W&B writes what JSON cannot hold as "NaN" and "Infinity", and a metric defined with a
    summary as a mapping with `last`, `max` or `min`.
    """
    if isinstance(value, Mapping):
        for kind in ("last", "max", "min", "mean"):
            if kind in value:
                return as_number(value[kind])
        return None
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        if value not in {"NaN", "Infinity", "-Infinity"}:
            return None
        return float(value)
    if isinstance(value, int | float | np.number):
        try:
            return float(value)
        except OverflowError:  # JSON has whole numbers that no float can hold
            return None
    return None
