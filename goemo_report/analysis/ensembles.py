"""The mean of several runs, split by split: what it is, and the run that it is written as."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from goemo_report.analysis.common import align
from goemo_report.analysis.configs import MEMBERS, recipe
from goemo_report.contract import SPLITS, Split
from goemo_report.errors import DataError
from goemo_report.formats.files import write_whole
from goemo_report.formats.json_text import to_json
from goemo_report.formats.wording import plural
from goemo_report.predictions import Predictions, write_predictions
from goemo_report.sources.model import RunRecord
from goemo_report.thresholds.protocols import ThresholdChoice, export_thresholds

_CONFIG: Final = "config.json"
_NOT_SHARED: Final = {"model_params", "threshold"}  # an ensemble has others


@dataclass(frozen=True, eq=False, slots=True)
class Ensemble:
    """The averaged predictions of the splits that all members have.

    Labels are predicted by `choice`: thresholds tuned on the averaged validation predictions, 0.5
    without any. `notes` say why a split is missing.
    """

    members: tuple[RunRecord, ...]
    splits: Mapping[Split, Predictions]
    choice: ThresholdChoice
    notes: tuple[str, ...]

    @property
    def config(self) -> dict[str, Any]:
        """The members, and the settings that all of them share; seeds are left out."""
        first, *others = map(recipe, self.members)
        shared = {
            key: value
            for key, value in first.items()
            if key not in _NOT_SHARED and all(key in o and o[key] == value for o in others)
        }
        return {**shared, MEMBERS: [run.path for run in self.members]}

    def write(self, directory: Path) -> list[Path]:
        """Write prediction files, config.json and thresholds.json, which make a RUN; gives the
        files.

        All is written beside the directory first. Raises DataError where the directory holds
        something that is no ensemble.
        """
        _require_own(directory)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".ensemble-") as beside:
            part = Path(beside)
            cuts = np.asarray(self.choice.thresholds, np.float64)
            for split, held in self.splits.items():
                columns = held.texts, held.truth, held.probabilities, cuts, held.labels
                write_predictions(part / f"{split}_predictions.csv", *columns)
            write_whole(part / _CONFIG, to_json(self.config).encode())
            thresholds = to_json(export_thresholds([(str(directory), self.choice)]))
            write_whole(part / "thresholds.json", thresholds.encode())
            names = sorted(path.name for path in part.iterdir())
            for split in SPLITS:
                (directory / f"{split}_predictions.csv").unlink(missing_ok=True)
            for name in names:
                shutil.move(part / name, directory / name)
        return [directory / name for name in names]


def average(members: Sequence[Predictions]) -> Predictions:
    """The mean of the probabilities, text by text and label by label, in the first one's order;
    a label is predicted from 0.5 on.

    Raises DataError where texts, labels or true labels differ, with the counts, and where a file
    has no probabilities.
    """
    first, *others = members
    for member in members:
        if not member.has_probabilities:
            what = f"{member.source} has no probabilities, only labels"
            raise DataError(what, "Average runs with probabilities")
    total = first.probabilities.copy()
    for other in others:
        pair = f"{first.source} and {other.source}"
        shared = set(first.labels) & set(other.labels)
        if not len(shared) == len(first.labels) == len(other.labels):
            raise DataError(
                f"{pair} have {len(first.labels)} and {plural(len(other.labels), 'label')}, "
                f"{len(shared)} of them the same",
                "Average runs of one label set",
            )
        other = other.in_order_of(first.labels)
        found = align(first, other)
        if not found.complete:
            raise DataError(
                f"{pair} have {found.total:,} and {plural(found.other_total, 'text')}, "
                f"{found.matched:,} of them the same",
                "Average runs that predict the same texts",
            )
        if found.disagreeing:
            raise DataError(
                f"{pair} differ in the true labels of {found.disagreeing:,} of "
                f"{plural(found.total, 'text')}",
                "Average runs of one version of the data set",
            )
        total[found.rows] += other.probabilities[found.other_rows]
    mean = total / len(members)
    source = f"mean of {len(members)} runs"
    return replace(first, probabilities=mean, predicted=mean >= 0.5, source=source)


def _require_own(directory: Path) -> None:
    """Raise DataError where writing would mix with, or replace, what is no ensemble."""
    if not directory.is_dir() or not any(directory.iterdir()):
        return
    try:
        held = json.loads((directory / _CONFIG).read_text("utf-8"))
        own = isinstance(held, dict) and isinstance(held.get(MEMBERS), list)
    except (OSError, ValueError, RecursionError):
        own = False
    if not own:
        raise DataError(
            f"{directory} holds other files than an ensemble",
            "Give a directory of its own: the ensemble is a run",
        )
