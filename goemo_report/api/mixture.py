"""Runs, files, names and predictions in any mixture: found, read, averaged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from goemo_report.analysis.ensemble import Ensemble
from goemo_report.analysis.ensemble import ensemble as average_runs
from goemo_report.api.arguments import Bar, Place, Shown, check_words, chosen_labels, place, settled
from goemo_report.api.arrays import of_frame
from goemo_report.api.one_run import Run
from goemo_report.api.runs import Runs
from goemo_report.contract import Split
from goemo_report.errors import ArgumentError, DataError, NotFoundError
from goemo_report.loading import load_results
from goemo_report.predictions import Predictions
from goemo_report.reading.names import Reading
from goemo_report.results import LoadedRuns, RunResult, result_of
from goemo_report.settings import SourceChoice
from goemo_report.sources.base import RunSource
from goemo_report.sources.conditions import RunQuery
from goemo_report.sources.model import Listing, RunRecord
from goemo_report.sources.resolve import gather, with_run

if TYPE_CHECKING:
    from goemo_report.analysis.label_choice import LabelChoice

Comparable: TypeAlias = Run | Predictions | Place
_Item: TypeAlias = "tuple[str | None, Comparable]"
"""What was asked for, with the name that it was given."""


class Group(NamedTuple):
    """Runs of one source that are read at once, or predictions in memory, each with the name that
    it was given."""

    place: str
    source: RunSource | None
    runs: list[tuple[str | None, RunRecord]]
    held: list[tuple[str | None, Predictions]]


def items(
    runs: Runs | Comparable | Sequence[Comparable] | Mapping[str, Comparable],
    others: Sequence[Comparable],
    reading: Reading,
) -> Iterator[_Item]:
    """Each one that was asked for; what is no run is refused."""
    if isinstance(runs, Mapping):
        yield from ((str(name), _checked(item, reading)) for name, item in runs.items())
    elif isinstance(runs, Sequence | Iterator) and not isinstance(runs, str):
        yield from ((None, _checked(item, reading)) for item in runs)
    else:
        yield None, _checked(runs, reading)
    yield from ((None, _checked(item, reading)) for item in others)


def _checked(item: Comparable, reading: Reading) -> Comparable:
    if hasattr(item, "to_csv"):  # a DataFrame
        return of_frame(item, reading)
    if not isinstance(item, Run | Predictions | str | os.PathLike):
        kind = type(item).__name__
        raise ArgumentError(f"a {kind} is no run", "Give runs, predictions, names or files")
    return item


def grouped(wanted: Sequence[_Item], where: SourceChoice) -> Iterator[Group]:
    """What was asked for by where it is read from, in the order asked."""
    for _, batch in groupby(wanted, key=_origin):
        own = list(batch)
        held = [(name, item) for name, item in own if isinstance(item, Predictions)]
        runs = [(name, item) for name, item in own if isinstance(item, Run)]
        places = [os.fspath(item) for _, item in own if isinstance(item, str | os.PathLike)]
        if held:
            yield Group("predictions in memory", None, [], held)
        elif runs:
            source = runs[0][1].source
            yield Group(source.description, source, [(name, one.record) for name, one in runs], [])
        else:
            source, listing = gather(where, places, RunQuery())
            found = [(own[0][0], record) for record in listing.runs]
            yield Group(source.description, source, found, [])


def _origin(item: _Item) -> object:
    """Alike for what is read at once: runs of one source, and names that were given no other."""
    name, one = item
    return (Run, id(one.source)) if isinstance(one, Run) else (type(one) is Predictions, name)


def with_baseline(groups: list[Group], runs: Runs, baseline: str) -> str:
    """The id of the baseline, which joins the runs, the first of the groups, if it is not among
    them.

    Raises NotFoundError where there are no runs.
    """
    if not len(runs):
        raise NotFoundError("there are no runs to compare with a baseline", "Ask for other runs")
    source, listing, run = with_run(runs.choice, runs.source, Listing(runs.records), baseline)
    if len(listing.runs) > len(runs):
        more = groups[0].runs[len(runs) :]
        own: list[tuple[str | None, RunRecord]] = [(None, one) for one in listing.runs]
        groups[0] = Group(source.description, source, [*own, *more], [])
    return run.id


def load(
    groups: Sequence[Group], split: Split, labels: LabelChoice, bar: Bar, *, figures: bool = False
) -> LoadedRuns:
    """Results in the order asked, with the names asked for; `figures` as in load_results."""
    found: list[RunResult] = []
    more: list[LoadedRuns] = []
    for group in groups:
        for name, held in group.held:
            held = labels.on(labels.expected(held))
            one = result_of(held, split, name or f"predictions {len(found) + 1}")
            found.append(_distinct(one, found))
        if group.source is None:
            continue
        records = [record for _, record in group.runs]
        loaded = load_results(
            group.source, records, progress=bar, reading=labels.reading, figures=figures
        )
        more.append(loaded)
        names: dict[str, list[str | None]] = {}  # one run may be given twice, under two names
        for name, record in group.runs:
            names.setdefault(record.id, []).append(name)
        for result in loaded:
            name = names[result.id].pop(0)
            name = result.run.name if name is None else name
            one = replace(result.changed(labels.on), run=replace(result.run, name=name))
            found.append(_distinct(one, found))
    return LoadedRuns(
        tuple(found),
        tuple(item for one in more for item in one.skipped),
        tuple(run for one in more for run in one.logged),
        tuple(note for one in more for note in one.notes),
    )


def _distinct(result: RunResult, others: Sequence[RunResult]) -> RunResult:
    """A result whose id no other one has: the same file may be given twice."""
    taken = {other.id for other in others}
    run, number = result.run, 1
    while run.id in taken:
        number += 1
        run = replace(run, id=f"{result.id} ({number})")
    return replace(result, run=run)


# --- Their mean -----------------------------------------------------------------------------


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
    check_words(split=split)
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
    """The averaged predictions of both splits, and what goes with them."""
    choice = chosen_labels()
    wanted = list(items(runs, others, choice.reading))
    groups = list(grouped(wanted, where or SourceChoice()))
    with Bar(progress) as bar:
        return average_runs(load(groups, split, choice, bar))
