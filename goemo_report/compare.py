"""Several runs' results -> one Comparison: order, names, baseline, pairing, groups. Pure.

What is costly (intervals, tuned thresholds) is computed when a section first asks for it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from goemo_report.alignment import Alignment, align
from goemo_report.contract import EMOTIONS, Split
from goemo_report.errors import NotFoundError, SettingsError
from goemo_report.model import RunRecord, SkippedRun
from goemo_report.results import LoadedRuns, RunResult, SplitResult

SEED_KEYS: Final = frozenset({"random_seed", "seed"})
ENVIRONMENT_KEYS: Final = frozenset(
    {"gpu_type", "cuda_version", "pytorch_version", "transformers_version"}
)
RANKING_METRIC: Final = "macro_f1"
"""Runs are ranked by it, at the fixed threshold 0.5."""

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SeedGroup:
    """Runs whose config differs only in the random seed, by id in the order of creation."""

    name: str
    run_ids: tuple[str, ...]
    seeds: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """What a reader may choose about a comparison."""

    texts: bool = True
    """Whether texts of the data set may be shown."""
    max_errors: int = 20
    """Texts shown per emotion and kind of error."""
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs with predictions on one split, in the order of creation.

    `alignments` has one entry a run other than the baseline. `labels` are those of the run
    with the most labels.
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

    def short(self, run: RunResult) -> str:
        """What to call a run where there is little room; the run table has the same keys."""
        return f"{self.keys[run.id]} {run.run.model_name}"

    def macro_f1(self, run: RunResult) -> float:
        """Macro F1 at 0.5, by which runs are ranked."""
        return self.on_split(run).scores.overall[RANKING_METRIC] or 0.0

    @cached_property
    def others(self) -> tuple[RunResult, ...]:
        """Every run but the baseline."""
        return tuple(run for run in self.runs if run is not self.baseline)

    @cached_property
    def ranked(self) -> tuple[RunResult, ...]:
        """Runs by macro F1 at 0.5, best first."""
        return tuple(
            sorted(
                self.runs,
                key=lambda run: -self.macro_f1(run),
            )
        )

    @property
    def best(self) -> RunResult:
        """The run with the highest macro F1 at 0.5; the earlier one of equals."""
        return self.ranked[0]


def compare(
    results: Iterable[RunResult],
    *,
    baseline: str | None = None,
    split: Split = "test",
    skipped: Sequence[SkippedRun] = (),
    source: str = "",
    options: Options | None = None,
) -> Comparison:
    """Compare runs on one split.

    `baseline` is the id, name or path of one of the runs; without it the first run tagged
    `baseline` is taken, else the first created. Runs without predictions on the split are
    left out with their reason; NotFoundError when that is every run, SettingsError when it
    is the baseline that was asked for.
    """
    left_out = list(skipped)
    if isinstance(results, LoadedRuns):
        left_out[:0] = [item for item in results.skipped if item not in left_out]
    usable: list[RunResult] = []
    for result in results:
        if split in result.splits:
            usable.append(result)
        else:
            reason = result.problems.get(split, f"logged no {split} predictions")
            left_out.append(SkippedRun(result.run.name, reason))
    if not usable:
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in left_out) or "no runs"
        raise NotFoundError(
            f"no run has usable {split} predictions ({reasons})",
            "Try the other split with --split, or log the predictions",
        )
    usable.sort(key=_creation)
    chosen, rule = _choose_baseline(usable, baseline, left_out)
    reference = chosen.splits[split].predictions
    return Comparison(
        runs=tuple(usable),
        split=split,
        baseline=chosen,
        baseline_rule=rule,
        alignments={
            run.id: align(run.splits[split].predictions, reference)
            for run in usable
            if run is not chosen
        },
        groups=seed_groups([result.run for result in usable]),
        skipped=tuple(left_out),
        source=source,
        options=options or Options(),
    )


def _creation(result: RunResult) -> tuple[datetime, str]:
    created = result.run.created_at or _LONG_AGO
    return (created if created.tzinfo else created.replace(tzinfo=UTC), result.id)


def _choose_baseline(
    results: Sequence[RunResult], wanted: str | None, skipped: Sequence[SkippedRun]
) -> tuple[RunResult, str]:
    if wanted is None:
        for result in results:
            if "baseline" in result.run.tags:
                return result, "the first run tagged baseline"
        return results[0], "the first run created"
    fitting = [r for r in results if wanted in {r.id, r.run.name, r.run.path}]
    if len(fitting) == 1:
        return fitting[0], "chosen with --baseline"
    if fitting:
        raise SettingsError(
            f"--baseline {wanted} names {len(fitting)} runs",
            f"Give its id: {', '.join(result.id for result in fitting)}",
        )
    for item in skipped:
        if item.name == wanted:
            raise SettingsError(f"the baseline {wanted} cannot be used: {item.reason}")
    raise SettingsError(
        f"the baseline {wanted} is not among the compared runs",
        f"Choose one of: {', '.join(result.run.name for result in results)}",
    )


def flat_config(run: RunRecord) -> dict[str, Any]:
    """A run's config with nested mappings joined by dots, W&B's own entries left out."""
    flat: dict[str, Any] = {}

    def add(prefix: str, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            if isinstance(value, Mapping) and value:
                add(f"{prefix}{key}.", value)
            else:
                flat[f"{prefix}{key}"] = value

    add("", {key: value for key, value in run.config.items() if not key.startswith("_wandb")})
    return flat


def is_environment(key: str) -> bool:
    """Whether a config key says where a run ran and not what it did."""
    return key in ENVIRONMENT_KEYS or key.startswith("system/")


def recipe(run: RunRecord) -> dict[str, Any]:
    """The config without seeds and environment: runs of one recipe differ by chance alone."""
    return {
        key: value
        for key, value in flat_config(run).items()
        if key not in SEED_KEYS and not is_environment(key)
    }


def seed_groups(runs: Sequence[RunRecord]) -> tuple[SeedGroup, ...]:
    """Groups of runs with one recipe, in the order of their first run; one run is a group too."""
    members: dict[str, list[RunRecord]] = {}
    for run in runs:
        key = json.dumps(recipe(run), sort_keys=True, default=str)
        members.setdefault(key if recipe(run) else f"{key} {run.id}", []).append(run)
    return tuple(
        SeedGroup(
            name=group[0].model_name,
            run_ids=tuple(run.id for run in group),
            seeds=tuple(_seed(run) for run in group),
        )
        for group in members.values()
    )


def _seed(run: RunRecord) -> Any:
    return next((run.config[key] for key in SEED_KEYS if key in run.config), None)


def config_differences(runs: Sequence[RunRecord]) -> dict[str, tuple[Any, ...]]:
    """Config keys whose values differ between runs, with the value of each (None: not set)."""
    flat = [flat_config(run) for run in runs]
    keys = dict.fromkeys(key for config in flat for key in config)
    columns = {key: tuple(config.get(key) for config in flat) for key in keys}
    return {
        key: values
        for key, values in columns.items()
        if len({json.dumps(value, sort_keys=True, default=str) for value in values}) > 1
    }
