"""Runs and their files -> scored results: what was predicted, what was logged, what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, overload

import numpy as np

from goemo_report.caches.read_ahead import Unread, reading_ahead
from goemo_report.caches.score_cache import (
    ScoredPredictions,
    cached_scores,
    read_unchanged,
    score_both,
)
from goemo_report.contract import (
    ARTIFACTS,
    DEFAULT_THRESHOLD,
    SPLITS,
    Role,
    Split,
    artifact_role,
)
from goemo_report.errors import DataError, NotFoundError, argument, unexpected
from goemo_report.formats.sniff import stem
from goemo_report.formats.wording import listed, plural
from goemo_report.labels import LabelSet
from goemo_report.metrics.scores import Scores
from goemo_report.metrics.table import canonical_metric
from goemo_report.predictions import Predictions
from goemo_report.reading.names import AS_FOUND, Reading
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.logged import as_number
from goemo_report.sources.model import (
    ArtifactFile,
    ArtifactRef,
    History,
    LocalFile,
    RunRecord,
    SkippedFile,
    SkippedRun,
)
from goemo_report.sources.newest import (
    INTERNAL_TYPES,
    checkpoint_folder,
    holds_no,
    may_be_predictions,
    newest,
    split_role,
)
from goemo_report.sources.store import Cache, is_digest
from goemo_report.thresholds.infer import InferredThreshold, given_labels, infer_threshold

PREDICTION_ROLES: Final[dict[Split, Role]] = {"val": "val-predictions", "test": "test-predictions"}
_SPLITS: Final = {role: split for split, role in PREDICTION_ROLES.items()}
_CONFIG_LIMIT: Final = 1 << 20  # bytes; a checkpoint's config.json has a few kilobytes
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False, slots=True)
class SplitResult:
    """The predictions of one run on one split, and what follows from them.

    `scores` hold at the fixed threshold 0.5; `as_logged` takes the file's own `pred_labels`,
    whatever threshold made them (the same object where both agree). `artifact` and `file`
    say where the predictions came from; `as_read` has what the file holds, where the labels
    were rolled up or some left out since.
    """

    split: Split
    predictions: Predictions
    scores: Scores
    as_logged: Scores
    threshold: InferredThreshold
    artifact: ArtifactRef
    file: ArtifactFile
    original: SplitResult | None = None

    @classmethod
    def of(
        cls, split: Split, scored: ScoredPredictions, artifact: ArtifactRef, file: ArtifactFile
    ) -> SplitResult:
        """What follows from scored predictions, and where they came from."""
        held = scored.predictions
        noun = held.label_set.noun
        threshold = (
            infer_threshold(held.probabilities, held.predicted, noun)
            if held.has_probabilities
            else given_labels(len(held), noun)
        )
        return cls(split, held, scored.scores, scored.as_logged, threshold, artifact, file)

    def changed(self, change: Callable[[Predictions], Predictions]) -> SplitResult:
        """The same split with other labels, scored anew; itself where nothing changes."""
        predictions = change(self.predictions)
        if predictions is self.predictions:
            return self
        if predictions.change == self.predictions.change and predictions.labels == self.labels:
            return replace(self, predictions=predictions)
        found = SplitResult.of(self.split, score_both(predictions), self.artifact, self.file)
        return replace(found, original=self.as_read)

    @property
    def as_read(self) -> SplitResult:
        """The split with the labels of its file."""
        return self.original or self

    @property
    def label_digest(self) -> str:
        """What tells it from the same file with other labels: their order, and what was done."""
        held = self.predictions
        hasher = sha256(repr((held.labels, held.notes, held.clusters)).encode())
        if self.original is None:
            return hasher.hexdigest()
        for array in (held.truth, held.predicted, held.probabilities):
            hasher.update(np.ascontiguousarray(array).tobytes())
        return hasher.hexdigest()

    @property
    def rows(self) -> int:
        """Number of texts."""
        return len(self.predictions.texts)

    @property
    def label_set(self) -> LabelSet:
        """The run's labels and what is known about them."""
        return self.predictions.label_set

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the run's labels."""
        return self.predictions.labels


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
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

    @property
    def files(self) -> tuple[Predictions, ...]:
        """Its prediction files as they were read."""
        return tuple(found.as_read.predictions for found in self.splits.values())

    def changed(self, change: Callable[[Predictions], Predictions]) -> RunResult:
        """The same run with other labels on every split."""
        splits = {split: found.changed(change) for split, found in self.splits.items()}
        alike = all(found is self.splits[split] for split, found in splits.items())
        return self if alike else replace(self, splits=splits)

    @property
    def as_read(self) -> RunResult:
        """The run with the labels of its files: those that its logged figures are about."""
        return replace(self, splits={split: one.as_read for split, one in self.splits.items()})


@dataclass(frozen=True, eq=False, slots=True)
class LoggedArtifact:
    """The newest artifact of one role, with its files."""

    reference: ArtifactRef
    files: tuple[ArtifactFile, ...]

    @property
    def is_offline(self) -> bool:
        """Whether it is an artifact that was not uploaded."""
        return self.reference.kind == "artifact" and self.reference.is_offline

    @property
    def paths(self) -> frozenset[str]:
        """Paths of its files."""
        return frozenset(file.path for file in self.files)

    @property
    def folder(self) -> str:
        """Where in the artifact a checkpoint lies, "" for the top."""
        return checkpoint_folder(self.files) or ""

    def file(self, role: Role) -> ArtifactFile | None:
        """The one file that is read; of files that a user named, whatever it is called."""
        if self.reference.kind == "file":
            return next(iter(self.files), None)
        return file_of(role, self.files)

    @property
    def checkpoint_paths(self) -> frozenset[str]:
        """Paths of a checkpoint's files below its folder."""
        folder = self.folder
        return frozenset(path[len(folder) :] for path in self.paths if path.startswith(folder))


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


@dataclass(frozen=True, eq=False, slots=True)
class LoadedRuns(Sequence[RunResult]):
    """The runs that can be used, in the order asked, and those left out with the reason.

    `logged` are those left out of which there is only what they logged themselves; `notes` say
    which of several versions of their predictions was read.
    """

    results: tuple[RunResult, ...]
    skipped: tuple[SkippedRun, ...] = ()
    logged: tuple[RunResult, ...] = ()
    notes: tuple[str, ...] = ()

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
    """That predictions were logged several times, and which of them is read."""
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
        _Wanted(place, artifact, file, file == read)
        for place, artifact in found.items()
        for read in (artifact.file(place[1]),)
        for file in (artifact.files if whole and artifact.is_offline else filter(None, (read,)))
    ]
    loaded: list[LoadedRun] = []
    with ExitStack() as helpers:
        ahead = [] if reading.key else wanted
        helpers.enter_context(reading_ahead(_unread(ahead)))
        pairs = [(item.artifact.reference, item.file) for item in wanted]
        fetched = source.fetch(pairs, progress)
        helpers.enter_context(reading_ahead(_unread(ahead, fetched)))
        files: dict[_Place, tuple[ArtifactFile, LocalFile]] = {}
        damaged: dict[_Place, tuple[str, ...]] = {}
        for item, here in zip(wanted, fetched, strict=True):
            if item.is_read:
                files[item.place] = item.file, here
            if isinstance(here, SkippedFile) and item.artifact.is_offline:
                reason = f"{here.path}: {here.reason}"
                damaged[item.place] = (*damaged.get(item.place, ()), reason)
        for number, run in enumerate(runs):
            progress("reading files", number, len(runs))
            own, history = tuple(logged.get(run.id, ())), steps.get(run.id, ())
            artifacts, read = _of_run(run, found), _of_run(run, files)
            splits, problems = _read_splits(run, roles, artifacts, read, own, reading)
            result = RunResult(run, splits, logged_metrics(run, history), history, own, problems)
            loaded.append(LoadedRun(result, artifacts, read, _of_run(run, damaged)))
    progress("reading files", len(runs), len(runs))
    return loaded


_Place: TypeAlias = tuple[str, Role]
"""A run's id and a role: where one artifact of many runs belongs."""


class _Wanted(NamedTuple):
    """One file to fetch; `is_read` where it is the one of its artifact that is read."""

    place: _Place
    artifact: LoggedArtifact
    file: ArtifactFile
    is_read: bool

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return _source_name(self.artifact.reference, self.file)


def _of_run(run: RunRecord, found: Mapping[_Place, _T]) -> dict[Role, _T]:
    return {role: found[run.id, role] for role in ARTIFACTS if (run.id, role) in found}


def _newest_artifacts(
    source: RunSource,
    runs: Sequence[RunRecord],
    logged: Mapping[str, Sequence[ArtifactRef]],
    roles: Sequence[Role],
) -> dict[_Place, LoggedArtifact]:
    chosen = {
        (run.id, role): reference
        for run in runs
        for role in roles
        if (reference := newest(run, logged.get(run.id, ()), role)) is not None
    }
    unique = {(one.id, one.role): one for one in chosen.values()}
    manifests = dict(zip(unique, source.manifests(list(unique.values())), strict=True))
    return {
        place: LoggedArtifact(one, manifests[one.id, one.role]) for place, one in chosen.items()
    }


def _unread(
    wanted: Sequence[_Wanted], fetched: Sequence[LocalFile] | None = None
) -> Iterator[Unread]:
    """Prediction files to read ahead: those of a server where the cache will hold them, and
    once all is fetched those that were on this machine already."""
    cache = Cache()
    for number, item in enumerate(wanted):
        file, from_server = item.file, not item.artifact.reference.is_offline
        if not item.is_read or item.place[1] not in _SPLITS or from_server != (fetched is None):
            continue
        if fetched is not None:
            place = fetched[number]
        elif not file.reference and is_digest(file.digest):
            place = cache.file_path(file.digest)
        else:
            continue
        if isinstance(place, Path):
            yield Unread(place, file.checksum, item.name, file.size)


def _read_splits(
    run: RunRecord,
    roles: Sequence[Role],
    artifacts: Mapping[Role, LoggedArtifact],
    files: ReadFiles,
    own: Sequence[ArtifactRef],
    reading: Reading,
) -> tuple[dict[Split, SplitResult], dict[Split, str]]:
    """What can be used of a run, and why the rest cannot."""
    splits: dict[Split, SplitResult] = {}
    problems: dict[Split, str] = {}
    for role, split in _SPLITS.items():
        if role not in roles:
            continue
        if role not in artifacts:
            problems[split] = _lacks(run, split, own)
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
            splits["val"] = splits["val"].changed(lambda read: _noted(read, test.predictions))
    return splits, problems


def _noted(validation: Predictions, test: Predictions) -> Predictions:
    """Validation predictions, with a note if most of their texts are test texts."""
    count = len(set(validation.texts) & set(test.texts))
    if 2 * count < min(len(validation), len(test)):
        return validation
    said = f"{count:,} test texts are validation texts: what is tuned on them is tuned on test"
    return replace(validation, notes=(*validation.notes, said))


def _lacks(run: RunRecord, split: Split, own: Sequence[ArtifactRef]) -> str:
    """That a run has no predictions of a split, and what it logged instead, likely ones first."""
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
    fits = {name: split_role(name) in {None, role} for name in names}
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
    split: Split,
    artifact: ArtifactRef,
    file: ArtifactFile,
    local: LocalFile,
    reading: Reading,
) -> SplitResult:
    if isinstance(local, SkippedFile):
        raise DataError(f"{local.path}: {local.reason}")
    name = _source_name(artifact, file)

    read = partial(read_unchanged, local, file.checksum, name, reading)
    scored = cached_scores(file.checksum, read, name=name, reading=reading.key)
    return SplitResult.of(split, scored, artifact, file)


def _source_name(artifact: ArtifactRef, file: ArtifactFile) -> str:
    """What to call a prediction file in messages."""
    within = "" if artifact.kind == "file" else f"/{file.path}"
    return f"{artifact.qualified_name}{within}"


def complete() -> str:
    """What makes a run whole that logged no predictions."""
    return (
        "To have a run compared, log its predictions (goemo_report.log_predictions), or name them "
        f"with {argument('predictions')} where they have another name"
    )


def left_out(run: RunRecord, reason: str) -> SkippedRun:
    """A run that is left out, with its state, and how to finish it on this machine."""
    if run.state in {"finished", "running"}:
        return SkippedRun(run.name, reason)
    output = quote(str(run.results.parent)) if run.results is not None else ""
    remedy = f"Finish it with `goemo-train --resume {run.id} --output {output}`"
    return SkippedRun(run.name, f"is {run.state}, {reason}", remedy if output else "")


def prediction_file(files: Sequence[ArtifactFile], split: Split) -> ArtifactFile | None:
    """The prediction table among the files of an artifact, None where there is none.

    The guide's own name first, then one that names the split, then the only one.
    """
    tables = sorted(
        (file for file in files if may_be_predictions(file.path)),
        key=lambda file: file.path,
    )
    wanted = f"{split}_predictions"
    for file in tables:
        if stem(file.path) == wanted:
            return file
    named = [file for file in tables if split in file.path.rsplit("/", 1)[-1].lower()]
    if named:
        return named[0]
    return tables[0] if len(tables) == 1 else None


def file_of(role: Role, files: Sequence[ArtifactFile]) -> ArtifactFile | None:
    """The one file of an artifact that is read; of a checkpoint a config.json of sane size."""
    if role in _SPLITS:
        return prediction_file(files, _SPLITS[role])
    if role == "checkpoint":
        folder = checkpoint_folder(files)
        configs = [] if folder is None else [f for f in files if f.path == f"{folder}config.json"]
        return next((file for file in configs if file.size <= _CONFIG_LIMIT), None)
    tables = [file for file in files if may_be_predictions(file.path)]
    exact = [file for file in tables if file.path == ARTIFACTS[role].contents[0]]
    return next(iter(exact or tables), None)


def result_of(predictions: Predictions, split: Split, name: str) -> RunResult:
    """Predictions in memory as a run of this name."""
    run = RunRecord(
        *(name, name, None, "", None, "finished", (), None, {"model_name": name}, {}),
        origin="predictions in memory",
    )
    role = PREDICTION_ROLES[split]
    artifact = ArtifactRef(name, name, ARTIFACTS[role].type, None, "", 0, role, name)
    found = score_split(split, predictions, artifact, ArtifactFile(predictions.source, 0, ""))
    return RunResult(run, {split: found}, {}, (), (artifact,), {})


def score_split(
    split: Split, predictions: Predictions, artifact: ArtifactRef, file: ArtifactFile
) -> SplitResult:
    """Score predictions at 0.5 and as their own `pred_labels` have them."""
    return SplitResult.of(split, score_both(predictions, DEFAULT_THRESHOLD), artifact, file)


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
