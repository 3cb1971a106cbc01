"""Runs and their files -> scored results, those that cannot be used with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from goemo_report.contract import SPLITS, Role, Split, artifact_role
from goemo_report.errors import DataError, NotFoundError, argument, unexpected
from goemo_report.formats.wording import listed, plural
from goemo_report.predictions import Predictions
from goemo_report.reading.names import AS_FOUND, Reading
from goemo_report.results import (
    PREDICTION_ROLES,
    LoadedRuns,
    RunResult,
    SplitResult,
    left_out,
    logged_metrics,
)
from goemo_report.results.overlap import Leak, leaks_between
from goemo_report.results.score_cache import (
    Unread,
    cached_scores,
    read_unchanged,
    reading_ahead,
)
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    LocalFile,
    RunRecord,
    SkippedFile,
    SkippedRun,
)
from goemo_report.sources.newest import (
    INTERNAL_TYPES,
    LoggedArtifact,
    holds_no,
    may_be_predictions,
    newest,
    split_role,
)
from goemo_report.sources.store import Cache, is_digest

_SPLITS: Final = {role: split for split, role in PREDICTION_ROLES.items()}

ReadFiles: TypeAlias = Mapping[Role, tuple[ArtifactFile, LocalFile]]
"""The one file of each artifact that is read, and its copy on this machine."""


@dataclass(frozen=True, eq=False, slots=True)
class LoadedRun:
    """One run with its newest artifacts of the roles asked for.

    `damaged` says of offline artifacts, whose files are on this machine or nowhere, which
    files are not as they were logged; what W&B stores it has checked itself.
    """

    result: RunResult
    artifacts: Mapping[Role, LoggedArtifact]
    files: ReadFiles
    damaged: Mapping[Role, tuple[str, ...]]


def load_results(
    source: RunSource,
    runs: Sequence[RunRecord],
    splits: Sequence[Split] = SPLITS,
    progress: Progress = silent,
    reading: Reading = AS_FOUND,
    *,
    figures: bool = False,
    histories: bool = True,
) -> LoadedRuns:
    """Fetch, read and score the predictions of many runs, as `reading` says.

    Artifact lists, manifests and files are each asked for all runs at once. A run without
    a single usable split is left out with its reason; NotFoundError when that is every run,
    unless `figures` that runs logged themselves are enough. DataError for prediction files whose
    two splits have other labels. Without `histories` those of the results are empty.
    """
    results: list[RunResult] = []
    skipped: list[SkippedRun] = []
    logged: list[RunResult] = []
    notes: list[str] = []
    roles = [PREDICTION_ROLES[split] for split in splits]
    for loaded in load_runs(source, runs, roles, progress, reading=reading, histories=histories):
        require_same_labels(loaded.result)
        notes += _other_versions(loaded)
        if loaded.result.splits:
            results.append(loaded.result)
            held, why = loaded.artifacts.get("val-predictions"), loaded.result.problems.get("val")
            if held is not None and why is not None and held.reference.kind == "file":
                notes.append(f"{loaded.result.run.name}: no validation predictions: {why}")
        else:
            said = loaded.result.problems
            named = [r for split, r in said.items() if PREDICTION_ROLES[split] in loaded.artifacts]
            reason = "; ".join(dict.fromkeys(named or said.values()))
            if figures and loaded.result.logged:
                logged.append(loaded.result)
                reason += "; it is shown as it logged itself"
            skipped.append(left_out(loaded.result.run, reason))
    if runs and not results and not (figures and logged):
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in skipped)
        kinds = {item.kind for own in source.artifacts(runs).values() for item in own}
        if kinds == {"file"}:
            only_val = list(splits) == ["val"]
            raise DataError(
                reasons, f"Give them with {argument('val', 'NAME=FILE')}" if only_val else ""
            )
        raise NotFoundError(
            f"no run can be used ({reasons})",
            "A run needs its predictions as an artifact or a table; `goemo-report show RUN` lists "
            "what it logged",
        )
    return LoadedRuns(tuple(results), tuple(skipped), tuple(logged), tuple(notes))


def require_same_labels(result: RunResult) -> None:
    """DataError where the two prediction files of a run, put together by a user, differ in labels.

    Of a run that a tracker knows this is for the audit to say.
    """
    if len(result.splits) < 2 or not _are_files(result.artifacts):
        return
    val, test = result.splits["val"], result.splits["test"]
    if set(val.labels) != set(test.labels):
        raise DataError(
            f"{val.predictions.source} has {plural(len(val.labels), 'label')}, "
            f"{test.predictions.source} {len(test.labels)} others: they are not of one model",
            "Give validation predictions of the same labels",
        )


def _are_files(own: Sequence[ArtifactRef]) -> bool:
    """Whether a run is prediction files that a user put together."""
    return any(item.kind == "file" for item in own)


def _other_versions(loaded: LoadedRun) -> Iterator[str]:
    """Say that predictions were logged several times, and which of them is read."""
    logged = loaded.result.artifacts
    for role in _SPLITS:
        if role in loaded.artifacts:
            read = loaded.artifacts[role].reference
            others = [one for one in logged if one.name == read.name and one.id != read.id]
            names = dict.fromkeys(
                alias for one in others for alias in one.aliases or (one.version,) if alias
            )
            known = f"; {argument('alias')} takes another: {listed(names, 3)}" if names else ""
            if others:
                which = f" ({', '.join(read.aliases)})" if read.aliases else ""
                yield (
                    f"{loaded.result.run.name}: {read.name} was logged {len(others) + 1} times; "
                    f"{read.version or 'the newest'}{which} is read{known}"
                )


def load_runs(
    source: RunSource,
    runs: Sequence[RunRecord],
    roles: Sequence[Role],
    progress: Progress = silent,
    *,
    whole: bool = False,
    reading: Reading = AS_FOUND,
    histories: bool = True,
) -> list[LoadedRun]:
    """Fetch the artifacts of many runs, in their order, and read and score their predictions.

    Of each artifact one file is fetched (`file_of`); `whole` checks the other files of offline
    artifacts as well. Requests are made for all runs at once. Nothing is raised for a bad run.
    """
    logged = source.artifacts(runs)
    steps = source.histories(runs) if histories else {}
    found = _newest_artifacts(source, runs, logged, roles)
    wanted = [
        _Wanted(run_id, role, artifact, file, file == read)
        for run_id, own in found.items()
        for role, artifact in own.items()
        for read in (artifact.file(role),)
        for file in (artifact.files if whole and artifact.is_offline else filter(None, (read,)))
    ]
    loaded: list[LoadedRun] = []
    with ExitStack() as helpers:
        ahead = [] if reading.key else wanted
        helpers.enter_context(reading_ahead(_unread(ahead)))
        pairs = [(item.artifact.reference, item.file) for item in wanted]
        fetched = source.fetch(pairs, progress)
        helpers.enter_context(reading_ahead(_unread(ahead, fetched)))
        files: dict[str, dict[Role, tuple[ArtifactFile, LocalFile]]] = {run: {} for run in found}
        damaged: dict[str, dict[Role, tuple[str, ...]]] = {run: {} for run in found}
        for item, here in zip(wanted, fetched, strict=True):
            if item.is_read:
                files[item.run_id][item.role] = item.file, here
            if isinstance(here, SkippedFile) and item.artifact.is_offline:
                known = damaged[item.run_id].get(item.role, ())
                damaged[item.run_id][item.role] = (*known, f"{here.path}: {here.reason}")
        for number, run in enumerate(runs):
            progress("reading files", number, len(runs))
            own, history = tuple(logged.get(run.id, ())), steps.get(run.id, ())
            artifacts, read = found[run.id], files[run.id]
            splits, problems = _read_splits(run, roles, artifacts, read, own, reading)
            result = RunResult(run, splits, logged_metrics(run, history), history, own, problems)
            loaded.append(LoadedRun(result, artifacts, read, damaged[run.id]))
    progress("reading files", len(runs), len(runs))
    return loaded


class _Wanted(NamedTuple):
    """One file to fetch; `is_read` where it is the one of its artifact that is read."""

    run_id: str
    role: Role
    artifact: LoggedArtifact
    file: ArtifactFile
    is_read: bool


def _newest_artifacts(
    source: RunSource,
    runs: Sequence[RunRecord],
    logged: Mapping[str, Sequence[ArtifactRef]],
    roles: Sequence[Role],
) -> dict[str, dict[Role, LoggedArtifact]]:
    """By run id and role."""
    chosen = [
        (run.id, role, reference)
        for run in runs
        for role in roles
        if (reference := newest(run, logged.get(run.id, ()), role)) is not None
    ]
    unique = {(one.id, one.role): one for _, _, one in chosen}
    manifests = dict(zip(unique, source.manifests(list(unique.values())), strict=True))
    found: dict[str, dict[Role, LoggedArtifact]] = {run.id: {} for run in runs}
    for run_id, role, one in chosen:
        found[run_id][role] = LoggedArtifact(one, manifests[one.id, one.role])
    return found


def _unread(
    wanted: Sequence[_Wanted], fetched: Sequence[LocalFile] | None = None
) -> Iterator[Unread]:
    """Prediction files to read ahead: those of a server where the cache will hold them, and
    once all is fetched those that were on this machine already."""
    cache = Cache()
    for number, item in enumerate(wanted):
        file, from_server = item.file, not item.artifact.reference.is_offline
        if not item.is_read or item.role not in _SPLITS or from_server != (fetched is None):
            continue
        if fetched is not None:
            place = fetched[number]
        elif not file.reference and is_digest(file.digest):
            place = cache.file_path(file.digest)
        else:
            continue
        if isinstance(place, Path):
            name = _source_name(item.artifact.reference, file)
            yield Unread(place, file.checksum, name, file.size)


def _read_splits(
    run: RunRecord,
    roles: Sequence[Role],
    artifacts: Mapping[Role, LoggedArtifact],
    files: ReadFiles,
    own: Sequence[ArtifactRef],
    reading: Reading,
) -> tuple[dict[Split, SplitResult], dict[Split, str]]:
    """Read what can be used of a run, and say why the rest cannot."""
    splits: dict[Split, SplitResult] = {}
    problems: dict[Split, str] = {}
    for role, split in _SPLITS.items():
        if role not in roles:
            continue
        if role not in artifacts:
            problems[split] = _missing_predictions_reason(run, split, own)
        elif role not in files:
            problems[split] = _no_table(artifacts[role], split)
        else:
            try:
                splits[split] = _read_split(split, artifacts[role].reference, *files[role], reading)
            except DataError as error:
                problems[split] = str(error)
            except Exception as error:  # noqa: BLE001 - the other runs go on, whatever it is
                problems[split] = f"{split} predictions cannot be scored: {unexpected(error)}"
    if len(splits) > 1:  # one order of the labels in both files, that of the test split
        val, test = splits["val"], splits["test"]
        splits["val"] = val.changed(lambda read: read.in_order_of(test.labels))
        if _are_files(own):
            leaked = [leak for leak in leaks_between(splits) if leak.large]
            splits["val"] = splits["val"].changed(lambda read: _noted(read, leaked))
    return splits, problems


def _noted(validation: Predictions, leaked: Sequence[Leak]) -> Predictions:
    """Validation predictions, with a note of the test texts among theirs."""
    said = (
        f"{one.count:,} test texts are validation texts: what is tuned on them is tuned on test"
        for one in leaked
    )
    return replace(validation, notes=(*validation.notes, *said))


def _missing_predictions_reason(run: RunRecord, split: Split, own: Sequence[ArtifactRef]) -> str:
    """Say that a run lacks predictions of a split and what it logged, likely ones first."""
    if _are_files(own):
        return f"has no {split} predictions"
    unread = [one.unread for one in own if one.unread and one.role == f"{split}-predictions"]
    if unread:
        return unread[-1]
    running = "is still running and has " if run.state == "running" else ""
    text = f"{running}logged no {split} predictions{' yet' if running else ''}"
    names = dict.fromkeys(
        item.name
        for item in own
        if not (item.role or artifact_role(item.name, run.id) or item.type in INTERNAL_TYPES)
    )
    role = PREDICTION_ROLES[split]
    said = {name: split_role(name) for name in names}  # none: of the test split, most likely
    fits = {name: (said[name] or "test-predictions") == role for name in names}
    likely = sorted(names, key=lambda name: (not fits[name], "pred" not in name, split not in name))
    if likely:
        first = likely[0].removesuffix(f"-{run.id}")
        option = argument("predictions", first if split == "test" else f"{split}={first}")
        reads = f" ({option} reads {'it' if len(likely) == 1 else 'the first'})"
        there = f"{text} under the guide's name, but {listed(likely, 3)}"
        return there + (reads if fits[likely[0]] else "")
    others = dict.fromkeys(one.name for one in own if one.type not in INTERNAL_TYPES)
    return f"{text}, but {listed(others, 3)}" if others else text


def _no_table(artifact: LoggedArtifact, split: Split) -> str:
    name, paths = artifact.reference.qualified_name, sorted(artifact.paths)
    tables = [path for path in paths if may_be_predictions(path)]
    if tables:
        return f"{name} holds {plural(len(tables), 'table')} and none is named for {split}: " + (
            listed(tables, 3)
        )
    held = [file.path for file in artifact.files if not file.reference]
    only = f", only {listed(sorted(held), 3)}" if held else ""
    return holds_no("table", artifact.reference, artifact.files) + only


def _read_split(
    split: Split, artifact: ArtifactRef, file: ArtifactFile, local: LocalFile, reading: Reading
) -> SplitResult:
    if isinstance(local, SkippedFile):
        raise DataError(f"{local.path}: {local.reason}")
    name = _source_name(artifact, file)

    read = partial(read_unchanged, local, file.checksum, name, reading)
    scored = cached_scores(file.checksum, read, name=name, reading=reading.key)
    return SplitResult.of(split, scored, artifact, file)


def _source_name(artifact: ArtifactRef, file: ArtifactFile) -> str:
    """Name a prediction file for messages."""
    within = "" if artifact.kind == "file" else f"/{file.path}"
    return f"{artifact.qualified_name}{within}"
