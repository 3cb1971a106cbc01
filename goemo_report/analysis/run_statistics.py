"""Statistics of several runs on one split, each computed when it is first asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from goemo_report.analysis.alignment import Alignment, align
from goemo_report.caches.statistics_cache import cached
from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.errors import GoemoError, RunError, unexpected
from goemo_report.metrics.arrays import BoolArray, FloatArray, IntArray
from goemo_report.metrics.counts import averages
from goemo_report.predictions import Predictions
from goemo_report.results import RunResult
from goemo_report.sources.base import Progress, silent
from goemo_report.sources.model import SkippedRun
from goemo_report.statistics.clusters import Clusters
from goemo_report.statistics.differences import (
    Paired,
    PairedDifferences,
    paired_with_swaps,
    widened,
)
from goemo_report.statistics.intervals import (
    RESAMPLES,
    Analysis,
    Interval,
    MetricIntervals,
    analyse,
)
from goemo_report.statistics.many_runs import adjusted_over_runs
from goemo_report.thresholds.protocols import Protocol, ProtocolResult, choices
from goemo_report.thresholds.recalibration import Calibration, calibration
from goemo_report.thresholds.resampled import tuned_macro_f1
from goemo_report.thresholds.tune import cross_fitted

TUNED_RESAMPLES: Final = 250
"""Of validation and of the judged texts, each with thresholds of its own."""

Replicates: TypeAlias = Mapping[str, FloatArray]
_OfRun: TypeAlias = tuple[MetricIntervals, Paired | None, Replicates]

_T = TypeVar("_T")
_MOST_THREADS: Final = 8


@dataclass(frozen=True, eq=False)
class RunStatistics:
    """Intervals, paired differences and threshold protocols, at 0.5 where nothing else is said.

    `alignments` has one entry a run other than the baseline. What is computed is kept in the
    directory `cache`, or not at all.
    """

    runs: Sequence[RunResult]
    split: Split
    baseline: RunResult
    alignments: Mapping[str, Alignment]
    resamples: int = RESAMPLES
    seed: int = 0
    progress: Progress = silent
    cache: Path | None = None

    @cached_property
    def intervals(self) -> Mapping[str, MetricIntervals]:
        """95% intervals of each run's metrics, by run id."""
        return {run_id: found for run_id, (found, *_) in self._by_run.items()}

    @cached_property
    def differences(self) -> Mapping[str, PairedDifferences]:
        """Run minus baseline, by id of each run that is paired with the baseline.

        macro F1 is tested for all of these runs at once.
        """
        found = {run_id: difference for run_id, (_, difference, _) in self._by_run.items()}
        paired_ones = {run_id: one for run_id, one in found.items() if one is not None}
        together = all(self._order(run) is not None for run in self.runs if run.id in paired_ones)
        return adjusted_over_runs(paired_ones, together=together)

    @cached_property
    def replicates(self) -> Mapping[str, Replicates]:
        """Overall metrics at 0.5 of each resample of the baseline's texts, by run id.

        Of runs that were judged on those very texts; the same resamples for all of them.
        """
        return {run_id: drawn for run_id, (*_, drawn) in self._by_run.items() if drawn}

    @cached_property
    def _by_run(self) -> Mapping[str, _OfRun]:
        """Intervals, difference and replicates of each run, from one analysis that is then let
        go: what it computes takes more memory than the run's predictions."""
        what = "intervals and differences"
        with _about(self.baseline, what):
            baseline = self._analyse(self._judged(self.baseline))

        def statistics(run: RunResult) -> _OfRun:
            common, analysis = self.alignments.get(run.id), baseline
            if common is None:
                intervals = self._cached("intervals", [run], lambda: baseline.intervals)
                return intervals, None, self._replicates(run, baseline)
            analysis = self._analyse(self._judged(run))
            intervals = self._cached("intervals", [run], lambda: analysis.intervals)
            difference = None
            if common.paired:
                difference = self._difference(run, self.baseline, common, analysis, baseline)
            return intervals, difference, self._replicates(run, analysis)

        return self._each(what, self.runs, statistics)

    def _replicates(self, run: RunResult, analysis: Analysis) -> Replicates:
        order = self._order(run)
        if order is None:
            return {}

        def computed() -> Replicates:
            if np.array_equal(order, np.arange(len(order))):
                return analysis.replicates
            judged = self._judged(run)
            return self._analyse(judged.take(order, np.arange(len(judged.labels)))).replicates

        return self._cached("replicates", [self.baseline, run], computed)

    def _order(self, run: RunResult) -> IntArray | None:
        """The run's rows in the order of the baseline's texts; None if it has not all of them."""
        common = self.alignments.get(run.id)
        if common is None:
            return np.arange(len(self._judged(run)))
        whole = common.complete and not common.disagreeing
        return common.rows[np.argsort(common.other_rows)] if whole else None

    def alignment(self, run: RunResult, other: RunResult) -> Alignment:
        """The common rows and labels of two of the runs."""
        if other is self.baseline:
            return self.alignments[run.id]
        with _about(run, f"rows in common with {other.run.name}"):
            return align(self._judged(run), self._judged(other))

    def pair(self, run: RunResult, other: RunResult) -> Paired | None:
        """Run minus another one on what both have, alone; None where they are not paired."""
        if other is self.baseline:
            return self._by_run[run.id][1]
        common = self.alignment(run, other)
        with _about(run, f"difference to {other.run.name}"):
            return self._difference(run, other, common) if common.paired else None

    def tuned_pair(self, run: RunResult, other: RunResult) -> Paired | None:
        """The same at each run's own thresholds per class, tuned on its validation split.

        For macro F1 and its error the thresholds are tuned anew on resamples of validation, where
        both runs were judged on all texts of the baseline; else, and for the other metrics, they
        count as given.
        """
        choice, others = self.protocol(run, "per-class"), self.protocol(other, "per-class")
        if choice is None or others is None:
            return None
        common = self.alignment(run, other)
        if not common.paired:
            return None

        def tuned(one: RunResult, found: ProtocolResult, *at: IntArray) -> Analysis:
            judged = self._judged(one)
            return self._analyse(judged.take(*at), found.choice.predicted(judged)[np.ix_(*at)])

        def computed() -> Paired:
            return paired_with_swaps(
                tuned(run, choice, common.rows, common.columns),
                tuned(other, others, common.other_rows, common.other_columns),
            )

        with _about(run, f"difference to {other.run.name} at tuned thresholds"):
            found = self._cached("tuned differences", [run, other], computed)
        drawn = [self.tuned_replicates[one.id] for one in (run, other)]
        macro = found.differences["macro_f1"]
        if macro is None or not all(len(one) for one in drawn):
            return found
        error = float(np.std(drawn[0] - drawn[1]))
        return found._replace(differences={**found.differences, "macro_f1": widened(macro, error)})

    @cached_property
    def tuned_replicates(self) -> Mapping[str, FloatArray]:
        """Macro F1 at thresholds tuned on resamples of validation, by run id.

        Of each of TUNED_RESAMPLES resamples of the baseline's texts; empty for a run that was not
        judged on those very texts or has no validation predictions.
        """

        def computed(run: RunResult) -> FloatArray:
            order, tuned = self._order(run), self.protocol(run, "global")
            if order is None or tuned is None or tuned.choice.thresholds is None:
                return np.zeros(0)
            judged, validation = self._judged(run), run.splits["val"].predictions
            columns = np.arange(len(judged.labels))
            by_text = np.array(sorted(range(len(validation)), key=validation.texts.__getitem__))
            splits = validation.take(by_text, columns), judged.take(order, columns)
            drawn, of_judged = (
                Clusters.of(one.clusters, len(one)).weights(TUNED_RESAMPLES, self.seed + first)
                for one, first in zip(splits, (1, 0), strict=True)
            )
            overall = float(tuned.choice.thresholds[0])
            return tuned_macro_f1(*splits, drawn, of_judged, overall=overall)

        what = "resamples at tuned thresholds"
        return self._each_cached(what, computed, self.runs, beside=[self.baseline])

    @cached_property
    def losses(self) -> Mapping[str, str]:
        """The loss that each run logged, by run id; binary cross-entropy where it logged none."""
        return {run.id: str(run.run.config.get("loss", "bce")) for run in self.runs}

    @cached_property
    def not_at_half(self) -> str:
        """Why runs are not compared at 0.5; empty where they are."""
        if len(set(self.losses.values())) > 1:
            return "the runs were trained with different losses"
        found = [run.splits[self.split].scores for run in self.runs]
        if all(one.has_probabilities and not one.overall["macro_f1"] for one in found):
            return "at 0.5 nothing that is predicted is right"
        return ""

    @cached_property
    def validation_f1(self) -> Mapping[str, float]:
        """Macro F1 on validation, by run id: at 0.5, or at cross-fitted thresholds (`not_at_half`).

        Empty where validation is reported itself, and where not all runs have predictions of the
        same validation texts and labels.
        """
        held = [run.splits.get("val") for run in self.runs]
        texts = {(one.labels, hash(tuple(sorted(one.predictions.texts)))) for one in held if one}
        if self.split == "val" or not all(held) or len(texts) > 1:
            return {}
        if not self.not_at_half:
            found = zip(self.runs, held, strict=True)
            return {run.id: one.scores.overall["macro_f1"] or 0.0 for run, one in found if one}

        def computed(run: RunResult) -> float:
            one = run.splits["val"].predictions
            return averages(one.truth, cross_fitted(one.truth, one.probabilities))["macro_f1"]

        return self._each_cached("macro F1 on validation", computed, self.runs)

    @cached_property
    def protocols(self) -> Mapping[str, tuple[ProtocolResult, ...]]:
        """Every threshold protocol of each run, by run id; the bound comes last."""

        def computed(run: RunResult) -> tuple[ProtocolResult, ...]:
            judged = self._judged(run)
            validation = run.splits["val"].predictions if "val" in run.splits else None
            found = choices(judged, validation, self.split)
            return tuple(ProtocolResult.of(choice, judged) for choice in found)

        return self._each_cached("thresholds", computed, self.runs)

    def protocol(self, run: RunResult, name: Protocol) -> ProtocolResult | None:
        """One threshold protocol of a run; None where the run does not have it."""
        return next((r for r in self.protocols[run.id] if r.choice.protocol == name), None)

    @cached_property
    def calibrations(self) -> Mapping[str, Calibration]:
        """Calibration errors of each run with probabilities, and what validation mends of them."""

        def computed(run: RunResult) -> Calibration:
            tuned = self.protocol(run, "per-class")
            if tuned is None:
                return calibration(self._judged(run))
            validation = run.splits["val"].predictions
            return calibration(self._judged(run), validation, tuned.overall["macro_f1"])

        _ = self.protocols
        runs = [run for run in self.runs if self._judged(run).has_probabilities]
        return self._each_cached("calibration", computed, runs)

    @cached_property
    def tuned_intervals(self) -> Mapping[str, Interval]:
        """95% interval of macro F1 at thresholds per class tuned on validation, by run id.

        It holds the uncertainty of the thresholds as well, see `tuned_replicates`.
        """

        def computed(run: RunResult) -> Interval:
            judged, tuned = self._judged(run), self.protocol(run, "per-class")
            predicted = tuned.choice.predicted(judged) if tuned else judged.predicted
            analysis, drawn = self._analyse(judged, predicted), self.tuned_replicates[run.id]
            return analysis.macro_interval("f1", float(np.std(drawn)) if len(drawn) else 0.0)

        runs = [run for run in self.runs if self.protocol(run, "per-class") is not None]
        what = "intervals at tuned thresholds"
        return self._each_cached(what, computed, runs, beside=[self.baseline])

    def _judged(self, run: RunResult) -> Predictions:
        return run.splits[self.split].predictions

    def _difference(
        self, run: RunResult, other: RunResult, common: Alignment, *whole: Analysis
    ) -> Paired:
        """Run minus another one; `whole` has the analyses of both where they are there."""

        def computed() -> Paired:
            ours, theirs = self._judged(run), self._judged(other)
            if common.complete and common.same_labels and common.in_order:
                return paired_with_swaps(*(whole or map(self._analyse, (ours, theirs))))
            return paired_with_swaps(*map(self._analyse, common.take(ours, theirs)))

        return self._cached("differences", [run, other], computed)

    def _analyse(self, predictions: Predictions, predicted: BoolArray | None = None) -> Analysis:
        if predicted is None:
            predicted = predictions.probabilities >= DEFAULT_THRESHOLD
        return analyse(predictions, predicted, resamples=self.resamples, seed=self.seed)

    def _cached(self, kind: str, runs: Sequence[RunResult], compute: Callable[[], _T]) -> _T:
        """What follows from all splits of these runs, from the cache where it is known."""
        digests = [split.file.digest for run in runs for split in run.splits.values()]
        splits = [[(s, f.label_digest) for s, f in run.splits.items()] for run in runs]
        depends = [splits, self.split, DEFAULT_THRESHOLD]
        return cached(kind, digests, [*depends, self.resamples, self.seed], compute, self.cache)

    def _each_cached(
        self,
        what: str,
        compute: Callable[[RunResult], _T],
        runs: Sequence[RunResult],
        beside: Sequence[RunResult] = (),
    ) -> dict[str, _T]:
        """What follows from each of the runs, and from those beside it."""

        def work(run: RunResult) -> _T:
            return self._cached(what, [*beside, run], lambda: compute(run))

        return self._each(what, runs, work)

    def _each(
        self, what: str, runs: Sequence[RunResult], work: Callable[[RunResult], _T]
    ) -> dict[str, _T]:
        """Do the same for many runs, side by side: numpy leaves the interpreter free.

        Whatever goes wrong is a RunError that names the run.
        """

        def named(run: RunResult) -> _T:
            with _about(run, what):
                return work(run)

        workers = min(os.cpu_count() or 1, _MOST_THREADS)
        # Threads within a matrix product would only wait for those of the other runs.
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers) as pool:
            found: dict[str, _T] = {}
            self.progress(what, 0, len(runs))
            for run, result in zip(runs, pool.map(named, runs), strict=True):
                found[run.id] = result
                self.progress(what, len(found), len(runs))
            return found


def aligned(
    runs: Sequence[RunResult], split: Split, baseline: RunResult
) -> tuple[dict[str, Alignment], list[SkippedRun]]:
    """What each of the other runs has in common with the baseline, by run id, and those of which
    that cannot be said."""
    found, faults = dict[str, Alignment](), list[SkippedRun]()
    for run in runs:
        if run is not baseline:
            try:
                with _about(run, f"rows in common with {baseline.run.name}"):
                    ours, theirs = (one.splits[split].predictions for one in (run, baseline))
                    found[run.id] = align(ours, theirs)
            except RunError as fault:
                faults.append(SkippedRun(run.run.name, fault.reason))
    return found, faults


@contextmanager
def _about(run: RunResult, what: str) -> Iterator[None]:
    """Whatever goes wrong inside is the fault of one run, without which the others go on."""
    try:
        yield
    except (RunError, MemoryError):
        raise
    except Exception as error:
        why = str(error) if isinstance(error, GoemoError) else unexpected(error)
        reason = f"no {what}: {why}"
        raise RunError(
            f"{run.run.name} ({run.id}): {reason}",
            "Compare the other runs without it",
            run_id=run.id,
            reason=reason,
        ) from error
