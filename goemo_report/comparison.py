"""Runs side by side: which can be compared, in which order, and against which baseline.

What is costly (intervals, tuned thresholds) is computed when it is first asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Final

from goemo_report.analysis.common import (
    Alignment,
    align,
    clustered,
    on_common_labels,
    with_common_text_keys,
)
from goemo_report.analysis.compared_runs import (
    TUNED_F1,
    VALIDATION_F1,
    ComparedRun,
    Recipe,
    compared_runs,
)
from goemo_report.analysis.raters import RunBesideRaters, beside_raters
from goemo_report.analysis.run_choice import tagged_baseline
from goemo_report.analysis.run_statistics import RunStatistics, as_run_error
from goemo_report.contract import DEFAULT_THRESHOLD, Split
from goemo_report.corpora.ratings import Ratings
from goemo_report.errors import ArgumentError, NotFoundError, RunError, SettingsError, argument
from goemo_report.formats.wording import listed
from goemo_report.labels import LabelSet
from goemo_report.metrics.table import HEADLINE
from goemo_report.results import LoadedRuns, RunResult, left_out
from goemo_report.settings import check_numbers
from goemo_report.sources.base import Progress, silent
from goemo_report.sources.model import SkippedRun
from goemo_report.sources.references import named_among
from goemo_report.statistics.differences import ALPHA, Difference, PairedDifferences
from goemo_report.statistics.distributions import normal_quantile
from goemo_report.statistics.intervals import RESAMPLES
from goemo_report.statistics.many_runs import MARGIN, Decision, decide, selection_bias_of_best
from goemo_report.statistics.resampling import Clusters

__all__ = ["ComparedRun", "Comparison", "Options", "Recipe", "compare"]

FIRST_RUN: Final = "the first run created"
"""How the baseline was chosen where nobody chose it."""
TAGGED: Final = "the first run tagged baseline"
FEWEST_TEXTS: Final = 6
"""With one text less, p of the swaps is no smaller than 2 / 2**5 = 0.06."""
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Options:
    """Choices of a reader about a comparison."""

    texts: bool = True
    """Whether texts of the data set may be shown."""
    max_errors: int = 20
    """Texts shown per label and kind of error."""
    resamples: int = RESAMPLES
    seed: int = 0
    rank_on: Split | None = None
    """Where the best run is chosen; None is validation, if all runs have its predictions."""
    margin: float = MARGIN
    """Differences of macro F1 up to this do not matter."""
    cluster: str = ""
    """The column that says which texts belong together; empty: each stands for itself."""

    def __post_init__(self) -> None:
        numbers = ("max_errors", "resamples", "seed", "margin")
        check_numbers(**{name: getattr(self, name) for name in numbers})
        if self.rank_on not in (None, "test", "val"):
            raise ArgumentError(f"rank_on is {self.rank_on!r}", "Give test or val")


@dataclass(frozen=True, slots=True)
class Criterion:
    """What runs are ranked by: key and name of a metric, and why it is not macro F1 at 0.5."""

    key: str = HEADLINE
    title: str = "macro F1 at 0.5"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """The winner, a run or a recipe, against the runner-up in one metric; None: not computed."""

    best: str
    other: str | None
    metric: str
    value: float | None = None
    other_value: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    verdict: str | None = None
    decision: Decision | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs with predictions on one split, in the order of creation.

    Where no run has predictions there are only those that are `logged`, no baseline, no recipes
    and no statistics.
    """

    runs: tuple[ComparedRun, ...]
    split: Split
    baseline: ComparedRun
    baseline_rule: str
    recipes: tuple[Recipe, ...]
    statistics: RunStatistics
    skipped: tuple[SkippedRun, ...] = ()
    source: str = ""
    options: Options = field(default_factory=Options)
    logged: tuple[RunResult, ...] = ()
    """Runs without predictions on the split, of which there is only what they logged."""
    notes: tuple[str, ...] = ()
    """Notes on how the runs were read."""
    ratings: Ratings | None = None
    """Choices of human raters for the texts, where they were given."""

    @cached_property
    def label_set(self) -> LabelSet:
        """Labels that any run has, in the order of the run with the most."""
        widest, *others = sorted(
            (run.label_set for run in self.runs),
            key=lambda label_set: -len(label_set.labels),
        )
        names = dict.fromkeys(label for one in (widest, *others) for label in one.labels)
        return widest if tuple(names) == widest.labels else LabelSet.of(names)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that any run has, in that order."""
        return self.label_set.labels

    @cached_property
    def label_changes(self) -> Mapping[str, tuple[str, ...]]:
        """What became of labels so that runs can be compared, with the keys of those runs."""
        return self._keys_by(lambda run: run.predictions.change)

    @property
    def noun(self) -> str:
        """What one label is called."""
        return self.label_set.noun

    @property
    def nouns(self) -> str:
        """What several labels are called."""
        return self.label_set.nouns

    @property
    def baseline_is_chosen(self) -> bool:
        """Whether someone named the baseline, by option or tag; else it is the first run."""
        return self.baseline_rule != FIRST_RUN

    @cached_property
    def with_probabilities(self) -> tuple[ComparedRun, ...]:
        """The runs whose files have probabilities, and not only predicted labels."""
        return tuple(run for run in self.runs if run.predictions.has_probabilities)

    @cached_property
    def same_texts(self) -> bool:
        """Whether all runs were judged on the same texts."""
        return all(run.alignment is None or run.alignment.complete for run in self.runs)

    @cached_property
    def alike(self) -> bool:
        """Whether all runs were judged on the same texts, with the same labels, equally true."""
        found = [run.alignment for run in self.runs if run.alignment is not None]
        return self.same_texts and all(one.same_labels and not one.disagreeing for one in found)

    @cached_property
    def others(self) -> tuple[ComparedRun, ...]:
        """Every run but the baseline."""
        return tuple(run for run in self.runs if not run.is_baseline)

    @cached_property
    def identical(self) -> tuple[tuple[ComparedRun, ...], ...]:
        """Groups of runs that give the same texts the same probabilities, in any order of rows."""
        found: dict[object, list[ComparedRun]] = {}
        for run in self.runs:
            own = run.predictions
            rows = Counter(
                zip(own.texts, (row.tobytes() for row in own.probabilities), strict=True)
            )
            # The hash alone: the rows of hundreds of runs need not be held twice.
            found.setdefault((own.labels, hash(frozenset(rows.items()))), []).append(run)
        return tuple(tuple(runs) for runs in found.values() if len(runs) > 1)

    @cached_property
    def losses(self) -> Mapping[str, tuple[str, ...]]:
        """The losses that runs were trained with, with the keys of those runs."""
        return self._keys_by(lambda run: run.loss)

    def _keys_by(self, said: Callable[[ComparedRun], str]) -> dict[str, tuple[str, ...]]:
        """The keys of the runs of which the same is said, without those of which nothing is."""
        found: dict[str, tuple[str, ...]] = {}
        for run in self.runs:
            found[said(run)] = (*found.get(said(run), ()), run.key)
        return {text: keys for text, keys in found.items() if text}

    @property
    def at(self) -> str:
        """How labels are predicted: at 0.5, as predicted without probabilities, or either."""
        if not self.with_probabilities:
            return "as predicted"
        all_have = len(self.with_probabilities) == len(self.runs)
        return "at 0.5" if all_have else "at 0.5 or as predicted"

    @cached_property
    def criterion(self) -> Criterion:
        """The figure that is reported of runs: a loss shifts probabilities, so that 0.5 compares
        only like with like; else it is macro F1 at tuned thresholds, or the AUC where not all
        were tuned."""
        reason = self.statistics.why_not_fixed_threshold
        if reason and all(run.tuned is not None for run in self.runs):
            return Criterion(TUNED_F1, "macro F1 at tuned thresholds", reason)
        if reason and all(run.value("macro_auc") is not None for run in self.runs):
            return Criterion("macro_auc", "macro AUC", f"{reason}, and not all could be tuned")
        return Criterion(title=f"macro F1 {self.at}")

    def score(self, run: ComparedRun) -> float:
        """Get the figure that the report ranks and shows for a run."""
        return run.value(self.criterion.key) or 0.0

    @cached_property
    def ranked(self) -> tuple[ComparedRun, ...]:
        """Runs by the criterion, best first; the earlier one of equals."""
        return tuple(sorted(self.runs, key=lambda run: -self.score(run)))

    @cached_property
    def rank_on(self) -> Split:
        """Where the best run is chosen: on validation, its lead on test has no selection bias."""
        if self.options.rank_on == "val" and not self.statistics.validation_f1:
            lacking = [run.name for run in self.runs if "val" not in run.result.splits]
            raise SettingsError(
                f"{listed(lacking, 4)} logged no validation predictions to rank on"
                if lacking
                else "the runs cannot be ranked on validation: validation is the reported "
                "split, or its labels differ",
                f"Rank on what is reported with {argument('rank_on', 'test')}",
            )
        on = self.options.rank_on or ("val" if self.statistics.validation_f1 else self.split)
        return "val" if on == "val" else self.split

    @property
    def rank_key(self) -> str:
        """The figure by which the best run and the best recipe are chosen."""
        return VALIDATION_F1 if self.rank_on != self.split else self.criterion.key

    @cached_property
    def chosen(self) -> tuple[ComparedRun, ...]:
        """Runs by the figure that chooses among them, best first."""
        return tuple(sorted(self.ranked, key=lambda run: -(run.value(self.rank_key) or 0.0)))

    @cached_property
    def ranked_recipes(self) -> tuple[Recipe, ...]:
        """Recipes by the mean of the figure that chooses among runs, best first."""
        means = {one: fmean(one.values(self.rank_key) or [0.0]) for one in self.recipes}
        return tuple(sorted(self.recipes, key=lambda recipe: -means[recipe]))

    @cached_property
    def best(self) -> ComparedRun:
        """The best run, on validation if `rank_on` says so: of the best recipe, where recipes
        have several seeds."""
        recipe = self.best_recipe
        return next(run for run in self.chosen if recipe is None or run.recipe is recipe)

    @property
    def best_recipe(self) -> Recipe | None:
        """The recipe with the best mean, where any has several seeds on the same texts."""
        if not self.alike or all(len(recipe.seeds) < 2 for recipe in self.recipes):
            return None
        return self.ranked_recipes[0]

    @cached_property
    def runner_up(self) -> ComparedRun | None:
        """What the best run is held against: the baseline if someone chose it, else the next best;
        one of another recipe, where there is one."""
        if not self.others:
            return None
        own, reference = self.best.recipe, next(run for run in self.chosen if run is not self.best)
        if self.baseline_is_chosen and not self.best.is_baseline:
            reference = self.baseline
            if reference.recipe is not own:
                return reference
        others = self.chosen
        if self.best_recipe is not None and len(self.recipes) > 1:
            others = tuple(run for run in others if run.recipe is self.ranked_recipes[1])
        return next((run for run in others if run.recipe is not own), reference)

    @cached_property
    def best_vs_runner_up(self) -> PairedDifferences | None:
        """Best run minus runner-up at 0.5; None where they are not paired or there is none.

        The best of all on test may beat a given baseline by luck, so that p is adjusted over the
        runs. Against the next best it need not be: the one that is chosen after looking leads by
        a significant gap no more often than the level says (Gutmann and Maymin 1987).
        """
        other = self.runner_up
        if other is None:
            return None
        if other.is_baseline and self.baseline_is_chosen and self.rank_on == self.split:
            return self.best.differences
        return self.best.minus(other)

    @cached_property
    def clusters(self) -> Clusters:
        """Which of the baseline's texts belong together."""
        judged = self.baseline.predictions
        return Clusters.of(judged.clusters, len(judged))

    @cached_property
    def selection_bias(self) -> float | None:
        """By how much the best run would lead the mean of all by the choice of texts alone, were
        they equally good: macro F1 at 0.5. None for a single run and runs on other texts."""
        if len(self.runs) < 2 or not self.alike:
            return None
        return selection_bias_of_best([run.replicates(HEADLINE) for run in self.runs])

    @cached_property
    def raters(self) -> Mapping[str, RunBesideRaters]:
        """Each run at 0.5 beside a held-out rater, by run id; empty without ratings."""
        if self.ratings is None:
            return {}
        found, options = self.ratings, self.options
        return {
            run.id: beside_raters(
                run.predictions,
                run.predictions.probabilities >= DEFAULT_THRESHOLD,
                *(found, options.resamples, options.seed),
            )
            for run in self.runs
        }

    @cached_property
    def decision(self) -> Decision | None:
        """Judge best run minus runner-up against the margin, and say what would decide it.

        The margin is one of macro F1, at 0.5 or tuned: None where runs are reported by their AUC,
        where they are not paired, where they are the same on every text, and on fewer than
        FEWEST_TEXTS.
        """
        other, macro, key = self.runner_up, self.lead, self.criterion.key
        if other is None or macro is None or key not in (HEADLINE, TUNED_F1):
            return None
        if macro.same:  # no text shows how often they may differ on others
            return None
        pair, common = self.best.against(other, key), self.best.aligned(other)
        if pair is None or common.matched < FEWEST_TEXTS:
            return None
        return decide(
            macro.value,
            significant=macro.verdict != "tie",
            text_error=(macro.high - macro.low) / (2.0 * normal_quantile()),
            bounds=(macro.low, macro.high),
            texts=common.matched,
            margin=self.options.margin,
            labels=common.labels,
            shares=pair.shares.tolist(),
        )

    def recipe_decision(self, best: Recipe, other: Recipe) -> Decision | None:
        """Judge the difference of two recipes over seeds and texts; None without two seeds in each.

        The margin is one of macro F1, at 0.5 or tuned: None where recipes are held by their AUC.
        """
        key = self.criterion.key
        if key not in (HEADLINE, TUNED_F1):
            return None
        found = best.minus(other, key)
        if found.p is None or found.text_error is None or found.seed_error is None:
            return None
        return decide(
            found.value,
            significant=found.p < ALPHA,
            text_error=found.text_error,
            texts=best.runs[0].split_result.rows,
            margin=self.options.margin,
            seed_error=found.seed_error,
            seeds=min(len(best.values(key)), len(other.values(key))),
            df=found.df or 1.0,
        )

    @cached_property
    def tuned_best_vs_runner_up(self) -> PairedDifferences | None:
        """Best run minus runner-up at thresholds tuned on validation; None where not paired."""
        return self.best.minus(self.runner_up, TUNED_F1) if self.runner_up else None

    @property
    def lead(self) -> Difference | None:
        """Best run minus runner-up in what runs are ranked by; None where not paired."""
        tuned = self.criterion.key == TUNED_F1
        found = self.tuned_best_vs_runner_up if tuned else self.best_vs_runner_up
        return found.get("macro_f1" if tuned else self.criterion.key) if found else None

    @cached_property
    def recipes_lead(self) -> tuple[Recipe, Recipe] | None:
        """The best recipe and what it is held against, where the verdict is on recipes."""
        best, other = self.best, self.runner_up
        if other is None or self.best_recipe is None or best.recipe is other.recipe:
            return None
        first, second = self.ranked_recipes[:2]
        if self.baseline_is_chosen and self.baseline.recipe is not first:
            second = self.baseline.recipe
        return first, second

    @cached_property
    def standing(self) -> Standing:
        """Give the figures that the verdict states, in units of the criterion."""
        metric = self.criterion.key
        if self.recipes_lead:
            first, second = self.recipes_lead
            value, others = first.mean(metric), second.mean(metric)
            seeds, gap, word = first.minus(second, metric), value - others, None
            if seeds.p is not None:
                word = "tie" if seeds.p >= ALPHA else "win" if gap > 0 else "loss"
            decision = self.recipe_decision(first, second)
            bounds = seeds.low, seeds.high, seeds.p
            return Standing(
                first.title, second.title, metric, value, others, gap, *bounds, word, decision
            )
        best, other, lead = self.best, self.runner_up, self.lead
        ours, theirs = best.value(metric), other.value(metric) if other else None
        found = Standing(best.name, other.name if other else None, metric, ours, theirs)
        if lead is None:
            return found
        paired = lead.value, lead.low, lead.high, lead.p_adjusted, lead.verdict, self.decision
        return Standing(found.best, found.other, metric, ours, theirs, *paired)

    def prepare(self) -> None:
        """Compute all statistics now, telling the progress."""
        if not self.runs:
            return
        one = self.baseline  # what is asked of one run is computed of all
        _ = one.intervals, one.differences, one.protocols, one.tuned_interval, one.calibration
        _ = self.best_vs_runner_up, self.tuned_best_vs_runner_up

    def without(self, fault: RunError) -> Comparison:
        """Compare the other runs. Raises SettingsError where the run is the baseline that was
        asked for, NotFoundError where there is no other."""
        lost = next(run for run in self.runs if run.id == fault.run_id)
        if lost.is_chosen_baseline:
            raise SettingsError(f"the baseline {lost.name} cannot be used: {fault.reason}")
        others = tuple(run.result for run in self.runs if run is not lost)
        skipped = (*self.skipped, SkippedRun(lost.name, fault.reason))
        return compare(
            LoadedRuns(others, skipped, self.logged, self.notes),
            baseline=self.baseline.id if self.baseline_rule not in (FIRST_RUN, TAGGED) else None,
            split=self.split,
            source=self.source,
            options=self.options,
            progress=self.statistics.progress,
            cache=self.statistics.cache,
            ratings=self.ratings,
        )


def compare(
    results: Iterable[RunResult],
    *,
    baseline: str | None = None,
    split: Split = "test",
    source: str = "",
    options: Options | None = None,
    progress: Progress = silent,
    cache: Path | None = None,
    ratings: Ratings | None = None,
) -> Comparison:
    """Compare runs on one split.

    `baseline` is the id, name or path of one of the runs; without it the first run tagged
    `baseline` is taken, else the first created. Runs without predictions on the split are
    left out with their reason; NotFoundError when that is every run, SettingsError when it
    is the baseline that was asked for, DataError for labels that cannot
    be compared. Those of LoadedRuns that have no predictions are `logged`, and all there is where
    no other run has predictions on the split. With a directory `cache`, statistics that were
    computed before are taken from there. `ratings` are those of human raters; DataError where they
    rate none of the texts, or other labels.
    """
    loaded = results if isinstance(results, LoadedRuns) else LoadedRuns(tuple(results))
    absent, logged, usable = list(loaded.skipped), list(loaded.logged), list[RunResult]()
    for result in loaded:
        if split in result.splits:
            usable.append(result)
        else:
            reason = result.problems.get(split, f"logged no {split} predictions")
            absent.append(left_out(result.run, reason))
            logged += [result] if result.logged else []
    if loaded.logged and not usable:
        return Comparison(
            (), split, None, FIRST_RUN, (), None, tuple(absent), source,  # type: ignore[arg-type]  # no baseline
            options or Options(), tuple(sorted(logged, key=_creation)), loaded.notes,
        )  # fmt: skip
    if not usable:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in absent) or "no runs"
        raise NotFoundError(
            f"no run has usable {split} predictions ({reasons})",
            next(
                (item.remedy for item in absent if item.remedy),
                f"Try the other split with {argument('split')}, or log the predictions",
            ),
        )
    usable.sort(key=_creation)
    usable = with_common_text_keys(on_common_labels(usable, split), split)
    chosen, rule = _choose_baseline(usable, baseline, absent)
    options = options or Options()
    if options.cluster:
        place = usable.index(chosen)
        usable = clustered(usable, split, options.cluster, ratings)
        chosen = usable[place]
    alignments: dict[str, Alignment] = {}
    for run in usable:
        try:
            if run is not chosen:
                with as_run_error(run, f"rows in common with {chosen.run.name}"):
                    pair = (one.splits[split].predictions for one in (run, chosen))
                    alignments[run.id] = align(*pair)
        except RunError as fault:
            absent.append(SkippedRun(run.run.name, fault.reason))
    runs = compared_runs(
        [run for run in usable if run is chosen or run.id in alignments],
        alignments,
        RunStatistics(split, options.resamples, options.seed, progress, cache),
        baseline_is_chosen=rule != FIRST_RUN,
    )
    baseline_run = next(run for run in runs if run.is_baseline)
    found = Comparison(
        runs=runs,
        split=split,
        baseline=baseline_run,
        baseline_rule=rule,
        recipes=tuple(dict.fromkeys(run.recipe for run in runs)),
        statistics=baseline_run.statistics,
        skipped=tuple(absent),
        source=source,
        options=options,
        logged=tuple(sorted(logged, key=_creation)),
        notes=loaded.notes,
        ratings=ratings,
    )
    _ = found.rank_on, found.raters  # refused here if they cannot be
    return found


def _creation(result: RunResult) -> tuple[datetime, str]:
    """Files, which nobody dated, come first and stay in the order in which they were named."""
    created = result.run.created_at
    if created is None:
        return (_LONG_AGO, "")
    return (created if created.tzinfo else created.replace(tzinfo=UTC), result.id)


def _choose_baseline(
    results: Sequence[RunResult], wanted: str | None, skipped: Sequence[SkippedRun]
) -> tuple[RunResult, str]:
    by_id, runs = {result.id: result for result in results}, [result.run for result in results]
    if wanted is None:
        tagged = [by_id[run.id] for run in tagged_baseline(runs)]
        return (tagged[0], TAGGED) if tagged else (results[0], FIRST_RUN)
    fitting = [by_id[run.id] for run in named_among(wanted, runs)]
    if len(fitting) == 1:
        return fitting[0], f"chosen with {argument('baseline')}"
    if fitting:
        raise SettingsError(
            f"{argument('baseline', wanted)} names {len(fitting)} runs",
            f"Give its id: {', '.join(result.id for result in fitting)}",
        )
    for item in skipped:
        if wanted in {item.name, item.run_id}:
            raise SettingsError(f"the baseline {item.name} cannot be used: {item.reason}")
    raise SettingsError(
        f"the baseline {wanted} is not among the compared runs",
        f"Choose one of: {', '.join(result.run.name for result in results)}",
    )
