"""A run within a comparison with its statistics, and the recipe that it shares with other seeds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Final, TypeAlias

import numpy as np

from goemo_report.analysis.common import Alignment, align
from goemo_report.analysis.configs import by_recipe, model_title, run_labels, seed_key, seed_of
from goemo_report.analysis.run_statistics import RunStatistics, as_run_error
from goemo_report.labels import LabelSet
from goemo_report.metrics.arrays import FloatArray, IntArray
from goemo_report.metrics.scores import Scores
from goemo_report.metrics.table import HEADLINE, OVERALL
from goemo_report.predictions import Predictions
from goemo_report.results import RunResult, SplitResult
from goemo_report.sources.model import RunRecord
from goemo_report.statistics.differences import (
    Difference,
    Paired,
    PairedDifferences,
    paired,
    widened,
)
from goemo_report.statistics.distributions import normal_quantile, student_quantile
from goemo_report.statistics.intervals import Analysis, Interval, MetricIntervals
from goemo_report.statistics.many_runs import SeedDifference, seed_difference, seed_mean
from goemo_report.statistics.resampling import Clusters
from goemo_report.thresholds.protocols import Protocol, ProtocolResult, choices
from goemo_report.thresholds.recalibration import Calibration, calibration
from goemo_report.thresholds.tune import tuned_macro_f1

VALIDATION_F1: Final = "validation_macro_f1"
"""Key of the figure by which the best run is chosen on validation."""
TUNED_F1: Final = "tuned_macro_f1"
"""Key of macro F1 at thresholds per class that are tuned on validation."""
TUNED_RESAMPLES: Final = 250
"""Of validation and of the judged texts, each with thresholds of its own."""

_MOST_RAISED: Final = 2.0
"""How many times as large as over resamples a variance over texts may be taken to be."""


@dataclass(eq=False)
class Recipe:
    """Runs whose config differs only in the seed; one run is a recipe too.

    `title` has the model, what tells it from other recipes, and the keys of its runs.
    """

    title: str
    runs: list[ComparedRun] = field(default_factory=list, repr=False)

    @property
    def by_seed(self) -> Mapping[str, list[ComparedRun]]:
        """The runs of each logged seed."""
        found: dict[str, list[ComparedRun]] = {}
        for run in self.runs:
            key = seed_key(run.record)
            if key is not None:
                found.setdefault(key, []).append(run)
        return found

    @property
    def seeds(self) -> list[list[ComparedRun]]:
        """Runs of one logged seed together; all runs as one seed where none logged any.

        Repeats of one seed say nothing of the spread over seeds, and a run without a seed
        cannot be told from a repeat: beside runs that logged theirs it is left out.
        """
        return list(self.by_seed.values()) or [self.runs]

    @property
    def counted(self) -> list[ComparedRun]:
        """The runs of which its means are made."""
        return [run for runs in self.seeds for run in runs]

    def values(self, key: str = HEADLINE) -> list[float]:
        """One metric of each seed, the mean over its runs; seeds without it are left out."""
        return [fmean(value for _, value in of_seed) for of_seed in self._with(key)]

    def mean(self, key: str = HEADLINE) -> float:
        """One metric, the mean over seeds."""
        return fmean(self.values(key))

    def interval(self, key: str = HEADLINE) -> Interval | None:
        """95% interval of the mean, for other seeds and other texts; of one seed, for other texts.

        It is kept within the range of the metric.

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
        metric = OVERALL.get(key, OVERALL[HEADLINE]).metric  # others are kinds of F1
        return Interval(metric.clip(over.low), metric.clip(over.high))

    def minus(self, other: Recipe, key: str = HEADLINE) -> SeedDifference:
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
    """Estimate the covariance of a metric of seeds, means of their runs, over resampled texts.

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
    the baseline, None for the baseline itself. Statistics are at 0.5 where nothing else is said;
    they are computed of all runs when they are first asked for.
    """

    result: RunResult
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
    def loss(self) -> str:
        """The loss that it logged; binary cross-entropy if it logged none, empty where nothing
        was logged, as of a plain file."""
        known = self.record.config.keys() - {"model_name"}
        return str(self.record.config.get("loss", "bce" if known else ""))

    @property
    def split_result(self) -> SplitResult:
        """Its result on the split of the comparison."""
        return self.result.splits[self.statistics.split]

    @property
    def scores(self) -> Scores:
        """Its metrics at 0.5 on the split of the comparison."""
        return self.split_result.scores

    @property
    def predictions(self) -> Predictions:
        """Its predictions on the split of the comparison."""
        return self.split_result.predictions

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its labels."""
        return self.split_result.labels

    @property
    def label_set(self) -> LabelSet:
        """Its labels and what is known about them."""
        return self.split_result.label_set

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
        return self.value(HEADLINE) or 0.0

    def value(self, key: str) -> float | None:
        """An overall metric at 0.5, TUNED_F1 or VALIDATION_F1; None where it is undefined."""
        if key == VALIDATION_F1:
            return self.statistics.validation_f1.get(self.id)
        if key != TUNED_F1:
            return self.scores.overall[key]
        return self.tuned.overall["macro_f1"] if self.tuned else None

    def of_class(self, metric: str, label: str) -> float | None:
        """A metric of one label at 0.5; None without the label or where it is undefined."""
        return self.scores.values.get(f"{metric}_{label}")

    @property
    def support(self) -> dict[str, int]:
        """Texts that carry each label."""
        counts = self.scores.counts.support.tolist()
        return dict(zip(self.labels, counts, strict=True))

    # --- Statistics -----------------------------------------------------------------------

    @property
    def intervals(self) -> MetricIntervals:
        """95% intervals of its metrics at 0.5."""
        return self.statistics.analysed[self.id].intervals

    def interval(self, key: str) -> Interval | None:
        """95% interval of an overall metric at 0.5, or of TUNED_F1."""
        return self.tuned_interval if key == TUNED_F1 else self.intervals[key]

    @property
    def differences(self) -> PairedDifferences | None:
        """Run minus baseline at 0.5; None of the baseline and where the two are not paired."""
        return self.statistics.differences.get(self.id)

    def difference(self, key: str) -> Difference | None:
        """One metric minus the baseline's; None where there is no paired difference."""
        return self.differences.get(key) if self.differences else None

    @property
    def protocols(self) -> tuple[ProtocolResult, ...]:
        """Every threshold protocol; the bound comes last."""

        def computed(run: ComparedRun) -> tuple[ProtocolResult, ...]:
            held = run.result.splits.get("val")
            validation = held.predictions if held else None
            found = choices(run.predictions, validation, run.statistics.split)
            return tuple(ProtocolResult.of(choice, run.predictions) for choice in found)

        return self.statistics.of_each("thresholds", computed)[self.id]

    def protocol(self, name: Protocol) -> ProtocolResult | None:
        """One threshold protocol; None where the run does not have it."""
        return next((one for one in self.protocols if one.choice.protocol == name), None)

    @property
    def tuned(self) -> ProtocolResult | None:
        """At thresholds per class tuned on validation; None without validation predictions."""
        return self.protocol("per-class")

    @property
    def calibration(self) -> Calibration | None:
        """Its calibration errors, and what validation mends of them; None where its file has no
        probabilities."""

        def has_probabilities(run: ComparedRun) -> bool:
            return run.predictions.has_probabilities and bool(run.protocols)

        def computed(run: ComparedRun) -> Calibration:
            if run.tuned is None:
                return calibration(run.predictions)
            validation = run.result.splits["val"].predictions
            return calibration(run.predictions, validation, run.tuned.overall["macro_f1"])

        return self.statistics.of_each("calibration", computed, has_probabilities).get(self.id)

    @property
    def tuned_interval(self) -> Interval | None:
        """95% interval of macro F1 at thresholds per class tuned on validation, which holds the
        uncertainty of the thresholds as well, see `replicates`; None without such thresholds."""

        def computed(run: ComparedRun) -> Interval:
            predicted = run.tuned.choice.predicted(run.predictions) if run.tuned else None
            analysis, drawn = (
                run.statistics.analyse(run.predictions, predicted),
                run.replicates(TUNED_F1),
            )
            return analysis.macro_interval("f1", float(np.std(drawn)) if len(drawn) else 0.0)

        what, baseline = "intervals at tuned thresholds", self.statistics.baseline
        found = self.statistics.of_each(what, computed, lambda run: run.tuned, [baseline])
        return found.get(self.id)

    def replicates(self, key: str) -> FloatArray:
        """An overall metric at 0.5 of each resample of the baseline's texts, or TUNED_F1 of each of
        TUNED_RESAMPLES, at thresholds tuned on resamples of validation.

        Empty for a run that was not judged on those very texts, and of TUNED_F1 without validation
        predictions.
        """
        if key != TUNED_F1:
            drawn = self.statistics.analysed[self.id].replicates
            return drawn[key] if drawn else np.zeros(0)
        what, baseline = "resamples at tuned thresholds", self.statistics.baseline
        found = self.statistics.of_each(what, _tuned_replicates, beside=[baseline])
        return found[self.id]

    @property
    def order(self) -> IntArray | None:
        """Its rows in the order of the baseline's texts; None if it has not all of them."""
        common = self.alignment
        if common is None:
            return np.arange(len(self.predictions))
        whole = common.complete and not common.disagreeing
        return common.rows[np.argsort(common.other_rows)] if whole else None

    def aligned(self, other: ComparedRun) -> Alignment:
        """The rows and labels that it has in common with another run."""
        if other.is_baseline and self.alignment is not None:
            return self.alignment
        with as_run_error(self.result, f"rows in common with {other.record.name}"):
            return align(self.predictions, other.predictions)

    def minus(self, other: ComparedRun, key: str = HEADLINE) -> PairedDifferences | None:
        """Its differences to another run, as `against`; None where the two are not paired."""
        found = self.against(other, key)
        return found.differences if found else None

    def against(self, other: ComparedRun, key: str = HEADLINE) -> Paired | None:
        """Its differences to another run on what both have, at tuned thresholds for TUNED_F1, else
        at 0.5; and what else is known of that of macro F1. None where they are not paired."""
        if key == TUNED_F1:
            return self._against_tuned(other)
        if other.is_baseline:
            return self.statistics.analysed[self.id].difference
        common = self.aligned(other)
        with as_run_error(self.result, f"difference to {other.record.name}"):
            return self.statistics.paired(self, other, common) if common.paired else None

    def _against_tuned(self, other: ComparedRun) -> Paired | None:
        """At each run's own thresholds per class, tuned on its validation split.

        For macro F1 and its error the thresholds are tuned anew on resamples of validation, where
        both runs were judged on all texts of the baseline; else, and for the other metrics, they
        count as given.
        """
        choice, others = self.tuned, other.tuned
        if choice is None or others is None:
            return None
        common = self.aligned(other)
        if not common.paired:
            return None

        def tuned(one: ComparedRun, found: ProtocolResult, *at: IntArray) -> Analysis:
            predicted = found.choice.predicted(one.predictions)[np.ix_(*at)]
            return self.statistics.analyse(one.predictions.take(*at), predicted)

        def computed() -> Paired:
            return paired(
                tuned(self, choice, common.rows, common.columns),
                tuned(other, others, common.other_rows, common.other_columns),
            )

        with as_run_error(self.result, f"difference to {other.record.name} at tuned thresholds"):
            found = self.statistics.cached("tuned differences", [self, other], computed)
        drawn = [one.replicates(TUNED_F1) for one in (self, other)]
        macro = found.differences["macro_f1"]
        if macro is None or not all(len(one) for one in drawn):
            return found
        error = float(np.std(drawn[0] - drawn[1]))
        return found._replace(differences={**found.differences, "macro_f1": widened(macro, error)})


def _tuned_replicates(run: ComparedRun) -> FloatArray:
    order, tuned = run.order, run.protocol("global")
    if order is None or tuned is None or tuned.choice.thresholds is None:
        return np.zeros(0)
    judged, validation = run.predictions, run.result.splits["val"].predictions
    columns = np.arange(len(judged.labels))
    by_text = np.array(sorted(range(len(validation)), key=validation.texts.__getitem__))
    splits = validation.take(by_text, columns), judged.take(order, columns)
    drawn, of_judged = (
        Clusters.of(one.clusters, len(one)).weights(TUNED_RESAMPLES, run.statistics.seed + first)
        for one, first in zip(splits, (1, 0), strict=True)
    )
    overall = float(tuned.choice.thresholds[0])
    return tuned_macro_f1(*splits, drawn, of_judged, overall=overall)


def compared_runs(
    results: Sequence[RunResult],
    alignments: Mapping[str, Alignment],
    statistics: RunStatistics,
    *,
    baseline_is_chosen: bool,
) -> tuple[ComparedRun, ...]:
    """The runs with what to call them and their recipes, as those of the statistics.

    `alignments` has one entry a run other than the baseline.
    """
    records = [result.run for result in results]
    keys = {run.id: f"R{number}" for number, run in enumerate(records, 1)}
    taken, labels = Counter(run.name for run in records), run_labels(records)
    groups = by_recipe(records)
    first = run_labels([group[0] for group in groups])  # one run speaks for its recipe
    recipes: dict[str, Recipe] = {}
    for group in groups:
        label = first[group[0].id]
        words = model_title(group[0]) if label.endswith(group[0].id) else label
        members = ", ".join(keys[run.id] for run in group)
        recipes |= dict.fromkeys((run.id for run in group), Recipe(f"{words} ({members})"))
    statistics.runs = tuple(
        ComparedRun(
            result=result,
            key=keys[run.id],
            name=run.name if taken[run.name] == 1 else f"{run.name} ({run.id})",
            short=f"{keys[run.id]} {labels[run.id]}",
            colour=number,
            recipe=recipes[run.id],
            alignment=alignments.get(run.id),
            statistics=statistics,
            is_chosen_baseline=baseline_is_chosen and run.id not in alignments,
        )
        for number, (result, run) in enumerate(zip(results, records, strict=True))
    )
    for run in statistics.runs:
        run.recipe.runs.append(run)
    return statistics.runs
