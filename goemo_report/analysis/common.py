"""What two runs or more have in common: texts and labels, and how they are made to.

Runs with different labels are rolled up, compared on the labels they share, or refused. Two runs
are compared in pairs only on rows that are the same text with the same true labels. A text that
occurs several times is matched first with an occurrence that has the same labels, then in order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from goemo_report.analysis.raters import keys_of
from goemo_report.contract import SPLITS, Split
from goemo_report.corpora.ratings import Ratings
from goemo_report.errors import DataError, argument
from goemo_report.formats.text import shown
from goemo_report.formats.wording import listed, plural
from goemo_report.labels import Grouping, LabelSet
from goemo_report.metrics.arrays import BoolArray, IntArray
from goemo_report.predictions import Predictions
from goemo_report.results import RunResult

_Pairs: TypeAlias = tuple[IntArray, IntArray]

_NONE: Final[Iterator[int]] = iter(())
MINIMUM_SHARE: Final = 0.5
"""Below this share of the smaller split in common, two runs are not paired."""


@dataclass(frozen=True, eq=False, slots=True)
class Alignment:
    """The common rows and labels of a run and the run it is compared with.

    `rows` and `other_rows` (m,) index the common texts, `columns` and `other_columns` (c,)
    the common labels. `disagreeing` texts of them carry different true labels.
    """

    rows: IntArray
    other_rows: IntArray
    columns: IntArray
    other_columns: IntArray
    labels: tuple[str, ...]
    same_labels: bool
    total: int
    other_total: int
    disagreeing: int

    @property
    def matched(self) -> int:
        """Number of texts that both runs have."""
        return len(self.rows)

    @property
    def complete(self) -> bool:
        """Whether both runs have exactly these texts."""
        return self.matched == self.total == self.other_total

    @property
    def in_order(self) -> bool:
        """Whether the common texts stand in the same rows of both files."""
        return np.array_equal(self.rows, self.other_rows)

    @property
    def paired(self) -> bool:
        """Whether the runs may be compared row by row."""
        enough = self.matched >= MINIMUM_SHARE * min(self.total, self.other_total)
        return self.disagreeing == 0 and self.matched > 0 and enough

    def take(self, ours: Predictions, theirs: Predictions) -> tuple[Predictions, Predictions]:
        """Both files on the common rows and labels; what is there twice has clusters as ours."""
        ours = ours.take(self.rows, self.columns)
        theirs = theirs.take(self.other_rows, self.other_columns)
        return ours, replace(theirs, clusters=ours.clusters)

    @property
    def note(self) -> str:
        """How many rows agree, in words."""
        if self.disagreeing:
            agreeing = self.matched - self.disagreeing
            return (
                f"not paired: {agreeing:,} of {self.matched:,} common texts carry the same "
                "true labels"
            )
        if not self.paired:
            return (
                f"not paired: only {plural(self.matched, 'text')} in common "
                f"(of {self.total:,} and {self.other_total:,})"
            )
        words = (
            f"paired on all {plural(self.matched, 'text')}"
            if self.complete
            else f"paired on {plural(self.matched, 'common text')} of {self.total:,} and "
            f"{self.other_total:,}"
        )
        if self.same_labels:
            return words
        return f"{words}, on the {len(self.labels)} labels that both have"


def align(predictions: Predictions, other: Predictions) -> Alignment:
    """Match the rows and the labels of two prediction files of one split."""
    labels = tuple(label for label in predictions.labels if label in set(other.labels))
    columns, other_columns = (
        np.array([one.labels.index(label) for label in labels], dtype=np.int64)
        for one in (predictions, other)
    )
    truth, other_truth = predictions.truth[:, columns], other.truth[:, other_columns]
    if predictions.texts == other.texts and np.array_equal(truth, other_truth):
        rows = np.arange(len(predictions.texts), dtype=np.int64)
        other_rows = rows
    else:
        rows, other_rows = _match(_keys(predictions.texts, truth), _keys(other.texts, other_truth))
    differs = (truth[rows] != other_truth[other_rows]).any(axis=1)
    return Alignment(
        rows=rows,
        other_rows=other_rows,
        columns=columns,
        other_columns=other_columns,
        labels=labels,
        same_labels=predictions.labels == other.labels,
        total=len(predictions.texts),
        other_total=len(other.texts),
        disagreeing=int(np.count_nonzero(differs)),
    )


def _keys(texts: tuple[str, ...], truth: BoolArray) -> list[tuple[str, bytes]]:
    return [(text, row.tobytes()) for text, row in zip(texts, truth, strict=True)]


def _match(rows: list[tuple[str, bytes]], others: list[tuple[str, bytes]]) -> _Pairs:
    """Pair equal texts: those with equal labels first, then the rest in order."""
    pairs = _pair(dict(enumerate(rows)), dict(enumerate(others)))
    taken, other_taken = {row for row, _ in pairs}, {row for _, row in pairs}
    left = {row: key[0] for row, key in enumerate(rows) if row not in taken}
    other_left = {row: key[0] for row, key in enumerate(others) if row not in other_taken}
    matched = np.array(sorted(pairs + _pair(left, other_left)), dtype=np.int64).reshape(-1, 2)
    return matched[:, 0], matched[:, 1]


def _pair(keys: Mapping[int, Hashable], others: Mapping[int, Hashable]) -> list[tuple[int, int]]:
    places: dict[Hashable, list[int]] = defaultdict(list)
    for row, key in others.items():
        places[key].append(row)
    waiting = {key: iter(rows) for key, rows in places.items()}
    found = ((row, next(waiting.get(key, _NONE), None)) for row, key in keys.items())
    return [(row, other) for row, other in found if other is not None]


# --- Labels ---------------------------------------------------------------------------

WITHOUT_TEXTS: Final = "without texts, paired"
"""How a change begins that is none of labels."""
NOT_ALL_HAVE: Final = "which not all runs have"
"""How a change ends that leaves labels out."""


def on_common_labels(results: Sequence[RunResult], split: Split) -> list[RunResult]:
    """The results on labels that can be compared.

    Labels are rolled up where those of another run are groups of them. Else runs are compared on
    the labels that all have, if they are paired and the common texts carry the same ones. A run
    without the label for the rest, as GoEmotions without neutral, stays beside others of the set:
    pairs are taken on common labels.
    Raises DataError, with the counts, where that cannot be done.
    """
    found = list(results)
    sets = list(dict.fromkeys(run.splits[split].label_set for run in found))
    by_size = sorted(sets, key=lambda one: len(one.labels))
    target = next((one for one in by_size if all(_onto(s, one) for s in sets)), None)
    if target is not None:
        found = [run.changed(partial(_mapped, target=target)) for run in found]
        sets = list(dict.fromkeys(run.splits[split].label_set for run in found))
    if len({one.with_rest for one in sets}) == 1:
        return found
    shared = [label for label in sets[0].labels if all(label in one.labels for one in sets)]
    if not shared:
        raise DataError(f"the runs share no label: {_labels_of(found, split)}", _remedy(sets))
    fewer = [run.changed(partial(_only, labels=shared)) for run in found]
    own = [run.splits[split].label_set.with_rest for run in found]
    odd = [labels != own[0] for labels in own]
    _require_same_truth(fewer, split, shared, odd, _remedy(sets))
    return fewer


def with_common_text_keys(results: Sequence[RunResult], split: Split) -> list[RunResult]:
    """The results with rows told apart alike: those without texts get the texts of others.

    By the ids that both have, else by row number where there are as many rows.
    """
    held = [run.splits[split].predictions for run in results]
    return [run.changed(partial(with_texts_of, others=held)) for run in results]


def with_texts_of(own: Predictions, others: Sequence[Predictions]) -> Predictions:
    """Predictions, if they are among the others, with the texts of the first that have them."""
    if own.row_key == "text" or not any(own is other for other in others):
        return own
    by_id = [other for other in others if own.row_key == "id" and other.ids]
    by_row = [other for other in others if other.row_key == "text" and len(other) == len(own)]
    if by_id:
        known = dict(zip(by_id[0].ids, by_id[0].texts, strict=True))
        texts = tuple(known.get(name, name) for name in own.texts)
    elif by_row:
        texts = by_row[0].texts
    else:
        return own
    how = "by id" if by_id else "by row number"
    done = f"{WITHOUT_TEXTS} {how} with {(by_id or by_row)[0].source}"
    change = "; ".join(filter(None, (own.change, done)))
    return replace(own, texts=texts, row_key="text", change=change)


def _onto(source: LabelSet, target: LabelSet) -> Grouping | bool:
    """How labels become others: the grouping that makes them, or whether they are the same.

    The others may lack the label for the rest, as a model that was trained without it does.
    """
    wanted = set(target.labels)
    if set(source.labels) == wanted:
        return True
    fitting = (g for g in source.groupings if wanted in ({*g.groups}, {*g.groups} - {source.rest}))
    return next(fitting, False)


def _mapped(predictions: Predictions, target: LabelSet) -> Predictions:
    how = _onto(predictions.label_set, target)
    if isinstance(how, Grouping):
        predictions = predictions.rolled_up(how)
    return predictions.in_order_of(target.labels)


def _only(predictions: Predictions, labels: Sequence[str]) -> Predictions:
    """These labels, if the split has them all."""
    left = [label for label in predictions.labels if label not in set(labels)]
    if len(labels) + len(left) != len(predictions.labels):
        return predictions
    fewer = predictions.on_labels(labels)
    done = f"on {len(labels)} of {plural(len(predictions.labels), 'label')}: "
    done += f"without {listed(left, 6)}, {NOT_ALL_HAVE}"
    change = "; ".join(filter(None, (predictions.change, done)))
    return replace(fewer, change=change) if left else fewer


def _require_same_truth(
    results: Sequence[RunResult],
    split: Split,
    shared: Sequence[str],
    odd: Sequence[bool],
    remedy: str,
) -> None:
    """Raise DataError where true labels differ from those of the first run, or where nothing
    shows that they do not: an `odd` run, which had other labels than the first, is not paired."""
    first, *others = with_common_text_keys(results, split)
    for other, differs in zip(others, odd[1:], strict=True):
        common = align(other.splits[split].predictions, first.splits[split].predictions)
        if not common.disagreeing and (common.paired or not differs):
            continue
        agreeing = common.matched - common.disagreeing
        but = f"only {agreeing:,} of {common.matched:,} common texts carry the same ones of them"
        if not common.disagreeing:
            texts = f"{plural(common.matched, 'text')} (of {common.other_total:,} and "
            but = f"have only {texts}{common.total:,}) in common to show that they mean the same"
        raise DataError(
            f"{first.run.name} and {other.run.name} share {plural(len(shared), 'label')} "
            f"({listed(shared, 4)}), but {but}",
            remedy,
        )


def _remedy(sets: Sequence[LabelSet]) -> str:
    coarse = [{one.name.lower(), *(g.name for g in one.groupings)} for one in sets]
    groupings = {grouping.name for one in sets for grouping in one.groupings}
    names = sorted(groupings.intersection(*coarse))  # a set of one's own is no grouping
    coarser = f", or try {' or '.join(argument('map_to', name) for name in names)}" if names else ""
    return f"Compare runs of one label set at a time{coarser}"


def _labels_of(results: Sequence[RunResult], split: Split) -> str:
    return "; ".join(
        f"{run.run.name} has {listed(run.splits[split].labels, 4)}" for run in results[:4]
    )


# --- Clusters -------------------------------------------------------------------------


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
