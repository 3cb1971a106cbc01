"""What `compare` and `ensemble` take, in any mixture: found and read; and the mean of it, a run."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from goemo_report.analysis.common import align
from goemo_report.analysis.configs import MEMBERS, recipe
from goemo_report.api.arguments import Bar, Place, Shown, check, chosen_labels, place, settled
from goemo_report.api.arrays import of_frame
from goemo_report.api.one_run import Run
from goemo_report.api.runs import Runs
from goemo_report.contract import SPLITS, Split
from goemo_report.errors import ArgumentError, DataError
from goemo_report.formats.files import write_whole
from goemo_report.formats.json_text import to_json
from goemo_report.formats.wording import plural
from goemo_report.loading import load_results
from goemo_report.predictions import Predictions, write_predictions
from goemo_report.reading.names import Reading
from goemo_report.results import LoadedRuns, RunResult, result_of
from goemo_report.settings import SourceChoice
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.model import RunRecord
from goemo_report.sources.resolve import gather
from goemo_report.thresholds.protocols import (
    ThresholdChoice,
    export_thresholds,
    fixed,
    tuned_per_class,
)

if TYPE_CHECKING:
    from goemo_report.analysis.label_choice import LabelChoice

Comparable: TypeAlias = Run | Predictions | Place
Asked: TypeAlias = tuple[str | None, Run | Predictions]
"""A run or predictions in memory, with the name that it was given."""


def asked_for(
    runs: Runs | Comparable | Sequence[Comparable] | Mapping[str, Comparable],
    others: Sequence[Comparable],
    reading: Reading,
    where: SourceChoice,
) -> list[Asked]:
    """Each one that was asked for, in that order; what is no run is refused.

    Names and files that were given no other name are looked up together.
    """
    given: list[tuple[str | None, Comparable]] = [(None, one) for one in others]
    if isinstance(runs, Mapping):
        given[:0] = [(str(name), one) for name, one in runs.items()]
    elif isinstance(runs, Sequence | Iterator) and not isinstance(runs, str):
        given[:0] = [(None, one) for one in runs]
    else:
        given[:0] = [(None, runs)]
    checked = [(name, _checked(one, reading)) for name, one in given]
    asked: list[Asked] = []
    for (name, _), batch in groupby(checked, key=lambda one: (one[0], isinstance(one[1], str))):
        texts: list[str] = []
        for _, one in batch:
            if isinstance(one, str):
                texts.append(one)
            else:
                asked.append((name, one))
        if texts:
            source, listing = gather(where, texts, RunQuery())
            asked += [(name, Run(record, source)) for record in listing.runs]
    return asked


def _checked(item: Comparable, reading: Reading) -> Run | Predictions | str:
    if hasattr(item, "to_csv"):  # a DataFrame
        return of_frame(item, reading)
    if isinstance(item, str | os.PathLike):
        return os.fspath(item)
    if not isinstance(item, Run | Predictions):
        kind = type(item).__name__
        raise ArgumentError(f"a {kind} is no run", "Give runs, predictions, names or files")
    return item


def load(
    asked: Sequence[Asked], split: Split, labels: LabelChoice, bar: Bar, *, figures: bool = False
) -> LoadedRuns:
    """Results in the order asked, with the names asked for; `figures` as in load_results.

    Runs of one source that stand together are read at once.
    """
    results: list[RunResult] = []
    more: list[LoadedRuns] = []
    for _, batch in groupby(asked, key=_source):
        names: dict[str, list[str | None]] = {}  # one run may be given twice, under two names
        runs: list[Run] = []
        for name, one in batch:
            if isinstance(one, Predictions):
                held = labels.on(one)
                called = name or f"predictions {len(results) + 1}"
                results.append(_distinct(result_of(held, split, called), results))
            else:
                names.setdefault(one.id, []).append(name)
                runs.append(one)
        if not runs:
            continue
        records = [run.record for run in runs]
        loaded = load_results(
            runs[0].source, records, progress=bar, reading=labels.reading, figures=figures
        )
        more.append(loaded)
        for result in loaded:
            name = names[result.id].pop(0)
            run = result.run if name is None else replace(result.run, name=name)
            results.append(_distinct(replace(result.changed(labels.on), run=run), results))
    return LoadedRuns(
        tuple(results),
        tuple(item for one in more for item in one.skipped),
        tuple(run for one in more for run in one.logged),
        tuple(note for one in more for note in one.notes),
    )


def _source(asked: Asked) -> int | None:
    """Alike for runs of one source, and for predictions in memory."""
    _, one = asked
    return id(one.source) if isinstance(one, Run) else None


def places_of(asked: Sequence[Asked]) -> str:
    """Where they were read from."""
    of_source = {_source(pair): pair[1] for pair in asked}
    found = (
        one.source.description if isinstance(one, Run) else "predictions in memory"
        for one in of_source.values()
    )
    return " and ".join(dict.fromkeys(found))


def _distinct(result: RunResult, others: Sequence[RunResult]) -> RunResult:
    """A result whose id no other one has: the same file may be given twice."""
    taken = {other.id for other in others}
    run, number = result.run, 1
    while run.id in taken:
        number += 1
        run = replace(run, id=f"{result.id} ({number})")
    return replace(result, run=run)


# --- Their mean -----------------------------------------------------------------------------

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


def ensemble(
    runs: Runs | Comparable | Sequence[Comparable],
    *others: Comparable,
    split: Split = "test",
    output: Place | None = None,
    source: str | None = None,
    wandb_dir: Place | None = None,
    entity: str | None = None,
    project: str | None = None,
    progress: Shown = False,
) -> Predictions:
    """The mean of several runs' probabilities on a split, which all predict the same texts.

    Labels are predicted at thresholds tuned on the averaged validation predictions where all runs
    have some, else at 0.5.

    Args:
        runs: as in `compare`, two or more.
        others: more of them.
        split: `test` or `val`; predictions in memory count as this split.
        output: also write both splits, config and thresholds to this directory, as a run.
        source, wandb_dir, entity, project: as in `runs`, for RUN names.
        progress: show a bar.

    Raises:
        DataError: other texts, labels or true labels, with the counts; fewer than two runs.

    """
    check(split=split)
    where = settled(wandb_dir, entity, project, source=source)
    found = averaged(runs, *others, split=split, where=where, progress=progress)
    if output is not None:
        found.write(Path(place(output, "output")))
    if split not in found.splits:
        raise DataError("; ".join(found.notes), "Average the other split, or other runs")
    return found.splits[split]


def averaged(
    runs: Runs | Comparable | Sequence[Comparable],
    *others: Comparable,
    split: Split = "test",
    where: SourceChoice | None = None,
    progress: Shown = False,
) -> Ensemble:
    """The averaged predictions of two runs or more, split by split, and what goes with them.

    Raises DataError for a run without predictions, for no split that all have, and for other
    texts, labels or true labels, with the counts.
    """
    own = chosen_labels()
    asked = asked_for(runs, others, own.reading, where or SourceChoice())
    with Bar(progress) as bar:
        results = load(asked, split, own, bar)
    for left in results.skipped:
        raise DataError(f"{left.name} cannot be averaged: {left.reason}", "Leave it out")
    if len(results) < 2:
        names = "".join(f" ({result.run.name})" for result in results)
        raise DataError(
            f"an ensemble needs two runs or more, here is {len(results)}{names}",
            "Name more runs; a run counts once",
        )
    splits: dict[Split, Predictions] = {}
    notes = []
    for part in SPLITS:
        lacking = [result for result in results if part not in result.splits]
        if lacking:
            run = lacking[0]
            reason = run.problems.get(part, "it has none")
            notes.append(f"no {part} predictions are written: {run.run.name}: {reason}")
        else:
            splits[part] = average([result.splits[part].predictions for result in results])
    if not splits:
        raise DataError(f"the runs share no split ({'; '.join(notes)})", "Name other runs")
    labels = next(iter(splits.values())).labels
    choice = tuned_per_class(splits["val"]) if "val" in splits else fixed(labels)
    splits = {
        part: replace(held, predicted=choice.predicted(held)) for part, held in splits.items()
    }
    return Ensemble(tuple(result.run for result in results), splits, choice, tuple(notes))


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
