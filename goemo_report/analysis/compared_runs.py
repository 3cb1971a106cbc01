"""A run within a comparison, and the recipe that it shares with its other seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Final, TypeAlias

import numpy as np

from goemo_report.analysis.alignment import Alignment
from goemo_report.analysis.configs import SeedGroup, run_labels, seed_groups, seed_of
from goemo_report.analysis.run_statistics import RunStatistics
from goemo_report.contract import Split
from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import FloatArray
from goemo_report.predictions import Predictions
from goemo_report.results import RunResult, SplitResult
from goemo_report.sources.model import RunRecord
from goemo_report.statistics.differences import Difference, PairedDifferences
from goemo_report.statistics.distributions import normal_quantile, student_quantile
from goemo_report.statistics.intervals import Interval, MetricIntervals
from goemo_report.statistics.many_runs import SeedDifference, seed_difference, seed_mean
from goemo_report.thresholds.protocols import Protocol, ProtocolResult
from goemo_report.thresholds.recalibration import Calibration

RANKING_METRIC: Final = "macro_f1"
"""Runs are ranked by it, at the fixed threshold 0.5."""
VALIDATION_F1: Final = "validation_macro_f1"
"""Key of the figure by which the best run is chosen on validation."""
TUNED_F1: Final = "tuned_macro_f1"
"""Key of macro F1 at thresholds per class that are tuned on validation."""

_MOST_RAISED: Final = 2.0
"""How many times as large as over resamples a variance over texts may be taken to be."""


@dataclass(eq=False)
class Recipe:
    """Runs whose config differs only in the seed; one run is a recipe too.

    `title` has the model, what tells it from other recipes, and the keys of its runs.
    """

    group: SeedGroup
    title: str
    runs: list[ComparedRun] = field(default_factory=list, repr=False)

    @property
    def seeds(self) -> list[list[ComparedRun]]:
        """The runs of each seed; those without one are left out where others logged theirs."""
        runs = {run.id: run for run in self.runs}
        return [[runs[run_id] for run_id in ids] for ids in self.group.replicas]

    @property
    def counted(self) -> list[ComparedRun]:
        """The runs of which its means are made."""
        return [run for runs in self.seeds for run in runs]

    def values(self, key: str = RANKING_METRIC) -> list[float]:
        """One metric of each seed, the mean over its runs; seeds without it are left out."""
        return [fmean(value for _, value in of_seed) for of_seed in self._with(key)]

    def mean(self, key: str = RANKING_METRIC) -> float:
        """One metric, the mean over seeds."""
        return fmean(self.values(key))

    def interval(self, key: str = RANKING_METRIC) -> Interval | None:
        """95% interval of the mean, for other seeds and other texts; of one seed, for other texts.

        Of metrics that lie between 0 and 1, within which it is kept.

        None where a run has no interval. Of runs that have no resamples in common, the whole error
        of the texts counts, as if they took all seeds alike: it is no narrower.
        """
        seeds = self._with(key)
        found = [run.interval(key) for of_seed in seeds for run, _ in of_seed]
        known = [one for one in found if one is not None]
        if not known or len(known) < len(found):
            return None
        low, high = (fmean(ends) for ends in zip(*known, strict=True))
        if len(seeds) < 2:
            return Interval(low, high)
        if all(len(run.replicates(key)) for of_seed in seeds for run, _ in of_seed):
            texts = _covariance(seeds, key)
        else:
            error = (high - low) / 2.0 / student_quantile(math.inf)
            texts = np.full((len(seeds), len(seeds)), error**2)
        over = seed_mean(self.values(key), texts)
        if over.low is None or over.high is None:
            return Interval(low, high)
        return Interval(max(over.low, 0.0), min(over.high, 1.0))

    def minus(self, other: Recipe, key: str = RANKING_METRIC) -> SeedDifference:
        """Mean over seeds minus that of another recipe, for other seeds and other texts.

        Only of recipes whose runs have the same texts and labels.
        """
        seeds = [*self._with(key), *other._with(key)]
        ours, theirs = self.values(key), other.values(key)
        if min(len(ours), len(theirs)) < 2:
            return seed_difference(ours, theirs, np.zeros((len(seeds), len(seeds))))
        return seed_difference(ours, theirs, _covariance(seeds, key))

    def _with(self, key: str) -> list[list[_Valued]]:
        """The runs of each seed with their value of a metric, where it is defined."""
        found = [
            [(run, value) for run in runs if (value := run.value(key)) is not None]
            for runs in self.seeds
        ]
        return [of_seed for of_seed in found if of_seed]


_Valued: TypeAlias = "tuple[ComparedRun, float]"


def _covariance(seeds: Sequence[Sequence[_Valued]], key: str) -> FloatArray:
    """Of a metric of seeds, each the mean of its runs, over resampled texts.

    Resamples of few texts vary less than samples do: by as much as the intervals of the runs, on
    average, are wider than they say, the covariance is raised; at most to twice, as intervals also
    hold that F1 is too low where rare labels are missed.
    """
    drawn = [np.mean([run.replicates(key) for run, _ in of_seed], axis=0) for of_seed in seeds]
    runs = [run for of_seed in seeds for run, _ in of_seed]
    known = [one for run in runs if (one := run.interval(key)) is not None]
    errors = [(one.high - one.low) / (2.0 * normal_quantile()) for one in known]
    seen = float(np.mean([np.var(run.replicates(key)) for run in runs]))
    wider = float(np.mean(np.square(errors))) / seen if errors and seen > 0.0 else 1.0
    raised: FloatArray = np.cov(drawn) * min(max(wider, 1.0), _MOST_RAISED)
    return raised


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """A run within a comparison.

    `key` (R1, R2, ...), `name` and `short` (key, model and what tells runs of one model apart)
    are what to call it; `colour` is its index in the palette of figures. `alignment` is with
    the baseline, None for the baseline itself.
    """

    result: RunResult
    split: Split
    key: str
    name: str
    short: str
    colour: int
    recipe: Recipe
    alignment: Alignment | None
    statistics: RunStatistics = field(repr=False)
    is_chosen_baseline: bool = False
    """Whether it is the baseline because someone named it, by option or tag."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.result.id

    @property
    def record(self) -> RunRecord:
        """Name, config, tags and state as the source gave them."""
        return self.result.run

    @property
    def seed(self) -> Any:
        """The random seed that it logged; None if it logged none."""
        return seed_of(self.record)

    @property
    def found(self) -> SplitResult:
        """Its result on the split of the comparison."""
        return self.result.splits[self.split]

    @property
    def predictions(self) -> Predictions:
        """Its predictions on the split of the comparison."""
        return self.found.predictions

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its labels."""
        return self.found.labels

    @property
    def label_set(self) -> LabelSet:
        """Its labels and what is known about them."""
        return self.found.label_set

    @property
    def is_baseline(self) -> bool:
        """Whether the others are held against it."""
        return self.alignment is None

    @property
    def is_paired(self) -> bool:
        """Whether it is compared with the baseline text by text."""
        return self.alignment is not None and self.alignment.paired

    @property
    def macro_f1(self) -> float:
        """Macro F1 at 0.5, by which runs are ranked."""
        return self.value(RANKING_METRIC) or 0.0

    def value(self, key: str) -> float | None:
        """An overall metric at 0.5, TUNED_F1 or VALIDATION_F1; None where it is undefined."""
        if key == VALIDATION_F1:
            return self.statistics.validation_f1.get(self.id)
        if key != TUNED_F1:
            return self.found.scores.overall[key]
        return self.tuned.overall["macro_f1"] if self.tuned else None

    def of_class(self, metric: str, label: str) -> float | None:
        """A metric of one label at 0.5; None without the label or where it is undefined."""
        if label not in self.labels:
            return None
        value = float(self.found.scores.per_class[metric][self.labels.index(label)])
        return None if value != value else value  # nan

    @property
    def support(self) -> dict[str, int]:
        """Texts that carry each label."""
        counts = self.found.scores.counts.support.tolist()
        return dict(zip(self.labels, counts, strict=True))

    @property
    def intervals(self) -> MetricIntervals:
        """95% intervals of its metrics at 0.5."""
        return self.statistics.intervals[self.id]

    @property
    def differences(self) -> PairedDifferences | None:
        """Run minus baseline at 0.5; None of the baseline and where the two are not paired."""
        return self.statistics.differences.get(self.id)

    def interval(self, key: str) -> Interval | None:
        """95% interval of an overall metric at 0.5, or of TUNED_F1."""
        return self.tuned_interval if key == TUNED_F1 else self.intervals[key]

    def difference(self, key: str) -> Difference | None:
        """One metric minus the baseline's; None where there is no paired difference."""
        return self.differences.get(key) if self.differences else None

    @property
    def protocols(self) -> tuple[ProtocolResult, ...]:
        """Every threshold protocol; the bound comes last."""
        return self.statistics.protocols[self.id]

    def protocol(self, name: Protocol) -> ProtocolResult | None:
        """One threshold protocol; None where the run does not have it."""
        return self.statistics.protocol(self.result, name)

    @property
    def tuned(self) -> ProtocolResult | None:
        """At thresholds per class tuned on validation; None without validation predictions."""
        return self.protocol("per-class")

    @property
    def calibration(self) -> Calibration | None:
        """Its calibration errors; None where its file has no probabilities."""
        return self.statistics.calibrations.get(self.id)

    @property
    def tuned_interval(self) -> Interval | None:
        """95% interval of macro F1 at the tuned thresholds, for other validation texts too."""
        return self.statistics.tuned_intervals.get(self.id)

    def replicates(self, key: str) -> FloatArray:
        """An overall metric at 0.5, or TUNED_F1, of each resample of the baseline's texts; empty
        for a run that was not judged on those very texts."""
        if key == TUNED_F1:
            return self.statistics.tuned_replicates[self.id]
        drawn = self.statistics.replicates.get(self.id)
        return np.zeros(0) if drawn is None else drawn[key]

    def aligned(self, other: ComparedRun) -> Alignment:
        """The rows and labels that it has in common with another run."""
        return self.statistics.alignment(self.result, other.result)

    def minus(self, other: ComparedRun) -> PairedDifferences | None:
        """Its differences to another run at 0.5; None where the two are not paired."""
        found = self.statistics.pair(self.result, other.result)
        return found.differences if found else None


def compared_runs(
    statistics: RunStatistics, baseline_is_chosen: bool = False
) -> tuple[tuple[ComparedRun, ...], tuple[Recipe, ...]]:
    """The runs with what to call them, and their recipes."""
    results = statistics.runs
    records = [result.run for result in results]
    keys = {run.id: f"R{number}" for number, run in enumerate(records, 1)}
    taken, labels = Counter(run.name for run in records), run_labels(records)
    groups = seed_groups(records)
    first = run_labels([run for run in records if run.id in {one.run_ids[0] for one in groups}])
    recipes: dict[str, Recipe] = {}
    for group in groups:  # one run speaks for its recipe
        label = first[group.run_ids[0]]
        words = group.name if label.endswith(group.run_ids[0]) else label
        members = ", ".join(keys[run_id] for run_id in group.run_ids)
        recipe = Recipe(group, f"{words} ({members})")
        recipes |= dict.fromkeys(group.run_ids, recipe)
    runs = tuple(
        ComparedRun(
            result=result,
            split=statistics.split,
            key=keys[run.id],
            name=run.name if taken[run.name] == 1 else f"{run.name} ({run.id})",
            short=f"{keys[run.id]} {labels[run.id]}",
            colour=number,
            recipe=recipes[run.id],
            alignment=statistics.alignments.get(run.id),
            statistics=statistics,
            is_chosen_baseline=baseline_is_chosen and run.id == statistics.baseline.id,
        )
        for number, (result, run) in enumerate(zip(results, records, strict=True))
    )
    for run in runs:
        run.recipe.runs.append(run)
    return runs, tuple(dict.fromkeys(recipes.values()))
