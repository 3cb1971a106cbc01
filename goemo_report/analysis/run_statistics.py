"""How statistics of compared runs are computed: of all runs side by side, or from the cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.errors import GoemoError, RunError, unexpected
from goemo_report.metrics.arrays import BoolArray, FloatArray
from goemo_report.metrics.counts import averages
from goemo_report.metrics.table import FINGERPRINT
from goemo_report.predictions import Predictions
from goemo_report.results import RunResult
from goemo_report.sources.base import Progress, silent
from goemo_report.sources.store import Cache, is_digest
from goemo_report.sources.stored_values import values
from goemo_report.statistics import STATISTICS_VERSION
from goemo_report.statistics.calibration import RiskCoverage
from goemo_report.statistics.differences import (
    RANDOMISATIONS,
    Difference,
    Paired,
    PairedDifferences,
    paired,
)
from goemo_report.statistics.distributions import Estimate
from goemo_report.statistics.intervals import (
    RESAMPLES,
    Analysis,
    Interval,
    MetricIntervals,
    analyse,
)
from goemo_report.statistics.many_runs import adjusted_over_runs
from goemo_report.thresholds.protocols import ProtocolResult, ThresholdChoice
from goemo_report.thresholds.recalibration import Calibrated, Calibration
from goemo_report.thresholds.tune import cross_fitted

if TYPE_CHECKING:
    from goemo_report.analysis.common import Alignment
    from goemo_report.analysis.compared_runs import ComparedRun

_FORMAT: Final = 5
"""Version of the entries of the cache."""
_VALUES: Final = values(
    *(Interval, Difference, Paired, ProtocolResult, ThresholdChoice),
    *(Calibration, Calibrated, Estimate, RiskCoverage),
)

Replicates: TypeAlias = Mapping[str, FloatArray]
_T = TypeVar("_T")
_MOST_THREADS: Final = 8
_LOCKS: Final[dict[str, Lock]] = {}
"""By statistic: threads of one that need another compute it once. No comparison holds them, as
they cannot be copied."""


class Analysed(NamedTuple):
    """What follows from one analysis of a run at 0.5: its difference is the one to the baseline,
    None where the two are not paired; `replicates` are empty for a run on other texts."""

    intervals: MetricIntervals
    difference: Paired | None
    replicates: Replicates


@dataclass(eq=False)
class RunStatistics:
    """The runs of a comparison, and what their statistics depend on besides their predictions.

    What is computed is kept in the directory `cache`, or not at all.
    """

    split: Split
    resamples: int = RESAMPLES
    seed: int = 0
    progress: Progress = silent
    cache: Path | None = None
    runs: tuple[ComparedRun, ...] = ()
    _found: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    @cached_property
    def baseline(self) -> ComparedRun:
        """The run that the others are held against."""
        return next(run for run in self.runs if run.is_baseline)

    @cached_property
    def analysed(self) -> Mapping[str, Analysed]:
        """Analyse each run once and release the analysis: what it computes takes more memory
        than the run's predictions."""
        what = "intervals and differences"
        with as_run_error(self.baseline.result, what):
            baseline = self.analyse(self.baseline.predictions)

        def computed(run: ComparedRun) -> Analysed:
            common, analysis, difference = run.alignment, baseline, None
            if common is not None:
                analysis = self.analyse(run.predictions)
            intervals = self.cached("intervals", [run], lambda: analysis.intervals)
            if common is not None and common.paired:
                difference = self.paired(run, self.baseline, common, analysis, baseline)
            return Analysed(intervals, difference, self._replicates(run, analysis))

        return self.each(what, self.runs, computed)

    def _replicates(self, run: ComparedRun, analysis: Analysis) -> Replicates:
        order = run.order
        if order is None:
            return {}

        def computed() -> Replicates:
            if np.array_equal(order, np.arange(len(order))):
                return analysis.replicates
            rows = run.predictions.take(order, np.arange(len(run.labels)))
            return self.analyse(rows).replicates

        return self.cached("replicates", [self.baseline, run], computed)

    @cached_property
    def differences(self) -> Mapping[str, PairedDifferences]:
        """Run minus baseline at 0.5, by id of each run that is paired with the baseline.

        macro F1 is tested for all of these runs at once.
        """
        found = {run.id: one for run in self.runs if (one := self.analysed[run.id].difference)}
        together = all(run.order is not None for run in self.runs if run.id in found)
        return adjusted_over_runs(found, together=together)

    @cached_property
    def why_not_fixed_threshold(self) -> str:
        """Why runs are not compared at 0.5; empty where they are."""
        if len({run.loss for run in self.runs} - {""}) > 1:
            return "the runs were trained with different losses"
        found = [run.scores for run in self.runs]
        if all(one.has_probabilities and not one.overall["macro_f1"] for one in found):
            return "at 0.5 nothing that is predicted is right"
        return ""

    @cached_property
    def validation_f1(self) -> Mapping[str, float]:
        """Macro F1 on validation, by run id: at 0.5, or at cross-fitted thresholds
        (`why_not_fixed_threshold`).

        Empty where validation is reported itself, and where not all runs have predictions of the
        same validation texts and labels.
        """
        held = {run.id: one for run in self.runs if (one := run.result.splits.get("val"))}
        texts = {(one.labels, hash(tuple(sorted(one.predictions.texts)))) for one in held.values()}
        if self.split == "val" or len(held) < len(self.runs) or len(texts) > 1:
            return {}
        if not self.why_not_fixed_threshold:
            return {run_id: one.scores.overall["macro_f1"] or 0.0 for run_id, one in held.items()}

        def computed(run: ComparedRun) -> float:
            one = held[run.id].predictions
            return averages(one.truth, cross_fitted(one.truth, one.probabilities))["macro_f1"]

        return self.of_each("macro F1 on validation", computed)

    def of_each(
        self,
        what: str,
        compute: Callable[[ComparedRun], _T],
        having: Callable[[ComparedRun], object] = bool,
        beside: Sequence[ComparedRun] = (),
    ) -> Mapping[str, _T]:
        """Compute a value of each run, `having` what it takes, and of those beside it, by run id.

        Computed when it is first asked for, or taken from the cache.
        """
        with _LOCKS.setdefault(what, Lock()):
            if what not in self._found:
                self._found[what] = self.each(
                    what,
                    list(filter(having, self.runs)),
                    lambda run: self.cached(what, [*beside, run], lambda: compute(run)),
                )
            return self._found[what]

    def analyse(self, predictions: Predictions, predicted: BoolArray | None = None) -> Analysis:
        """Predictions at 0.5, or at predicted labels."""
        if predicted is None:
            predicted = predictions.probabilities >= DEFAULT_THRESHOLD
        return analyse(predictions, predicted, resamples=self.resamples, seed=self.seed)

    def paired(
        self, run: ComparedRun, other: ComparedRun, common: Alignment, *whole: Analysis
    ) -> Paired:
        """Run minus another one; `whole` has the analyses of both where they are there."""

        def computed() -> Paired:
            ours, theirs = run.predictions, other.predictions
            if common.complete and common.same_labels and common.in_order:
                return paired(*(whole or map(self.analyse, (ours, theirs))))
            return paired(*map(self.analyse, common.take(ours, theirs)))

        return self.cached("differences", [run, other], computed)

    def cached(self, kind: str, runs: Sequence[ComparedRun], compute: Callable[[], _T]) -> _T:
        """Compute a value of all splits of these runs, or take it from the cache.

        Nothing is kept without a cache, or of a file with a digest that is none. Floats keep every
        digit, so that a report from kept statistics has the same bytes.
        """
        splits = [run.result.splits for run in runs]
        digests = [one.file.digest for own in splits for one in own.values()]
        if self.cache is None or not all(map(is_digest, digests)):
            return compute()
        labels = [[(split, one.label_digest) for split, one in own.items()] for own in splits]
        depends = [labels, self.split, DEFAULT_THRESHOLD, self.resamples, self.seed]
        versions = [FINGERPRINT, STATISTICS_VERSION, RANDOMISATIONS, _FORMAT]
        identity = [kind, digests, depends, versions]
        found: _T = Cache(self.cache).cached("statistics", identity, compute, _VALUES)
        return found

    def each(
        self, what: str, runs: Sequence[ComparedRun], work: Callable[[ComparedRun], _T]
    ) -> dict[str, _T]:
        """Do the same for many runs, side by side: numpy leaves the interpreter free.

        Whatever goes wrong is a RunError that names the run.
        """

        def named(run: ComparedRun) -> _T:
            with as_run_error(run.result, what):
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


@contextmanager
def as_run_error(run: RunResult, what: str) -> Iterator[None]:
    """Raise any error inside as a RunError of one run, without which the others go on."""
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
