"""What an audit looks at: a run, its history and artifacts, and the small files among them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from goemo_report.analysis.epochs import Training, training_of
from goemo_report.contract import (
    EPOCH_METRICS,
    SPLITS,
    Key,
    Role,
    Split,
)
from goemo_report.formats.csv_table import Table
from goemo_report.labels import GOEMOTIONS, LABEL_SETS, LabelSet, logged_set
from goemo_report.results import LoggedArtifact, RunResult
from goemo_report.sources.model import Row, RunRecord

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


def listed(names: Sequence[str] | Iterator[str], limit: int = 6) -> str:
    """Names in a row, the first `limit` of them and how many more there are."""
    names = list(names)
    more = [f"and {len(names) - limit} more"] if len(names) > limit else []
    return ", ".join(chain(names[:limit], more))
