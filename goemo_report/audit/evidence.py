"""What an audit looks at: a run, its history and artifacts, and the small files among them.

Of a checkpoint only `config.json` is read, and weights are fetched from nowhere: those of
offline artifacts are checked where they lie. Whatever cannot be had is a value that says why:
rules judge, nothing is raised for a bad run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from goemo_report.analysis.epochs import Training, training_of
from goemo_report.contract import ARTIFACTS, EPOCH_METRICS, SPLITS, Key, Role, Split
from goemo_report.errors import DataError
from goemo_report.formats.readers import read_table
from goemo_report.formats.table import Table
from goemo_report.labels import LabelSet, configured_set, logged_set
from goemo_report.reading.names import AS_FOUND, Reading
from goemo_report.results import PREDICTION_ROLES, RunResult
from goemo_report.results.loading import LoadedRun, load_runs
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import ArtifactFile, Row, RunRecord, SkippedFile
from goemo_report.sources.store import file_digest

_T = TypeVar("_T")
EPOCH_KEYS: Final[tuple[Key, ...]] = tuple(key for key in EPOCH_METRICS if key.name != "epoch")


@dataclass(frozen=True, eq=False, slots=True)
class Evidence(LoadedRun):
    """One run and what it left behind.

    `headers` has the header of each prediction file. `per_class` and `checkpoint_config` are
    None where the run logged no such file, and the reason where it cannot be read. `edited` has
    the files in the trainer's results directory that differ from the logged ones.
    """

    headers: Mapping[Split, tuple[str, ...]]
    per_class: Table | str | None = None
    checkpoint_config: Mapping[str, Any] | str | None = None
    edited: tuple[str, ...] = ()

    @property
    def run(self) -> RunRecord:
        """The run itself."""
        return self.result.run

    @property
    def is_files(self) -> bool:
        """Whether it is prediction files by themselves, which no run logged."""
        held = self.result.artifacts
        return bool(held) and all(one.kind == "file" for one in held)

    @property
    def label_set(self) -> LabelSet:
        """Labels of the run's predictions, else of its log, else those that its config means."""
        return labels_of(self.result)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the run's labels; empty where nothing names them."""
        return self.label_set.labels

    @property
    def model_names(self) -> tuple[str, ...]:
        """What names may call the model: `model_name`, and its last part where it is a path."""
        name = self.run.config.get("model_name")
        if not isinstance(name, str) or not name:
            return ()
        return tuple(dict.fromkeys((name, name.rstrip("/").rsplit("/", 1)[-1])))

    @property
    def training(self) -> Training:
        """What the run logged by epoch, or by step."""
        return training_of(self.result)

    def expected_epochs(self) -> list[int]:
        """Epochs that the history must have: counted from 1, or from 0 where a run does so.

        Up to final_epoch; without one as many as num_epochs, or for a run that did not finish
        as far as it came.
        """
        rows = self.training.rows
        final = self.result.logged.get("final_epoch")
        number = self.run.config.get("num_epochs")
        came = int(max(rows, default=1))
        last = came
        if final is not None and math.isfinite(final):
            last = int(final)
        elif isinstance(number, int) and (self.run.state == "finished" or number < came):
            last = number - (0 in rows)
        first = 0 if 0 in rows and (self.training.unit == "epoch" or came <= last) else 1
        return list(range(first, min(last, first + 100_000) + 1))

    def epoch_rows(self) -> Mapping[float, Row]:
        """The training by epoch; by step, as the guide has it, unless there are too many."""
        found = self.training
        if found.unit == "epoch" or len(found.rows) <= len(self.expected_epochs()):
            return found.rows
        return {}


def labels_of(result: RunResult) -> LabelSet:
    """Labels of a run's predictions, else of its log, else those that its config means."""
    for split in ("test", *SPLITS):
        if split in result.splits:
            return result.splits[split].label_set
    config, logged = result.run.config, logged_set(result.logged)
    number = config.get("num_labels")
    meant = configured_set(number, config.get("dataset_name"))
    if logged is not None and (number is None or meant is None or len(logged.labels) == number):
        return logged
    return meant or LabelSet.of(())


# --- Collecting -----------------------------------------------------------------------


def collect(
    source: RunSource,
    runs: Sequence[RunRecord],
    progress: Progress = silent,
    *,
    whole: bool = True,
    reading: Reading = AS_FOUND,
) -> list[Evidence]:
    """Fetch and read what many runs left, in their order; requests are made for all at once.

    `whole` checks the files of offline artifacts that no rule reads as well: the weights.
    `reading` says what a user says of prediction files.
    """
    found = load_runs(source, runs, list(ARTIFACTS), progress, whole=whole, reading=reading)
    return [
        Evidence(
            loaded.result,
            loaded.artifacts,
            loaded.files,
            loaded.damaged,
            _headers(loaded),
            _read(loaded, "per-class-metrics", _whole_table),
            _read(loaded, "checkpoint", _json_object),
            _edited(loaded, whole=whole),
        )
        for loaded in found
    ]


def _edited(loaded: LoadedRun, *, whole: bool) -> tuple[str, ...]:
    """Files of the results directory, which people open and hand on, that are not as logged."""
    results = loaded.result.run.results
    edited = []
    for role, artifact in loaded.artifacts.items() if results is not None else ():
        if role == "checkpoint" and not whole:
            continue
        for file in artifact.files:
            name = f"checkpoint/{file.path}" if role == "checkpoint" else file.path
            place = Path(results or "", name)
            try:
                same = place.stat().st_size == file.size and file_digest(place, file.digest)
            except (OSError, ValueError):  # not there: there is no copy to hand on
                continue
            if not same:
                edited.append(name)
    return tuple(edited)


def _headers(loaded: LoadedRun) -> dict[Split, tuple[str, ...]]:
    """The column names of each prediction file that holds text."""
    found = {
        split: _read(loaded, role, lambda _, local: read_table(local, local.name))
        for split, role in PREDICTION_ROLES.items()
    }
    return {split: tuple(one.header) for split, one in found.items() if isinstance(one, Table)}


def _read(
    loaded: LoadedRun, role: Role, parse: Callable[[ArtifactFile, Path], _T]
) -> _T | str | None:
    """Parse the file of an artifact; the reason where it cannot be read, None without one."""
    file, local = loaded.files.get(role, (None, None))
    if file is None or local is None:
        return None
    if isinstance(local, SkippedFile):
        return None if role in loaded.damaged else f"{local.path}: {local.reason}"
    try:
        return parse(file, local)
    except DataError as error:
        return error.what


def _whole_table(file: ArtifactFile, local: Path) -> Table:
    table = read_table(local, file.path)
    _ = table.rows
    return table


def _json_object(_: ArtifactFile, local: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(local.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"config.json is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise DataError("config.json holds no JSON object")
    return config
