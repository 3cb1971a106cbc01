"""What an audit looks at: a run, its history and artifacts, and the small files among them.

Of a checkpoint only `config.json` is read, and weights are fetched from nowhere: those of
offline artifacts are checked where they lie. Whatever cannot be had is a value that says why:
rules judge, nothing is raised for a bad run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from goemo_report.analysis.epochs import Training, training_of
from goemo_report.contract import ARTIFACTS, EPOCH_METRICS, SPLITS, Key, Role, Split
from goemo_report.errors import DataError
from goemo_report.formats.readers import read_table
from goemo_report.formats.table import Table
from goemo_report.labels import GOEMOTIONS, LABEL_SETS, LabelSet, logged_set
from goemo_report.loading import ReadFiles, load_runs
from goemo_report.reading.names import AS_FOUND, Reading
from goemo_report.results import PREDICTION_ROLES, RunResult
from goemo_report.sources.base import Progress, RunSource, silent
from goemo_report.sources.model import Row, RunRecord, SkippedFile
from goemo_report.sources.newest import LoggedArtifact
from goemo_report.sources.store import file_digest

EPOCH_KEYS: Final[tuple[Key, ...]] = tuple(key for key in EPOCH_METRICS if key.name != "epoch")


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """One run and what it left behind.

    `headers` has the header of each prediction file. `per_class` and `checkpoint_config` are
    None where the run logged no such file, and the reason where it cannot be read. `damaged`
    says of offline artifacts, whose files are on this machine or nowhere, which files are not
    as they were logged; what W&B stores it has checked itself. `edited` has the files in the
    trainer's results directory that differ from the logged ones.
    """

    result: RunResult
    artifacts: Mapping[Role, LoggedArtifact]
    headers: Mapping[Split, tuple[str, ...]]
    per_class: Table | str | None = None
    checkpoint_config: Mapping[str, Any] | str | None = None
    damaged: Mapping[Role, tuple[str, ...]] = field(default_factory=dict)
    edited: tuple[str, ...] = ()

    @property
    def run(self) -> RunRecord:
        """The run itself."""
        return self.result.run

    @property
    def label_set(self) -> LabelSet:
        """Labels of the run's predictions, else of its log, else those that its config means."""
        for split in ("test", *SPLITS):
            if split in self.result.splits:
                return self.result.splits[split].label_set
        number, logged = self.run.config.get("num_labels"), logged_set(self.result.logged)
        of_size = [known for known in LABEL_SETS if len(known.labels) == number]
        if logged is not None and (not of_size or len(logged.labels) == number):
            return logged
        return next(iter(of_size), GOEMOTIONS if number is None else LabelSet.of(()))

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
    evidence = []
    for loaded in load_runs(source, runs, list(ARTIFACTS), progress, whole=whole, reading=reading):
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
    """The column names of each prediction file that holds text."""
    headers = {}
    for split, role in PREDICTION_ROLES.items():
        local = files[role][1] if role in files else None
        if isinstance(local, Path):
            with suppress(DataError):
                headers[split] = tuple(read_table(local, local.name).header)
    return headers


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
