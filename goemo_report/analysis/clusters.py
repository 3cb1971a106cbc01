"""Which texts of the runs belong together: the cells of one column, the same for all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from goemo_report.analysis.alignment import align
from goemo_report.analysis.raters import keys_of
from goemo_report.contract import SPLITS, Split
from goemo_report.corpora.ratings import Ratings
from goemo_report.errors import DataError, argument
from goemo_report.formats.text import shown
from goemo_report.predictions import Predictions
from goemo_report.results import RunResult


def clustered(
    runs: Sequence[RunResult], split: Split, column: str, ratings: Ratings | None
) -> list[RunResult]:
    """The runs with the cluster of each text, from their own files, another run's, or ratings.

    Raises DataError where neither has the column, where files disagree, and where all texts of the
    split that is reported are of one cluster.
    """
    found = [dict(run.splits) for run in runs]
    for one in SPLITS:
        held = [splits[one].predictions for splits in found if one in splits]
        cells = iter(_cells(held, column, ratings))
        for splits in found:
            if one in splits and (own := next(cells)) is not None:
                of_run = splits[one]
                splits[one] = replace(of_run, predictions=replace(of_run.predictions, clusters=own))
    for splits in found:
        judged = splits[split].predictions
        if not any(judged.clusters):
            place = f" and {ratings.source}" if ratings else ""
            what = f"{judged.source}{place}: no column {shown(column)} for any of the texts"
            raise DataError(
                what,
                f"Check {argument('cluster')}; raw ratings as {argument('raters')} may have it",
            )
        if len(set(judged.clusters)) == 1 and judged.clusters[0]:
            what = f"all texts of {judged.source} are of one {column}: {shown(judged.clusters[0])}"
            raise DataError(what, "Clusters are resampled as wholes: there must be many")
    return [replace(run, splits=splits) for run, splits in zip(runs, found, strict=True)]


def _cells(
    held: Sequence[Predictions], column: str, ratings: Ratings | None
) -> list[tuple[str, ...] | None]:
    """The cells of each of the files, which agree where they have the same texts."""
    reference = next((one for one in held if one.clusters), None)
    if reference is None:
        if ratings is None or not ratings.clusters:
            return [None] * len(held)
        return [_rated(one, ratings) for one in held]
    found: list[tuple[str, ...] | None] = []
    for one in held:
        cells = list(one.clusters or ("",) * len(one))
        if one is not reference:
            common = align(one, reference)
            for row, other in zip(common.rows.tolist(), common.other_rows.tolist(), strict=True):
                cell, known = cells[row], reference.clusters[other]
                if cell and known and cell != known:
                    what = f"{one.source}, row {row + 1}: {column} is {shown(cell)}"
                    other_place = f"{reference.source}, row {other + 1}"
                    raise DataError(f"{what}, but in {other_place}, it is {shown(known)}")
                cells[row] = known or cell
        found.append(tuple(cells))
    return found


def _rated(predictions: Predictions, ratings: Ratings) -> tuple[str, ...]:
    keys, rated = keys_of(predictions, ratings)
    known: Mapping[str, str] = dict(zip(rated[::-1], ratings.clusters[::-1], strict=True))
    return tuple(known.get(key, "") for key in keys)
