"""Runs, files, names and predictions in any mixture: found, and read at once where they can be."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from goemo_report.api.arguments import Place
from goemo_report.api.arrays import of_frame
from goemo_report.api.one_run import Run
from goemo_report.api.progress import Bar
from goemo_report.api.runs import Runs
from goemo_report.contract import Split
from goemo_report.errors import ArgumentError, NotFoundError
from goemo_report.loading import load_results
from goemo_report.predictions import Predictions
from goemo_report.reading.names import Reading
from goemo_report.results import LoadedRuns, RunResult, result_of
from goemo_report.settings import SourceChoice
from goemo_report.sources.base import RunSource
from goemo_report.sources.model import Listing, RunQuery, RunRecord
from goemo_report.sources.resolve import gather, with_run

if TYPE_CHECKING:
    from goemo_report.analysis.label_choice import LabelChoice

Comparable: TypeAlias = Run | Predictions | Place


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
) -> Iterator[tuple[str | None, Comparable]]:
    """Each one that was asked for, with the name that it was given; what is no run is refused."""
    if isinstance(runs, Mapping):
        yield from ((str(name), _checked(item, reading)) for name, item in runs.items())
    elif isinstance(runs, Sequence | Iterator) and not isinstance(runs, str):
        yield from ((None, _checked(item, reading)) for item in runs)
    else:
        yield None, _checked(runs, reading)
    yield from ((None, _checked(item, reading)) for item in others)


def grouped(
    wanted: Sequence[tuple[str | None, Comparable]], where: SourceChoice
) -> Iterator[Group]:
    """What was asked for by where it is read from, in the order asked."""
    for kind, batch in groupby(wanted, key=_kind):
        items = list(batch)
        held = [(name, item) for name, item in items if isinstance(item, Predictions)]
        runs = [(name, item) for name, item in items if isinstance(item, Run)]
        places = [
            (name, os.fspath(item)) for name, item in items if isinstance(item, str | os.PathLike)
        ]
        if held:
            yield Group("predictions in memory", None, [], held)
        for _, group in groupby(runs, key=lambda pair: id(pair[1].source)):
            own = list(group)
            source = own[0][1].source
            found = [(name, run.record) for name, run in own]
            yield Group(source.description, source, found, [])
        if kind == "unnamed":
            yield _found(None, [place for _, place in places], where)
        else:
            yield from (_found(name, [place], where) for name, place in places)


def _found(name: str | None, places: Sequence[str], where: SourceChoice) -> Group:
    source, listing = gather(where, places, RunQuery())
    return Group(source.description, source, [(name, record) for record in listing.runs], [])


def _checked(item: Comparable, reading: Reading) -> Comparable:
    if hasattr(item, "to_csv"):  # a DataFrame
        return of_frame(item, reading)
    if not isinstance(item, Run | Predictions | str | os.PathLike):
        kind = type(item).__name__
        raise ArgumentError(f"a {kind} is no run", "Give runs, predictions, names or files")
    return item


def _kind(pair: tuple[str | None, Comparable]) -> str:
    """Runs are read at once that follow each other; places without a name are found at once."""
    name, item = pair
    if isinstance(item, Run | Predictions):
        return type(item).__name__
    return "unnamed" if name is None else "named"


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
