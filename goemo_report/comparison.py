"""A Comparison of several runs' results: order, names, pairs, groups, statistics. Pure.

What is costly (intervals, tuned thresholds) is computed when a section first asks for it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from goemo_report.analysis.alignment import Alignment, align
from goemo_report.analysis.configs import SeedGroup
from goemo_report.analysis.run_labels import run_labels
from goemo_report.caches.statistics_cache import kept
from goemo_report.contract import DEFAULT_THRESHOLD, EMOTIONS, Split
from goemo_report.metrics.arrays import BoolArray, IntArray
from goemo_report.predictions import Predictions
from goemo_report.results import RunResult, SplitResult
from goemo_report.sources.base import Progress, silent
from goemo_report.sources.model import SkippedRun
from goemo_report.statistics.differences import PairedDifferences, paired
from goemo_report.statistics.intervals import (
    RESAMPLES,
    Analysis,
    Interval,
    MetricIntervals,
    analyse,
)
from goemo_report.thresholds.protocols import Protocol, ProtocolResult, choices

RANKING_METRIC: Final = "macro_f1"
"""Runs are ranked by it, at the fixed threshold 0.5."""
FIRST_RUN: Final = "the first run created"
"""How the baseline was chosen where nobody chose it."""

_T = TypeVar("_T")
_MOST_THREADS: Final = 8


@dataclass(frozen=True, slots=True)
class Options:
    """What a reader may choose about a comparison."""

    texts: bool = True
    """Whether texts of the data set may be shown."""
    max_errors: int = 20
    """Texts shown per emotion and kind of error."""
    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs with predictions on one split, in the order of creation.

    `alignments` has one entry a run other than the baseline. `labels` are those of the run
    with the most labels. Statistics are kept in the directory `cache`, or not at all.
    """

    runs: tuple[RunResult, ...]
    split: Split
    baseline: RunResult
    baseline_rule: str
    alignments: Mapping[str, Alignment]
    groups: tuple[SeedGroup, ...]
    skipped: tuple[SkippedRun, ...] = ()
    source: str = ""
    options: Options = field(default_factory=Options)
    progress: Progress = silent
    cache: Path | None = None

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Labels that any run has, in canonical order."""
        present = {label for run in self.runs for label in self.on_split(run).labels}
        return tuple(label for label in EMOTIONS if label in present)

    @cached_property
    def names(self) -> Mapping[str, str]:
        """What to call each run: its name, with the id where several runs share one."""
        taken = Counter(run.run.name for run in self.runs)
        return {
            run.id: run.run.name if taken[run.run.name] == 1 else f"{run.run.name} ({run.id})"
            for run in self.runs
        }

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """A short key of each run, R1, R2, ... in order, for wide tables and legends."""
        return {run.id: f"R{number}" for number, run in enumerate(self.runs, 1)}

    @cached_property
    def colours(self) -> Mapping[str, int]:
        """Index of each run in the palette."""
        return {run.id: index for index, run in enumerate(self.runs)}

    def on_split(self, run: RunResult) -> SplitResult:
        """A run's result on the split of this comparison."""
        return run.splits[self.split]

    def name(self, run: RunResult) -> str:
        """What to call a run."""
        return self.names[run.id]

    @cached_property
    def short_names(self) -> Mapping[str, str]:
        """Key, model and what tells runs of one model apart, by run id."""
        labels = run_labels([run.run for run in self.runs])
        return {run.id: f"{self.keys[run.id]} {labels[run.id]}" for run in self.runs}

    def short(self, run: RunResult) -> str:
        """What to call a run where there is little room; the run table has the same keys."""
        return self.short_names[run.id]

    @property
    def baseline_is_chosen(self) -> bool:
        """Whether someone named the baseline, by option or tag; else it is the first run."""
        return self.baseline_rule != FIRST_RUN

    @cached_property
    def same_texts(self) -> bool:
        """Whether all runs were judged on the same texts."""
        return all(found.complete for found in self.alignments.values())

    @cached_property
    def alike(self) -> bool:
        """Whether all runs were judged on the same texts, with the same labels, equally true."""
        return self.same_texts and all(
            found.same_labels and not found.disagreeing for found in self.alignments.values()
        )

    def group(self, run: RunResult) -> SeedGroup:
        """The runs of one recipe that a run belongs to."""
        return next(group for group in self.groups if run.id in group.run_ids)

    def macro_f1(self, run: RunResult) -> float:
        """Macro F1 at 0.5, by which runs are ranked."""
        return self.on_split(run).scores.overall[RANKING_METRIC] or 0.0

    # --- Statistics, each computed when it is first asked for ---------------------------

    @cached_property
    def analyses(self) -> Mapping[str, Analysis]:
        """Statistics of each run at 0.5, by run id; each computes a part when it is asked for."""
        return {run.id: self._analyse(self.on_split(run).predictions) for run in self.runs}

    @cached_property
    def intervals(self) -> Mapping[str, MetricIntervals]:
        """95% intervals of each run's metrics at 0.5, by run id."""
        return self._each(
            "intervals",
            self.runs,
            lambda run: self._kept("intervals", [run], lambda: self.analyses[run.id].intervals),
        )

    @cached_property
    def differences(self) -> Mapping[str, PairedDifferences]:
        """Run minus baseline at 0.5, by id of each run that is paired with the baseline."""
        runs = [run for run in self.others if self.alignments[run.id].paired]
        return self._each(
            "paired differences", runs, lambda run: self.difference(run, self.baseline)
        )

    @cached_property
    def lead(self) -> PairedDifferences | None:
        """Best run minus the next best; None where they are not paired or there is only one."""
        return self._against(self.ranked[1]) if self.others else None

    @property
    def rival(self) -> RunResult | None:
        """What the best run is held against: the baseline if someone chose it, else the next."""
        if not self.others:
            return None
        if self.baseline_is_chosen and self.best is not self.baseline:
            return self.baseline
        return self.ranked[1]

    @cached_property
    def contender(self) -> RunResult | None:
        """The rival, or the best run of another recipe where the rival is a seed of the same."""
        rival, own = self.rival, self.group(self.best)
        if rival is None or self.group(rival) is not own:
            return rival
        return next((run for run in self.ranked if self.group(run) is not own), rival)

    @cached_property
    def headline(self) -> PairedDifferences | None:
        """Best run minus its contender at 0.5; None where they are not paired or there is none."""
        return self._against(self.contender) if self.contender else None

    def _against(self, other: RunResult) -> PairedDifferences | None:
        """Best run minus another one at 0.5; None where they are not paired."""
        if other is self.baseline:
            return self.differences.get(self.best.id)
        alignment = align(self.on_split(self.best).predictions, self.on_split(other).predictions)
        return self.difference(self.best, other, alignment) if alignment.paired else None

    @cached_property
    def tuned_headline(self) -> PairedDifferences | None:
        """The same at each run's own thresholds per class, tuned on its validation split.

        The thresholds count as given, as in `tuned_intervals`.
        """
        run, rival = self.best, self.contender
        if rival is None:
            return None
        choice, other = self.protocol(run, "per-class"), self.protocol(rival, "per-class")
        if choice is None or other is None:
            return None
        ours, theirs = self.on_split(run).predictions, self.on_split(rival).predictions
        common = align(ours, theirs)
        if not common.paired:
            return None

        def tuned(judged: Predictions, found: ProtocolResult, *at: IntArray) -> Analysis:
            return self._analyse(judged.take(*at), found.choice.predicted(judged)[np.ix_(*at)])

        def computed() -> PairedDifferences:
            return paired(
                tuned(ours, choice, common.rows, common.columns),
                tuned(theirs, other, common.other_rows, common.other_columns),
            )

        return self._kept("tuned differences", [run, rival], computed)

    def difference(
        self, run: RunResult, other: RunResult, alignment: Alignment | None = None
    ) -> PairedDifferences:
        """Run minus another run at 0.5, on the texts and labels that both have.

        Without an alignment, `other` is the baseline.
        """
        common = alignment or self.alignments[run.id]
        return self._kept("differences", [run, other], lambda: self._paired(run, other, common))

    def _paired(self, run: RunResult, other: RunResult, common: Alignment) -> PairedDifferences:
        if common.complete and common.same_labels and common.in_order:
            return paired(self.analyses[run.id], self.analyses[other.id])
        ours, theirs = self.on_split(run).predictions, self.on_split(other).predictions
        return paired(
            self._analyse(ours.take(common.rows, common.columns)),
            self._analyse(theirs.take(common.other_rows, common.other_columns)),
        )

    def _analyse(self, predictions: Predictions, predicted: BoolArray | None = None) -> Analysis:
        """Statistics with the options of this comparison, at 0.5 if nothing else is given."""
        if predicted is None:
            predicted = predictions.probabilities >= DEFAULT_THRESHOLD
        options = self.options
        return analyse(predictions, predicted, resamples=options.resamples, seed=options.seed)

    @cached_property
    def protocols(self) -> Mapping[str, tuple[ProtocolResult, ...]]:
        """Every threshold protocol of each run, by run id; the bound comes last."""
        return self._each("thresholds", self.runs, self._protocols)

    def _protocols(self, run: RunResult) -> tuple[ProtocolResult, ...]:
        judged = self.on_split(run).predictions
        validation = run.splits["val"].predictions if "val" in run.splits else None
        return self._kept(
            "protocols",
            [run],
            lambda: tuple(
                ProtocolResult.of(choice, judged)
                for choice in choices(judged, validation, self.split)
            ),
        )

    def protocol(self, run: RunResult, name: Protocol) -> ProtocolResult | None:
        """One threshold protocol of a run; None where the run does not have it."""
        return next((r for r in self.protocols[run.id] if r.choice.protocol == name), None)

    @cached_property
    def tuned_intervals(self) -> Mapping[str, Interval]:
        """95% interval of macro F1 at thresholds per class tuned on validation, by run id.

        The thresholds count as given: the interval does not hold their own uncertainty.
        """

        def computed(run: RunResult) -> Interval:
            judged = self.on_split(run).predictions
            tuned = self.protocol(run, "per-class")
            predicted = tuned.choice.predicted(judged) if tuned else judged.predicted
            return self._analyse(judged, predicted).macro_interval("f1")

        def interval(run: RunResult) -> Interval:
            return self._kept("tuned interval", [run], lambda: computed(run))

        runs = [run for run in self.runs if self.protocol(run, "per-class") is not None]
        return self._each("intervals at tuned thresholds", runs, interval)

    def prepare(self) -> None:
        """Compute all statistics now, telling `progress`."""
        _ = self.intervals, self.differences, self.protocols, self.tuned_intervals, self.lead
        _ = self.headline, self.tuned_headline

    def _kept(self, kind: str, runs: Sequence[RunResult], compute: Callable[[], _T]) -> _T:
        """What follows from all splits of these runs, from the cache where it is known."""
        digests = [split.file.digest for run in runs for split in run.splits.values()]
        options = self.options
        depends = [[list(run.splits) for run in runs], self.split, DEFAULT_THRESHOLD]
        return kept(kind, digests, [*depends, options.resamples, options.seed], compute, self.cache)

    def _each(
        self, what: str, runs: Sequence[RunResult], work: Callable[[RunResult], _T]
    ) -> dict[str, _T]:
        """Do the same for many runs, side by side: numpy leaves the interpreter free."""
        with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
            found: dict[str, _T] = {}
            self.progress(what, 0, len(runs))
            for run, result in zip(runs, pool.map(work, runs), strict=True):
                found[run.id] = result
                self.progress(what, len(found), len(runs))
            return found

    # --- Order --------------------------------------------------------------------------

    @cached_property
    def others(self) -> tuple[RunResult, ...]:
        """Every run but the baseline."""
        return tuple(run for run in self.runs if run is not self.baseline)

    @cached_property
    def ranked(self) -> tuple[RunResult, ...]:
        """Runs by macro F1 at 0.5, best first."""
        return tuple(sorted(self.runs, key=lambda run: -self.macro_f1(run)))

    @property
    def best(self) -> RunResult:
        """The run with the highest macro F1 at 0.5; the earlier one of equals."""
        return self.ranked[0]
