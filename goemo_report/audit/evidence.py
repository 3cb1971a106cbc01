"""What an audit looks at: a run, its history and artifacts, and the small files among them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

from goemo_report.contract import (
    EPOCH_METRICS,
    SPLITS,
    Key,
    Role,
    Split,
)
from goemo_report.formats.csv_table import Table
from goemo_report.labels import GOEMOTIONS, LABEL_SETS, LabelSet, logged_set
from goemo_report.metrics.table import canonical_metric
from goemo_report.results import LoggedArtifact, RunResult
from goemo_report.sources.logged import as_number
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

    def epoch_rows(self) -> dict[float, dict[str, Any]]:
        """Logged per-epoch metrics by epoch (`epoch`, else the step), under the guide's keys.

        Rows of one epoch are joined; rows without a per-epoch metric do not count.
        """
        rows: dict[float, dict[str, Any]] = {}
        for row in self.rows_with_epoch_metrics():
            epoch = epoch_of(row)
            if epoch is not None and math.isfinite(epoch):
                found = rows.setdefault(epoch, {})
                found.update((canonical_metric(key), value) for key, value in row.items())
        return rows

    def rows_with_epoch_metrics(self) -> list[Row]:
        """Rows of the history that hold a per-epoch metric in any spelling."""
        names = {key.name for key in EPOCH_KEYS}
        return [
            row
            for row in self.result.history
            if any(canonical_metric(key) in names and row[key] is not None for key in row)
        ]


def epoch_of(row: Row) -> float | None:
    """The epoch that a row of the history belongs to: its `epoch`, else its step."""
    epoch = as_number(row.get("epoch"))
    return as_number(row.get("_step")) if epoch is None else epoch


def listed(names: Sequence[str] | Iterator[str], limit: int = 6) -> str:
    """Names in a row, the first `limit` of them and how many more there are."""
    names = list(names)
    more = [f"and {len(names) - limit} more"] if len(names) > limit else []
    return ", ".join(chain(names[:limit], more))
