"""What `compare` and `ensemble` take, in any mixture: found and read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from goemo_report.analysis.ensembles import Ensemble, average
from goemo_report.api.arguments import Place, check, chosen_labels, place, settled
from goemo_report.api.arrays import of_frame
from goemo_report.api.one_run import Run
from goemo_report.api.progress import Bar, Shown
from goemo_report.api.runs import Runs
from goemo_report.contract import SPLITS, Split
from goemo_report.errors import ArgumentError, DataError
from goemo_report.predictions import Predictions
from goemo_report.reading.names import Reading
from goemo_report.results import LoadedRuns, RunResult, result_of
from goemo_report.results.loading import load_results
from goemo_report.settings import SourceChoice
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.model import SkippedRun
from goemo_report.sources.resolve import gather
from goemo_report.thresholds.protocols import fixed, tuned_per_class

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
) -> tuple[list[Asked], tuple[SkippedRun, ...]]:
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
    skipped: tuple[SkippedRun, ...] = ()
    for (name, _), batch in groupby(checked, key=lambda one: (one[0], isinstance(one[1], str))):
        texts: list[str] = []
        for _, one in batch:
            if isinstance(one, str):
                texts.append(one)
            else:
                asked.append((name, one))
        if texts:
            source, listing = gather(where, texts, RunQuery())
            skipped += listing.skipped
            asked += [(name, Run(record, source)) for record in listing.runs]
    return asked, skipped


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
            run = result.run
            if name is not None:  # a file is called by its name alone
                own = {"model_name": name} if run.config == {"model_name": run.name} else {}
                run = replace(run, name=name, config={**run.config, **own})
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
    asked, lost = asked_for(runs, others, own.reading, where or SourceChoice())
    with Bar(progress) as bar:
        results = load(asked, split, own, bar)
    for left in (*lost, *results.skipped):
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
